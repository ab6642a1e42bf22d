//! Reads that fail: an error on that key, the others fine, never a wrong value.

use aryavarth::disk::sim::{CrashPlan, Fault, Reads, SimDisk};
use aryavarth::{Durability, KvStore};

use crate::common::workloads::{key, value};
use crate::common::{STORE, options};

const KEYS: usize = 8;

fn expected(number: usize) -> Vec<u8> {
    value(&format!("value {number}"), 700)
}

/// A store of two sealed segments and an open one, each with some of the keys.
fn store_on(disk: &SimDisk) -> KvStore {
    let store = KvStore::open_with(STORE, options(disk, Durability::Always)).unwrap();
    for number in 0..KEYS {
        store.set(key(number), expected(number)).unwrap();
    }
    assert!(store.stats().segments > 1);
    store
}

#[test]
fn each_read_of_each_key_fails_once() {
    for reads in [Reads::Borrowed, Reads::Copied] {
        let disk = SimDisk::with_seed(1);
        disk.set_reads(reads);
        let store = store_on(&disk);
        for number in 0..KEYS {
            let before = disk.calls();
            assert_eq!(store.get(key(number)).unwrap().unwrap(), expected(number));
            for call in 1..=disk.calls() - before {
                disk.fail_at(disk.calls() + call, Fault::DeviceError);
                match store.get(key(number)) {
                    Ok(value) => assert_eq!(value, Some(expected(number))),
                    Err(error) => assert!(!error.is_damage(), "{error}: nothing is damaged"),
                }
                for other in 0..KEYS {
                    assert_eq!(store.get(key(other)).unwrap().unwrap(), expected(other));
                }
            }
        }
        store.set("and", "on").unwrap();
    }
}

#[test]
fn broken_media_under_a_value_are_an_error_of_that_key_alone() {
    for reads in [Reads::Borrowed, Reads::Copied] {
        let whole = SimDisk::with_seed(1);
        store_on(&whole).close().unwrap();
        for broken in 0..KEYS {
            let disk = whole.crashed_image(CrashPlan::KillProcess);
            disk.set_reads(reads);
            let store = KvStore::open_with(STORE, options(&disk, Durability::Always)).unwrap();
            let start = format!("value {broken}");
            let (path, offset) = find(&disk, start.as_bytes());
            disk.break_media(&path, offset + 100, 512);
            for number in 0..KEYS {
                match store.get(key(number)) {
                    Ok(value) if number != broken => assert_eq!(value, Some(expected(number))),
                    Err(_) if number == broken => {}
                    other => panic!("key {number} with {broken} broken: {other:?}"),
                }
            }
            assert!(store.iter().filter(|entry| entry.is_ok()).count() >= KEYS - 1);
            assert!(!store.verify(|_| {}).unwrap().is_intact());
        }
    }
}

/// Where bytes stand on the disk.
fn find(disk: &SimDisk, bytes: &[u8]) -> (std::path::PathBuf, u64) {
    let found = disk.files().into_iter().find_map(|(path, _)| {
        let contents = disk.contents(&path);
        let at = contents.windows(bytes.len()).position(|window| window == bytes)?;
        Some((path, at as u64))
    });
    found.expect("the bytes are on the disk")
}
