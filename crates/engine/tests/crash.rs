//! The promise "no acknowledged write is lost, no batch is split, it always opens", proven on the
//! simulated disk by trying every crash there is.
//!
//! With `ARYAVARTH_EXHAUSTIVE=1` longer workloads are tried too; see `common/workloads.rs`.

#![allow(clippy::unwrap_used, reason = "these are tests, their helpers too")]

mod common;
#[path = "crash/every_call.rs"]
mod every_call;
#[path = "crash/kvs1.rs"]
mod kvs1;
#[path = "crash/meddle.rs"]
mod meddle;

use std::time::Duration;

use aryavarth::Durability;
use aryavarth::disk::Disk;
use aryavarth::disk::sim::SimDisk;

use common::model::{Contents, History, Step};
use common::workloads;
use every_call::EveryCall;

fn new_disk() -> SimDisk {
    SimDisk::with_seed(1)
}

fn history(steps: Vec<Step>) -> History {
    History::new(Contents::default(), steps, new_disk().wall_clock())
}

const INTERVAL: Durability = Durability::Interval(Duration::from_millis(10));

#[test]
fn writes_synced_at_once() {
    EveryCall::new(&history(workloads::writes()), Durability::Always, new_disk).run();
}

#[test]
fn writes_left_to_the_system() {
    EveryCall::new(&history(workloads::writes()), Durability::Os, new_disk).run();
}

#[test]
fn writes_synced_at_intervals() {
    EveryCall::new(&history(workloads::writes()), INTERVAL, new_disk).run();
}

#[test]
fn maintenance_of_a_store_synced_at_once() {
    EveryCall::new(&history(workloads::maintenance()), Durability::Always, new_disk).run();
}

#[test]
fn maintenance_of_a_store_left_to_the_system() {
    EveryCall::new(&history(workloads::maintenance()), Durability::Os, new_disk).run();
}

#[test]
fn tombstones_outlive_what_they_hide() {
    EveryCall::new(&history(workloads::tombstones()), Durability::Always, new_disk).run();
}

/// Only where everything is to be tried.
fn long_mixes(durability: Durability) {
    if !common::is_exhaustive() {
        return;
    }
    for seed in 1..=2 {
        EveryCall::new(&history(workloads::long(50, seed)), durability, new_disk).run();
    }
}

#[test]
fn long_mixes_synced_at_once() {
    long_mixes(Durability::Always);
}

#[test]
fn long_mixes_left_to_the_system() {
    long_mixes(Durability::Os);
}

#[test]
fn long_mixes_synced_at_intervals() {
    long_mixes(INTERVAL);
}
