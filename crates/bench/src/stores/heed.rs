//! LMDB through heed: a memory-mapped copy-on-write B-tree in C, one writer at a time.

use std::path::Path;

use heed::types::Bytes;
use heed::{Database, Env, EnvFlags, EnvOpenOptions};

use super::{Durability, Options, Pair, Store};
use crate::Result;

/// Address space, not memory: the file grows as it is filled.
const MAP_SIZE: usize = 1 << 38;

struct Lmdb {
    env: Env,
    db: Database<Bytes, Bytes>,
}

/// Opens or creates an environment. The cache is the page cache, so its size is not ours to set.
pub fn open(dir: &Path, options: Options) -> Result<Box<dyn Store>> {
    let mut open = EnvOpenOptions::new();
    open.map_size(MAP_SIZE).max_readers(256);
    if options.durability == Durability::Os {
        // SAFETY: without syncs a power cut may corrupt the file, which lives for one measurement.
        unsafe { open.flags(EnvFlags::NO_SYNC) };
    }
    // SAFETY: the scratch directory belongs to this process; nobody else changes the file.
    let env = unsafe { open.open(dir)? };
    let mut txn = env.write_txn()?;
    let db = env.create_database(&mut txn, None)?;
    txn.commit()?;
    Ok(Box::new(Lmdb { env, db }))
}

impl Store for Lmdb {
    fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let mut txn = self.env.write_txn()?;
        self.db.put(&mut txn, key, value)?;
        Ok(txn.commit()?)
    }

    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let txn = self.env.read_txn()?;
        Ok(self.db.get(&txn, key)?.map(see).is_some())
    }

    fn set_many(&self, pairs: &[Pair]) -> Result<()> {
        let mut txn = self.env.write_txn()?;
        for (key, value) in pairs {
            self.db.put(&mut txn, key, value)?;
        }
        Ok(txn.commit()?)
    }

    fn len(&self) -> Result<Option<u64>> {
        let txn = self.env.read_txn()?;
        Ok(Some(self.db.len(&txn)?))
    }

    fn sync(&self) -> Result<()> {
        Ok(self.env.force_sync()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()?;
        self.env.prepare_for_closing().wait();
        Ok(())
    }
}
