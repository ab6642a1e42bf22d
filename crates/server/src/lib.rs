//! The Redis protocol in front of the store: every Redis client is a client, and an `OK` is on the
//! disk.
//!
//! ```text
//!  client ─bytes─▶ net ─▶ resp ─▶ command ── reads ──▶ the store
//!                   ▲               │ effects
//!                   │               ▼
//!                   └─ replies ◀── proposer ── batches ──▶ log: append, sync, apply
//! ```
//!
//! | module | idea |
//! |---|---|
//! | [`net`] | workers: event loops with connections |
//! | [`resp`] | the wire: requests from bytes, replies to bytes |
//! | [`command`] | what each command is and does |
//! | [`proposer`] | writes in order, many in a batch, replies held until it is settled |
//! | [`cluster`] | a node among others: shards, who leads them, the topology |
//! | [`acl`] | who may do what |
//! | [`config`] | the settings, from all their sources |
//! | [`value`] | what commands do to bytes: pure functions |
//! | `admin` | health and figures for operators, over HTTP |
//! | [`server`] | what all share; start and end |

pub mod acl;
pub mod clients;
pub mod cluster;
pub mod command;
pub mod config;
pub mod proposer;
pub mod resp;
pub mod server;
pub mod value;

mod admin;
mod apply;
mod clock;
mod error;
#[cfg(feature = "simulation")]
#[doc(hidden)]
pub mod fuzzing;
mod identity;
mod jobs;
mod latency;
pub mod logging;
mod machine;
mod memory;
mod metrics;
pub mod net;
mod notify;
mod pause;
mod planted;
mod process;
mod redact;
mod saving;
mod session;
pub mod signals;
#[cfg(feature = "simulated-cluster")]
#[doc(hidden)]
pub mod simulation;
mod stats;
mod tasks;
mod tls;
mod users;

pub use admin::ask_health;
pub use error::{Error, Result};
pub use server::{Running, Server, start, start_node, start_on};
