//! sled: a lock-free B-link tree over a log, in Rust.
//!
//! Its default flushes every 500 ms: a set is acknowledged while it is still in the process.

use std::path::Path;

use sled::{Config, Db};

use super::{Durability, Options, Pair, Store};
use crate::Result;

struct Sled {
    db: Db,
    durability: Durability,
}

/// Opens or creates a database.
pub fn open(dir: &Path, options: Options) -> Result<Box<dyn Store>> {
    let db = Config::new().path(dir).cache_capacity(options.cache as u64).open()?;
    Ok(Box::new(Sled { db, durability: options.durability }))
}

impl Store for Sled {
    fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        self.db.insert(key, value)?;
        if self.durability == Durability::Always {
            self.db.flush()?;
        }
        Ok(())
    }

    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.db.get(key)?.map(|value| see(&value)).is_some())
    }

    fn set_many(&self, pairs: &[Pair]) -> Result<()> {
        for (key, value) in pairs {
            self.db.insert(key, value.as_slice())?;
        }
        Ok(())
    }

    fn len(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn sync(&self) -> Result<()> {
        self.db.flush()?;
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()
    }
}
