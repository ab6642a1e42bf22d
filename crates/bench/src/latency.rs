//! Latencies of single operations, kept in a histogram with three significant digits.

use std::time::Duration;

use hdrhistogram::Histogram;

const LONGEST: u64 = 600_000_000_000;

/// A histogram of nanoseconds.
pub struct Latency(Histogram<u64>);

impl Latency {
    /// An empty one.
    pub fn new() -> Self {
        Self(Histogram::new_with_bounds(1, LONGEST, 3).expect("the bounds are valid"))
    }

    /// Adds one operation.
    pub fn record(&mut self, time: Duration) {
        self.0.saturating_record(time.as_nanos().min(u128::from(LONGEST)) as u64);
    }

    /// Adds all operations of another histogram.
    pub fn merge(&mut self, other: &Self) {
        self.0.add(&other.0).expect("both have the same bounds");
    }

    /// The latency, in microseconds, that the fraction `q` of the operations did not exceed.
    pub fn micros_at(&self, q: f64) -> f64 {
        self.0.value_at_quantile(q) as f64 / 1e3
    }

    /// The longest latency in microseconds.
    pub fn max_micros(&self) -> f64 {
        self.0.max() as f64 / 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_come_back() {
        let mut latency = Latency::new();
        (1..=1000).for_each(|us| latency.record(Duration::from_micros(us)));
        assert!((latency.micros_at(0.5) - 500.0).abs() < 2.0);
        assert!((latency.max_micros() - 1000.0).abs() < 2.0);
    }
}
