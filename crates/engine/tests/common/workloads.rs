//! The workloads: small enough to be tried at every call, and with a bit of everything.

use std::time::Duration;

use super::model::{Bytes, Step};

/// A key that many steps share.
pub fn key(number: usize) -> Bytes {
    format!("key-{number:02}").into_bytes()
}

/// A value that no other call returns: it starts with `name` and has `length` bytes.
pub fn value(name: &str, length: usize) -> Bytes {
    let mut bytes = name.as_bytes().to_vec();
    bytes.resize(length.max(name.len()), b'.');
    bytes
}

/// Writes steps down, giving each value a name of its own.
#[derive(Default)]
pub struct Script {
    steps: Vec<Step>,
    values: usize,
}

impl Script {
    /// No steps.
    pub fn new() -> Script {
        Script::default()
    }

    fn next_value(&mut self, length: usize) -> Bytes {
        self.values += 1;
        value(&format!("v{:03}", self.values), length)
    }

    /// Adds a step.
    pub fn step(&mut self, step: Step) -> &mut Script {
        self.steps.push(step);
        self
    }

    /// Sets key `number` to a new value of `length` bytes.
    pub fn set(&mut self, number: usize, length: usize) -> &mut Script {
        let value = self.next_value(length);
        self.step(Step::Set(key(number), value))
    }

    /// Sets key `number` for `millis` milliseconds.
    pub fn set_for(&mut self, number: usize, length: usize, millis: u64) -> &mut Script {
        let value = self.next_value(length);
        self.step(Step::SetExpiring(key(number), value, Duration::from_millis(millis)))
    }

    /// Removes key `number`.
    pub fn remove(&mut self, number: usize) -> &mut Script {
        self.step(Step::Remove(key(number)))
    }

    /// Sets the keys of `set` to new values of `length` bytes and removes those of `remove`, as one.
    pub fn batch(&mut self, set: &[usize], remove: &[usize], length: usize) -> &mut Script {
        let mut operations: Vec<_> =
            set.iter().map(|number| (key(*number), Some(self.next_value(length)))).collect();
        operations.extend(remove.iter().map(|number| (key(*number), None)));
        self.step(Step::Batch(operations))
    }

    /// Sets key `number` if it has no value.
    pub fn set_if_absent(&mut self, number: usize, length: usize) -> &mut Script {
        let value = self.next_value(length);
        self.step(Step::SetIfAbsent(key(number), value))
    }

    /// Sets key `number` if it has a value.
    pub fn set_if_present(&mut self, number: usize, length: usize) -> &mut Script {
        let value = self.next_value(length);
        self.step(Step::SetIfPresent(key(number), value))
    }

    /// Lets time pass.
    pub fn advance(&mut self, millis: u64) -> &mut Script {
        self.step(Step::Advance(Duration::from_millis(millis)))
    }

    /// The steps.
    pub fn end(&mut self) -> Vec<Step> {
        std::mem::take(&mut self.steps)
    }
}

/// Every sort of write, over a few segments.
pub fn writes() -> Vec<Step> {
    let mut script = Script::new();
    script.set(1, 40).set(2, 300).set(1, 7).remove(2).remove(3);
    script.batch(&[3, 4, 5], &[1], 60).set_for(6, 30, 50).set_if_absent(6, 20);
    script.set_if_present(7, 20).set_if_absent(7, 600).advance(60).set_if_absent(6, 10);
    script.step(Step::Swap(key(6), b"not this".to_vec(), Some(b"no".to_vec())));
    script.step(Step::Set(key(8), b"before".to_vec()));
    script.step(Step::Swap(key(8), b"before".to_vec(), Some(b"after".to_vec())));
    script.step(Step::Swap(key(8), b"after".to_vec(), None));
    for number in 0..6 {
        script.set(number, 900);
    }
    script.batch(&[0, 1, 2, 3], &[4, 5], 1200).step(Step::Sync).set(9, 5000).set(1, 3);
    script.step(Step::Reopen).set(2, 100).remove(9).batch(&[1], &[2], 10).set(10, 1);
    script.end()
}

/// Compaction, checkpoints, backups and reopening, each with something before and after it.
pub fn maintenance() -> Vec<Step> {
    let mut script = Script::new();
    for number in 0..8 {
        script.set(number, 700);
    }
    script.remove(0).set_for(1, 200, 20).set(2, 100).step(Step::Checkpoint);
    script.batch(&[3, 8], &[4], 300).remove(5).step(Step::Compact).set(0, 30);
    script.advance(30).step(Step::Compact).remove(2).step(Step::Backup("/first"));
    script.set(2, 50).step(Step::Compact).step(Step::Checkpoint).set(6, 60).remove(7);
    script.step(Step::Reopen).set(7, 70).batch(&[1, 5], &[0, 6], 500).step(Step::Compact);
    script.step(Step::Checkpoint).step(Step::Backup("/second")).remove(1).set(4, 20);
    script.step(Step::Compact).step(Step::Reopen).set(9, 9);
    script.end()
}

/// Tombstones, and expired values that stand for them, in segments that are compacted before those
/// with the values they hide.
pub fn tombstones() -> Vec<Step> {
    let mut script = Script::new();
    // Mostly live: compacted late.
    for number in 0..4 {
        script.set(number, 900);
    }
    // Mostly stale: compacted first.
    script.set(5, 900).set(5, 900).set(5, 900).remove(0).set_for(1, 100, 10).advance(20);
    script.step(Step::Compact).set(6, 800).step(Step::Compact).set(0, 10).remove(0);
    script.step(Step::Checkpoint).step(Step::Compact).step(Step::Reopen).set(7, 10);
    script.end()
}

/// A longer mix of all, chosen by a fixed series of numbers.
pub fn long(steps: usize, seed: u64) -> Vec<Step> {
    let mut script = Script::new();
    let mut state = seed;
    let mut below = |most: usize| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((state >> 33) as usize) % most
    };
    for _ in 0..steps {
        let (number, length) = (below(12), [3, 40, 200, 900][below(4)]);
        match below(24) {
            0..9 => script.set(number, length),
            9..13 => script.remove(number),
            13..15 => script.batch(&[number, below(12)], &[below(12)], length),
            15 => script.set_for(number, length, 1 + below(40) as u64),
            16 => script.advance(1 + below(20) as u64),
            17 => script.set_if_absent(number, length),
            18 => script.set_if_present(number, length),
            19 => script.step(Step::Sync),
            20 | 21 => script.step(Step::Compact),
            22 => script.step(Step::Checkpoint),
            _ => script.step(Step::Reopen),
        };
    }
    script.end()
}
