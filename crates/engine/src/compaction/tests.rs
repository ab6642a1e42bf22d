//! How far compaction is, and what it does about damage.

use std::path::PathBuf;

use super::*;
use crate::disk::sim::{CrashPlan, SimDisk};
use crate::ids::UnixMillis;
use crate::options::Options;
use crate::store::KvStore;
use crate::store::batch::WriteBatch;

#[test]
fn progress_is_from_the_trigger_to_where_half_is_stale() {
    let progress = |stale, trigger| progress(stale, 1000, trigger);
    assert_eq!(progress(0, 25), 0.0);
    assert_eq!(progress(250, 25), 0.0);
    assert_eq!(progress(375, 25), 0.5);
    assert_eq!(progress(500, 25), 1.0);
    assert_eq!(progress(900, 25), 1.0);
    assert_eq!(progress(0, 50), 1.0);
    assert_eq!(super::progress(0, 0, 25), 0.0);
}

fn open(disk: &SimDisk) -> Result<KvStore> {
    KvStore::open_with("/store", Options::tiny().disk(Arc::new(disk.clone())))
}

/// The store as it is opened by whoever has no checkpoint, and so has to read all of it.
fn reread(disk: &SimDisk) -> Result<KvStore> {
    let disk = disk.crashed_image(CrashPlan::LoseUnsynced);
    let checkpoint = PathBuf::from("/store/logs/checkpoint");
    if disk.files().iter().any(|(path, _)| *path == checkpoint) {
        disk.delete(&checkpoint);
    }
    open(&disk)
}

/// Turns over a bit of the last place where `bytes` stand.
fn flip(disk: &SimDisk, bytes: &[u8]) -> (PathBuf, u64) {
    let find = |contents: &[u8]| contents.windows(bytes.len()).rposition(|part| part == bytes);
    let logs = disk.files().into_iter().map(|(path, _)| path);
    let logs = logs.filter(|path| path.extension().is_some_and(|extension| extension == "log"));
    let mut places = logs.filter_map(|path| Some((find(&disk.contents(&path))? as u64, path)));
    let (place, path) = places.next_back().unwrap();
    disk.flip_bit(&path, place, 0);
    (path, place)
}

fn key(number: usize) -> String {
    format!("key <{number}>")
}

fn written(disk: &SimDisk) -> KvStore {
    let store = open(disk).unwrap();
    (0..200).for_each(|number| store.set(key(number), format!("first <{number}>")).unwrap());
    store
}

fn damage(store: &KvStore) -> usize {
    store.verify(|_| ()).unwrap().damage.len()
}

#[test]
fn damage_in_a_value_that_is_no_longer_current_goes_with_it() {
    let disk = SimDisk::new();
    let store = written(&disk);
    (0..100).for_each(|number| store.set(key(number * 2), "second").unwrap());
    flip(&disk, b"first <4>");
    assert_eq!(damage(&store), 1);
    assert!(reread(&disk).is_err());
    store.compact().unwrap();
    assert_eq!(damage(&store), 0);
    let again = reread(&disk).unwrap();
    for number in 0..200 {
        let value = if number % 2 == 0 { "second".into() } else { format!("first <{number}>") };
        assert_eq!(again.get(key(number)).unwrap().as_deref(), Some(value.as_bytes()));
    }
}

#[test]
fn damage_in_a_value_that_is_current_stays_until_it_is_put_right() {
    let disk = SimDisk::new();
    let store = written(&disk);
    (0..100).for_each(|number| store.set(key(number * 2), "second").unwrap());
    flip(&disk, b"first <5>");
    let error = store.get(key(5)).unwrap_err();
    store.compact().unwrap();
    assert_eq!(damage(&store), 1);
    store.restore(&error, key(5).as_bytes(), b"first <5>").unwrap();
    assert_eq!(store.compact().unwrap().segments, 1);
    assert_eq!(damage(&store), 0);
    assert_eq!(reread(&disk).unwrap().len(), 200);
}

/// Writes keys, has `hide` hide the one with this number from then on, and damages what hides it (the last place
/// of `bytes`), while an older segment cannot be rewritten. Nothing of that may be lost.
/// Returns how much damage is left once the older segment was rewritten.
fn hides(hide: impl Fn(&SimDisk, &KvStore), bytes: &[u8]) -> usize {
    let disk = SimDisk::new();
    let store = written(&disk);
    hide(&disk, &store);
    // Behind it, so that what hides the key stands in a sealed segment with much to gain.
    for _ in 0..3 {
        (100..200).for_each(|number| store.set(key(number), "later").unwrap());
    }
    let (old, place) = flip(&disk, b"first <5>");
    flip(&disk, bytes);
    store.compact().unwrap();
    assert_eq!(damage(&store), 2);
    assert_eq!(store.get(key(7)).unwrap(), None);
    // Were it gone, the older value would come back with whoever reads the log again.
    disk.flip_bit(&old, place, 0);
    assert!(matches!(reread(&disk), Err(Error::Damaged { .. })));
    for _ in 0..2 {
        // The one with the damage may be the first to be looked at.
        store.core().segments.all().iter().for_each(|segment| segment.end_quarantine());
        store.compact().unwrap();
    }
    assert_eq!(store.get(key(7)).unwrap(), None);
    damage(&store)
}

#[test]
fn a_damaged_tombstone_stays_as_long_as_it_hides_something() {
    let remove = |_: &SimDisk, store: &KvStore| assert!(store.remove(key(7)).unwrap());
    assert_eq!(hides(remove, key(7).as_bytes()), 0);
}

#[test]
fn a_damaged_record_that_may_have_expired_stays() {
    let expire = |disk: &SimDisk, store: &KvStore| {
        let soon = UnixMillis(store.now().0 + 1000);
        store.write(WriteBatch::new().set_expiring(key(7), "short-lived", soon)).unwrap();
        disk.advance(Duration::from_secs(2));
        assert_eq!(store.sweep_expired().unwrap(), 1);
    };
    assert_eq!(hides(expire, b"short-lived"), 1);
}
