//! What is asked of the store.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::Duration;

use aryavarth::{Durability, KvStore, Options, WriteBatch};

use super::rate::{Rate, Stopwatch};
use crate::arguments::Bench;
use crate::exit::Exit;
use crate::failure::{Failure, Result};

/// Sets in one batch of the load.
const BATCH: u64 = 1000;

/// The keys, values and threads of one run.
pub struct Workload {
    keys: u64,
    value: Vec<u8>,
    threads: u64,
}

impl Workload {
    /// The work that was asked for.
    pub fn new(arguments: &Bench) -> Workload {
        Workload {
            keys: arguments.keys.get() as u64,
            value: vec![b'v'; arguments.value],
            threads: arguments.threads.get() as u64,
        }
    }

    /// Bytes of a key and a value.
    pub fn set_bytes(&self) -> u64 {
        (key(0).len() + self.value.len()) as u64
    }

    /// The store in `directory`, new or old.
    ///
    /// # Errors
    /// Whatever the store gives.
    pub fn open(&self, directory: &Path, durability: Durability) -> Result<KvStore> {
        Ok(KvStore::open_with(directory, Options::default().durability(durability))?)
    }

    /// Sets of single keys by all threads.
    ///
    /// # Errors
    /// Whatever the store gives.
    pub fn sets(&self, store: &KvStore, time: Duration) -> Result<Rate> {
        self.repeat(time, |choice| Ok(store.set(key(choice), &self.value)?))
    }

    /// Sets of one of `parts` equal parts of the keys, in batches, up to their sync.
    ///
    /// # Errors
    /// Whatever the store gives.
    pub fn load(&self, store: &KvStore, part: u64, parts: u64) -> Result<Rate> {
        let (begin, end) = (self.keys * part / parts, self.keys * (part + 1) / parts);
        let watch = Stopwatch::start();
        for first in (begin..end).step_by(BATCH as usize) {
            let mut batch = WriteBatch::new();
            for number in first..end.min(first + BATCH) {
                batch.set(key(number), self.value.as_slice());
            }
            store.write(&batch)?;
        }
        store.sync()?;
        Ok(Rate { amount: end - begin, time: watch.elapsed() })
    }

    /// Gets of keys that are there, by all threads.
    ///
    /// # Errors
    /// Whatever the store gives; [`Exit::Damage`] if a key it was given is gone.
    pub fn gets(&self, store: &KvStore, time: Duration) -> Result<Rate> {
        self.repeat(time, |choice| match store.get(key(choice))? {
            Some(_) => Ok(()),
            None => Err(Failure::new(Exit::Damage, format!("key {choice} is gone"))),
        })
    }

    /// Calls of `operation` with random numbers of keys, on all threads, until the time is over.
    fn repeat(&self, time: Duration, operation: impl Fn(u64) -> Result<()> + Sync) -> Result<Rate> {
        let calls = AtomicU64::new(0);
        let watch = Stopwatch::start();
        let one_thread = |number: u64| {
            let mut random = Random(number);
            let mut done = 0;
            let mut outcome = Ok(());
            while outcome.is_ok() && (done == 0 || watch.elapsed() < time) {
                outcome = operation(random.next() % self.keys);
                done += 1;
            }
            calls.fetch_add(done, Ordering::Relaxed);
            outcome
        };
        thread::scope(|scope| {
            let started: Vec<_> =
                (0..self.threads).map(|number| scope.spawn(move || one_thread(number))).collect();
            started.into_iter().try_for_each(|thread| {
                thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
        })?;
        Ok(Rate { amount: calls.into_inner(), time: watch.elapsed() })
    }
}

fn key(number: u64) -> [u8; 16] {
    let mut key = *b"key-000000000000";
    let mut rest = number;
    for digit in key[4..].iter_mut().rev() {
        *digit = b'0' + (rest % 10) as u8;
        rest /= 10;
    }
    key
}

/// SplitMix64: random enough to choose keys, and the same in every run.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }
}
