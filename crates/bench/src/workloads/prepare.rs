//! What is not measured: filling a store, waiting until it rests, checking what it holds.

use std::time::{Duration, Instant};

use super::Bench;
use crate::Result;
use crate::random::{Rng, Shuffle};
use crate::stores::{Pair, Store};
use crate::usage::Disk;

const BATCH: usize = 1000;
const QUIET: Duration = Duration::from_secs(2);
const POLL: Duration = Duration::from_millis(100);

impl Bench<'_> {
    /// Sets the keys `from..keys` once, in batches.
    pub fn fill(&self, store: &dyn Store, from: u64) -> Result<()> {
        self.set_in_batches(store, from..self.keys, 0, |i| i)
    }

    /// Sets all keys in one random order, in batches, beginning at its place `from`.
    pub fn overwrite(&self, store: &dyn Store, version: u32, from: u64) -> Result<()> {
        let order = self.order(version);
        self.set_in_batches(store, from..self.keys, version, |i| order.at(i))
    }

    /// The order in which `version` of all keys is written.
    pub fn order(&self, version: u32) -> Shuffle {
        Shuffle::new(self.keys, u64::from(version))
    }

    fn set_in_batches(
        &self,
        store: &dyn Store,
        places: std::ops::Range<u64>,
        version: u32,
        key_at: impl Fn(u64) -> u64,
    ) -> Result<()> {
        let mut batch: Vec<Pair> = vec![Pair::default(); BATCH];
        let mut used = 0;
        for place in places {
            let (key, value) = &mut batch[used];
            self.data.key(key_at(place), key);
            self.data.value(key_at(place), version, value);
            used += 1;
            if used == BATCH {
                store.set_many(&batch)?;
                used = 0;
            }
        }
        store.set_many(&batch[..used])
    }

    /// Waits until the bytes on disk have not changed for two seconds, or the time for it is up.
    /// Returns how long it took, the quiet seconds left out.
    pub fn settle(&self) -> Result<Duration> {
        let limit = Duration::from_secs_f64(self.task.settings.settle);
        let begin = Instant::now();
        let mut disk = Disk::of(&self.task.dir)?;
        let mut changed = begin;
        while changed.elapsed() < QUIET && begin.elapsed() < limit {
            std::thread::sleep(POLL);
            let now = Disk::of(&self.task.dir)?;
            if now != disk {
                (disk, changed) = (now, Instant::now());
            }
        }
        Ok(changed - begin)
    }

    /// Checks a thousand random keys, each to the last byte, and the number of keys.
    pub fn verify(&self, store: &dyn Store, oldest: u32) -> Result<()> {
        let mut rng = Rng::new(0xc0de);
        let mut key = Vec::new();
        for _ in 0..1000 {
            let i = rng.below(self.keys);
            let mut good = false;
            let found = store.get(self.data.key(i, &mut key), &mut |value| {
                let version = crate::data::Data::version(value);
                good = self.data.is_intact(i, value) && version.is_none_or(|v| v >= oldest);
            })?;
            if !found || !good {
                return Err(format!("key {i}: found {found}, right value {good}").into());
            }
        }
        match store.len()? {
            Some(len) if len != self.keys => {
                Err(format!("{len} keys instead of {}", self.keys).into())
            }
            _ => Ok(()),
        }
    }
}
