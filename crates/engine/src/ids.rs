//! The names of things: newtypes for ids, sequences and places, so that none is taken for another.

use std::fmt;

use crate::limits::{MAX_LIVE_SEGMENTS, MAX_SEGMENT_SIZE};

/// The bytes every record's start is a multiple of.
pub const ALIGNMENT: u64 = 8;

/// Rounds `bytes` up to where a record may start.
pub const fn align(bytes: u64) -> u64 {
    bytes.div_ceil(ALIGNMENT) * ALIGNMENT
}

/// The number of a segment file. Grows by one with each file and is never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentId(pub u64);

impl SegmentId {
    /// The id after this one.
    pub fn next(self) -> SegmentId {
        SegmentId(self.0 + 1)
    }
}

impl fmt::Display for SegmentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The place of a write in the order of all writes of a store; also the version of a value.
/// The first write has sequence 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// The sequence after this one.
    pub fn next(self) -> Sequence {
        Sequence(self.0 + 1)
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The shard a record belongs to. An embedded store has one, shard 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardId(pub u16);

impl fmt::Display for ShardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The term of a leader of a replicated log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Term(pub u64);

/// The place of an entry in its shard's replicated log, from 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryIndex(pub u64);

impl EntryIndex {
    /// The place after this one.
    pub fn next(self) -> EntryIndex {
        EntryIndex(self.0 + 1)
    }
}

/// Names one entry of a shard's replicated log: two entries of one id are the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EntryId {
    /// The term of the leader that made it.
    pub term: Term,
    /// Its place.
    pub index: EntryIndex,
}

impl EntryId {
    /// The entry of `term` at `index`.
    pub fn new(term: u64, index: u64) -> EntryId {
        EntryId { term: Term(term), index: EntryIndex(index) }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.term.0, self.index.0)
    }
}

/// A byte in the log: a segment and an offset in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The segment.
    pub segment: SegmentId,
    /// Bytes from the start of its file.
    pub offset: u64,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "segment {} offset {}", self.segment, self.offset)
    }
}

/// The small number by which the index knows a live segment. Used again once its segment is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SegmentSlot(pub u16);

/// Where a record starts, in 40 bits: 16 of [`SegmentSlot`], 24 of offset in 8-byte units.
///
/// Never 0 or 1 when made by [`Location::new`], since no record starts in the first 16 bytes of a
/// segment; the index keeps these two values for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Location(u64);

impl Location {
    /// Bits of a location.
    pub const BITS: u32 = 40;
    const OFFSET_BITS: u32 = 24;

    /// The location of the record at `offset` of the segment known as `slot`.
    ///
    /// # Panics
    /// If `offset` is not aligned, or past what a segment may hold, or inside a segment's header.
    pub fn new(slot: SegmentSlot, offset: u64) -> Location {
        assert!(offset.is_multiple_of(ALIGNMENT) && offset >= 2 * ALIGNMENT);
        assert!(offset < MAX_SEGMENT_SIZE);
        Location((u64::from(slot.0) << Self::OFFSET_BITS) | (offset / ALIGNMENT))
    }

    /// The same place of the segment known as `slot`; none if no record can start there, as in a segment's
    /// header.
    pub fn in_slot(self, slot: SegmentSlot) -> Option<Location> {
        (self.offset() >= 2 * ALIGNMENT).then(|| Location::new(slot, self.offset()))
    }

    /// The location whose bits these are.
    pub fn from_bits(bits: u64) -> Location {
        debug_assert!(bits < 1 << Self::BITS);
        Location(bits)
    }

    /// The 40 bits.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// The segment.
    pub fn slot(self) -> SegmentSlot {
        SegmentSlot((self.0 >> Self::OFFSET_BITS) as u16)
    }

    /// Bytes from the start of the segment's file.
    pub fn offset(self) -> u64 {
        (self.0 & ((1 << Self::OFFSET_BITS) - 1)) * ALIGNMENT
    }
}

const _: () = assert!(MAX_LIVE_SEGMENTS == 1 << (Location::BITS - Location::OFFSET_BITS));

/// A moment of the wall clock: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixMillis(pub u64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_gives_back_what_it_was_made_of() {
        for slot in [0, 1, 300, u16::MAX] {
            for offset in [64, 72, 4096, MAX_SEGMENT_SIZE - ALIGNMENT] {
                let location = Location::new(SegmentSlot(slot), offset);
                assert_eq!(location.slot(), SegmentSlot(slot));
                assert_eq!(location.offset(), offset);
                assert_eq!(Location::from_bits(location.bits()), location);
                assert!(location.bits() > 1);
            }
        }
    }
}
