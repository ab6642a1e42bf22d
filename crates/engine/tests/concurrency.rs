//! Many threads at once, while segments fill up, compaction moves records and checkpoints are taken.
//!
//! Each value carries its key, a counter and a checksum, so a reader knows by itself whether what it
//! got is whole and whose it is. What must never be seen: a counter that goes back, a value of
//! another key, a removed key that is there again, an increment that is gone. Nothing here measures
//! time; the amount of work is fixed.

// Also in what the tests share.
#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, mpsc};

use aryavarth::{
    Durability, Error, Expected, KvStore, Maintenance, Options, SetOptions, SetOutcome, Swap,
    WriteBatch,
};

const WRITERS: usize = 8;
const READERS: usize = 8;
const KEYS_A_WRITER: usize = 16;

fn options(durability: Durability) -> Options {
    Options::default()
        .durability(durability)
        .maintenance(Maintenance::Background)
        .segment_size(64 << 10)
        .checkpoint_interval(64 << 10)
        .compaction_trigger(5)
        .compaction_budget(u64::MAX)
}

fn key(writer: usize, number: usize) -> String {
    format!("writer {writer} key {number}")
}

/// A value that proves itself. Its length varies with the counter.
fn value(key: &str, counter: u64) -> Vec<u8> {
    let padding = "x".repeat((counter % 7 * 60) as usize);
    let body = format!("{key}|{counter}|{padding}");
    format!("{body}|{:08x}", checksum(body.as_bytes())).into_bytes()
}

/// The counter in a value that `key` has.
fn counter(key: &str, value: &[u8]) -> u64 {
    let text = std::str::from_utf8(value).expect("a value is text");
    let (body, sum) = text.rsplit_once('|').expect("a value ends with its checksum");
    assert_eq!(format!("{:08x}", checksum(body.as_bytes())), sum, "torn: {text}");
    let mut parts = body.split('|');
    assert_eq!(parts.next(), Some(key), "the value is another key's");
    parts.next().and_then(|counter| counter.parse().ok()).expect("a value has a counter")
}

/// FNV-1a: enough to tell a mixture of two values from either.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0x811c_9dc5, |sum, byte| (sum ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
}

/// What is known of a key: `started` is raised before a write, `done` after it was acknowledged. Even
/// counters are sets, odd ones removes.
struct Progress {
    is_removed_at_times: bool,
    started: AtomicU64,
    done: AtomicU64,
}

impl Progress {
    fn new(number: usize) -> Progress {
        let (started, done) = (AtomicU64::new(0), AtomicU64::new(0));
        Progress { is_removed_at_times: !number.is_multiple_of(3), started, done }
    }

    /// Whether a reader may find this, if `done` was at least `before` when it began to look.
    fn check(&self, key: &str, before: u64, found: Option<u64>) {
        let after = self.started.load(Ordering::SeqCst);
        match found {
            Some(counter) => {
                assert!(counter.is_multiple_of(2), "{key}: {counter} was never written");
                assert!(counter >= before, "{key}: {counter}, but {before} was acknowledged");
                assert!(counter <= after, "{key}: {counter}, but only {after} was begun");
            }
            None => {
                let may_be_removed =
                    before % 2 == 1 || (after > before && self.is_removed_at_times);
                assert!(
                    before == 0 || may_be_removed,
                    "{key}: absent, though {before} set it and nothing removed it since"
                );
            }
        }
    }
}

struct Keys {
    progress: Vec<Vec<Progress>>,
}

impl Keys {
    fn new() -> Keys {
        let of_one = || (0..KEYS_A_WRITER).map(Progress::new).collect();
        Keys { progress: (0..WRITERS).map(|_| of_one()).collect() }
    }

    /// One writer: it alone writes its keys, so that it knows what each must have.
    fn write(&self, store: &KvStore, writer: usize, rounds: u64) {
        for counter in 1..=rounds {
            for (number, progress) in self.progress[writer].iter().enumerate() {
                let key = key(writer, number);
                let counter = if progress.is_removed_at_times { counter + 1 } else { 2 * counter };
                progress.started.store(counter, Ordering::SeqCst);
                if counter % 2 == 0 {
                    store.set(&key, value(&key, counter)).unwrap();
                } else {
                    assert!(store.remove(&key).unwrap(), "{key} was set before {counter}");
                }
                progress.done.store(counter, Ordering::SeqCst);
            }
        }
    }

    /// One reader: looks at keys of all writers until told to stop.
    fn read(&self, store: &KvStore, reader: usize, stop: &AtomicBool) -> u64 {
        let mut newest = BTreeMap::new();
        let mut reads = 0;
        let mut state = reader as u64 + 1;
        while !stop.load(Ordering::Relaxed) {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let (writer, number) =
                ((state >> 33) as usize % WRITERS, (state >> 40) as usize % KEYS_A_WRITER);
            let progress = &self.progress[writer][number];
            let key = key(writer, number);
            let before = progress.done.load(Ordering::SeqCst);
            let found = store.get(&key).unwrap().map(|value| counter(&key, &value));
            progress.check(&key, before, found);
            if let Some(counter) = found {
                let newest = newest.entry((writer, number)).or_insert(0);
                assert!(counter >= *newest, "{key} went back from {newest} to {counter}");
                *newest = counter;
            }
            reads += 1;
        }
        reads
    }

    /// Everything must be as the last writes left it.
    fn check_rest(&self, store: &KvStore) {
        let mut expected = 0;
        for (writer, keys) in self.progress.iter().enumerate() {
            for (number, progress) in keys.iter().enumerate() {
                let key = key(writer, number);
                let last = progress.done.load(Ordering::SeqCst);
                let found = store.get(&key).unwrap().map(|value| counter(&key, &value));
                assert_eq!(found, (last % 2 == 0).then_some(last), "{key}");
                expected += u64::from(found.is_some());
            }
        }
        assert_eq!(store.len(), expected);
        assert_eq!(store.iter().filter(|entry| entry.is_ok()).count() as u64, expected);
    }
}

fn writers_and_readers(durability: Durability, rounds: u64) {
    let directory = tempfile::tempdir().unwrap();
    let store = KvStore::open_with(directory.path(), options(durability)).unwrap();
    let keys = Keys::new();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                scope.spawn({
                    let (keys, store) = (&keys, &store);
                    move || keys.write(store, writer, rounds)
                })
            })
            .collect();
        let readers: Vec<_> = (0..READERS)
            .map(|reader| {
                scope.spawn({
                    let (keys, store, stop) = (&keys, &store, &stop);
                    move || keys.read(store, reader, stop)
                })
            })
            .collect();
        let upkeep = scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                store.checkpoint().unwrap();
                store.compact().unwrap();
            }
        });
        let written: Vec<_> = writers.into_iter().map(|writer| writer.join()).collect();
        stop.store(true, Ordering::Relaxed);
        for outcome in written {
            outcome.unwrap();
        }
        for reader in readers {
            assert!(reader.join().unwrap() > 0);
        }
        upkeep.join().unwrap();
    });
    keys.check_rest(&store);
    store.close().unwrap();
    let store = KvStore::open_with(directory.path(), options(durability)).unwrap();
    keys.check_rest(&store);
    store.compact().unwrap();
    keys.check_rest(&store);
    assert!(store.verify(|_| {}).unwrap().is_intact());
}

#[test]
fn readers_never_see_the_past_while_writes_go_to_the_system() {
    writers_and_readers(Durability::Os, 400);
}

#[test]
fn readers_never_see_the_past_while_writes_are_synced() {
    writers_and_readers(Durability::Always, 25);
}

/// Adds one to a counter in the store, whatever the others do.
fn increment(store: &KvStore, key: &str, expect: fn(&aryavarth::Entry) -> Expected<'_>) {
    loop {
        let entry = store.get_entry(key).unwrap().expect("the counter is never removed");
        let new = value(key, counter(key, &entry.value) + 1);
        let swap = store.compare_and_swap(key, expect(&entry), Some(&new)).unwrap();
        if matches!(swap, Swap::Swapped(_)) {
            return;
        }
    }
}

#[test]
fn no_increment_is_lost() {
    const INCREMENTS: u64 = 40;
    for durability in [Durability::Os, Durability::Always] {
        let directory = tempfile::tempdir().unwrap();
        let store = KvStore::open_with(directory.path(), options(durability)).unwrap();
        let counters = ["first", "second", "third"];
        for key in counters {
            store.set(key, value(key, 0)).unwrap();
        }
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..WRITERS)
                .map(|thread| {
                    scope.spawn({
                        let store = &store;
                        move || {
                            for _ in 0..INCREMENTS {
                                for key in counters {
                                    match thread % 2 {
                                        0 => increment(store, key, |e| Expected::Value(&e.value)),
                                        _ => {
                                            increment(store, key, |e| Expected::Version(e.version))
                                        }
                                    }
                                }
                            }
                        }
                    })
                })
                .collect();
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    store.compact().unwrap();
                }
            });
            let outcomes: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
            stop.store(true, Ordering::Relaxed);
            outcomes.into_iter().for_each(|outcome| outcome.unwrap());
        });
        for key in counters {
            let found = counter(key, &store.get(key).unwrap().unwrap());
            assert_eq!(found, INCREMENTS * WRITERS as u64, "{key}, {durability:?}");
        }
    }
}

#[test]
fn only_one_takes_a_key_that_is_absent() {
    let directory = tempfile::tempdir().unwrap();
    let store = KvStore::open_with(directory.path(), options(Durability::Always)).unwrap();
    for round in 0..20 {
        let key = format!("lock {round}");
        let once = SetOptions::new().only_if_absent();
        let outcomes = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for thread in 0..WRITERS {
                let (store, outcomes, key) = (&store, &outcomes, &key);
                scope.spawn(move || {
                    let outcome = store.set_with(key, thread.to_string(), once).unwrap();
                    // Whoever is told "no" can read the winner's value: it is durable and applied.
                    let seen = store.get(key).unwrap().expect("somebody has won");
                    outcomes.lock().unwrap().push((thread, outcome, seen));
                });
            }
        });
        let outcomes = outcomes.into_inner().unwrap();
        let winner: Vec<_> =
            outcomes.iter().filter(|(_, outcome, _)| *outcome != SetOutcome::Declined).collect();
        assert_eq!(winner.len(), 1, "{outcomes:?}");
        let name = winner[0].0.to_string().into_bytes();
        assert!(outcomes.iter().all(|(_, _, seen)| *seen == name), "{outcomes:?}");
    }
}

#[test]
fn iteration_returns_every_lasting_key_exactly_once() {
    const LASTING: usize = 400;
    const ITERATIONS: usize = 30;
    let directory = tempfile::tempdir().unwrap();
    let store = KvStore::open_with(directory.path(), options(Durability::Os)).unwrap();
    for number in 0..LASTING {
        let key = format!("lasting {number}");
        store.set(&key, value(&key, 0)).unwrap();
    }
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let store = &store;
        for writer in 0..4 {
            let stop = &stop;
            scope.spawn(move || {
                let mut round = 0;
                while !stop.load(Ordering::Relaxed) {
                    round += 1;
                    for number in (writer..LASTING).step_by(4) {
                        let key = format!("lasting {number}");
                        store.set(&key, value(&key, round)).unwrap();
                        let key = format!("passing {number}");
                        match round % 2 {
                            1 => store.set(&key, value(&key, round)).unwrap(),
                            _ => assert!(store.remove(&key).unwrap()),
                        }
                    }
                }
            });
        }
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                store.compact().unwrap();
            }
        });
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for _ in 0..ITERATIONS {
                iterate_once(store, LASTING);
            }
        }));
        stop.store(true, Ordering::Relaxed);
        outcome.unwrap();
    });
}

fn iterate_once(store: &KvStore, lasting: usize) {
    let mut seen = BTreeMap::new();
    for entry in store.iter() {
        let entry = entry.unwrap();
        let key = String::from_utf8(entry.key).unwrap();
        counter(&key, &entry.value);
        *seen.entry(key).or_insert(0) += 1;
    }
    let twice: Vec<_> = seen.iter().filter(|(_, times)| **times != 1).collect();
    assert!(twice.is_empty(), "returned more than once: {twice:?}");
    let found = seen.keys().filter(|key| key.starts_with("lasting")).count();
    assert_eq!(found, lasting, "some lasting key was not returned");
}

/// A batch moves an amount from one account to another; no single step may lose any of it.
#[test]
fn batches_of_many_threads_keep_the_sum() {
    const ACCOUNTS: u64 = 8;
    let directory = tempfile::tempdir().unwrap();
    let options = options(Durability::Always);
    let store = KvStore::open_with(directory.path(), options.clone()).unwrap();
    let balances = Mutex::new(vec![100i64; ACCOUNTS as usize]);
    let (sender, receiver) = mpsc::channel();
    std::thread::scope(|scope| {
        for thread in 0..WRITERS as u64 {
            let (store, balances, sender) = (&store, &balances, sender.clone());
            scope.spawn(move || {
                for step in 0..60 {
                    let (from, to) =
                        ((thread + step) % ACCOUNTS, (thread * 3 + step * 5) % ACCOUNTS);
                    let mut batch = WriteBatch::new();
                    // Submitted while the balances are held, so both see the same order.
                    let mut balances = balances.lock().unwrap();
                    balances[from as usize] -= 1;
                    balances[to as usize] += 1;
                    for account in [from, to] {
                        let balance = balances[account as usize].to_string();
                        batch.set(format!("account {account}"), balance);
                    }
                    let sender = sender.clone();
                    store.submit(&batch, move |outcome| sender.send(outcome.unwrap()).unwrap());
                }
            });
        }
    });
    drop(sender);
    let versions: Vec<_> = receiver.iter().collect();
    assert_eq!(versions.len(), WRITERS * 60);
    assert!(versions.is_sorted(), "batches are acknowledged in the order of the log");
    let expected = balances.into_inner().unwrap();
    assert_eq!(expected.iter().sum::<i64>(), 100 * ACCOUNTS as i64);
    let check = |store: &KvStore| {
        for (account, balance) in expected.iter().enumerate() {
            let found = store.get(format!("account {account}")).unwrap().unwrap();
            assert_eq!(String::from_utf8(found).unwrap(), balance.to_string(), "account {account}");
        }
    };
    check(&store);
    store.close().unwrap();
    check(&KvStore::open_with(directory.path(), options).unwrap());
}

/// Closing is allowed at any time: what was acknowledged is there, what was not was refused.
#[test]
fn closing_while_threads_write_loses_nothing_acknowledged() {
    for (round, durability) in
        [Durability::Os, Durability::Always].into_iter().cycle().take(12).enumerate()
    {
        let directory = tempfile::tempdir().unwrap();
        let maintenance = if round % 4 < 2 { Maintenance::Background } else { Maintenance::Manual };
        let options = options(durability).maintenance(maintenance);
        let store = KvStore::open_with(directory.path(), options.clone()).unwrap();
        let acknowledged = AtomicU64::new(0);
        let threads = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..WRITERS)
                .map(|thread| {
                    let (store, acknowledged) = (store.clone(), &acknowledged);
                    scope.spawn(move || {
                        let key = format!("thread {thread}");
                        for counter in 1.. {
                            match store.set(&key, value(&key, counter)) {
                                Ok(()) => _ = acknowledged.fetch_add(1, Ordering::SeqCst),
                                Err(Error::Closed) => return counter - 1,
                                Err(error) => panic!("{error}"),
                            }
                        }
                        unreachable!("the loop ends when the store is closed")
                    })
                })
                .collect();
            while acknowledged.load(Ordering::SeqCst) < 50 * (round as u64 + 1) {
                std::thread::yield_now();
            }
            store.clone().close().unwrap();
            // While the threads find out, the next process may already be there.
            let next = KvStore::open_with(directory.path(), options.clone()).unwrap();
            next.set("next", "1").unwrap();
            let threads: Vec<_> = threads.into_iter().map(|t| t.join()).collect();
            next.close().unwrap();
            threads
        });
        let store = KvStore::open_with(directory.path(), options).unwrap();
        for (thread, last) in threads.into_iter().enumerate() {
            let (key, last) = (format!("thread {thread}"), last.unwrap());
            let found = store.get(&key).unwrap().map_or(0, |value| counter(&key, &value));
            assert_eq!(found, last, "{key}, round {round}, {durability:?}");
        }
    }
}
