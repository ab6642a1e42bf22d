//! The promises of a store whose disk fails: an error is an error at once, is told as what it is, and
//! nothing is lost or made up because of it.
//!
//! ```text
//!  run 0:  all the calls, 1 … N
//!  run k:  call k fails ─▶ the step it is in fails, or copes ─▶ the other steps go on, or the store is
//!          fenced ─▶ what is read is right throughout ─▶ reopened, after a power cut too: as allowed
//! ```

#![allow(clippy::unwrap_used, reason = "these are tests, their helpers too")]

mod common;
#[path = "faults/each_call.rs"]
mod each_call;
#[path = "faults/full_disk.rs"]
mod full_disk;
#[path = "faults/reads.rs"]
mod reads;
