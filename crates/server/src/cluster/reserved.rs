//! The keys that are the server's own. They live among those of clients, so that they are replicated,
//! recovered and sent in snapshots like those.
//!
//! ```text
//!  \0aryavarth\0topology        of the meta group: the nodes, shards and replicas
//!  \0aryavarth\0clock\0<shard>  of that shard: the time up to which it may show keys as expired
//! ```
//!
//! and two more of each shard that the [replication](aryavarth_replication::split) has, to split it.

use std::sync::Arc;

use aryavarth_cluster::{META_GROUP, ShardId, Slot};
use aryavarth_replication::{Owner, split};

use super::Slots;

/// What they begin with.
pub const PREFIX: &[u8] = b"\0aryavarth\0";
/// The topology, as [`Topology::encode`](aryavarth_cluster::Topology::encode) has it.
pub const TOPOLOGY: &[u8] = b"\0aryavarth\0topology";
/// What the keys of time marks begin with.
const CLOCK: &[u8] = b"\0aryavarth\0clock\0";

/// Whether a key is the server's own.
#[inline]
pub fn is_reserved(key: &[u8]) -> bool {
    // Nearly all keys differ in the first byte.
    key.first() == Some(&0) && key.starts_with(PREFIX)
}

/// The key of a shard's time mark.
pub fn clock_key(shard: ShardId) -> Vec<u8> {
    [CLOCK, shard.to_string().as_bytes()].concat()
}

/// The group that a key belongs to: by its slot, unless it is reserved.
pub fn group_of(slots: &Slots, key: &[u8]) -> ShardId {
    if !is_reserved(key) {
        return slots.owner_of(Slot::of(key));
    }
    if let Some(shard) = split::shard_of(key) {
        return shard;
    }
    let number = key.strip_prefix(CLOCK).and_then(|digits| std::str::from_utf8(digits).ok());
    number.and_then(|digits| digits.parse().ok()).map_or(META_GROUP, ShardId)
}

/// That, for the store of a node.
pub fn owner(slots: Arc<Slots>) -> Owner {
    Arc::new(move |key| group_of(&slots, key))
}

/// The keys that a shard may have of the server's own.
pub fn keys_of(shard: ShardId) -> [Vec<u8>; 3] {
    [clock_key(shard), split::split_key(shard), split::born_key(shard)]
}

#[cfg(test)]
mod tests {
    use aryavarth_cluster::{ShardCount, Sharding};

    use super::*;

    #[test]
    fn reserved_keys_belong_to_their_groups_and_others_to_their_slots() {
        let slots = Slots::default();
        slots.set_sharding(Sharding::Fixed(ShardCount::new(16).unwrap()));
        assert_eq!(group_of(&slots, TOPOLOGY), META_GROUP);
        for key in keys_of(ShardId(12)) {
            assert_eq!(group_of(&slots, &key), ShardId(12));
            assert!(is_reserved(&key));
        }
        let shard = ShardCount::new(16).unwrap().shard_of(Slot::of(b"user:1"));
        assert_eq!(group_of(&slots, b"user:1"), shard);
        assert!(is_reserved(TOPOLOGY));
        assert!(!is_reserved(b"\0ary") && !is_reserved(b"") && !is_reserved(b"aryavarth"));
    }
}
