//! redb: a copy-on-write B-tree in Rust, one writer at a time.
//!
//! With `Durability::None` a commit stays in this process until the next `Immediate` one, which
//! is what [`Store::sync`] makes.

use std::path::Path;

use redb::{
    Database, Durability as Commit, ReadableDatabase, ReadableTableMetadata, TableDefinition,
    WriteTransaction,
};

use super::{Durability, Options, Pair, Store};
use crate::Result;

const TABLE: TableDefinition<&[u8], &[u8]> = TableDefinition::new("bench");

struct Redb {
    db: Database,
    commit: Commit,
}

/// Opens or creates a database.
pub fn open(dir: &Path, options: Options) -> Result<Box<dyn Store>> {
    let db = Database::builder().set_cache_size(options.cache).create(dir.join("data.redb"))?;
    let commit = match options.durability {
        Durability::Os => Commit::None,
        Durability::Always => Commit::Immediate,
    };
    let store = Redb { db, commit };
    store.sync()?;
    Ok(Box::new(store))
}

impl Redb {
    fn begin(&self, commit: Commit) -> Result<WriteTransaction> {
        let mut txn = self.db.begin_write()?;
        txn.set_durability(commit)?;
        Ok(txn)
    }
}

impl Store for Redb {
    fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        let txn = self.begin(self.commit)?;
        txn.open_table(TABLE)?.insert(key, value)?;
        Ok(txn.commit()?)
    }

    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let table = self.db.begin_read()?.open_table(TABLE)?;
        Ok(table.get(key)?.map(|value| see(value.value())).is_some())
    }

    fn set_many(&self, pairs: &[Pair]) -> Result<()> {
        let txn = self.begin(self.commit)?;
        {
            let mut table = txn.open_table(TABLE)?;
            for (key, value) in pairs {
                table.insert(key.as_slice(), value.as_slice())?;
            }
        }
        Ok(txn.commit()?)
    }

    fn len(&self) -> Result<Option<u64>> {
        Ok(Some(self.db.begin_read()?.open_table(TABLE)?.len()?))
    }

    fn sync(&self) -> Result<()> {
        let txn = self.begin(Commit::Immediate)?;
        txn.open_table(TABLE)?;
        Ok(txn.commit()?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.sync()
    }
}
