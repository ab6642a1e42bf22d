//! Checkpoints that clients ask for: one at a time, and what became of the last one.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crate::clock;

/// A checkpoint is being written already.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

/// Checkpoints that clients ask for.
#[derive(Debug, Default)]
pub struct Saving {
    under_way: AtomicBool,
    failed: AtomicBool,
    saves: AtomicU64,
    /// Milliseconds of the monotonic clock when the one under way, or the last one, began.
    began: AtomicU64,
    /// Milliseconds that the last one took.
    took: AtomicU64,
}

impl Saving {
    /// Begins one. Whoever does must end it.
    ///
    /// # Errors
    /// Another one is under way.
    pub fn begin(&self) -> Result<(), Busy> {
        if self.under_way.swap(true, Ordering::AcqRel) {
            return Err(Busy);
        }
        self.began.store(clock::monotonic().as_millis() as u64, Ordering::Relaxed);
        Ok(())
    }

    /// Ends it.
    pub fn end(&self, succeeded: bool) {
        let now = clock::monotonic().as_millis() as u64;
        self.took.store(now.saturating_sub(self.began.load(Ordering::Relaxed)), Ordering::Relaxed);
        self.failed.store(!succeeded, Ordering::Relaxed);
        if succeeded {
            self.saves.fetch_add(1, Ordering::Relaxed);
        }
        self.under_way.store(false, Ordering::Release);
    }

    /// Whether one is being written.
    pub fn is_under_way(&self) -> bool {
        self.under_way.load(Ordering::Acquire)
    }

    /// Whether the last one was written; also if there was none.
    pub fn last_succeeded(&self) -> bool {
        !self.failed.load(Ordering::Relaxed)
    }

    /// How many were written.
    pub fn count(&self) -> u64 {
        self.saves.load(Ordering::Relaxed)
    }

    /// Seconds that the last one took; none if there was none.
    pub fn last_seconds(&self) -> Option<u64> {
        (self.count() > 0).then(|| self.took.load(Ordering::Relaxed) / 1000)
    }
}
