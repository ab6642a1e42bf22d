//! The store against a map: random operations on few keys, after each of which both must agree.
//!
//! ```text
//!            ┌─▶ KvStore on a disk  ─┐
//!  operation ┤                       ├─ same answer? same content? same versions?
//!            └─▶ Reference (a map)  ─┘
//! ```
//!
//! The few keys collide all the time, and segments are as small as they may be, so that rotation,
//! compaction, checkpoints and recovery are met with every kind of record. Most runs are on the
//! simulated disk, where time stands still until an operation moves it and a process can be killed
//! for nothing; some are on the real one.

// The tests make and copy directories of the real machine.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod harness;
mod operation;
mod reference;

use aryavarth::disk::sim::Reads;
use aryavarth::{Durability, Maintenance};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use std::time::Duration;

use harness::{Harness, Machine, Setup};
use operation::Operation;

fn durability() -> impl Strategy<Value = Durability> {
    prop_oneof![
        Just(Durability::Always),
        Just(Durability::Os),
        Just(Durability::Interval(Duration::from_millis(10))),
    ]
}

fn maintenance() -> impl Strategy<Value = Maintenance> {
    prop_oneof![3 => Just(Maintenance::Manual), 1 => Just(Maintenance::Background)]
}

fn reads() -> impl Strategy<Value = Reads> {
    prop_oneof![Just(Reads::Borrowed), Just(Reads::Copied)]
}

fn setup() -> impl Strategy<Value = Setup> {
    (durability(), maintenance(), reads(), prop_oneof![Just(4u64 << 10), Just(64 << 10)]).prop_map(
        |(durability, maintenance, reads, segment_size)| Setup {
            durability,
            maintenance,
            reads,
            segment_size,
        },
    )
}

fn run(machine: fn(Reads) -> Machine, cases: u32, operations: usize) {
    let mut config = Config { failure_persistence: None, ..Config::default() };
    // The usual variable asks for more (or fewer) than every run of the tests can afford.
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = cases;
    }
    let operations = prop::collection::vec(operation::operation(), 1..operations);
    TestRunner::new(config)
        .run(&(setup(), operations), |(setup, operations)| {
            let mut harness = Harness::open(machine(setup.reads), setup);
            for operation in &operations {
                harness.perform(operation);
            }
            harness.perform(&Operation::Reopen);
            harness.perform(&Operation::Compact);
            harness.perform(&Operation::Kill);
            Ok(())
        })
        .unwrap_or_else(|error| panic!("{error}"));
}

#[test]
fn agrees_with_a_map_on_the_simulated_disk() {
    run(Machine::simulated, 150, 120);
}

#[test]
fn agrees_with_a_map_on_the_real_disk() {
    run(|_| Machine::real(), 15, 60);
}
