//! Readers and writers at work at the same time, on real threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use super::*;

const READERS: usize = 16;
/// Keys that exist all the time; only their locations change.
const LASTING: u64 = 100;
/// All keys: more than the lasting ones come and go, so that tables grow and shrink.
const KEYS: u64 = 2_000;
const ROUNDS: u64 = 40;

fn key_hash(key: u64) -> KeyHash {
    let spread = key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    // Half of the keys share few tags.
    hash(key as usize % 3, if key.is_multiple_of(2) { spread } else { spread & 0xe0_0000 })
}

/// The location of version `version` of `key`, from which both can be read.
fn record(key: u64, version: u64) -> Location {
    location(version * KEYS + key)
}

fn version_of(key: u64, candidate: Location) -> Option<u64> {
    let number = candidate.bits() - 2;
    (number % KEYS == key).then_some(number / KEYS)
}

/// Ends the readers' work even if the writer fails.
struct SetAtTheEnd<'a>(&'a AtomicBool);

impl Drop for SetAtTheEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Release);
    }
}

struct Shared {
    index: Index,
    /// The version of each key that was put before any later reader started.
    done: Vec<AtomicU64>,
    over: AtomicBool,
}

impl Shared {
    fn find(&self, key: u64) -> Option<u64> {
        let confirm = |c: Location| Ok::<_, Infallible>(version_of(key, c).is_some());
        let found = self.index.find(&pin(), key_hash(key), confirm).unwrap();
        found.and_then(|location| version_of(key, location))
    }

    /// Gives every key a next version; the keys that do not last exist only half of the time.
    fn write(&self) {
        let _end = SetAtTheEnd(&self.over);
        for version in 1..=ROUNDS {
            for key in LASTING..KEYS {
                self.index.writer().insert(key_hash(key), record(key, version));
                self.move_on(key % LASTING);
            }
            for key in LASTING..KEYS {
                assert!(self.index.writer().remove(key_hash(key), record(key, version)));
                self.move_on(key % LASTING);
            }
        }
    }

    fn move_on(&self, key: u64) {
        let version = self.done[key as usize].load(Ordering::Relaxed);
        let (old, new) = (record(key, version), record(key, version + 1));
        assert!(self.index.writer().replace(key_hash(key), old, new));
        self.done[key as usize].store(version + 1, Ordering::Release);
    }

    fn read(&self) {
        let mut latest = [0; LASTING as usize];
        while !self.over.load(Ordering::Acquire) {
            for key in 0..LASTING {
                let least = self.done[key as usize].load(Ordering::Acquire);
                let found = self.find(key).expect("the key exists all the time");
                let most = self.done[key as usize].load(Ordering::Acquire) + 1;
                assert!((least..=most).contains(&found), "{found} not in {least}..={most}");
                assert!(found >= latest[key as usize], "time went backwards");
                latest[key as usize] = found;
            }
            for key in LASTING..KEYS {
                assert!(self.find(key).is_none_or(|version| (1..=ROUNDS).contains(&version)));
            }
        }
    }
}

#[test]
fn lasting_keys_are_always_found_by_readers_while_the_writer_works() {
    let index = Index::new();
    (0..LASTING).for_each(|key| index.writer().insert(key_hash(key), record(key, 0)));
    let done = (0..LASTING).map(|_| AtomicU64::new(0)).collect();
    let shared = Shared { index, done, over: AtomicBool::new(false) };
    thread::scope(|scope| {
        (0..READERS).for_each(|_| drop(scope.spawn(|| shared.read())));
        scope.spawn(|| shared.write());
    });
    check(&shared.index);
    assert_eq!(shared.index.len(), LASTING);
}

#[test]
fn writers_take_turns() {
    let index = Index::new();
    thread::scope(|scope| {
        for writer in 0..4 {
            let index = &index;
            scope.spawn(move || {
                for number in 0..5_000 {
                    let number = writer * 5_000 + number;
                    index.writer().insert(hash(1, number << 8), location(number));
                }
            });
        }
    });
    check(&index);
    assert_eq!(index.len(), 20_000);
}

#[test]
fn tables_are_restored_at_the_same_time() {
    let index = Index::new();
    let entries = |table: usize| {
        (0..500_u32).map(move |number| {
            let tag = Tag::from_low_bits(u64::from(number) << 15);
            Entry::new(tag, location(table as u64))
        })
    };
    thread::scope(|scope| {
        for table in 0..8 {
            let (index, number) = (&index, TableNumber::new(table).unwrap());
            scope.spawn(move || index.restore(number, entries(table)));
        }
    });
    check(&index);
    assert_eq!(index.len(), 4_000);
}
