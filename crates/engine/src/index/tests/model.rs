//! The index against a map, on random steps.

use std::collections::HashMap;

use proptest::prelude::*;

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
        let confirm = |l: Location| Ok::<_, Infallible>(self.records[l.bits() as usize - 2] == key);
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
