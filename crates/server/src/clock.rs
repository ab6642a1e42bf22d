//! Clocks: how long things take. What time it is, keys are told by the store.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

/// Time on a clock that only goes forward, from an arbitrary start. Asked twice for every command.
#[inline]
pub fn monotonic() -> Duration {
    #[cfg(feature = "simulated-cluster")]
    if let Some(host) = aryavarth_replication::simulation::Host::current() {
        return host.now();
    }
    let time = clock_gettime(ClockId::Monotonic);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Time since 1970, for people to read.
#[expect(clippy::disallowed_methods, reason = "the one place where the server asks for the time")]
pub fn wall() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
