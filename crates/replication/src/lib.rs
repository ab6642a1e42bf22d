//! Raft groups on the store's log: many shards, one log, one sync.
//!
//! ```text
//!  propose ─▶ group ─▶ openraft ─▶ log_store ─▶ the node's log ─▶ syncer: one sync for all shards
//!                         │  ▲                                       │
//!                         │  └────────── durable, majority ◀─────────┘
//!                         ▼                        ▲
//!                      network ─▶ link ═ gRPC ═▶ listener ─▶ the peer's group: the same
//! ```
//!
//! The log is the store, so a Raft entry is written once on each replica and *applying* it only points the
//! index at it. Nothing outside of this crate knows openraft or gRPC; nothing of theirs reaches the disk, and
//! on the wire are only the messages of `proto/peer.proto`.
//!
//! | module | idea |
//! |---|---|
//! | [`node`] | all groups of a node and what they share |
//! | [`group`] | one shard: propose, read, change members, hand over, purge |
//! | [`entry_log`], [`store`] | what is asked of the store, as traits |
//! | [`engine`] | the engine's store, as those |
//! | `log_store`, `tail`, `syncer` | the log for openraft; the newest entries in memory; one sync for all |
//! | `state_machine`, `gate`, `snapshot` | applying, and snapshots in and out |
//! | `ticket` | whether a proposal was accepted at all |
//! | `leadership` | who leads, for those who wait for a change |
//! | [`split`] | a group that gives part of its keys to another one |
//! | `rotten` | entries that cannot be read any more |
//! | `network`, `pipeline`, `link`, `peers`, `progress` | what this node says to others |
//! | `listener` | what others ask of this node |
//! | [`identity`], [`introduction`], [`tls`] | who may talk at all |
//! | `types`, `runtime`, [`config`], [`status`], [`error`], `answer` | openraft's types, clock and settings; ours |
//! | `membership`, `vote`, `effects`, `wire` | bytes of the disk and the wire |

pub mod config;
pub mod engine;
pub mod entry_log;
pub mod error;
pub mod group;
pub mod identity;
pub mod introduction;
pub mod listener;
pub mod node;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod simulation;
pub mod split;
pub mod status;
pub mod store;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod testing;
pub mod tls;

mod answer;
mod codec;
mod effects;
mod gate;
mod leadership;
mod link;
mod log_store;
mod membership;
mod network;
mod outlet;
mod pace;
mod peers;
mod pipeline;
mod pledge;
mod progress;
mod rotten;
mod runtime;
mod snapshot;
mod state_machine;
mod syncer;
mod tail;
mod ticket;
mod types;
mod vote;
mod wire;

mod proto {
    #![allow(missing_docs, clippy::all, clippy::pedantic)]
    tonic::include_proto!("aryavarth.peer.v1");
}

pub use config::Timing;
pub use engine::{Alarm, EngineStore, Owner};
pub use entry_log::{EntryId, EntryIndex, EntryLog, ShardId, Term};
pub use error::{Error, Leader, Result};
pub use group::{Basis, Chain, Group, Lease, ReadPolicy};
pub use identity::{ClusterId, Identity, Incarnation, NodeId, Refusal, Roster, Secret};
pub use introduction::{Introduction, introduce};
pub use listener::Forwarded;
pub use node::{Node, NodeConfig};
pub use runtime::{Moment, blocking};
pub use status::{GroupStatus, Leadership, MemberStatus, Role, Standing};
pub use store::{NodeStore, ShardData, ShardInstall};
pub use tls::Tls;
