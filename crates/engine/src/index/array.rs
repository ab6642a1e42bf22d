//! The buckets of one table at one size.
//!
//! A search starts at the home of its tag and goes from bucket to bucket, round the end, until one
//! has an EMPTY slot or all were seen:
//!
//! ```text
//!              tag 0x80… of 4 buckets: home 2
//!                              ▼
//! ┌────────────┬────────────┬────────────┬────────────┐
//! │ e e . . .. │ e e e e e. │ e e e D e e│ e e . . .. │
//! └────────────┴────────────┴────────────┴────────────┘
//!                            no . here ──▶ a . : ends here
//! ```
//!
//! # Invariants
//! * An entry lies at its tag's home or in a later bucket such that every bucket from the home up
//!   to it is without an EMPTY slot. By the rule of [`bucket`](super::bucket) this stays so.
//! * An entry never moves within an array. So a reader that sees the slots one by one, while the
//!   writer works, cannot miss an entry that was there all the time.
//! * Once another array has been published in its place, an array is no longer written.

use super::bucket::{Bucket, SLOTS, Vacancy};
use super::entry::Entry;
use super::hash::Tag;
use crate::ids::Location;

/// A number of buckets, at least one, and the entries in them.
pub struct Array {
    buckets: Box<[Bucket]>,
}

/// A slot of an array that holds an entry.
pub struct Place<'a> {
    bucket: &'a Bucket,
    slot: usize,
}

impl Array {
    /// No entries, in `buckets` buckets.
    pub fn new(buckets: usize) -> Array {
        assert!(buckets > 0, "a search needs a bucket to start at");
        Array { buckets: (0..buckets).map(|_| Bucket::new()).collect() }
    }

    /// The number of buckets.
    pub fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        size_of_val(self) + size_of_val(&*self.buckets)
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
        for bucket in self.probe(tag) {
            let view = bucket.look();
            for entry in view.matches(tag) {
                match confirm(entry.location()) {
                    Ok(true) => return Ok(Some(entry.location())),
                    Ok(false) => {}
                    Err(error) => failure = failure.or(Some(error)),
                }
            }
            if view.has_empty() {
                break;
            }
        }
        failure.map_or(Ok(None), Err)
    }

    /// Where exactly `entry` is.
    #[inline]
    pub fn locate(&self, entry: Entry) -> Option<Place<'_>> {
        for bucket in self.probe(entry.tag()) {
            let view = bucket.look();
            if let Some(slot) = view.position(entry) {
                return Some(Place { bucket, slot });
            }
            if view.has_empty() {
                break;
            }
        }
        None
    }

    /// Puts `entry`, which is not there yet, into the first vacancy of its search; says what that
    /// was. For the writer alone.
    #[inline]
    pub fn insert(&self, entry: Entry) -> Vacancy {
        for bucket in self.probe(entry.tag()) {
            if let Some((slot, vacancy)) = bucket.look().vacancy() {
                bucket.put(slot, entry);
                return vacancy;
            }
        }
        unreachable!("an array is replaced by a larger one before it is full")
    }

    /// Inserts all of `entries`; says how many they were. Fastest in the order of tags.
    pub fn fill(&self, entries: impl Iterator<Item = Entry>) -> usize {
        let mut count = 0;
        for entry in entries {
            self.insert(entry);
            count += 1;
        }
        count
    }

    /// All entries, nearly in the order of their tags: those that went round the end come first.
    pub fn entries(&self) -> impl Iterator<Item = Entry> {
        self.buckets.iter().flat_map(|bucket| {
            let view = bucket.look();
            (0..SLOTS).filter_map(move |slot| view.entry(slot))
        })
    }

    #[inline]
    fn probe(&self, tag: Tag) -> impl Iterator<Item = &Bucket> {
        let (before, from_home) = self.buckets.split_at(tag.home(self.buckets.len()));
        from_home.iter().chain(before)
    }
}

impl Place<'_> {
    /// Writes `entry`, which has the tag of the one here, over it. For the writer alone.
    pub fn put(&self, entry: Entry) {
        self.bucket.put(self.slot, entry);
    }

    /// Takes the entry out; says what is left. For the writer alone.
    pub fn clear(&self) -> Vacancy {
        self.bucket.clear(self.slot)
    }
}
