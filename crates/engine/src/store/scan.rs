//! Going over the keys in many short calls, with nothing to remember but a position.
//!
//! ```text
//!  position = table (12 bits) and tag (24 bits): the next place in the order of the keys' hashes
//! ```
//!
//! A key never changes its table or its tag, so one that exists from the first call to the last is
//! shown at least once, whatever is written meanwhile. Keys with the same tag of the same table are
//! shown in the same call.

use crate::error::Result;
use crate::index::TableNumber;
use crate::reclaim::pin;
use crate::store::KvStore;
use crate::store::reader::EntryRef;

const TAG_BITS: u32 = 24;

/// Where a scan goes on. Fits 36 bits; the start is 0.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ScanPosition(u64);

impl ScanPosition {
    /// Before all keys.
    pub const START: ScanPosition = ScanPosition(0);

    /// The position as a number; none if there is no such position.
    pub fn from_number(number: u64) -> Option<ScanPosition> {
        (number < (TableNumber::COUNT as u64) << TAG_BITS).then_some(ScanPosition(number))
    }

    /// The number of the position.
    pub fn number(self) -> u64 {
        self.0
    }

    fn table(self) -> usize {
        (self.0 >> TAG_BITS) as usize
    }

    fn tag(self) -> u64 {
        self.0 & ((1 << TAG_BITS) - 1)
    }

    fn at_table(table: usize) -> Option<ScanPosition> {
        ScanPosition::from_number((table as u64) << TAG_BITS)
    }
}

impl KvStore {
    /// Shows about `count` keys (at least one, if there is any) from `position` on, and returns where
    /// to go on; none at the end. Keys that have expired are not shown, and values are there only if
    /// `show` looks at them.
    ///
    /// # Errors
    /// [`Error::Closed`](crate::Error::Closed); damage of the first record that cannot be read, after
    /// all others of the call were shown.
    pub fn scan(
        &self,
        position: ScanPosition,
        count: usize,
        mut show: impl FnMut(EntryRef<'_>),
    ) -> Result<Option<ScanPosition>> {
        self.core().check_open()?;
        let (mut position, mut shown) = (position, 0);
        loop {
            let Some(table) = TableNumber::new(position.table()) else { return Ok(None) };
            let next =
                self.scan_table(table, position.tag(), count - shown.min(count), |entry| {
                    shown += 1;
                    show(entry);
                })?;
            if let Some(tag) = next {
                return Ok(Some(ScanPosition((table.get() as u64) << TAG_BITS | tag)));
            }
            let Some(next) = ScanPosition::at_table(table.get() + 1) else { return Ok(None) };
            if shown >= count {
                return Ok(Some(next));
            }
            position = next;
        }
    }

    /// Shows the keys of a table from `tag` on; returns the tag to go on from, none at its end.
    fn scan_table(
        &self,
        table: TableNumber,
        from: u64,
        count: usize,
        mut show: impl FnMut(EntryRef<'_>),
    ) -> Result<Option<u64>> {
        let core = self.core();
        let guard = pin();
        let mut entries = core.index.entries(table);
        entries.retain(|entry| entry.tag().bits() >= from);
        entries.sort_unstable_by_key(|entry| entry.tag());
        let (mut visited, mut last, mut failed) = (0, None, None);
        for entry in entries {
            let tag = entry.tag().bits();
            if visited >= count.max(1) && last != Some(tag) {
                return failed.map_or(Ok(Some(tag)), Err);
            }
            (visited, last) = (visited + 1, Some(tag));
            let location = entry.location();
            let segment = core.segment(location, &guard);
            let read = segment.record(&guard, location.offset(), |_, record| {
                if !core.is_expired(record.expires_at) {
                    show(EntryRef {
                        key: record.key,
                        value: record.value,
                        version: record.sequence,
                        expires_at: record.expires_at,
                    });
                }
            });
            if let Err(error) = read {
                failed = failed.or(Some(error));
            }
        }
        failed.map_or(Ok(None), Err)
    }

    /// A key picked at random, copied; none if there are no keys. `random` is asked for numbers.
    ///
    /// # Errors
    /// As [`get`](KvStore::get).
    pub fn random_key(&self, mut random: impl FnMut() -> u64) -> Result<Option<Vec<u8>>> {
        const TRIES: usize = 100;
        for _ in 0..TRIES {
            if self.is_empty() {
                return Ok(None);
            }
            let start = random() as usize % TableNumber::COUNT;
            let tables = (start..TableNumber::COUNT).chain(0..start);
            let mut entries = Vec::new();
            let guard = pin();
            for table in tables.filter_map(TableNumber::new) {
                entries = self.core().index.entries(table);
                if !entries.is_empty() {
                    break;
                }
            }
            if entries.is_empty() {
                return Ok(None);
            }
            let location = entries[random() as usize % entries.len()].location();
            let segment = self.core().segment(location, &guard);
            let key = segment.record(&guard, location.offset(), |_, record| {
                (!self.core().is_expired(record.expires_at)).then(|| record.key.to_vec())
            })?;
            if key.is_some() {
                return Ok(key);
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use super::*;
    use crate::disk::sim::SimDisk;
    use crate::options::Options;

    fn store() -> KvStore {
        KvStore::open_with("/store", Options::tiny().disk(Arc::new(SimDisk::new()))).unwrap()
    }

    fn all(store: &KvStore, count: usize) -> BTreeMap<Vec<u8>, usize> {
        let (mut seen, mut position) = (BTreeMap::new(), Some(ScanPosition::START));
        while let Some(at) = position {
            assert_eq!(ScanPosition::from_number(at.number()), Some(at));
            position = store
                .scan(at, count, |entry| *seen.entry(entry.key.to_vec()).or_insert(0) += 1)
                .unwrap();
        }
        seen
    }

    #[test]
    fn every_key_is_shown_once_whatever_the_count() {
        let store = store();
        for number in 0..300 {
            store.set(format!("key {number}"), "x").unwrap();
        }
        for count in [1, 7, 10_000] {
            let seen = all(&store, count);
            assert_eq!(seen.len(), 300);
            assert!(seen.values().all(|times| *times == 1));
        }
    }

    #[test]
    fn a_lasting_key_is_shown_though_others_come_and_go() {
        let store = store();
        for number in 0..200 {
            store.set(format!("key {number}"), "x").unwrap();
        }
        let (mut seen, mut position, mut step) = (BTreeMap::new(), Some(ScanPosition::START), 0);
        while let Some(at) = position {
            position = store.scan(at, 5, |e| _ = seen.insert(e.key.to_vec(), ())).unwrap();
            store.remove(format!("key {}", 100 + step % 100)).unwrap();
            store.set(format!("new {step}"), "x").unwrap();
            step += 1;
        }
        assert!((0..100).all(|number| seen.contains_key(format!("key {number}").as_bytes())));
    }

    #[test]
    fn a_random_key_is_one_of_the_keys() {
        let store = store();
        assert_eq!(store.random_key(|| 5).unwrap(), None);
        store.set("only", "x").unwrap();
        assert_eq!(store.random_key(|| 77).unwrap().as_deref(), Some(&b"only"[..]));
    }
}
