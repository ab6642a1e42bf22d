//! The list of the segments that make up a store. A file it does not name is no part of the store;
//! a file it names and that is not there is damage.
//!
//! ```text
//!  0       8         12      16         24          32             40         48       49    56
//!  +-------+---------+-------+----------+-----------+--------------+----------+--------+-----+
//!  | magic | version | count | store id | hash seed | next segment | next     | origin | 0   |
//!  |       |  u32    |  u32  |   u64    |   u64     |     u64      | sequence |   u8   |     |
//!  +-------+---------+-------+----------+-----------+--------------+----------+--------+-----+
//!  | clock u64                                                                               |
//!  +-----------------------------------------------------------------------------------------+
//!  | count times: id u64 | synced u64 | born u64 | role u8 | state u8 | zeros, 6 bytes        |
//!  +-----------------------------------------------------------------------------------------+
//!  | crc u32 of all before it                                                                |
//!  +-----------------------------------------------------------------------------------------+
//! ```
//!
//! It is replaced as a whole: written under another name, synced, renamed, and the directory
//! synced. So it is always the old list or the new one.
//!
//! # Invariants
//! - A segment is named here before its first record can be acknowledged, and no longer named
//!   before its file is removed.
//! - `synced` never exceeds what was synced when the manifest was written: a bad byte below it is
//!   damage, whatever happened.
//! - `next segment` is above every id ever used, `next sequence` at most the next to be used.

use std::path::Path;

use crate::disk::{Disk, read_file, replace_file};
use crate::error::{Error, Result};
use crate::ids::{SegmentId, Sequence, UnixMillis};
use crate::names::{FORMAT_VERSION, MANIFEST_MAGIC, Names};

const HEADER_LENGTH: usize = 64;
const ENTRY_LENGTH: usize = 32;
const CHECKSUM_LENGTH: usize = 4;

/// Who writes a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Writers: the log proper, in order of writing.
    Log = 1,
    /// Compaction: what it kept of other segments.
    Survivors = 2,
}

/// Whether a segment may still grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It may.
    Open = 0,
    /// It will never change again; `synced` is its length.
    Sealed = 1,
}

/// Where the store's data came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It was always a store of this format.
    Native = 0,
    /// A KVS1 store is being converted; what stands here is not yet whole.
    Kvs1Converting = 1,
    /// A KVS1 store was converted; its files may still have to be put aside.
    Kvs1Converted = 2,
}

/// One segment, as the manifest knows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentEntry {
    /// Its id.
    pub id: SegmentId,
    /// Bytes of its file known to be synced.
    pub synced: u64,
    /// No record in it superseded by one of a lower sequence was live when it was written: every
    /// record it holds was live, or newly written, at this sequence or later.
    pub born: Sequence,
    /// Who writes it.
    pub role: Role,
    /// Whether it may grow.
    pub state: State,
}

/// The whole list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Manifest {
    /// Tells this store's files from those of another.
    pub store: u64,
    /// Seeds the hash of the keys.
    pub hash_seed: u64,
    /// The id of the next segment.
    pub next_segment: SegmentId,
    /// At most the sequence of the next write.
    pub next_sequence: Sequence,
    /// Where the data came from.
    pub origin: Origin,
    /// The latest moment the store has seen: what had expired then stays expired.
    pub clock: UnixMillis,
    /// The segments, by id.
    pub segments: Vec<SegmentEntry>,
}

impl Manifest {
    /// The file's bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(HEADER_LENGTH + self.segments.len() * ENTRY_LENGTH + 4);
        out.extend_from_slice(&MANIFEST_MAGIC);
        out.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        out.extend_from_slice(&(self.segments.len() as u32).to_le_bytes());
        for field in [
            self.store,
            self.hash_seed,
            self.next_segment.0,
            self.next_sequence.0,
            self.origin as u64,
        ] {
            out.extend_from_slice(&field.to_le_bytes());
        }
        out.extend_from_slice(&self.clock.0.to_le_bytes());
        for segment in &self.segments {
            out.extend_from_slice(&segment.id.0.to_le_bytes());
            out.extend_from_slice(&segment.synced.to_le_bytes());
            out.extend_from_slice(&segment.born.0.to_le_bytes());
            out.extend_from_slice(&[segment.role as u8, segment.state as u8, 0, 0, 0, 0, 0, 0]);
        }
        let checksum = crc32c::crc32c(&out);
        out.extend_from_slice(&checksum.to_le_bytes());
        out
    }

    /// The manifest whose file has these bytes.
    ///
    /// # Errors
    /// [`Error::NewerFormat`], or [`Error::Damaged`] with the place in `path`.
    pub fn decode(bytes: &[u8], path: &Path) -> Result<Manifest> {
        let damaged =
            |offset: usize, detail: &str| Err(Error::damaged(path, offset as u64, detail));
        if bytes.len() < HEADER_LENGTH + CHECKSUM_LENGTH || bytes[..8] != MANIFEST_MAGIC {
            return damaged(0, "this is not a manifest");
        }
        let field = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("8 bytes"));
        let body = bytes.len() - CHECKSUM_LENGTH;
        if crc32c::crc32c(&bytes[..body]).to_le_bytes() != bytes[body..] {
            return damaged(body, "the manifest's checksum does not match");
        }
        let (version, count) = (field(8) as u32, (field(8) >> 32) as usize);
        if version > FORMAT_VERSION {
            return Err(Error::NewerFormat { path: path.to_owned(), version });
        }
        if body != HEADER_LENGTH + count * ENTRY_LENGTH {
            return damaged(12, "the manifest's length does not match its count of segments");
        }
        let origin = match field(48) {
            0 => Origin::Native,
            1 => Origin::Kvs1Converting,
            2 => Origin::Kvs1Converted,
            _ => return damaged(48, "the manifest's origin is not known"),
        };
        let mut segments = Vec::with_capacity(count);
        for at in (HEADER_LENGTH..body).step_by(ENTRY_LENGTH) {
            let role = match bytes[at + 24] {
                1 => Role::Log,
                2 => Role::Survivors,
                _ => return damaged(at + 24, "a segment's role is not known"),
            };
            let state = if bytes[at + 25] == 0 { State::Open } else { State::Sealed };
            let (id, born) = (SegmentId(field(at)), Sequence(field(at + 16)));
            segments.push(SegmentEntry { id, synced: field(at + 8), born, role, state });
        }
        let ids = segments.iter().map(|segment| segment.id.0).chain([field(32)]);
        if !ids.is_sorted_by(|a, b| a < b) || field(40) == 0 {
            return damaged(32, "the manifest's numbers contradict each other");
        }
        Ok(Manifest {
            store: field(16),
            hash_seed: field(24),
            next_segment: SegmentId(field(32)),
            next_sequence: Sequence(field(40)),
            origin,
            clock: UnixMillis(field(56)),
            segments,
        })
    }

    /// Reads the manifest; none if there is no such file.
    ///
    /// # Errors
    /// As [`decode`](Manifest::decode), and the machine's own.
    pub fn load(disk: &dyn Disk, names: &Names) -> Result<Option<Manifest>> {
        let path = names.manifest();
        let bytes = read_file(disk, &path)?;
        bytes.map(|bytes| Manifest::decode(&bytes, &path)).transpose()
    }

    /// Replaces the manifest on disk; durable when this returns.
    ///
    /// # Errors
    /// The machine's own. Then the old one or the new one is there, and which is not known.
    pub fn save(&self, disk: &dyn Disk, names: &Names) -> Result<()> {
        replace_file(disk, &names.manifest(), &self.encode())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Manifest {
        let entry = |id, role, state| SegmentEntry {
            id: SegmentId(id),
            synced: 64 * id,
            born: Sequence(id),
            role,
            state,
        };
        Manifest {
            store: 11,
            hash_seed: 12,
            next_segment: SegmentId(4),
            next_sequence: Sequence(1000),
            origin: Origin::Kvs1Converted,
            clock: UnixMillis(5),
            segments: vec![
                entry(1, Role::Log, State::Sealed),
                entry(2, Role::Survivors, State::Open),
                entry(3, Role::Log, State::Open),
            ],
        }
    }

    /// The example of `docs/format.md`.
    #[test]
    fn the_drawing_is_the_bytes() {
        let segment = SegmentEntry {
            id: SegmentId(1),
            synced: 64,
            born: Sequence(1),
            role: Role::Log,
            state: State::Open,
        };
        let manifest = Manifest {
            store: 1,
            hash_seed: 2,
            next_segment: SegmentId(2),
            next_sequence: Sequence(7),
            origin: Origin::Native,
            clock: UnixMillis(1_700_000_000_000),
            segments: vec![segment],
        };
        let bytes = manifest.encode();
        let text = bytes.iter().map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().join(" ");
        let page = include_str!("../../../docs/format.md").split_whitespace();
        let page = page.collect::<Vec<_>>().join(" ");
        assert!(page.contains(&text), "docs/format.md should show\n{text}");
    }

    #[test]
    fn what_is_encoded_is_decoded() {
        let manifest = sample();
        assert_eq!(Manifest::decode(&manifest.encode(), Path::new("m")).unwrap(), manifest);
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let good = sample().encode();
        for bit in 0..good.len() * 8 {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(Manifest::decode(&bad, Path::new("m")).is_err(), "bit {bit}");
        }
        for length in 0..good.len() {
            assert!(Manifest::decode(&good[..length], Path::new("m")).is_err(), "length {length}");
        }
    }
}
