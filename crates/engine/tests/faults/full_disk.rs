//! A full disk: sets are refused, reads and removes go on, nothing is lost, and all resumes by itself.

use aryavarth::disk::Disk;
use aryavarth::disk::sim::{CrashPlan, SimDisk};
use aryavarth::{Durability, Error, KvStore, Result};

use crate::common::model::{Bytes, Contents};
use crate::common::observe::{self, Depth};
use crate::common::run::reopen;
use crate::common::workloads::{key, value};
use crate::common::{Context, STORE};

/// So many removes of short keys fit in the reserve of the smallest segment: 256 bytes of it.
const REMOVES: usize = 6;

fn keys() -> Vec<Bytes> {
    (0..40).map(key).collect()
}

fn used(disk: &SimDisk) -> u64 {
    disk.files().iter().map(|(_, length)| length).sum()
}

/// Only a full disk is an excuse.
fn unless_full<T>(outcome: Result<T>) -> Option<T> {
    match outcome {
        Ok(value) => Some(value),
        Err(Error::DiskFull { .. }) => None,
        Err(error) => panic!("{error}"),
    }
}

fn set(store: &KvStore, model: &mut Contents, number: usize, length: usize) -> bool {
    let bytes = value(&format!("{number} {length}"), length);
    let done = unless_full(store.set(key(number), &bytes)).is_some();
    if done {
        model.put(&key(number), Some(&bytes));
    }
    done
}

/// Fills a disk of `capacity`, goes on through removes and maintenance, and then gets more space.
fn fill(capacity: u64, durability: Durability) {
    let disk = SimDisk::with_seed(1);
    let mut model = Contents::default();
    disk.set_capacity(capacity);
    let Some(store) = unless_full(reopen(&disk, durability)) else {
        disk.set_capacity(1 << 30);
        reopen(&disk, durability).expect("there is space again");
        return;
    };
    let mut number = 0;
    while number < 20 && set(&store, &mut model, number, 300) {
        number += 1;
    }
    let is_full = number < 20;
    for attempt in 0..3 {
        assert_eq!(observe::values(&store, &keys()), model, "reads go on");
        if is_full {
            assert!(!set(&store, &mut model, 30, 3000), "attempt {attempt}: too large by far");
        }
    }
    for removed in 0..REMOVES.min(number) {
        if !store.remove(key(removed)).is_ok_and(|was_there| was_there) {
            panic!("remove {removed} of {REMOVES} was refused on a full disk");
        }
        model.put(&key(removed), None);
    }
    let _ = unless_full(store.compact());
    assert_eq!(observe::values(&store, &keys()), model, "after compaction");
    let _ = unless_full(store.checkpoint());
    let _ = unless_full(store.backup("/backup"));
    let _ = set(&store, &mut model, 31, 10);
    assert_eq!(observe::values(&store, &keys()), model, "after maintenance");
    let cut = disk.crashed_image(CrashPlan::LoseUnsynced);
    cut.set_capacity(1 << 30);
    if durability == Durability::Always {
        let found = observe::recover(&cut, durability, &keys(), Depth::Brief);
        assert_eq!(found, model, "after a power cut");
    }
    let killed = disk.crashed_image(CrashPlan::KillProcess);
    killed.set_capacity(1 << 30);
    assert_eq!(observe::recover(&killed, durability, &keys(), Depth::Brief), model, "killed");
    // Space comes back, and nobody reopens anything.
    disk.set_capacity(1 << 30);
    for number in 0..20 {
        assert!(set(&store, &mut model, number, 300), "there is space again");
    }
    store.compact().expect("there is space again");
    store.checkpoint().expect("there is space again");
    assert_eq!(observe::values(&store, &keys()), model);
    store.close().unwrap();
    assert_eq!(observe::recover(&disk, durability, &keys(), Depth::Thorough), model, "reopened");
}

#[test]
fn the_disk_fills_up_at_every_step_of_growth() {
    for durability in [Durability::Always, Durability::Os] {
        for capacity in (0..16_000).step_by(97) {
            let _context = Context(|| format!("{capacity} bytes, {durability:?}"));
            fill(capacity, durability);
        }
    }
}

#[test]
fn a_disk_full_of_other_things_refuses_a_new_store_and_then_takes_it() {
    let disk = SimDisk::with_seed(1);
    disk.put_file(std::path::Path::new("/other"), &[1; 1000]);
    disk.set_capacity(used(&disk));
    assert!(matches!(reopen(&disk, Durability::Always), Err(Error::DiskFull { .. })));
    disk.set_capacity(1 << 20);
    let store = reopen(&disk, Durability::Always).unwrap();
    store.set("a", "1").unwrap();
    assert_eq!(disk.list(std::path::Path::new(STORE)).unwrap(), ["logs"]);
}
