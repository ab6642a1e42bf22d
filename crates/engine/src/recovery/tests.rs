//! Where several things come together at an opening.

use std::path::PathBuf;
use std::sync::Arc;

use crate::disk::sim::{CallKind, CrashPlan, FailedSync, Fault, SimDisk};
use crate::error::{Error, Result};
use crate::log::segment::HEADER_LENGTH;
use crate::options::{Durability, Maintenance, Options};
use crate::store::KvStore;

fn open(disk: &SimDisk) -> Result<KvStore> {
    let options = Options::tiny().maintenance(Maintenance::Manual).durability(Durability::Os);
    KvStore::open_with("/store", options.disk(Arc::new(disk.clone())))
}

fn key(number: usize) -> String {
    format!("key <{number}>")
}

/// A store that has got as many keys as its first segment holds, and all of them in the checkpoint; and where the
/// last of them begins.
fn filled(keys: usize) -> (SimDisk, KvStore, u64) {
    let disk = SimDisk::new();
    let store = open(&disk).unwrap();
    let end = || store.core().segments.all().first().map_or(HEADER_LENGTH, |first| first.end());
    let mut last = HEADER_LENGTH;
    for number in 0..keys {
        last = end();
        store.set(key(number), "value").unwrap();
    }
    store.checkpoint().unwrap();
    (disk, store, last)
}

/// The same with one more key, in a second segment, and killed before the first one was sealed. Gives the first
/// segment, too, and how many keys there are.
fn killed_behind_a_rotation() -> (SimDisk, PathBuf, u64, usize) {
    let rotates = |keys: &usize| {
        let (_, store, _) = filled(*keys);
        store.set(key(*keys), "value").unwrap();
        store.core().segments.all().len() == 2
    };
    let keys = (1..).find(rotates).unwrap();
    let (disk, store, _) = filled(keys);
    store.set(key(keys), "value").unwrap();
    let trace = disk.trace();
    let written = trace.iter().rfind(|call| {
        call.kind == CallKind::Write && *call.path == *store.core().segments.all()[1].path
    });
    let (disk, store, last) = filled(keys);
    // The sync after which it would be sealed.
    disk.fail_at(written.unwrap().number + 1, Fault::SyncFails(FailedSync::Kept));
    store.set(key(keys), "value").unwrap();
    let first = store.core().segments.all().remove(0);
    assert!(!first.is_sealed());
    (disk.crashed_image(CrashPlan::KillProcess), first.path.clone(), last, keys + 1)
}

#[test]
fn damage_that_the_checkpoint_covers_does_not_make_the_next_segment_a_torn_one() {
    let (disk, first, _, keys) = killed_behind_a_rotation();
    disk.flip_bit(&first, HEADER_LENGTH + 40, 0);
    let store = open(&disk).unwrap();
    assert_eq!(store.len(), keys as u64, "the last one was acknowledged");
    assert_eq!(store.get(key(keys - 1)).unwrap().as_deref(), Some(&b"value"[..]));
    let damaged = |number: &usize| matches!(store.get(key(*number)), Err(Error::Damaged { .. }));
    assert_eq!((0..keys).filter(damaged).count(), 1);
}

#[test]
fn where_nobody_knows_whether_the_log_goes_on_it_is_damage() {
    let (disk, first, last, keys) = killed_behind_a_rotation();
    assert_eq!(open(&disk.crashed_image(CrashPlan::KillProcess)).unwrap().len(), keys as u64);
    disk.flip_bit(&first, last + 40, 0);
    assert!(matches!(open(&disk), Err(Error::Damaged { offset, .. }) if offset == last));
}
