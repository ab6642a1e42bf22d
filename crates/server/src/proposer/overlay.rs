//! Finds the newest operation on a key in a batch that is not settled.
//!
//! Nothing is done until somebody asks: a run of plain `SET`s never pays for it.
//!
//! # Invariants
//! - The operations before `indexed` are in `slots`, each key with its newest one.
//! - `slots` is empty or a power of two, at most half full.

use aryavarth::WriteBatch;
use xxhash_rust::xxh3::xxh3_64;

/// Operations that are looked through one by one rather than put into the table.
const FEW: usize = 4;
/// Slots kept between batches.
const SLOTS_KEPT: usize = 1 << 13;

/// A table from keys to operations of one batch.
#[derive(Debug, Default)]
pub struct Overlay {
    slots: Vec<u32>,
    indexed: usize,
}

impl Overlay {
    /// Whether it has cost memory so far.
    pub fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }

    /// Forgets everything, as for the next batch.
    pub fn clear(&mut self) {
        if self.indexed > 0 {
            self.slots.fill(0);
        }
        self.indexed = 0;
        if self.slots.len() > SLOTS_KEPT {
            self.slots = Vec::new();
        }
    }

    /// The newest operation of `batch` on `key`.
    pub fn find(&mut self, batch: &WriteBatch, key: &[u8]) -> Option<usize> {
        if batch.len() - self.indexed > FEW {
            self.index(batch);
        }
        let newest = (self.indexed..batch.len()).rev();
        let found = newest.into_iter().find(|number| batch.operation(*number).key == key);
        found.or_else(|| {
            if self.indexed == 0 {
                return None;
            }
            let slot = self.slot(batch, key);
            (self.slots[slot] as usize).checked_sub(1)
        })
    }

    fn index(&mut self, batch: &WriteBatch) {
        if batch.len() * 2 > self.slots.len() {
            let slots = (batch.len() * 4).next_power_of_two().max(64);
            self.slots.clear();
            self.slots.resize(slots, 0);
            self.indexed = 0;
        }
        for number in self.indexed..batch.len() {
            let slot = self.slot(batch, batch.operation(number).key);
            self.slots[slot] = number as u32 + 1;
        }
        self.indexed = batch.len();
    }

    /// The slot of `key`, or the vacant one where it belongs.
    fn slot(&self, batch: &WriteBatch, key: &[u8]) -> usize {
        let mask = self.slots.len() - 1;
        let mut slot = xxh3_64(key) as usize & mask;
        while let Some(number) = (self.slots[slot] as usize).checked_sub(1) {
            if batch.operation(number).key == key {
                break;
            }
            slot = (slot + 1) & mask;
        }
        slot
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn it_finds_what_a_map_would(
            steps in prop::collection::vec((0u8..40, prop::bool::ANY), 0..400),
        ) {
            let (mut overlay, mut batch) = (Overlay::default(), WriteBatch::new());
            let mut model = HashMap::new();
            for (key, ask) in steps {
                if ask {
                    prop_assert_eq!(overlay.find(&batch, &[key]), model.get(&key).copied());
                } else {
                    model.insert(key, batch.len());
                    batch.set([key], "x");
                }
            }
            batch.clear();
            overlay.clear();
            prop_assert_eq!(overlay.find(&batch, &[1]), None);
        }
    }
}
