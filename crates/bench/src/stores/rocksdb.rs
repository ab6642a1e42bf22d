//! RocksDB: a log-structured merge tree in C++.
//!
//! Set up as its tuning guide advises for point reads: ten bits of Bloom filter a key, a block
//! cache, two background jobs for two cores.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, BottommostLevelCompaction, Cache, CompactOptions, DB, DBCompressionType,
    Options as DbOptions, WriteBatch, WriteOptions,
};

use super::{Durability, Options, Pair, Store};
use crate::Result;

struct RocksDb {
    db: DB,
    write: WriteOptions,
}

/// Opens or creates a database.
pub fn open(dir: &Path, options: Options) -> Result<Box<dyn Store>> {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(&Cache::new_lru_cache(options.cache));
    table.set_bloom_filter(10.0, false);
    let mut db = DbOptions::default();
    db.create_if_missing(true);
    db.set_block_based_table_factory(&table);
    db.set_compression_type(DBCompressionType::None);
    db.increase_parallelism(2);
    let mut write = WriteOptions::default();
    write.set_sync(options.durability == Durability::Always);
    Ok(Box::new(RocksDb { db: DB::open(&db, dir)?, write }))
}

impl Store for RocksDb {
    fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        Ok(self.db.put_opt(key, value, &self.write)?)
    }

    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        Ok(self.db.get_pinned(key)?.map(|value| see(&value)).is_some())
    }

    fn set_many(&self, pairs: &[Pair]) -> Result<()> {
        let mut batch = WriteBatch::default();
        pairs.iter().for_each(|(key, value)| batch.put(key, value));
        Ok(self.db.write_opt(batch, &self.write)?)
    }

    fn len(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.db.flush_wal(true)?)
    }

    fn compact(&self) -> Result<()> {
        let mut options = CompactOptions::default();
        options.set_bottommost_level_compaction(BottommostLevelCompaction::Force);
        self.db.compact_range_opt(None::<&[u8]>, None::<&[u8]>, &options);
        Ok(())
    }

    fn close(self: Box<Self>) -> Result<()> {
        self.db.cancel_all_background_work(true);
        Ok(())
    }
}
