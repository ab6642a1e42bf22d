//! Which keys a command is about that names none: `DBSIZE SCAN KEYS RANDOMKEY FLUSHALL`.
//!
//! ```text
//!  alone                  all
//!  in a cluster           those of the shards that this node leads
//!  and after READONLY     those of all shards that it has a replica of
//! ```
//!
//! So who asks all nodes sees each key once. The server's own keys are nobody's.

use aryavarth_cluster::{ShardId, ShardMap, Sharding, Slot};

use super::context::Context;
use crate::cluster::{Seats, reserved};
use crate::server::Server;
use crate::session::ReadFrom;

/// Which keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// All but the server's own.
    All,
    /// Those of some shards.
    Shards(Shards),
}

/// Some shards.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Shards {
    map: ShardMap,
    /// By number, the meta group first.
    chosen: Box<[bool]>,
}

impl Shards {
    fn of(map: ShardMap, choose: impl Fn(ShardId) -> bool) -> Shards {
        let numbers = (0..=map.most().get()).map(ShardId);
        Shards { map, chosen: numbers.map(|shard| map.is_open(shard) && choose(shard)).collect() }
    }
}

impl Scope {
    /// That of a command.
    pub(super) fn of(cx: &Context<'_, '_>) -> Scope {
        match cx.session.reads {
            ReadFrom::Leader => Scope::led(cx.server()),
            ReadFrom::Replicas { .. } => Scope::held(cx.server()),
        }
    }

    /// What a server may change.
    pub(super) fn led(server: &Server) -> Scope {
        Scope::by(server, |seats, shard| seats.seat(shard).lease().is_some())
    }

    /// What a server has.
    pub(super) fn held(server: &Server) -> Scope {
        Scope::by(server, |seats, shard| seats.seat(shard).group().is_some())
    }

    fn by(server: &Server, choose: impl Fn(&Seats, ShardId) -> bool) -> Scope {
        let Some(cluster) = &server.cluster else { return Scope::All };
        // Before it is known which there are, none is here.
        let map = cluster.seats.slots().map().unwrap_or(Sharding::DEFAULT.first());
        Scope::Shards(Shards::of(map, |shard| choose(&cluster.seats, shard)))
    }

    /// Whether a key is in it.
    #[inline]
    pub(super) fn has(&self, key: &[u8]) -> bool {
        if reserved::is_reserved(key) {
            return false;
        }
        match self {
            Scope::All => true,
            Scope::Shards(Shards { map, chosen }) => {
                let shard = map.shard_of(Slot::of(key));
                chosen.get(usize::from(shard.0)).copied().unwrap_or(false)
            }
        }
    }

    /// How many keys are in it if that is everything the store has, so that nothing has to be looked at.
    ///
    /// # Errors
    /// The store's.
    pub(super) fn count_at_once(&self, server: &Server) -> aryavarth::Result<Option<u64>> {
        let store = &server.store;
        let Scope::Shards(Shards { chosen, .. }) = self else { return Ok(Some(store.len())) };
        if *self != Scope::held(server) {
            return Ok(None);
        }
        let mut own = u64::from(store.contains(reserved::TOPOLOGY)?);
        for (number, _) in chosen.iter().enumerate() {
            for key in reserved::keys_of(ShardId(u16::try_from(number).unwrap_or(u16::MAX))) {
                own += u64::from(store.contains(&key)?);
            }
        }
        Ok(Some(store.len().saturating_sub(own)))
    }
}

#[cfg(test)]
mod tests {
    use aryavarth_cluster::ShardCount;

    use super::*;

    #[test]
    fn a_scope_has_keys_of_its_shards_only() {
        let map = ShardMap::from(ShardCount::new(16).unwrap());
        let shard = map.shard_of(Slot::of(b"user:1"));
        let of = |chosen: ShardId| Scope::Shards(Shards::of(map, |shard| shard == chosen));
        assert!(Scope::All.has(b"user:1") && of(shard).has(b"user:1"));
        let other = ShardId(if shard.0 == 1 { 2 } else { 1 });
        assert!(!of(other).has(b"user:1"));
    }

    #[test]
    fn the_servers_own_keys_are_in_none() {
        let all = Scope::Shards(Shards::of(Sharding::DEFAULT.first(), |_| true));
        for key in [reserved::TOPOLOGY.to_vec(), reserved::clock_key(ShardId(1))] {
            assert!(!Scope::All.has(&key) && !all.has(&key));
        }
    }
}
