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

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use aryavarth::{
    Effect, EntryRef, Error, KvStore, Lives, ReplicatedLog, Result, Rotten, Sequence, Walk, Walked,
    WriteBatch,
};

use crate::entry_log::{
    EntryId, EntryIndex, EntryLog, LoggedEntry, NewEntry, ReplicatedState, ShardId,
};
use crate::pace::Pace;
use crate::split;
use crate::store::{Chunks, NodeStore, ShardData, ShardInstall};

/// Says which shard a key is of.
pub type Owner = Arc<dyn Fn(&[u8]) -> ShardId + Send + Sync>;

/// Bytes of a chunk of a snapshot, about.
const CHUNK_BYTES: u64 = 256 << 10;
/// Bytes of the log that are visited before a chunk is looked at again.
const WALKED_AT_ONCE: u64 = 1 << 20;
/// Keys removed in one batch, about.
const REMOVED_AT_ONCE: usize = 1024;

/// Called when damage is met.
pub type Alarm = Arc<dyn Fn() + Send + Sync>;

/// What is known of splits.
#[derive(Clone)]
struct Splits {
    listener: split::Listener,
    /// What shards here were split into, as it was told.
    told: Arc<Mutex<BTreeMap<ShardId, BTreeSet<ShardId>>>>,
}

/// The store of a node.
#[derive(Clone)]
pub struct EngineStore {
    store: KvStore,
    owner: Owner,
    alarm: Option<Alarm>,
    /// Told of splits, where there are any.
    splits: Option<Splits>,
    /// Shards of which there is no key until a snapshot or an entry brings one.
    empty: Arc<Mutex<BTreeSet<ShardId>>>,
}

impl fmt::Debug for EngineStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineStore").field("store", &self.store).finish_non_exhaustive()
    }
}

impl EngineStore {
    /// The store whose keys are of the shards that `owner` says.
    pub fn new(store: KvStore, owner: Owner) -> EngineStore {
        EngineStore { store, owner, alarm: None, splits: None, empty: Arc::default() }
    }

    /// Has `alarm` be called whenever a snapshot, its installation or a removal meets damage.
    #[must_use]
    pub fn with_alarm(mut self, alarm: Alarm) -> EngineStore {
        self.alarm = Some(alarm);
        self
    }

    /// Has splits of shards make the new ones' replicas, and `listener` be told: of those there were, now and
    /// whenever a replica here has applied one or was sent what came of it. It is called before anybody is told that
    /// they are applied.
    ///
    /// # Errors
    /// If the store takes no writes.
    pub fn with_splits(mut self, listener: split::Listener) -> Result<EngineStore> {
        self.splits = Some(Splits { listener, told: Arc::default() });
        for shard in self.store.replicated_shards() {
            self.look_for_splits(shard)?;
        }
        Ok(self)
    }

    /// What a shard here was split into, as far as replicas were made of it and the listener was told.
    pub fn heeded_splits(&self, shard: ShardId) -> BTreeSet<ShardId> {
        let told = self.splits.as_ref().map(|splits| &splits.told);
        let told = told.map(|told| told.lock().unwrap_or_else(PoisonError::into_inner));
        told.and_then(|told| told.get(&shard).cloned()).unwrap_or_default()
    }

    /// What it tells of a shard that is damaged was told before, or is told when it is mended: whoever is to lead reads
    /// it once more.
    fn look_for_splits(&self, shard: ShardId) -> Result<()> {
        let Some(Splits { listener, told }) = &self.splits else { return Ok(()) };
        let into = match split::split_off(&self.store, shard) {
            Err(error) if error.is_damage() || error.is_unreadable() => {
                self.alarm.iter().for_each(|alarm| alarm());
                return Ok(());
            }
            into => into?,
        };
        let mut told = told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.get(&shard).is_some_and(|told| *told == into) {
            return Ok(());
        }
        split::make_replicas(&self.store, shard, &into)?;
        listener(&into);
        told.insert(shard, into);
        Ok(())
    }

    /// Removes all keys of `shard`, which has no replica here. Not synced. Blocks, and takes its time.
    ///
    /// # Errors
    /// If the store takes no writes, or cannot be read. After [`Error::Damaged`] it should be tried again:
    /// damaged records of the shard are in nobody's way then, if their keys can still be told.
    pub fn clear(&self, shard: ShardId) -> Result<()> {
        self.remove(shard, self.newest()?)?;
        self.empty().insert(shard);
        self.store.note_cleared(shard)
    }

    /// The shards that had a replica here of which keys may be left: their removal was cut off.
    pub fn left_behind(&self) -> Vec<ShardId> {
        self.store.left_behind()
    }

    fn empty(&self) -> MutexGuard<'_, BTreeSet<ShardId>> {
        self.empty.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the keys of `shard` whose values are not newer than `newest`.
    fn remove(&self, shard: ShardId, newest: Sequence) -> Result<()> {
        let removed = self.remove_intact(shard, newest);
        if removed.as_ref().is_err_and(Error::is_damage) {
            self.remove_rotten(shard)?;
        }
        removed
    }

    fn remove_intact(&self, shard: ShardId, newest: Sequence) -> Result<()> {
        let mut walk = self.begin_walk(shard, Sequence(newest.0 + 1))?;
        let (mut removed, mut pace) = (WriteBatch::new(), Pace::begin());
        loop {
            let walked = self.walk(shard, &mut walk, |entry| _ = removed.remove(entry.key))?;
            let is_over = walked == Walked::Whole;
            if removed.len() >= REMOVED_AT_ONCE || (is_over && !removed.is_empty()) {
                self.store.write_unsynced(&removed)?;
                removed.clear();
            }
            if is_over {
                return Ok(());
            }
            pace.rest();
        }
    }

    /// Removes the keys of `shard` that have damaged records, new or not: their versions cannot be told.
    fn remove_rotten(&self, shard: ShardId) -> Result<()> {
        let (mut scrub, mut removed) = (self.store.begin_scrub()?, WriteBatch::new());
        let mut pace = Pace::begin();
        let mut note = |rotten: Rotten| {
            if let Lives::Key(key) = rotten.lives
                && (self.owner)(&key) == shard
            {
                removed.remove(key);
            }
        };
        while self.store.scrub(&mut scrub, WALKED_AT_ONCE, &mut note)? == Walked::Partly {
            pace.rest();
        }
        self.store.write_unsynced(&removed).map(drop)
    }

    /// The version of the newest write.
    fn newest(&self) -> Result<Sequence> {
        // An empty batch writes nothing, and tells.
        self.store.write_unsynced(&WriteBatch::new())
    }

    /// Begins a walk over the logs that may have keys of `shard`: it may have been split off any before it.
    fn begin_walk(&self, shard: ShardId, older_than: Sequence) -> Result<Walk> {
        let first = if self.splits.is_some() { ShardId(1).min(shard) } else { shard };
        #[cfg(feature = "simulation")]
        let first = if planted::are_split_keys_not_copied() { shard } else { first };
        self.store.begin_walk(first..=shard, older_than)
    }

    /// Goes on with a walk, and shows the keys that are of `shard`.
    fn walk(
        &self,
        shard: ShardId,
        walk: &mut Walk,
        show: impl FnMut(EntryRef<'_>),
    ) -> Result<Walked> {
        let is_of_shard = |key: &[u8]| (self.owner)(key) == shard;
        let walked = self.store.walk(walk, WALKED_AT_ONCE, is_of_shard, show);
        if let Some(alarm) = &self.alarm
            && walked.as_ref().is_err_and(Error::is_damage)
        {
            alarm();
        }
        walked
    }
}

impl NodeStore for EngineStore {
    fn log(&self, shard: ShardId) -> Result<Arc<dyn EntryLog>> {
        let log = self.store.replicated(shard)?;
        Ok(Arc::new(EngineLog { store: self.clone(), log }))
    }

    fn shards(&self) -> Vec<ShardId> {
        self.store.replicated_shards()
    }

    fn may_take(&self, shard: ShardId, split_off: &BTreeSet<ShardId>) -> bool {
        let end = split_off.iter().copied().find(|other| *other > shard);
        let is_within = |other: &ShardId| *other > shard && end.is_none_or(|end| *other < end);
        // Group 0 has no keys of clients, and is never split.
        self.splits.is_none()
            || shard == ShardId(0)
            || !self.store.replicated_shards().iter().any(is_within)
    }

    fn sync(&self) -> Result<()> {
        self.store.sync()
    }
}

impl ShardData for EngineStore {
    fn split_off(&self, shard: ShardId) -> Result<BTreeSet<ShardId>> {
        match self.splits {
            Some(_) => split::split_off(&self.store, shard),
            None => Ok(BTreeSet::new()),
        }
    }

    fn export(&self, shard: ShardId) -> Result<Chunks> {
        let walk = Some(self.begin_walk(shard, Sequence(u64::MAX))?);
        Ok(Box::new(Export { from: self.clone(), shard, walk }))
    }

    fn begin_install(&self, shard: ShardId) -> Result<Box<dyn ShardInstall>> {
        // The first snapshot of a new replica finds nothing; a second one finds what the first has left.
        let was_empty = self.empty().remove(&shard);
        let is_new = was_empty && self.store.replicated(shard)?.state()?.applied.is_none();
        let before = if is_new { None } else { Some(self.newest()?) };
        Ok(Box::new(Install { into: self.clone(), shard, before }))
    }
}

/// A shard's records on their way out.
struct Export {
    from: EngineStore,
    shard: ShardId,
    /// Until its end is reached.
    walk: Option<Walk>,
}

impl Iterator for Export {
    type Item = Result<WriteBatch>;

    fn next(&mut self) -> Option<Result<WriteBatch>> {
        let mut chunk = WriteBatch::new();
        while let Some(walk) = &mut self.walk
            && chunk.bytes() < CHUNK_BYTES
        {
            let walked = self.from.walk(self.shard, walk, |entry| {
                let effect = Effect::Set { value: entry.value, expires_at: entry.expires_at };
                chunk.push(entry.key, effect);
            });
            match walked {
                Ok(Walked::Partly) => {}
                Ok(Walked::Whole) => self.walk = None,
                Err(error) => {
                    self.walk = None;
                    return Some(Err(error));
                }
            }
        }
        #[cfg(feature = "simulation")]
        if self.walk.is_none() {
            chunk = planted::without_tail(chunk);
        }
        (!chunk.is_empty()).then_some(Ok(chunk))
    }
}

/// A shard's records on their way in.
struct Install {
    into: EngineStore,
    shard: ShardId,
    /// The newest version there was before the first chunk, if there may be keys of that time.
    before: Option<Sequence>,
}

impl ShardInstall for Install {
    fn chunk(&mut self, records: &WriteBatch) -> Result<()> {
        self.into.store.write_unsynced(records).map(drop)
    }

    fn finish(self: Box<Self>, base: EntryId, config: &[u8]) -> Result<()> {
        if let Some(before) = self.before {
            self.into.remove(self.shard, before)?;
        }
        if self.into.splits.is_some() && self.before.is_some() {
            // Keys of these may be here from before the split, which this replica will never apply. Noted first: with
            // the snapshot and without the note they would stay for good.
            let heeded = self.into.heeded_splits(self.shard);
            for other in split::split_off(&self.into.store, self.shard)?.difference(&heeded) {
                self.into.store.note_left_behind(*other)?;
            }
        }
        self.into.store.replicated(self.shard)?.reset(base, Some((base, config)))?;
        self.into.look_for_splits(self.shard)?;
        self.into.store.sync()
    }
}

/// The log of one shard.
#[derive(Debug)]
struct EngineLog {
    store: EngineStore,
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
        self.apply(up_to.index)?;
        let state = self.log.state()?;
        #[cfg(feature = "simulation")]
        let up_to = planted::purged_up_to(up_to, &state);
        let is_beyond = state.last.is_none_or(|last| last.index < up_to.index);
        #[cfg(feature = "simulation")]
        let is_beyond = is_beyond || planted::is_not_applied(up_to, &state);
        if is_beyond {
            let config = state.config.as_ref().map(|(id, bytes)| (*id, &bytes[..]));
            return self.log.reset(up_to, config);
        }
        self.log.purge(up_to)
    }

    fn holds(&self, id: EntryId) -> bool {
        matches!(self.log.id_at(id.index), Ok(found) if found == Some(id))
    }

    fn read(&self, indexes: Range<u64>, max_bytes: u64) -> Result<Vec<LoggedEntry>> {
        self.log.read(EntryIndex(indexes.start)..EntryIndex(indexes.end), max_bytes)
    }

    fn apply(&self, up_to: EntryIndex) -> Result<()> {
        self.log.apply(up_to)?;
        self.store.look_for_splits(self.log.shard())
    }

    fn hides_keys(&self) -> bool {
        self.store.store.hides_keys()
    }

    fn reset(&self, base: EntryId, config: &[u8]) -> Result<()> {
        self.log.reset(base, Some((base, config)))
    }

    fn forget(&self) -> Result<()> {
        self.log.forget()
    }

    fn sync(&self) -> Result<()> {
        self.store.store.sync()
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

    pub(super) fn are_split_keys_not_copied() -> bool {
        is_planted(Planted::SplitKeysNotCopied)
    }

    /// Whether, if the bug is there, something is purged that was not applied.
    pub(super) fn is_not_applied(up_to: EntryId, state: &ReplicatedState) -> bool {
        is_planted(Planted::PurgeTooEarly) && state.applied < Some(up_to)
    }

    /// Everything, if the bug is there: also what was not applied.
    pub(super) fn purged_up_to(up_to: EntryId, state: &ReplicatedState) -> EntryId {
        let last = state.last.filter(|_| is_planted(Planted::PurgeTooEarly));
        last.unwrap_or(up_to)
    }
}

#[cfg(test)]
mod tests {
    use aryavarth::disk::sim::SimDisk;
    use aryavarth::{EntryIndex, Options, Payload, Term};

    use super::*;

    const SHARD: ShardId = ShardId(1);

    fn open() -> KvStore {
        let disk = Arc::new(SimDisk::new());
        KvStore::open_with("/store", Options::default().disk(disk)).unwrap()
    }

    fn chunk(install: &mut Box<dyn ShardInstall>, keys: &[&str]) {
        let mut batch = WriteBatch::new();
        keys.iter().for_each(|key| _ = batch.set(key, "x"));
        install.chunk(&batch).unwrap();
    }

    fn keys(store: &KvStore) -> Vec<String> {
        let keys = store.iter().map(|entry| String::from_utf8(entry.unwrap().key).unwrap());
        let mut keys: Vec<String> = keys.collect();
        keys.sort();
        keys
    }

    #[test]
    fn a_snapshot_replaces_what_was_there_and_what_an_earlier_one_left() {
        let store = open();
        let owner: Owner = Arc::new(|key| ShardId(if key.starts_with(b"other") { 2 } else { 1 }));
        let data = EngineStore::new(store.clone(), owner);
        for key in ["a replica of before", "other"] {
            store.set(key, "x").unwrap();
        }
        data.clear(SHARD).unwrap();
        assert_eq!(keys(&store), ["other"]);

        let mut cut_off = data.begin_install(SHARD).unwrap();
        chunk(&mut cut_off, &["a", "b"]);
        drop(cut_off);
        let mut whole = data.begin_install(SHARD).unwrap();
        chunk(&mut whole, &["b", "c"]);
        let base = |index| EntryId { term: Term(1), index: EntryIndex(index) };
        whole.finish(base(7), b"").unwrap();
        assert_eq!(keys(&store), ["b", "c", "other"]);

        let mut next = data.begin_install(SHARD).unwrap();
        chunk(&mut next, &["d"]);
        next.finish(base(9), b"").unwrap();
        assert_eq!(keys(&store), ["d", "other"]);
    }

    #[test]
    fn a_new_replica_that_has_applied_something_is_not_taken_for_empty() {
        let store = open();
        let data = EngineStore::new(store.clone(), Arc::new(|_| SHARD));
        data.clear(SHARD).unwrap();
        let log = data.log(SHARD).unwrap();
        let mut batch = WriteBatch::new();
        batch.set("applied", "x");
        let id = EntryId { term: Term(1), index: EntryIndex(0) };
        let payload = Payload::Effects(&batch);
        log.append(&[NewEntry { id, payload }]).unwrap();
        log.apply(id.index).unwrap();
        let mut install = data.begin_install(SHARD).unwrap();
        chunk(&mut install, &["sent"]);
        install.finish(EntryId { term: Term(1), index: EntryIndex(5) }, b"").unwrap();
        assert_eq!(keys(&store), ["sent"]);
    }
}
