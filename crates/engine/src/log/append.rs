//! Appending: where batches get their sequences and places, and their bytes reach the file.
//!
//! The file grows ahead of the writes, by doubling, so that a sync seldom has a new length to
//! record and a full disk shows before a byte is written. The last part of each segment, and what
//! is allocated beyond the end, is a reserve that only removes may use: so a full disk can be
//! emptied through the store itself.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use crate::disk::DiskFile;
use crate::error::{Error, Result};
use crate::fence::Fence;
use crate::ids::{Sequence, ShardId, UnixMillis};
use crate::limits::{MAX_BATCH_BYTES, MAX_SEGMENT_SIZE};
use crate::log::commit::{Change, Gathered, InFlight};
use crate::log::segment::{HEADER_LENGTH, Segment};
use crate::log::segments::Segments;
use crate::manifest::Role;
use crate::record::{Batch, Kind, Record, encode, encoded_length};

/// First allocation of a segment, in bytes.
const FIRST_ALLOCATION: u64 = 64 << 10;
/// Most bytes a segment grows ahead of its records: after an unclean stop all of them are read.
const MOST_AHEAD: u64 = 4 << 20;
/// The scratch buffer is given back when a batch made it larger than this.
const SCRATCH_KEPT: usize = 1 << 20;

/// What an operation does to its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect<'a> {
    /// Gives it a value.
    Set {
        /// The value.
        value: &'a [u8],
        /// Until when.
        expires_at: Option<UnixMillis>,
    },
    /// Takes it away.
    Remove,
}

/// One operation of a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Operation<'a> {
    /// The key.
    pub key: &'a [u8],
    /// What is done to it.
    pub effect: Effect<'a>,
}

/// What a record can be made of.
pub trait Draft {
    /// The record, for its place in the order of all writes.
    fn record(&self, sequence: Sequence, batch: Batch) -> Record<'_>;

    /// Bytes of it.
    fn encoded_length(&self) -> u64;

    /// Whether it may take from the reserve of a full disk.
    fn is_urgent(&self) -> bool;
}

impl<'a> Operation<'a> {
    /// The record of `shard`.
    pub fn record_of(&self, shard: ShardId, sequence: Sequence, batch: Batch) -> Record<'a> {
        let (kind, value, expires_at) = match self.effect {
            Effect::Set { value, expires_at } => (Kind::Set, value, expires_at),
            Effect::Remove => (Kind::Remove, &[][..], None),
        };
        Record { kind, batch, shard, sequence, expires_at, key: self.key, value }
    }
}

impl Draft for Operation<'_> {
    fn record(&self, sequence: Sequence, batch: Batch) -> Record<'_> {
        self.record_of(ShardId(0), sequence, batch)
    }

    /// Removes free space.
    fn is_urgent(&self) -> bool {
        self.effect == Effect::Remove
    }

    fn encoded_length(&self) -> u64 {
        match self.effect {
            Effect::Set { value, expires_at } => {
                encoded_length(self.key.len(), value.len(), expires_at)
            }
            Effect::Remove => encoded_length(self.key.len(), 0, None),
        }
    }
}

/// Where an operation's record was put.
#[derive(Clone, Copy, Debug)]
pub struct Placed {
    /// Where it starts in the segment.
    pub offset: u64,
    /// Bytes it takes.
    pub length: u64,
    /// Its place in the order of all writes.
    pub sequence: Sequence,
}

/// Whether the reserve may be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reserve {
    /// It may not.
    Keep,
    /// It may.
    Use,
}

/// The segment that is appended to.
#[derive(Debug)]
pub struct Active {
    /// The segment.
    pub segment: Arc<Segment>,
    /// Where the next record goes.
    pub offset: u64,
    file: Arc<dyn DiskFile>,
    allocated: u64,
}

impl Active {
    /// Goes on at the end of `segment`.
    pub fn new(segment: Arc<Segment>) -> Active {
        let file = segment.file();
        let (offset, allocated) = (segment.end(), file.length());
        Active { segment, file, offset, allocated }
    }

    /// Writes records at the end and moves it.
    ///
    /// # Errors
    /// The machine's own; then no byte of the write will be found later, or else the fence is up.
    pub fn write(&mut self, records: &[u8], fence: &Fence) -> Result<()> {
        if let Err(error) = self.file.write_at(self.offset, records) {
            let error = Error::io("write", &self.segment.path, error);
            match self.file.truncate(self.offset) {
                Ok(()) if !self.file.has_faulted() => self.allocated = self.offset,
                _ => fence.raise(&error),
            }
            return Err(error);
        }
        self.offset += records.len() as u64;
        self.segment.set_end(self.offset);
        Ok(())
    }

    /// Lets the file grow so that records can end at `end`, and `reserve` bytes more.
    ///
    /// # Errors
    /// [`Error::DiskFull`], and nothing has changed; the machine's own.
    pub fn extend(&mut self, end: u64, reserve: u64, policy: Reserve) -> Result<()> {
        let capacity = self.segment.capacity;
        let needed = if policy == Reserve::Keep { (end + reserve).min(capacity) } else { end };
        if needed <= self.allocated {
            return Ok(());
        }
        let ahead = (2 * self.allocated).min(self.allocated + MOST_AHEAD);
        let ample = ahead.max(FIRST_ALLOCATION).max(needed).min(capacity);
        for length in [ample, needed] {
            match self.file.allocate(length) {
                Ok(()) => {
                    self.allocated = length;
                    return Ok(());
                }
                Err(error) => match Error::io("extend", &self.segment.path, error) {
                    Error::DiskFull { .. } => {}
                    error => return Err(error),
                },
            }
        }
        Err(Error::DiskFull { path: self.segment.path.clone() })
    }
}

/// Where a segment made ahead of need waits for it. Held while one is made.
pub type Prepared = Arc<Mutex<Option<Arc<Segment>>>>;

/// The end of the log.
#[derive(Debug)]
pub struct Appender {
    segments: Arc<Segments>,
    active: Option<Active>,
    /// Made ahead of need, still empty.
    prepared: Prepared,
    /// Full, but not yet synced or not yet sealed; oldest first.
    pub filled: Vec<Arc<Segment>>,
    segment_size: u64,
    next_sequence: Sequence,
    scratch: Vec<u8>,
    /// Bytes of records appended since the store was opened.
    pub appended: u64,
    /// Scratch for what was just appended.
    pub changes: Vec<Change>,
    /// Batches that wait for a sync.
    pub gathered: Gathered,
    /// Whether somebody is at syncing and will look at `gathered` again.
    pub led: bool,
    /// The newest effect on each key that is appended but not applied.
    pub in_flight: HashMap<Box<[u8]>, InFlight>,
}

impl Appender {
    /// An appender that goes on at the end of `active` (or with a new segment).
    pub fn new(
        segments: Arc<Segments>,
        active: Option<Arc<Segment>>,
        segment_size: u64,
    ) -> Appender {
        Appender {
            next_sequence: segments.next_sequence(),
            segments,
            active: active.map(Active::new),
            prepared: Prepared::default(),
            filled: Vec::new(),
            segment_size,
            scratch: Vec::new(),
            appended: 0,
            changes: Vec::new(),
            gathered: Gathered::default(),
            led: false,
            in_flight: HashMap::new(),
        }
    }

    /// The segment that is appended to, if there is one yet.
    pub fn active(&self) -> Option<&Arc<Segment>> {
        self.active.as_ref().map(|active| &active.segment)
    }

    /// The reserve that only removes may use, in bytes.
    fn reserve(&self) -> u64 {
        (self.segment_size / 64).max(256)
    }

    /// Where to put the next segment, if it is time to make it ahead of need.
    pub fn wants_next(&self) -> Option<Prepared> {
        let active = self.active.as_ref()?;
        (active.offset > active.segment.capacity / 2).then(|| Arc::clone(&self.prepared))
    }

    /// Gives back the segment made ahead of need, as when the store is closed.
    pub fn take_prepared(&mut self) -> Option<Arc<Segment>> {
        self.prepared.lock().expect("no panic while held").take()
    }

    /// Appends a batch and reports where each operation went. On return the bytes are with the
    /// operating system; nothing is synced and nothing applied.
    ///
    /// # Errors
    /// [`Error::DiskFull`] or [`Error::TooLarge`], and the log is as it was; any other error that
    /// leaves the log in doubt raises the fence.
    pub fn append<D: Draft>(
        &mut self,
        drafts: &[D],
        mut placed: impl FnMut(usize, &Arc<Segment>, Placed),
    ) -> Result<Sequence> {
        self.segments.fence.check()?;
        self.make_room(drafts)?;
        let active = self.active.as_mut().expect("there is room in the active segment");
        let (segment, start) = (&Arc::clone(&active.segment), active.offset);
        let (mut sequence, mut offset, synced) = (self.next_sequence, start, segment.synced());
        self.scratch.clear();
        for (number, draft) in drafts.iter().enumerate() {
            let last = number + 1 == drafts.len();
            let record = draft.record(sequence, if last { Batch::Ends } else { Batch::Continues });
            encode(&mut self.scratch, &record, segment.salt, offset, synced.min(offset));
            let length = start + self.scratch.len() as u64 - offset;
            placed(number, segment, Placed { offset, length, sequence });
            sequence = sequence.next();
            offset += length;
        }
        active.write(&self.scratch, &self.segments.fence)?;
        self.appended += offset - start;
        self.next_sequence = sequence;
        self.segments.set_next_sequence(sequence);
        if self.scratch.capacity() > SCRATCH_KEPT {
            self.scratch = Vec::new();
        }
        Ok(Sequence(sequence.0 - 1))
    }

    fn make_room<D: Draft>(&mut self, drafts: &[D]) -> Result<()> {
        let length: u64 = drafts.iter().map(Draft::encoded_length).sum();
        check_batch(drafts, length)?;
        let kept = self.make_room_for(length, Reserve::Keep);
        match kept {
            Err(Error::DiskFull { .. }) if drafts.iter().all(Draft::is_urgent) => {
                self.make_room_for(length, Reserve::Use)
            }
            kept => kept,
        }
    }

    fn make_room_for(&mut self, length: u64, policy: Reserve) -> Result<()> {
        let reserve = self.reserve();
        if let Some(active) = &mut self.active {
            let end = active.offset + length;
            let wanted = if policy == Reserve::Keep { end + reserve } else { end };
            if wanted <= active.segment.capacity {
                return active.extend(end, reserve, policy);
            }
        }
        if policy == Reserve::Use {
            return Err(Error::DiskFull { path: self.segments.names.logs().to_owned() });
        }
        self.rotate(HEADER_LENGTH + length + reserve)
            .and_then(|()| self.make_room_in_new(length, reserve))
    }

    fn make_room_in_new(&mut self, length: u64, reserve: u64) -> Result<()> {
        let active = self.active.as_mut().expect("rotation made one");
        active.extend(active.offset + length, reserve, Reserve::Keep)
    }

    /// Goes on in a new segment with room for `needed` bytes.
    fn rotate(&mut self, needed: u64) -> Result<()> {
        // An empty segment in the middle of the log would look as if its records had been lost.
        self.retire_unused()?;
        let next = self.next_segment(needed)?;
        self.retire_active();
        self.active = Some(Active::new(next));
        Ok(())
    }

    /// The segment made ahead of need, or else a new one. Whoever makes either holds the place of the
    /// former, so that neither can come to stand before its predecessor in the order of ids.
    fn next_segment(&mut self, needed: u64) -> Result<Arc<Segment>> {
        let mut prepared = self.prepared.lock().expect("no panic while held");
        if let Some(unfit) = prepared.take_if(|segment| segment.capacity < needed)
            && let Err(error) = self.segments.retire(std::slice::from_ref(&unfit))
        {
            *prepared = Some(unfit);
            return Err(error);
        }
        match prepared.take() {
            Some(segment) => Ok(segment),
            None => self.segments.create(Role::Log, self.segment_size.max(needed)),
        }
    }

    /// Lets go of the active segment if it is empty, rather than fill it.
    fn retire_unused(&mut self) -> Result<()> {
        let is_unused = |active: &mut Active| active.offset == HEADER_LENGTH;
        let Some(unused) = self.active.take_if(is_unused) else { return Ok(()) };
        let retired = self.segments.retire(std::slice::from_ref(&unused.segment));
        if retired.is_err() {
            self.active = Some(unused);
        }
        retired
    }

    /// Ends the active segment, as before a backup, if it has records.
    pub fn retire_active_if_used(&mut self) {
        if self.active.as_ref().is_some_and(|active| active.offset > HEADER_LENGTH) {
            self.retire_active();
        }
    }

    /// Ends the active segment; the next append starts a new one.
    fn retire_active(&mut self) {
        if let Some(old) = self.active.take() {
            self.filled.push(old.segment);
        }
    }
}

fn check_batch<D: Draft>(drafts: &[D], length: u64) -> Result<()> {
    let last = drafts.last().map_or(0, Draft::encoded_length);
    let maximum = if drafts.len() > 1 { MAX_SEGMENT_SIZE } else { MAX_BATCH_BYTES };
    let actual = if drafts.len() > 1 { length - last + HEADER_LENGTH } else { length };
    if actual < maximum && length < MAX_BATCH_BYTES {
        return Ok(());
    }
    Err(Error::TooLarge { what: "batch", actual: length, minimum: 1, maximum })
}
