//! The machine stops in the middle of many clients' writes: whatever was acknowledged is there
//! afterwards, nothing was applied twice, no value is one that nobody wrote.
//!
//! The calls to the disk at which it stops are taken one after the other; which client's write that
//! hits differs from run to run, as the threads do.

use std::collections::HashMap;
use std::sync::Arc;
use std::thread;

use aryavarth::disk::sim::SimDisk;
use aryavarth::{Durability, KvStore, Options};
use redis::Value;

use crate::machine::{DIRECTORY, Machine, connect, run};

const CLIENTS: usize = 4;
const STEPS: u32 = 40;

/// What a client knows: how often each of its counters was raised, acknowledged or at least tried.
#[derive(Clone, Debug, Default)]
struct Known {
    counters: HashMap<String, (i64, i64)>,
    /// Pairs that were set together: the number last acknowledged, and the last tried.
    pair: (i64, i64),
}

fn client(socket: &std::path::Path, number: usize) -> Known {
    let mut client = connect(socket);
    let mut known = Known::default();
    for step in 0..STEPS {
        let counter = format!("counter:{number}:{}", step % 3);
        let entry = known.counters.entry(counter.clone()).or_default();
        entry.1 += 1;
        match run(&mut client, &format!("INCR {counter}")) {
            Ok(Value::Int(value)) => {
                assert!(value <= entry.1, "{counter} was raised more often than asked");
                entry.0 = value;
            }
            Ok(other) => panic!("{other:?}"),
            Err(_) => return known,
        }
        known.pair.1 += 1;
        let (left, right) = (format!("left:{number}"), format!("right:{number}"));
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        pipeline.cmd("SET").arg(&left).arg(known.pair.1);
        pipeline.cmd("SET").arg(&right).arg(known.pair.1);
        match pipeline.query::<Value>(&mut client) {
            Ok(_) => known.pair.0 = known.pair.1,
            Err(_) => return known,
        }
    }
    known
}

fn number(store: &KvStore, key: &str) -> i64 {
    let value = store.get(key).unwrap();
    value.map_or(0, |value| String::from_utf8(value).unwrap().parse().unwrap())
}

fn check(image: &SimDisk, known: &[Known], what: &str) {
    let options = Options::default().disk(Arc::new(image.clone()));
    let store = KvStore::open_with(DIRECTORY, options).unwrap_or_else(|e| panic!("{what}: {e}"));
    for (client, known) in known.iter().enumerate() {
        for (counter, (acknowledged, tried)) in &known.counters {
            let found = number(&store, counter);
            assert!(
                (*acknowledged..=*tried).contains(&found),
                "{what}: {counter} is {found}, acknowledged {acknowledged}, tried {tried}"
            );
        }
        let left = number(&store, &format!("left:{client}"));
        let right = number(&store, &format!("right:{client}"));
        assert_eq!(left, right, "{what}: half of a transaction");
        assert!((known.pair.0..=known.pair.1).contains(&left), "{what}: {left} of {known:?}");
    }
    store.close().unwrap();
}

/// Runs the clients; the machine stops at `call`. Returns whether it did.
fn crash_at(call: u64) -> bool {
    let disk = SimDisk::new();
    let mut machine = Machine::start(&disk, Durability::Always);
    disk.crash_at(disk.calls() + call);
    let socket = machine.socket().to_owned();
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let socket = socket.clone();
            thread::spawn(move || client(&socket, number))
        })
        .collect();
    let known: Vec<Known> = clients.into_iter().map(|client| client.join().unwrap()).collect();
    let crashed = disk.is_crashed();
    machine.stop();
    if crashed {
        for plan in disk.plans() {
            check(&disk.crashed_image(plan), &known, &format!("call {call}, {plan:?}"));
        }
    }
    crashed
}

#[test]
fn what_was_acknowledged_survives_a_crash_at_any_call() {
    let step = if std::env::var_os("ARYAVARTH_EXHAUSTIVE").is_some() { 1 } else { 7 };
    let mut crashes = 0;
    // The clients make some 350 calls in all, fewer if their commits meet.
    for call in (1..=500).step_by(step) {
        if !crash_at(call) {
            break;
        }
        crashes += 1;
    }
    assert!(crashes > 5, "only {crashes} crashes");
}
