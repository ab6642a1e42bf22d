//! The topology: what the meta group knows of the cluster, and all that its other parts are told.
//!
//! ```text
//!  Topology ── epoch, cluster id, replication factor, settings
//!     ├── nodes     1: addresses, state, zone    2: …        3: …        4: …
//!     └── groups    0 (meta): voters 1 2 3
//!                   1:        voters 1 2 3   move: + 4 − 2   (4 is a learner until it caught up)
//!                   2:        voters 2 3 4   pinned to 3
//! ```
//!
//! It is a state machine: [`Topology::apply`] takes the [`Change`]s that the meta group has committed,
//! in their order, and all nodes come to the same topology. The voters noted here follow what the
//! Raft groups themselves have committed; a shard's own membership is the truth.
//!
//! # Invariants
//! Those of [`Topology::validate`]. They hold of every topology that was founded, changed by `apply`
//! or decoded.

mod change;
mod damage;
#[cfg(test)]
mod tests;
mod validate;

use std::collections::BTreeMap;
use std::fmt;

use crate::error::{Error, Result};
use crate::node::{ClusterId, Node, NodeId, NodeSet, NodeState};
use crate::shard_map::ShardMap;
use crate::shards::{META_GROUP, ShardId};

pub use change::{Applied, Change, NewNode};
pub use damage::Damage;

/// The most nodes a cluster may have.
pub const MAX_NODES: usize = 1024;
/// The most settings a topology may hold.
pub const MAX_SETTINGS: usize = 256;
/// The longest name of a setting, in bytes.
pub const MAX_SETTING_NAME: usize = 64;
/// The longest value of a setting, in bytes.
pub const MAX_SETTING_VALUE: usize = 4096;
/// The most voters that a move may leave a group with.
pub const MAX_VOTERS: usize = 5;

/// Grows by one with each change that changed something. The first topology has epoch 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u64);

/// On how many nodes data is, if there are so many.
///
/// Odd, as an even number of voters survives no more failures than one voter fewer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReplicationFactor {
    /// No copies: a dead node's data is lost.
    One,
    /// Survives the loss of one node.
    Three,
    /// Survives the loss of two nodes.
    Five,
}

/// The replicas of one Raft group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replicas {
    /// Who votes, as far as the meta group knows.
    pub voters: NodeSet,
    /// What is under way.
    pub running: Option<Move>,
    /// Who shall lead whatever the balance, if the operator said so. Kept while it has a vote.
    pub pinned: Option<NodeId>,
}

/// A change of a group's voters: new ones are learners until they have caught up, then all changes
/// at once.
///
/// Growing from one voter to three is one move that adds two, so that there are never two voters of
/// whom none may fail.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Move {
    /// Who gets a replica.
    pub add: NodeSet,
    /// Who loses it.
    pub remove: NodeSet,
}

/// What is known of the cluster as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    pub(crate) epoch: Epoch,
    pub(crate) cluster: ClusterId,
    pub(crate) shards: ShardMap,
    pub(crate) factor: ReplicationFactor,
    pub(crate) next_node: NodeId,
    pub(crate) nodes: BTreeMap<NodeId, Node>,
    /// The meta group, and each shard that is open.
    pub(crate) groups: BTreeMap<ShardId, Replicas>,
    pub(crate) settings: BTreeMap<String, String>,
}

impl ReplicationFactor {
    /// That of the meta group, which is small and needed by all.
    pub const META: ReplicationFactor = ReplicationFactor::Five;

    /// The factor with this number.
    ///
    /// # Errors
    /// [`Error::ReplicationFactor`] unless it is 1, 3 or 5.
    pub fn new(factor: u8) -> Result<ReplicationFactor> {
        match factor {
            1 => Ok(ReplicationFactor::One),
            3 => Ok(ReplicationFactor::Three),
            5 => Ok(ReplicationFactor::Five),
            _ => Err(Error::ReplicationFactor { factor }),
        }
    }

    /// The number.
    pub fn get(self) -> u8 {
        match self {
            ReplicationFactor::One => 1,
            ReplicationFactor::Three => 3,
            ReplicationFactor::Five => 5,
        }
    }
}

impl Move {
    /// The voters there are when it is done.
    pub fn outcome(&self, voters: &NodeSet) -> NodeSet {
        voters.difference(&self.remove).chain(&self.add).copied().collect()
    }
}

impl Replicas {
    /// Who gets a copy and has no vote yet.
    pub fn learners(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.running.iter().flat_map(|running| &running.add).copied()
    }

    /// Everybody who has a replica or is to have one.
    pub fn holders(&self) -> impl Iterator<Item = NodeId> + '_ {
        self.voters.iter().copied().chain(self.learners())
    }

    /// The voters there are when what is under way is done.
    pub fn outcome(&self) -> NodeSet {
        match &self.running {
            Some(running) => running.outcome(&self.voters),
            None => self.voters.clone(),
        }
    }
}

impl Topology {
    /// A new cluster: its first node, at work, has everything.
    pub fn found(
        cluster: ClusterId,
        shards: impl Into<ShardMap>,
        factor: ReplicationFactor,
        first: NewNode,
    ) -> Topology {
        let shards = shards.into();
        let node = Node { state: NodeState::Active, ..first.joining() };
        let alone = Replicas { voters: NodeSet::from([node.id]), running: None, pinned: None };
        Topology {
            epoch: Epoch(1),
            cluster,
            shards,
            factor,
            next_node: NodeId(node.id.0.saturating_add(1)),
            nodes: BTreeMap::from([(node.id, node)]),
            groups: shards.groups().map(|group| (group, alone.clone())).collect(),
            settings: BTreeMap::new(),
        }
    }

    /// How many changes it has seen.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Whose topology this is.
    pub fn cluster(&self) -> ClusterId {
        self.cluster
    }

    /// Which shards there are.
    pub fn shards(&self) -> ShardMap {
        self.shards
    }

    /// On how many nodes data shall be.
    pub fn replication_factor(&self) -> ReplicationFactor {
        self.factor
    }

    /// On how many nodes a group shall be: the meta group has a factor of its own.
    pub fn factor_of(&self, shard: ShardId) -> ReplicationFactor {
        if shard == META_GROUP { ReplicationFactor::META } else { self.factor }
    }

    /// The id for the next node that joins.
    pub fn next_node(&self) -> NodeId {
        self.next_node
    }

    /// The nodes, by id.
    pub fn nodes(&self) -> impl ExactSizeIterator<Item = &Node> {
        self.nodes.values()
    }

    /// The node with this id.
    pub fn node(&self, id: NodeId) -> Option<&Node> {
        self.nodes.get(&id)
    }

    /// The nodes in this state.
    pub fn nodes_in(&self, state: NodeState) -> NodeSet {
        self.nodes().filter(|node| node.state == state).map(|node| node.id).collect()
    }

    /// All Raft groups: the meta group, then the shards.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (ShardId, &Replicas)> {
        self.groups.iter().map(|(shard, group)| (*shard, group))
    }

    /// The replicas of one Raft group.
    pub fn replicas(&self, shard: ShardId) -> Option<&Replicas> {
        self.groups.get(&shard)
    }

    /// The groups of which a node has a replica or is to have one.
    pub fn groups_of(&self, node: NodeId) -> impl Iterator<Item = ShardId> + '_ {
        self.groups()
            .filter(move |(_, group)| group.holders().any(|holder| holder == node))
            .map(|(shard, _)| shard)
    }

    /// The settings that all nodes share, by name.
    pub fn settings(&self) -> &BTreeMap<String, String> {
        &self.settings
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Display for ReplicationFactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.get())
    }
}
