//! Which shards there are, and which slots each of them owns.
//!
//! ```text
//!  number   1      2      3      4      5      6      7      8       ranges of slots, all alike
//!  open     ●                    ●             ●
//!  slots    1 owns 1 2 3         4 owns 4 5    6 owns 6 7 8
//! ```
//!
//! The slots are in as many ranges as there may ever be shards. A shard that is *open* owns the range of its
//! number, and those after it up to the next open one. A cluster that is to grow begins with shard 1 alone;
//! splitting a shard opens a number among its ranges, which takes over from there on. So a shard's name
//! says where it begins, for ever, and a range only ever goes to a later shard.
//!
//! # Invariants
//! - Every slot has exactly one shard, and shard 1 is open.
//! - A shard that is open stays open.

use std::fmt;
use std::ops::RangeInclusive;

use crate::shards::{META_GROUP, Route, ShardCount, ShardId};
use crate::slot::Slot;

const WORDS: usize = ShardCount::MAX.get() as usize / u64::BITS as usize;

/// How a cluster comes to its shards.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sharding {
    /// It has all of them from the beginning.
    Fixed(ShardCount),
    /// It begins with one, which is split as nodes join, until there are so many.
    Growing(ShardCount),
}

/// The shards with data, and the slots of each.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct ShardMap {
    sharding: Sharding,
    /// A bit for each number, that of shard 1 first.
    open: [u64; WORDS],
}

impl Sharding {
    /// What a cluster gets unless told otherwise.
    pub const DEFAULT: Sharding = Sharding::Growing(ShardCount::GROWING);

    /// The most shards that there may be.
    pub fn most(self) -> ShardCount {
        match self {
            Sharding::Fixed(count) | Sharding::Growing(count) => count,
        }
    }

    /// The shards there are when a cluster is made.
    pub fn first(self) -> ShardMap {
        let mut map = ShardMap { sharding: self, open: [0; WORDS] };
        match self {
            Sharding::Fixed(count) => count.shards().for_each(|shard| _ = map.open(shard)),
            Sharding::Growing(_) => _ = map.open(ShardId(1)),
        }
        map
    }
}

impl ShardMap {
    /// The most shards that there may be.
    pub fn most(&self) -> ShardCount {
        self.sharding.most()
    }

    /// How the cluster came to them.
    pub fn sharding(&self) -> Sharding {
        self.sharding
    }

    /// Opens a shard, which takes its slots from the one before it. Says whether it was not open.
    ///
    /// # Panics
    /// If there may be no such shard.
    pub fn open(&mut self, shard: ShardId) -> bool {
        assert!((1..=self.most().get()).contains(&shard.0), "there is no shard {shard}");
        let (word, bit) = place(shard);
        let was_closed = self.open[word] & bit == 0;
        self.open[word] |= bit;
        was_closed
    }

    /// Whether a shard is open.
    pub fn is_open(&self, shard: ShardId) -> bool {
        let (word, bit) = place(shard);
        (1..=self.most().get()).contains(&shard.0) && self.open[word] & bit != 0
    }

    /// How many shards there are.
    pub fn count(&self) -> usize {
        self.open.iter().map(|word| word.count_ones() as usize).sum()
    }

    /// The shards, in the order of their slots.
    pub fn shards(self) -> impl DoubleEndedIterator<Item = ShardId> + Clone {
        self.most().shards().filter(move |shard| self.is_open(*shard))
    }

    /// All Raft groups: the meta group, then the shards.
    pub fn groups(self) -> impl DoubleEndedIterator<Item = ShardId> + Clone {
        std::iter::once(META_GROUP).chain(self.shards())
    }

    /// The shard that owns a slot.
    pub fn shard_of(&self, slot: Slot) -> ShardId {
        let last = self.most().shard_of(slot);
        let mut numbers = (1..=last.0).rev().map(ShardId);
        numbers.find(|shard| self.is_open(*shard)).unwrap_or(ShardId(1))
    }

    /// The slots of a shard. None for the meta group and for shards that are not there.
    pub fn slots_of(&self, shard: ShardId) -> Option<RangeInclusive<u16>> {
        let last = self.numbers_of(shard)?.next_back()?;
        Some(*self.most().slots_of(shard)?.start()..=*self.most().slots_of(last)?.end())
    }

    /// The numbers whose slots a shard owns, its own first.
    pub fn numbers_of(
        &self,
        shard: ShardId,
    ) -> Option<impl DoubleEndedIterator<Item = ShardId> + ExactSizeIterator + use<>> {
        if !self.is_open(shard) {
            return None;
        }
        let mut after = shard.0 + 1..=self.most().get();
        let next = after.find(|number| self.is_open(ShardId(*number)));
        let end = next.unwrap_or(self.most().get() + 1);
        Some((shard.0..end).map(ShardId))
    }

    /// Where a command with these keys belongs.
    pub fn route<'k>(&self, keys: impl IntoIterator<Item = &'k [u8]>) -> Route {
        let mut slots = keys.into_iter().map(Slot::of);
        let Some(slot) = slots.next() else { return Route::NoKeys };
        match slots.all(|other| other == slot) {
            true => Route::Shard(self.shard_of(slot), slot),
            false => Route::CrossSlot,
        }
    }
}

impl From<Sharding> for ShardMap {
    fn from(sharding: Sharding) -> ShardMap {
        sharding.first()
    }
}

impl From<ShardCount> for ShardMap {
    fn from(count: ShardCount) -> ShardMap {
        Sharding::Fixed(count).first()
    }
}

impl fmt::Debug for ShardMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "of {}: ", self.most())?;
        f.debug_set().entries(self.shards().map(|shard| shard.0)).finish()
    }
}

fn place(shard: ShardId) -> (usize, u64) {
    let index = usize::from(shard.0.wrapping_sub(1)) % (WORDS * u64::BITS as usize);
    (index / u64::BITS as usize, 1 << (index % u64::BITS as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn growing(most: u16, opened: &[u16]) -> ShardMap {
        let mut map = Sharding::Growing(ShardCount::new(most).unwrap()).first();
        opened.iter().for_each(|number| assert!(map.open(ShardId(*number))));
        map
    }

    #[test]
    fn an_open_shard_owns_what_is_behind_it_up_to_the_next() {
        let map = growing(8, &[6, 4]);
        assert_eq!(map.shards().collect::<Vec<_>>(), [1, 4, 6].map(ShardId));
        assert_eq!(map.slots_of(ShardId(1)), Some(0..=6143));
        assert_eq!(map.slots_of(ShardId(4)), Some(6144..=10239));
        assert_eq!(map.slots_of(ShardId(6)), Some(10240..=16383));
        for closed in [0, 2, 5, 7, 8, 9, 1024, u16::MAX] {
            assert_eq!(map.slots_of(ShardId(closed)), None, "{closed}");
        }
        assert_eq!(map.numbers_of(ShardId(4)).unwrap().len(), 2);
        assert_eq!(format!("{map:?}"), "of 8: {1, 4, 6}");
    }

    #[test]
    fn every_slot_is_in_the_range_of_its_shard() {
        for map in [growing(64, &[]), growing(64, &[64, 2]), growing(1024, &[512, 1024, 513])] {
            let mut next = 0;
            for shard in map.shards() {
                let slots = map.slots_of(shard).unwrap();
                assert_eq!(*slots.start(), next);
                next = slots.end() + 1;
                for number in [*slots.start(), *slots.end()] {
                    assert_eq!(map.shard_of(Slot::new(number).unwrap()), shard);
                }
            }
            assert_eq!(next, Slot::COUNT);
        }
    }

    #[test]
    fn a_fixed_one_has_all_shards_of_its_count() {
        let count = ShardCount::new(1024).unwrap();
        let map = ShardMap::from(count);
        assert_eq!((map.count(), map.sharding()), (1024, Sharding::Fixed(count)));
        for shard in count.shards() {
            assert_eq!(map.slots_of(shard), count.slots_of(shard));
        }
        // One that has grown has, still.
        assert_eq!(growing(2, &[2]).sharding(), Sharding::Growing(ShardCount::new(2).unwrap()));
    }

    #[test]
    fn what_is_open_is_opened_once() {
        let mut map = growing(8, &[5]);
        assert!(!map.open(ShardId(5)) && map.open(ShardId(2)));
        assert_eq!(map.count(), 3);
    }

    #[test]
    fn keys_of_one_slot_go_together() {
        let map = growing(64, &[]);
        let route = |keys: &[&str]| map.route(keys.iter().map(|key| key.as_bytes()));
        let slot = Slot::of(b"user");
        assert_eq!(route(&[]), Route::NoKeys);
        assert_eq!(route(&["{user}.a", "{user}.b", "user"]), Route::Shard(ShardId(1), slot));
        // Two slots of one shard are two slots.
        assert_eq!(route(&["foo", "bar"]), Route::CrossSlot);
    }
}
