//! One segment: a file of records, read by many and appended to by one.
//!
//! ```text
//!  0       8         12     16         24           32     40          60    64
//!  +-------+---------+------+----------+------------+------+-----------+-----+---------+----
//!  | magic | version | role | store id | segment id | born | zeros     | crc | record  | …
//!  |       |   u32   | u32  |   u64    |    u64     | u64  | 20 bytes  | u32 |         |
//!  +-------+---------+------+----------+------------+------+-----------+-----+---------+----
//! ```
//!
//! # Invariants
//! - `synced ≤ end` and `applied ≤ end`; all three only grow while the segment is open.
//! - `stale + tombstones ≤ end - HEADER_LENGTH`, up to what an unclean stop left uncounted.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::disk::DiskFile;
use crate::error::{Error, Result};
use crate::ids::{Location, SegmentId, SegmentSlot, Sequence, UnixMillis};
use crate::manifest::{Role, SegmentEntry, State};
use crate::names::{FORMAT_VERSION, SEGMENT_MAGIC};
use crate::reclaim::{Guard, Published, pin};
use crate::record::{self, Header, Malformed, Record, Salt};

/// Bytes before the first record.
pub const HEADER_LENGTH: u64 = 64;

/// Bytes of a record fetched before its length is known.
const FIRST_FETCH: u64 = 512;

/// No machine has smaller pages.
const SMALLEST_PAGE: u64 = 4 << 10;
/// Where the second line of a record is touched ahead of its reading.
const TOUCHED: usize = 64;

/// Reads a byte of each of the first cache lines, so that their misses overlap.
fn touch(bytes: &[u8]) {
    const LINE: usize = 64;
    let last = bytes.get(2 * LINE + LINE / 2).copied();
    std::hint::black_box((bytes.get(LINE).copied(), last));
}

/// The first bytes of a segment's file.
pub fn encode_header(store: u64, id: SegmentId, born: Sequence, role: Role) -> [u8; 64] {
    let mut out = [0; HEADER_LENGTH as usize];
    out[..8].copy_from_slice(&SEGMENT_MAGIC);
    out[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    out[12..16].copy_from_slice(&(role as u32).to_le_bytes());
    out[16..24].copy_from_slice(&store.to_le_bytes());
    out[24..32].copy_from_slice(&id.0.to_le_bytes());
    out[32..40].copy_from_slice(&born.0.to_le_bytes());
    let checksum = crc32c::crc32c(&out[..60]);
    out[60..].copy_from_slice(&checksum.to_le_bytes());
    out
}

/// Whether `bytes`, the start of the file at `path`, head the segment that `entry` names.
///
/// # Errors
/// [`Error::Damaged`] or [`Error::NewerFormat`].
pub fn check_header(bytes: &[u8], path: &Path, store: u64, entry: &SegmentEntry) -> Result<()> {
    if bytes.get(..8) == Some(&SEGMENT_MAGIC) && bytes.len() >= 12 {
        let version = u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]);
        if version > FORMAT_VERSION && bytes.len() == 64 {
            let checksum = crc32c::crc32c(&bytes[..60]).to_le_bytes();
            if checksum == bytes[60..] {
                return Err(Error::NewerFormat { path: path.to_owned(), version });
            }
        }
    }
    if bytes != encode_header(store, entry.id, entry.born, entry.role) {
        let detail = "the header is not that of this segment of this store";
        return Err(Error::damaged(path, 0, detail));
    }
    Ok(())
}

/// What is known of a record once its key was found to match.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// Bytes of the record.
    pub length: u64,
    /// Its sequence.
    pub sequence: Sequence,
    /// When it expires.
    pub expires_at: Option<UnixMillis>,
}

/// How bytes are fetched.
#[derive(Clone, Copy)]
enum Source {
    /// Through the mapping, where there is one.
    Mapped,
    /// By the machine, into a buffer of ours.
    Copied,
}

/// One file of the log.
#[derive(Debug)]
pub struct Segment {
    /// Its number.
    pub id: SegmentId,
    /// How the index knows it.
    pub slot: SegmentSlot,
    /// Who writes it.
    pub role: Role,
    /// See [`SegmentEntry::born`].
    pub born: Sequence,
    /// What its records' checksums start from.
    pub salt: Salt,
    /// Its file.
    pub path: PathBuf,
    /// The most bytes it may have.
    pub capacity: u64,
    file: Published<Arc<dyn DiskFile>>,
    end: AtomicU64,
    synced: AtomicU64,
    applied: AtomicU64,
    sealed: AtomicBool,
    quarantined: AtomicBool,
    stale: AtomicU64,
    tombstones: AtomicU64,
    newest_tombstone: AtomicU64,
    expiring: AtomicU64,
    entries: AtomicU64,
    spared: AtomicU64,
}

/// What a segment's records are worth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Bytes of values no longer current.
    pub stale: u64,
    /// Bytes of tombstones.
    pub tombstones: u64,
    /// The highest sequence of a tombstone.
    pub newest_tombstone: Sequence,
    /// Records with an expiry that were written to it.
    pub expiring: u64,
}

impl Segment {
    /// A segment over `file`, whose records so far end at `end`.
    pub fn new(
        entry: &SegmentEntry,
        slot: SegmentSlot,
        salt: Salt,
        path: PathBuf,
        file: Arc<dyn DiskFile>,
        capacity: u64,
    ) -> Segment {
        Segment {
            id: entry.id,
            slot,
            role: entry.role,
            born: entry.born,
            salt,
            path,
            capacity,
            file: Published::new(file),
            end: AtomicU64::new(entry.synced),
            synced: AtomicU64::new(entry.synced),
            applied: AtomicU64::new(HEADER_LENGTH),
            sealed: AtomicBool::new(entry.state == State::Sealed),
            quarantined: AtomicBool::new(false),
            stale: AtomicU64::new(0),
            tombstones: AtomicU64::new(0),
            newest_tombstone: AtomicU64::new(0),
            expiring: AtomicU64::new(0),
            entries: AtomicU64::new(0),
            spared: AtomicU64::new(0),
        }
    }

    /// The file, for as long as it is needed.
    pub fn file(&self) -> Arc<dyn DiskFile> {
        Arc::clone(self.file.load(&pin()).expect("a segment always has a file"))
    }

    /// Replaces the way to the file's bytes, as when it is sealed. The bytes are the same.
    pub fn set_file(&self, file: Arc<dyn DiskFile>) {
        self.file.replace(Some(file), &pin());
    }

    /// Where the records end.
    pub fn end(&self) -> u64 {
        self.end.load(Ordering::Acquire)
    }

    /// Moves the end of the records.
    pub fn set_end(&self, end: u64) {
        self.end.store(end, Ordering::Release);
    }

    /// Below where all is known to be synced.
    pub fn synced(&self) -> u64 {
        self.synced.load(Ordering::Acquire)
    }

    /// Notes that all below `offset` was synced.
    pub fn set_synced(&self, offset: u64) {
        self.synced.fetch_max(offset, Ordering::AcqRel);
    }

    /// Below where the index reflects the records.
    pub fn applied(&self) -> u64 {
        self.applied.load(Ordering::Acquire)
    }

    /// Notes that the index reflects all records below `offset`.
    pub fn set_applied(&self, offset: u64) {
        self.applied.fetch_max(offset, Ordering::AcqRel);
    }

    /// Whether it will never change again.
    pub fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    /// Notes that it will never change again.
    pub fn set_sealed(&self) {
        assert_eq!(self.synced(), self.end(), "only what is synced may be sealed");
        self.sealed.store(true, Ordering::Release);
    }

    /// Whether it will never change again, the index reflects all of it, and no replicated log needs
    /// an entry in it.
    pub fn is_at_rest(&self) -> bool {
        self.is_sealed() && self.applied() >= self.end() && !self.holds_entries()
    }

    /// Counts an entry that a replicated log may have to read again.
    pub fn hold_entry(&self) {
        self.entries.fetch_add(1, Ordering::AcqRel);
    }

    /// Counts one less.
    pub fn release_entry(&self) {
        let before = self.entries.fetch_sub(1, Ordering::AcqRel);
        assert!(before > 0, "an entry is released once");
    }

    /// Whether a replicated log may have to read an entry in it.
    pub fn holds_entries(&self) -> bool {
        self.entries.load(Ordering::Acquire) > 0
    }

    /// Below where an opening reads nothing but the header, by the newest checkpoint.
    pub fn spared(&self) -> u64 {
        self.spared.load(Ordering::Acquire)
    }

    /// Notes what the newest checkpoint has an opening read.
    pub fn set_spared(&self, offset: u64) {
        self.spared.store(offset, Ordering::Release);
    }

    /// Whether compaction found damage in it and leaves it alone.
    pub fn is_quarantined(&self) -> bool {
        self.quarantined.load(Ordering::Relaxed)
    }

    /// Keeps compaction from it.
    pub fn quarantine(&self) {
        self.quarantined.store(true, Ordering::Relaxed);
    }

    /// Lets compaction look at it again, as when something was mended in it.
    pub fn end_quarantine(&self) {
        self.quarantined.store(false, Ordering::Relaxed);
    }

    /// What its records are worth.
    pub fn usage(&self) -> Usage {
        Usage {
            stale: self.stale.load(Ordering::Relaxed),
            tombstones: self.tombstones.load(Ordering::Relaxed),
            newest_tombstone: Sequence(self.newest_tombstone.load(Ordering::Relaxed)),
            expiring: self.expiring.load(Ordering::Relaxed),
        }
    }

    /// Takes over what a checkpoint knew.
    pub fn add_usage(&self, usage: &Usage) {
        self.add_stale(usage.stale);
        self.add_tombstone(usage.tombstones, usage.newest_tombstone);
        self.add_expiring(usage.expiring);
    }

    /// Counts `bytes` more as no longer current.
    pub fn add_stale(&self, bytes: u64) {
        self.stale.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts a tombstone.
    pub fn add_tombstone(&self, bytes: u64, sequence: Sequence) {
        self.tombstones.fetch_add(bytes, Ordering::Relaxed);
        self.newest_tombstone.fetch_max(sequence.0, Ordering::Relaxed);
    }

    /// Counts `records` more with an expiry.
    pub fn add_expiring(&self, records: u64) {
        self.expiring.fetch_add(records, Ordering::Relaxed);
    }

    /// Bytes of records in it.
    pub fn records_length(&self) -> u64 {
        self.end() - HEADER_LENGTH
    }

    /// How the index names the record at `offset`.
    pub fn location(&self, offset: u64) -> Location {
        Location::new(self.slot, offset)
    }

    /// How the manifest names it.
    pub fn entry(&self) -> SegmentEntry {
        SegmentEntry {
            id: self.id,
            synced: self.synced(),
            born: self.born,
            role: self.role,
            state: if self.is_sealed() { State::Sealed } else { State::Open },
        }
    }

    /// Brings the beginning of the record at `offset` into the cache.
    pub fn touch(&self, guard: &Guard, offset: u64) {
        let file = &**self.file.load(guard).expect("a segment always has a file");
        let readable = self.end().saturating_sub(offset).min(TOUCHED as u64 + 1) as usize;
        if let Ok(bytes) = file.read(offset, readable) {
            // Most records have two lines at most.
            std::hint::black_box((bytes.first().copied(), bytes.get(TOUCHED).copied()));
        }
    }

    /// Whether reading the record at `offset` waits for no device, as far as the machine can tell.
    pub fn is_resident(&self, guard: &Guard, offset: u64) -> bool {
        let file = &**self.file.load(guard).expect("a segment always has a file");
        let readable = self.end().saturating_sub(offset);
        let first = readable.min(record::HEADER_LENGTH as u64) as usize;
        if !file.is_resident(offset, first) {
            return false;
        }
        let header = file.read(offset, first).ok().and_then(|bytes| Header::decode(&bytes).ok());
        header.is_none_or(|header| {
            let length = header.record_length().min(readable);
            let is_within_page = offset % SMALLEST_PAGE + length <= SMALLEST_PAGE;
            is_within_page || file.is_resident(offset, length as usize)
        })
    }

    /// Reads the record at `offset`, proves it by its checksum and hands it to `take`. (`take` is called
    /// twice if the device fails between the two; the last answer counts.)
    ///
    /// # Errors
    /// [`Error::Damaged`] if it is not what was written, [`Error::Io`] if it cannot be read.
    pub fn record<R>(
        &self,
        guard: &Guard,
        offset: u64,
        mut take: impl FnMut(&Header, &Record<'_>) -> R,
    ) -> Result<R> {
        let file = &**self.file.load(guard).expect("a segment always has a file");
        if !file.has_faulted() {
            let answer = self.record_from(file, Source::Mapped, offset, &mut take);
            if !file.has_faulted() {
                return answer;
            }
        }
        self.record_from(file, Source::Copied, offset, &mut take)
    }

    /// What the record at `offset` is, if `key` is its key; none if it has another key.
    ///
    /// A match needs no checksum: the bytes are the key's. A mismatch is believed only of a record
    /// that is proven, since damage must not make a key seem absent.
    ///
    /// # Errors
    /// As [`record`](Segment::record).
    pub fn match_key(&self, guard: &Guard, offset: u64, key: &[u8]) -> Result<Option<Found>> {
        let file = &**self.file.load(guard).expect("a segment always has a file");
        if !file.has_faulted()
            && let Some(found) = self.match_key_unproven(file, offset, key)
            && !file.has_faulted()
        {
            return Ok(Some(found));
        }
        self.match_key_proven(guard, offset, key)
    }

    /// As [`match_key`](Segment::match_key), but what is found is proven by its checksum too.
    ///
    /// # Errors
    /// As [`record`](Segment::record).
    pub fn match_key_proven(
        &self,
        guard: &Guard,
        offset: u64,
        key: &[u8],
    ) -> Result<Option<Found>> {
        self.record(guard, offset, |header, record| {
            (record.key == key).then(|| Found {
                length: header.record_length(),
                sequence: record.sequence,
                expires_at: record.expires_at,
            })
        })
    }

    fn match_key_unproven(&self, file: &dyn DiskFile, offset: u64, key: &[u8]) -> Option<Found> {
        let readable = usize::try_from(self.end().checked_sub(offset)?).ok()?;
        let wanted = record::HEADER_LENGTH + 8 + key.len();
        let bytes = file.read(offset, wanted.min(readable)).ok()?;
        let header = Header::decode(&bytes).ok()?;
        if bytes.get(header.key_range())? != key || header.record_length() > readable as u64 {
            return None;
        }
        let (sequence, expires_at) = header.sequence_and_expiry(&bytes);
        Some(Found { length: header.record_length(), sequence, expires_at })
    }

    fn record_from<R>(
        &self,
        file: &dyn DiskFile,
        source: Source,
        offset: u64,
        take: &mut impl FnMut(&Header, &Record<'_>) -> R,
    ) -> Result<R> {
        let malformed = |why: Malformed| Error::damaged(&self.path, offset, why.describe());
        let readable = self.end().saturating_sub(offset);
        let start = self.fetch(file, source, offset, readable.min(FIRST_FETCH) as usize)?;
        // All lines of a short record are asked for at once, not one after the other.
        touch(&start);
        let header = Header::decode(&start).map_err(malformed)?;
        if header.record_length() > readable {
            return Err(malformed(Malformed::Short));
        }
        let length = header.record_length() as usize;
        if length <= start.len() {
            let record = header.check(&start, self.salt, offset).map_err(malformed)?;
            return Ok(take(&header, &record));
        }
        let bytes = self.fetch(file, source, offset, length)?;
        let record = header.check(&bytes, self.salt, offset).map_err(malformed)?;
        Ok(take(&header, &record))
    }

    fn fetch<'a>(
        &self,
        file: &'a dyn DiskFile,
        source: Source,
        offset: u64,
        length: usize,
    ) -> Result<Cow<'a, [u8]>> {
        let bytes = match source {
            Source::Mapped => file.read(offset, length),
            Source::Copied => file.read_copy(offset, length).map(Cow::Owned),
        };
        bytes.map_err(|error| self.read_error(offset, error))
    }

    /// The error for a read that failed.
    pub fn read_error(&self, offset: u64, error: io::Error) -> Error {
        if error.kind() == io::ErrorKind::UnexpectedEof {
            return Error::damaged(&self.path, offset, "the file ends before its data does");
        }
        Error::io("read", &self.path, error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of `docs/format.md`.
    #[test]
    fn the_drawing_is_the_bytes() {
        let bytes = encode_header(1, SegmentId(1), Sequence(1), Role::Log);
        let text = bytes.map(|byte| format!("{byte:02x}")).join(" ");
        let page = include_str!("../../../../docs/format.md").split_whitespace();
        let page = page.collect::<Vec<_>>().join(" ");
        assert!(page.contains(&text), "docs/format.md should show\n{text}");
    }

    #[test]
    fn a_header_names_its_segment_and_every_flip_is_noticed() {
        let entry = SegmentEntry {
            id: SegmentId(7),
            synced: 64,
            born: Sequence(9),
            role: Role::Log,
            state: State::Open,
        };
        let path = Path::new("x");
        let good = encode_header(5, entry.id, entry.born, entry.role);
        assert!(check_header(&good, path, 5, &entry).is_ok());
        assert!(check_header(&good, path, 6, &entry).is_err());
        assert!(check_header(&[], path, 5, &entry).is_err());
        for bit in 0..good.len() * 8 {
            let mut bad = good;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(check_header(&bad, path, 5, &entry).is_err(), "bit {bit}");
        }
    }
}
