//! Nodes in a simulation: many in one process, on one thread, in a time that somebody makes.
//!
//! ```text
//!  the simulator ──▶ Host: clock, random numbers, pauses, the end ──▶ all tasks of one node
//!         │
//!         └────────▶ SimNetwork ── Weather: when does it arrive, if at all ──▶ another node's listener
//! ```
//!
//! A node is the one of production: its [`Node`](crate::Node), groups and store. What is replaced is
//! below it: the runtime's clock, timers and random numbers (by [`Host`]), gRPC (by [`SimNetwork`]), and
//! threads, whose work is done in place. Time is tokio's, paused.

mod host;
mod inspect;
mod network;

pub use host::{Host, Pace};
pub use inspect::{SeenVote, read_vote, read_voters};
pub use network::{Fate, Kind, Lane, Letter, SimNetwork, Weather};

pub(crate) use network::{SimBulk, Station};
