//! A node's store, with somebody who watches what its groups do to their logs.
//!
//! All calls go to the engine as they are; the [`Ledger`] is told of each that succeeded.

use std::collections::BTreeSet;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aryavarth::disk::sim::SimDisk;
use aryavarth::{Result, WriteBatch};
use aryavarth_replication::entry_log::{
    EntryIndex, EntryLog, LoggedEntry, NewEntry, ReplicatedState, Term,
};
use aryavarth_replication::store::{Chunks, NodeStore, ShardData, ShardInstall};
use aryavarth_replication::{EngineStore, EntryId, NodeId, ShardId};
use aryavarth_server::simulation;

use super::ledger::{Found, Ledger, Seen, Settled};
use super::machine::{MachineId, Whereabouts};

/// Who watches one life of a node.
#[derive(Clone)]
pub struct Watch {
    /// The node.
    pub node: NodeId,
    /// Where it is written down.
    pub ledger: Ledger,
    /// False once the node was killed.
    pub alive: Arc<AtomicBool>,
}

impl Watch {
    fn tell(&self, tell: impl FnOnce(&Ledger, NodeId)) {
        if self.alive.load(Ordering::SeqCst) {
            tell(&self.ledger, self.node);
        }
    }
}

/// Bytes of a log read at once.
const READ_AT_ONCE: u64 = 1 << 20;

/// Who watches what the process of a machine becomes.
pub struct Watcher {
    /// What it runs on.
    pub disk: SimDisk,
    /// Where it is written down.
    pub ledger: Ledger,
    /// False once it was killed.
    pub alive: Arc<AtomicBool>,
    /// Which machine it is.
    pub machine: MachineId,
    /// Which node it is.
    pub whereabouts: Whereabouts,
}

impl fmt::Debug for Watcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Watcher").field("machine", &self.machine).finish_non_exhaustive()
    }
}

impl simulation::Watcher for Watcher {
    fn watch(
        &self,
        node: NodeId,
        store: &EngineStore,
    ) -> std::result::Result<Arc<dyn NodeStore>, String> {
        self.whereabouts.note(self.machine, node)?;
        self.report(node, store)?;
        let (ledger, alive) = (self.ledger.clone(), Arc::clone(&self.alive));
        let watch = Watch { node, ledger, alive };
        Ok(Arc::new(WatchedStore { store: store.clone(), watch }))
    }
}

impl Watcher {
    /// Tells the ledger what is there.
    fn report(&self, node: NodeId, store: &EngineStore) -> std::result::Result<(), String> {
        let is_settled = self.disk.unsynced_writes() == 0;
        let settled = if is_settled { Settled::OnDisk } else { Settled::InMemory };
        for shard in store.shards() {
            let log = store.log(shard).map_err(|error| error.to_string())?;
            let state = log.state();
            if let Some(config) = birth(&state) {
                self.ledger.born(node, shard, config);
            }
            let mut entries = Vec::new();
            let mut next = state.purged.map_or(0, |purged| purged.index.0 + 1);
            while let Some(last) = state.last
                && next <= last.index.0
            {
                let range = next..last.index.0 + 1;
                let more = log.read(range, READ_AT_ONCE).map_err(|error| error.to_string())?;
                let Some(newest) = more.last().map(|entry| entry.id.index) else { break };
                let EntryIndex(newest) = newest;
                next = newest + 1;
                entries.extend(more);
            }
            let found = Found {
                base: state.purged,
                entries,
                vote: state.vote,
                committed: state.committed,
                applied: state.applied,
                settled,
            };
            self.ledger.recovered(node, shard, &found);
        }
        Ok(())
    }
}

/// The configuration of a replica that a split has made and that has nothing else yet.
fn birth(state: &ReplicatedState) -> Option<&[u8]> {
    let first = EntryId { term: Term(0), index: EntryIndex(0) };
    let (_, config) = state.config.as_ref().filter(|(id, _)| *id == first)?;
    (state.purged == Some(first)).then_some(config)
}

/// The store.
#[derive(Clone)]
pub struct WatchedStore {
    /// The engine's.
    pub store: EngineStore,
    /// Who watches.
    pub watch: Watch,
}

impl NodeStore for WatchedStore {
    fn log(&self, shard: ShardId) -> Result<Arc<dyn EntryLog>> {
        let log = self.store.log(shard)?;
        if let Some(config) = birth(&log.state()) {
            self.watch.tell(|ledger, node| ledger.born(node, shard, config));
        }
        Ok(Arc::new(WatchedLog { log, shard, watch: self.watch.clone() }))
    }

    fn shards(&self) -> Vec<ShardId> {
        self.store.shards()
    }

    fn may_take(&self, shard: ShardId, split_off: &BTreeSet<ShardId>) -> bool {
        self.store.may_take(shard, split_off)
    }

    fn sync(&self) -> Result<()> {
        self.store.sync()?;
        self.watch.tell(Ledger::synced);
        Ok(())
    }
}

impl ShardData for WatchedStore {
    fn split_off(&self, shard: ShardId) -> Result<BTreeSet<ShardId>> {
        self.store.split_off(shard)
    }

    fn export(&self, shard: ShardId) -> Result<Chunks> {
        self.store.export(shard)
    }

    fn begin_install(&self, shard: ShardId) -> Result<Box<dyn ShardInstall>> {
        let install = self.store.begin_install(shard)?;
        Ok(Box::new(WatchedInstall { install, shard, watch: self.watch.clone() }))
    }
}

struct WatchedInstall {
    install: Box<dyn ShardInstall>,
    shard: ShardId,
    watch: Watch,
}

impl ShardInstall for WatchedInstall {
    fn chunk(&mut self, records: &WriteBatch) -> Result<()> {
        self.install.chunk(records)
    }

    fn finish(self: Box<Self>, base: EntryId, config: &[u8]) -> Result<()> {
        self.install.finish(base, config)?;
        self.watch.tell(|ledger, node| {
            ledger.reset(node, self.shard, base, config);
            ledger.synced(node);
        });
        Ok(())
    }
}

struct WatchedLog {
    log: Arc<dyn EntryLog>,
    shard: ShardId,
    watch: Watch,
}

impl fmt::Debug for WatchedLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WatchedLog").field("shard", &self.shard).finish_non_exhaustive()
    }
}

impl EntryLog for WatchedLog {
    fn state(&self) -> ReplicatedState {
        self.log.state()
    }

    fn append(&self, entries: &[NewEntry<'_>]) -> Result<()> {
        // Those before one that fails may be there.
        self.watch.tell(|ledger, node| ledger.appending(node, self.shard, entries));
        self.log.append(entries)?;
        self.watch.tell(|ledger, node| {
            for entry in entries {
                ledger.appended(node, self.shard, &Seen::new(entry));
            }
        });
        Ok(())
    }

    fn save_vote(&self, vote: &[u8]) -> Result<()> {
        self.log.save_vote(vote)?;
        self.watch.tell(|ledger, node| ledger.voted(node, self.shard, vote));
        Ok(())
    }

    fn save_committed(&self, id: EntryId) -> Result<()> {
        self.log.save_committed(id)?;
        self.watch.tell(|ledger, node| ledger.committed(node, self.shard, id.index));
        Ok(())
    }

    fn truncate_after(&self, last: Option<EntryId>) -> Result<()> {
        self.log.truncate_after(last)?;
        self.watch.tell(|ledger, node| ledger.truncated(node, self.shard, last));
        Ok(())
    }

    fn purge(&self, up_to: EntryId) -> Result<()> {
        self.log.purge(up_to)?;
        let purged = self.log.state().purged;
        self.watch.tell(|ledger, node| {
            if let Some(purged) = purged {
                ledger.purged(node, self.shard, purged);
            }
        });
        Ok(())
    }

    fn holds(&self, id: EntryId) -> bool {
        self.log.holds(id)
    }

    fn read(&self, indexes: Range<u64>, max_bytes: u64) -> Result<Vec<LoggedEntry>> {
        self.log.read(indexes, max_bytes)
    }

    fn apply(&self, up_to: EntryIndex) -> Result<()> {
        self.watch.tell(|ledger, node| ledger.committed(node, self.shard, up_to));
        self.log.apply(up_to)
    }

    fn hides_keys(&self) -> bool {
        self.log.hides_keys()
    }

    fn reset(&self, base: EntryId, config: &[u8]) -> Result<()> {
        self.log.reset(base, config)?;
        self.watch.tell(|ledger, node| ledger.reset(node, self.shard, base, config));
        Ok(())
    }

    fn forget(&self) -> Result<()> {
        self.log.forget()?;
        self.watch.tell(|ledger, node| ledger.forgot(node, self.shard));
        Ok(())
    }

    fn sync(&self) -> Result<()> {
        self.log.sync()?;
        self.watch.tell(Ledger::synced);
        Ok(())
    }
}
