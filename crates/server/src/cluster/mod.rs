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

mod admission;
mod card;
mod clocks;
mod error;
mod following;
mod founding;
mod giving_way;
mod handover;
mod heard;
mod home;
mod joining;
mod member;
pub(crate) mod mending;
mod messages;
mod node;
mod orders;
pub(crate) mod passing;
mod pulse;
mod purge;
mod reconciler;
mod replacement;
mod replicas;
mod report;
pub mod reserved;
mod saved;
pub mod seats;
pub(crate) mod serving;
mod slots;
mod sparing;
mod splitting;
pub mod status;
#[cfg(test)]
mod tests;
pub mod view;
mod wishes;

use std::sync::Arc;

use aryavarth_cluster::{ReplicationFactor, ShardId, Sharding};

pub use error::NodeError;
pub use home::Home;
pub use messages::Wish;
#[cfg(feature = "simulated-cluster")]
pub(crate) use node::Surroundings;
pub use node::{ClusterNode, ClusterOptions, Host, Later, Policy, runtime};
pub(crate) use replacement::open_or_replace;
pub use seats::{Seat, Seats, Standing};
pub use serving::is_of_cluster;
pub(crate) use serving::{Rising, refuse_directory_of_node};
pub use slots::Slots;
pub use status::ClusterStatus;
pub use view::{ClusterView, Views};

/// How a node comes to its cluster.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Start {
    /// It goes on as what its directory says it is; or waits to be met, if that says nothing.
    #[default]
    Resume,
    /// It founds a cluster of its own, if it belongs to none yet.
    Found {
        /// How that comes to its shards, for ever.
        shards: Sharding,
        /// On how many nodes each is to be.
        factor: ReplicationFactor,
    },
    /// It asks a member to be let in, if it belongs to no cluster yet.
    Join {
        /// Where other nodes reach the member, as `host:port`.
        member: String,
    },
}

/// What the commands of a clustered server need of it.
#[derive(Debug)]
pub struct Clustered {
    /// The node.
    pub node: std::sync::OnceLock<Arc<ClusterNode>>,
    /// The shards, on this node.
    pub seats: Arc<Seats>,
    /// What is known of the cluster.
    pub views: Arc<Views>,
    /// Where what waits for other nodes is done.
    pub runtime: tokio::runtime::Handle,
}

impl Clustered {
    /// What the node is as a member; none as long as it is none.
    pub(crate) fn member(&self) -> Option<&Arc<member::Member>> {
        self.node.get()?.member()
    }

    /// Brings this node's replica of a shard up to what its leader has acknowledged by now; says whether it did.
    pub(crate) fn catch_up(&self, shard: ShardId) -> Later<bool> {
        let member = self.member().cloned();
        Box::pin(async move {
            match member {
                Some(member) => member.catch_up(shard).await.is_ok(),
                None => false,
            }
        })
    }

    /// Notes that the disk could not give a record back.
    pub(crate) fn note_unreadable(&self) {
        if let Some(member) = self.member() {
            member.note_unreadable();
        }
    }

    /// Notes that the record of `key` was found damaged, so that it is mended from other replicas.
    pub(crate) fn note_damage(&self, key: &[u8]) {
        if let Some(member) = self.member() {
            member.note_damage(key);
        }
    }
}
