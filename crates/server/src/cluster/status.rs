//! The whole cluster for its operator: what `CLUSTER STATUS` answers, as JSON.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// Whether all is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Condition {
    /// Every shard serves and has all its replicas.
    Ok,
    /// Every shard serves; some replicas are missing, moving or out of reach.
    Degraded,
    /// Some shards have no leader.
    Down,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Condition::Ok => "ok",
            Condition::Degraded => "degraded",
            Condition::Down => "down",
        })
    }
}

/// The cluster.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ClusterStatus {
    /// The cluster's id, 16 hexadecimal digits.
    pub cluster: String,
    /// The number of the last change of its topology.
    pub epoch: u64,
    /// Whether all is well.
    pub state: Condition,
    /// On how many nodes each shard is to be.
    pub replication_factor: u8,
    /// Who leads the meta group.
    pub meta_leader: Option<u64>,
    /// The nodes, by id.
    pub nodes: Vec<NodeStatus>,
    /// The groups, the meta group first.
    pub shards: Vec<ShardStatus>,
}

/// A node.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct NodeStatus {
    /// Its id.
    pub id: u64,
    /// Its name for clients of Redis Cluster, 40 hexadecimal digits.
    pub name: String,
    /// Where clients reach it.
    pub client: String,
    /// Where other nodes reach it.
    pub peer: String,
    /// What it shares a fate with.
    pub zone: Option<String>,
    /// joining, active, draining or gone.
    pub state: String,
    /// reachable, unreachable or lost.
    pub sight: String,
    /// Whether it is the one that answers.
    pub myself: bool,
    /// Groups it has a replica of.
    pub shards: usize,
    /// Groups it leads.
    pub leads: usize,
    /// Keys of clients that it holds.
    pub keys: Option<u64>,
    /// Bytes of its files.
    pub disk_bytes: Option<u64>,
    /// Memory of its index.
    pub index_bytes: Option<u64>,
    /// Its release.
    pub version: Option<String>,
}

/// A group's replicas on the move.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Moving {
    /// Who gets one.
    pub add: Vec<u64>,
    /// Who loses one.
    pub remove: Vec<u64>,
}

/// A group. What only its leader knows is missing if that was not heard.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ShardStatus {
    /// Its number; 0 is the meta group.
    pub shard: u16,
    /// Its slots, as `first-last`.
    pub slots: Option<String>,
    /// Who leads it.
    pub leader: Option<u64>,
    /// In which term.
    pub term: Option<u64>,
    /// Who has a vote.
    pub voters: Vec<u64>,
    /// Who follows without one.
    pub learners: Vec<u64>,
    /// What is under way.
    pub moving: Moving,
    /// Who shall lead it whatever the balance.
    pub pinned: Option<u64>,
    /// The last entry of the leader's log.
    pub last: Option<u64>,
    /// The last entry that a majority has.
    pub committed: Option<u64>,
    /// The last entry that the leader has applied.
    pub applied: Option<u64>,
    /// How many entries each other member is behind.
    pub lag: BTreeMap<u64, u64>,
    /// Entries in the leader's log.
    pub log_held: Option<u64>,
    /// Bytes of the snapshots that are being sent, by receiver.
    pub snapshot_bytes: BTreeMap<u64, u64>,
}
