//! What a node's groups ask of its store, apart from the logs: records by shard, in and out.
//!
//! A snapshot of a shard is its live records, streamed. It is taken while writes go on, so it may
//! carry effects newer than the entry it is said to stand at (its *base*). That is harmless: effects are
//! absolute, and the entries after the base are applied over it in order.

use std::collections::BTreeSet;
use std::sync::Arc;

use aryavarth::{Result, WriteBatch};

use crate::entry_log::{EntryId, EntryLog, ShardId};

/// Chunks of a shard's live records, each a batch that writes them.
pub type Chunks = Box<dyn Iterator<Item = Result<WriteBatch>> + Send>;

/// A shard's records, in and out. Calls may block on the disk; they are made where that is allowed.
pub trait ShardData: Send + Sync + 'static {
    /// All live records of `shard`: each that was live when this was called and has not changed since,
    /// and of those that change meanwhile some state that they had since, or none. Chunks of some
    /// hundred KiB.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn export(&self, shard: ShardId) -> Result<Chunks>;

    /// The shards that have what was `shard`'s own once, as far as its records here say.
    ///
    /// # Errors
    /// If the store cannot be read.
    fn split_off(&self, _shard: ShardId) -> Result<BTreeSet<ShardId>> {
        Ok(BTreeSet::new())
    }

    /// Begins to replace the records of `shard`. Nothing is applied to the shard until
    /// [`ShardInstall::finish`] or until the installation is dropped.
    ///
    /// # Errors
    /// If the store takes no writes.
    fn begin_install(&self, shard: ShardId) -> Result<Box<dyn ShardInstall>>;
}

/// An installation of a shard's records in progress.
///
/// Chunks may become visible at once. Dropped without `finish`, what was written may stay, but nothing
/// else may have been removed: the shard's own log, applied again from where it stood, must lead
/// to the same records in the end. The same holds after a crash.
pub trait ShardInstall: Send {
    /// Writes the records of one chunk.
    ///
    /// # Errors
    /// If the store takes no writes.
    fn chunk(&mut self, records: &WriteBatch) -> Result<()>;

    /// All chunks were written: removes the shard's records that were in none of them, and lets its log
    /// begin after `base` with `config` (see [`EntryLog::reset`]). Durable when it returns.
    ///
    /// # Errors
    /// If the store takes no writes.
    fn finish(self: Box<Self>, base: EntryId, config: &[u8]) -> Result<()>;
}

/// The store of a node.
pub trait NodeStore: ShardData {
    /// The log of a shard; an empty one if the shard was never here.
    ///
    /// # Errors
    /// If the store is closed.
    fn log(&self, shard: ShardId) -> Result<Arc<dyn EntryLog>>;

    /// The shards that have a log here.
    fn shards(&self) -> Vec<ShardId>;

    /// Whether a snapshot of `shard`, off which these had been split, may be taken here. Not if a shard is here that is
    /// yet to be split off by then: entries from before the split would overwrite what it wrote since.
    fn may_take(&self, _shard: ShardId, _split_off: &BTreeSet<ShardId>) -> bool {
        true
    }

    /// Makes durable all that was written so far.
    ///
    /// # Errors
    /// If it fails; the store is fenced then.
    fn sync(&self) -> Result<()>;
}
