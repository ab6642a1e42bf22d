//! Replicated logs: the log of a node as the log of many Raft groups, one for each shard.
//!
//! ```text
//!  shard 1: append ──┐                      ┌─▶ sync, one for all ─▶ (a majority has it) ─▶ apply: index
//!  shard 2: append ──┼─▶ the node's one log ┤
//!  shard 3: vote   ──┘                      └─▶ read, for followers that are behind
//!
//!  an entry:   ┌ Entry: term, index, committed ┬ Set k v ┬ Remove k ┐      one batch
//! ```
//!
//! A value is written once: the entry's own records are what the index points at when the entry is
//! applied. What an entry was not yet applied for, no reader sees. An entry that a new leader
//! overrules is truncated: its records stay where they are and are *dead*, by their sequences.
//!
//! # Invariants
//! - All entries of a shard that are applied have ascending sequences; so, of two records of a key, the
//!   one of the higher sequence is the newer, as everywhere in the engine.
//! - Every new segment of the log soon has the state of all shards; a segment is let go only after newer
//!   states are on the disk, and after every entry in it was purged.
//! - Nothing here syncs. What was appended is durable after [`KvStore::sync`].
//!
//! A store that has replicated logs is written through them, but for what belongs to no entry, such
//! as a snapshot, which is written as by [`KvStore::write_unsynced`].

pub mod codec;
pub mod tables;

mod apply;
pub mod replay;
mod write;

use crate::error::{Error, Result};
use crate::ids::{EntryId, EntryIndex, ShardId};
use crate::log::Effect;
use crate::reclaim::pin;
use crate::record::Kind;
use crate::store::KvStore;
use crate::store::batch::WriteBatch;
pub use codec::Pledge;
use codec::{Carries, Head, Presence};
use tables::Place;

/// What an entry carries.
#[derive(Clone, Copy, Debug)]
pub enum Payload<'a> {
    /// Nothing.
    Blank,
    /// Effects, which the index reflects once the entry is applied. Not empty.
    Effects(&'a WriteBatch),
    /// A configuration, of which only the caller knows what it means.
    Config(&'a [u8]),
}

/// An entry to be appended.
#[derive(Clone, Copy, Debug)]
pub struct NewEntry<'a> {
    /// Which it is.
    pub id: EntryId,
    /// What it carries.
    pub payload: Payload<'a>,
}

/// What an entry was found to carry.
#[derive(Clone, Debug)]
pub enum LoggedPayload {
    /// Nothing.
    Blank,
    /// Effects.
    Effects(WriteBatch),
    /// A configuration.
    Config(Vec<u8>),
}

/// An entry as it stands in the log.
#[derive(Clone, Debug)]
pub struct LoggedEntry {
    /// Which it is.
    pub id: EntryId,
    /// What it carries.
    pub payload: LoggedPayload,
}

/// How far a replicated log is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReplicatedState {
    /// The vote that was saved, in the caller's bytes.
    pub vote: Option<Vec<u8>>,
    /// The newest entry that is no longer kept.
    pub purged: Option<EntryId>,
    /// The newest entry; `purged` if none is kept.
    pub last: Option<EntryId>,
    /// The newest entry known to be committed. After an opening it may be an older one than before.
    pub committed: Option<EntryId>,
    /// The newest entry that the index reflects.
    pub applied: Option<EntryId>,
    /// The newest configuration that was applied, and the entry it came with.
    pub config: Option<(EntryId, Vec<u8>)>,
    /// What earlier replicas of the shard on this node gave their word for.
    pub pledge: Option<Pledge>,
}

/// The replicated log of one shard.
#[derive(Clone, Debug)]
pub struct ReplicatedLog {
    store: KvStore,
    shard: ShardId,
}

impl KvStore {
    /// The replicated log of `shard`, made if there is none. Not to be used together with
    /// [`append`](KvStore::append) and [`apply`](KvStore::apply), which have the store for themselves.
    ///
    /// # Errors
    /// As [`write`](KvStore::write).
    pub fn replicated(&self, shard: ShardId) -> Result<ReplicatedLog> {
        self.core().make_replica(shard)?;
        Ok(ReplicatedLog { store: self.clone(), shard })
    }

    /// Whether `shard` has a replicated log here, or had one.
    pub fn had_replica(&self, shard: ShardId) -> bool {
        self.core().replicas.lock().shards.contains_key(&shard)
    }

    /// Whether there is a replicated log here, or was one.
    pub fn is_replicated(&self) -> bool {
        self.core().replicas.in_use()
    }

    /// The shards that had a replicated log here, and may still have keys.
    pub fn left_behind(&self) -> Vec<ShardId> {
        let tables = self.core().replicas.lock();
        let gone = tables.shards.iter().filter(|(_, log)| log.state.presence == Presence::Gone);
        gone.map(|(shard, _)| *shard).collect()
    }

    /// Notes that there may be keys of a shard here that had no replicated log: some of what another one had was this
    /// one's. Nothing, if it has one or had. Not synced.
    ///
    /// # Errors
    /// If the store is fenced or full.
    pub fn note_left_behind(&self, shard: ShardId) -> Result<()> {
        self.core().note_left_behind(shard)
    }

    /// Notes that no keys are left of a shard that had a replicated log here. Not synced.
    ///
    /// # Errors
    /// If the store is fenced or full.
    pub fn note_cleared(&self, shard: ShardId) -> Result<()> {
        self.core().note_cleared(shard)
    }

    /// Makes a replicated log of `into` out of that of `shard`, whose applied entries say that it was split: empty,
    /// behind an entry of no term that is applied and purged, with `config` as its configuration. Nothing, if there
    /// is one of `into`, or was. Not synced; but on the disk it never is without all that `shard` has applied by now
    /// being known to be committed.
    ///
    /// # Errors
    /// As [`write`](KvStore::write), and [`Error::NoReplica`].
    pub fn split_replica(&self, shard: ShardId, into: ShardId, config: &[u8]) -> Result<()> {
        codec::check_length("configuration", config.len(), crate::limits::MAX_CONFIG_LENGTH)?;
        self.core().split_replica(shard, into, config)
    }

    /// The shards that have a replicated log here.
    pub fn replicated_shards(&self) -> Vec<ShardId> {
        let tables = self.core().replicas.lock();
        let here = tables.shards.iter().filter(|(_, log)| log.is_here());
        here.map(|(shard, _)| *shard).collect()
    }
}

impl ReplicatedLog {
    /// Which shard's it is.
    pub fn shard(&self) -> ShardId {
        self.shard
    }

    /// How far it is.
    ///
    /// # Errors
    /// [`Error::NoReplica`].
    pub fn state(&self) -> Result<ReplicatedState> {
        let mut tables = self.store.core().replicas.lock();
        let log = tables.here(self.shard)?;
        Ok(ReplicatedState {
            vote: (!log.state.vote.is_empty()).then(|| log.state.vote.clone()),
            purged: log.state.purged,
            last: log.last(),
            committed: log.state.committed,
            applied: log.applied,
            config: log.state.config.clone(),
            pledge: log.state.pledge.clone(),
        })
    }

    /// Appends entries, each with the index after the one before it. They can be read at once and are
    /// durable after the next [`sync`](KvStore::sync).
    ///
    /// # Errors
    /// As [`KvStore::append`], and [`Error::NoReplica`]. The entries before the one that failed are
    /// there.
    ///
    /// # Panics
    /// If an index is not the one after the last.
    pub fn append(&self, entries: &[NewEntry<'_>]) -> Result<()> {
        self.store.core().append_entries(self.shard, entries)
    }

    /// Saves a vote; durable after the next [`sync`](KvStore::sync).
    ///
    /// # Errors
    /// [`Error::TooLarge`] above [`MAX_VOTE_LENGTH`](crate::limits::MAX_VOTE_LENGTH); as
    /// [`append`](ReplicatedLog::append).
    pub fn save_vote(&self, vote: &[u8]) -> Result<()> {
        codec::check_length("vote", vote.len(), crate::limits::MAX_VOTE_LENGTH)?;
        self.store.core().change_state(self.shard, |state| state.vote = vote.to_vec())
    }

    /// Notes that the entries up to `id` are committed. It is written with the next entry, so an opening
    /// may find an older one.
    ///
    /// # Errors
    /// [`Error::NoReplica`].
    pub fn save_committed(&self, id: EntryId) -> Result<()> {
        self.store.core().note_committed(self.shard, id)
    }

    /// Takes back all entries after `last` (all there are, if none); durable after the next
    /// [`sync`](KvStore::sync).
    ///
    /// # Errors
    /// As [`append`](ReplicatedLog::append).
    ///
    /// # Panics
    /// If one of them was applied.
    pub fn truncate_after(&self, last: Option<EntryIndex>) -> Result<()> {
        self.store.core().truncate_entries(self.shard, last)
    }

    /// Lets go of the entries up to `up_to`, which were applied: they can no longer be read, and their
    /// values belong to the index alone.
    ///
    /// # Errors
    /// As [`append`](ReplicatedLog::append).
    ///
    /// # Panics
    /// If one of them was not applied.
    pub fn purge(&self, up_to: EntryId) -> Result<()> {
        self.store.core().purge_entries(self.shard, up_to)
    }

    /// Which entry stands at `index`, if one does that is not purged.
    ///
    /// # Errors
    /// [`Error::NoReplica`].
    pub fn id_at(&self, index: EntryIndex) -> Result<Option<EntryId>> {
        let mut tables = self.store.core().replicas.lock();
        let log = tables.here(self.shard)?;
        Ok(log.place(index).map(|place| place.id))
    }

    /// Reads entries by index: those of the range that are kept, up to about `max_bytes` of records but
    /// at least one.
    ///
    /// # Errors
    /// As [`KvStore::get`], and [`Error::NoReplica`].
    pub fn read(
        &self,
        indexes: std::ops::Range<EntryIndex>,
        max_bytes: u64,
    ) -> Result<Vec<LoggedEntry>> {
        let core = self.store.core();
        core.check_open()?;
        let mut bytes = 0;
        let places: Vec<Place> = {
            let mut tables = core.replicas.lock();
            let log = tables.here(self.shard)?;
            let fits = |place: &&Place| {
                bytes += place.length;
                bytes <= max_bytes || bytes == place.length
            };
            log.places(indexes.start, indexes.end).take_while(fits).cloned().collect()
        };
        places.iter().map(read_entry).collect()
    }

    /// Has the index reflect the entries up to `up_to`, of which the caller knows that they are
    /// committed. One call at a time.
    ///
    /// # Errors
    /// As [`KvStore::apply`], and [`Error::NoReplica`]. If the store [hides keys](KvStore::hides_keys) and one of
    /// them is that of an entry, [`Error::Damaged`]: then all entries before that one are applied, and no part of it.
    pub fn apply(&self, up_to: EntryIndex) -> Result<()> {
        self.store.core().apply_entries(self.shard, up_to)
    }

    /// Begins anew behind `base`, after a snapshot of all up to there was written to the store: the log
    /// is empty, `base` is applied and purged, and `config` is the configuration as of then.
    ///
    /// # Errors
    /// As [`append`](ReplicatedLog::append).
    pub fn reset(&self, base: EntryId, config: Option<(EntryId, &[u8])>) -> Result<()> {
        self.store.core().reset_entries(self.shard, base, config)
    }

    /// Forgets the log: there is no replica of the shard here any more. Its values stay.
    ///
    /// # Errors
    /// As [`append`](ReplicatedLog::append).
    pub fn forget(&self) -> Result<()> {
        self.store.core().forget_replica(self.shard)
    }
}

/// Reads the entry at a place.
fn read_entry(place: &Place) -> Result<LoggedEntry> {
    let guard = pin();
    let mut head = None;
    let mut config = Vec::new();
    place.segment.record(&guard, place.offset, |_, record| {
        head = (record.kind == Kind::Entry).then(|| Head::decode(record.key));
        config = record.value.to_vec();
    })?;
    let damaged = |detail| Error::damaged(&place.segment.path, place.offset, detail);
    let head = head.unwrap_or(Err("this is not the head of an entry")).map_err(damaged)?;
    if head.id != place.id {
        return Err(damaged("this is the head of another entry"));
    }
    let payload = match head.carries {
        Carries::Nothing => LoggedPayload::Blank,
        Carries::Config => LoggedPayload::Config(config),
        Carries::Effects => {
            let mut batch = WriteBatch::new();
            each_effect(place, |record, _, _| {
                let effect = match record.kind {
                    Kind::Set => Effect::Set { value: record.value, expires_at: record.expires_at },
                    _ => Effect::Remove,
                };
                batch.push(record.key, effect);
                Ok(())
            })?;
            LoggedPayload::Effects(batch)
        }
    };
    Ok(LoggedEntry { id: head.id, payload })
}

/// Shows the records of an entry behind its head, each once, with where it starts and its length.
///
/// # Errors
/// What `show` returns, or that a record cannot be read.
pub fn each_effect(
    place: &Place,
    mut show: impl FnMut(&crate::record::Record<'_>, u64, u64) -> Result<()>,
) -> Result<()> {
    let guard = pin();
    let mut offset = place.offset + place.head;
    while offset < place.offset + place.length {
        let (mut length, mut shown) = (0, None);
        place.segment.record(&guard, offset, |header, record| {
            length = header.record_length();
            shown = Some(match shown {
                None => show(record, offset, length),
                // Shown twice, it would be two effects.
                Some(_) => Err(Error::damaged(&place.segment.path, offset, "the device failed")),
            });
        })?;
        shown.unwrap_or(Ok(()))?;
        offset += length;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
