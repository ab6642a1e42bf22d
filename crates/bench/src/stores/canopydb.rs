//! canopydb: a B+tree with a write-ahead log, in Rust.
//!
//! Durable sets use its concurrent transactions, which share a sync; buffered ones the exclusive
//! transactions it advises for a single writer.

use std::path::Path;

use canopydb::{Database, DbOptions, EnvOptions, Error};

use super::{Durability, Options, Pair, Store};
use crate::Result;

const TREE: &[u8] = b"bench";

struct CanopyDb {
    db: Database,
    always: bool,
}

/// Opens or creates a database.
pub fn open(dir: &Path, options: Options) -> Result<Box<dyn Store>> {
    let mut env = EnvOptions::new(dir);
    env.page_cache_size = options.cache;
    let db = Database::with_options(env, DbOptions::default())?;
    let txn = db.begin_write()?;
    drop(txn.get_or_create_tree(TREE)?);
    txn.commit_with(true)?;
    Ok(Box::new(CanopyDb { db, always: options.durability == Durability::Always }))
}

impl CanopyDb {
    fn try_set(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let txn = self.db.begin_write_with(self.always)?;
        txn.get_or_create_tree(TREE)?.insert(key, value)?;
        txn.commit_with(self.always).map(drop)
    }
}

impl Store for CanopyDb {
    fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        loop {
            match self.try_set(key, value) {
                Err(Error::WriteConflict) => continue,
                done => return Ok(done?),
            }
        }
    }

    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let txn = self.db.begin_read()?;
        let tree = txn.get_tree(TREE)?.ok_or("the tree is missing")?;
        Ok(tree.get(key)?.map(|value| see(&value)).is_some())
    }

    fn set_many(&self, pairs: &[Pair]) -> Result<()> {
        let txn = self.db.begin_write()?;
        {
            let mut tree = txn.get_or_create_tree(TREE)?;
            for (key, value) in pairs {
                tree.insert(key, value)?;
            }
        }
        txn.commit_with(self.always)?;
        Ok(())
    }

    fn len(&self) -> Result<Option<u64>> {
        let txn = self.db.begin_read()?;
        Ok(txn.get_tree(TREE)?.map(|tree| tree.len()))
    }

    fn sync(&self) -> Result<()> {
        Ok(self.db.sync()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()
    }
}
