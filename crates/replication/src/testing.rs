//! A node's store on a simulated disk, which forgets what was not synced.
//!
//! It is the real engine: only the disk below it is not.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aryavarth::disk::sim::{CallKind, CrashPlan, FailedSync, Fault, SimDisk};
use aryavarth::{Durability, KvStore, Options, Result};

use crate::engine::EngineStore;
use crate::entry_log::{EntryLog, ShardId};
use crate::store::{Chunks, NodeStore, ShardData, ShardInstall};

/// Keys and their values.
pub type Records = BTreeMap<Vec<u8>, Vec<u8>>;

/// A store, and the machine below it.
#[derive(Clone, Debug)]
pub struct SimStore {
    disk: SimDisk,
    store: KvStore,
    nodes: EngineStore,
    sync_takes: Duration,
}

impl SimStore {
    /// An empty store whose syncs take so long. All its keys are of `shard`.
    pub fn new(shard: ShardId, sync_takes: Duration) -> SimStore {
        SimStore::on(SimDisk::new(), shard, sync_takes)
    }

    fn on(disk: SimDisk, shard: ShardId, sync_takes: Duration) -> SimStore {
        let options = Options::tiny().durability(Durability::Os).disk(Arc::new(disk.clone()));
        let store = KvStore::open_with(Path::new("/node"), options).expect("it opens");
        let nodes = EngineStore::new(store.clone(), Arc::new(move |_: &[u8]| shard));
        SimStore { disk, store, nodes, sync_takes }
    }

    /// The store as it is found after a loss of power now.
    pub fn crashed(&self, shard: ShardId) -> SimStore {
        let image = self.disk.crashed_image(CrashPlan::LoseUnsynced);
        SimStore::on(image, shard, self.sync_takes)
    }

    /// Lets the next sync fail, and with it all after.
    pub fn fail_syncs(&self) {
        self.disk.fail_next(CallKind::Sync, Fault::SyncFails(FailedSync::Dropped));
    }

    /// The number of syncs so far.
    pub fn syncs(&self) -> usize {
        self.disk.trace().iter().filter(|call| call.kind == CallKind::Sync).count()
    }

    /// All records.
    pub fn records(&self) -> Records {
        let entries = self.store.iter().map(|entry| entry.expect("it can be read"));
        entries.map(|entry| (entry.key, entry.value)).collect()
    }

    /// Rewrites what has something stale, as in the background.
    pub fn compact(&self) {
        self.store.compact().expect("there is room");
    }
}

impl NodeStore for SimStore {
    fn log(&self, shard: ShardId) -> Result<Arc<dyn EntryLog>> {
        self.nodes.log(shard)
    }

    fn shards(&self) -> Vec<ShardId> {
        self.nodes.shards()
    }

    fn sync(&self) -> Result<()> {
        std::thread::sleep(self.sync_takes);
        self.nodes.sync()
    }
}

impl ShardData for SimStore {
    fn export(&self, shard: ShardId) -> Result<Chunks> {
        self.nodes.export(shard)
    }

    fn begin_install(&self, shard: ShardId) -> Result<Box<dyn ShardInstall>> {
        self.nodes.begin_install(shard)
    }
}
