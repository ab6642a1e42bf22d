//! Which shard each slot is of, as far as this node knows.
//!
//! As shards are split, a slot goes to a later shard, and never back: so what is known only grows, in whatever order
//! this node hears of it.

use std::sync::atomic::{AtomicU16, AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};

use aryavarth_cluster::{ShardCount, ShardId, ShardMap, Sharding, Slot};

/// The slots and their shards.
#[derive(Debug)]
pub struct Slots {
    most: OnceLock<ShardCount>,
    /// By slot, its shard: every command looks here.
    owners: Box<[AtomicU16]>,
    /// The same by shard; held while it is changed.
    map: Mutex<Option<ShardMap>>,
    splits: AtomicU32,
}

impl Default for Slots {
    fn default() -> Slots {
        Slots {
            most: OnceLock::new(),
            owners: (0..Slot::COUNT).map(|_| AtomicU16::new(1)).collect(),
            map: Mutex::default(),
            splits: AtomicU32::new(0),
        }
    }
}

impl Slots {
    /// The most shards that the cluster may have; none as long as this node has not joined one.
    #[inline]
    pub fn most(&self) -> Option<ShardCount> {
        self.most.get().copied()
    }

    /// Notes how the cluster comes to its shards. It never changes.
    pub fn set_sharding(&self, sharding: Sharding) {
        if self.most.set(sharding.most()).is_ok() {
            let first = sharding.first();
            *self.lock() = Some(first);
            first.shards().for_each(|shard| self.note_owner(&first, shard));
        }
    }

    /// Notes that there are these shards, too. Says whether one of them is news.
    pub fn open(&self, shards: impl IntoIterator<Item = ShardId>) -> bool {
        let mut map = self.lock();
        let Some(map) = map.as_mut() else { return false };
        let mut is_news = false;
        for shard in shards {
            if (1..=map.most().get()).contains(&shard.0) && map.open(shard) {
                self.note_owner(map, shard);
                // Afterwards: whoever sees the old number may see either owner, and looks at it again.
                self.splits.fetch_add(1, Ordering::SeqCst);
                is_news = true;
            }
        }
        is_news
    }

    fn note_owner(&self, map: &ShardMap, shard: ShardId) {
        for slot in map.slots_of(shard).into_iter().flatten() {
            self.owners[usize::from(slot)].store(shard.0, Ordering::SeqCst);
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<ShardMap>> {
        self.map.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The shards there are; none as long as this node has not joined a cluster.
    pub fn map(&self) -> Option<ShardMap> {
        *self.lock()
    }

    /// Whether there is this shard.
    pub fn is_open(&self, shard: ShardId) -> bool {
        self.map().is_some_and(|map| map.is_open(shard))
    }

    /// The shard that a slot is of, if this node belongs to a cluster.
    #[inline]
    pub fn shard_of(&self, slot: Slot) -> Option<ShardId> {
        self.most()?;
        Some(self.owner_of(slot))
    }

    /// The same, of a node that does.
    #[inline]
    pub fn owner_of(&self, slot: Slot) -> ShardId {
        ShardId(self.owners[usize::from(slot.number())].load(Ordering::SeqCst))
    }

    /// Grows with each split that this node has heard of.
    #[inline]
    pub fn splits(&self) -> u32 {
        self.splits.load(Ordering::SeqCst)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_goes_to_later_shards_in_whatever_order_they_are_heard_of() {
        let last = Slot::new(Slot::COUNT - 1).unwrap();
        for order in [[22, 43], [43, 22]] {
            let slots = Slots::default();
            assert!(!slots.open([ShardId(43)]) && slots.shard_of(last).is_none());
            slots.set_sharding(Sharding::DEFAULT);
            assert_eq!(slots.shard_of(last), Some(ShardId(1)));
            for shard in order.map(ShardId) {
                let before = slots.splits();
                assert!(slots.open([shard]) && !slots.open([shard, ShardId(1), ShardId(900)]));
                assert_eq!(slots.splits(), before + 1);
            }
            for slot in 0..Slot::COUNT {
                let slot = Slot::new(slot).unwrap();
                assert_eq!(slots.owner_of(slot), slots.map().unwrap().shard_of(slot));
            }
            assert_eq!(slots.owner_of(last), ShardId(43));
        }
    }
}
