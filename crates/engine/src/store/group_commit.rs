//! Who syncs for whom: the commit of a group of writers, from sync to acknowledgement.

use std::sync::{Arc, MutexGuard};

use crate::error::{Error, Result};
use crate::log::commit::{Completion, Gathered, Group, Pending, Told};
use crate::log::{Appender, Segment};
use crate::options::{Durability, Maintenance};
use crate::reclaim::pin;
use crate::store::core::Core;

/// Who leads a commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Leader {
    /// A thread whose own batch is pending.
    Waiting,
    /// A thread that has nothing better to do.
    Free,
}

/// Who commits next.
enum Next {
    /// There is nothing to commit.
    Nobody,
    /// A thread of this group.
    Waiting(Arc<Group>),
    /// The commit thread.
    Committer,
    /// The same thread.
    Continue,
}

fn unknown(error: Error) -> Error {
    Error::OutcomeUnknown { cause: error.to_string() }
}

/// What a sync has to cover, in order.
fn sync_targets(appender: &Appender) -> Vec<(Arc<Segment>, u64)> {
    let segments = appender.filled.iter().chain(appender.active());
    segments.map(|segment| (Arc::clone(segment), segment.end())).collect()
}

impl Core {
    /// Waits until the batch just pushed is done, leading the commit if nobody does.
    pub(super) fn await_commit(&self, mut appender: MutexGuard<'_, Appender>) -> Result<()> {
        let leads = !std::mem::replace(&mut appender.led, true);
        let group = Arc::clone(&appender.gathered.group);
        drop(appender);
        if leads {
            self.lead(Leader::Waiting);
        }
        let outcome = loop {
            match group.wait() {
                Told::Done(outcome) => break outcome,
                Told::Lead => self.lead(Leader::Waiting),
            }
        };
        self.after_write();
        outcome
    }

    /// Sees to it that somebody commits what was just pushed.
    pub(super) fn find_leader(&self, mut appender: MutexGuard<'_, Appender>) {
        if std::mem::replace(&mut appender.led, true) {
            return;
        }
        if self.options.maintenance == Maintenance::Background {
            // Under the lock: so the store is not closed, and its thread will hear it.
            return self.signals.wake_committer();
        }
        drop(appender);
        self.lead(Leader::Free);
    }

    /// Commits what is pending. A thread that waits itself does so once, as its own batch is among it,
    /// and hands over; any other goes on until nothing is left.
    pub fn lead(&self, leader: Leader) {
        loop {
            let (gathered, outcome) = self.commit_group();
            let next = self.hand_over(&gathered.pending, &outcome, leader);
            if let Next::Waiting(group) = &next {
                group.want_leader();
            }
            gathered.group.finish(outcome.clone());
            for pending in gathered.pending {
                if let Completion::Call(done) = pending.completion {
                    done(outcome.clone().map(|()| pending.last));
                }
            }
            if !matches!(next, Next::Continue) {
                return;
            }
        }
    }

    /// Takes all that is pending, syncs and applies it.
    fn commit_group(&self) -> (Gathered, Result<()>) {
        let clock = &*self.options.disk;
        self.gathering.wait(clock);
        let syncing = self.syncing.lock().expect("no panic while syncing");
        let mut appender = self.appender();
        let gathered = std::mem::take(&mut appender.gathered);
        self.gathering.arrived(0);
        let targets = sync_targets(&appender);
        drop(appender);
        let begun = clock.monotonic();
        let synced = self.sync_targets(&targets);
        let took = clock.monotonic().saturating_sub(begun);
        self.gathering.committed(gathered.pending.len(), took);
        drop(syncing);
        let applied = synced.and_then(|()| {
            let changes = gathered.pending.iter().flat_map(|pending| &pending.changes);
            self.apply(changes.map(|(key, change)| (&**key, *change)), &pin())
        });
        (gathered, applied)
    }

    fn hand_over(&self, group: &[Pending], outcome: &Result<()>, leader: Leader) -> Next {
        let mut appender = self.appender();
        if outcome.is_ok() {
            self.note_applied(group);
        }
        for (key, change) in group.iter().flat_map(|pending| &pending.changes) {
            if appender.in_flight.get(key).is_some_and(|f| f.sequence == change.sequence) {
                appender.in_flight.remove(key);
            }
        }
        if appender.gathered.pending.is_empty() {
            appender.led = false;
            return Next::Nobody;
        }
        match (leader, self.options.maintenance) {
            (Leader::Free, _) => Next::Continue,
            (Leader::Waiting, _) if appender.gathered.has_thread() => {
                Next::Waiting(Arc::clone(&appender.gathered.group))
            }
            (Leader::Waiting, Maintenance::Background) if self.check_open().is_ok() => {
                self.signals.wake_committer();
                Next::Committer
            }
            (Leader::Waiting, _) => Next::Continue,
        }
    }

    /// Notes that the index reflects a group. While the appender is held: from then on compaction may
    /// move its records, so nobody may still find them in flight, and a checkpoint must see it of
    /// all segments or of none.
    fn note_applied(&self, group: &[Pending]) {
        let guard = pin();
        for pending in group {
            let Some((_, change)) = pending.changes.last() else { continue };
            let end = change.location.offset() + change.length;
            self.segment(change.location, &guard).set_applied(end);
            self.segments.set_applied(self.replicas.reflected(pending.last));
        }
    }

    /// Syncs all that was appended so far.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`], and the fence is up.
    pub fn sync(&self) -> Result<()> {
        self.segments.fence.check()?;
        let _syncing = self.syncing.lock().expect("no panic while syncing");
        let targets = sync_targets(&self.appender());
        self.sync_targets(&targets)
    }

    fn sync_targets(&self, targets: &[(Arc<Segment>, u64)]) -> Result<()> {
        for (segment, end) in targets {
            if segment.synced() >= *end {
                continue;
            }
            self.segments.fence.check().map_err(unknown)?;
            segment.file().sync().map_err(|error| {
                let error = Error::io("sync", &segment.path, error);
                self.segments.fence.raise(&error);
                unknown(error)
            })?;
            segment.set_synced(*end);
        }
        Ok(())
    }

    /// Syncs and seals the segments that are full.
    ///
    /// # Errors
    /// As [`sync`](Core::sync), and of the manifest.
    pub fn seal_filled(&self) -> Result<()> {
        let filled = self.appender().filled.clone();
        if filled.is_empty() {
            return Ok(());
        }
        self.sync()?;
        // Two may come here at once; each segment is sealed by the one who takes it off the list.
        let mine: Vec<_> = {
            let mut appender = self.appender();
            let is_mine = |s: &mut Arc<Segment>| filled.iter().any(|f| f.id == s.id);
            let mine: Vec<_> = appender.filled.extract_if(.., is_mine).collect();
            // In order, so that no manifest knows a segment as sealed and an earlier one as open.
            mine.iter().for_each(|segment| segment.set_sealed());
            mine
        };
        self.segments.seal(&mine)
    }

    /// What a write leaves to be done: by the store's threads, or here if it has none. The write is
    /// done whatever comes of this; a failure here raises the fence, which the next one meets.
    pub fn after_write(&self) {
        if self.options.maintenance == Maintenance::Background {
            return;
        }
        let _ = self.seal_filled();
        if let Durability::Interval(interval) = self.options.durability
            && self.signals.interval_passed(interval, self.options.disk.monotonic())
        {
            let _ = self.sync();
        }
    }
}
