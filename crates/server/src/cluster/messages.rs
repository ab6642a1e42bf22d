//! What nodes say to one another besides Raft: a question, and its answer.
//!
//! ```text
//!  'J' then JSON            questions and answers of the cluster's own
//!  'R' then version, bytes  requests of a client that are passed on, and replies
//! ```
//!
//! Fields are only ever added, and one that is missing has its default. A question that is not understood
//! is answered with a refusal.
//!
//! Any of them may arrive late, twice, or not at all. So a question says all it depends on: the term of
//! whoever orders, the term and configuration of the group it is about, the epoch of the topology.

use std::collections::{BTreeMap, BTreeSet};

use aryavarth_cluster::{Membership, NodeId, NodeSight, ShardId, ShardSight};
use bytes::Bytes;
use serde::{Deserialize, Serialize};

/// Begins a question or answer of the cluster's own.
const CONTROL: u8 = b'J';
/// Begins requests that are passed on.
pub const REQUESTS: u8 = b'R';

/// A question.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Question {
    /// Somebody wants to become a node.
    Join(Applicant),
    /// How the node that asks is, and what it leads.
    Pulse(Box<Pulse>),
    /// The leader of the meta group wants this done by the leader of a shard.
    Act(Order),
    /// Has the node that is asked a group for this shard, which it will keep?
    Prepare {
        /// The shard.
        shard: u16,
        /// The epoch of a topology that names the node as a holder.
        epoch: u64,
    },
    /// Who is in a shard's group, says its leader?
    Members(u16),
    /// Up to which entry has a shard acknowledged what it acknowledged?
    ReadIndex(u16),
    /// What a voter of the meta group knows of all nodes.
    Overview,
    /// An operator wants this; for the leader of the meta group.
    Wish(Wish),
    /// May the node that asks end, to be replaced, as damage hides keys in its store? For the leader of the meta
    /// group.
    MayGo,
    /// The node that asks was told that it may go, and does not want to any more; for the same.
    Stays,
}

/// An answer.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Answer {
    /// The applicant is a node.
    Welcome(Welcome),
    /// What the node that was asked knows.
    News(Box<News>),
    /// It was done.
    Done,
    /// Who is in the group.
    Members(Led),
    /// The entry.
    Index(u64),
    /// It was not done, and why. Asking again is of no use.
    Refused(String),
    /// It was not done, and why. It may be done another time, or by another node.
    Later(String),
}

/// Somebody who wants to become a node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Applicant {
    /// Its directory's incarnation.
    pub incarnation: u64,
    /// Where clients will reach it.
    pub client: String,
    /// Where nodes will reach it.
    pub peer: String,
    /// What it shares a fate with.
    pub zone: Option<String>,
    /// The node that its directory was, if it takes that one's place because the store is damaged.
    #[serde(default)]
    pub replaces: Option<Former>,
}

/// A node whose store is damaged, and which is given up for a new one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Former {
    /// Its id.
    pub node: u64,
    /// Its directory's incarnation.
    pub incarnation: u64,
}

/// What a new node has to know.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Welcome {
    /// The cluster.
    pub cluster: u64,
    /// Its id.
    pub node: u64,
    /// The topology, encoded.
    pub topology: Vec<u8>,
}

/// How a node is.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct Pulse {
    /// Tells its process from another one with the same directory.
    pub run: u64,
    /// Grows with each pulse of the process.
    pub number: u64,
    /// Whether it is about to stop: nothing should be given to it.
    pub leaving: bool,
    /// Where clients reach it.
    pub client: String,
    /// Where nodes reach it.
    pub peer: String,
    /// What it shares a fate with.
    pub zone: Option<String>,
    /// Its release.
    pub version: String,
    /// The epoch of the topology it knows; 0 for none.
    pub epoch: u64,
    /// The groups it leads.
    pub led: Vec<Led>,
    /// Keys of clients that it holds.
    pub keys: u64,
    /// Bytes of its files.
    pub disk_bytes: u64,
    /// Memory of its index.
    pub index_bytes: u64,
}

/// A group, as its leader sees it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Led {
    /// Its number.
    pub shard: u16,
    /// The term in which it is led.
    pub term: u64,
    /// Who has a vote.
    pub voters: BTreeSet<u64>,
    /// Who has none.
    pub learners: BTreeSet<u64>,
    /// Who has nearly all.
    pub caught_up: BTreeSet<u64>,
    /// Whether its membership is being changed.
    pub changing: bool,
    /// The entry with the membership that is in force.
    pub config: Option<u64>,
    /// The last entry of the leader's log.
    pub last: Option<u64>,
    /// The last that a majority has.
    pub committed: Option<u64>,
    /// The last that the leader has applied.
    pub applied: Option<u64>,
    /// Entries in the leader's log.
    pub held: u64,
    /// The shards that have slots which were its own.
    pub split_off: BTreeSet<u16>,
    /// How many entries each other member is behind.
    pub lag: BTreeMap<u64, u64>,
    /// Bytes of snapshots on their way, by receiver.
    pub snapshots: BTreeMap<u64, u64>,
}

impl Led {
    /// The same for the reconciler.
    pub fn sight(&self, leader: NodeId) -> ShardSight {
        let nodes = |ids: &BTreeSet<u64>| ids.iter().copied().map(NodeId).collect();
        ShardSight {
            leader,
            voters: nodes(&self.voters),
            learners: nodes(&self.learners),
            caught_up: nodes(&self.caught_up),
            membership: match self.changing {
                true => Membership::Changing,
                false => Membership::Settled,
            },
            split_off: self.split_off.iter().copied().map(ShardId).collect(),
        }
    }
}

/// What a voter of the meta group knows.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct News {
    /// The topology, encoded, if it is newer than the one that was known.
    pub topology: Option<Vec<u8>>,
    /// Who leads which shard in which term.
    pub leaders: Vec<(u16, u64, u64)>,
    /// How nodes are.
    pub sights: Vec<(u64, Sight)>,
    /// What the voters of the meta group heard of nodes, for who is asked by an operator.
    pub heard: Vec<(u64, Pulse)>,
    /// Why the node that asked has to end, if it has to.
    pub end: Option<String>,
}

/// How a node is seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Sight {
    /// It answers.
    Reachable,
    /// It does not.
    Unreachable,
    /// It won't again.
    Lost,
}

impl From<NodeSight> for Sight {
    fn from(sight: NodeSight) -> Sight {
        match sight {
            NodeSight::Reachable => Sight::Reachable,
            NodeSight::Unreachable => Sight::Unreachable,
            NodeSight::Lost => Sight::Lost,
        }
    }
}

impl From<Sight> for NodeSight {
    fn from(sight: Sight) -> NodeSight {
        match sight {
            Sight::Reachable => NodeSight::Reachable,
            Sight::Unreachable => NodeSight::Unreachable,
            Sight::Lost => NodeSight::Lost,
        }
    }
}

/// What the leader of the meta group wants of the leader of a shard. It holds only as long as nothing has
/// changed since.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The term in which whoever orders leads the meta group.
    pub meta_term: u64,
    /// The epoch of its topology.
    pub epoch: u64,
    /// The term in which the shard is led.
    pub term: u64,
    /// The entry with the membership that was in force.
    pub config: Option<u64>,
    /// What is wanted.
    pub action: Action,
}

/// What the leader of a shard is to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// Let a node learn.
    AddLearner {
        /// The shard.
        shard: u16,
        /// The node.
        node: u64,
        /// Where it is.
        address: String,
    },
    /// Give the group these voters.
    ChangeVoters {
        /// The shard.
        shard: u16,
        /// The voters.
        voters: BTreeSet<u64>,
    },
    /// Let the group forget a learner.
    RemoveLearner {
        /// The shard.
        shard: u16,
        /// The learner.
        node: u64,
    },
    /// Give the slots from those of another shard on to that one.
    Split {
        /// The shard.
        shard: u16,
        /// The other one.
        into: u16,
    },
    /// Hand over.
    Transfer {
        /// The shard.
        shard: u16,
        /// To whom.
        to: u64,
    },
}

impl Action {
    /// Whose leader is to do it.
    pub fn shard(&self) -> ShardId {
        match self {
            Action::AddLearner { shard, .. }
            | Action::ChangeVoters { shard, .. }
            | Action::RemoveLearner { shard, .. }
            | Action::Split { shard, .. }
            | Action::Transfer { shard, .. } => ShardId(*shard),
        }
    }
}

/// What an operator wants. An older release refuses what it does not know, so that new wishes have names of their
/// own.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wish {
    /// Empty a node, if no copies are given up.
    Drain(u64),
    /// Empty a node, and give up copies if there is no room for them elsewhere.
    DrainForced(u64),
    /// Let it be filled again.
    Undrain(u64),
    /// Remove a node: empty it first, if no copies are given up.
    Remove(u64),
    /// The same, and give up copies if there is no room for them elsewhere.
    RemoveForced(u64),
    /// Remove a node that will not come back.
    RemoveLost(u64),
    /// Let a node lead a shard; none for all shards that it has.
    Transfer {
        /// The shard.
        shard: Option<u16>,
        /// The node.
        to: u64,
    },
    /// Let the balance decide again who leads.
    Rebalance,
    /// Have each shard on so many nodes.
    ReplicationFactor(u8),
}

/// A question or an answer as bytes.
pub fn encode<T: Serialize>(message: &T) -> Bytes {
    let mut bytes = vec![CONTROL];
    // Maps have numbers or texts for keys, so there is nothing that JSON cannot say.
    if serde_json::to_writer(&mut bytes, message).is_err() {
        bytes.truncate(1);
    }
    bytes.into()
}

/// A question or an answer from bytes; none if it is not understood.
pub fn decode<T: for<'de> Deserialize<'de>>(bytes: &[u8]) -> Option<T> {
    let (CONTROL, json) = bytes.split_first().map(|(tag, json)| (*tag, json))? else {
        return None;
    };
    serde_json::from_slice(json).ok()
}
