//! So much in so long.

use std::ops::AddAssign;
use std::time::Duration;

use aryavarth::disk::{Disk, OsDisk};

/// An amount, and the time it took.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rate {
    /// How much.
    pub amount: u64,
    /// How long.
    pub time: Duration,
}

impl Rate {
    /// The amount a second.
    pub fn a_second(self) -> f64 {
        self.amount as f64 / self.time.as_secs_f64().max(f64::MIN_POSITIVE)
    }

    /// This rate in units that are each `factor` of the old.
    pub fn times(self, factor: u64) -> Rate {
        Rate { amount: self.amount * factor, ..self }
    }

    /// How many times `other` it is.
    pub fn to(self, other: Rate) -> f64 {
        self.a_second() / other.a_second().max(f64::MIN_POSITIVE)
    }
}

impl AddAssign for Rate {
    fn add_assign(&mut self, more: Rate) {
        self.amount += more.amount;
        self.time += more.time;
    }
}

/// A clock that only goes forward.
pub struct Stopwatch {
    clock: OsDisk,
    started: Duration,
}

impl Stopwatch {
    /// Starts it.
    pub fn start() -> Stopwatch {
        let clock = OsDisk::new();
        let started = clock.monotonic();
        Stopwatch { clock, started }
    }

    /// The time since.
    pub fn elapsed(&self) -> Duration {
        self.clock.monotonic().saturating_sub(self.started)
    }
}
