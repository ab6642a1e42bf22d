//! What an operator may ask of a cluster, through any of its nodes.
//!
//! ```text
//!  CLUSTER DRAIN 3 ─▶ Order ─▶ Steward ─▶ the leader of the meta group ─▶ logged ─▶ OK
//! ```

use std::fmt::Debug;

use aryavarth_cluster::{NodeId, ReplicationFactor, ShardId};

use super::ClusterStatus;

/// How sure it is that a node to be removed is not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// It holds nothing any more.
    Drained,
    /// It is dead and won't come back: what it held is made anew from others.
    Lost,
}

/// What an operator asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// A node is to be emptied.
    Drain(NodeId),
    /// It may be filled again.
    Undrain(NodeId),
    /// It is to be forgotten.
    Remove(NodeId, Certainty),
    /// Who was made to lead need not any more, and leaders are spread again.
    Rebalance,
    /// A node is to lead a shard; all that it has a vote in, if none is named.
    Transfer(Option<ShardId>, NodeId),
    /// This node, which belongs to no cluster yet, is to join that of a member: its peer address, as
    /// `host:port`.
    Meet(String),
    /// Each shard is to be on so many nodes.
    ReplicationFactor(ReplicationFactor),
}

/// Who knows the whole cluster and can have it changed.
pub trait Steward: Debug + Send + Sync {
    /// The cluster as far as it is known here; none before this node belongs to one. May wait.
    fn status(&self) -> Option<ClusterStatus>;

    /// Has an order carried out: returns once it is logged, or for a transfer, done. May wait for other
    /// nodes.
    ///
    /// # Errors
    /// Why it was not, and what to do, in a sentence.
    fn carry_out(&self, order: &Order) -> Result<(), String>;
}
