//! Connections: bytes in, bytes out, and who may take how much.
//!
//! ```text
//!  listener ─ accept ─▶ the worker with the fewest connections
//!
//!  a worker's round:  wait for events
//!                     each ready connection: read, evaluate its requests, gather replies
//!                     propose what all of them wrote, as one batch for each lane
//!                     each connection: send the replies that may go out
//! ```
//!
//! A worker is a thread with an event loop of its own. A connection stays with its worker. Nothing a
//! worker does waits: what takes long is a job for another thread, and the connection rests meanwhile.
//!
//! # Invariants
//! - A reply that depends on a batch is not sent before the batch is settled.
//! - Replies are sent in the order of their requests.
//! - What a client can make the server remember is bounded by a limit with a name.

mod caution;
mod connection;
mod handle;
pub mod listener;
mod output;
mod parcel;
mod socket;
pub mod tls;
#[cfg(feature = "simulated-cluster")]
mod wire;
mod worker;

pub use caution::{Caution, MOST_FETCHES};
pub use handle::{JobDone, Message, WorkerHandle};
pub use output::Output;
pub use parcel::Parcel;
#[cfg(feature = "simulated-cluster")]
pub(crate) use worker::serve_simulated;
#[cfg(feature = "simulation")]
pub(crate) use worker::{ByHand, Standstill};
pub use worker::{Worker, start};
#[cfg(feature = "simulated-cluster")]
pub use {socket::Socket, wire::ClientEnd, wire::Wire};
