//! Clusters of real processes on this machine, under load, while nodes are killed, paused, stopped and
//! added; and what their clients saw, checked.
//!
//! ```text
//!  clients ── SET GET INCR DEL, each reply noted ──▶ nodes on 127.0.0.x, killed and paused meanwhile
//!     └──▶ history ─▶ linear? counters exact? replicas equal?
//! ```
//!
//! A request that was sent and got no answer may have been done or not, at any time: its outcome stays
//! unknown.
#![allow(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![allow(clippy::disallowed_methods, reason = "the tests look at files and clocks from outside")]

mod client;
mod faults;
mod history;
mod nodes;
mod shape;
