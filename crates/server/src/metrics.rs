//! What the server counts: plain atomics, each written by few and read by whoever asks.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aryavarth::WriteBatch;

/// Buckets of a [`Histogram`]: powers of two, from 1.
pub const BUCKETS: usize = 40;

/// How often something took about how much. Bucket `n` counts what was below 2^n and not below the
/// one before.
#[derive(Debug)]
pub struct Histogram {
    buckets: [AtomicU64; BUCKETS],
    sum: AtomicU64,
}

impl Default for Histogram {
    fn default() -> Histogram {
        Histogram { buckets: [const { AtomicU64::new(0) }; BUCKETS], sum: AtomicU64::new(0) }
    }
}

impl Histogram {
    /// Notes a value.
    #[inline]
    pub fn record(&self, value: u64) {
        let bucket = (u64::BITS - value.leading_zeros()) as usize;
        self.buckets[bucket.min(BUCKETS - 1)].fetch_add(1, Ordering::Relaxed);
        self.sum.fetch_add(value, Ordering::Relaxed);
    }

    /// Notes a value, where only one thread ever does.
    #[inline]
    pub fn record_alone(&self, value: u64) {
        let bucket = (u64::BITS - value.leading_zeros()) as usize;
        let bucket = &self.buckets[bucket.min(BUCKETS - 1)];
        bucket.store(bucket.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        self.sum.store(self.sum.load(Ordering::Relaxed) + value, Ordering::Relaxed);
    }

    /// The counts of the buckets.
    pub fn counts(&self) -> [u64; BUCKETS] {
        std::array::from_fn(|bucket| self.buckets[bucket].load(Ordering::Relaxed))
    }

    /// How many values were noted.
    pub fn count(&self) -> u64 {
        self.counts().iter().sum()
    }

    /// The sum of all values.
    pub fn sum(&self) -> u64 {
        self.sum.load(Ordering::Relaxed)
    }

    /// Forgets all.
    pub fn reset(&self) {
        self.buckets.iter().chain([&self.sum]).for_each(|n| n.store(0, Ordering::Relaxed));
    }
}

/// What the log does.
#[derive(Debug, Default)]
pub struct LogMetrics {
    /// Microseconds of each sync.
    pub sync_micros: Histogram,
    /// Syncs that failed.
    pub failed_syncs: AtomicU64,
    /// Operations of each batch.
    pub batch_operations: Histogram,
    /// Bytes of each batch.
    pub batch_bytes: Histogram,
}

impl LogMetrics {
    /// Notes a batch.
    pub fn batch(&self, batch: &WriteBatch) {
        self.batch_operations.record(batch.len() as u64);
        self.batch_bytes.record(batch.bytes());
    }

    /// Notes a sync.
    pub fn sync(&self, took: Duration, succeeded: bool) {
        self.sync_micros.record(took.as_micros() as u64);
        if !succeeded {
            self.failed_syncs.fetch_add(1, Ordering::Relaxed);
        }
    }
}
