//! Clocks: how long things take. What time it is, keys are told by the store.

use std::sync::LazyLock;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Time since the first call: only differences mean anything.
#[inline]
pub fn monotonic() -> Duration {
    static START: LazyLock<Instant> = LazyLock::new(now);
    now().saturating_duration_since(*START)
}

#[expect(clippy::disallowed_methods, reason = "the one place where the server asks for the time")]
#[inline]
fn now() -> Instant {
    Instant::now()
}

/// Time since 1970, for people to read.
#[expect(clippy::disallowed_methods, reason = "the one place where the server asks for the time")]
pub fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Time since the machine started: what the service manager compares with its own.
pub fn since_boot() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    Duration::new(now.tv_sec.unsigned_abs(), u32::try_from(now.tv_nsec).unwrap_or(0))
}
