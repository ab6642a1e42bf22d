//! Every order in which a reader's steps and the writer's can mix, on tables of a few tiny buckets.
//!
//! Run with `RUSTFLAGS="--cfg loom" cargo test --release --lib loom_tests`.

use std::convert::Infallible;

use loom::sync::Arc;
use loom::sync::atomic::{AtomicU64, Ordering};
use loom::thread;

use super::hash::{TableNumber, Tag};
use super::sizing::{Sizing, capacity};
use super::table::{Counts, Table};
use super::{Entry, bucket};
use crate::ids::Location;
use crate::reclaim::{Guard, pin};

const _: () = assert!(bucket::SLOTS == 2 && capacity(1) == 1 && capacity(2) == 3);

/// A key, by its tag, and the location of its record; all these tags have bucket 0 as their home.
fn entry(tag: u64, location: u64) -> Entry {
    Entry::new(Tag::from_low_bits(tag), Location::from_bits(location))
}

const A: u64 = 1;
const B: u64 = 2;
const C: u64 = 3;
const D: u64 = 4;

/// The writer of a table, whose reader is another thread.
struct Writer {
    table: Arc<Table>,
    counts: Counts,
    sizing: Sizing,
    guard: Guard,
}

impl Writer {
    fn of(entries: &[Entry]) -> Writer {
        let sizing = Sizing::of(TableNumber::all().next().expect("there is a first table"));
        let (table, counts) = (Arc::new(Table::new()), Counts::default());
        let mut writer = Writer { table, counts, sizing, guard: pin() };
        entries.iter().for_each(|entry| writer.insert(*entry));
        writer
    }

    fn insert(&mut self, entry: Entry) {
        self.table.insert(&mut self.counts, self.sizing, &mut self.guard, entry);
    }

    fn remove(&mut self, entry: Entry) {
        assert!(self.table.remove(&mut self.counts, self.sizing, &mut self.guard, entry));
    }

    fn replace(&mut self, old: Entry, new: Entry) {
        assert!(self.table.replace(&self.guard, old, new));
    }

    fn reader(&self) -> Reader {
        Reader { table: Arc::clone(&self.table) }
    }

    fn check(&self) {
        self.table.check(&self.counts, &self.guard);
    }
}

struct Reader {
    table: Arc<Table>,
}

impl Reader {
    fn find(&self, tag: u64) -> Option<u64> {
        let accept = |_| Ok::<_, Infallible>(true);
        let found = self.table.find(&pin(), Tag::from_low_bits(tag), accept);
        found.expect("nothing was refused").map(Location::bits)
    }
}

/// Runs `write` and `read` in every order, on a table that holds `entries`.
fn explore(entries: &'static [(u64, u64)], write: fn(&mut Writer), read: fn(&Reader)) {
    loom::model(move || {
        let entries: Vec<Entry> = entries.iter().map(|(t, l)| entry(*t, *l)).collect();
        let mut writer = Writer::of(&entries);
        let reader = writer.reader();
        let reading = thread::spawn(move || read(&reader));
        write(&mut writer);
        reading.join().expect("the reader found what it should");
        writer.check();
    });
}

#[test]
fn a_replaced_location_is_the_old_or_the_new_one_and_never_the_old_one_again() {
    explore(
        &[(A, 10), (B, 20)],
        |writer| {
            writer.replace(entry(B, 20), entry(B, 21));
            writer.replace(entry(B, 21), entry(B, 22));
        },
        |reader| {
            let first = reader.find(B).expect("B exists all the time");
            let second = reader.find(B).expect("B exists all the time");
            assert!(20 <= first && first <= second && second <= 22);
        },
    );
}

#[test]
fn a_lasting_key_is_found_while_another_goes_and_comes_back() {
    explore(
        &[(A, 10), (B, 20), (C, 30)],
        |writer| {
            writer.remove(entry(A, 10));
            writer.insert(entry(A, 11));
        },
        |reader| {
            assert_eq!(reader.find(C), Some(30));
            assert!(matches!(reader.find(A), None | Some(10 | 11)));
        },
    );
}

#[test]
fn a_key_past_a_deleted_one_is_found_while_the_slot_is_used_again() {
    explore(
        &[(A, 10), (B, 20), (C, 30)],
        |writer| {
            writer.remove(entry(B, 20));
            writer.remove(entry(A, 10));
            writer.insert(entry(D, 40));
        },
        |reader| {
            assert_eq!(reader.find(C), Some(30));
            let seen = reader.find(D);
            assert!(matches!(seen, None | Some(40)));
            if seen.is_some() {
                assert_eq!((reader.find(A), reader.find(B)), (None, None));
            }
        },
    );
}

#[test]
fn a_lasting_key_is_found_while_the_table_grows() {
    explore(
        &[(A, 10)],
        |writer| writer.insert(entry(B, 20)),
        |reader| {
            let new = reader.find(B);
            assert!(matches!(new, None | Some(20)));
            assert_eq!(reader.find(A), Some(10));
            assert!(new.is_none() || reader.find(B).is_some());
        },
    );
}

#[test]
fn a_lasting_key_is_found_while_the_table_grows_and_goes_on_changing() {
    explore(
        &[(A, 10)],
        |writer| {
            writer.insert(entry(B, 20));
            writer.replace(entry(A, 10), entry(A, 11));
            writer.remove(entry(B, 20));
        },
        |reader| {
            let seen = reader.find(B).is_some();
            let first = reader.find(A).expect("A exists all the time");
            assert!(matches!(first, 10 | 11));
            if first == 11 {
                assert_eq!(reader.find(A), Some(11));
            }
            assert!(seen || matches!(reader.find(B), None | Some(20)));
        },
    );
}

#[test]
fn a_lasting_key_is_found_while_the_table_shrinks() {
    explore(
        &[(A, 10), (B, 20), (C, 30), (D, 40), (5, 50), (6, 60)],
        |writer| {
            for tag in [A, B, D, 5, 6] {
                writer.remove(entry(tag, 10 * tag));
            }
        },
        |reader| assert_eq!(reader.find(C), Some(30)),
    );
}

#[test]
fn changes_are_seen_in_their_order() {
    explore(
        &[(A, 10), (B, 20), (C, 30)],
        |writer| {
            writer.replace(entry(C, 30), entry(C, 31));
            writer.remove(entry(A, 10));
            writer.replace(entry(B, 20), entry(B, 21));
        },
        |reader| {
            if reader.find(B) == Some(21) {
                assert_eq!(reader.find(A), None);
            }
            if reader.find(A).is_none() {
                assert_eq!(reader.find(C), Some(31));
            }
        },
    );
}

/// What stands at a location was written before the index points there.
#[test]
fn whoever_finds_a_location_sees_the_record() {
    loom::model(|| {
        let records = Arc::new([AtomicU64::new(0), AtomicU64::new(0)]);
        let mut writer = Writer::of(&[]);
        let (reader, seen) = (writer.reader(), Arc::clone(&records));
        let reading = thread::spawn(move || {
            if let Some(location) = reader.find(A) {
                assert_eq!(seen[location as usize - 10].load(Ordering::Relaxed), location);
            }
        });
        records[0].store(10, Ordering::Relaxed);
        writer.insert(entry(A, 10));
        records[1].store(11, Ordering::Relaxed);
        writer.replace(entry(A, 10), entry(A, 11));
        reading.join().expect("the reader found what it should");
    });
}
