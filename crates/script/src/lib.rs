//! Golden scripts: text files of commands and of what they get, so that a review of behaviour is the
//! reading of a difference.
//!
//! ```text
//!  tests/scripts/*.txt ─▶ run, by the crate's own means ─▶ the script with what its commands get now
//!            └────────────────── the same? ──────────────────────────────┘
//! ```
//!
//! Which lines are commands and what they mean is the matter of each crate. What is here they have in common:
//! [`check`] goes over the files, [`steps`] over lines and what they get, [`words`] reads a line as `redis-cli` does, [`take`] and [`show`] turn bytes of the
//! protocol into the lines that it prints, and [`merged`] leaves a script's patterns where they still match.
//!
//! `UPDATE=1 cargo test` writes what they get now into the scripts: review the difference. `ONLY=name` runs the
//! scripts whose names hold that.

mod files;
mod pattern;
mod reply;
pub mod show;
mod steps;
mod words;

pub use files::check;
pub use pattern::merged;
pub use reply::{Reply, request, take};
pub use steps::steps;
pub use words::{unescaped, words};
