//! Splitting a group: from some entry on, part of its keys are another group's.
//!
//! ```text
//!  group 1   … ──┬── 41 ──┬── 42 ──┬── …          entry 41 says: what shard 22 begins with is no longer mine,
//!                         │                       and these are the voters of 22
//!  group 22               └ (0) ──┬── 1 ──┬── …   begins where 41 is applied, with the keys as they are then
//! ```
//!
//! The entry is one of effects, like any other: it writes under two of the server's own keys. So it is replicated,
//! sent in snapshots and found again after a crash as they are.
//!
//! ```text
//!  \0aryavarth\0split\0<shard>  of that shard: the shards that have what was its own, two bytes each
//!  \0aryavarth\0born\0<shard>   of that shard: the configuration that it begins with
//! ```
//!
//! Keys of the new group are in entries of the old one, then: who walks over the log for them looks there, too.
//!
//! A node that applies the entry has the new group's keys, so it makes the new group's replica, out of nothing but
//! its configuration: an empty log behind an entry of no term, the same on each node. One that gets a snapshot of
//! the old group instead has not; it is a replica of the new group like any that has yet to be sent everything.
//!
//! # Invariants
//! - A replica that a split made has all that the old group had acknowledged of its keys. One with less than that is
//!   made empty, and as an empty one it can vote and cannot lead.
//! - The new group's replica is on the disk only if the entry is known to be committed there: so nothing the old
//!   group logged before is ever applied over what the new one did.
//! - Whoever leads the old group logs nothing behind the entry before it has applied it. (Whoever proposes it sees to
//!   that; another leader has applied it before it is one.)
//! - Nobody takes a snapshot of the old group from before the split beside a replica of the new one; and all replicas
//!   begin with a snapshot. So nothing from before the split is written over what the new group did.
//! - A snapshot has all keys that were the group's at its base: one during which it was split is given up.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use aryavarth::{KvStore, Result, WriteBatch};

use crate::entry_log::ShardId;
use crate::error::Error;
use crate::identity::NodeId;
use crate::membership;
use crate::types::{Member, Membership};

const SPLIT: &[u8] = b"\0aryavarth\0split\0";
const BORN: &[u8] = b"\0aryavarth\0born\0";

/// Told of the shards that a shard here was split into.
pub type Listener = Arc<dyn Fn(&BTreeSet<ShardId>) + Send + Sync>;

/// The key that says what a shard was split into.
pub fn split_key(shard: ShardId) -> Vec<u8> {
    [SPLIT, shard.to_string().as_bytes()].concat()
}

/// The key that says with whom a shard began.
pub fn born_key(shard: ShardId) -> Vec<u8> {
    [BORN, shard.to_string().as_bytes()].concat()
}

/// The shard whose key of one of these two kinds this is, if it is one.
pub fn shard_of(key: &[u8]) -> Option<ShardId> {
    let digits = key.strip_prefix(SPLIT).or_else(|| key.strip_prefix(BORN))?;
    Some(ShardId(std::str::from_utf8(digits).ok()?.parse().ok()?))
}

/// The shards that have what was a shard's own once.
///
/// # Errors
/// If the store cannot be read.
pub fn split_off(store: &KvStore, shard: ShardId) -> Result<BTreeSet<ShardId>> {
    let bytes = store.get(split_key(shard))?.unwrap_or_default();
    let numbers = bytes.chunks_exact(2).map(|pair| u16::from_le_bytes([pair[0], pair[1]]));
    Ok(numbers.map(ShardId).collect())
}

/// The effects that split `into` off `shard`, with these as its voters.
///
/// # Errors
/// If the store cannot be read.
pub fn effects(
    store: &KvStore,
    shard: ShardId,
    into: ShardId,
    voters: &[(NodeId, String)],
) -> std::result::Result<WriteBatch, Error> {
    let mut all = split_off(store, shard)?;
    // What is behind the new one was split off before, and bounds it.
    let behind: BTreeSet<ShardId> = all.range(into..).copied().filter(|s| *s != into).collect();
    all.insert(into);
    let mut batch = WriteBatch::new();
    batch.set(split_key(shard), encode(&all));
    if !behind.is_empty() {
        batch.set(split_key(into), encode(&behind));
    }
    let address = |address: &String| Member { address: address.clone() };
    let nodes = voters.iter().map(|(node, at)| (node.0, address(at)));
    let ids: BTreeSet<u64> = voters.iter().map(|(node, _)| node.0).collect();
    let group = Membership::new(vec![ids], nodes.collect::<std::collections::BTreeMap<_, _>>());
    let unusable = |error: &dyn fmt::Display| Error::Change { cause: error.to_string() };
    let group = group.map_err(|error| unusable(&error))?;
    let config = membership::encode(&group).map_err(|error| unusable(&error))?;
    batch.set(born_key(into), config);
    Ok(batch)
}

fn encode(shards: &BTreeSet<ShardId>) -> Vec<u8> {
    shards.iter().flat_map(|shard| shard.0.to_le_bytes()).collect()
}

/// Makes the replicas that splits of a shard have brought here.
///
/// # Errors
/// If the store cannot be read, or takes no writes.
pub(crate) fn make_replicas(
    store: &KvStore,
    shard: ShardId,
    split_off: &BTreeSet<ShardId>,
) -> Result<()> {
    for &into in split_off {
        if !store.had_replica(into)
            && let Some(config) = store.get(born_key(into))?
        {
            store.split_replica(shard, into, &config)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use aryavarth::disk::sim::SimDisk;
    use aryavarth::{EntryId, EntryIndex, NewEntry, Options, Payload, Term};

    use super::*;

    fn open(disk: &SimDisk) -> KvStore {
        KvStore::open_with("/store", Options::tiny().disk(Arc::new(disk.clone()))).unwrap()
    }

    fn voters() -> [(NodeId, String); 1] {
        [(NodeId(1), "10.0.0.1:1".to_owned())]
    }

    #[test]
    fn keys_tell_their_shards() {
        assert_eq!(shard_of(&split_key(ShardId(22))), Some(ShardId(22)));
        assert_eq!(shard_of(&born_key(ShardId(1024))), Some(ShardId(1024)));
        assert_eq!(shard_of(b"\0aryavarth\0clock\x001"), None);
        assert_eq!(shard_of(b"user"), None);
    }

    #[test]
    fn a_shard_that_is_split_again_bounds_both() {
        let store = open(&SimDisk::new());
        for (shard, into) in [(1, 43), (1, 22), (22, 33)] {
            let batch = effects(&store, ShardId(shard), ShardId(into), &voters()).unwrap();
            store.write(&batch).unwrap();
        }
        let of = |shard| split_off(&store, ShardId(shard)).unwrap().into_iter().map(|s| s.0);
        assert_eq!(of(1).collect::<Vec<_>>(), [22, 43]);
        assert_eq!(of(22).collect::<Vec<_>>(), [33, 43]);
        assert_eq!(of(33).collect::<Vec<_>>(), [43]);
        assert_eq!(of(43).count(), 0);
    }

    /// Whatever of the split is on the disk after a crash: the new replica is there only with the entry that made it,
    /// known to be committed; and once that is applied, it is there.
    #[test]
    fn a_crash_leaves_the_new_replica_or_makes_it_again() {
        let (old, new) = (ShardId(1), ShardId(22));
        let id = EntryId { term: Term(1), index: EntryIndex(0) };
        for synced in [false, true] {
            let disk = SimDisk::new();
            let store = open(&disk);
            let log = store.replicated(old).unwrap();
            let batch = effects(&store, old, new, &voters()).unwrap();
            log.append(&[NewEntry { id, payload: Payload::Effects(&batch) }]).unwrap();
            store.sync().unwrap();
            log.apply(id.index).unwrap();
            assert_eq!(split_off(&store, old).unwrap(), BTreeSet::from([new]));
            make_replicas(&store, old, &[new].into()).unwrap();
            assert!(store.replicated_shards().contains(&new));
            if synced {
                store.sync().unwrap();
            }
            let plan = aryavarth::disk::sim::CrashPlan::LoseUnsynced;
            let store = open(&disk.crashed_image(plan));
            let state = store.replicated(old).unwrap().state().unwrap();
            assert_eq!(store.had_replica(new), synced);
            assert_eq!(state.applied, synced.then_some(id));
            store.replicated(old).unwrap().apply(id.index).unwrap();
            make_replicas(&store, old, &[new].into()).unwrap();
            let state = store.replicated(new).unwrap().state().unwrap();
            let base = EntryId { term: Term(0), index: EntryIndex(0) };
            assert_eq!((state.last, state.applied), (Some(base), Some(base)));
            assert!(state.config.is_some() && state.vote.is_none());
        }
    }
}
