//! Group commit: the words that writers, the one who syncs, and the index exchange.
//!
//! ```text
//!  writer ─ append ─▶ pending ─┐                 leader (the first writer to find none)
//!  writer ─ append ─▶ pending ─┼─ take all ─▶ sync ─▶ apply ─▶ hand over ─▶ tell each writer
//!  writer ─ append ─▶ pending ─┘
//! ```
//!
//! There is at most one leader. Whoever appends while there is one waits; the leader's sync covers
//! all that was appended before it began. When done it hands over to a writer of the next group,
//! before it wakes its own, so that the disk is never idle while somebody waits for it.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use crate::disk::Disk;
use crate::error::Result;
use crate::ids::{Location, Sequence};
use crate::index::KeyHash;
use crate::record::Kind;

/// What one appended record means to the index.
#[derive(Clone, Copy, Debug)]
pub struct Change {
    /// The key's hash.
    pub hash: KeyHash,
    /// Where the record is.
    pub location: Location,
    /// Bytes of the record.
    pub length: u64,
    /// Its place in the order of all writes.
    pub sequence: Sequence,
    /// What it does.
    pub kind: Kind,
    /// The record the key had when it was looked up, and its length. Means what it says only to
    /// who was pinned all the while.
    pub old: Option<(Location, u64)>,
}

/// The newest effect on a key that is appended but not applied.
#[derive(Clone, Copy, Debug)]
pub struct InFlight {
    /// Its place in the order of all writes.
    pub sequence: Sequence,
    /// The record; none if it removes the key.
    pub location: Option<Location>,
}

/// A batch that waits for a sync.
pub struct Pending {
    /// What to apply then, each with its key.
    pub changes: Vec<(Box<[u8]>, Change)>,
    /// The sequence of its last record.
    pub last: Sequence,
    /// Who waits.
    pub completion: Completion,
}

/// Who waits for a batch.
pub enum Completion {
    /// A thread, at the group's side.
    Thread,
    /// A function, to be called on a thread of the store.
    Call(Box<dyn FnOnce(Result<Sequence>) + Send>),
}

/// The batches that the next sync will make durable.
#[derive(Default)]
pub struct Gathered {
    /// The batches, in the order of the log.
    pub pending: Vec<Pending>,
    /// Where the threads among those who wait do so.
    pub group: Arc<Group>,
}

impl std::fmt::Debug for Gathered {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Gathered").field("pending", &self.pending.len()).finish_non_exhaustive()
    }
}

impl Gathered {
    /// Whether a thread waits that could lead.
    pub fn has_thread(&self) -> bool {
        self.pending.iter().any(|pending| matches!(pending.completion, Completion::Thread))
    }
}

/// Where the threads of one group wait: all are told at once, with one call to the system.
#[derive(Debug, Default)]
pub struct Group {
    state: Mutex<GroupState>,
    changed: Condvar,
}

#[derive(Debug, Default)]
enum GroupState {
    #[default]
    Waiting,
    LeaderWanted,
    Done(Result<()>),
}

/// What a waiting thread is told.
#[derive(Debug)]
pub enum Told {
    /// The group is durable and applied, or failed.
    Done(Result<()>),
    /// This thread leads the next commit, that of its own group.
    Lead,
}

impl Group {
    /// Waits until told.
    pub fn wait(&self) -> Told {
        let mut state = self.state.lock().expect("no panic while held");
        loop {
            match &*state {
                GroupState::Done(outcome) => return Told::Done(outcome.clone()),
                GroupState::LeaderWanted => {
                    *state = GroupState::Waiting;
                    return Told::Lead;
                }
                GroupState::Waiting => {
                    state = self.changed.wait(state).expect("no panic while held");
                }
            }
        }
    }

    /// Has one of the waiting threads lead.
    pub fn want_leader(&self) {
        *self.state.lock().expect("no panic while held") = GroupState::LeaderWanted;
        self.changed.notify_one();
    }

    /// Tells all.
    pub fn finish(&self, outcome: Result<()>) {
        *self.state.lock().expect("no panic while held") = GroupState::Done(outcome);
        self.changed.notify_all();
    }
}

/// Lets a commit wait a moment for the writers of the last one.
///
/// Writers that write again as soon as they are told would otherwise split in two groups that take
/// turns, each waiting for the sync of the other: the first to return starts a sync all by itself.
/// The wait ends when as many are there as last time, or half a sync's time has passed.
#[derive(Debug, Default)]
pub struct Gathering {
    pending: AtomicUsize,
    last_group: AtomicUsize,
    last_sync_nanos: AtomicU64,
}

impl Gathering {
    /// Notes how many batches are pending.
    pub fn arrived(&self, pending: usize) {
        self.pending.store(pending, Ordering::Relaxed);
    }

    /// Notes a commit: how many batches it took and how long its sync was.
    pub fn committed(&self, group: usize, sync: Duration) {
        self.last_group.store(group, Ordering::Relaxed);
        self.last_sync_nanos.store(sync.as_nanos() as u64, Ordering::Relaxed);
    }

    /// Waits for as many batches as the last group had, but not for long.
    pub fn wait(&self, disk: &dyn Disk) {
        let expected = self.last_group.load(Ordering::Relaxed);
        if self.pending.load(Ordering::Relaxed) >= expected {
            return;
        }
        let longest = Duration::from_nanos(self.last_sync_nanos.load(Ordering::Relaxed) / 2);
        let begun = disk.monotonic();
        while self.pending.load(Ordering::Relaxed) < expected {
            if disk.monotonic().saturating_sub(begun) >= longest {
                return;
            }
            std::thread::yield_now();
        }
    }
}
