//! Going over the live records of some shards in the order of the log, in many short calls, while writes and
//! compaction go on.
//!
//! ```text
//!  sealed     sealed     written to now        written by compaction
//!  [██████]   [██████]   [███│  ]              [████│██│ ]
//!   all of them           │                         │  └ and what is moved there meanwhile
//!                         └ up to where it ended    └ all of it
//!                           when the walk began
//! ```
//!
//! Each byte is read once, ahead and in order, and the key of a record that its header says is of another
//! shard is not looked at. By the index the same would be a read at a random place for every key
//! there is. A record is shown if the index has it at that place at that moment. What compaction moves
//! from a segment that was not visited yet is found again where it went: the walk is over only once
//! nothing is left there either. There, a record counts whose pointer is still on its way, too.

use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::ids::{SegmentId, Sequence, ShardId};
use crate::index::TableNumber;
use crate::log::Segment;
use crate::log::scan::{Scanner, Step};
use crate::log::segment::HEADER_LENGTH;
use crate::manifest::Role;
use crate::reclaim::{Guard, pin};
use crate::record::{Kind, Malformed, Record};
use crate::store::KvStore;
use crate::store::core::Core;
use crate::store::reader::EntryRef;

/// Where a walk stands. Made by [`KvStore::begin_walk`].
#[derive(Clone, Debug)]
pub struct Walk {
    shards: RangeInclusive<ShardId>,
    older_than: Sequence,
    /// Where the segments that writers fill ended when it began.
    written: BTreeMap<SegmentId, u64>,
    /// Up to where segments were visited.
    visited: BTreeMap<SegmentId, u64>,
}

/// Whether a walk is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Walked {
    /// There may be more.
    Partly,
    /// All was visited.
    Whole,
}

impl KvStore {
    /// Begins a walk over the live records of the logs of `shards`, and those that were written outside of any
    /// replicated log, that were written before version `older_than`.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn begin_walk(
        &self,
        shards: RangeInclusive<ShardId>,
        older_than: Sequence,
    ) -> Result<Walk> {
        let core = self.core();
        core.check_open()?;
        let mut written = core.segments.all();
        // Survivors are as old as what was copied; of the rest, nothing is older than its segment.
        written.retain(|segment| segment.role == Role::Log && segment.born < older_than);
        let written = written.iter().map(|segment| (segment.id, segment.end())).collect();
        Ok(Walk { shards, older_than, written, visited: BTreeMap::new() })
    }

    /// Goes on with `walk` over about `bytes` of the log, and shows what it finds of the keys that are
    /// `wanted`; of others the index is not asked, which is most of the work. Each record that was
    /// live when the walk began and still is when it ends is shown, at least once; one that was
    /// replaced, removed, or has expired meanwhile may be.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Damaged`] if a live record cannot be read; [`Error::Io`].
    pub fn walk(
        &self,
        walk: &mut Walk,
        bytes: u64,
        wanted: impl Fn(&[u8]) -> bool,
        mut show: impl FnMut(EntryRef<'_>),
    ) -> Result<Walked> {
        let core = self.core();
        core.check_open()?;
        // What is alive now stays until the end of the call, and with it the meaning of its locations.
        let guard = pin();
        let Some((segment, from, end)) = walk.next_part(core) else { return Ok(Walked::Whole) };
        let part = Part { core, segment: &segment, walk, wanted: &wanted, guard: &guard };
        let reached = match part.visit(from, end.min(from + bytes.max(1)), end, &mut show) {
            // Gone meanwhile: what was alive in it has moved.
            Err(Error::Io { .. }) if core.segments.by_id(segment.id).is_none() => end,
            reached => reached?,
        };
        walk.visited.insert(segment.id, reached);
        Ok(Walked::Partly)
    }
}

impl Walk {
    /// The next segment with something to be visited: from where, and where that ends.
    fn next_part(&self, core: &Core) -> Option<(Arc<Segment>, u64, u64)> {
        core.segments.all().into_iter().find_map(|segment| {
            let end = match segment.role {
                Role::Survivors => segment.end(),
                Role::Log => *self.written.get(&segment.id)?,
            };
            let from = self.visited.get(&segment.id).copied().unwrap_or(HEADER_LENGTH);
            (from < end).then_some((segment, from, end))
        })
    }

    /// Whether a record may be one that is wanted.
    fn wants(&self, record: &Record<'_>) -> bool {
        record.kind == Kind::Set
            && (self.shards.contains(&record.shard) || record.shard == ShardId(0))
            && record.sequence < self.older_than
    }
}

/// A part of a segment that is visited.
struct Part<'a> {
    core: &'a Core,
    segment: &'a Segment,
    walk: &'a Walk,
    wanted: &'a dyn Fn(&[u8]) -> bool,
    guard: &'a Guard,
}

impl Part<'_> {
    /// Shows what lives from `from` to the end of the record at `until`, or to `end`; returns how far it came.
    fn visit(
        &self,
        from: u64,
        until: u64,
        end: u64,
        show: &mut impl FnMut(EntryRef<'_>),
    ) -> Result<u64> {
        let file = self.segment.file();
        let mut scanner = Scanner::new(self.segment, &*file, from, end);
        while scanner.offset() < until {
            match scanner.step()? {
                Step::End => break,
                Step::Record { offset, record, .. }
                    if self.walk.wants(&record) && (self.wanted)(record.key) =>
                {
                    self.meet(offset, &record, show);
                }
                Step::Record { .. } => {}
                Step::Bad(why) => self.pass(&mut scanner, why)?,
            }
        }
        Ok(scanner.offset())
    }

    /// Shows a record if it is alive.
    fn meet(&self, offset: u64, record: &Record<'_>, show: &mut impl FnMut(EntryRef<'_>)) {
        if self.is_alive(offset, record) && !self.core.is_expired(record.expires_at) {
            show(EntryRef {
                key: record.key,
                value: record.value,
                version: record.sequence,
                expires_at: record.expires_at,
            });
        }
    }

    fn is_alive(&self, offset: u64, record: &Record<'_>) -> bool {
        let location = self.segment.location(offset);
        self.core.index.contains(self.guard, self.core.hash(record.key), location)
            || (self.segment.role == Role::Survivors && self.is_copied(record))
    }

    /// Whether the index has, elsewhere, what this is a copy of. Compaction is about to change that, or
    /// has moved it on.
    fn is_copied(&self, record: &Record<'_>) -> bool {
        let current = self.core.read(record.key, |current| current.sequence);
        current.is_ok_and(|sequence| sequence == Some(record.sequence))
    }

    /// Moves the scanner behind damage, if nothing lives there.
    fn pass(&self, scanner: &mut Scanner<'_>, why: Malformed) -> Result<()> {
        let (from, to) = (scanner.offset(), scanner.behind_damage()?);
        if let Some(lost) = self.core.alive_within(self.segment, from..to).min() {
            return Err(Error::damaged(&self.segment.path, lost, why.describe()));
        }
        scanner.seek(to);
        Ok(())
    }
}

impl Core {
    /// The places in a part of a segment that the index knows.
    pub(crate) fn alive_within(
        &self,
        segment: &Segment,
        part: Range<u64>,
    ) -> impl Iterator<Item = u64> {
        let slot = segment.slot;
        let places = TableNumber::all().flat_map(|table| self.index.entries(table));
        let places = places.map(|entry| entry.location()).filter(move |place| place.slot() == slot);
        places.map(|place| place.offset()).filter(move |offset| part.contains(offset))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::disk::sim::SimDisk;
    use crate::ids::{EntryId, EntryIndex, Term};
    use crate::options::Options;
    use crate::replicated::{NewEntry, Payload};
    use crate::store::batch::WriteBatch;

    const ALL: Sequence = Sequence(u64::MAX);

    fn open(disk: &SimDisk) -> KvStore {
        KvStore::open_with("/store", Options::tiny().disk(Arc::new(disk.clone()))).unwrap()
    }

    /// Writes keys through the replicated log of a shard.
    fn write(store: &KvStore, shard: ShardId, first: u64, keys: impl Iterator<Item = String>) {
        let log = store.replicated(shard).unwrap();
        let mut last = None;
        for (index, key) in (first..).zip(keys) {
            let mut batch = WriteBatch::new();
            batch.set(key, [b'x'; 200]);
            let id = EntryId { term: Term(1), index: EntryIndex(index) };
            log.append(&[NewEntry { id, payload: Payload::Effects(&batch) }]).unwrap();
            last = Some(id);
        }
        let last = last.unwrap();
        log.apply(last.index).unwrap();
        log.purge(last).unwrap();
    }

    fn keys(name: &str, numbers: std::ops::Range<u64>) -> impl Iterator<Item = String> {
        numbers.map(move |number| format!("{name} {number}"))
    }

    /// Walks in small steps, with `between` between them.
    fn walk(store: &KvStore, shard: u16, before: Sequence, between: impl Fn()) -> BTreeSet<String> {
        let mut walk = store.begin_walk(ShardId(shard)..=ShardId(shard), before).unwrap();
        let mut shown = BTreeSet::new();
        let mut step = || {
            store.walk(
                &mut walk,
                1,
                |_| true,
                |entry| {
                    _ = shown.insert(String::from_utf8(entry.key.to_vec()).unwrap());
                },
            )
        };
        while step().unwrap() == Walked::Partly {
            between();
        }
        shown
    }

    #[test]
    fn the_live_records_of_a_shard_and_of_none_are_shown() {
        let store = open(&SimDisk::new());
        write(&store, ShardId(1), 0, keys("one", 0..30));
        write(&store, ShardId(2), 0, keys("two", 0..30));
        keys("plain", 0..9).for_each(|key| store.set(key, "x").unwrap());
        keys("one", 10..15).for_each(|key| assert!(store.remove(key).unwrap()));
        write(&store, ShardId(1), 30, keys("one", 0..5));
        let expected = keys("one", 0..10).chain(keys("one", 15..30)).chain(keys("plain", 0..9));
        assert_eq!(walk(&store, 1, ALL, || ()), expected.collect());
    }

    #[test]
    fn what_was_written_later_is_not_looked_at() {
        let store = open(&SimDisk::new());
        write(&store, ShardId(1), 0, keys("old", 0..20));
        let before = store.write_unsynced(&WriteBatch::new()).unwrap();
        write(&store, ShardId(1), 20, keys("new", 0..40).chain(keys("old", 0..5)));
        store.compact().unwrap();
        let older = walk(&store, 1, Sequence(before.0 + 1), || ());
        assert_eq!(older, keys("old", 5..20).collect());
    }

    #[test]
    fn what_compaction_moves_meanwhile_is_found_where_it_went() {
        let store = open(&SimDisk::new());
        write(&store, ShardId(1), 0, keys("key", 0..100));
        keys("key", 0..100).step_by(3).for_each(|key| store.set(key, "y").unwrap());
        let rewrite = || {
            store.set("filler", [b'x'; 300]).unwrap();
            store.compact().unwrap();
        };
        let shown = walk(&store, 1, ALL, rewrite);
        let missed: Vec<String> = keys("key", 0..100).filter(|key| !shown.contains(key)).collect();
        assert!(missed.is_empty(), "{missed:?}");
    }

    #[test]
    fn compaction_at_the_same_time_hides_nothing() {
        let store = open(&SimDisk::new());
        write(&store, ShardId(1), 0, keys("key", 0..200));
        for round in 0..20 {
            keys("filler", 0..40).for_each(|key| store.set(key, round.to_string()).unwrap());
            std::thread::scope(|scope| {
                scope.spawn(|| store.compact().unwrap());
                let shown = walk(&store, 1, ALL, || ());
                assert!(keys("key", 0..200).all(|key| shown.contains(&key)), "round {round}");
            });
        }
    }

    #[test]
    fn damage_is_passed_where_nothing_lives_and_named_where_something_does() {
        let disk = SimDisk::new();
        let store = open(&disk);
        store.set("key", "first").unwrap();
        store.set("other", "whole").unwrap();
        store.set("key", "second").unwrap();
        let damage = |value: &[u8]| {
            let path = store.core().segments.all()[0].path.clone();
            let contents = disk.contents(&path);
            let place = contents.windows(value.len()).position(|bytes| bytes == value).unwrap();
            disk.flip_bit(&path, place as u64, 0);
        };
        damage(b"first");
        assert_eq!(walk(&store, 1, ALL, || ()), ["key", "other"].map(str::to_owned).into());
        damage(b"whole");
        let mut all = store.begin_walk(ShardId(1)..=ShardId(1), ALL).unwrap();
        let error = store.walk(&mut all, 1 << 20, |_| true, |_| ()).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    }
}
