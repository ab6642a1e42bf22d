//! A real process, really killed: what it had been told was written must be there.
//!
//! ```text
//!  parent ── starts ──▶ child: threads write, compact, take checkpoints
//!     ▲                   │
//!     └── "thread counter" for each acknowledged write, through a pipe
//!  parent ── kill -9 at some moment, opens the store, compares; and again on the same store
//! ```
//!
//! The child is this very program, which knows itself by an environment variable. What the machine
//! keeps of a dead process is all that it wrote, so this holds for every durability; what only a
//! power cut takes is the matter of the simulated disk.

// The child prints what was acknowledged; the parent starts it.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, clippy::print_stdout)]

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aryavarth::{Durability, Error, KvStore, Maintenance, Options, WriteBatch};

/// Names the store's directory to the child.
const DIRECTORY: &str = "ARYAVARTH_KILL_DIRECTORY";
/// Tells the child's threads the last counter of each that is known to be done.
const STARTS: &str = "ARYAVARTH_KILL_STARTS";
/// Names the durability to the child.
const DURABILITY: &str = "ARYAVARTH_KILL_DURABILITY";
const THREADS: usize = 4;
/// Keys a thread writes in turn: no multiple of six, so that each is set and removed by turns.
const KEYS: u64 = 25;
/// Operations of a batch.
const BATCH: u64 = 5;

fn options(durability: Durability) -> Options {
    Options::default()
        .durability(durability)
        .maintenance(Maintenance::Background)
        .segment_size(16 << 10)
        .checkpoint_interval(16 << 10)
        .compaction_trigger(5)
}

/// What a counter does: every third writes a batch, some remove, the others set.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Set,
    Remove,
    Batch,
}

fn step(counter: u64) -> Step {
    match counter % 6 {
        0 | 3 => Step::Batch,
        5 => Step::Remove,
        _ => Step::Set,
    }
}

fn key(thread: usize, counter: u64) -> String {
    format!("thread {thread} key {}", counter % KEYS)
}

fn batch_key(thread: usize, number: u64) -> String {
    format!("thread {thread} batch {number}")
}

fn value(counter: u64) -> String {
    format!("{counter} {}", "v".repeat((counter * 37 % 400) as usize))
}

fn counter_of(bytes: &[u8]) -> u64 {
    let text = std::str::from_utf8(bytes).expect("values are text");
    let counter = text.split(' ').next().and_then(|c| c.parse().ok()).expect("a counter leads");
    assert_eq!(text, value(counter), "the value is not whole");
    counter
}

// --- the child ---

/// Not a test of its own: the body of the child, which never ends by itself.
#[test]
fn child() {
    let Ok(directory) = std::env::var(DIRECTORY) else { return };
    let durability = match std::env::var(DURABILITY).as_deref() {
        Ok("always") => Durability::Always,
        Ok("os") => Durability::Os,
        other => panic!("{other:?} is no durability"),
    };
    let starts = std::env::var(STARTS).unwrap();
    let starts = starts.split(',').map(|start| start.parse().unwrap());
    let store = KvStore::open_with(directory, options(durability)).unwrap();
    std::thread::scope(|scope| {
        for (thread, start) in starts.enumerate() {
            let store = &store;
            scope.spawn(move || write_for_ever(store, thread, start));
        }
        loop {
            store.checkpoint().unwrap();
            store.compact().unwrap();
            std::thread::sleep(Duration::from_millis(1));
        }
    });
}

fn write_for_ever(store: &KvStore, thread: usize, done: u64) {
    for counter in done + 1.. {
        match step(counter) {
            Step::Set => store.set(key(thread, counter), value(counter)).unwrap(),
            Step::Remove => _ = store.remove(key(thread, counter)).unwrap(),
            Step::Batch => {
                let mut batch = WriteBatch::new();
                for number in 0..BATCH {
                    batch.set(batch_key(thread, number), value(counter));
                }
                _ = store.write(&batch).unwrap();
            }
        }
        let mut out = std::io::stdout().lock();
        writeln!(out, "ack {thread} {counter}").and_then(|()| out.flush()).unwrap();
    }
}

// --- the parent ---

/// The last counter each of the child's threads said it had done.
type Acknowledged = [u64; THREADS];

fn start(directory: &Path, durability: &str, done: &Acknowledged) -> Child {
    let starts: Vec<_> = done.iter().map(u64::to_string).collect();
    Command::new(std::env::current_exe().unwrap())
        .args(["child", "--exact", "--nocapture", "--test-threads=1"])
        .env(DIRECTORY, directory)
        .env(DURABILITY, durability)
        .env(STARTS, starts.join(","))
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Reads acknowledgements until there were `count`, kills the child and reads what is left.
fn kill_after(mut child: Child, count: u64, acknowledged: &mut Acknowledged) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut seen = 0;
    while seen < count {
        let line = lines.next().expect("the child runs until it is killed").unwrap();
        seen += u64::from(note(&line, acknowledged));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // The last line may be cut; it then was not yet said.
    for line in lines.map_while(std::result::Result::ok) {
        note(&line, acknowledged);
    }
}

fn note(line: &str, acknowledged: &mut Acknowledged) -> bool {
    // The harness leaves its "test child ..." in front of the first.
    let Some((_, words)) = line.split_once("ack ") else { return false };
    let Some((thread, counter)) = words.split_once(' ') else { return false };
    let (Ok(thread), Ok(counter)) = (thread.parse::<usize>(), counter.parse::<u64>()) else {
        return false;
    };
    // A cut number is a smaller one.
    acknowledged[thread] = acknowledged[thread].max(counter);
    true
}

/// Every acknowledged write is there, of each thread at most the one more that it was at; and
/// batches are whole.
fn check(store: &KvStore, acknowledged: &Acknowledged) {
    for (thread, last) in acknowledged.iter().enumerate() {
        let batch: Vec<_> = (0..BATCH).map(|n| store.get(batch_key(thread, n)).unwrap()).collect();
        assert!(batch.iter().all(|value| *value == batch[0]), "thread {thread}: a torn batch");
        let found = batch[0].as_ref().map_or(0, |value| counter_of(value));
        let newest = |up_to: u64| up_to - up_to % 3;
        assert!(
            found == newest(*last) || found == newest(last + 1),
            "thread {thread}: batch {found}, but {last} was acknowledged"
        );
        (0..KEYS).for_each(|slot| check_key(store, thread, slot, *last));
    }
}

fn check_key(store: &KvStore, thread: usize, slot: u64, last: u64) {
    let found = store.get(key(thread, slot)).unwrap().map(|value| counter_of(&value));
    let newest =
        |up_to: u64| (1..=up_to).rev().find(|c| c % KEYS == slot && step(*c) != Step::Batch);
    let state = |counter: Option<u64>| counter.filter(|c| step(*c) == Step::Set);
    let (now, next) = (state(newest(last)), state(newest(last + 1)));
    assert!(
        found == now || found == next,
        "thread {thread} key {slot}: {found:?}, but {last} was acknowledged: {now:?} or {next:?}"
    );
}

fn kill_again_and_again(durability: Durability, name: &str, rounds: u64) {
    let directory = tempfile::tempdir().unwrap();
    let mut acknowledged = Acknowledged::default();
    for round in 0..rounds {
        let child = start(directory.path(), name, &acknowledged);
        kill_after(child, 1 + round * 397 % 1200, &mut acknowledged);
        let store = KvStore::open_with(directory.path(), options(durability)).unwrap();
        check(&store, &acknowledged);
        let report = store.verify(|_| {}).unwrap();
        assert!(report.is_intact(), "round {round}: {report:?}");
        // Every other time the next child compacts what the last one left.
        if round % 2 == 0 {
            store.compact().unwrap();
            check(&store, &acknowledged);
        }
        store.close().unwrap();
    }
}

#[test]
fn a_killed_process_loses_nothing_it_had_synced() {
    kill_again_and_again(Durability::Always, "always", 8);
}

#[test]
fn a_killed_process_loses_nothing_it_had_written() {
    kill_again_and_again(Durability::Os, "os", 8);
}

#[test]
fn a_running_child_keeps_others_out() {
    let directory = tempfile::tempdir().unwrap();
    let mut child = start(directory.path(), "os", &Acknowledged::default());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acknowledged = Acknowledged::default();
    while !note(&lines.next().unwrap().unwrap(), &mut acknowledged) {}
    match KvStore::open(directory.path()) {
        Err(Error::Locked { pid, .. }) => assert_eq!(pid, Some(child.id())),
        other => panic!("{other:?}"),
    }
    child.kill().unwrap();
    child.wait().unwrap();
    KvStore::open(directory.path()).unwrap();
}
