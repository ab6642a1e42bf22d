//! A cache line of slots.
//!
//! ```text
//!          insert                   remove, the bucket was ever full
//!   EMPTY ───────▶ entry ─────────────────────────────────────▶ DELETED
//!     ▲              │ ▲                                           │
//!     └──────────────┘ └───────────────────────────────────────────┘
//!   remove, it never was full                    insert
//! ```
//!
//! # Invariants
//! * A slot is 0 (EMPTY), 1 (DELETED) or the bits of an [`Entry`].
//! * An entry goes into the first vacancy. So the last slot is EMPTY until the bucket is full for
//!   the first time, and never again: it alone tells whether the bucket ever was full.
//! * A bucket that ever was full has no EMPTY slot. A search goes past such buckets and ends at any
//!   other: nothing was ever put further on because of it.

use super::entry::Entry;
use super::hash::Tag;
use super::sync::{AtomicU64, Ordering, fence};
use crate::ids::Location;

/// Slots in a bucket. The model checker gets by with two, and would not end with eight.
pub const SLOTS: usize = if cfg!(loom) { 2 } else { 8 };
/// A slot that never had to be passed by a search.
pub const EMPTY: u64 = 0;
/// A slot whose entry was removed, and which searches go past.
const DELETED: u64 = 1;

const LAST: usize = SLOTS - 1;

/// What a slot without an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vacancy {
    /// EMPTY.
    Empty,
    /// DELETED.
    Deleted,
}

/// The slots of a bucket. They change one at a time, by the writer alone.
#[derive(Clone, Copy)]
pub struct Bucket<'a>(&'a [AtomicU64; SLOTS]);

impl<'a> Bucket<'a> {
    /// The bucket with these slots.
    #[inline]
    pub fn new(slots: &'a [AtomicU64; SLOTS]) -> Bucket<'a> {
        Bucket(slots)
    }

    /// The slots as they are now; not of one instant, but each no older than what the caller
    /// already knows.
    #[inline]
    pub fn look(self) -> View {
        let view = View(std::array::from_fn(|at| self.0[at].load(Ordering::Relaxed)));
        // Whatever the writer did before it stored what was seen here is seen from now on.
        fence(Ordering::Acquire);
        view
    }

    /// Whether slot `at` is EMPTY. For the writer, whose own doing this is.
    #[inline]
    pub fn is_empty(self, at: usize) -> bool {
        self.0[at].load(Ordering::Relaxed) == EMPTY
    }

    /// Writes `entry` to slot `at`: over another entry or into the first vacancy.
    #[inline]
    pub fn put(self, at: usize, entry: Entry) {
        self.0[at].store(entry.to_bits(), Ordering::Release);
    }

    /// Takes the entry out of slot `at`; says what is left there.
    pub fn clear(self, at: usize) -> Vacancy {
        let found = self.0[at].load(Ordering::Relaxed);
        assert!(Entry::from_bits(found).is_some(), "a vacancy cannot be cleared");
        let (left, bits) =
            if self.is_empty(LAST) { (Vacancy::Empty, EMPTY) } else { (Vacancy::Deleted, DELETED) };
        self.0[at].store(bits, Ordering::Release);
        left
    }

    /// Panics if the invariants do not hold; otherwise tells how many DELETED slots there are.
    #[cfg(test)]
    pub fn check(self) -> usize {
        let view = self.look();
        let count = |bits| view.0.iter().filter(|slot| **slot == bits).count();
        assert!(view.0.iter().all(|bits| *bits <= DELETED || Entry::from_bits(*bits).is_some()));
        assert!(if view.was_full() { count(EMPTY) == 0 } else { count(DELETED) == 0 });
        count(DELETED)
    }

    /// Whether both are the same bucket, not just alike.
    #[cfg(test)]
    pub fn is_same(self, other: Bucket<'_>) -> bool {
        std::ptr::eq(self.0, other.0)
    }
}

/// A copy of a bucket's slots.
pub struct View([u64; SLOTS]);

impl View {
    /// The entries with `tag`.
    #[inline]
    pub fn matches(&self, tag: Tag) -> Matches<'_> {
        let wanted = tag.bits() << Location::BITS;
        // With the tag taken away what is left is a location, or is too large, or is a vacancy.
        let is_match = |bits: u64| (bits ^ wanted).wrapping_sub(2) < (1 << Location::BITS) - 2;
        Matches { view: self, left: self.mask(is_match) }
    }

    /// The first slot that holds exactly `entry`.
    #[inline]
    pub fn position(&self, entry: Entry) -> Option<usize> {
        first(self.mask(|bits| bits == entry.to_bits()))
    }

    /// The first slot that holds no entry.
    #[inline]
    pub fn vacancy(&self) -> Option<(usize, Vacancy)> {
        let at = first(self.mask(|bits| bits <= DELETED))?;
        let vacancy = if self.0[at] == EMPTY { Vacancy::Empty } else { Vacancy::Deleted };
        Some((at, vacancy))
    }

    /// Whether a search that came here goes on in the next bucket.
    #[inline]
    pub fn was_full(&self) -> bool {
        self.0[LAST] != EMPTY
    }

    /// The entry in slot `at`.
    #[inline]
    pub fn entry(&self, at: usize) -> Option<Entry> {
        Entry::from_bits(self.0[at])
    }

    /// A bit for each slot that passes. Looks at all of them: a branch for each, which nobody can
    /// predict, would cost more.
    #[inline]
    fn mask(&self, passes: impl Fn(u64) -> bool) -> u32 {
        self.0.iter().enumerate().fold(0, |mask, (at, bits)| mask | u32::from(passes(*bits)) << at)
    }
}

#[inline]
fn first(mask: u32) -> Option<usize> {
    (mask != 0).then(|| mask.trailing_zeros() as usize)
}

/// The entries of a bucket that have a tag.
pub struct Matches<'a> {
    view: &'a View,
    left: u32,
}

impl Iterator for Matches<'_> {
    type Item = Entry;

    #[inline]
    fn next(&mut self) -> Option<Entry> {
        let at = first(self.left)?;
        self.left &= self.left - 1;
        self.view.entry(at)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn entry(tag: u64, location: u64) -> Entry {
        Entry::new(Tag::from_low_bits(tag), Location::from_bits(location))
    }

    fn empty() -> [AtomicU64; SLOTS] {
        std::array::from_fn(|_| AtomicU64::new(EMPTY))
    }

    #[test]
    fn vacancies_match_no_tag() {
        let slots = empty();
        let bucket = Bucket::new(&slots);
        assert_eq!(bucket.look().matches(Tag::from_low_bits(0)).count(), 0);
        (0..SLOTS).for_each(|at| bucket.put(at, entry(1, 9)));
        bucket.clear(3);
        assert_eq!(bucket.look().0[3], DELETED);
        assert_eq!(bucket.look().matches(Tag::from_low_bits(0)).count(), 0);
        assert_eq!(bucket.look().matches(Tag::from_low_bits(1)).count(), SLOTS - 1);
    }

    #[test]
    fn all_entries_with_a_tag_match_and_no_other() {
        let slots = empty();
        let bucket = Bucket::new(&slots);
        let largest = (1 << Location::BITS) - 1;
        let entries = [entry(5, 2), entry(4, 2), entry(5, 3), entry(0, 2), entry(5, largest)];
        entries.iter().enumerate().for_each(|(at, entry)| bucket.put(at, *entry));
        let matched: Vec<Entry> = bucket.look().matches(Tag::from_low_bits(5)).collect();
        assert_eq!(matched, [entries[0], entries[2], entries[4]]);
        assert!(bucket.look().matches(Tag::from_low_bits(0)).eq([entries[3]]));
        assert_eq!(bucket.look().position(entries[2]), Some(2));
        assert_eq!(bucket.look().position(entry(5, 4)), None);
    }

    #[test]
    fn a_bucket_that_was_full_has_no_empty_slot_again() {
        let slots = empty();
        let bucket = Bucket::new(&slots);
        (0..LAST).for_each(|at| bucket.put(at, entry(1, 2 + at as u64)));
        assert!(!bucket.look().was_full());
        assert_eq!(bucket.clear(0), Vacancy::Empty);
        assert_eq!(bucket.look().vacancy(), Some((0, Vacancy::Empty)));
        bucket.put(0, entry(1, 2));
        bucket.put(LAST, entry(1, 99));
        for at in (0..SLOTS).rev() {
            assert_eq!(bucket.clear(at), Vacancy::Deleted);
            assert!(bucket.look().was_full());
            assert_eq!(bucket.look().vacancy(), Some((at, Vacancy::Deleted)));
        }
        assert!((0..SLOTS).all(|at| bucket.look().entry(at).is_none()));
        assert!(!(0..SLOTS).any(|at| bucket.is_empty(at)));
    }

    #[test]
    #[should_panic(expected = "a vacancy cannot be cleared")]
    fn an_empty_slot_is_not_cleared() {
        Bucket::new(&empty()).clear(0);
    }
}
