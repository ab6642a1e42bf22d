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

use std::sync::Arc;

pub use seats::{Seat, Seats, Standing};
pub use status::ClusterStatus;
pub use view::{ClusterView, Views};

/// What the commands of a clustered server need of it.
#[derive(Debug)]
pub struct Clustered {
    /// The shards, on this node.
    pub seats: Arc<Seats>,
    /// What is known of the cluster.
    pub views: Arc<Views>,
    /// Where what waits for other nodes is done.
    pub runtime: tokio::runtime::Handle,
}
