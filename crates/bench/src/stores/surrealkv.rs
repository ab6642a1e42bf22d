//! surrealkv: a log-structured merge tree in Rust with an asynchronous commit.
//!
//! Commits are awaited with `block_on`, as a synchronous user of it has to; its background tasks
//! run on a runtime with two workers.

use std::path::Path;

use surrealkv::{CompactRangeOptions, Durability as Commit, Error, Mode, Tree, TreeBuilder};
use tokio::runtime::{Builder, Runtime};

use super::{Durability, Options, Pair, Store};
use crate::Result;

struct SurrealKv {
    tree: Tree,
    commit: Commit,
    runtime: Runtime,
}

/// Opens or creates a tree.
pub fn open(dir: &Path, options: Options) -> Result<Box<dyn Store>> {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let builder = TreeBuilder::new()
        .with_path(dir.to_path_buf())
        .with_block_cache_capacity(options.cache as u64)
        .without_compression();
    let tree = runtime.block_on(builder.build_async())?;
    let commit = match options.durability {
        Durability::Os => Commit::Eventual,
        Durability::Always => Commit::Immediate,
    };
    Ok(Box::new(SurrealKv { tree, commit, runtime }))
}

impl SurrealKv {
    fn try_set(&self, key: &[u8], value: &[u8]) -> Result<(), Error> {
        let mut txn = self.tree.begin_with_mode(Mode::WriteOnly)?.with_durability(self.commit);
        txn.set(key, value)?;
        self.runtime.block_on(txn.commit())
    }
}

impl Store for SurrealKv {
    fn set(&self, key: &[u8], value: &[u8]) -> Result<()> {
        loop {
            match self.try_set(key, value) {
                // Two writers of one key: the second has to begin again.
                Err(Error::TransactionWriteConflict) => continue,
                done => return Ok(done?),
            }
        }
    }

    fn get(&self, key: &[u8], see: &mut dyn FnMut(&[u8])) -> Result<bool> {
        let txn = self.tree.begin_with_mode(Mode::ReadOnly)?;
        Ok(txn.get(key)?.map(|value| see(&value)).is_some())
    }

    fn set_many(&self, pairs: &[Pair]) -> Result<()> {
        let mut txn = self.tree.begin_with_mode(Mode::WriteOnly)?.with_durability(self.commit);
        for (key, value) in pairs {
            txn.set(key.as_slice(), value.as_slice())?;
        }
        Ok(self.runtime.block_on(txn.commit())?)
    }

    fn len(&self) -> Result<Option<u64>> {
        Ok(None)
    }

    fn sync(&self) -> Result<()> {
        Ok(self.tree.flush_wal(true)?)
    }

    fn compact(&self) -> Result<()> {
        let _context = self.runtime.enter();
        Ok(self.tree.compact_range(None, None, &CompactRangeOptions::default())?)
    }

    fn close(self: Box<Self>) -> Result<()> {
        Ok(self.runtime.block_on(self.tree.close())?)
    }
}
