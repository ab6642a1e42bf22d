//! What happened: latencies, failures, and when there was a success.
//!
//! ```text
//!  latency in µs      0 1 2 … 63 │ 64 65 … 127 │ 128 130 … 254 │ 256 260 …     64 steps each time it doubles
//!  successes by ms    9 8 0 0 0 0 0 7 9                        the longest run of zeros is the gap
//! ```

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

const STEPS: usize = 64;
const BITS: u32 = STEPS.trailing_zeros();
const BUCKETS: usize = STEPS * (64 - BITS as usize + 1);

/// Times, each to within 1.6 %.
#[derive(Clone, Debug)]
pub struct Latencies {
    buckets: Vec<u64>,
    count: u64,
    max: Duration,
}

impl Default for Latencies {
    fn default() -> Latencies {
        Latencies { buckets: vec![0; BUCKETS], count: 0, max: Duration::ZERO }
    }
}

fn bucket(micros: u64) -> usize {
    if micros < STEPS as u64 {
        return micros as usize;
    }
    let shift = 63 - micros.leading_zeros() - BITS;
    STEPS * (shift as usize + 1) + (micros >> shift) as usize - STEPS
}

/// The greatest of a bucket.
fn top(bucket: usize) -> u64 {
    if bucket < STEPS {
        return bucket as u64;
    }
    let shift = (bucket / STEPS - 1) as u32;
    let step = (bucket % STEPS + STEPS) as u128;
    (((step + 1) << shift) - 1).min(u128::from(u64::MAX)) as u64
}

impl Latencies {
    pub fn add(&mut self, time: Duration, times: u64) {
        self.buckets[bucket(time.as_micros() as u64)] += times;
        self.count += times;
        self.max = self.max.max(time);
    }

    pub fn merge(&mut self, other: &Latencies) {
        self.buckets.iter_mut().zip(&other.buckets).for_each(|(sum, more)| *sum += more);
        self.count += other.count;
        self.max = self.max.max(other.max);
    }

    pub fn count(&self) -> u64 {
        self.count
    }

    pub fn max_ms(&self) -> f64 {
        self.max.as_secs_f64() * 1e3
    }

    /// What this part of them did not exceed, in ms; 0 if there are none.
    pub fn quantile_ms(&self, part: f64) -> f64 {
        let rank = ((self.count as f64 * part).ceil() as u64).max(1);
        let mut seen = 0;
        let found = self.buckets.iter().position(|count| {
            seen += count;
            seen >= rank
        });
        found.map_or(0.0, |index| top(index) as f64 / 1e3).min(self.max_ms())
    }
}

/// What came of one client's requests.
#[derive(Clone, Debug, Default)]
pub struct Tally {
    pub latencies: Latencies,
    /// Answers that named another node.
    pub redirects: u64,
    /// Attempts that were refused, or not sent: nothing was done.
    pub refused: u64,
    /// Attempts without an answer: whether they were done is not known.
    pub lost: u64,
    /// Requests that were given up, or refused for good.
    pub errors: u64,
    /// Gets that found nothing.
    pub missing: u64,
    /// The first error.
    pub first_error: Option<String>,
}

impl Tally {
    pub fn fail(&mut self, requests: usize, why: impl Into<String>) {
        self.errors += requests as u64;
        self.first_error.get_or_insert_with(|| why.into());
    }

    pub fn merge(&mut self, other: Tally) {
        self.latencies.merge(&other.latencies);
        self.redirects += other.redirects;
        self.refused += other.refused;
        self.lost += other.lost;
        self.errors += other.errors;
        self.missing += other.missing;
        self.first_error = self.first_error.take().or(other.first_error);
    }
}

/// Successes of all clients, by the millisecond.
#[derive(Debug)]
pub struct Successes {
    begun: Instant,
    by_ms: Vec<AtomicU32>,
}

impl Successes {
    /// For a run of at most this length. What comes later counts as at its end.
    pub fn new(begun: Instant, length: Duration) -> Successes {
        let count = length.as_millis() as usize + 1;
        Successes { begun, by_ms: (0..count).map(|_| AtomicU32::new(0)).collect() }
    }

    pub fn add(&self, at: Instant, count: u32) {
        let ms = at.saturating_duration_since(self.begun).as_millis() as usize;
        self.by_ms[ms.min(self.by_ms.len() - 1)].fetch_add(count, Ordering::Relaxed);
    }

    fn until(&self, end: Duration) -> impl Iterator<Item = u32> + '_ {
        let counts = self.by_ms.iter().take(end.as_millis() as usize);
        counts.map(|count| count.load(Ordering::Relaxed))
    }

    /// The longest time without a success before `end`, in ms.
    pub fn longest_gap(&self, end: Duration) -> u64 {
        let (mut longest, mut gap) = (0, 0);
        for count in self.until(end) {
            gap = if count == 0 { gap + 1 } else { 0 };
            longest = longest.max(gap);
        }
        longest
    }

    /// The successes before `end`, in intervals of so many ms; the last may be shorter.
    pub fn timeline(&self, end: Duration, interval: u64) -> Vec<u64> {
        let counts: Vec<_> = self.until(end).map(u64::from).collect();
        counts.chunks(interval as usize).map(|chunk| chunk.iter().sum()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_is_in_a_bucket_that_is_close_to_it() {
        let samples =
            (0..64).flat_map(|bit| [0, 1, 2].map(|more| (1_u64 << bit).saturating_add(more)));
        for micros in samples.chain([0, u64::MAX]) {
            let index = bucket(micros);
            assert!(index < BUCKETS, "{micros}");
            assert!(top(index) >= micros, "{micros} is above its bucket");
            assert!(index == 0 || top(index - 1) < micros, "{micros} is below its bucket");
            assert!((top(index) - micros) as f64 <= micros as f64 / 60.0, "{micros}");
        }
    }

    #[test]
    fn quantiles_of_a_hundred() {
        let mut latencies = Latencies::default();
        (1..=100).for_each(|n| latencies.add(Duration::from_micros(n * 10), 1));
        let close = |part, expected: f64| {
            assert!((latencies.quantile_ms(part) / expected - 1.0).abs() < 0.02, "{part}");
        };
        close(0.5, 0.5);
        close(0.99, 0.99);
        close(1.0, 1.0);
        assert_eq!(Latencies::default().quantile_ms(0.5), 0.0);
    }

    #[test]
    fn the_gap_is_the_longest_time_without_a_success() {
        let begun = Instant::now();
        let successes = Successes::new(begun, Duration::from_secs(1));
        for ms in [0, 5, 105, 400] {
            successes.add(begun + Duration::from_millis(ms), 2);
        }
        assert_eq!(successes.longest_gap(Duration::from_millis(401)), 294);
        assert_eq!(successes.longest_gap(Duration::from_millis(1000)), 599);
        assert_eq!(successes.timeline(Duration::from_millis(450), 100), [4, 2, 0, 0, 2]);
        successes.add(begun + Duration::from_secs(9), 1);
    }
}
