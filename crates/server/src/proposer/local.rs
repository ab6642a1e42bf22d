//! The node's own log: a batch is settled when it is as durable as the server was asked to make
//! writes.
//!
//! ```text
//!  os, interval:  propose ─▶ append + apply ─▶ settled
//!  always:        propose ─▶ append ─▶ queue ─▶ committer: sync, apply ─▶ settled
//! ```

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aryavarth::{Durability, KvStore};

use super::committer::{Entry, Queue};
use super::{Accepted, BatchError, BatchNumber, Log, Proposed};

/// What an acknowledged write survives. Can be changed while the server runs.
#[derive(Debug)]
pub struct DurabilityPolicy(AtomicU64);

/// Stands for `Always`; other numbers are an interval in milliseconds, 0 for `Os`.
const ALWAYS: u64 = u64::MAX;

impl DurabilityPolicy {
    /// This durability, to begin with.
    pub fn new(durability: Durability) -> DurabilityPolicy {
        DurabilityPolicy(AtomicU64::new(encode(durability)))
    }

    /// The durability of now.
    pub fn get(&self) -> Durability {
        match self.0.load(Ordering::Relaxed) {
            ALWAYS => Durability::Always,
            0 => Durability::Os,
            millis => Durability::Interval(Duration::from_millis(millis)),
        }
    }

    /// From the next batch on, this one.
    pub fn set(&self, durability: Durability) {
        self.0.store(encode(durability), Ordering::Relaxed);
    }
}

fn encode(durability: Durability) -> u64 {
    match durability {
        Durability::Always => ALWAYS,
        Durability::Os => 0,
        Durability::Interval(interval) => u64::try_from(interval.as_millis()).unwrap_or(1).max(1),
    }
}

/// The node's own log.
pub struct LocalLog {
    store: KvStore,
    policy: Arc<DurabilityPolicy>,
    queue: Arc<Queue>,
}

impl LocalLog {
    /// A log in `store`, whose committer takes from `queue`.
    pub fn new(store: KvStore, policy: Arc<DurabilityPolicy>, queue: Arc<Queue>) -> LocalLog {
        LocalLog { store, policy, queue }
    }
}

impl Log for LocalLog {
    fn propose(&self, proposed: &Arc<Proposed>) -> Result<Accepted, BatchError> {
        self.queue.metrics().batch(&proposed.batch);
        // After a change of durability, what is still in flight goes first.
        if self.policy.get() != Durability::Always && self.queue.is_idle() {
            self.store.write_unsynced(&proposed.batch)?;
            self.queue.mark_unsynced();
            return Ok(Accepted::Settled);
        }
        let appended = self.store.append(&proposed.batch)?;
        self.queue.push(Entry::Appended(Arc::clone(proposed), appended));
        Ok(Accepted::InFlight)
    }

    fn settle_after(&self, number: BatchNumber) {
        self.queue.push(Entry::Refused(number));
    }
}
