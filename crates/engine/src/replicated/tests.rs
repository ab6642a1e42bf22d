use std::sync::Arc;

use super::{NewEntry, Payload};
use crate::compaction::{Effort, run_background};
use crate::disk::sim::{CrashPlan, SimDisk};
use crate::ids::{EntryId, EntryIndex, ShardId, Term};
use crate::options::{Durability, Options};
use crate::store::KvStore;
use crate::store::batch::WriteBatch;

fn open(disk: &SimDisk) -> KvStore {
    let options = Options::tiny().durability(Durability::Os).disk(Arc::new(disk.clone()));
    KvStore::open_with("/store", options).unwrap()
}

/// What compaction takes away once it was purged must not be asked for after a power cut.
#[test]
fn a_purge_is_on_the_disk_before_compaction_relies_on_it() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let log = store.replicated(ShardId(1)).unwrap();
    let id = |index| EntryId { term: Term(1), index: EntryIndex(index) };
    let append = |index| {
        let mut batch = WriteBatch::new();
        batch.set("key", vec![b'x'; 300]);
        log.append(&[NewEntry { id: id(index), payload: Payload::Effects(&batch) }]).unwrap();
    };
    (0..40).for_each(append);
    store.sync().unwrap();
    log.apply(EntryIndex(39)).unwrap();
    log.purge(id(38)).unwrap();
    let mut rewritten = 0;
    for _ in 0..20 {
        rewritten += run_background(store.core(), Effort::Full).unwrap().segments;
        let image = disk.crashed_image(CrashPlan::LoseUnsynced);
        let state = open(&image).replicated(ShardId(1)).unwrap().state().unwrap();
        assert_eq!(state.last, Some(id(39)));
    }
    store.sync().unwrap();
    for _ in 0..20 {
        rewritten += run_background(store.core(), Effort::Full).unwrap().segments;
    }
    assert!(rewritten > 0, "in the end there was something to compact");
}
