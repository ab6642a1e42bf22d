//! The index as its users see it: alone, against a model, and by many threads at once.

use std::cell::RefCell;
use std::collections::HashMap;
use std::convert::Infallible;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;

use proptest::prelude::*;

use super::hash::Tag;
use super::*;

fn location(number: u64) -> Location {
    Location::from_bits(2 + number)
}

fn hash(table: usize, tag: u64) -> KeyHash {
    let table = TableNumber::new(table).expect("tests name existing tables");
    KeyHash::from_parts(table, Tag::from_low_bits(tag))
}

/// The first candidate.
fn any(index: &Index, hash: KeyHash) -> Option<Location> {
    let accept = |_| Ok::<_, Infallible>(true);
    index.find(&pin(), hash, accept).unwrap()
}

fn check(index: &Index) {
    let (counts, guard) = (index.counts(), pin());
    for number in TableNumber::all() {
        index.table(number).check(&counts[number.get()], &guard);
    }
    assert_eq!(index.len(), counts.iter().map(|counts| counts.live() as u64).sum::<u64>());
}

mod alone {
    use super::*;

    #[test]
    fn an_empty_index_finds_nothing_and_has_no_arrays() {
        let index = Index::default();
        assert_eq!(index.len(), 0);
        assert_eq!(any(&index, hash(0, 0)), None);
        assert!(!index.contains(&pin(), hash(0, 0), location(0)));
        assert!(!index.writer().remove(hash(0, 0), location(0)));
        assert!(!index.writer().replace(hash(0, 0), location(0), location(1)));
        assert!(index.entries(hash(9, 0).table()).is_empty());
        assert!(index.bytes() <= 16 * Index::TABLES as u64);
    }

    #[test]
    fn a_key_is_found_where_it_was_put_last_until_it_is_removed() {
        let (index, key) = (Index::new(), hash(7, 0xabcdef));
        index.writer().insert(key, location(1));
        assert_eq!(any(&index, key), Some(location(1)));
        assert_eq!(any(&index, hash(7, 0xabcdee)), None);
        assert_eq!(any(&index, hash(8, 0xabcdef)), None);
        assert!(index.writer().replace(key, location(1), location(2)));
        assert_eq!(any(&index, key), Some(location(2)));
        assert_eq!(index.len(), 1);
        assert!(index.writer().remove(key, location(2)));
        assert_eq!(any(&index, key), None);
        assert_eq!(index.len(), 0);
        check(&index);
    }

    #[test]
    fn only_exactly_the_named_slot_is_changed() {
        let (index, key) = (Index::new(), hash(7, 3));
        let mut writer = index.writer();
        writer.insert(key, location(1));
        assert!(!writer.replace(key, location(2), location(3)));
        assert!(!writer.replace(hash(7, 4), location(1), location(3)));
        assert!(!writer.remove(key, location(2)));
        assert!(!writer.remove(hash(7, 4), location(1)));
        assert!(writer.contains(key, location(1)));
        assert!(!writer.contains(key, location(2)));
        drop(writer);
        assert!(index.contains(&pin(), key, location(1)));
        assert!(!index.contains(&pin(), hash(7, 4), location(1)));
    }

    #[test]
    fn entries_are_changed_without_a_hash() {
        let (index, key) = (Index::new(), hash(5, 77));
        index.writer().insert(key, location(1));
        let entry = index.entries(key.table())[0];
        assert_eq!((entry.tag(), entry.location()), (key.tag(), location(1)));
        let moved = entry.with_location(location(9));
        assert!(index.writer().replace_entry(key.table(), entry, moved));
        assert!(!index.writer().remove_entry(key.table(), entry));
        assert_eq!(any(&index, key), Some(location(9)));
        assert!(index.writer().remove_entry(key.table(), moved));
        assert_eq!(index.len(), 0);
    }

    #[test]
    fn confirm_sees_every_candidate_until_it_accepts_one() {
        let (index, key) = (Index::new(), hash(1, 5));
        (0..30).for_each(|number| index.writer().insert(key, location(number)));
        (0..30).for_each(|number| index.writer().insert(hash(1, 6), location(100 + number)));
        let seen = RefCell::new(Vec::new());
        let found = index.find(&pin(), key, |candidate| {
            seen.borrow_mut().push(candidate.bits() - 2);
            Ok::<_, Infallible>(false)
        });
        assert_eq!(found, Ok(None));
        let mut seen = seen.into_inner();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..30));
        for number in 0..30 {
            let found = index.find(&pin(), key, |c| Ok::<_, Infallible>(c == location(number)));
            assert_eq!(found, Ok(Some(location(number))));
        }
    }

    #[test]
    fn an_error_counts_only_if_no_candidate_is_accepted() {
        let (index, key) = (Index::new(), hash(1, 5));
        (0..3).for_each(|number| index.writer().insert(key, location(number)));
        let accept = |accepted: Option<u64>| {
            move |candidate: Location| match candidate.bits() - 2 {
                number if Some(number) == accepted => Ok(true),
                number => Err(number),
            }
        };
        let found = |accepted| index.writer().find(key, accept(accepted));
        for number in 0..3 {
            assert_eq!(found(Some(number)), Ok(Some(location(number))));
        }
        assert_eq!(found(None), Err(0));
        assert_eq!(any(&index, key), Some(location(0)));
    }

    #[test]
    fn more_keys_than_any_bucket_holds_may_share_a_tag() {
        for tag in [0, 0x80_0000, 0xff_ffff] {
            let (index, key) = (Index::new(), hash(4095, tag));
            (0..1_000).for_each(|number| index.writer().insert(key, location(number)));
            check(&index);
            for number in (0..1_000).rev() {
                assert!(index.contains(&pin(), key, location(number)));
                assert!(index.writer().remove(key, location(number)));
                assert!(!index.contains(&pin(), key, location(number)));
            }
            check(&index);
            assert_eq!(index.len(), 0);
        }
    }

    #[test]
    fn an_emptied_index_gives_its_memory_back() {
        let (index, seed) = (Index::new(), HashSeed(3));
        let key = |number: u64| KeyHash::of(seed, &number.to_le_bytes());
        let keys = 400_000;
        (0..keys).for_each(|number| index.writer().insert(key(number), location(number)));
        assert!(index.bytes() > 8 * keys);
        check(&index);
        for number in 0..keys {
            assert!(index.writer().remove(key(number), location(number)));
        }
        check(&index);
        assert!(index.bytes() < 300 * Index::TABLES as u64);
    }

    #[test]
    fn steady_replacement_of_keys_does_not_grow_the_index() {
        let index = Index::new();
        let key = |number: u64| hash(3, number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40);
        (0..500).for_each(|number| index.writer().insert(key(number), location(number)));
        let before = index.bytes();
        for number in 0..50_000 {
            assert!(index.writer().remove(key(number), location(number)));
            index.writer().insert(key(number + 500), location(number + 500));
        }
        check(&index);
        assert!(index.bytes() <= before * 5 / 4 + 64);
    }

    #[test]
    fn a_restored_table_has_the_same_entries() {
        for keys in [0, 1, 6, 7, 100, 3_000] {
            let index = Index::new();
            let key = |number: u64| hash(3, number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40);
            (0..keys).for_each(|number| index.writer().insert(key(number), location(number)));
            let entries = index.entries(key(0).table());
            assert_eq!(entries.len() as u64, keys);
            for reversed in [false, true] {
                let mut entries = entries.clone();
                if reversed {
                    entries.reverse();
                }
                let other = Index::new();
                other.restore(key(0).table(), entries.into_iter());
                check(&other);
                assert_eq!(other.len(), keys);
                for number in 0..keys {
                    assert!(other.contains(&pin(), key(number), location(number)));
                    assert!(other.writer().replace(
                        key(number),
                        location(number),
                        location(1 << 30 | number)
                    ));
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "only an empty table is restored")]
    fn a_table_with_entries_is_not_restored() {
        let (index, key) = (Index::new(), hash(2, 2));
        index.writer().insert(key, location(0));
        index.restore(key.table(), index.entries(key.table()).into_iter());
    }

    #[test]
    #[should_panic(expected = "an entry of another key")]
    fn an_entry_is_not_replaced_by_that_of_another_tag() {
        let (index, key) = (Index::new(), hash(2, 2));
        index.writer().insert(key, location(0));
        let (old, new) =
            (Entry::new(key.tag(), location(0)), Entry::new(hash(2, 3).tag(), location(0)));
        index.writer().replace_entry(key.table(), old, new);
    }
}

mod memory {
    use super::*;

    fn grown(keys: u64) -> Index {
        let (index, seed) = (Index::new(), HashSeed(9));
        for number in 0..keys {
            index.writer().insert(KeyHash::of(seed, &number.to_le_bytes()), location(number));
        }
        index
    }

    #[test]
    fn a_key_costs_eleven_bytes() {
        for keys in [1_000_000, 1_123_000] {
            let index = grown(keys);
            let bytes_a_key = index.bytes() as f64 / keys as f64;
            assert!((10.0..11.2).contains(&bytes_a_key), "{bytes_a_key} bytes a key");
        }
    }

    /// Bytes of memory of this process that no file backs.
    fn resident() -> u64 {
        let status = format!("/proc/{}/status", std::process::id());
        let output = Command::new("grep").args(["RssAnon", &status]).output();
        let line = String::from_utf8(output.expect("there is a grep").stdout);
        let line = line.expect("the status is text");
        let kibibytes =
            line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
        1024 * kibibytes.expect("the line is `RssAnon: <number> kB`")
    }

    #[test]
    #[ignore = "needs a process of its own and seconds: run it alone, in release"]
    fn a_key_costs_less_than_sixteen_bytes_of_resident_memory() {
        for keys in [1_000_000, 3_000_000, 10_000_000, 13_000_000] {
            let before = resident();
            let index = grown(keys);
            let bytes_a_key = (resident() - before) as f64 / keys as f64;
            println!("{keys} keys: {bytes_a_key:.2} bytes a key");
            assert!(bytes_a_key < 16.0);
            drop(index);
        }
    }
}

mod model {
    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Set(u16),
        Remove(u16),
        /// Moves the record, as compaction does.
        Move(u16),
        /// Writes all tables out and reads them into a new index.
        Reopen,
    }

    /// How keys are hashed: to two tables, all to few tags or nearly each to its own.
    #[derive(Clone, Copy, Debug)]
    enum Spread {
        FewTags,
        ManyTags,
    }

    impl Spread {
        fn hash(self, key: u16) -> KeyHash {
            let key = u64::from(key);
            match self {
                Spread::FewTags => {
                    hash(key as usize % 2, [0, 1, 0x80_0000, 0xff_ffff][key as usize / 2 % 4])
                }
                Spread::ManyTags => {
                    hash(key as usize % 2, key.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40)
                }
            }
        }
    }

    fn steps(keys: u16) -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            50 => (0..keys).prop_map(Step::Set),
            40 => (0..keys).prop_map(Step::Remove),
            10 => (0..keys).prop_map(Step::Move),
            1 => Just(Step::Reopen),
        ];
        prop::collection::vec(step, 0..600)
    }

    /// An index, the records it points at, and what it should say.
    struct Pair {
        index: Index,
        spread: Spread,
        records: Vec<u16>,
        model: HashMap<u16, Location>,
    }

    impl Pair {
        fn new(spread: Spread) -> Pair {
            Pair { index: Index::new(), spread, records: Vec::new(), model: HashMap::new() }
        }

        fn append(&mut self, key: u16) -> Location {
            self.records.push(key);
            location(self.records.len() as u64 - 1)
        }

        fn find(&self, key: u16) -> Option<Location> {
            let confirm =
                |l: Location| Ok::<_, Infallible>(self.records[l.bits() as usize - 2] == key);
            self.index.find(&pin(), self.spread.hash(key), confirm).unwrap()
        }

        fn take(&mut self, step: &Step) {
            match *step {
                Step::Set(key) => self.set(key),
                Step::Remove(key) => {
                    if let Some(old) = self.model.remove(&key) {
                        assert!(self.index.writer().remove(self.spread.hash(key), old));
                    }
                }
                Step::Move(key) if self.model.contains_key(&key) => self.set(key),
                Step::Move(_) => {}
                Step::Reopen => self.reopen(),
            }
        }

        fn set(&mut self, key: u16) {
            let (hash, new) = (self.spread.hash(key), self.append(key));
            match self.model.insert(key, new) {
                None => self.index.writer().insert(hash, new),
                Some(old) => assert!(self.index.writer().replace(hash, old, new)),
            }
        }

        fn reopen(&mut self) {
            let index = Index::new();
            for number in TableNumber::all() {
                index.restore(number, self.index.entries(number).into_iter());
            }
            self.index = index;
        }
    }

    fn agree(spread: Spread, keys: u16, steps: &[Step]) {
        let mut pair = Pair::new(spread);
        for step in steps {
            pair.take(step);
            if let Step::Set(key) | Step::Remove(key) | Step::Move(key) = step {
                assert_eq!(pair.find(*key), pair.model.get(key).copied());
            }
        }
        for key in 0..keys {
            assert_eq!(pair.find(key), pair.model.get(&key).copied());
        }
        check(&pair.index);
        assert_eq!(pair.index.len(), pair.model.len() as u64);
    }

    proptest! {
        #[test]
        fn agrees_when_many_keys_share_a_tag(steps in steps(60)) {
            agree(Spread::FewTags, 60, &steps);
        }

        #[test]
        fn agrees_when_keys_spread(steps in steps(200)) {
            agree(Spread::ManyTags, 200, &steps);
        }
    }
}

mod together {
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
}
