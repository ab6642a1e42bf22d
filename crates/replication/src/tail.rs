//! The newest entries of a shard, kept in memory.
//!
//! An entry is needed again right after it was appended: once for each follower, and once when it is
//! applied. Its batch is shared, so keeping it costs little, and reading the log back would cost a
//! decoding each time. What is no longer here is read from the log.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use crate::types::{Entry, EntryPayload};

/// Bytes of keys and values kept for one shard.
const MAX_BYTES: u64 = 2 << 20;
const MAX_ENTRIES: usize = 4096;

#[derive(Debug, Default)]
pub(crate) struct Tail(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    /// Without holes, oldest first.
    entries: VecDeque<Entry>,
    bytes: u64,
}

/// About the bytes that an entry takes on the way to a peer.
pub(crate) fn weight(entry: &Entry) -> u64 {
    match &entry.payload {
        EntryPayload::Normal(effects) => 64 + effects.batch.bytes(),
        EntryPayload::Blank => 64,
        EntryPayload::Membership(_) => 1024,
    }
}

impl Tail {
    fn with<T>(&self, act: impl FnOnce(&mut Kept) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Entries were appended to the log.
    pub fn push(&self, entries: Vec<Entry>) {
        self.with(|kept| {
            for entry in entries {
                if kept.next().is_some_and(|next| next != entry.log_id.index()) {
                    kept.clear();
                }
                kept.bytes += weight(&entry);
                kept.entries.push_back(entry);
            }
            while kept.bytes > MAX_BYTES || kept.entries.len() > MAX_ENTRIES {
                kept.drop_first();
            }
        });
    }

    /// Entries from `index` on and before `end`, until they weigh `max_bytes`; at least one if `index` is
    /// kept. The index of the oldest entry kept if `index` is not, but a later one before `end` is.
    pub fn read(&self, index: u64, end: u64, max_bytes: u64) -> Found {
        self.with(|kept| {
            let Some(first) = kept.entries.front().map(|entry| entry.log_id.index()) else {
                return Found::None;
            };
            if index < first {
                return if first < end { Found::From(first) } else { Found::None };
            }
            let mut bytes = 0;
            let skip = usize::try_from(index - first).unwrap_or(usize::MAX);
            let found: Vec<_> = kept
                .entries
                .range(skip.min(kept.entries.len())..)
                .take_while(|entry| {
                    let fits = entry.log_id.index() < end && (bytes == 0 || bytes < max_bytes);
                    bytes += weight(entry);
                    fits
                })
                .cloned()
                .collect();
            if found.is_empty() { Found::None } else { Found::Entries(found) }
        })
    }

    /// All after `last` are gone.
    pub fn truncate_after(&self, last: Option<u64>) {
        self.with(|kept| {
            while kept.entries.back().is_some_and(|entry| Some(entry.log_id.index()) > last) {
                kept.drop_last();
            }
        });
    }

    /// All up to `up_to` are gone.
    pub fn purge(&self, up_to: u64) {
        self.with(|kept| {
            while kept.entries.front().is_some_and(|entry| entry.log_id.index() <= up_to) {
                kept.drop_first();
            }
        });
    }

    /// All are gone.
    pub fn clear(&self) {
        self.with(Kept::clear);
    }
}

/// What [`Tail::read`] found.
pub(crate) enum Found {
    Entries(Vec<Entry>),
    From(u64),
    None,
}

impl Kept {
    fn next(&self) -> Option<u64> {
        self.entries.back().map(|entry| entry.log_id.index() + 1)
    }

    fn drop_first(&mut self) {
        self.bytes -= self.entries.pop_front().as_ref().map_or(0, weight);
    }

    fn drop_last(&mut self) {
        self.bytes -= self.entries.pop_back().as_ref().map_or(0, weight);
    }

    fn clear(&mut self) {
        self.entries.clear();
        self.bytes = 0;
    }
}

#[cfg(test)]
mod tests {

    use aryavarth::WriteBatch;

    use super::*;
    use crate::entry_log::EntryId;
    use crate::types::{Effects, log_id};

    fn entries(indexes: std::ops::Range<u64>, value: usize) -> Vec<Entry> {
        indexes
            .map(|index| {
                let mut batch = WriteBatch::new();
                batch.set("k", vec![0; value]);
                let payload = EntryPayload::Normal(Effects::logged(batch));
                Entry { log_id: log_id(EntryId::new(1, index)), payload }
            })
            .collect()
    }

    fn read(tail: &Tail, index: u64, end: u64, max_bytes: u64) -> Result<Vec<u64>, Option<u64>> {
        match tail.read(index, end, max_bytes) {
            Found::Entries(found) => Ok(found.iter().map(|entry| entry.log_id.index()).collect()),
            Found::From(index) => Err(Some(index)),
            Found::None => Err(None),
        }
    }

    #[test]
    fn it_gives_what_it_keeps_and_says_where_that_begins() {
        let tail = Tail::default();
        assert_eq!(read(&tail, 0, 9, 99), Err(None));
        tail.push(entries(5..9, 0));
        assert_eq!(read(&tail, 6, 8, 999), Ok(vec![6, 7]));
        assert_eq!(read(&tail, 6, 99, 1), Ok(vec![6]));
        assert_eq!(read(&tail, 2, 99, 1), Err(Some(5)));
        assert_eq!(read(&tail, 2, 5, 1), Err(None));
        assert_eq!(read(&tail, 9, 99, 1), Err(None));
    }

    #[test]
    fn it_forgets_what_the_log_forgets() {
        let tail = Tail::default();
        tail.push(entries(0..9, 0));
        tail.purge(2);
        tail.truncate_after(Some(5));
        assert_eq!(read(&tail, 3, 99, 999), Ok(vec![3, 4, 5]));
        tail.push(entries(6..7, 0));
        tail.truncate_after(None);
        assert_eq!(read(&tail, 3, 99, 999), Err(None));
        tail.push(entries(20..22, 0));
        tail.push(entries(30..31, 0));
        assert_eq!(read(&tail, 20, 99, 999), Err(Some(30)), "a hole makes it begin anew");
    }

    #[test]
    fn it_stays_small() {
        let tail = Tail::default();
        tail.push(entries(0..10, 1 << 20));
        assert!(read(&tail, 0, 10, u64::MAX).is_err());
        assert!(read(&tail, 9, 10, u64::MAX).is_ok());
        tail.with(|kept| assert!(kept.bytes <= MAX_BYTES));
    }
}
