//! A copy of the index on disk, so that opening need not read the whole log again.
//!
//! ```text
//!  +-------+---------+---------+----------+  header, 32 bytes: magic, version u32, tables u32,
//!  | magic | version | tables  | store id |  store id u64, next sequence u64
//!  +-------+---------+---------+----------+
//!  | table 0:  count u32 | entries, u64 each | crc u32 |   … one block for each table
//!  +------------------------------------------------------------------------------------+
//!  | segments: id u64 | slot u16, replay u8, zeros | covered u64 | synced u64 | stale u64          |
//!  |           | tombstones u64 | newest tombstone u64 | expiring u64   64 bytes each   |
//!  +------------------------------------------------------------------------------------+
//!  | trailer: where the segments start u64 | their count u32 | crc u32 of header,       |
//!  |          segments and trailer so far                                               |
//!  +------------------------------------------------------------------------------------+
//! ```
//!
//! It is fuzzy: writers go on while it is written. `covered` of a segment is how far the index
//! reflected it *before* the first table was copied; what lies behind is replayed when the store is
//! opened, which is harmless for what the copy holds already, since the newer sequence wins.
//!
//! # Invariants
//! - Every record an entry points at was synced before the checkpoint got its name. So an entry is
//!   never ahead of the log, whatever a power cut takes.
//! - No segment is retired while a checkpoint is written, so an entry's slot has one meaning.
//! - Behind the oldest entry of a replicated log that the index does not reflect, no segment of the log is covered:
//!   a key that a later record removed is in the copy no more, and would come back with an older record
//!   that is replayed. Survivors there are covered, and read all the same: they hide what is older, but bring
//!   nothing back that the copy does not have, as that may have been removed by a record before that entry.
//! - A checkpoint that is not perfect is not used at all: it costs time, never data.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::compaction::{Pace, Survivors};
use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Result};
use crate::ids::{SegmentId, SegmentSlot, Sequence};
use crate::index::{Entry, Index, TableNumber};
use crate::log::Segment;
use crate::log::segment::{HEADER_LENGTH as HEADER, Usage};
use crate::manifest::Role;
use crate::names::{CHECKPOINT_MAGIC, FORMAT_VERSION, Names, temporary};
use crate::store::core::Core;

const HEADER_LENGTH: usize = 32;
const SEGMENT_LENGTH: usize = 64;
const TRAILER_LENGTH: usize = 16;
/// Bytes written at once.
const CHUNK: usize = 1 << 20;
/// Of what compaction may read and write in a second, a checkpoint that nobody waits for writes this part.
const SHARE_OF_BUDGET: u64 = 4;
/// An index is checkpointed after the log has grown by this many times its size.
const INDEX_RATIO: u64 = 2;

/// Whether enough was written since the last checkpoint.
pub fn is_due(core: &Core) -> bool {
    let index = core.index.len() * size_of::<Entry>() as u64;
    appended_since(core) >= core.options.checkpoint_interval.max(INDEX_RATIO * index)
}

/// Whether one is worth its writing when the store is closed: the next opening would have to replay
/// a good part of what makes one due.
pub fn is_worthwhile(core: &Core) -> bool {
    appended_since(core) * 4 >= core.options.checkpoint_interval
}

/// Bytes written to the log since the store was opened.
fn written(core: &Core) -> u64 {
    core.appender().appended + core.counters.compacted.load(Ordering::Relaxed)
}

/// Bytes written to the log since the last checkpoint.
fn appended_since(core: &Core) -> u64 {
    written(core).saturating_sub(core.counters.checkpointed_at.load(Ordering::Relaxed))
}

/// Writes a checkpoint; the newest one from here on.
///
/// # Errors
/// The machine's own; the old checkpoint then still stands.
pub fn write(core: &Core) -> Result<()> {
    let mut survivors = core.maintenance.lock().expect("no panic during maintenance");
    write_at(core, &mut survivors, Pace::new(core, u64::MAX))
}

/// As [`write`], but slowly, so that commits do not wait for the disk behind it.
///
/// # Errors
/// As [`write`].
pub fn write_slowly(core: &Core) -> Result<()> {
    write_amid(core, &mut core.maintenance.lock().expect("no panic during maintenance"))
}

/// As [`write_slowly`], by whoever holds maintenance already, with nothing copied that is not yet applied.
///
/// # Errors
/// As [`write`].
pub fn write_amid(core: &Core, survivors: &mut Survivors) -> Result<()> {
    let budget = core.options.compaction_budget / SHARE_OF_BUDGET;
    write_at(core, survivors, Pace::patient(core, budget.max(1)))
}

fn write_at(core: &Core, survivors: &mut Survivors, mut pace: Pace<'_>) -> Result<()> {
    core.segments.fence.check()?;
    let appended = written(core);
    let covered = Covered::now(core);
    let (disk, names) = (&*core.segments.disk, &core.segments.names);
    let path = temporary(&names.checkpoint());
    let _ = disk.remove(&path);
    let most = (core.index.len() + (1 << 16)) * 16 + (1 << 20) * 4;
    let mut out = Writer::create(disk, &path, most)?;
    let mut header = Vec::with_capacity(HEADER_LENGTH);
    header.extend_from_slice(&CHECKPOINT_MAGIC);
    header.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
    header.extend_from_slice(&(TableNumber::COUNT as u32).to_le_bytes());
    header.extend_from_slice(&core.segments.store.to_le_bytes());
    header.extend_from_slice(&core.segments.next_sequence().0.to_le_bytes());
    out.put(&header)?;
    for table in TableNumber::all() {
        let entries = core.index.entries(table);
        out.put_table(table, &entries)?;
        pace.spend(size_of_val(&entries[..]) as u64);
        if pace.is_due() {
            pace.rest();
        }
    }
    // What the entries point at comes to rest before the checkpoint does.
    core.sync()?;
    survivors.sync(core)?;
    let records = covered.records();
    out.put_segments(&header, &records)?;
    let length = out.finish()?;
    disk.rename(&path, &names.checkpoint()).map_err(|e| Error::io("rename", &path, e))?;
    disk.sync_directory(names.logs()).map_err(|e| Error::io("sync", names.logs(), e))?;
    for record in records {
        if let Some(segment) = core.segments.by_id(record.id) {
            segment.set_spared(record.spared());
        }
    }
    core.counters.checkpointed.fetch_add(length, Ordering::Relaxed);
    core.counters.checkpointed_at.store(appended, Ordering::Relaxed);
    Ok(())
}

/// How much of a segment is read when the store is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replay {
    /// What is not covered.
    Rest = 0,
    /// All of it: a replicated log needs entries or states in it, or what is older must not come back.
    Whole = 1,
}

/// What the checkpoint knows of a segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SegmentRecord {
    /// Its id.
    pub id: SegmentId,
    /// How the entries name it.
    pub slot: SegmentSlot,
    /// Below where the entries reflect it.
    pub covered: u64,
    /// How much of it is read.
    pub replay: Replay,
    /// Bytes of its file known to be synced.
    pub synced: u64,
    /// What its records were worth.
    pub usage: Usage,
}

impl SegmentRecord {
    /// Below where an opening reads none of the segment's records.
    pub fn spared(&self) -> u64 {
        match self.replay {
            Replay::Rest => self.covered,
            Replay::Whole => HEADER,
        }
    }
}

/// What the index reflects at the moment a checkpoint begins.
struct Covered<'a> {
    core: &'a Core,
    before: Vec<(Arc<Segment>, SegmentRecord)>,
}

impl Covered<'_> {
    fn now(core: &Core) -> Covered<'_> {
        // While no write is between its append and its apply, counts and offsets agree.
        let appender = core.appender();
        let all = core.segments.all();
        let newest = all.iter().filter(|segment| segment.role == Role::Log).map(|log| log.id).max();
        let gap = core.replicas.first_pending().filter(|pending| Some(*pending) != newest);
        let before = all.into_iter().map(|segment| {
            let whole = core.replicas.needs_whole(&segment);
            let mut record = SegmentRecord {
                id: segment.id,
                slot: segment.slot,
                covered: segment.applied(),
                replay: if whole { Replay::Whole } else { Replay::Rest },
                synced: segment.synced(),
                usage: segment.usage(),
            };
            if gap.is_some_and(|gap| segment.id > gap) {
                match segment.role {
                    // It is counted anew while it is replayed.
                    Role::Log => (record.covered, record.usage) = (HEADER, Usage::default()),
                    // What it has may hide something; but what is not in the copy was removed before the gap.
                    Role::Survivors => record.replay = Replay::Whole,
                }
            }
            (segment, record)
        });
        let before = before.collect();
        drop(appender);
        Covered { core, before }
    }

    /// The segments of now: those of the beginning as they were then, and those made since.
    fn records(&self) -> Vec<SegmentRecord> {
        let old = self.before.iter();
        let mut records: Vec<_> = old
            .map(|(segment, record)| SegmentRecord { synced: segment.synced(), ..*record })
            .collect();
        for segment in self.core.segments.all() {
            if self.before.iter().any(|(old, _)| old.id == segment.id) {
                continue;
            }
            records.push(SegmentRecord {
                id: segment.id,
                slot: segment.slot,
                covered: HEADER,
                replay: Replay::Whole,
                synced: segment.synced(),
                usage: Usage::default(),
            });
        }
        records
    }
}

/// A file written from front to back.
struct Writer {
    file: Arc<dyn DiskFile>,
    path: std::path::PathBuf,
    buffer: Vec<u8>,
    offset: u64,
}

impl Writer {
    fn create(disk: &dyn Disk, path: &Path, capacity: u64) -> Result<Writer> {
        let file = disk
            .open(path, Access::CreateNew { capacity })
            .map_err(|e| Error::io("create", path, e))?;
        let buffer = Vec::with_capacity(CHUNK);
        Ok(Writer { file, path: path.to_owned(), buffer, offset: 0 })
    }

    fn put(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() >= CHUNK { self.flush() } else { Ok(()) }
    }

    fn put_table(&mut self, table: TableNumber, entries: &[Entry]) -> Result<()> {
        let mut block = Vec::with_capacity(8 + entries.len() * 8);
        block.extend_from_slice(&(entries.len() as u32).to_le_bytes());
        for entry in entries {
            block.extend_from_slice(&entry.to_bits().to_le_bytes());
        }
        let checksum = table_checksum(table, &block);
        block.extend_from_slice(&checksum.to_le_bytes());
        self.put(&block)
    }

    fn put_segments(&mut self, header: &[u8], segments: &[SegmentRecord]) -> Result<()> {
        let start = self.offset + self.buffer.len() as u64;
        let mut block = Vec::with_capacity(segments.len() * SEGMENT_LENGTH + TRAILER_LENGTH);
        for segment in segments {
            let slot = u64::from(segment.slot.0) | (segment.replay as u64) << 16;
            for field in [
                segment.id.0,
                slot,
                segment.covered,
                segment.synced,
                segment.usage.stale,
                segment.usage.tombstones,
                segment.usage.newest_tombstone.0,
                segment.usage.expiring,
            ] {
                block.extend_from_slice(&field.to_le_bytes());
            }
        }
        block.extend_from_slice(&start.to_le_bytes());
        block.extend_from_slice(&(segments.len() as u32).to_le_bytes());
        let checksum = crc32c::crc32c_append(crc32c::crc32c(header), &block);
        block.extend_from_slice(&checksum.to_le_bytes());
        self.put(&block)
    }

    fn flush(&mut self) -> Result<()> {
        let end = self.offset + self.buffer.len() as u64;
        self.file.allocate(end).map_err(|e| Error::io("extend", &self.path, e))?;
        let written = self.file.write_at(self.offset, &self.buffer);
        written.map_err(|e| Error::io("write", &self.path, e))?;
        self.offset = end;
        self.buffer.clear();
        Ok(())
    }

    fn finish(mut self) -> Result<u64> {
        self.flush()?;
        self.file.sync().map_err(|e| Error::io("sync", &self.path, e))?;
        Ok(self.offset)
    }
}

fn table_checksum(table: TableNumber, block: &[u8]) -> u32 {
    crc32c::crc32c_append(table.get() as u32, block)
}

/// A checkpoint read back: found perfect as a whole.
#[derive(Debug)]
pub struct Checkpoint {
    file: Arc<dyn DiskFile>,
    tables: Vec<std::ops::Range<u64>>,
    /// The segments it knows.
    pub segments: Vec<SegmentRecord>,
    /// At most the sequence of the next write.
    pub next_sequence: Sequence,
}

impl Checkpoint {
    /// Reads and checks the checkpoint; none if there is no such file.
    ///
    /// # Errors
    /// [`Error::Damaged`] with the place, [`Error::NewerFormat`], [`Error::Io`]. Whatever it is,
    /// the store can be opened without.
    pub fn load(disk: &dyn Disk, names: &Names, store: u64) -> Result<Option<Checkpoint>> {
        let path = names.checkpoint();
        let file = match disk.open(&path, Access::ReadOnly) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(Error::io("open", &path, error)),
        };
        let reader = Reader { file: &*file, path: &path, length: file.length() };
        let header = reader.bytes(0, HEADER_LENGTH)?;
        if header[..8] != CHECKPOINT_MAGIC || u64_at(&header, 16) != store {
            return Err(reader.damaged(0, "this is not a checkpoint of this store"));
        }
        let version = u32_at(&header, 8);
        if version > FORMAT_VERSION {
            return Err(Error::NewerFormat { path, version });
        }
        if u32_at(&header, 12) as usize != TableNumber::COUNT {
            return Err(reader.damaged(12, "the count of tables is not valid"));
        }
        let (segments_start, segments) = reader.segments(&header)?;
        let tables = reader.tables(segments_start)?;
        if file.has_faulted() {
            return Err(reader.damaged(0, "a part of the file could not be read"));
        }
        let next_sequence = Sequence(u64_at(&header, 24));
        Ok(Some(Checkpoint { file, tables, segments, next_sequence }))
    }

    /// Fills an empty index. `slots` tells by what slot a segment is known now; entries in segments
    /// that are gone are left out, as their records were superseded or copied elsewhere.
    ///
    /// # Errors
    /// [`Error::Io`] if the file can no longer be read; the index is then half filled.
    pub fn restore(
        &self,
        index: &Index,
        slots: impl Fn(SegmentId) -> Option<SegmentSlot>,
        path: &Path,
    ) -> Result<()> {
        let mut map = vec![None; crate::limits::MAX_LIVE_SEGMENTS];
        for segment in &self.segments {
            map[usize::from(segment.slot.0)] = slots(segment.id);
        }
        let mut entries = Vec::new();
        let end = self.tables.last().map_or(0, |range| range.end);
        let all = self.file.read(0, end as usize).map_err(|e| Error::io("read", path, e))?;
        for (table, range) in TableNumber::all().zip(&self.tables) {
            entries.clear();
            for bits in all[range.start as usize..range.end as usize].chunks_exact(8) {
                let invalid = || Error::damaged(path, range.start, "an entry is not valid");
                let entry = Entry::from_bits(u64_at(bits, 0)).ok_or_else(invalid)?;
                let location = entry.location();
                if let Some(slot) = map[usize::from(location.slot().0)] {
                    let location = location.in_slot(slot).ok_or_else(invalid)?;
                    entries.push(entry.with_location(location));
                }
            }
            index.restore(table, entries.iter().copied());
        }
        if self.file.has_faulted() {
            return Err(Error::damaged(path, 0, "a part of the file could not be read"));
        }
        Ok(())
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"))
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight bytes"))
}

struct Reader<'a> {
    file: &'a dyn DiskFile,
    path: &'a Path,
    length: u64,
}

impl Reader<'_> {
    fn damaged(&self, offset: u64, detail: &str) -> Error {
        Error::damaged(self.path, offset, detail)
    }

    fn bytes(&self, offset: u64, length: usize) -> Result<std::borrow::Cow<'_, [u8]>> {
        if offset.checked_add(length as u64).is_none_or(|end| end > self.length) {
            return Err(self.damaged(offset, "the file ends too early"));
        }
        self.file.read(offset, length).map_err(|e| Error::io("read", self.path, e))
    }

    fn segments(&self, header: &[u8]) -> Result<(u64, Vec<SegmentRecord>)> {
        let trailer_start = self.length.saturating_sub(TRAILER_LENGTH as u64);
        let trailer = self.bytes(trailer_start, TRAILER_LENGTH)?;
        let (start, count) = (u64_at(&trailer, 0), u32_at(&trailer, 8) as usize);
        let length = count.checked_mul(SEGMENT_LENGTH);
        if length.and_then(|length| start.checked_add(length as u64)) != Some(trailer_start) {
            return Err(self.damaged(trailer_start, "the trailer does not fit the file"));
        }
        let block = self.bytes(start, count * SEGMENT_LENGTH)?;
        let checksum = crc32c::crc32c_append(crc32c::crc32c(header), &block);
        let checksum = crc32c::crc32c_append(checksum, &trailer[..12]);
        if checksum != u32_at(&trailer, 12) {
            return Err(self.damaged(trailer_start, "the checksum of the trailer does not match"));
        }
        let segment = |bytes: &[u8]| SegmentRecord {
            id: SegmentId(u64_at(bytes, 0)),
            slot: SegmentSlot(u64_at(bytes, 8) as u16),
            covered: u64_at(bytes, 16),
            replay: if u64_at(bytes, 8) >> 16 & 1 == 0 { Replay::Rest } else { Replay::Whole },
            synced: u64_at(bytes, 24),
            usage: Usage {
                stale: u64_at(bytes, 32),
                tombstones: u64_at(bytes, 40),
                newest_tombstone: Sequence(u64_at(bytes, 48)),
                expiring: u64_at(bytes, 56),
            },
        };
        Ok((start, block.chunks_exact(SEGMENT_LENGTH).map(segment).collect()))
    }

    /// Checks every table; returns where their entries are.
    fn tables(&self, end: u64) -> Result<Vec<std::ops::Range<u64>>> {
        // One read for thousands of tables: each may be a call to the system.
        let all = self.bytes(0, end as usize)?;
        let slice = |from: u64, to: u64| {
            let bytes = all.get(from as usize..to as usize);
            bytes.ok_or_else(|| self.damaged(from, "the tables end too early"))
        };
        let mut ranges = Vec::with_capacity(TableNumber::COUNT);
        let mut at = HEADER_LENGTH as u64;
        for table in TableNumber::all() {
            let count = u64::from(u32_at(slice(at, at + 4)?, 0));
            let after = at + 4 + count * 8;
            if table_checksum(table, slice(at, after)?) != u32_at(slice(after, after + 4)?, 0) {
                return Err(self.damaged(at, "the checksum of a table does not match"));
            }
            ranges.push(at + 4..after);
            at = after + 4;
        }
        if at != end {
            return Err(self.damaged(at, "the tables do not end where the segments begin"));
        }
        Ok(ranges)
    }
}
