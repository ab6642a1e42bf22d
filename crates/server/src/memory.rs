//! Memory that clients make the server take, added up over all of them.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The sum of the memory of all clients' buffers, as of the last look at each.
#[derive(Debug, Default)]
pub struct ClientMemory(AtomicUsize);

impl ClientMemory {
    /// Notes that a client takes `now` instead of `before`.
    pub fn change(&self, before: usize, now: usize) {
        if now >= before {
            self.0.fetch_add(now - before, Ordering::Relaxed);
        } else {
            self.0.fetch_sub(before - now, Ordering::Relaxed);
        }
    }

    /// The sum, in bytes.
    pub fn total(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}
