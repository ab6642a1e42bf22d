//! The stores, behind one small trait.
//!
//! # What each durability setting survives
//!
//! | store | [`Durability::Os`] | survives | [`Durability::Always`] |
//! |---|---|---|---|
//! | aryavarth | `Durability::Os`: written to the log's file | kill of the process | `Durability::Always` |
//! | rocksdb | WAL on, `sync = false` | kill of the process | `sync = true` (group commit) |
//! | fjall | default: journal flushed to the OS | kill of the process | `persist(SyncData)` after each set |
//! | redb | `Durability::None`, one transaction a set | **nothing** before the next durable commit | `Immediate` |
//! | lmdb | `MDB_NOSYNC`, no `WRITEMAP`, one transaction a set | kill of the process; a power cut can **corrupt** the file | default (`fdatasync`) |
//! | sled | default: flushed every 500 ms | **up to 500 ms are lost** at a kill | `flush()` after each set: **`sync_file_range`**, which does not flush the disk's cache |
//! | surrealkv | `Durability::Eventual` | kill of the process | `Durability::Immediate` |
//! | canopydb | WAL on, `commit_with(false)` | kill of the process | `commit_with(true)`, concurrent transactions |
//!
//! redb and sled promise less than the others in the buffered rows, so those rows favour them. In the
//! durable rows sled is shown but not compared with ([`survives_power_cut`]).
//!
//! # Common ground
//!
//! Every store that has a cache of its own gets the same one (`--cache-mib`). Compression is off
//! where it can be turned off: the values cannot be compressed, so it could only cost time. A get
//! hands the value to a closure in the cheapest form the store has (a borrow where it can), and
//! sees all writes acknowledged before it, so transactional stores open a transaction a get.

#[cfg(feature = "aryavarth")]
mod aryavarth;
mod canopydb;
mod fjall;
mod heed;
mod redb;
mod rocksdb;
mod sled;
mod surrealkv;

use std::path::Path;

use crate::Result;

/// When a set is acknowledged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// When it is with the operating system.
    Os,
    /// When it is on stable storage.
    Always,
}

/// What a store is opened with.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// When a set is acknowledged.
    pub durability: Durability,
    /// Bytes of the store's own cache, if it has one.
    pub cache: usize,
}

/// A key and its value.
pub type Pair = (Vec<u8>, Vec<u8>);

/// What is asked of every store. Handles are shared by threads.
pub trait Store: Send + Sync {
    /// Sets one key; returns when it is as durable as asked.
    fn set(&self, key: &[u8], value: &[u8]) -> Result<()>;

    /// Shows the value of `key` to `see`; false if there is none.
    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool>;

    /// Sets many keys as cheaply as the store can; for preparation, never measured.
    fn set_many(&self, pairs: &[Pair]) -> Result<()> {
        pairs.iter().try_for_each(|(key, value)| self.set(key, value))
    }

    /// The number of keys, if the store knows it without reading them all.
    fn len(&self) -> Result<Option<u64>>;

    /// Brings all that was set to stable storage.
    fn sync(&self) -> Result<()>;

    /// Runs a full compaction beside readers and writers; [`NO_COMPACTION`] if there is no such call.
    fn compact(&self) -> Result<()> {
        Err(NO_COMPACTION.into())
    }

    /// Figures only this store has, by the name of their metric.
    fn gauges(&self) -> Vec<(&'static str, f64)> {
        Vec::new()
    }

    /// Closes the store in order.
    fn close(self: Box<Self>) -> Result<()>;
}

/// The error of a store that cannot be compacted while it is in use.
pub const NO_COMPACTION: &str = "n/a: no online compaction call";

/// The store that is measured against the others.
pub const OURS: &str = "aryavarth";

/// Whether a durable set of this store is on stable storage when it is acknowledged.
pub fn survives_power_cut(name: &str) -> bool {
    name != "sled"
}

type Open = fn(&Path, Options) -> Result<Box<dyn Store>>;

const STORES: &[(&str, Open)] = &[
    #[cfg(feature = "aryavarth")]
    (OURS, aryavarth::open),
    ("rocksdb", rocksdb::open),
    ("fjall", fjall::open),
    ("redb", redb::open),
    ("lmdb", heed::open),
    ("sled", sled::open),
    ("surrealkv", surrealkv::open),
    ("canopydb", canopydb::open),
];

/// The names of all stores, ours first.
pub fn names() -> impl Iterator<Item = &'static str> {
    STORES.iter().map(|(name, _)| *name)
}

/// Opens the store called `name` in `dir`.
pub fn open(name: &str, dir: &Path, options: Options) -> Result<Box<dyn Store>> {
    let (_, open) = STORES.iter().find(|(known, _)| *known == name).ok_or("no such store")?;
    std::fs::create_dir_all(dir)?;
    open(dir, options)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round_trip(name: &str, durability: Durability) {
        let dir = tempfile::tempdir().unwrap();
        let options = Options { durability, cache: 32 << 20 };
        let store = open(name, dir.path(), options).unwrap();
        store.set(b"a-key-of-16-byte", b"old").unwrap();
        store.set(b"a-key-of-16-byte", b"new").unwrap();
        store.set_many(&[(b"b".to_vec(), b"2".to_vec()), (b"c".to_vec(), Vec::new())]).unwrap();
        store.sync().unwrap();
        store.close().unwrap();

        let store = open(name, dir.path(), options).unwrap();
        let mut seen = Vec::new();
        assert!(
            store.get(b"a-key-of-16-byte", &mut |value| seen.extend_from_slice(value)).unwrap()
        );
        assert_eq!(seen, b"new");
        assert!(!store.get(b"absent", &mut |_| panic!("shown a value")).unwrap());
        assert!(store.len().unwrap().is_none_or(|len| len == 3));
        store.close().unwrap();
    }

    #[test]
    fn every_store_keeps_what_was_set() {
        for name in names() {
            round_trip(name, Durability::Os);
            round_trip(name, Durability::Always);
        }
    }
}
