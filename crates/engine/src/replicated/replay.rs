//! Finding replicated logs again: what recovery does with their records.
//!
//! ```text
//!  Entry   a place in the tables; its effects wait ─┐
//!  Entry   says what is committed by now ───────────┴─▶ up to there, effects reach the index
//!  State   dead: never; purged: no longer kept; committed: as above
//! ```
//!
//! Where a checkpoint covers an entry, the index reflects it, or it is dead.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::codec::{Carries, Head, Presence, State};
use super::tables::{Place, Replicas, ShardLog, Tables};
use super::{LoggedPayload, read_entry};
use crate::error::{Error, Result};
use crate::ids::{EntryIndex, SegmentId, Sequence, ShardId};
use crate::log::Segment;

/// Whether the checkpoint has the index reflect a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Coverage {
    /// It has.
    Reflected,
    /// Not as far as is known.
    Unknown,
}

impl Coverage {
    /// That of a record at `offset`, where the checkpoint covers its segment up to `covered`.
    pub fn of(offset: u64, covered: u64) -> Coverage {
        if offset < covered { Coverage::Reflected } else { Coverage::Unknown }
    }
}

/// The replicated logs, as far as the log was read.
#[derive(Debug, Default)]
pub struct Replayed {
    tables: Tables,
    /// The segment of the newest state of each shard.
    states: BTreeMap<ShardId, SegmentId>,
    /// Of each shard, the first index that is not known to be committed.
    uncommitted: BTreeMap<ShardId, EntryIndex>,
    /// Entries of which only the newest state can tell whether they took effect.
    aside: Vec<(ShardId, Place)>,
}

impl Replayed {
    /// Below where the index will reflect the records of a segment that end at `end`, as far as is
    /// known by now.
    pub fn reflected_end(&self, segment: &Segment, end: u64) -> u64 {
        self.tables.reflected_end(segment.id, end)
    }

    /// The newest sequence up to which the index reflects everything.
    pub fn reflected(&self, last: Sequence) -> Sequence {
        self.tables.reflected(last)
    }

    /// Takes note of an entry. Returns the places whose effects are to reach the index now.
    pub fn entry(
        &mut self,
        shard: ShardId,
        place: Place,
        head: &Head,
        coverage: Coverage,
    ) -> Vec<Place> {
        let due = head.committed.map_or_else(Vec::new, |index| self.commit(shard, index));
        #[cfg(feature = "simulation")]
        let mut unforgotten: Vec<Place> = Vec::new();
        let log = self.tables.shards.entry(shard).or_default();
        // Where an index is missing or comes again, a state in a segment that is not read again, or is
        // gone, said why.
        if let Some(last) = log.entries.back().map(|place| place.id.index) {
            if last.next() < head.id.index {
                // What is in between was purged, and with it these; or dropped for a snapshot, and
                // then the newest state will say that they are dead.
                let aside = self.tables.set_aside(shard);
                self.aside.extend(aside.into_iter().map(|place| (shard, place)));
            } else if last >= head.id.index {
                let from = log.entries.partition_point(|place| place.id.index < head.id.index);
                #[cfg(feature = "simulation")]
                unforgotten.extend(log.entries.iter().skip(from + 1).cloned());
                self.tables.drop_from(shard, from);
            }
        }
        match coverage {
            Coverage::Reflected => self.tables.push_reflected(shard, place),
            Coverage::Unknown => self.tables.push(shard, place),
        }
        #[cfg(feature = "simulation")]
        if crate::planted::is_planted(crate::planted::Planted::TruncationForgotten) {
            unforgotten.into_iter().for_each(|place| self.tables.push(shard, place));
        }
        due
    }

    /// Takes note of a state. Returns the places whose effects are to reach the index now.
    pub fn state(&mut self, shard: ShardId, state: State, segment: SegmentId) -> Vec<Place> {
        #[cfg(feature = "simulation")]
        let state = forgetful(state);
        self.states.insert(shard, segment);
        let log = self.tables.shards.entry(shard).or_default();
        let is_dead = |place: &Place| state.is_dead(place.first);
        // Truncated together, from one of them to the last of then.
        if let Some(from) = log.entries.iter().position(is_dead) {
            self.tables.drop_from(shard, from);
        }
        let committed = state.committed.max(state.purged).map(|id| id.index);
        let presence = state.presence;
        let log = self.tables.shards.entry(shard).or_default();
        let (known, before) = (log.state.committed, log.state.presence);
        let purged = state.purged;
        log.state = state;
        match (before, presence) {
            (Presence::Here, Presence::Here) if purged <= known => {
                log.state.committed = log.state.committed.max(known);
            }
            // A new replica: what the one before had applied, it has not.
            (Presence::Gone | Presence::Cleared, Presence::Here) => {
                self.uncommitted.remove(&shard);
            }
            _ => {}
        }
        let due = committed.map_or_else(Vec::new, |index| self.commit(shard, index));
        let dropped = match (presence, purged) {
            (Presence::Gone | Presence::Cleared, _) => {
                self.tables.drop_until(shard, EntryIndex(u64::MAX))
            }
            (Presence::Here, Some(purged)) => self.tables.drop_until(shard, purged.index),
            (Presence::Here, None) => Vec::new(),
        };
        // Compaction may have them: what is live is live by the index.
        drop(dropped);
        due
    }

    /// Takes note that a shard's entries up to `index` are committed; returns those that the index
    /// does not reflect.
    fn commit(&mut self, shard: ShardId, index: EntryIndex) -> Vec<Place> {
        let log = self.tables.shards.entry(shard).or_default();
        if let Some(id) = log.place(index).map(|place| place.id) {
            log.state.committed = log.state.committed.max(Some(id));
        }
        let from = self.uncommitted.entry(shard).or_default();
        let due: Vec<Place> = self.tables.shards[&shard]
            .places(*from, index.next())
            .filter(|place| self.tables.is_pending(place))
            .cloned()
            .collect();
        *from = index.next().max(*from);
        for place in &due {
            self.tables.reflect(place);
        }
        due
    }

    /// What was set aside and took effect, now that the newest states are known.
    pub fn take_aside(&mut self) -> Vec<Place> {
        let aside = std::mem::take(&mut self.aside).into_iter();
        let lives = aside.filter(|(shard, place)| !self.tables.is_dead(*shard, place.first));
        lives.map(|(_, place)| place).collect()
    }

    /// The logs as they are to be gone on with, and the damage, if entries are missing.
    pub fn finish(mut self) -> (Replicas, Option<Error>) {
        self.tables.states_from = self.states.values().min().copied();
        let mut damage = None;
        for log in self.tables.shards.values_mut() {
            let purged = log.state.purged;
            if let (Some(purged), Some(first)) = (purged, log.entries.front())
                && first.id.index != purged.index.next()
            {
                let detail = format!("the entries between {purged} and {} are missing", first.id);
                damage = Some(Error::damaged(&first.segment.path, first.offset, detail));
            }
            log.applied = log.state.committed.max(purged);
            if let Err(error) = find_config(log) {
                damage = Some(error);
            }
        }
        (Replicas::new(self.tables), damage)
    }
}

/// A state without its truncations, if that bug is planted.
#[cfg(feature = "simulation")]
fn forgetful(mut state: State) -> State {
    use crate::planted::{Planted, is_planted};

    if is_planted(Planted::TruncationForgotten) {
        state.dead.clear();
    }
    state
}

/// Finds the newest configuration that is applied, if it is newer than the state.
fn find_config(log: &mut ShardLog) -> Result<()> {
    let next = log.applied.map_or(EntryIndex(0), |applied| applied.index.next());
    let known = log.state.config.as_ref().map_or(EntryIndex(0), |(id, _)| id.index.next());
    let newest = log.places(known, next).filter(|place| place.carries == Carries::Config).last();
    if let Some(place) = newest
        && let LoggedPayload::Config(bytes) = read_entry(place)?.payload
    {
        log.state.config = Some((place.id, bytes));
    }
    Ok(())
}

/// The place of an entry whose records are from `offset` on.
pub fn place(head: &Head, first: Sequence, segment: &Arc<Segment>, spans: Spans) -> Place {
    let Spans { offset, head: head_length, length } = spans;
    let (segment, carries) = (Arc::clone(segment), head.carries);
    Place { id: head.id, first, segment, offset, length, head: head_length, carries }
}

/// Where an entry's records are, in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Spans {
    /// The start of its head.
    pub offset: u64,
    /// Bytes of its head.
    pub head: u64,
    /// Bytes of all its records.
    pub length: u64,
}
