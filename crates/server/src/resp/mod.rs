//! The wire: requests in, replies out. Bytes only; no sockets, no meaning.
//!
//! ```text
//!  bytes ─▶ Decoder ─▶ Args (borrowed from the bytes) ─▶ command ─▶ Reply ─▶ bytes
//! ```
//!
//! The protocol is RESP, versions 2 and 3, as specified at
//! <https://redis.io/docs/latest/develop/reference/protocol-spec/>.

mod ahead;
mod args;
mod inline;
mod reply;
mod request;

#[cfg(test)]
mod tests;

pub use ahead::Ahead;
pub use args::{Args, OwnedRequest};
pub use inline::split as split_inline;
pub use reply::{Protocol, Reply};
pub use request::{Caller, Decoded, Decoder, Limits, ProtocolError};
