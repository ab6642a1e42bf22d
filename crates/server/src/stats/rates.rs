//! What is done a second: from counts looked at several times a second.
//!
//! ```text
//!  counts at  t-1.6s  t-1.5s  …  t-0.1s  t        rate = (last - first) / (t_last - t_first)
//! ```

use std::collections::VecDeque;
use std::time::Duration;

use super::Counts;

/// Looks remembered; with ten of them a second, the rates are those of the last second and a half.
const LOOKS: usize = 17;

/// What was done a second lately.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Rates {
    /// Commands.
    pub commands: f64,
    /// Bytes that came from clients.
    pub received: f64,
    /// Bytes that were sent to clients.
    pub sent: f64,
}

/// The last looks at the counts.
#[derive(Debug, Default)]
pub struct Sampler {
    looks: VecDeque<(Duration, Counts)>,
}

impl Sampler {
    /// Notes the counts at a moment of the monotonic clock.
    pub fn add(&mut self, now: Duration, counts: Counts) {
        if self.looks.len() == LOOKS {
            self.looks.pop_front();
        }
        self.looks.push_back((now, counts));
    }

    /// What was done a second between the first look remembered and the last.
    pub fn rates(&self) -> Rates {
        let (Some((from, first)), Some((to, last))) = (self.looks.front(), self.looks.back())
        else {
            return Rates::default();
        };
        let seconds = to.saturating_sub(*from).as_secs_f64();
        if seconds == 0.0 {
            return Rates::default();
        }
        let rate = |first: u64, last: u64| last.saturating_sub(first) as f64 / seconds;
        Rates {
            commands: rate(first.commands, last.commands),
            received: rate(first.received, last.received),
            sent: rate(first.sent, last.sent),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_those_of_the_last_looks() {
        let mut sampler = Sampler::default();
        assert_eq!(sampler.rates(), Rates::default());
        for look in 0..100 {
            let commands = if look < 50 { 0 } else { (look - 50) * 30 };
            let counts = Counts { commands, sent: look * 10, ..Counts::default() };
            sampler.add(Duration::from_millis(100 * look), counts);
        }
        let rates = sampler.rates();
        assert!((rates.commands - 300.0).abs() < 1e-6 && (rates.sent - 100.0).abs() < 1e-6);
        assert_eq!(rates.received, 0.0);
    }
}
