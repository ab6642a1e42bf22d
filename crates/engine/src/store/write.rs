//! The steps of a write that never merge: append puts bytes into the log, apply points the index at
//! them. Where writes are synced before they are acknowledged, a commit lies in between.

use std::sync::atomic::Ordering;

use crate::error::{Error, Result};
use crate::ids::{Location, Sequence};
use crate::index::{IndexWriter, KeyHash};
use crate::limits::MIN_KEY_LENGTH;
use crate::log::commit::{Change, Completion, InFlight, Pending};
use crate::log::segment::Found;
use crate::log::{Appender, Effect, Operation};
use crate::options::Durability;
use crate::reclaim::{Guard, pin};
use crate::record::Kind;
use crate::store::core::Core;

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

/// What the index has of the keys of a batch.
pub(super) enum Lookup {
    /// Of its only one.
    One(Seen),
    /// Of each.
    Many(Vec<Seen>),
}

/// A key's hash; where its record is and how long, if it has one.
pub(super) type Seen = (KeyHash, Option<(Location, u64)>);

impl Lookup {
    fn get(&self, number: usize) -> Seen {
        match self {
            Lookup::One(seen) => *seen,
            Lookup::Many(seen) => seen[number],
        }
    }
}

impl Core {
    /// Appends a batch and returns when it is as durable as the store was asked to make it, and
    /// applied.
    ///
    /// # Errors
    /// See [`KvStore::write`](crate::KvStore::write).
    pub fn write(&self, operations: &[Operation<'_>]) -> Result<Sequence> {
        if !self.applies_after_sync() {
            let last = self.write_unsynced(operations)?;
            return self.sync_if_asked().map(|()| last);
        }
        self.check_operations(operations)?;
        let guard = pin();
        let seen = self.look_up(&guard, operations)?;
        let mut appender = self.appender();
        drop(guard);
        let appended = self.append_pending(&mut appender, operations, &seen, Completion::Thread);
        let last = appended.map_err(|(error, _)| error)?;
        self.await_commit(appender).map(|()| last)
    }

    /// Appends a batch and applies it, without waiting for the disk.
    ///
    /// # Errors
    /// See [`KvStore::write`](crate::KvStore::write).
    pub fn write_unsynced(&self, operations: &[Operation<'_>]) -> Result<Sequence> {
        self.check_operations(operations)?;
        let guard = pin();
        let seen = self.look_up(&guard, operations)?;
        let mut appender = self.appender();
        let last = self.append_and_apply(&mut appender, operations, &seen, &guard)?;
        drop((appender, guard));
        self.after_write();
        Ok(last)
    }

    /// Appends a batch and has `done` called when it is durable and applied, on a thread of the
    /// store or, where none has to be waited for, on this one.
    pub fn submit(
        &self,
        operations: &[Operation<'_>],
        done: Box<dyn FnOnce(Result<Sequence>) + Send>,
    ) {
        let guard = pin();
        let looked =
            self.check_operations(operations).and_then(|()| self.look_up(&guard, operations));
        let seen = match looked {
            Ok(seen) => seen,
            Err(error) => return done(Err(error)),
        };
        let mut appender = self.appender();
        if !self.applies_after_sync() {
            let outcome = self.append_and_apply(&mut appender, operations, &seen, &guard);
            drop((appender, guard));
            self.after_write();
            return done(outcome.and_then(|last| self.sync_if_asked().map(|()| last)));
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

    /// Whether a write is applied only after it was synced. Among replicated logs, writes that are of
    /// no entry are few, and applied at once: so the index reflects all but entries.
    fn applies_after_sync(&self) -> bool {
        self.options.durability == Durability::Always && !self.replicas.in_use()
    }

    /// Syncs what was applied already, where a write is acknowledged only then.
    fn sync_if_asked(&self) -> Result<()> {
        if self.options.durability == Durability::Always { self.sync() } else { Ok(()) }
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
        if !self.applies_after_sync() {
            let last = self.append_and_apply(&mut appender, &operations, &seen, &guard)?;
            drop((appender, guard));
            self.after_write();
            return self.sync_if_asked().map(|()| Some(last));
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

    pub fn check_operations(&self, operations: &[Operation<'_>]) -> Result<()> {
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
    pub(super) fn look_up(&self, guard: &Guard, operations: &[Operation<'_>]) -> Result<Lookup> {
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
    pub(super) fn append(
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
            segment.set_applied(self.replicas.reflected_end(segment));
        }
        self.segments.set_applied(self.replicas.reflected(last));
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
    pub fn apply<'a>(
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
                (Kind::Entry | Kind::State, _) => unreachable!("these are of no key"),
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
}
