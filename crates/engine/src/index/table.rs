//! One of the index's tables: an array that gives way to another when it is too full or too empty.
//!
//! ```text
//!            ┌ published ┐    the next array is filled before anyone can see it:
//! readers ──▶│   array   │    a reader has either all of the old or all of the new one
//!            └───────────┘
//! ```
//!
//! A reader that still searches the old array while the writer goes on in the new one sees the table
//! as it was when the new one was published, which was during its search. So its answer is one that
//! the table gave at some moment of the search.
//!
//! # Invariants
//! * `live` entries and `deleted` DELETED slots are in the array; together no more than its
//!   [`capacity`], so some slot is EMPTY.
//! * No two slots hold the same entry: a location is the place of one record, of one key.
//! * A table that never held an entry has no array; one that was emptied keeps a bucket or two.

use super::array::Array;
use super::bucket::Vacancy;
use super::entry::Entry;
use super::hash::Tag;
use super::sizing::{Sizing, capacity, is_sparse};
use crate::ids::Location;
use crate::reclaim::{Guard, Published};

/// The part that readers share.
pub struct Table {
    array: Published<Array>,
}

/// The part that belongs to the writer; methods that take it are the writer's.
#[derive(Clone, Default)]
pub struct Counts {
    live: u32,
    deleted: u32,
}

impl Counts {
    /// The entries in the table.
    pub fn live(&self) -> usize {
        self.live as usize
    }

    fn deleted(&self) -> usize {
        self.deleted as usize
    }
}

impl Table {
    /// No entries, no array.
    pub fn new() -> Table {
        Table { array: Published::empty() }
    }

    /// Bytes on the heap.
    pub fn bytes(&self, guard: &Guard) -> usize {
        self.array.load(guard).map_or(0, Array::bytes)
    }

    /// As [`Array::find`].
    #[inline]
    pub fn find<E>(
        &self,
        guard: &Guard,
        tag: Tag,
        confirm: impl FnMut(Location) -> Result<bool, E>,
    ) -> Result<Option<Location>, E> {
        self.array.load(guard).map_or(Ok(None), |array| array.find(tag, confirm))
    }

    /// Brings the bucket where the search for `tag` begins into the cache.
    #[inline]
    pub fn touch(&self, guard: &Guard, tag: Tag) {
        if let Some(array) = self.array.load(guard) {
            array.touch(tag);
        }
    }

    /// Whether exactly `entry` is there.
    #[inline]
    pub fn contains(&self, guard: &Guard, entry: Entry) -> bool {
        self.array.load(guard).is_some_and(|array| array.locate(entry).is_some())
    }

    /// All entries, nearly in the order of their tags; of one instant if no writer is at work.
    pub fn entries<'g>(&'g self, guard: &'g Guard) -> impl Iterator<Item = Entry> + use<'g> {
        self.array.load(guard).into_iter().flat_map(Array::entries)
    }

    /// Adds `entry`, whose key is not there.
    #[inline]
    pub fn insert(&self, counts: &mut Counts, sizing: Sizing, guard: &mut Guard, entry: Entry) {
        debug_assert!(!self.contains(guard, entry));
        let used = counts.live() + counts.deleted();
        if self.array.load(guard).is_none_or(|array| used >= capacity(array.buckets())) {
            self.rebuild(counts, sizing.to_hold_and_grow(counts.live() + 1), guard);
        }
        let array = self.array.load(guard).expect("a table with room has an array");
        if array.insert(entry) == Vacancy::Deleted {
            counts.deleted -= 1;
        }
        counts.live = counts.live.checked_add(1).expect("a table has fewer keys than bytes");
    }

    /// Puts `new` where `old` is; false if `old` is nowhere. Both have the same tag.
    #[inline]
    pub fn replace(&self, guard: &Guard, old: Entry, new: Entry) -> bool {
        assert_eq!(old.tag(), new.tag(), "an entry of another key would not be found there");
        debug_assert!(old == new || !self.contains(guard, new));
        let place = self.array.load(guard).and_then(|array| array.locate(old));
        place.map(|place| place.put(new)).is_some()
    }

    /// Takes `entry` out; false if it is not there.
    pub fn remove(
        &self,
        counts: &mut Counts,
        sizing: Sizing,
        guard: &mut Guard,
        entry: Entry,
    ) -> bool {
        let Some(array) = self.array.load(guard) else { return false };
        let Some(place) = array.locate(entry) else { return false };
        if place.clear() == Vacancy::Deleted {
            counts.deleted += 1;
        }
        counts.live -= 1;
        let buckets = array.buckets();
        if is_sparse(buckets, counts.live()) {
            let fewer = sizing.to_hold_and_grow(counts.live());
            if fewer < buckets {
                self.rebuild(counts, fewer, guard);
            }
        }
        true
    }

    /// Makes an array of `entries`, which has room for no more than them until its first growth.
    pub fn array_of(
        sizing: Sizing,
        entries: impl ExactSizeIterator<Item = Entry>,
    ) -> Option<Array> {
        let announced = entries.len();
        (announced > 0).then(|| {
            let array = Array::new(sizing.to_hold(announced));
            assert_eq!(array.fill(entries), announced, "the iterator knows its length");
            array
        })
    }

    /// Publishes `array`, of `count` entries, as the first of a table that holds nothing.
    pub fn restore(&self, counts: &mut Counts, guard: &Guard, array: Array, count: usize) {
        assert!(counts.live == 0, "only an empty table is restored");
        assert!(count <= capacity(array.buckets()));
        counts.live = u32::try_from(count).expect("a table has fewer keys than bytes");
        counts.deleted = 0;
        self.array.replace(Some(array), guard);
    }

    /// Panics if the invariants do not hold.
    #[cfg(test)]
    pub fn check(&self, counts: &Counts, guard: &Guard) {
        let mut entries: Vec<u64> = self.entries(guard).map(Entry::to_bits).collect();
        entries.sort_unstable();
        assert!(entries.is_sorted_by(|a, b| a < b), "an entry is there twice");
        assert_eq!(entries.len(), counts.live());
        let Some(array) = self.array.load(guard) else { return };
        assert_eq!(array.check(), counts.deleted());
        assert!(counts.live() + counts.deleted() <= capacity(array.buckets()));
    }

    /// Moves to an array of `buckets`, leaving the DELETED slots behind.
    #[cold]
    fn rebuild(&self, counts: &mut Counts, buckets: usize, guard: &mut Guard) {
        assert!(counts.live() < capacity(buckets), "there must be room for one more");
        let next = Array::new(buckets);
        let moved = next.fill(self.entries(guard));
        assert_eq!(moved, counts.live(), "the count of entries is wrong");
        counts.deleted = 0;
        self.array.replace(Some(next), guard);
        guard.repin();
    }
}
