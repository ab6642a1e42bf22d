//! Topologies and changes as bytes, for the meta group's log, its snapshots and the wire.
//!
//! ```text
//!  +---------+------+----------------------------------------------+
//!  | version | kind | fields, one after the other                  |   integers little-endian
//!  |   u8    |  u8  | text: length u32, bytes   set: count u32, …  |
//!  +---------+------+----------------------------------------------+
//! ```
//!
//! No checksum: log, snapshots and connections have their own.
//!
//! # Invariants
//! - What was encoded decodes to the same.
//! - No bytes make the decoder panic, or take more memory than a small multiple of their length.
//! - Bytes decode only if all of them are used and what they say is valid. There is one encoding of a
//!   value, as sets and maps are written in their order and read only so.

mod bytes;
mod change;
#[cfg(test)]
mod tests;
mod topology;

use crate::encoding::bytes::{Reader, Writer};
use crate::error::{Error, Result};
use crate::topology::{Change, Topology};

/// The newest version that is written. Older ones are read, newer ones refused.
pub const VERSION: u8 = 2;

/// What the bytes are.
const TOPOLOGY: u8 = b'T';
const CHANGE: u8 = b'C';

impl Topology {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new([topology::version(self), TOPOLOGY]);
        topology::write(&mut writer, self);
        writer.finish()
    }

    /// From bytes.
    ///
    /// # Errors
    /// [`Error::NewerVersion`], [`Error::Malformed`], and [`Error::Invalid`] if an invariant is broken.
    pub fn decode(bytes: &[u8]) -> Result<Topology> {
        let topology = decode(bytes, "a topology", TOPOLOGY, topology::read)?;
        topology.validate()?;
        Ok(topology)
    }
}

impl Change {
    /// As bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut writer = Writer::new([change::VERSION, CHANGE]);
        change::write(&mut writer, self);
        writer.finish()
    }

    /// From bytes.
    ///
    /// # Errors
    /// [`Error::NewerVersion`] and [`Error::Malformed`].
    pub fn decode(bytes: &[u8]) -> Result<Change> {
        decode(bytes, "a change of the topology", CHANGE, |reader, _| change::read(reader))
    }
}

fn decode<T>(
    bytes: &[u8],
    what: &'static str,
    kind: u8,
    read: fn(&mut Reader<'_>, u8) -> Result<T>,
) -> Result<T> {
    let mut reader = Reader::new(bytes, what);
    let version = reader.u8()?;
    if version > VERSION {
        return Err(Error::NewerVersion { what, found: version });
    }
    if version == 0 || reader.u8()? != kind {
        return Err(reader.malformed("something else"));
    }
    let value = read(&mut reader, version)?;
    reader.end()?;
    Ok(value)
}
