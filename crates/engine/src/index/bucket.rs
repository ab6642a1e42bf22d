//! A cache line of slots.
//!
//! ```text
//!          insert                   remove, the bucket is full
//!   EMPTY ───────▶ entry ─────────────────────────────────────▶ DELETED
//!     ▲              │ ▲                                           │
//!     └──────────────┘ └───────────────────────────────────────────┘
//!   remove, the bucket has another EMPTY slot       insert
//! ```
//!
//! # Invariants
//! * A slot is 0 (EMPTY), 1 (DELETED) or the bits of an [`Entry`].
//! * A bucket that was once full of entries and DELETED slots never has an EMPTY slot again. A
//!   search may therefore stop at an EMPTY slot: no search ever had to go past it.

use super::entry::Entry;
use super::hash::Tag;
use super::sync::{AtomicU64, Ordering, fence};
use crate::ids::Location;

/// Slots in a bucket. The model checker gets by with two, and would not end with eight.
pub const SLOTS: usize = if cfg!(loom) { 2 } else { 8 };

const EMPTY: u64 = 0;
const DELETED: u64 = 1;

/// What a slot without an entry held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Vacancy {
    /// Never held an entry that a search had to pass.
    Empty,
    /// Held one: searches go on past it.
    Deleted,
}

/// Eight slots, aligned to a cache line.
#[repr(align(64))]
pub struct Bucket([AtomicU64; SLOTS]);

impl Bucket {
    /// All slots EMPTY.
    pub fn new() -> Bucket {
        Bucket(std::array::from_fn(|_| AtomicU64::new(EMPTY)))
    }

    /// The slots as they are now; not of one instant, but each no older than what the caller
    /// already knows.
    #[inline]
    pub fn look(&self) -> View {
        let view = View(std::array::from_fn(|at| self.0[at].load(Ordering::Relaxed)));
        // Whatever the writer did before it stored what was seen here is seen from now on.
        fence(Ordering::Acquire);
        view
    }

    /// Writes `entry` to slot `at`, over a vacancy or over another entry.
    #[inline]
    pub fn put(&self, at: usize, entry: Entry) {
        self.0[at].store(entry.to_bits(), Ordering::Release);
    }

    /// Takes the entry out of slot `at`; says what is left there.
    pub fn clear(&self, at: usize) -> Vacancy {
        let view = self.look();
        assert!(view.0[at] > DELETED, "a vacancy cannot be cleared");
        let (left, bits) =
            if view.has_empty() { (Vacancy::Empty, EMPTY) } else { (Vacancy::Deleted, DELETED) };
        self.0[at].store(bits, Ordering::Release);
        left
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

    /// Whether a search ends here.
    #[inline]
    pub fn has_empty(&self) -> bool {
        self.mask(|bits| bits == EMPTY) != 0
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

    #[test]
    fn a_bucket_is_one_cache_line() {
        assert_eq!(size_of::<Bucket>(), 64);
        assert_eq!(align_of::<Bucket>(), 64);
    }

    #[test]
    fn vacancies_match_no_tag() {
        let bucket = Bucket::new();
        (0..SLOTS).for_each(|at| bucket.put(at, entry(1, 9)));
        bucket.clear(3);
        assert_eq!(bucket.look().0[3], DELETED);
        assert_eq!(Bucket::new().look().matches(Tag::from_low_bits(0)).count(), 0);
        assert_eq!(bucket.look().matches(Tag::from_low_bits(0)).count(), 0);
    }

    #[test]
    fn all_entries_with_a_tag_match_and_no_other() {
        let bucket = Bucket::new();
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
        let bucket = Bucket::new();
        (0..SLOTS - 1).for_each(|at| bucket.put(at, entry(1, 2 + at as u64)));
        assert_eq!(bucket.clear(0), Vacancy::Empty);
        assert_eq!(bucket.look().vacancy(), Some((0, Vacancy::Empty)));
        bucket.put(0, entry(1, 2));
        bucket.put(SLOTS - 1, entry(1, 99));
        for at in (0..SLOTS).rev() {
            assert_eq!(bucket.clear(at), Vacancy::Deleted);
            assert!(!bucket.look().has_empty());
            assert_eq!(bucket.look().vacancy(), Some((at, Vacancy::Deleted)));
        }
        assert!((0..SLOTS).all(|at| bucket.look().entry(at).is_none()));
    }

    #[test]
    #[should_panic(expected = "a vacancy cannot be cleared")]
    fn an_empty_slot_is_not_cleared() {
        Bucket::new().clear(0);
    }
}
