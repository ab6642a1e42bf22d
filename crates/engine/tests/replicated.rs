//! The promises of replicated logs: what was synced is found again, in order and whole; what was not
//! applied is not seen; what was truncated never comes back. Proven on the simulated disk by trying
//! every crash there is.

#![allow(clippy::unwrap_used, reason = "these are tests, their helpers too")]

mod common;
#[path = "replicated/crash.rs"]
mod crash;
#[path = "replicated/model.rs"]
mod model;

use std::sync::Arc;

use aryavarth::disk::sim::SimDisk;
use aryavarth::{
    Durability, EntryId, EntryIndex, Error, KvStore, LoggedPayload, NewEntry, Options, Payload,
    ReplicatedLog, ShardId, Term, WriteBatch,
};
use common::STORE;

fn open(disk: &SimDisk) -> KvStore {
    KvStore::open_with(STORE, Options::tiny().disk(Arc::new(disk.clone()))).unwrap()
}

fn id(term: u64, index: u64) -> EntryId {
    EntryId { term: Term(term), index: EntryIndex(index) }
}

fn set(log: &ReplicatedLog, term: u64, index: u64, key: &str, value: &str) {
    let mut batch = WriteBatch::new();
    batch.set(key, value);
    log.append(&[NewEntry { id: id(term, index), payload: Payload::Effects(&batch) }]).unwrap();
}

fn get(store: &KvStore, key: &str) -> Option<String> {
    store.get(key).unwrap().map(|value| String::from_utf8(value).unwrap())
}

fn indexes(log: &ReplicatedLog) -> Vec<u64> {
    let entries = log.read(EntryIndex(0)..EntryIndex(1000), u64::MAX).unwrap();
    entries.iter().map(|entry| entry.id.index.0).collect()
}

#[test]
fn what_is_appended_is_read_and_what_is_applied_is_seen() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let log = store.replicated(ShardId(3)).unwrap();
    log.append(&[NewEntry { id: id(1, 0), payload: Payload::Config(b"three of us") }]).unwrap();
    set(&log, 1, 1, "a", "1");
    set(&log, 1, 2, "a", "2");
    assert_eq!(get(&store, "a"), None);
    log.apply(EntryIndex(1)).unwrap();
    assert_eq!(get(&store, "a").as_deref(), Some("1"));
    let state = log.state().unwrap();
    assert_eq!((state.applied, state.last), (Some(id(1, 1)), Some(id(1, 2))));
    assert_eq!(state.config, Some((id(1, 0), b"three of us".to_vec())));
    let entries = log.read(EntryIndex(0)..EntryIndex(9), u64::MAX).unwrap();
    assert_eq!(entries.len(), 3);
    let LoggedPayload::Config(config) = &entries[0].payload else { panic!("a configuration") };
    assert_eq!(config, b"three of us");
    let LoggedPayload::Effects(batch) = &entries[2].payload else { panic!("effects") };
    assert_eq!(batch.operation(0).key, b"a");
    assert_eq!(log.read(EntryIndex(0)..EntryIndex(9), 1).unwrap().len(), 1);
    assert!(log.read(EntryIndex(3)..EntryIndex(9), u64::MAX).unwrap().is_empty());
}

#[test]
fn after_reopening_the_index_has_what_is_known_to_be_committed() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let log = store.replicated(ShardId(1)).unwrap();
    log.save_vote(b"term 1 for node 1").unwrap();
    set(&log, 1, 0, "a", "1");
    log.save_committed(id(1, 0)).unwrap();
    log.apply(EntryIndex(0)).unwrap();
    set(&log, 1, 1, "a", "2");
    drop(log);
    store.close().unwrap();
    let store = open(&disk);
    let log = store.replicated(ShardId(1)).unwrap();
    assert_eq!(get(&store, "a").as_deref(), Some("1"));
    let state = log.state().unwrap();
    assert_eq!(state.vote.as_deref(), Some(&b"term 1 for node 1"[..]));
    assert_eq!((state.committed, state.applied), (Some(id(1, 0)), Some(id(1, 0))));
    assert_eq!(indexes(&log), [0, 1]);
    log.apply(EntryIndex(1)).unwrap();
    assert_eq!(get(&store, "a").as_deref(), Some("2"));
}

#[test]
fn what_is_truncated_never_comes_back() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let log = store.replicated(ShardId(1)).unwrap();
    set(&log, 1, 0, "a", "1");
    let mut batch = WriteBatch::new();
    batch.remove("a").set("b", "lost");
    log.append(&[NewEntry { id: id(1, 1), payload: Payload::Effects(&batch) }]).unwrap();
    log.apply(EntryIndex(0)).unwrap();
    log.truncate_after(Some(EntryIndex(0))).unwrap();
    assert_eq!(indexes(&log), [0]);
    set(&log, 2, 1, "c", "3");
    log.save_committed(id(2, 1)).unwrap();
    log.apply(EntryIndex(1)).unwrap();
    // Enough to fill segments, so that the truncated entry's one is rewritten.
    for index in 2..60 {
        set(&log, 2, index, "filler", &"x".repeat(200));
    }
    log.save_committed(id(2, 59)).unwrap();
    log.apply(EntryIndex(59)).unwrap();
    log.purge(id(2, 50)).unwrap();
    let check = |store: &KvStore| {
        assert_eq!(get(store, "a").as_deref(), Some("1"));
        assert_eq!(get(store, "b"), None);
        assert_eq!(get(store, "c").as_deref(), Some("3"));
    };
    store.sync().unwrap();
    let before = store.stats().segments;
    store.compact().unwrap();
    assert!(store.stats().segments < before, "there was something to compact");
    check(&store);
    drop(log);
    store.close().unwrap();
    let store = open(&disk);
    check(&store);
    assert_eq!(indexes(&store.replicated(ShardId(1)).unwrap()), (51..60).collect::<Vec<_>>());
}

#[test]
fn compaction_leaves_what_is_not_purged() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let (log, other) =
        (store.replicated(ShardId(1)).unwrap(), store.replicated(ShardId(2)).unwrap());
    set(&other, 1, 0, "slow", "1");
    for index in 0..60 {
        set(&log, 1, index, "key", &format!("{index:0200}"));
    }
    log.apply(EntryIndex(59)).unwrap();
    store.sync().unwrap();
    store.compact().unwrap();
    assert_eq!(indexes(&log).len(), 60);
    log.purge(id(1, 59)).unwrap();
    store.sync().unwrap();
    store.compact().unwrap();
    assert_eq!(indexes(&other), [0], "its segment stays for it alone");
    assert!(store.stats().segments < 6);
    other.apply(EntryIndex(0)).unwrap();
    assert_eq!(get(&store, "slow").as_deref(), Some("1"));
}

#[test]
fn a_replica_that_is_forgotten_leaves_values_and_nothing_else() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let log = store.replicated(ShardId(1)).unwrap();
    set(&log, 1, 0, "a", "1");
    set(&log, 1, 1, "a", "never");
    log.apply(EntryIndex(0)).unwrap();
    log.forget().unwrap();
    assert!(matches!(log.state(), Err(Error::NoReplica { shard: ShardId(1) })));
    assert!(store.replicated_shards().is_empty());
    drop(log);
    store.close().unwrap();
    let store = open(&disk);
    assert!(store.replicated_shards().is_empty());
    assert_eq!(get(&store, "a").as_deref(), Some("1"));
    let log = store.replicated(ShardId(1)).unwrap();
    assert_eq!(log.state().unwrap().last, None);
    log.reset(id(4, 100), Some((id(3, 7), b"members"))).unwrap();
    set(&log, 4, 101, "a", "2");
    log.apply(EntryIndex(101)).unwrap();
    log.save_committed(id(4, 101)).unwrap();
    set(&log, 4, 102, "a", "3");
    drop(log);
    store.close().unwrap();
    let store = open(&disk);
    let state = store.replicated(ShardId(1)).unwrap().state().unwrap();
    assert_eq!((state.purged, state.last), (Some(id(4, 100)), Some(id(4, 102))));
    assert_eq!(state.config, Some((id(3, 7), b"members".to_vec())));
    assert_eq!(get(&store, "a").as_deref(), Some("2"));
}

/// Or a group would take it for one that has all that was committed up to there.
#[test]
fn a_replica_after_one_that_was_forgotten_has_nothing_of_it_after_a_restart_either() {
    for cleared in [false, true] {
        let disk = SimDisk::new();
        let mut store = open(&disk);
        let log = store.replicated(ShardId(1)).unwrap();
        log.save_vote(b"term 2").unwrap();
        (0..8).for_each(|index| set(&log, 2, index, "a", "old"));
        log.apply(EntryIndex(5)).unwrap();
        log.save_committed(id(2, 5)).unwrap();
        log.forget().unwrap();
        assert_eq!(store.left_behind(), [ShardId(1)]);
        store.remove("a").unwrap();
        if cleared {
            store.note_cleared(ShardId(1)).unwrap();
            assert!(store.left_behind().is_empty());
        }
        drop(log);
        let pledged = |log: &ReplicatedLog| {
            let pledge = log.state().unwrap().pledge.expect("there was a replica");
            (pledge.vote, pledge.last)
        };
        let promised = (b"term 2".to_vec(), Some(id(2, 7)));
        assert_eq!(pledged(&store.replicated(ShardId(1)).unwrap()), promised);
        for _ in 0..2 {
            store.close().unwrap();
            store = open(&disk);
            assert!(store.is_replicated());
            let log = store.replicated(ShardId(1)).unwrap();
            let state = log.state().unwrap();
            assert_eq!((state.applied, state.last, state.vote), (None, None, None));
            assert_eq!((state.committed, state.config), (None, None));
            assert_eq!(pledged(&log), promised);
        }
        let log = store.replicated(ShardId(1)).unwrap();
        (0..3).for_each(|index| set(&log, 3, index, "a", &format!("new {index}")));
        log.apply(EntryIndex(1)).unwrap();
        log.save_committed(id(3, 1)).unwrap();
        set(&log, 3, 3, "b", "1");
        drop(log);
        store.close().unwrap();
        let store = open(&disk);
        let log = store.replicated(ShardId(1)).unwrap();
        assert_eq!(log.state().unwrap().applied, Some(id(3, 1)));
        assert_eq!(get(&store, "a").as_deref(), Some("new 1"));
        log.forget().unwrap();
        assert_eq!(pledged(&store.replicated(ShardId(1)).unwrap()), (promised.0, Some(id(3, 3))));
    }
}

#[test]
fn writes_of_no_entry_go_beside_the_logs() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let log = store.replicated(ShardId(1)).unwrap();
    set(&log, 1, 0, "a", "waits");
    store.set("b", "1").unwrap();
    assert!(store.remove("b").unwrap());
    store.set("c", "1").unwrap();
    store.checkpoint().unwrap();
    drop((log, store));
    let store = open(&disk);
    assert_eq!((get(&store, "a"), get(&store, "b")), (None, None));
    assert_eq!(get(&store, "c").as_deref(), Some("1"));
    let log = store.replicated(ShardId(1)).unwrap();
    log.apply(EntryIndex(0)).unwrap();
    assert_eq!(get(&store, "a").as_deref(), Some("waits"));
}

#[test]
fn what_does_not_fit_is_refused() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let log = store.replicated(ShardId(1)).unwrap();
    assert!(matches!(log.save_vote(&[0; 65]), Err(Error::TooLarge { what: "vote", .. })));
    let config = vec![0; (32 << 10) + 1];
    let entry = NewEntry { id: id(1, 0), payload: Payload::Config(&config) };
    assert!(matches!(log.append(&[entry]), Err(Error::TooLarge { what: "configuration", .. })));
    assert_eq!(log.state().unwrap().last, None);
    assert_eq!(store.stats().keys, 0);
    let os =
        KvStore::open_with("/os", Options::tiny().durability(Durability::Os).disk(Arc::new(disk)));
    assert!(os.unwrap().replicated_shards().is_empty());
}

/// A segment's worth of values that stay.
fn fill(store: &KvStore, prefix: &str) {
    for number in 0..20 {
        store.set(format!("{prefix}{number}"), vec![b'x'; 200]).unwrap();
    }
}

#[test]
fn a_truncated_remove_is_not_kept_as_a_tombstone() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let log = store.replicated(ShardId(1)).unwrap();
    set(&log, 1, 0, "a", "1");
    log.apply(EntryIndex(0)).unwrap();
    log.purge(id(1, 0)).unwrap();
    // An older segment that stays is what a tombstone is kept for.
    fill(&store, "old");
    let mut batch = WriteBatch::new();
    batch.remove("a");
    log.append(&[NewEntry { id: id(1, 1), payload: Payload::Effects(&batch) }]).unwrap();
    log.truncate_after(Some(EntryIndex(0))).unwrap();
    for _ in 0..3 {
        fill(&store, "new");
    }
    log.save_vote(b"so that the states are in a new segment").unwrap();
    store.sync().unwrap();
    assert!(store.compact().unwrap().segments > 0);
    drop(log);
    store.close().unwrap();
    assert_eq!(get(&open(&disk), "a").as_deref(), Some("1"));
}

#[test]
fn the_newest_states_are_not_compacted_away() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let log = store.replicated(ShardId(1)).unwrap();
    log.save_vote(b"mine").unwrap();
    for index in 0..40 {
        set(&log, 1, index, "a", &"1".repeat(200));
    }
    log.apply(EntryIndex(39)).unwrap();
    log.purge(id(1, 39)).unwrap();
    store.sync().unwrap();
    store.compact().unwrap();
    let image = disk.crashed_image(aryavarth::disk::sim::CrashPlan::KillProcess);
    let store = open(&image);
    let state = store.replicated(ShardId(1)).unwrap().state().unwrap();
    assert_eq!(state.vote.as_deref(), Some(&b"mine"[..]));
    assert_eq!((state.purged, state.applied), (Some(id(1, 39)), Some(id(1, 39))));
}

#[test]
fn a_tombstone_stays_while_what_was_rewritten_before_it_took_effect_needs_it() {
    let disk = SimDisk::new();
    let store = open(&disk);
    let log = store.replicated(ShardId(1)).unwrap();
    set(&log, 1, 0, "key", "removed later");
    log.apply(EntryIndex(0)).unwrap();
    log.purge(id(1, 0)).unwrap();
    fill(&store, "a");
    fill(&store, "a");
    // Appended before the rewrite of what it removes, applied after.
    let mut batch = WriteBatch::new();
    batch.remove("key");
    log.append(&[NewEntry { id: id(1, 1), payload: Payload::Effects(&batch) }]).unwrap();
    fill(&store, "a");
    log.save_vote(b"1").unwrap();
    store.sync().unwrap();
    assert!(store.compact().unwrap().segments > 0);
    log.apply(EntryIndex(1)).unwrap();
    log.purge(id(1, 1)).unwrap();
    fill(&store, "a");
    log.save_vote(b"2").unwrap();
    store.sync().unwrap();
    assert!(store.compact().unwrap().segments > 0);
    assert_eq!(get(&store, "key"), None);
    drop(log);
    store.close().unwrap();
    assert_eq!(get(&open(&disk), "key"), None);
}
