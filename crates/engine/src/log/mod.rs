//! The log: many segments, appended to at one end, synced for many writers at once.
//!
//! ```text
//!   sealed            sealed            sealed            open (active)
//!  ┌───────────────┐ ┌───────────────┐ ┌───────────────┐ ┌──────────────────────────────┐
//!  │1 log          │ │3 survivors    │ │4 log          │ │5 log         │ zeros          │
//!  └───────────────┘ └───────────────┘ └───────────────┘ └──────────────────────────────┘
//!                                                         synced ≤ applied ≤ end ≤ allocated
//! ```
//!
//! [`segment`] is one file, [`scan`] reads its records one after the other, [`segments`] is the set
//! of them and the only writer of the manifest, [`append`] puts batches at the end, [`commit`]
//! makes them durable, one sync for all that wait.
//!
//! # Invariants
//! - Bytes below `end` of a segment never change.
//! - Segments are synced in the order of their ids: a byte known to be synced proves that all
//!   earlier segments of the log are.
//! - A sealed segment is synced, whole and never written again.

pub mod append;
pub mod commit;
pub mod scan;
pub mod segment;
pub mod segments;

pub use append::{Appender, Effect, Operation};
pub use segment::Segment;
pub use segments::Segments;
