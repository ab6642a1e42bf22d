//! The thread that waits for the disk, so that no worker has to.
//!
//! ```text
//!  queue: a b c ─▶ take all ─▶ sync ─▶ apply a, b, c ─▶ settled ─▶ wake the workers that wait
//!  queue: d e        meanwhile the next ones gather: the next sync serves them all
//! ```
//!
//! Clients that write again as soon as they are answered would fall apart into groups that take turns,
//! each waiting for the sync of the other. So before a sync the committer waits for as many operations
//! as the last one had, for at most half the time that one took.
//!
//! With an interval it syncs what was written since the last time, whenever that has passed.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use aryavarth::{Appended, Durability, KvStore};

use super::{BatchError, BatchNumber, DurabilityPolicy, Lane, Proposed, Proposers};
use crate::clock;
use crate::metrics::LogMetrics;

/// How often it looks around when nothing happens.
const TICK: Duration = Duration::from_millis(100);

/// What waits for the committer.
pub enum Entry {
    /// A batch that stands in the log.
    Appended(Arc<Proposed>, Appended),
    /// A batch that was not taken.
    Refused(BatchNumber),
}

impl Entry {
    fn number(&self) -> BatchNumber {
        match self {
            Entry::Appended(proposed, _) => proposed.number,
            Entry::Refused(number) => *number,
        }
    }
}

/// The batches that wait, and their operations.
#[derive(Default)]
struct Entries {
    waiting: VecDeque<Entry>,
    operations: usize,
}

/// What the log and its committer share.
#[derive(Default)]
pub struct Queue {
    entries: Mutex<Entries>,
    bell: Condvar,
    /// Batches pushed and not yet settled.
    unsettled: AtomicUsize,
    unsynced: AtomicBool,
    /// Whether what was noted as unsynced is being synced.
    syncing: AtomicBool,
    /// Whether somebody waits for a sync.
    asked: AtomicBool,
    syncs: Mutex<Syncs>,
    synced: Condvar,
    stopping: AtomicBool,
    /// Operations of the last commit, and how long its sync took.
    last_operations: AtomicUsize,
    last_sync_nanos: AtomicU64,
    metrics: Arc<LogMetrics>,
}

/// Syncs that were asked for, by number.
#[derive(Default)]
struct Syncs {
    /// The last that was asked for.
    asked: u64,
    /// The last that was done.
    done: u64,
    /// Whether one failed: then none succeeds any more.
    failed: bool,
}

impl Queue {
    /// An empty queue that notes its doings in `metrics`.
    pub fn new(metrics: Arc<LogMetrics>) -> Queue {
        Queue { metrics, ..Queue::default() }
    }

    /// Where doings are noted.
    pub fn metrics(&self) -> &LogMetrics {
        &self.metrics
    }

    /// Hands a batch over.
    pub fn push(&self, entry: Entry) {
        self.unsettled.fetch_add(1, Ordering::AcqRel);
        let mut entries = self.entries.lock().expect("no panic while held");
        if let Entry::Appended(proposed, _) = &entry {
            entries.operations += proposed.batch.len();
        }
        entries.waiting.push_back(entry);
        self.bell.notify_one();
    }

    /// Whether all that was pushed is settled.
    pub fn is_idle(&self) -> bool {
        self.unsettled.load(Ordering::Acquire) == 0
    }

    /// Notes that something was written that has yet to be synced.
    pub fn mark_unsynced(&self) {
        if !self.unsynced.load(Ordering::Relaxed) {
            self.unsynced.store(true, Ordering::Release);
        }
    }

    /// Whether nothing that was marked waits to be synced.
    pub fn is_synced(&self) -> bool {
        // In this order: it is marked as being synced before it is no longer marked as unsynced.
        !self.unsynced.load(Ordering::Acquire) && !self.syncing.load(Ordering::Acquire)
    }

    /// Has everything synced that was written before, and waits for it, at most for `longest`. Says
    /// whether it is.
    pub fn sync_now(&self, longest: Option<Duration>) -> bool {
        let mut syncs = self.syncs.lock().expect("no panic while held");
        syncs.asked += 1;
        let mine = syncs.asked;
        drop(syncs);
        self.asked.store(true, Ordering::Release);
        let entries = self.entries.lock().expect("no panic while held");
        self.bell.notify_one();
        drop(entries);
        let syncs = self.syncs.lock().expect("no panic while held");
        let is_due = |syncs: &mut Syncs| syncs.done < mine;
        let syncs = match longest {
            None => self.synced.wait_while(syncs, is_due).expect("no panic while held"),
            Some(longest) => {
                self.synced
                    .wait_timeout_while(syncs, longest, is_due)
                    .expect("no panic while held")
                    .0
            }
        };
        syncs.done >= mine && !syncs.failed
    }

    /// Has the committer finish what it has and end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        let _entries = self.entries.lock().expect("no panic while held");
        self.bell.notify_one();
    }

    /// Waits for batches, at most for `longest`.
    fn take(&self, longest: Duration) -> VecDeque<Entry> {
        let entries = self.entries.lock().expect("no panic while held");
        let is_disturbed =
            || self.stopping.load(Ordering::Acquire) || self.asked.load(Ordering::Acquire);
        let is_idle = |entries: &mut Entries| entries.waiting.is_empty() && !is_disturbed();
        let (entries, _) =
            self.bell.wait_timeout_while(entries, longest, is_idle).expect("no panic while held");
        let expected = self.last_operations.load(Ordering::Relaxed);
        let patience = Duration::from_nanos(self.last_sync_nanos.load(Ordering::Relaxed) / 2);
        let is_short = |entries: &mut Entries| {
            !entries.waiting.is_empty() && entries.operations < expected && !is_disturbed()
        };
        let (mut entries, _) =
            self.bell.wait_timeout_while(entries, patience, is_short).expect("no panic while held");
        let taken = std::mem::take(&mut *entries);
        if !taken.waiting.is_empty() {
            self.last_operations.store(taken.operations, Ordering::Relaxed);
        }
        taken.waiting
    }
}

/// What the committer works with.
pub struct Committer {
    /// The store whose log it is.
    pub store: KvStore,
    /// What waits.
    pub queue: Arc<Queue>,
    /// Where the proposer is that it tells.
    pub proposers: Proposers,
    /// The lane whose log it is: it settles the batches of this one alone.
    pub lane: Lane,
    /// What is asked of writes.
    pub policy: Arc<DurabilityPolicy>,
    /// Called after batches were settled.
    pub wake: Box<dyn Fn() + Send>,
}

impl Committer {
    /// Works until the queue is stopped and empty.
    pub fn run(self) {
        let mut synced_at = clock::monotonic();
        loop {
            let interval = match self.policy.get() {
                Durability::Interval(interval) => interval,
                _ => TICK,
            };
            let taken = self.queue.take(interval.min(TICK));
            if !taken.is_empty() {
                self.commit(taken);
                synced_at = clock::monotonic();
            } else if self.queue.stopping.load(Ordering::Acquire) {
                self.answer_syncs();
                return;
            }
            self.answer_syncs();
            if matches!(self.policy.get(), Durability::Interval(_))
                && clock::monotonic().saturating_sub(synced_at) >= interval
            {
                synced_at = clock::monotonic();
                self.sync_if_written();
            }
        }
    }

    fn sync_if_written(&self) {
        self.queue.syncing.store(true, Ordering::Release);
        // A failure raises the store's fence, which the next write reports.
        if self.queue.unsynced.swap(false, Ordering::AcqRel) && self.sync().is_err() {
            self.queue.syncs.lock().expect("no panic while held").failed = true;
        }
        self.queue.syncing.store(false, Ordering::Release);
    }

    /// Does the syncs that were asked for, all with one.
    fn answer_syncs(&self) {
        if !self.queue.asked.swap(false, Ordering::AcqRel) {
            return;
        }
        let asked = self.queue.syncs.lock().expect("no panic while held").asked;
        self.sync_if_written();
        self.queue.syncs.lock().expect("no panic while held").done = asked;
        self.queue.synced.notify_all();
    }

    fn sync(&self) -> Result<(), aryavarth::Error> {
        let begun = clock::monotonic();
        let outcome = self.store.sync();
        let took = clock::monotonic().saturating_sub(begun);
        self.queue.last_sync_nanos.store(took.as_nanos() as u64, Ordering::Relaxed);
        self.queue.metrics.sync(took, outcome.is_ok());
        outcome
            .inspect_err(|error| tracing::error!(%error, "sync failed: no more writes are taken"))
    }

    fn commit(&self, taken: VecDeque<Entry>) {
        let Some(last) = taken.back().map(Entry::number) else { return };
        let count = taken.len();
        match self.sync_and_apply(taken) {
            // A node's own log gathers here, before a sync.
            Ok(()) => _ = self.proposers.of(self.lane).settled(last),
            Err(error) => self.fail(last, &error),
        }
        self.queue.unsettled.fetch_sub(count, Ordering::AcqRel);
        (self.wake)();
    }

    fn sync_and_apply(&self, taken: VecDeque<Entry>) -> Result<(), BatchError> {
        if taken.iter().any(|entry| matches!(entry, Entry::Appended(..))) {
            self.sync()?;
        }
        for entry in taken {
            if let Entry::Appended(proposed, appended) = entry {
                self.store.apply(&proposed.batch, appended)?;
            }
        }
        Ok(())
    }

    /// Fails all that is in flight: what was taken, and what was appended meanwhile.
    fn fail(&self, taken: BatchNumber, error: &BatchError) {
        let proposer = self.proposers.of(self.lane);
        proposer.failed(error);
        proposer.settled(taken);
    }
}
