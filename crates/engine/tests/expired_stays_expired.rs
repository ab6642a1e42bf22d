//! What was seen expired never comes back, though the store is killed and the clock jumps back.

#![allow(missing_docs, clippy::unwrap_used)]

use std::sync::Arc;
use std::time::Duration;

use aryavarth::disk::Disk;
use aryavarth::disk::sim::{CallKind, SimDisk};
use aryavarth::{KvStore, Options, SetOptions, UnixMillis};

fn open(disk: &SimDisk) -> KvStore {
    KvStore::open_with("/store", Options::default().disk(Arc::new(disk.clone()))).unwrap()
}

fn renames(disk: &SimDisk) -> usize {
    disk.trace().iter().filter(|call| call.kind == CallKind::Rename).count()
}

#[test]
fn after_a_kill_and_a_clock_that_jumps_back() {
    let disk = SimDisk::new();
    let store = open(&disk);
    store.set("lasting", "1").unwrap();
    let before = renames(&disk);
    store.set_with("key", "1", SetOptions::new().expire_in(Duration::from_millis(900))).unwrap();
    // The store notes in its own time, within two rounds, that something expires.
    for _ in 0..1000 {
        if renames(&disk) > before {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    let start = disk.wall_clock();
    disk.advance(Duration::from_secs(1));
    assert_eq!(store.get("key").unwrap(), None);
    for plan in disk.plans() {
        let image = disk.crashed_image(plan);
        image.set_wall_clock(UnixMillis(start.0 - 3_600_000));
        let store = open(&image);
        assert_eq!(store.get("key").unwrap(), None, "{plan:?}");
        assert!(store.get("lasting").unwrap().is_some());
        store.close().unwrap();
    }
}

#[test]
fn a_clean_end_leaves_no_lead() {
    let disk = SimDisk::new();
    let store = open(&disk);
    store.set_with("key", "1", SetOptions::new().expire_in(Duration::from_secs(60))).unwrap();
    std::thread::sleep(Duration::from_millis(600));
    store.close().unwrap();
    let store = open(&disk);
    assert_eq!(store.now(), disk.wall_clock());
}
