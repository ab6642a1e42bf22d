//! The buckets of one table at one size.
//!
//! A search starts at the home of its tag and goes from bucket to bucket, round the end, until it
//! comes to one that never was full:
//!
//! ```text
//!              tag 0x80… of 4 buckets: home 2       e an entry
//!                              ▼                    D DELETED
//! ┌────────────┬────────────┬────────────┬─────────┐. EMPTY
//! │ e e . . .. │ e e e e e. │ e e e D e e│ e e . . │
//! └────────────┴────────────┴────────────┴─────────┘
//!                            no . here ──▶ ends here
//! ```
//!
//! # Invariants
//! * An entry is in the bucket that is its tag's home, or in a later one such that all from the home
//!   up to it were full. By the rules of [`bucket`](super::bucket) this stays so.
//! * An entry never moves within an array. So a reader that sees the slots one by one, while the
//!   writer works, cannot miss an entry that was there all the time.
//! * Once another array has been published in its place, an array is no longer written.

use super::bucket::{Bucket, SLOTS, Vacancy};
use super::entry::Entry;
use super::hash::Tag;
use super::lines::Lines;
use crate::ids::Location;

/// A number of buckets, at least one, and the entries in them. What changes it is for the writer.
pub struct Array {
    lines: Lines,
}

/// A slot of an array that holds an entry.
pub struct Place<'a> {
    bucket: Bucket<'a>,
    slot: usize,
}

impl Array {
    /// No entries, in `buckets` buckets.
    pub fn new(buckets: usize) -> Array {
        assert!(buckets > 0, "a search needs a bucket to start at");
        Array { lines: Lines::new(buckets) }
    }

    /// The number of buckets.
    #[inline]
    pub fn buckets(&self) -> usize {
        self.lines.len()
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        size_of_val(self) + self.lines.bytes()
    }

    /// The location, among those of the entries with `tag`, that `confirm` accepts.
    ///
    /// # Errors
    /// The first error of `confirm`, unless it accepts another location.
    #[inline]
    pub fn find<E>(
        &self,
        tag: Tag,
        mut confirm: impl FnMut(Location) -> Result<bool, E>,
    ) -> Result<Option<Location>, E> {
        let mut failure = None;
        for bucket in self.search(tag) {
            let view = bucket.look();
            for entry in view.matches(tag) {
                match confirm(entry.location()) {
                    Ok(true) => return Ok(Some(entry.location())),
                    Ok(false) => {}
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            if !view.was_full() {
                break;
            }
        }
        failure.map_or(Ok(None), Err)
    }

    /// Brings the home of `tag` into the cache.
    #[inline]
    pub fn touch(&self, tag: Tag) {
        if let Some(bucket) = self.search(tag).next() {
            std::hint::black_box(bucket.is_empty(0));
        }
    }

    /// Where exactly `entry` is.
    #[inline]
    pub fn locate(&self, entry: Entry) -> Option<Place<'_>> {
        for bucket in self.search(entry.tag()) {
            let view = bucket.look();
            if let Some(slot) = view.position(entry) {
                return Some(Place { bucket, slot });
            }
            if !view.was_full() {
                break;
            }
        }
        None
    }

    /// Puts `entry`, which is not there yet, into the first vacancy of its search; says what that
    /// was.
    #[inline]
    pub fn insert(&self, entry: Entry) -> Vacancy {
        for bucket in self.search(entry.tag()) {
            if let Some((slot, vacancy)) = bucket.look().vacancy() {
                bucket.put(slot, entry);
                return vacancy;
            }
        }
        unreachable!("an array is replaced by a larger one before it is full")
    }

    /// Inserts all of `entries`, which are not there yet and nearly in the order of tags; says how
    /// many they were. Nothing has been removed from the array.
    ///
    /// In the order of tags each entry belongs just behind the one before, or at its home if that is
    /// further on. So this walks along the array once. Entries out of order are inserted one by one.
    pub fn fill(&self, entries: impl Iterator<Item = Entry>) -> usize {
        let all = self.lines.as_slice();
        let slots = all.len() * SLOTS;
        // All slots from the start of bucket `walked_from` up to slot `next` hold entries.
        let (mut walked_from, mut next) = (0, 0);
        let mut count = 0;
        for entry in entries {
            count += 1;
            let home = entry.tag().home(all.len());
            if home * SLOTS > next {
                (walked_from, next) = (home, home * SLOTS);
            }
            while next < slots && !Bucket::new(&all[next / SLOTS]).is_empty(next % SLOTS) {
                next += 1;
            }
            if home < walked_from || next == slots {
                self.insert(entry);
            } else {
                Bucket::new(&all[next / SLOTS]).put(next % SLOTS, entry);
                next += 1;
            }
        }
        count
    }

    /// All entries, nearly in the order of their tags: those that went round the end come first.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.lines.as_slice().iter().flat_map(|slots| {
            let view = Bucket::new(slots).look();
            (0..SLOTS).filter_map(move |at| view.entry(at))
        })
    }

    #[inline]
    fn search(&self, tag: Tag) -> impl Iterator<Item = Bucket<'_>> {
        let all = self.lines.as_slice();
        let (before, from_home) = all.split_at(tag.home(all.len()));
        from_home.iter().chain(before).map(Bucket::new)
    }

    /// Panics if the invariants do not hold; otherwise tells how many DELETED slots there are.
    #[cfg(test)]
    pub fn check(&self) -> usize {
        let buckets: Vec<Bucket<'_>> = self.lines.as_slice().iter().map(Bucket::new).collect();
        for entry in self.entries() {
            let place = self.locate(entry).expect("a search finds every entry");
            let mut passed = self.search(entry.tag()).take_while(|b| !b.is_same(place.bucket));
            assert!(passed.all(|bucket| bucket.look().was_full()));
        }
        buckets.iter().map(|bucket| bucket.check()).sum()
    }
}

impl Place<'_> {
    /// Writes `entry`, which has the tag of the one here, over it.
    pub fn put(&self, entry: Entry) {
        self.bucket.put(self.slot, entry);
    }

    /// Takes the entry out; says what is left.
    pub fn clear(&self) -> Vacancy {
        self.bucket.clear(self.slot)
    }
}
