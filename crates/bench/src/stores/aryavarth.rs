//! The store of this repository.

use std::path::Path;

use aryavarth::{Durability as Ack, KvStore, Options as StoreOptions};

use super::{Durability, Options, Store};
use crate::Result;

struct Aryavarth(KvStore);

/// Opens or creates a store. It has no cache of its own: values are read through the page cache.
pub fn open(dir: &Path, options: Options) -> Result<Box<dyn Store>> {
    let ack = match options.durability {
        Durability::Os => Ack::Os,
        Durability::Always => Ack::Always,
    };
    Ok(Box::new(Aryavarth(KvStore::open_with(dir, StoreOptions::default().durability(ack))?)))
}

impl Store for Aryavarth {
    fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.0.set(key, value)?)
    }

    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.0.get(key)?.map(|value| see(&value)).is_some())
    }

    fn len(&self) -> Result<Option<u64>> {
        Ok(Some(self.0.len()))
    }

    fn sync(&self) -> Result<()> {
        self.0.sync()?;
        Ok(())
    }

    fn compact(&self) -> Result<()> {
        self.0.compact()?;
        Ok(())
    }

    fn gauges(&self) -> Vec<(&'static str, f64)> {
        let stats = self.0.stats();
        vec![("index_bytes", stats.index_bytes as f64), ("stale_bytes", stats.stale_bytes as f64)]
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.0.close()?;
        Ok(())
    }
}
