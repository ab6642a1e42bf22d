//! The one error of the crate: a change that is refused, or bytes that are not what was written.
//! Each variant tells the caller's next move.

use crate::node::{Address, NodeId, NodeState};
use crate::shards::{META_GROUP, ShardId};

/// What the fallible functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a change was refused or bytes were not understood. Whatever was to be changed is as before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A cluster has 1 to 1024 shards. Choose such a number.
    #[error("{count} shards: a cluster has 1 to 1024")]
    ShardCount {
        /// What was asked for.
        count: u16,
    },
    /// Data is replicated on one, three or five nodes. Choose one of these.
    #[error("a replication factor of {factor}: it is 1, 3 or 5")]
    ReplicationFactor {
        /// What was asked for.
        factor: u8,
    },
    /// Not an address. Write it as `host:port`.
    #[error("{text:?} is not an address; write host:port, or [host]:port for IPv6")]
    Address {
        /// What was given.
        text: String,
    },
    /// A zone or the name or value of a setting is empty, too long, or has characters it may not.
    #[error("{what} {text:?}: {rule}")]
    Text {
        /// What it should have been.
        what: &'static str,
        /// What was given.
        text: String,
        /// What is allowed.
        rule: &'static str,
    },
    /// There are as many settings as there may be. Remove one first.
    #[error("there are {count} settings already; remove one first")]
    TooManySettings {
        /// How many there are.
        count: usize,
    },
    /// The cluster has no node with this id. List its nodes.
    #[error("the cluster has no node {node}; list its nodes with `aryavarth cluster status`")]
    UnknownNode {
        /// The id.
        node: NodeId,
    },
    /// A node with this id was removed. Its directory can't come back: start with an empty one.
    #[error("node {node} was removed from the cluster; let it join anew with an empty directory")]
    NodeRemoved {
        /// The id.
        node: NodeId,
    },
    /// The id belongs to another directory: that node's disk was wiped or replaced, or two nodes
    /// have one id. Join as a new node, and remove the old one.
    #[error(
        "node {node} has joined with another directory than this; let this one join as a new \
         node, and remove node {node} if its directory is lost"
    )]
    WrongIncarnation {
        /// The id.
        node: NodeId,
    },
    /// Another node has this address. Give this one another, or remove the other node.
    #[error(
        "{address} is the address of node {node}: choose another, or, if that node is gone for good, remove it \
         first (`aryavarth cluster remove {node} --lost`)"
    )]
    AddressTaken {
        /// The address.
        address: Address,
        /// Who has it.
        node: NodeId,
    },
    /// There are as many nodes as there may be.
    #[error("the cluster has {count} nodes, the most it may have")]
    TooManyNodes {
        /// How many there are.
        count: usize,
    },
    /// A node can't go from the one state to the other.
    #[error("node {node} is {from}, which can't become {to}")]
    ForbiddenState {
        /// The node.
        node: NodeId,
        /// Its state.
        from: NodeState,
        /// The state asked for.
        to: NodeState,
    },
    /// Only a node that is leaving can be removed. Drain it first.
    #[error("node {node} is {state}; drain it before it is removed")]
    NotLeaving {
        /// The node.
        node: NodeId,
        /// Its state.
        state: NodeState,
    },
    /// Without the node a group would have fewer copies than it has. Add a node first, lower the replication
    /// factor, or drain the node all the same.
    #[error(
        "without node {node} {} would have {left} {} instead of {now}: {}, or say FORCE (--force); if \
         the node is dead, remove it as LOST (--lost)",
        losing(*.shard), copies(*.left), instead(*.shard)
    )]
    GivesUpCopies {
        /// The node.
        node: NodeId,
        /// The group that would have fewest copies.
        shard: ShardId,
        /// How many of its copies live.
        now: usize,
        /// How many would be left.
        left: usize,
    },
    /// The node still has replicas, or is to have. Wait until they have moved.
    #[error("node {node} has a replica of shard {shard}; wait until it has moved")]
    NodeInUse {
        /// The node.
        node: NodeId,
        /// One of its shards.
        shard: ShardId,
    },
    /// There is no such shard.
    #[error("there is no shard {shard}")]
    UnknownShard {
        /// The id.
        shard: ShardId,
    },
    /// The shard does not own the slots that the other one is to begin with. Look at the topology again.
    #[error("shard {shard} cannot be split at shard {into}: it does not own those slots")]
    ImpossibleSplit {
        /// The one to be split.
        shard: ShardId,
        /// The one that it was to be split into.
        into: ShardId,
    },
    /// The shard's replicas are being moved otherwise. Wait, or abort that move.
    #[error("replicas of shard {shard} are on the move already; wait, or abort that move")]
    MoveRunning {
        /// The shard.
        shard: ShardId,
    },
    /// The move to finish or to abort does not run. Look at what does.
    #[error("shard {shard} has no such move under way")]
    NoSuchMove {
        /// The shard.
        shard: ShardId,
    },
    /// The move would break a rule.
    #[error("this move of shard {shard} is not possible: {reason}")]
    ImpossibleMove {
        /// The shard.
        shard: ShardId,
        /// Which rule.
        reason: &'static str,
    },
    /// Only a voter can lead. Choose another node.
    #[error("node {node} has no vote in shard {shard}, so it can't lead it")]
    NotAVoter {
        /// The shard.
        shard: ShardId,
        /// The node.
        node: NodeId,
    },
    /// A topology contradicts itself. Report it: it should not have come into being.
    #[error("the topology contradicts itself: {rule}")]
    Invalid {
        /// The invariant that does not hold.
        rule: String,
    },
    /// A newer release wrote this. Use that release.
    #[error("{what} has version {found}, written by a newer release; use that release")]
    NewerVersion {
        /// What was to be read.
        what: &'static str,
        /// Its version.
        found: u8,
    },
    /// Bytes are not what was written. Ask another node for them.
    #[error("{what} can't be read at byte {offset}: {detail}")]
    Malformed {
        /// What was to be read.
        what: &'static str,
        /// Where.
        offset: usize,
        /// What was found there.
        detail: &'static str,
    },
}

/// Who has copies to lose: shards lose theirs alike.
fn losing(shard: ShardId) -> &'static str {
    if shard == META_GROUP { "the meta group" } else { "each shard" }
}

fn copies(count: usize) -> &'static str {
    if count == 1 { "copy" } else { "copies" }
}

/// What can be done so that no copies are lost. The factor is none of the meta group's.
fn instead(shard: ShardId) -> &'static str {
    match shard {
        META_GROUP => "add a node first",
        _ => "add a node first, lower the factor (CLUSTER REPLICATION-FACTOR)",
    }
}
