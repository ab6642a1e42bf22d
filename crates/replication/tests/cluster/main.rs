//! Nodes in one process, each with threads, store and address of its own, over real connections.
#![allow(clippy::unwrap_used, reason = "helpers of tests are tests")]

mod elections;
mod harness;
mod membership;
mod news;
mod partitions;
mod peers;
mod snapshots;
