//! What only the inside can try: compaction as it runs in the background.

use std::path::Path;
use std::sync::Arc;

use super::{LoggedPayload, NewEntry, Payload};
use crate::compaction::{Effort, run_background};
use crate::disk::sim::{CrashPlan, SimDisk};
use crate::ids::{EntryId, EntryIndex, ShardId, Term};
use crate::log::Segment;
use crate::manifest::Role;
use crate::options::{Durability, Options};
use crate::store::KvStore;
use crate::store::batch::WriteBatch;

fn open(disk: &SimDisk) -> KvStore {
    let options = Options::tiny().durability(Durability::Os).disk(Arc::new(disk.clone()));
    KvStore::open_with("/store", options).unwrap()
}

fn id(index: u64) -> EntryId {
    EntryId { term: Term(1), index: EntryIndex(index) }
}

/// What compaction takes away once it was purged must not be asked for after a power cut.
#[test]
fn a_purge_is_on_the_disk_before_compaction_relies_on_it() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let log = store.replicated(ShardId(1)).unwrap();
    let append = |index| {
        let mut batch = WriteBatch::new();
        batch.set("key", vec![b'x'; 300]);
        log.append(&[NewEntry { id: id(index), payload: Payload::Effects(&batch) }]).unwrap();
    };
    (0..40).for_each(append);
    log.apply(EntryIndex(39)).unwrap();
    log.purge(id(0)).unwrap();
    store.sync().unwrap();
    log.purge(id(38)).unwrap();
    let mut rewritten = 0;
    for _ in 0..20 {
        rewritten += run_background(store.core(), Effort::Full).unwrap().segments;
        let image = disk.crashed_image(CrashPlan::LoseUnsynced);
        let log = open(&image).replicated(ShardId(1)).unwrap();
        let first = log.state().unwrap().purged.unwrap().index.0 + 1;
        let entries = log.read(EntryIndex(0)..EntryIndex(40), u64::MAX).unwrap();
        assert!(entries.iter().map(|entry| entry.id.index.0).eq(first..40));
    }
    store.sync().unwrap();
    for _ in 0..20 {
        rewritten += run_background(store.core(), Effort::Full).unwrap().segments;
    }
    assert!(rewritten > 0, "in the end there was something to compact");
}

/// What was rewritten while the remove was in the log but had not taken effect is older than it.
#[test]
fn a_tombstone_outlives_what_was_rewritten_before_it_took_effect() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let log = store.replicated(ShardId(1)).unwrap();
    let append = |index, batch: &WriteBatch| {
        log.append(&[NewEntry { id: id(index), payload: Payload::Effects(batch) }]).unwrap();
    };
    let mut batch = WriteBatch::new();
    batch.set("key", "removed later");
    append(0, &batch);
    log.apply(EntryIndex(0)).unwrap();
    log.purge(id(0)).unwrap();
    // Live values, and in each segment something to rewrite it for.
    for number in 0..30 {
        store.set(format!("live{number}"), vec![b'x'; 300]).unwrap();
        log.save_vote(b"1").unwrap();
    }
    batch.clear();
    batch.remove("key");
    append(1, &batch);
    for _ in 0..40 {
        store.set("stale", vec![b'x'; 300]).unwrap();
    }
    log.save_vote(b"2").unwrap();
    store.sync().unwrap();
    let compact = || run_background(store.core(), Effort::Full).unwrap().segments;
    let rewritten: u64 = (0..20).map(|_| compact()).sum();
    assert!(rewritten > 2);
    log.apply(EntryIndex(1)).unwrap();
    log.purge(id(1)).unwrap();
    store.sync().unwrap();
    for _ in 0..20 {
        compact();
        let image = disk.crashed_image(CrashPlan::KillProcess);
        assert_eq!(open(&image).get("key").unwrap(), None);
    }
}

/// Found by the simulation: one shard waits for a majority while another goes on.
#[test]
fn what_was_removed_stays_so_though_an_older_entry_of_another_shard_waits() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let (waits, goes_on) =
        (store.replicated(ShardId(2)).unwrap(), store.replicated(ShardId(1)).unwrap());
    waits.append(&[NewEntry { id: id(0), payload: Payload::Blank }]).unwrap();
    let append = |index, batch: &WriteBatch| {
        goes_on.append(&[NewEntry { id: id(index), payload: Payload::Effects(batch) }]).unwrap();
        goes_on.apply(EntryIndex(index)).unwrap();
        goes_on.save_committed(id(index)).unwrap();
    };
    let mut batch = WriteBatch::new();
    batch.set("key", "removed later");
    append(0, &batch);
    batch.clear();
    batch.set("filler", vec![b'x'; 300]);
    (1..40).for_each(|index| append(index, &batch));
    batch.clear();
    batch.remove("key");
    append(40, &batch);
    batch.clear();
    batch.set("filler", vec![b'y'; 300]);
    (41..80).for_each(|index| append(index, &batch));
    store.checkpoint().unwrap();
    for _ in 0..3 {
        let image = disk.crashed_image(CrashPlan::LoseUnsynced);
        assert_eq!(open(&image).get("key").unwrap(), None);
        run_background(store.core(), Effort::Full).unwrap();
        store.checkpoint().unwrap();
    }
}

/// A mapping that met a bad sector is not trusted any more, and what it showed is read again from the device.
#[test]
fn effects_beside_a_bad_sector_are_read_once() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let log = store.replicated(ShardId(1)).unwrap();
    for (index, value) in (0..).zip(["intact", "on a bad sector"]) {
        let mut batch = WriteBatch::new();
        let value = value.repeat(20);
        batch.set("key", &value).set("other", &value);
        log.append(&[NewEntry { id: id(index), payload: Payload::Effects(&batch) }]).unwrap();
    }
    let segment = Path::new("/store/logs/0000000001.log");
    let bad = disk.contents(segment).windows(6).rposition(|part| part == b"on a b").unwrap();
    disk.break_media(segment, bad as u64, 1);
    let read = |index| log.read(EntryIndex(index)..EntryIndex(index + 1), u64::MAX);
    assert!(read(1).is_err());
    let entries = read(0).unwrap();
    let LoggedPayload::Effects(batch) = &entries[0].payload else { panic!("{entries:?}") };
    assert_eq!(batch.len(), 2);
    log.apply(EntryIndex(0)).unwrap();
    assert_eq!(store.stats().keys, 2);
}

/// Survivors that were copied while the segment was written in which an entry waits to be committed: what they have
/// may have been removed there, before that entry, and that is not replayed.
#[test]
fn a_removed_key_does_not_come_back_from_survivors_behind_a_gap() {
    let mut tried = 0;
    for current in 0..60 {
        let disk = SimDisk::new();
        let store = open(&disk);
        let log = store.replicated(ShardId(3)).unwrap();
        let key = |number: usize| format!("key <{number}>");
        for _ in 0..3 {
            (0..100).for_each(|number| store.set(key(number), [b'x'; 30]).unwrap());
        }
        (0..current).for_each(|number| store.set(key(number), "again").unwrap());
        store.core().save_states();
        store.sync().unwrap();
        while run_background(store.core(), Effort::Idle).unwrap().segments > 0 {}
        let removed = current..current + 8;
        removed.clone().for_each(|number| assert!(store.remove(key(number)).unwrap()));
        let mut batch = WriteBatch::new();
        batch.set("pending", "committed at last");
        log.append(&[NewEntry { id: id(0), payload: Payload::Effects(&batch) }]).unwrap();
        let gap = store.core().replicas.first_pending().unwrap();
        let behind = |segment: &Arc<Segment>| segment.role == Role::Survivors && segment.id > gap;
        tried += usize::from(store.core().segments.all().iter().any(behind));
        (0..200).for_each(|number| store.set(format!("other {number}"), [b'x'; 50]).unwrap());
        store.checkpoint().unwrap();
        let again = open(&disk.crashed_image(CrashPlan::LoseUnsynced));
        let back: Vec<_> = removed.filter(|n| again.contains(key(*n)).unwrap()).collect();
        assert!(back.is_empty(), "{current}: {back:?}");
        assert_eq!(again.len(), store.len());
    }
    assert!(tried > 20, "{tried}");
}
