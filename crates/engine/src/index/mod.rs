//! From a key's hash to the [`Location`] of its newest record; holds no keys.
//!
//! ```text
//!  KeyHash ── 12 bits ──▶ one of 4096 tables
//!        │                  │
//!        │                  ▼ published array
//!        │   ┌──────────────┬──────────────┬─────┬──────────────┐
//!        └───│ bucket 0     │ bucket 1     │  …  │ bucket n - 1 │  a bucket: 64 bytes, 8 slots
//!    24 bits └──────────────┴──────────────┴─────┴──────────────┘  a slot: tag + location
//!     = tag
//! ```
//!
//! | file | idea |
//! |---|---|
//! | [`hash`] | a key's hash: table and tag |
//! | [`entry`] | tag + location in 8 bytes |
//! | [`bucket`] | a cache line of slots, and when a search ends |
//! | [`lines`] | buckets in memory, each a cache line |
//! | [`array`](mod@array) | the buckets of a table at one size, searched from the tag's home on |
//! | [`table`] | an array that gives way to a larger or smaller one |
//! | [`sizing`] | how large, so that a key costs 10 to 11 bytes whatever the number of keys |
//!
//! A tag is no proof. Whoever searches confirms each candidate against the key in the record.
//!
//! # Who may do what when
//! Readers pin and search, without a lock; they wait for nobody. Writers take turns by a mutex. Each
//! change is one store to one slot, or the publication of a whole new array. Arrays that were
//! replaced are freed when the readers that may see them have left ([`reclaim`](crate::reclaim)).

mod array;
mod bucket;
mod entry;
mod hash;
mod lines;
mod sizing;
mod sync;
mod table;

#[cfg(all(test, loom))]
mod loom_tests;
#[cfg(all(test, not(loom)))]
mod tests;

use std::sync::{Mutex, MutexGuard};

pub use self::entry::Entry;
pub use self::hash::{HashSeed, KeyHash, TableNumber};
use self::sizing::Sizing;
use self::sync::{AtomicU64, Ordering};
use self::table::{Counts, Table};
use crate::ids::Location;
use crate::reclaim::{Guard, pin};

/// The index of a store.
///
/// # Invariants
/// * `tables` and the writer's `counts` have one element for each [`TableNumber`].
/// * `len` is the sum of the live `counts` whenever no writer is at work.
pub struct Index {
    tables: Box<[Table]>,
    writer: Mutex<Box<[Counts]>>,
    len: AtomicU64,
}

impl std::fmt::Debug for Index {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Index").field("len", &self.len()).finish_non_exhaustive()
    }
}

impl Default for Index {
    fn default() -> Index {
        Index::new()
    }
}

impl Index {
    /// How many tables there are.
    pub const TABLES: usize = TableNumber::COUNT;

    /// An empty index.
    pub fn new() -> Index {
        Index {
            tables: TableNumber::all().map(|_| Table::new()).collect(),
            writer: Mutex::new(vec![Counts::default(); Self::TABLES].into()),
            len: AtomicU64::new(0),
        }
    }

    /// The location of the record of the key with `hash` that `confirm` accepts; it is shown every
    /// location whose tag is that of `hash`, until it says `Ok(true)`.
    ///
    /// # Errors
    /// The first error of `confirm`, unless it accepts another location.
    #[inline]
    pub fn find<E>(
        &self,
        guard: &Guard,
        hash: KeyHash,
        confirm: impl FnMut(Location) -> Result<bool, E>,
    ) -> Result<Option<Location>, E> {
        self.table(hash.table()).find(guard, hash.tag(), confirm)
    }

    /// Brings the bucket where the search for `hash` begins into the cache.
    #[inline]
    pub fn touch(&self, guard: &Guard, hash: KeyHash) {
        self.table(hash.table()).touch(guard, hash.tag());
    }

    /// Whether the newest record of a key with the tag of `hash` stands at `location`.
    #[inline]
    pub fn contains(&self, guard: &Guard, hash: KeyHash, location: Location) -> bool {
        self.table(hash.table()).contains(guard, Entry::new(hash.tag(), location))
    }

    /// Waits until no other writer is at work and keeps all others out.
    pub fn writer(&self) -> IndexWriter<'_> {
        let counts = self.counts();
        IndexWriter { index: self, counts, guard: pin() }
    }

    /// The number of keys. Of a moment ago, while a writer is at work.
    pub fn len(&self) -> u64 {
        self.len.load(Ordering::Relaxed)
    }

    /// Bytes on the heap, without what awaits its last reader. Visits every table.
    pub fn bytes(&self) -> u64 {
        let guard = pin();
        let arrays: usize = self.tables.iter().map(|table| table.bytes(&guard)).sum();
        let directory = self.tables.len() * (size_of::<Table>() + size_of::<Counts>());
        (arrays + directory) as u64
    }

    /// A copy of one table, of one instant, nearly in the order of tags. Keeps writers waiting
    /// meanwhile.
    pub fn entries(&self, table: TableNumber) -> Vec<Entry> {
        let counts = self.counts();
        let live = counts[table.get()].live();
        let mut entries = Vec::with_capacity(live);
        entries.extend(self.table(table).entries(&pin()));
        assert_eq!(entries.len(), live, "the count of entries is wrong");
        entries
    }

    /// Fills an empty table, as when a checkpoint is loaded. Fastest in the order of
    /// [`entries`](Self::entries). Different tables may be restored at the same time.
    ///
    /// # Panics
    /// If the table has entries.
    pub fn restore(&self, table: TableNumber, entries: impl ExactSizeIterator<Item = Entry>) {
        let count = entries.len();
        let Some(array) = Table::array_of(Sizing::of(table), entries) else { return };
        let mut counts = self.counts();
        self.table(table).restore(&mut counts[table.get()], &pin(), array, count);
        self.add_to_len(count as u64);
    }

    fn table(&self, number: TableNumber) -> &Table {
        &self.tables[number.get()]
    }

    fn counts(&self) -> MutexGuard<'_, Box<[Counts]>> {
        self.writer.lock().expect("no writer broke an invariant of the index")
    }

    /// For the writer alone, as the load and the store are two steps.
    fn add_to_len(&self, change: u64) {
        self.len.store(self.len().wrapping_add(change), Ordering::Relaxed);
    }
}

/// The one writer of an [`Index`] at a time. Readers are not disturbed.
pub struct IndexWriter<'a> {
    index: &'a Index,
    counts: MutexGuard<'a, Box<[Counts]>>,
    guard: Guard,
}

impl IndexWriter<'_> {
    /// As [`Index::find`].
    ///
    /// # Errors
    /// The first error of `confirm`, unless it accepts another location.
    #[inline]
    pub fn find<E>(
        &self,
        hash: KeyHash,
        confirm: impl FnMut(Location) -> Result<bool, E>,
    ) -> Result<Option<Location>, E> {
        self.index.find(&self.guard, hash, confirm)
    }

    /// As [`Index::contains`].
    #[inline]
    pub fn contains(&self, hash: KeyHash, location: Location) -> bool {
        self.index.contains(&self.guard, hash, location)
    }

    /// Adds the key with `hash`, whose record stands at `location`. The key is not in the index.
    ///
    /// # Panics
    /// If `location` is one that no record has; so do the other changes.
    #[inline]
    pub fn insert(&mut self, hash: KeyHash, location: Location) {
        let (number, entry) = (hash.table(), Entry::new(hash.tag(), location));
        let counts = &mut self.counts[number.get()];
        self.index.table(number).insert(counts, Sizing::of(number), &mut self.guard, entry);
        self.index.add_to_len(1);
    }

    /// Points the key at `new` if it points at `old`; false if no key with the tag of `hash` does.
    #[inline]
    pub fn replace(&mut self, hash: KeyHash, old: Location, new: Location) -> bool {
        let tag = hash.tag();
        self.replace_entry(hash.table(), Entry::new(tag, old), Entry::new(tag, new))
    }

    /// Takes the key out if it points at `location`; false if no key with the tag of `hash` does.
    #[inline]
    pub fn remove(&mut self, hash: KeyHash, location: Location) -> bool {
        self.remove_entry(hash.table(), Entry::new(hash.tag(), location))
    }

    /// Puts `new` in the place of `old`; false if `old` is not in the table.
    ///
    /// # Panics
    /// If the two differ in their tag.
    #[inline]
    pub fn replace_entry(&mut self, table: TableNumber, old: Entry, new: Entry) -> bool {
        self.index.table(table).replace(&self.guard, old, new)
    }

    /// Takes `entry` out; false if it is not in the table.
    pub fn remove_entry(&mut self, table: TableNumber, entry: Entry) -> bool {
        let counts = &mut self.counts[table.get()];
        let removed =
            self.index.table(table).remove(counts, Sizing::of(table), &mut self.guard, entry);
        if removed {
            self.index.add_to_len(1_u64.wrapping_neg());
        }
        removed
    }
}
