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
