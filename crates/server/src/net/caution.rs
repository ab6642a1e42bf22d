//! Notices when reads begin to wait for the disk, so that a worker can look before it leaps.
//!
//! ```text
//!  a command took long ─▶ did this thread wait for a page? ─ yes ─▶ careful for a while:
//!                                                                    ask before each read
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
const CAREFUL: Duration = Duration::from_secs(10);
/// How often a command is tried again because what it reads was not in memory, or is not any more.
pub const MOST_FETCHES: u8 = 3;

/// How careful a worker is.
#[derive(Debug, Default)]
pub struct Caution {
    until: Cell<Duration>,
    waits: Cell<u64>,
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
        let Some(waits) = page_waits() else { return };
        if waits > self.waits.replace(waits) {
            self.until.set(now + CAREFUL);
        }
    }

    /// Notes that something was not in memory.
    pub fn missed(&self, now: Duration) {
        self.until.set(now + CAREFUL);
    }
}

/// How often this thread had to wait for a page from a device; none where the system does not tell.
#[expect(clippy::disallowed_methods, reason = "the system tells it in this file alone")]
fn page_waits() -> Option<u64> {
    const MAJOR_FAULTS: usize = 9;
    let text = std::fs::read("/proc/thread-self/stat").ok()?;
    // Behind the name in parentheses, which may hold anything.
    let end = text.iter().rposition(|byte| *byte == b')')?;
    let fields = std::str::from_utf8(&text[end + 1..]).ok()?;
    fields.split_ascii_whitespace().nth(MAJOR_FAULTS)?.parse().ok()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn the_system_tells_how_often_a_thread_waited() {
        assert!(page_waits().is_some());
        let caution = Caution::default();
        assert!(!caution.is_careful(Duration::from_secs(1)));
        caution.missed(Duration::from_secs(1));
        assert!(caution.is_careful(Duration::from_secs(2)));
        assert!(!caution.is_careful(Duration::from_secs(12)));
    }
}
