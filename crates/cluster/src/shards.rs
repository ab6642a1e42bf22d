//! Shards: the slots in contiguous ranges, one for each Raft group that holds data.
//!
//! ```text
//!  slots   0 ─────── 5460 │ 5461 ────── 10922 │ 10923 ───── 16383       three shards
//!  shard         1        │         2         │         3
//! ```
//!
//! How many there may be is chosen when the cluster is made and never changes; a cluster that grows has fewer of
//! them at first, see [`ShardMap`](crate::ShardMap). Growing moves replicas of shards, never single slots. Group 0
//! is the meta group, which owns no slot.
//!
//! # Invariants
//! - Every slot has exactly one shard.
//! - The sizes of two shards differ by one slot at most.

use std::fmt;
use std::ops::RangeInclusive;

use crate::error::{Error, Result};
use crate::slot::Slot;

const SLOTS: u32 = Slot::COUNT as u32;

pub use aryavarth::ShardId;

/// The Raft group that holds the topology. Shards with data are 1 and up.
pub const META_GROUP: ShardId = ShardId(0);

/// How many shards with data a cluster may have: 1 to 1024. Fixed for its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ShardCount(u16);

/// Where the keys of a command are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Route {
    /// All in this slot of this shard.
    Shard(ShardId, Slot),
    /// In more than one slot, which a command may not have, be it one shard that owns them.
    CrossSlot,
    /// It has no keys: any node may answer.
    NoKeys,
}

impl ShardCount {
    /// What a cluster that grows gets unless told otherwise.
    pub const GROWING: ShardCount = ShardCount(64);
    /// The most a cluster may have.
    pub const MAX: ShardCount = ShardCount(1024);

    /// So many shards.
    ///
    /// # Errors
    /// [`Error::ShardCount`] if that is none, or more than [`ShardCount::MAX`].
    pub fn new(count: u16) -> Result<ShardCount> {
        match (1..=Self::MAX.0).contains(&count) {
            true => Ok(ShardCount(count)),
            false => Err(Error::ShardCount { count }),
        }
    }

    /// The number.
    pub const fn get(self) -> u16 {
        self.0
    }

    /// The shards with data, in the order of their slots.
    pub fn shards(self) -> impl DoubleEndedIterator<Item = ShardId> + Clone {
        (1..=self.0).map(ShardId)
    }

    /// All Raft groups: the meta group, then the shards.
    pub fn groups(self) -> impl DoubleEndedIterator<Item = ShardId> + Clone {
        (0..=self.0).map(ShardId)
    }

    /// The shard that owns a slot.
    pub fn shard_of(self, slot: Slot) -> ShardId {
        // The greatest i with ⌊i · slots / shards⌋ ≤ slot, shards counted from 0.
        let before = ((u32::from(slot.number()) + 1) * u32::from(self.0) - 1) / SLOTS;
        ShardId(before as u16 + 1)
    }

    /// The slots of a shard. None for the meta group and for shards that are not there.
    pub fn slots_of(self, shard: ShardId) -> Option<RangeInclusive<u16>> {
        if !(1..=self.0).contains(&shard.0) {
            return None;
        }
        let start = |index: u16| (u32::from(index) * SLOTS / u32::from(self.0)) as u16;
        Some(start(shard.0 - 1)..=start(shard.0) - 1)
    }
}

impl fmt::Display for ShardCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts() -> impl Iterator<Item = ShardCount> {
        (1..=1024).map(|count| ShardCount::new(count).unwrap())
    }

    #[test]
    fn bounds_of_the_count() {
        assert_eq!(ShardCount::new(0), Err(Error::ShardCount { count: 0 }));
        assert_eq!(ShardCount::new(1025), Err(Error::ShardCount { count: 1025 }));
        assert_eq!(ShardCount::new(1024), Ok(ShardCount::MAX));
    }

    #[test]
    fn ranges_follow_one_another_and_cover_all_slots() {
        for count in counts() {
            let mut next = 0;
            for shard in count.shards() {
                let slots = count.slots_of(shard).unwrap();
                assert_eq!(*slots.start(), next);
                next = slots.end() + 1;
            }
            assert_eq!(next, Slot::COUNT);
        }
    }

    #[test]
    fn sizes_differ_by_one_at_most() {
        for count in counts() {
            let sizes = count.shards().map(|shard| count.slots_of(shard).unwrap().len());
            let (least, most) =
                sizes.fold((usize::MAX, 0), |(low, high), size| (low.min(size), high.max(size)));
            assert!(most - least <= 1, "{count} shards: {least} to {most} slots");
        }
    }

    #[test]
    fn the_shard_of_a_slot_has_it_in_its_range() {
        for count in counts() {
            for shard in count.shards() {
                let slots = count.slots_of(shard).unwrap();
                for number in [*slots.start(), *slots.end()] {
                    assert_eq!(count.shard_of(Slot::new(number).unwrap()), shard);
                }
            }
        }
    }

    #[test]
    fn the_meta_group_owns_nothing() {
        let count = ShardCount::GROWING;
        assert_eq!(count.slots_of(META_GROUP), None);
        assert_eq!(count.slots_of(ShardId(65)), None);
        assert_eq!(count.groups().count(), 65);
    }
}
