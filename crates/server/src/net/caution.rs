//! Notices when reads begin to wait for the disk, so that a worker can look before it leaps.
//!
//! ```text
//!  a command took long ─▶ did this thread fetch from a device? ─ yes, and not for the first time of late
//!                                                                 ─▶ careful: ask before each read
//! ```
//!
//! To ask whether a record is in memory costs a call to the system, too much while all of them are.
//! So a worker asks only for a while after it has been caught waiting once. What is not in memory is
//! then fetched by a job, and the command tried again.

use std::cell::Cell;
use std::time::Duration;

/// A command that takes longer may have waited for the disk.
const SUSPICIOUS: Duration = Duration::from_micros(100);
/// How long a worker stays careful.
const CAREFUL: Duration = Duration::from_secs(2);
/// So often it has to happen within a second: to open a file may take a read, too.
const STRIKES: u8 = 3;
const WINDOW: Duration = Duration::from_secs(1);
/// How often a command is tried again because what it reads was not in memory, or is not any more.
pub const MOST_FETCHES: u8 = 3;

/// How careful a worker is.
#[derive(Debug, Default)]
pub struct Caution {
    until: Cell<Duration>,
    fetched: Cell<Option<u64>>,
    strikes: Cell<u8>,
    first_strike: Cell<Duration>,
}

impl Caution {
    /// Whether to ask before reading.
    #[inline]
    pub fn is_careful(&self, now: Duration) -> bool {
        now < self.until.get()
    }

    /// Notes what a command took, by the thread that ran it.
    #[inline]
    pub fn note(&self, now: Duration, took: Duration) {
        if took >= SUSPICIOUS {
            self.look(now);
        }
    }

    fn look(&self, now: Duration) {
        let Some(fetched) = bytes_fetched() else { return };
        // The first look only tells from where to count.
        if self.fetched.replace(Some(fetched)).is_some_and(|before| fetched > before) {
            self.strike(now);
        }
    }

    fn strike(&self, now: Duration) {
        if now.saturating_sub(self.first_strike.get()) > WINDOW {
            self.first_strike.set(now);
            self.strikes.set(0);
        }
        self.strikes.set(self.strikes.get().saturating_add(1));
        if self.strikes.get() >= STRIKES {
            self.until.set(now + CAREFUL);
        }
    }

    /// Notes that something was not in memory.
    pub fn missed(&self, now: Duration) {
        self.until.set(now + CAREFUL);
    }
}

/// Bytes that this thread had fetched from a device; none where the system does not tell. (The count
/// of major faults would not do: it grows with every new page of the log, too.)
fn bytes_fetched() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/thread-self/io").ok()?;
    text.lines().find_map(|line| line.strip_prefix("read_bytes: "))?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_what_a_thread_fetched() {
        assert!(bytes_fetched().is_some());
        let caution = Caution::default();
        caution.strike(Duration::from_millis(100));
        caution.strike(Duration::from_millis(200));
        caution.strike(Duration::from_millis(1200));
        caution.strike(Duration::from_millis(1300));
        assert!(!caution.is_careful(Duration::from_millis(1300)));
        caution.strike(Duration::from_millis(1400));
        assert!(caution.is_careful(Duration::from_millis(1400)));
        let caution = Caution::default();
        assert!(!caution.is_careful(Duration::from_secs(1)));
        caution.missed(Duration::from_secs(1));
        assert!(caution.is_careful(Duration::from_millis(2500)));
        assert!(!caution.is_careful(Duration::from_secs(12)));
    }
}
