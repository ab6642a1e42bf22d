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

/// What the index said of a key just before its record was appended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seen {
    /// The key's record is there and takes so many bytes. Good for a first try, since a location
    /// that the index still has is still that of the key.
    At(Location, u64),
    /// The key is not there, and nobody can add it before the record is applied.
    Absent,
    /// Nothing that will still be true.
    Unknown,
}

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
    /// What the key had before.
    pub seen: Seen,
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
#[derive(Debug)]
pub struct Pending {
    /// What to apply then, each with its key.
    pub changes: Vec<(Box<[u8]>, Change)>,
    /// The sequence of its last record.
    pub last: Sequence,
    /// Whom to tell.
    pub completion: Completion,
}

/// Whom to tell when a batch is durable and applied, or is not.
pub enum Completion {
    /// A thread that waits.
    Thread(Arc<Waiter>),
    /// A function, on a thread of the store.
    Call(Box<dyn FnOnce(Result<Sequence>) + Send>),
}

impl std::fmt::Debug for Completion {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Completion::Thread(_) => "Thread",
            Completion::Call(_) => "Call",
        })
    }
}

impl Completion {
    /// Tells.
    pub fn complete(self, outcome: Result<Sequence>) {
        match self {
            Completion::Thread(waiter) => waiter.signal(Signal::Done(outcome)),
            Completion::Call(function) => function(outcome),
        }
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

/// What a waiting thread is told.
#[derive(Debug)]
pub enum Signal {
    /// Its batch is durable and applied, or failed.
    Done(Result<Sequence>),
    /// It is the leader now.
    Lead,
}

/// A thread that waits for its batch.
#[derive(Debug, Default)]
pub struct Waiter {
    signal: Mutex<Option<Signal>>,
    signalled: Condvar,
}

impl Waiter {
    /// Tells the thread.
    pub fn signal(&self, signal: Signal) {
        *self.signal.lock().expect("no panic while held") = Some(signal);
        self.signalled.notify_one();
    }

    /// Waits until told.
    pub fn wait(&self) -> Signal {
        let mut signal = self.signal.lock().expect("no panic while held");
        loop {
            match signal.take() {
                Some(signal) => return signal,
                None => signal = self.signalled.wait(signal).expect("no panic while held"),
            }
        }
    }
}
