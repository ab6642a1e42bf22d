//! The cluster as pure data: which slot belongs to which shard, which node has a replica of it, and
//! what to do next so that it is where it should be.
//!
//! ```text
//!  key ─▶ slot ─▶ shard ─▶ its Raft group ─▶ voters on nodes            one read, one write
//!
//!            ┌───────────── Topology ◀── Change ─── the meta group's log ◀───┐
//!            │                 │                                             │
//!            ▼                 ▼                                             │
//!        placement ─▶ wanted   redis_view ─▶ CLUSTER SLOTS, NODES …          │
//!            │                                                               │
//!            ▼                                                               │
//!   Observed ─▶ reconcile ─▶ Step ─┬─ Log(Change) ───────────────────────────┘
//!                                  └─ AddLearner, ChangeVoters, TransferLeader … ─▶ a shard's group
//! ```
//!
//! Nothing here reads a disk, a clock or a network, waits, or draws lots: events in, decisions out. What
//! one node decides from a topology every other decides from it too, and the tests drive years of
//! nodes that come and die in seconds. Whoever drives it logs the changes, takes the steps and
//! observes.
//!
//! ```
//! use aryavarth_cluster::{
//!     ClusterId, Incarnation, NewNode, NodeId, ReplicationFactor, Route, Sharding, Topology,
//! };
//!
//! let first = NewNode {
//!     id: NodeId(1),
//!     incarnation: Incarnation(0x5eed),
//!     client: "10.0.0.1:6379".parse()?,
//!     peer: "10.0.0.1:16379".parse()?,
//!     zone: None,
//! };
//! let topology =
//!     Topology::found(ClusterId(7), Sharding::DEFAULT, ReplicationFactor::Three, first);
//!
//! let Route::Shard(shard, _) = topology.shards().route([&b"user:1"[..]]) else { unreachable!() };
//! assert!(topology.replicas(shard).unwrap().voters.contains(&NodeId(1)));
//! # Ok::<(), aryavarth_cluster::Error>(())
//! ```
//!
//! Reading order: `slot`, `shards`, `shard_map`, `node`; then `topology`, `placement` and `reconcile`, each of which
//! opens with a drawing; `redis_view` is for the eyes of clients, `encoding` for the disk.

mod encoding;
mod error;
mod node;
mod placement;
mod reconcile;
mod redis_view;
mod shard_map;
mod shards;
mod slot;
#[cfg(test)]
mod testing;
mod topology;

pub use encoding::VERSION;
pub use error::{Error, Result};
pub use node::{Address, ClusterId, Incarnation, Node, NodeId, NodeName, NodeSet, NodeState, Zone};
pub use placement::{
    Burden, Choice, Placement, Wanted, check_drain, group_size, next_transfer, spread_leaders,
    wanted,
};
pub use reconcile::{Limits, Membership, NodeSight, Observed, ShardSight, Step, next_step};
pub use redis_view::{Endpoint, Health, RedisView, Role, ShardEntry, ShardMember, SlotsEntry};
pub use shard_map::{ShardMap, Sharding};
pub use shards::{META_GROUP, Route, ShardCount, ShardId};
pub use slot::{Slot, crc16, hash_tag};
pub use topology::{
    Applied, Change, Damage, Epoch, MAX_NODES, MAX_SETTING_NAME, MAX_SETTING_VALUE, MAX_SETTINGS,
    MAX_VOTERS, Move, NewNode, Replicas, ReplicationFactor, Topology,
};
