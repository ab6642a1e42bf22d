//! The engine's store as the store of a node: all groups' logs in its one log, all shards' keys in its
//! one index.
//!
//! ```text
//!  group of shard 1 ─▶ EngineLog ─┐
//!  group of shard 2 ─▶ EngineLog ─┼─▶ KvStore: one log, one index, one sync
//!  snapshots ───────▶ EngineStore ┘     which shard a key is of, an Owner says
//! ```
//!
//! An installed snapshot replaces a shard's records: its chunks are written over what is there, and what is
//! older than the first of them is removed at the end. A record's version tells, whatever compaction did
//! to it.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;

use aryavarth::{
    Effect, EntryRef, KvStore, ReplicatedLog, Result, ScanPosition, Sequence, WriteBatch,
};

use crate::entry_log::{
    EntryId, EntryIndex, EntryLog, LoggedEntry, NewEntry, ReplicatedState, ShardId,
};
use crate::store::{Chunks, NodeStore, ShardData, ShardInstall};

/// Says which shard a key is of.
pub type Owner = Arc<dyn Fn(&[u8]) -> ShardId + Send + Sync>;

/// Bytes of a chunk of a snapshot, about.
const CHUNK_BYTES: u64 = 256 << 10;
/// Keys looked at before a chunk is looked at again.
const SCANNED_AT_ONCE: usize = 256;
/// Keys removed in one batch.
const REMOVED_AT_ONCE: usize = 1024;

/// The store of a node.
#[derive(Clone)]
pub struct EngineStore {
    store: KvStore,
    owner: Owner,
}

impl fmt::Debug for EngineStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineStore").field("store", &self.store).finish_non_exhaustive()
    }
}

impl EngineStore {
    /// The store whose keys are of the shards that `owner` says.
    pub fn new(store: KvStore, owner: Owner) -> EngineStore {
        EngineStore { store, owner }
    }

    /// Shows keys of `shard` from `position` on; returns where to go on.
    fn scan(
        &self,
        shard: ShardId,
        position: ScanPosition,
        mut show: impl FnMut(EntryRef<'_>),
    ) -> Result<Option<ScanPosition>> {
        self.store.scan(position, SCANNED_AT_ONCE, |entry| {
            if (self.owner)(entry.key) == shard {
                show(entry);
            }
        })
    }
}

impl NodeStore for EngineStore {
    fn log(&self, shard: ShardId) -> Result<Arc<dyn EntryLog>> {
        let log = self.store.replicated(shard)?;
        Ok(Arc::new(EngineLog { store: self.store.clone(), log }))
    }

    fn shards(&self) -> Vec<ShardId> {
        self.store.replicated_shards()
    }

    fn sync(&self) -> Result<()> {
        self.store.sync()
    }
}

impl ShardData for EngineStore {
    fn export(&self, shard: ShardId) -> Result<Chunks> {
        Ok(Box::new(Export { from: self.clone(), shard, position: Some(ScanPosition::START) }))
    }

    fn begin_install(&self, shard: ShardId) -> Result<Box<dyn ShardInstall>> {
        // An empty batch writes nothing, and tells the newest version there is.
        let before = self.store.write_unsynced(&WriteBatch::new())?;
        Ok(Box::new(Install { into: self.clone(), shard, before }))
    }
}

/// A shard's records on their way out.
struct Export {
    from: EngineStore,
    shard: ShardId,
    position: Option<ScanPosition>,
}

impl Iterator for Export {
    type Item = Result<WriteBatch>;

    fn next(&mut self) -> Option<Result<WriteBatch>> {
        let mut chunk = WriteBatch::new();
        while let Some(position) = self.position
            && chunk.bytes() < CHUNK_BYTES
        {
            let scanned = self.from.scan(self.shard, position, |entry| {
                let effect = Effect::Set { value: entry.value, expires_at: entry.expires_at };
                chunk.push(entry.key, effect);
            });
            match scanned {
                Ok(next) => self.position = next,
                Err(error) => {
                    self.position = None;
                    return Some(Err(error));
                }
            }
        }
        #[cfg(feature = "simulation")]
        if self.position.is_none() {
            chunk = planted::without_tail(chunk);
        }
        (!chunk.is_empty()).then_some(Ok(chunk))
    }
}

/// A shard's records on their way in.
struct Install {
    into: EngineStore,
    shard: ShardId,
    /// The newest version there was before the first chunk.
    before: Sequence,
}

impl Install {
    /// Removes what was in no chunk.
    fn remove_older(&self) -> Result<()> {
        let mut position = Some(ScanPosition::START);
        let mut older = WriteBatch::new();
        while let Some(at) = position {
            position = self.into.scan(self.shard, at, |entry| {
                if entry.version <= self.before {
                    older.remove(entry.key);
                }
            })?;
            if older.len() >= REMOVED_AT_ONCE || (position.is_none() && !older.is_empty()) {
                self.into.store.write_unsynced(&older)?;
                older.clear();
            }
        }
        Ok(())
    }
}

impl ShardInstall for Install {
    fn chunk(&mut self, records: &WriteBatch) -> Result<()> {
        self.into.store.write_unsynced(records).map(drop)
    }

    fn finish(self: Box<Self>, base: EntryId, config: &[u8]) -> Result<()> {
        self.remove_older()?;
        self.into.store.replicated(self.shard)?.reset(base, Some((base, config)))?;
        self.into.store.sync()
    }
}

/// The log of one shard.
#[derive(Debug)]
struct EngineLog {
    store: KvStore,
    log: ReplicatedLog,
}

impl EntryLog for EngineLog {
    /// Nothing, once the replica is gone: whoever still has the handle finds an empty log.
    fn state(&self) -> ReplicatedState {
        self.log.state().unwrap_or_default()
    }

    fn append(&self, entries: &[NewEntry<'_>]) -> Result<()> {
        self.log.append(entries)
    }

    fn save_vote(&self, vote: &[u8]) -> Result<()> {
        self.log.save_vote(vote)
    }

    fn save_committed(&self, id: EntryId) -> Result<()> {
        self.log.save_committed(id)
    }

    fn truncate_after(&self, last: Option<EntryId>) -> Result<()> {
        self.log.truncate_after(last.map(|id| id.index))
    }

    /// Whoever purges an entry knows that it is committed: what was not applied is applied first.
    fn purge(&self, up_to: EntryId) -> Result<()> {
        self.log.apply(up_to.index)?;
        let state = self.log.state()?;
        #[cfg(feature = "simulation")]
        let up_to = planted::purged_up_to(up_to, &state);
        let is_beyond = state.last.is_none_or(|last| last.index < up_to.index);
        #[cfg(feature = "simulation")]
        let is_beyond = is_beyond || state.applied < Some(up_to);
        if is_beyond {
            let config = state.config.as_ref().map(|(id, bytes)| (*id, &bytes[..]));
            return self.log.reset(up_to, config);
        }
        self.log.purge(up_to)
    }

    fn read(&self, indexes: Range<u64>, max_bytes: u64) -> Result<Vec<LoggedEntry>> {
        self.log.read(EntryIndex(indexes.start)..EntryIndex(indexes.end), max_bytes)
    }

    fn apply(&self, up_to: EntryIndex) -> Result<()> {
        self.log.apply(up_to)
    }

    fn reset(&self, base: EntryId, config: &[u8]) -> Result<()> {
        self.log.reset(base, Some((base, config)))
    }

    fn forget(&self) -> Result<()> {
        self.log.forget()
    }

    fn sync(&self) -> Result<()> {
        self.store.sync()
    }
}

/// Where bugs of a store are planted.
#[cfg(feature = "simulation")]
mod planted {
    use aryavarth::planted::{Planted, is_planted};
    use aryavarth::{EntryId, ReplicatedState, WriteBatch};

    pub(super) fn without_tail(chunk: WriteBatch) -> WriteBatch {
        if !is_planted(Planted::SnapshotWithoutTail) {
            return chunk;
        }
        let mut cut = WriteBatch::new();
        for number in 0..chunk.len().saturating_sub(1) {
            let operation = chunk.operation(number);
            cut.push(operation.key, operation.effect);
        }
        cut
    }

    /// Everything, if the bug is there: also what was not applied.
    pub(super) fn purged_up_to(up_to: EntryId, state: &ReplicatedState) -> EntryId {
        let last = state.last.filter(|_| is_planted(Planted::PurgeTooEarly));
        last.unwrap_or(up_to)
    }
}
