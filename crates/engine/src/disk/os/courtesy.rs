//! How work that nobody waits for gives way: after each piece it rests for some times as long as the piece
//! took.
//!
//! ```text
//!  idle machine   [piece] rest [piece] rest [piece] …
//!  busy machine   [pie ··· ce]        rest        [p ·· iece] …      · the processor had others to run
//! ```
//!
//! How busy the machine is, the system tells by how long the thread waited for a processor though it could
//! have run. A rate in bytes would have to be known for each machine.

use std::time::{Duration, Instant};

/// How many times as long as a piece took the rest is, if it waited for no processor.
const LEAST_REST: f64 = 1.0;
/// The same, if it did nothing but wait. Also where the system does not tell.
const MOST_REST: f64 = 16.0;
/// No rest is longer: somebody may be waiting for the whole after all.
const LONGEST_REST: Duration = Duration::from_millis(500);

/// Pieces of work on one thread, and the rests after them.
#[derive(Debug)]
pub struct Courtesy {
    worked_since: Instant,
    schedule: Option<Schedule>,
}

/// What the system tells of a thread's time, in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Schedule {
    ran: u64,
    /// It could have run, and another did.
    waited: u64,
}

impl Courtesy {
    /// A piece of work begins.
    pub fn begin() -> Courtesy {
        Courtesy { worked_since: Instant::now(), schedule: Schedule::of_this_thread() }
    }

    /// How long to rest, now that the piece is done.
    pub fn owed(&self) -> Duration {
        let waited = match (self.schedule, Schedule::of_this_thread()) {
            (Some(before), Some(now)) => now.share_waited(before),
            _ => 1.0,
        };
        let times = LEAST_REST + (MOST_REST - LEAST_REST) * waited;
        self.worked_since.elapsed().mul_f64(times).min(LONGEST_REST)
    }

    /// Rests, and begins the next piece. Blocks.
    pub fn rest(&mut self) {
        std::thread::sleep(self.owed());
        *self = Courtesy::begin();
    }
}

impl Schedule {
    /// Linux tells, in [`schedstat`](https://docs.kernel.org/scheduler/sched-stats.html).
    fn of_this_thread() -> Option<Schedule> {
        Schedule::parse(&std::fs::read_to_string("/proc/thread-self/schedstat").ok()?)
    }

    fn parse(text: &str) -> Option<Schedule> {
        let mut numbers = text.split_ascii_whitespace().map(str::parse);
        let (ran, waited) = (numbers.next()?.ok()?, numbers.next()?.ok()?);
        Some(Schedule { ran, waited })
    }

    /// Which share of the time since `before` that it could have run it waited.
    fn share_waited(self, before: Schedule) -> f64 {
        let ran = self.ran.saturating_sub(before.ran) as f64;
        let waited = self.waited.saturating_sub(before.waited) as f64;
        if waited == 0.0 { 0.0 } else { waited / (ran + waited) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_tells() {
        let before = Schedule::parse("300 100 7\n").unwrap();
        assert_eq!(before, Schedule { ran: 300, waited: 100 });
        assert_eq!(Schedule { ran: 400, waited: 400 }.share_waited(before), 0.75);
        assert_eq!(Schedule { ran: 900, waited: 100 }.share_waited(before), 0.0);
        assert_eq!(before.share_waited(before), 0.0);
        for strange in ["", "12", "a b c", "-1 2 3"] {
            assert_eq!(Schedule::parse(strange), None, "{strange:?}");
        }
    }
}
