//! A store in memory that forgets what was not synced, for tests.
//!
//! ```text
//!  writes ─▶ now ── sync: what was there when it began ─▶ durable ── crash ─▶ now of the next life
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aryavarth::{Effect, Error, Result, WriteBatch};

use crate::entry_log::{
    EntryId, EntryIndex, EntryLog, LoggedEntry, LoggedPayload, NewEntry, Payload, ReplicatedState,
    ShardId,
};
use crate::store::{Chunks, NodeStore, ShardData, ShardInstall};

/// Records of one chunk of a snapshot.
const CHUNK: usize = 64;

/// Keys and their values.
pub type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// What becomes of entries to apply that were never appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Missing {
    /// An error, as in the real store.
    Fails,
    /// Nothing. Openraft's own suite applies entries that it never logged.
    Ignored,
}

/// The store of a node, in memory.
#[derive(Debug)]
pub struct MemoryStore {
    now: Mutex<State>,
    durable: Mutex<State>,
    missing: Missing,
    sync_takes: Duration,
    failing: AtomicBool,
    fenced: AtomicBool,
    syncs: AtomicU64,
}

type State = BTreeMap<ShardId, Shard>;

#[derive(Clone, Debug, Default)]
struct Shard {
    known: ReplicatedState,
    entries: BTreeMap<u64, Arc<LoggedEntry>>,
    records: Arc<Records>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn refused(cause: impl Into<String>) -> Error {
    Error::Fenced { cause: cause.into() }
}

impl MemoryStore {
    /// An empty store whose syncs take this long.
    pub fn new(sync_takes: Duration) -> Arc<MemoryStore> {
        MemoryStore::with(State::new(), Missing::Fails, sync_takes)
    }

    /// An empty store for openraft's suite.
    pub fn forgiving() -> Arc<MemoryStore> {
        MemoryStore::with(State::new(), Missing::Ignored, Duration::ZERO)
    }

    fn with(state: State, missing: Missing, sync_takes: Duration) -> Arc<MemoryStore> {
        Arc::new(MemoryStore {
            now: Mutex::new(state.clone()),
            durable: Mutex::new(state),
            missing,
            sync_takes,
            failing: AtomicBool::new(false),
            fenced: AtomicBool::new(false),
            syncs: AtomicU64::new(0),
        })
    }

    /// The store as it is found after a loss of power now.
    pub fn crashed(&self) -> Arc<MemoryStore> {
        MemoryStore::with(lock(&self.durable).clone(), self.missing, self.sync_takes)
    }

    /// Lets all syncs fail from now on.
    pub fn fail_syncs(&self) {
        self.failing.store(true, Ordering::SeqCst);
    }

    /// The number of syncs so far.
    pub fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }

    /// A shard's records.
    pub fn records(&self, shard: ShardId) -> Records {
        lock(&self.now).get(&shard).map(|shard| (*shard.records).clone()).unwrap_or_default()
    }

    fn change(self: &Arc<Self>, shard: ShardId) -> Handle {
        Handle { store: Arc::clone(self), shard }
    }

    fn sync_all(&self) -> Result<()> {
        if self.fenced.load(Ordering::SeqCst) {
            return Err(refused("an earlier sync failed"));
        }
        let seen = lock(&self.now).clone();
        if !self.sync_takes.is_zero() {
            std::thread::sleep(self.sync_takes);
        }
        if self.failing.load(Ordering::SeqCst) {
            self.fenced.store(true, Ordering::SeqCst);
            return Err(refused("planted"));
        }
        *lock(&self.durable) = seen;
        self.syncs.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }

    fn write<T>(&self, shard: ShardId, act: impl FnOnce(&mut Shard) -> Result<T>) -> Result<T> {
        if self.fenced.load(Ordering::SeqCst) {
            return Err(refused("an earlier sync failed"));
        }
        act(lock(&self.now).entry(shard).or_default())
    }
}

fn write_records(records: &mut Records, batch: &WriteBatch) {
    for number in 0..batch.len() {
        let operation = batch.operation(number);
        match operation.effect {
            Effect::Set { value, .. } => records.insert(operation.key.to_vec(), value.to_vec()),
            Effect::Remove => records.remove(operation.key),
        };
    }
}

/// The memory store, shared.
#[derive(Clone, Debug)]
pub struct Memory(pub Arc<MemoryStore>);

impl ShardData for Memory {
    fn export(&self, shard: ShardId) -> Result<Chunks> {
        let keys: Vec<_> = self.0.records(shard).into_keys().collect();
        let store = Arc::clone(&self.0);
        let chunks: Vec<_> = keys.chunks(CHUNK).map(<[_]>::to_vec).collect();
        Ok(Box::new(chunks.into_iter().map(move |keys| {
            // Read late, so that a chunk may be newer than the snapshot's base.
            let now = lock(&store.now);
            let mut batch = WriteBatch::new();
            if let Some(shard) = now.get(&shard) {
                for key in keys {
                    if let Some(value) = shard.records.get(&key) {
                        batch.set(key, value);
                    }
                }
            }
            Ok(batch)
        })))
    }

    fn begin_install(&self, shard: ShardId) -> Result<Box<dyn ShardInstall>> {
        let (store, came) = (Arc::clone(&self.0), BTreeSet::new());
        Ok(Box::new(Installation { store, shard, came }))
    }
}

struct Installation {
    store: Arc<MemoryStore>,
    shard: ShardId,
    came: BTreeSet<Vec<u8>>,
}

impl ShardInstall for Installation {
    fn chunk(&mut self, records: &WriteBatch) -> Result<()> {
        self.came.extend((0..records.len()).map(|n| records.operation(n).key.to_vec()));
        self.store.write(self.shard, |shard| {
            write_records(Arc::make_mut(&mut shard.records), records);
            Ok(())
        })
    }

    fn finish(self: Box<Self>, base: EntryId, config: &[u8]) -> Result<()> {
        self.store.write(self.shard, |shard| {
            Arc::make_mut(&mut shard.records).retain(|key, _| self.came.contains(key));
            Ok(())
        })?;
        self.store.change(self.shard).reset(base, config)?;
        self.store.sync_all()
    }
}

impl NodeStore for Memory {
    fn log(&self, shard: ShardId) -> Result<Arc<dyn EntryLog>> {
        Ok(Arc::new(self.0.change(shard)))
    }

    fn shards(&self) -> Vec<ShardId> {
        lock(&self.0.now).keys().copied().collect()
    }

    fn sync(&self) -> Result<()> {
        self.0.sync_all()
    }
}

/// The log of one shard.
#[derive(Clone, Debug)]
struct Handle {
    store: Arc<MemoryStore>,
    shard: ShardId,
}

impl EntryLog for Handle {
    fn state(&self) -> ReplicatedState {
        lock(&self.store.now).get(&self.shard).map(|s| s.known.clone()).unwrap_or_default()
    }

    fn append(&self, entries: &[NewEntry<'_>]) -> Result<()> {
        self.store.write(self.shard, |shard| {
            for entry in entries {
                let index = entry.id.index.0;
                // Openraft's suite begins its logs anywhere.
                if let Some(last) = shard.known.last
                    && last.index.0 + 1 != index
                {
                    return Err(refused(format!("{} does not follow {last}", entry.id)));
                }
                let payload = match entry.payload {
                    Payload::Blank => LoggedPayload::Blank,
                    Payload::Effects(batch) => LoggedPayload::Effects(batch.clone()),
                    Payload::Config(bytes) => LoggedPayload::Config(bytes.to_vec()),
                };
                shard.entries.insert(index, Arc::new(LoggedEntry { id: entry.id, payload }));
                shard.known.last = Some(entry.id);
            }
            Ok(())
        })
    }

    fn save_vote(&self, vote: &[u8]) -> Result<()> {
        self.store.write(self.shard, |shard| {
            shard.known.vote = Some(vote.to_vec());
            Ok(())
        })
    }

    fn save_committed(&self, id: EntryId) -> Result<()> {
        self.store.write(self.shard, |shard| {
            shard.known.committed = Some(id);
            Ok(())
        })
    }

    fn truncate_after(&self, last: Option<EntryId>) -> Result<()> {
        self.store.write(self.shard, |shard| {
            let first_gone = last.map_or(0, |last| last.index.0 + 1);
            if shard.known.applied.is_some_and(|applied| applied.index.0 >= first_gone) {
                return Err(refused("what is applied cannot be truncated"));
            }
            shard.entries.split_off(&first_gone);
            let kept = shard.entries.last_key_value().map(|(_, entry)| entry.id);
            shard.known.last = kept.or(shard.known.purged);
            Ok(())
        })
    }

    fn purge(&self, up_to: EntryId) -> Result<()> {
        self.store.write(self.shard, |shard| {
            if self.store.missing == Missing::Fails && shard.known.applied < Some(up_to) {
                return Err(refused("what is not applied cannot be purged"));
            }
            shard.entries = shard.entries.split_off(&(up_to.index.0 + 1));
            shard.known.purged = shard.known.purged.max(Some(up_to));
            shard.known.last = shard.known.last.max(Some(up_to));
            Ok(())
        })
    }

    fn read(&self, indexes: Range<u64>, max_bytes: u64) -> Result<Vec<LoggedEntry>> {
        let now = lock(&self.store.now);
        let Some(shard) = now.get(&self.shard) else { return Ok(Vec::new()) };
        if indexes.is_empty() {
            return Ok(Vec::new());
        }
        let mut bytes = 0;
        let found = shard.entries.range(indexes).map(|(_, entry)| entry);
        Ok(found
            .take_while(|entry| {
                let fits = bytes < max_bytes;
                bytes += match &entry.payload {
                    LoggedPayload::Effects(batch) => batch.bytes() + 1,
                    LoggedPayload::Config(config) => config.len() as u64 + 1,
                    LoggedPayload::Blank => 1,
                };
                fits
            })
            .map(|entry| (**entry).clone())
            .collect())
    }

    fn apply(&self, up_to: EntryIndex) -> Result<()> {
        self.store.write(self.shard, |shard| {
            let from = shard.known.applied.map_or(0, |applied| applied.index.0 + 1);
            for index in from..=up_to.0 {
                let Some(entry) = shard.entries.get(&index).cloned() else {
                    match self.store.missing {
                        Missing::Fails => return Err(refused(format!("{index} is not there"))),
                        Missing::Ignored => continue,
                    }
                };
                match &entry.payload {
                    LoggedPayload::Blank => {}
                    LoggedPayload::Effects(batch) => {
                        write_records(Arc::make_mut(&mut shard.records), batch);
                    }
                    LoggedPayload::Config(bytes) => {
                        shard.known.config = Some((entry.id, bytes.clone()));
                    }
                }
                shard.known.applied = Some(entry.id);
            }
            Ok(())
        })
    }

    fn reset(&self, base: EntryId, config: &[u8]) -> Result<()> {
        self.store.write(self.shard, |shard| {
            shard.entries.clear();
            shard.known.purged = Some(base);
            shard.known.last = Some(base);
            shard.known.applied = Some(base);
            shard.known.committed = shard.known.committed.max(Some(base));
            shard.known.config = Some((base, config.to_vec()));
            Ok(())
        })
    }

    fn forget(&self) -> Result<()> {
        lock(&self.store.now).remove(&self.shard);
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.store.sync_all()
    }
}
