//! fjall: a log-structured merge tree in Rust.

use std::path::Path;

use fjall::config::CompressionPolicy;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, PersistMode};

use super::{Durability, Options, Pair, Store};
use crate::Result;

struct Fjall {
    db: Database,
    keys: Keyspace,
    durability: Durability,
}

/// Opens or creates a database.
pub fn open(dir: &Path, options: Options) -> Result<Box<dyn Store>> {
    let db = Database::builder(dir)
        .cache_size(options.cache as u64)
        .journal_compression(CompressionType::None)
        .open()?;
    let keys = db.keyspace("bench", || {
        KeyspaceCreateOptions::default()
            .data_block_compression_policy(CompressionPolicy::all(CompressionType::None))
    })?;
    Ok(Box::new(Fjall { db, keys, durability: options.durability }))
}

impl Store for Fjall {
    fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.keys.insert(key, value)?;
        if self.durability == Durability::Always {
            self.db.persist(PersistMode::SyncData)?;
        }
        Ok(())
    }

    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.keys.get(key)?.map(|value| see(&value)).is_some())
    }

    fn set_many(&self, pairs: &[Pair]) -> Result<()> {
        let mut batch = self.db.batch();
        for (key, value) in pairs {
            batch.insert(&self.keys, key.as_slice(), value.as_slice());
        }
        batch.commit()?;
        Ok(())
    }

    fn len(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.db.persist(PersistMode::SyncAll)?)
    }

    fn compact(&self) -> Result<()> {
        Ok(self.keys.major_compact()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()
    }
}
