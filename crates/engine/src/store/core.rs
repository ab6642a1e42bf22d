//! What all handles of one open store share, and the steps of a write: append, sync, apply.
//!
//! Locks, in the order they may be taken: `maintenance`, `syncing`, `appender`, the index's writer
//! (and, inside the log, the registry of segments).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::error::{Error, Result};
use crate::ids::{Location, Sequence, UnixMillis};
use crate::index::{Index, IndexWriter, KeyHash};
use crate::limits::MIN_KEY_LENGTH;
use crate::log::commit::{
    Change, Completion, Gathered, Gathering, Group, InFlight, Pending, Told,
};
use crate::log::segment::Found;
use crate::log::{Appender, Effect, Operation, Segment, Segments};
use crate::options::{Durability, Maintenance, Options};
use crate::reclaim::{Guard, pin};
use crate::record::{Kind, Record};
use crate::store::background::Signals;

/// How often a writer looks whether the appender is free before it sleeps.
const SPINS: u32 = 200;

/// Bytes and counts since the store was opened.
#[derive(Debug, Default)]
pub struct Counters {
    /// Bytes of keys and values that callers wrote.
    pub user_bytes: AtomicU64,
    /// Bytes of records that compaction wrote.
    pub compacted: AtomicU64,
    /// Bytes of checkpoints.
    pub checkpointed: AtomicU64,
    /// Bytes appended and compacted when the last checkpoint was begun.
    pub checkpointed_at: AtomicU64,
}

/// One open store.
#[derive(Debug)]
pub struct Core {
    /// How it was opened.
    pub options: Options,
    /// Its files.
    pub segments: Arc<Segments>,
    /// Where its keys are.
    pub index: Index,
    /// The end of its log.
    appender: Mutex<Appender>,
    /// How the last commits went.
    gathering: Gathering,
    /// Held by whoever syncs the log.
    syncing: Mutex<()>,
    /// Held by compaction, checkpoint, backup and export: one of them at a time.
    pub maintenance: Mutex<crate::compaction::Survivors>,
    /// Wakes the store's own threads.
    pub signals: Signals,
    /// What was done so far.
    pub counters: Counters,
    closed: AtomicBool,
}

/// What a conditional write found.
#[derive(Clone, Copy, Debug)]
pub struct Current {
    /// Where its record is.
    pub location: Location,
    /// Its version.
    pub sequence: Sequence,
}

/// What a conditional write decided.
pub enum Decision<'a> {
    /// To write this.
    Write(Effect<'a>),
    /// To leave things as they are.
    Decline,
}

impl Core {
    /// A store over what recovery found.
    pub fn new(
        options: Options,
        segments: Arc<Segments>,
        index: Index,
        active: Option<Arc<Segment>>,
    ) -> Core {
        let appender = Appender::new(Arc::clone(&segments), active, options.segment_size);
        Core {
            options,
            segments,
            index,
            appender: Mutex::new(appender),
            gathering: Gathering::default(),
            syncing: Mutex::new(()),
            maintenance: Mutex::default(),
            signals: Signals::default(),
            counters: Counters::default(),
            closed: AtomicBool::new(false),
        }
    }

    /// The end of the log.
    pub fn appender(&self) -> MutexGuard<'_, Appender> {
        // It is held for well under a microsecond: to sleep would take longer than to wait.
        for _ in 0..SPINS {
            if let Ok(appender) = self.appender.try_lock() {
                return appender;
            }
            std::hint::spin_loop();
        }
        self.appender.lock().expect("no panic while the appender is held")
    }

    /// Refuses everything once the store was closed.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Marks the store as closed; says whether it was open. Nothing is appended from here on.
    pub fn mark_closed(&self) -> bool {
        let _appender = self.appender();
        !self.closed.swap(true, Ordering::AcqRel)
    }

    /// The hash of a key.
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash::of(self.segments.hash_seed, key)
    }

    // --- reading ---

    /// Finds the record of `key` and hands it to `take`; none if there is none or it has expired.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`], [`Error::Closed`].
    pub fn read<R>(&self, key: &[u8], mut take: impl FnMut(&Record<'_>) -> R) -> Result<Option<R>> {
        self.check_open()?;
        let guard = pin();
        let mut answer = None;
        self.index.find(&guard, self.hash(key), |location| {
            self.segment(location, &guard).record(&guard, location.offset(), |_, record| {
                if record.key != key {
                    return false;
                }
                answer = (!self.is_expired(record.expires_at)).then(|| take(record));
                true
            })
        })?;
        Ok(answer)
    }

    /// The segment of a location that the index gave while `guard` was held.
    pub fn segment<'g>(&'g self, location: Location, guard: &'g Guard) -> &'g Arc<Segment> {
        self.segments.get(location, guard).expect("segments outlive the readers of their locations")
    }

    /// Whether a record with this expiry is past it.
    pub fn is_expired(&self, expires_at: Option<UnixMillis>) -> bool {
        expires_at.is_some_and(|at| at <= self.segments.clock.now())
    }

    fn match_key(&self, location: Location, key: &[u8], guard: &Guard) -> Result<Option<Found>> {
        self.segment(location, guard).match_key(guard, location.offset(), key)
    }

    // --- writing ---

    /// Appends a batch and returns when it is as durable as the store was asked to make it, and
    /// applied.
    ///
    /// # Errors
    /// See [`KvStore::write`](crate::KvStore::write).
    pub fn write(&self, operations: &[Operation<'_>]) -> Result<Sequence> {
        self.check_operations(operations)?;
        let guard = pin();
        let seen = self.look_up(&guard, operations)?;
        let mut appender = self.appender();
        if self.options.durability != Durability::Always {
            let last = self.append_and_apply(&mut appender, operations, &seen, &guard)?;
            drop((appender, guard));
            self.after_write();
            return Ok(last);
        }
        drop(guard);
        let appended = self.append_pending(&mut appender, operations, &seen, Completion::Thread);
        let last = appended.map_err(|(error, _)| error)?;
        self.await_commit(appender).map(|()| last)
    }

    /// Appends a batch and has `done` called when it is durable and applied, on a thread of the
    /// store or, where none has to be waited for, on this one.
    pub fn submit(
        &self,
        operations: &[Operation<'_>],
        done: Box<dyn FnOnce(Result<Sequence>) + Send>,
    ) {
        let guard = pin();
        let looked = self.check_operations(operations).and_then(|()| self.look_up(&guard, operations));
        let seen = match looked {
            Ok(seen) => seen,
            Err(error) => return done(Err(error)),
        };
        let mut appender = self.appender();
        if self.options.durability != Durability::Always {
            let outcome = self.append_and_apply(&mut appender, operations, &seen, &guard);
            drop((appender, guard));
            self.after_write();
            return done(outcome);
        }
        drop(guard);
        match self.append_pending(&mut appender, operations, &seen, Completion::Call(done)) {
            Ok(_) => self.find_leader(appender),
            Err((error, completion)) => {
                drop(appender);
                if let Completion::Call(done) = completion {
                    done(Err(error));
                }
            }
        }
    }

    /// Writes what `decide` makes of the newest state of `key`, which nobody changes meanwhile.
    /// Returns the sequence, or none if it declined.
    ///
    /// # Errors
    /// See [`KvStore::write`](crate::KvStore::write).
    pub fn update<'a>(
        &self,
        key: &'a [u8],
        decide: impl FnOnce(Option<Current>) -> Result<Decision<'a>>,
    ) -> Result<Option<Sequence>> {
        let mut appender = self.appender();
        // Looked at under the lock, as in `append`: the store may have been closed while we waited.
        self.check_open()?;
        let (current, undecided) = self.current(&appender, key)?;
        let effect = match decide(current)? {
            Decision::Write(effect) => effect,
            // What it was decided on may still be lost: the answer waits until it cannot.
            Decision::Decline if undecided => {
                let (changes, last) = (Vec::new(), Sequence(0));
                let completion = Completion::Thread;
                appender.gathered.pending.push(Pending { changes, last, completion });
                return self.await_commit(appender).map(|()| None);
            }
            Decision::Decline => return Ok(None),
        };
        let operations = [Operation { key, effect }];
        self.check_operations(&operations)?;
        let guard = pin();
        let seen = self.look_up(&guard, &operations)?;
        if self.options.durability != Durability::Always {
            let last = self.append_and_apply(&mut appender, &operations, &seen, &guard)?;
            drop((appender, guard));
            self.after_write();
            return Ok(Some(last));
        }
        drop(guard);
        let appended = self.append_pending(&mut appender, &operations, &seen, Completion::Thread);
        let last = appended.map_err(|(error, _)| error)?;
        self.await_commit(appender).map(|()| Some(last))
    }

    /// The newest state of `key`, applied or not, and whether it is not.
    fn current(&self, appender: &Appender, key: &[u8]) -> Result<(Option<Current>, bool)> {
        let guard = pin();
        if let Some(in_flight) = appender.in_flight.get(key) {
            let Some(location) = in_flight.location else { return Ok((None, true)) };
            let found = self.match_key(location, key, &guard)?;
            return Ok((found.and_then(|found| self.unexpired(location, found)), true));
        }
        let mut current = None;
        self.index.find(&guard, self.hash(key), |location| {
            let found = self.match_key(location, key, &guard)?;
            current = found.and_then(|found| self.unexpired(location, found));
            Ok::<_, Error>(found.is_some())
        })?;
        Ok((current, false))
    }

    fn unexpired(&self, location: Location, found: Found) -> Option<Current> {
        let current = Current { location, sequence: found.sequence };
        (!self.is_expired(found.expires_at)).then_some(current)
    }

    fn check_operations(&self, operations: &[Operation<'_>]) -> Result<()> {
        self.check_open()?;
        let check = |what, actual: usize, minimum: usize, maximum: usize| {
            if (minimum..=maximum).contains(&actual) {
                return Ok(());
            }
            let (actual, minimum, maximum) = (actual as u64, minimum as u64, maximum as u64);
            Err(Error::TooLarge { what, actual, minimum, maximum })
        };
        for operation in operations {
            let longest = match operation.effect {
                Effect::Set { value, .. } => {
                    check("value", value.len(), 0, self.options.max_value_length)?;
                    self.options.max_key_length
                }
                Effect::Remove => crate::limits::MAX_KEY_LENGTH,
            };
            check("key", operation.key.len(), MIN_KEY_LENGTH, longest)?;
        }
        Ok(())
    }

    /// Looks up what each key has now. It shows damage under it while the write can still be refused,
    /// and brings what the write will need into the cache before anybody is kept waiting.
    fn look_up(&self, guard: &Guard, operations: &[Operation<'_>]) -> Result<Lookup> {
        let look = |operation: &Operation<'_>| {
            let hash = self.hash(operation.key);
            let mut length = 0;
            let found = self.index.find(guard, hash, |location| {
                let found = self.match_key(location, operation.key, guard)?;
                length = found.map_or(0, |found| found.length);
                Ok::<_, Error>(found.is_some())
            })?;
            Ok((hash, found.map(|location| (location, length))))
        };
        match operations {
            [operation] => Ok(Lookup::One(look(operation)?)),
            _ => operations.iter().map(look).collect::<Result<_>>().map(Lookup::Many),
        }
    }

    /// Appends; fills `appender.changes` with what is to be applied.
    fn append(
        &self,
        appender: &mut Appender,
        operations: &[Operation<'_>],
        seen: &Lookup,
    ) -> Result<Sequence> {
        self.check_open()?;
        let mut changes = std::mem::take(&mut appender.changes);
        changes.clear();
        let mut user_bytes = 0;
        let last = appender.append(operations, |number, segment, placed| {
            let operation = &operations[number];
            let (kind, value) = match operation.effect {
                Effect::Set { value, expires_at } => {
                    segment.add_expiring(u64::from(expires_at.is_some()));
                    (Kind::Set, value.len())
                }
                Effect::Remove => (Kind::Remove, 0),
            };
            user_bytes += (operation.key.len() + value) as u64;
            let (hash, old) = seen.get(number);
            changes.push(Change {
                hash,
                location: segment.location(placed.offset),
                length: placed.length,
                sequence: placed.sequence,
                kind,
                old,
            });
        });
        appender.changes = changes;
        self.counters.user_bytes.fetch_add(user_bytes, Ordering::Relaxed);
        last
    }

    /// Appends a batch and applies it at once, for a store that does not wait for the disk, or during
    /// a conversion, which becomes durable as a whole. `guard` was held when the keys were looked up.
    fn append_and_apply(
        &self,
        appender: &mut Appender,
        operations: &[Operation<'_>],
        seen: &Lookup,
        guard: &Guard,
    ) -> Result<Sequence> {
        let last = self.append(appender, operations, seen)?;
        let keys = operations.iter().map(|operation| operation.key);
        self.apply(keys.zip(appender.changes.iter().copied()), guard)?;
        for segment in appender.filled.iter().chain(appender.active()) {
            segment.set_applied(segment.end());
        }
        self.segments.set_applied(last);
        Ok(last)
    }

    /// Writes a batch of a conversion, which becomes durable as a whole at its end.
    pub fn convert_batch(&self, operations: &[Operation<'_>]) -> Result<()> {
        self.check_operations(operations)?;
        let guard = pin();
        let seen = self.look_up(&guard, operations)?;
        let mut appender = self.appender();
        self.append_and_apply(&mut appender, operations, &seen, &guard)?;
        drop(appender);
        self.seal_filled()
    }

    fn append_pending(
        &self,
        appender: &mut Appender,
        operations: &[Operation<'_>],
        seen: &Lookup,
        completion: Completion,
    ) -> std::result::Result<Sequence, (Error, Completion)> {
        let last = match self.append(appender, operations, seen) {
            Ok(last) => last,
            Err(error) => return Err((error, completion)),
        };
        let keys = operations.iter().map(|operation| Box::from(operation.key));
        // Nobody is pinned until these are applied, so what was seen may not mean the same then.
        let changes = appender.changes.iter().map(|change| Change { old: None, ..*change });
        let changes: Vec<(Box<[u8]>, Change)> = keys.zip(changes).collect();
        for (key, change) in &changes {
            let location = (change.kind == Kind::Set).then_some(change.location);
            let in_flight = InFlight { sequence: change.sequence, location };
            appender.in_flight.insert(key.clone(), in_flight);
        }
        let pending = &mut appender.gathered.pending;
        pending.push(Pending { changes, last, completion });
        self.gathering.arrived(pending.len());
        Ok(last)
    }

    /// Makes the index reflect changes whose records are as durable as they have to be.
    ///
    /// # Errors
    /// [`Error::OutcomeUnknown`], and the fence is up: the log has what the index could not take.
    fn apply<'a>(
        &self,
        changes: impl Iterator<Item = (&'a [u8], Change)>,
        guard: &Guard,
    ) -> Result<()> {
        let mut index = self.index.writer();
        for (key, change) in changes {
            let old = match change.old {
                // A location that the index still has, while pinned, is still that of the key.
                Some((old, length)) if index.contains(change.hash, old) => Some((old, length)),
                _ => self.find_old(&index, key, &change, guard)?,
            };
            if let Some((old, length)) = old {
                self.segment(old, guard).add_stale(length);
            }
            let taken = match (change.kind, old) {
                (Kind::Set, Some((old, _))) => index.replace(change.hash, old, change.location),
                (Kind::Remove, Some((old, _))) => index.remove(change.hash, old),
                (Kind::Set, None) => {
                    index.insert(change.hash, change.location);
                    true
                }
                (Kind::Remove, None) => true,
            };
            assert!(taken, "nobody else writes the index");
            if change.kind == Kind::Remove {
                let segment = self.segment(change.location, guard);
                segment.add_tombstone(change.length, change.sequence);
            }
        }
        Ok(())
    }

    /// The record a key has in the index, and its length.
    fn find_old(
        &self,
        index: &IndexWriter<'_>,
        key: &[u8],
        change: &Change,
        guard: &Guard,
    ) -> Result<Option<(Location, u64)>> {
        let mut length = 0;
        let found = index.find(change.hash, |location| {
            let found = self.match_key(location, key, guard)?;
            length = found.map_or(0, |found| found.length);
            Ok::<_, Error>(found.is_some())
        });
        let found = found.map_err(|error| {
            self.segments.fence.raise(&error);
            Error::OutcomeUnknown { cause: error.to_string() }
        })?;
        Ok(found.map(|location| (location, length)))
    }

    // --- group commit ---

    /// Waits until the batch just pushed is done, leading the commit if nobody does.
    fn await_commit(&self, mut appender: MutexGuard<'_, Appender>) -> Result<()> {
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
    fn find_leader(&self, mut appender: MutexGuard<'_, Appender>) {
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
            self.segments.set_applied(pending.last);
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
            appender.filled.extract_if(.., is_mine).collect()
        };
        self.segments.seal(&mine)
    }

    /// What a write leaves to be done: by the store's threads, or here if it has none. The write is
    /// done whatever comes of this; a failure here raises the fence, which the next one meets.
    fn after_write(&self) {
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

    /// Takes in a segment made ahead of need.
    pub fn adopt_prepared(&self, segment: Arc<Segment>) {
        let mut appender = self.appender();
        let late = appender.active().is_none_or(|active| active.id > segment.id);
        if !late && appender.wants_next() {
            appender.prepare(segment);
            return;
        }
        drop(appender);
        let _ = self.segments.retire(&[segment]);
    }
}

/// What the index has of the keys of a batch.
enum Lookup {
    /// Of its only one.
    One(Seen),
    /// Of each.
    Many(Vec<Seen>),
}

/// A key's hash; where its record is and how long, if it has one.
type Seen = (KeyHash, Option<(Location, u64)>);

impl Lookup {
    fn get(&self, number: usize) -> Seen {
        match self {
            Lookup::One(seen) => *seen,
            Lookup::Many(seen) => seen[number],
        }
    }
}

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
