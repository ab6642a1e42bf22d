//! Writing replicated logs: entries and states.
//!
//! Locks: the appender, then the tables.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::codec::{self, Carries, Dead, HEAD_LENGTH, Head, Presence, STATE_KEY, State};
use super::tables::{Place, Tables};
use super::{NewEntry, Payload};
use crate::error::{Error, Result};
use crate::ids::{EntryId, EntryIndex, Sequence, ShardId, Term};
use crate::limits::MAX_CONFIG_LENGTH;
use crate::log::append::Draft;
use crate::log::{Appender, Effect, Operation, Segment};
use crate::manifest::Role;
use crate::record::{Batch, Kind, Record, encoded_length};
use crate::store::core::Core;

/// A record of a replicated log.
enum Line<'a> {
    Head { shard: ShardId, key: [u8; HEAD_LENGTH], config: &'a [u8] },
    Effect { shard: ShardId, operation: Operation<'a> },
    State { shard: ShardId, value: Vec<u8> },
}

impl Draft for Line<'_> {
    fn record(&self, sequence: Sequence, batch: Batch) -> Record<'_> {
        let (kind, shard, key, value) = match self {
            Line::Head { shard, key, config } => (Kind::Entry, *shard, &key[..], *config),
            Line::State { shard, value } => (Kind::State, *shard, STATE_KEY, &value[..]),
            Line::Effect { shard, operation } => {
                return operation.record_of(*shard, sequence, batch);
            }
        };
        Record { kind, batch, shard, sequence, expires_at: None, key, value }
    }

    fn encoded_length(&self) -> u64 {
        match self {
            Line::Head { key, config, .. } => encoded_length(key.len(), config.len(), None),
            Line::State { value, .. } => encoded_length(STATE_KEY.len(), value.len(), None),
            Line::Effect { operation, .. } => operation.encoded_length(),
        }
    }

    /// A group that cannot vote, change its members or let go of its log would not get a full disk
    /// empty again.
    fn is_urgent(&self) -> bool {
        match self {
            Line::Head { .. } | Line::State { .. } => true,
            Line::Effect { operation, .. } => operation.is_urgent(),
        }
    }
}

/// Where a batch went.
struct Written {
    segment: Arc<Segment>,
    first: Sequence,
    offset: u64,
    head: u64,
    length: u64,
}

fn write(appender: &mut Appender, lines: &[Line<'_>]) -> Result<Written> {
    let mut written: Option<Written> = None;
    appender.append(lines, |_, segment, placed| match &mut written {
        Some(written) => written.length += placed.length,
        None => {
            written = Some(Written {
                segment: Arc::clone(segment),
                first: placed.sequence,
                offset: placed.offset,
                head: placed.length,
                length: placed.length,
            });
        }
    })?;
    Ok(written.expect("a batch is not empty"))
}

impl Tables {
    /// The log of a shard that has a replica here.
    pub(super) fn here(&mut self, shard: ShardId) -> Result<&mut super::tables::ShardLog> {
        let log = self.shards.get_mut(&shard).filter(|log| log.is_here());
        log.ok_or(Error::NoReplica { shard })
    }
}

impl Core {
    /// Makes a replica of `shard` if there is none.
    pub(super) fn make_replica(&self, shard: ShardId) -> Result<()> {
        self.check_open()?;
        let mut appender = self.appender();
        let mut tables = self.replicas.lock();
        if tables.shards.get(&shard).is_some_and(|log| log.is_here()) {
            return Ok(());
        }
        // What was dead stays dead, and what was promised stays promised.
        let gone = tables.shards.get(&shard).map(|log| log.state.clone()).unwrap_or_default();
        let state = State { dead: gone.dead, pledge: gone.pledge, ..State::default() };
        self.replicas.begin_use();
        self.write_state(&mut appender, &mut tables, shard, state)?;
        tables.shards.entry(shard).or_default().applied = None;
        drop((tables, appender));
        self.after_write();
        Ok(())
    }

    pub(super) fn split_replica(&self, shard: ShardId, into: ShardId, config: &[u8]) -> Result<()> {
        self.check_open()?;
        let mut appender = self.appender();
        let mut tables = self.replicas.lock();
        let log = tables.here(shard)?;
        // Who reads the log again must not find the new one beside an older one of `shard`, whose entries would
        // overwrite what the new one wrote since.
        let committed = log.state.committed.max(log.applied);
        let old = State { committed, ..log.state.clone() };
        if tables.shards.contains_key(&into) {
            return Ok(());
        }
        let base = EntryId { term: Term(0), index: EntryIndex(0) };
        let new = State {
            purged: Some(base),
            committed: Some(base),
            config: Some((base, config.to_vec())),
            ..State::default()
        };
        let line = |shard, state: &State| Line::State { shard, value: state.encode() };
        let written = write(&mut appender, &[line(shard, &old), line(into, &new)])?;
        self.note_states(&mut tables, &written);
        tables.shards.entry(shard).or_default().state = old;
        let log = tables.shards.entry(into).or_default();
        log.state = new;
        log.applied = Some(base);
        self.keep_states(&mut appender, &mut tables);
        drop((tables, appender));
        self.after_write();
        Ok(())
    }

    pub(super) fn append_entries(&self, shard: ShardId, entries: &[NewEntry<'_>]) -> Result<()> {
        for entry in entries {
            match entry.payload {
                Payload::Blank => {}
                Payload::Effects(batch) => self.check_operations(&batch.operations())?,
                Payload::Config(bytes) => {
                    codec::check_length("configuration", bytes.len(), MAX_CONFIG_LENGTH)?;
                }
            }
        }
        let mut appender = self.appender();
        self.check_open()?;
        let mut tables = self.replicas.lock();
        for entry in entries {
            self.append_entry(&mut appender, &mut tables, shard, entry)?;
        }
        self.keep_states(&mut appender, &mut tables);
        drop((tables, appender));
        self.after_write();
        Ok(())
    }

    fn append_entry(
        &self,
        appender: &mut Appender,
        tables: &mut Tables,
        shard: ShardId,
        entry: &NewEntry<'_>,
    ) -> Result<()> {
        let log = tables.here(shard)?;
        let next = log.last().map_or(EntryIndex(0), |last| last.index.next());
        // A log that never had an entry may begin anywhere.
        let is_next = entry.id.index == next || log.last().is_none();
        assert!(is_next, "entry {} is appended where {} is due", entry.id, next.0);
        let (carries, config) = match entry.payload {
            Payload::Blank => (Carries::Nothing, &[][..]),
            Payload::Effects(_) => (Carries::Effects, &[][..]),
            Payload::Config(bytes) => (Carries::Config, bytes),
        };
        let committed = log.state.committed.map(|id| id.index);
        let key = Head { id: entry.id, committed, carries }.encode();
        let mut lines = vec![Line::Head { shard, key, config }];
        if let Payload::Effects(batch) = entry.payload {
            let effects = (0..batch.len()).map(|number| batch.operation(number));
            lines.extend(effects.map(|operation| Line::Effect { shard, operation }));
            self.counters.user_bytes.fetch_add(batch.bytes(), Ordering::Relaxed);
        }
        let Written { segment, first, offset, head, length } = write(appender, &lines)?;
        let expires = |line: &&Line<'_>| match line {
            Line::Effect { operation, .. } => {
                matches!(operation.effect, Effect::Set { expires_at: Some(_), .. })
            }
            _ => false,
        };
        segment.add_expiring(lines.iter().filter(expires).count() as u64);
        tables.push(shard, Place { id: entry.id, first, segment, offset, length, head, carries });
        Ok(())
    }

    // --- states ---

    /// Changes what is remembered of `shard`.
    pub(super) fn change_state(
        &self,
        shard: ShardId,
        change: impl FnOnce(&mut State),
    ) -> Result<()> {
        let mut appender = self.appender();
        self.check_open()?;
        let mut tables = self.replicas.lock();
        let mut state = tables.here(shard)?.state.clone();
        change(&mut state);
        self.write_state(&mut appender, &mut tables, shard, state)?;
        drop((tables, appender));
        self.after_write();
        Ok(())
    }

    /// Writes the new state of a shard, and of the others too where the segment has none of them.
    fn write_state(
        &self,
        appender: &mut Appender,
        tables: &mut Tables,
        shard: ShardId,
        state: State,
    ) -> Result<()> {
        let written = write(appender, &[Line::State { shard, value: state.encode() }])?;
        self.note_states(tables, &written);
        tables.shards.entry(shard).or_default().state = state;
        self.keep_states(appender, tables);
        Ok(())
    }

    /// Sees to it that the segment that is written to has the states of all shards, so that earlier
    /// ones can be done without.
    fn keep_states(&self, appender: &mut Appender, tables: &mut Tables) {
        let active = appender.active().map(|segment| segment.id);
        if tables.states_from != active {
            self.write_states(appender, tables);
        }
    }

    /// Writes the states of all shards, so that the next opening knows what is committed by now.
    pub fn save_states(&self) {
        if self.replicas.in_use() {
            self.write_states(&mut self.appender(), &mut self.replicas.lock());
        }
    }

    fn write_states(&self, appender: &mut Appender, tables: &mut Tables) {
        self.forget_dead(tables);
        let state = |(shard, log): (&ShardId, &super::tables::ShardLog)| Line::State {
            shard: *shard,
            value: log.state.encode(),
        };
        let lines: Vec<Line<'_>> = tables.shards.iter().map(state).collect();
        // Where it fails, as on a full disk, the next one tries again; until then no segment goes.
        if let Ok(written) = write(appender, &lines) {
            self.note_states(tables, &written);
            tables.states_from = Some(written.segment.id);
        }
    }

    fn note_states(&self, tables: &mut Tables, written: &Written) {
        // Only the newest is ever read; compaction need not keep them.
        written.segment.add_stale(written.length);
        tables.newest_state = Some((Arc::clone(&written.segment), written.offset + written.length));
        self.note_reflected(tables, std::iter::once(&written.segment));
    }

    /// Drops the ranges of sequences of which no record can be left.
    fn forget_dead(&self, tables: &mut Tables) {
        if tables.shards.values().all(|log| log.state.dead.is_empty()) {
            return;
        }
        let of_log = |segment: &Arc<Segment>| segment.role == Role::Log;
        let oldest = self.segments.all().into_iter().filter(of_log).map(|segment| segment.born);
        let oldest = oldest.min().unwrap_or_default();
        for log in tables.shards.values_mut() {
            log.state.dead.retain(|dead| dead.last >= oldest);
        }
    }

    // --- the life of entries ---

    pub(super) fn note_committed(&self, shard: ShardId, id: EntryId) -> Result<()> {
        let mut tables = self.replicas.lock();
        let state = &mut tables.here(shard)?.state;
        if state.committed.is_none_or(|old| old.index < id.index) {
            state.committed = Some(id);
        }
        Ok(())
    }

    pub(super) fn truncate_entries(&self, shard: ShardId, last: Option<EntryIndex>) -> Result<()> {
        let mut appender = self.appender();
        self.check_open()?;
        let mut tables = self.replicas.lock();
        let log = tables.here(shard)?;
        let kept = log.entries.partition_point(|place| last.is_some_and(|l| place.id.index <= l));
        let Some(first) = log.entries.get(kept) else { return Ok(()) };
        let applied = log.applied.is_some_and(|applied| applied.index >= first.id.index);
        assert!(!applied, "what is applied is committed, and is never truncated");
        let mut state = log.state.clone();
        state.dead.push(self.dead_from(first.first));
        self.write_state(&mut appender, &mut tables, shard, state)?;
        self.let_go(&mut tables, shard, kept);
        drop((tables, appender));
        self.after_write();
        Ok(())
    }

    /// All sequences from `first` to the last that was given.
    fn dead_from(&self, first: Sequence) -> Dead {
        Dead { first, last: Sequence(self.segments.next_sequence().0 - 1) }
    }

    /// Takes the entries from position `from` on out of the tables.
    fn let_go(&self, tables: &mut Tables, shard: ShardId, from: usize) {
        let dropped = tables.drop_from(shard, from);
        self.note_reflected(tables, dropped.iter().map(|place| &place.segment));
    }

    pub(super) fn purge_entries(&self, shard: ShardId, up_to: EntryId) -> Result<()> {
        let mut appender = self.appender();
        self.check_open()?;
        let mut tables = self.replicas.lock();
        let log = tables.here(shard)?;
        if log.state.purged.is_some_and(|purged| purged.index >= up_to.index) {
            return Ok(());
        }
        let next = log.applied.map_or(EntryIndex(0), |applied| applied.index.next());
        let unapplied = log.places(next, up_to.index.next()).next();
        assert!(unapplied.is_none(), "only what is applied is purged");
        let state = State { purged: Some(up_to), ..log.state.clone() };
        self.write_state(&mut appender, &mut tables, shard, state)?;
        for place in tables.drop_until(shard, up_to.index) {
            place.segment.add_stale(place.head);
        }
        drop((tables, appender));
        self.after_write();
        Ok(())
    }

    pub(super) fn reset_entries(
        &self,
        shard: ShardId,
        base: EntryId,
        config: Option<(EntryId, &[u8])>,
    ) -> Result<()> {
        if let Some((_, bytes)) = config {
            codec::check_length("configuration", bytes.len(), MAX_CONFIG_LENGTH)?;
        }
        let config = config.map(|(id, bytes)| (id, bytes.to_vec()));
        self.end_entries(shard, |state, _| {
            state.purged = Some(base);
            state.committed = Some(base);
            state.config = config;
        })?;
        if let Some(log) = self.replicas.lock().shards.get_mut(&shard) {
            log.applied = Some(base);
        }
        Ok(())
    }

    pub(super) fn forget_replica(&self, shard: ShardId) -> Result<()> {
        self.end_entries(shard, |state, last| {
            // What was applied stays applied, whoever reads the log again.
            *state = State {
                presence: Presence::Gone,
                dead: std::mem::take(&mut state.dead),
                committed: state.committed,
                pledge: Some(state.pledged(last)),
                ..State::default()
            };
        })
    }

    pub(super) fn note_left_behind(&self, shard: ShardId) -> Result<()> {
        self.check_open()?;
        let (mut appender, mut tables) = (self.appender(), self.replicas.lock());
        if tables.shards.contains_key(&shard) {
            return Ok(());
        }
        let state = State { presence: Presence::Gone, ..State::default() };
        self.write_state(&mut appender, &mut tables, shard, state)?;
        drop((tables, appender));
        self.after_write();
        Ok(())
    }

    pub(super) fn note_cleared(&self, shard: ShardId) -> Result<()> {
        self.check_open()?;
        let (mut appender, mut tables) = (self.appender(), self.replicas.lock());
        let gone = tables.shards.get(&shard).map(|log| log.state.clone());
        let Some(state) = gone.filter(|state| state.presence == Presence::Gone) else {
            return Ok(());
        };
        let state = State { presence: Presence::Cleared, ..state };
        self.write_state(&mut appender, &mut tables, shard, state)?;
        drop((tables, appender));
        self.after_write();
        Ok(())
    }

    /// Changes the state of a shard and drops all its entries: those that were not applied never will
    /// be.
    fn end_entries(
        &self,
        shard: ShardId,
        change: impl FnOnce(&mut State, Option<EntryId>),
    ) -> Result<()> {
        let mut appender = self.appender();
        self.check_open()?;
        let mut tables = self.replicas.lock();
        let log = tables.here(shard)?;
        let mut state = log.state.clone();
        let applied = log.applied.map(|applied| applied.index);
        let kept = log.entries.partition_point(|place| Some(place.id.index) <= applied);
        if let Some(first) = log.entries.get(kept) {
            state.dead.push(self.dead_from(first.first));
        }
        let last_applied = log.entries.get(kept.wrapping_sub(1)).map(|place| place.id.index);
        let last = log.last();
        change(&mut state, last);
        self.write_state(&mut appender, &mut tables, shard, state)?;
        self.let_go(&mut tables, shard, kept);
        if let Some(index) = last_applied {
            for place in tables.drop_until(shard, index) {
                place.segment.add_stale(place.head);
            }
        }
        drop((tables, appender));
        self.after_write();
        Ok(())
    }
}
