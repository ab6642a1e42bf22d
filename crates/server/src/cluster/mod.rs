//! A node of a cluster, without its clients: the same log, replicated by Raft and split by hash slot.
//!
//! ```text
//!  commands ─▶ lane of a shard ─▶ seats ─▶ the shard's Raft group ─▶ the node's one log
//!                                   ▲
//!   CLUSTER …  ◀── view ◀───────────┤ who leads, where
//! ```
//!
//! # Invariants
//! - A command is evaluated only by the shard's leader, while its lease holds or a majority has said that
//!   it leads.
//! - Keys that begin with [`reserved::PREFIX`] are the server's own: no client reads or writes them.

pub mod reserved;
pub mod seats;
pub mod status;
pub mod view;

pub use seats::{Seat, Seats, Standing};
pub use status::ClusterStatus;
pub use view::ClusterView;
