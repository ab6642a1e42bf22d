//! What is known of replicated logs in memory: where each entry stands, and how far each log is.
//!
//! ```text
//!  shard 3:   purged ──┐      applied ──┐   committed ──┐
//!                      ▼                ▼               ▼
//!       index:   … 6   7 │ 8   9   10   11 │ 12   13   14 │ 15   16
//!                 gone   │ kept for those who are behind  │ may yet be truncated
//!                        └────────── entries ─────────────┴───────────┘
//! ```
//!
//! # Invariants
//! - The entries of a shard have consecutive indexes and begin behind `purged`.
//! - `purged ≤ applied ≤ committed`, except that after an opening `committed` is only what the log says.
//! - `pending` has exactly the entries whose effects the index does not reflect.
//! - Each entry that is kept is counted in its segment, so that compaction leaves it alone.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use super::codec::{Carries, Presence, State};
use crate::ids::{EntryId, EntryIndex, SegmentId, Sequence, ShardId};
use crate::log::Segment;
use crate::manifest::Role;

/// Where an entry stands.
#[derive(Clone, Debug)]
pub struct Place {
    /// Which it is.
    pub id: EntryId,
    /// The sequence of its head.
    pub first: Sequence,
    /// The segment.
    pub segment: Arc<Segment>,
    /// Where its head starts.
    pub offset: u64,
    /// Bytes of all its records.
    pub length: u64,
    /// Bytes of its head.
    pub head: u64,
    /// What it carries.
    pub carries: Carries,
}

impl Place {
    fn key(&self) -> PendingKey {
        (self.segment.id, self.offset, self.first)
    }
}

type PendingKey = (SegmentId, u64, Sequence);

/// One shard's log.
#[derive(Debug, Default)]
pub struct ShardLog {
    /// What stands in its newest State record, or will.
    pub state: State,
    /// The newest entry that the index reflects, and all before it.
    pub applied: Option<EntryId>,
    /// Its entries.
    pub entries: VecDeque<Place>,
}

impl ShardLog {
    /// Whether there is a replica.
    pub fn is_here(&self) -> bool {
        self.state.presence == Presence::Here
    }

    /// The newest entry there ever was and that was not truncated.
    pub fn last(&self) -> Option<EntryId> {
        self.entries.back().map(|place| place.id).or(self.state.purged)
    }

    /// Where an entry stands, if it is kept.
    pub fn place(&self, index: EntryIndex) -> Option<&Place> {
        let first = self.entries.front()?.id.index;
        self.entries.get(usize::try_from(index.0.checked_sub(first.0)?).ok()?)
    }

    /// Those of its entries with indexes from `from` to below `to`.
    pub fn places(&self, from: EntryIndex, to: EntryIndex) -> impl Iterator<Item = &Place> {
        let first = self.entries.front().map_or(0, |place| place.id.index.0);
        let at = |index: u64| (index.saturating_sub(first) as usize).min(self.entries.len());
        let (from, to) = (at(from.0), at(to.0));
        self.entries.range(from..to.max(from))
    }
}

/// All of them.
#[derive(Debug, Default)]
pub struct Tables {
    /// By shard. One that is gone stays, so that its records stay dead.
    pub shards: BTreeMap<ShardId, ShardLog>,
    pending: BTreeSet<PendingKey>,
    /// From this segment on the log has the state of every shard.
    pub states_from: Option<SegmentId>,
    /// Where the newest State record ends, if it was written since the store was opened.
    pub newest_state: Option<(Arc<Segment>, u64)>,
}

impl Tables {
    /// Adds an entry behind the last, whose effects the index does not reflect.
    pub fn push(&mut self, shard: ShardId, place: Place) {
        self.pending.insert(place.key());
        self.push_reflected(shard, place);
    }

    /// Adds an entry behind the last, whose effects the index reflects already.
    pub fn push_reflected(&mut self, shard: ShardId, place: Place) {
        place.segment.hold_entry();
        let log = self.shards.entry(shard).or_default();
        let last = log.entries.back().map(|place| place.id.index);
        assert!(last.is_none_or(|last| last.next() == place.id.index), "entries are consecutive");
        log.entries.push_back(place);
    }

    /// Whether the index does not reflect the entry.
    pub fn is_pending(&self, place: &Place) -> bool {
        self.pending.contains(&place.key())
    }

    /// Notes that the index reflects the entry.
    pub fn reflect(&mut self, place: &Place) {
        self.pending.remove(&place.key());
    }

    /// Lets go of the entries up to `index`; what only they need of the log is stale.
    pub fn drop_until(&mut self, shard: ShardId, index: EntryIndex) -> Vec<Place> {
        let log = self.shards.entry(shard).or_default();
        let kept = log.entries.partition_point(|place| place.id.index <= index);
        let dropped: Vec<Place> = log.entries.drain(..kept).collect();
        for place in &dropped {
            place.segment.release_entry();
        }
        dropped
    }

    /// Lets go of all entries of a shard; returns those whose effects the index does not reflect.
    pub fn set_aside(&mut self, shard: ShardId) -> Vec<Place> {
        let dropped = self.drop_until(shard, EntryIndex(u64::MAX));
        dropped.into_iter().filter(|place| self.pending.remove(&place.key())).collect()
    }

    /// Takes back the entries from position `from` on: their effects never come true.
    pub fn drop_from(&mut self, shard: ShardId, from: usize) -> Vec<Place> {
        let log = self.shards.entry(shard).or_default();
        let dropped: Vec<Place> = log.entries.drain(from..).collect();
        for place in &dropped {
            place.segment.release_entry();
            if self.pending.remove(&place.key()) {
                place.segment.add_stale(place.length);
            }
        }
        dropped
    }

    /// Below where the index reflects the records of a segment that end at `end`.
    pub fn reflected_end(&self, segment: SegmentId, end: u64) -> u64 {
        let first = self.pending.range((segment, 0, Sequence(0))..).next();
        first.filter(|(of, ..)| *of == segment).map_or(end, |(_, offset, _)| *offset)
    }

    /// The newest sequence up to which the index reflects everything, where `last` is the last one.
    pub fn reflected(&self, last: Sequence) -> Sequence {
        self.pending.first().map_or(last, |(.., first)| Sequence(first.0 - 1))
    }

    /// Whether a record of `shard` never takes effect.
    pub fn is_dead(&self, shard: ShardId, sequence: Sequence) -> bool {
        self.shards.get(&shard).is_some_and(|log| log.state.is_dead(sequence))
    }
}

/// The tables, and whether there is anything in them.
#[derive(Debug, Default)]
pub struct Replicas {
    in_use: AtomicBool,
    tables: Mutex<Tables>,
}

impl Replicas {
    /// What recovery found.
    pub fn new(tables: Tables) -> Replicas {
        let in_use = AtomicBool::new(!tables.shards.is_empty());
        Replicas { in_use, tables: Mutex::new(tables) }
    }

    /// Whether there are replicated logs. Once there are, there always will be.
    pub fn in_use(&self) -> bool {
        self.in_use.load(Ordering::Acquire)
    }

    /// The tables.
    pub fn lock(&self) -> MutexGuard<'_, Tables> {
        self.tables.lock().expect("no panic while the tables are held")
    }

    /// Notes that there are replicated logs from here on.
    pub fn begin_use(&self) {
        self.in_use.store(true, Ordering::Release);
    }

    /// Below where the index reflects the records of `segment`, of which it reflects all that are of
    /// no entry.
    pub fn reflected_end(&self, segment: &Segment) -> u64 {
        if !self.in_use() {
            return segment.end();
        }
        let tables = self.lock();
        tables.reflected_end(segment.id, segment.end())
    }

    /// The newest sequence up to which the index reflects everything, if it reflects all up to `last`
    /// that are of no entry.
    pub fn reflected(&self, last: Sequence) -> Sequence {
        if self.in_use() { self.lock().reflected(last) } else { last }
    }

    /// The segment with the oldest entry that the index does not reflect.
    pub fn first_pending(&self) -> Option<SegmentId> {
        if !self.in_use() {
            return None;
        }
        self.lock().pending.first().map(|(segment, ..)| *segment)
    }

    /// Whether compaction may let go of `segment`, as far as the states of the logs go: newer ones of
    /// all of them are on the disk, elsewhere.
    pub fn may_lose_states_of(&self, segment: &Segment) -> bool {
        if !self.in_use() {
            return true;
        }
        let tables = self.lock();
        let is_synced = tables.newest_state.as_ref().is_none_or(|(at, end)| at.synced() >= *end);
        is_synced && tables.states_from.is_some_and(|from| segment.id < from)
    }

    /// Up to which entry each log has entries in a segment.
    pub fn entries_in(&self, segment: SegmentId) -> Vec<(ShardId, EntryIndex)> {
        let tables = self.lock();
        let last = |log: &ShardLog| {
            let last = log.entries.iter().rev().find(|place| place.segment.id == segment)?;
            Some(last.id.index)
        };
        tables.shards.iter().filter_map(|(shard, log)| Some((*shard, last(log)?))).collect()
    }

    /// Whether an opening has to read the whole of `segment`, whatever the index reflects.
    pub fn needs_whole(&self, segment: &Segment) -> bool {
        if !self.in_use() || segment.role != Role::Log {
            return false;
        }
        let from = self.lock().states_from;
        segment.holds_entries() || from.is_none_or(|from| segment.id >= from)
    }

    /// Whether a record of `shard` never takes effect.
    pub fn is_dead(&self, shard: ShardId, sequence: Sequence) -> bool {
        self.in_use() && self.lock().is_dead(shard, sequence)
    }
}
