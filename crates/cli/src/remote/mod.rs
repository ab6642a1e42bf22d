//! A server that speaks the Redis protocol, as the commands see it.
//!
//! ```text
//! --addr, --user, … ─▶ Endpoint ─▶ Link ─▶ Wire (TCP, or TLS over it)
//!                                   │ └─▶ of a cluster: whichever node has the key, or all of them in turn
//!             RemoteStore, RemoteIngest, Pages (SCAN) ─▶ records
//! ```
//!
//! Invariants:
//! - A password is never part of a message.
//! - A write is reported as not done only if the server cannot have had all of it; once it was sent
//!   and no answer came, its outcome is unknown.

mod address;
mod cluster;
mod endpoint;
mod ingest;
mod link;
mod replies;
mod scan;
mod spread;
mod store;
mod wire;

pub use address::Address;
pub use cluster::{Moves, NodeAddress, at_each};
pub use endpoint::{Endpoint, Login, warn_of_password};
pub use ingest::RemoteIngest;
pub use link::{Broken, Effect, Link};
pub use replies::error_text;
pub use scan::{Item, Pages, Selection, Times, visit_records};
pub use spread::ClusterIngest;
pub use store::{RemoteStore, size};
