//! Going over all keys, or those with a prefix, while writers run.
//!
//! Table after table of the index: the keys of one are read in one go, then each is looked up anew
//! when its turn comes. A key never changes its table, so one that exists throughout is returned
//! exactly once, with a value it had at the time; one that comes or goes meanwhile may be missed.
//! The order is that of the hash: none. A prefix saves reading values, not looking at keys.

use std::sync::Arc;

use crate::error::Result;
use crate::index::TableNumber;
use crate::reclaim::pin;
use crate::store::core::Core;
use crate::store::{Entry, KvStore};

/// Goes over the keys of a store. Made by [`KvStore::iter`] and [`KvStore::iter_prefix`].
#[derive(Debug)]
pub struct Iter {
    store: KvStore,
    prefix: Vec<u8>,
    next_table: usize,
    keys: std::vec::IntoIter<Vec<u8>>,
    failed: std::vec::IntoIter<crate::Error>,
}

impl KvStore {
    /// Goes over all keys. Writers are not disturbed; see the type for what is promised.
    pub fn iter(&self) -> Iter {
        self.iter_prefix(Vec::new())
    }

    /// Goes over the keys that begin with `prefix`.
    pub fn iter_prefix(&self, prefix: impl Into<Vec<u8>>) -> Iter {
        Iter {
            store: self.clone(),
            prefix: prefix.into(),
            next_table: 0,
            keys: Vec::new().into_iter(),
            failed: Vec::new().into_iter(),
        }
    }
}

impl IntoIterator for &KvStore {
    type Item = Result<Entry>;
    type IntoIter = Iter;

    fn into_iter(self) -> Iter {
        self.iter()
    }
}

impl Iter {
    fn load_table(&mut self, table: TableNumber) {
        let core: Arc<Core> = Arc::clone(&self.store.open.core);
        let (mut keys, mut failed) = (Vec::new(), Vec::new());
        // Pinned before the locations are copied, so that each still leads to its record.
        let guard = pin();
        for entry in core.index.entries(table) {
            let location = entry.location();
            let segment = core.segment(location, &guard);
            let read = segment.record(&guard, location.offset(), |_, record| {
                record.key.starts_with(&self.prefix).then(|| record.key.to_vec())
            });
            match read {
                Ok(key) => keys.extend(key),
                Err(error) => failed.push(error),
            }
        }
        self.keys = keys.into_iter();
        self.failed = failed.into_iter();
    }
}

impl Iterator for Iter {
    type Item = Result<Entry>;

    /// The next key. An error stands for one key that cannot be read; the others follow.
    fn next(&mut self) -> Option<Result<Entry>> {
        loop {
            if let Some(error) = self.failed.next() {
                return Some(Err(error));
            }
            for key in self.keys.by_ref() {
                if let Some(entry) = self.store.get_entry(&key).transpose() {
                    return Some(entry);
                }
            }
            if let Err(error) = self.store.core().check_open() {
                let first = self.next_table < TableNumber::COUNT;
                self.next_table = TableNumber::COUNT;
                return first.then_some(Err(error));
            }
            self.load_table(TableNumber::new(self.next_table)?);
            self.next_table += 1;
        }
    }
}
