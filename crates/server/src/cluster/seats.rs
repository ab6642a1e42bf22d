//! What workers ask about a shard, many times a millisecond: may this node answer for it?
//!
//! ```text
//!                    group here?   leads, ready, lease holds?
//!   Absent ◀── no ──────┤                  │
//!                       └── yes ──▶ Leads(lease) ─ or ─ Unsure ─ or ─ Elsewhere(leader)
//! ```
//!
//! A shard can be *closed*: then no new write is evaluated, so that what is in flight comes to an end
//! before its leadership is handed over. It can be *barred*: then nothing is answered and nothing proposed, while it is
//! split.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use aryavarth_cluster::{META_GROUP, NodeId, ShardCount, ShardId, ShardMap};
use aryavarth_replication::{Group, Lease, Role};

use super::Slots;
use crate::clock;

/// What this node may do for a shard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It leads, and nobody else can as long as this lasts.
    Leads(Lease),
    /// Nobody is known to lead; or this node does, and may not answer yet, or not now.
    Unsure,
    /// Another node leads.
    Elsewhere(NodeId),
    /// It has no replica.
    Absent,
}

/// A shard on this node.
#[derive(Debug, Default)]
pub struct Seat {
    group: RwLock<Option<Group>>,
    closed: AtomicBool,
    barred: AtomicBool,
    /// As of when all that the leader had acknowledged is here: milliseconds of the monotonic clock; 0
    /// for never.
    fresh: AtomicU64,
    /// The term in which this node's clock was raised to what earlier leaders may have shown.
    ready: AtomicU64,
}

impl Seat {
    /// Its group, if this node has a replica.
    pub fn group(&self) -> Option<Group> {
        self.group.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Has this group from now on, or none. It may have nothing yet of what the one before had.
    pub fn set_group(&self, group: Option<Group>) {
        self.fresh.store(0, Ordering::Release);
        *self.group.write().unwrap_or_else(PoisonError::into_inner) = group;
    }

    /// What this node may do for the shard at this moment.
    pub fn standing(&self) -> Standing {
        let group = self.group.read().unwrap_or_else(PoisonError::into_inner);
        let Some(group) = group.as_ref() else { return Standing::Absent };
        if let Some(lease) = self.lease_of(group) {
            return Standing::Leads(lease);
        }
        let leadership = group.leadership();
        let leadership = leadership.borrow();
        match &leadership.leader {
            Some(leader) if leadership.role != Role::Leader && leader.node != group.node() => {
                Standing::Elsewhere(leader.node)
            }
            _ => Standing::Unsure,
        }
    }

    /// Its lease, if it leads.
    #[inline]
    pub fn lease(&self) -> Option<Lease> {
        let group = self.group.read().unwrap_or_else(PoisonError::into_inner);
        self.lease_of(group.as_ref()?)
    }

    #[inline]
    fn lease_of(&self, group: &Group) -> Option<Lease> {
        if self.is_barred() {
            return None;
        }
        group.lease().filter(|lease| lease.term.0 == self.ready.load(Ordering::Acquire))
    }

    /// Notes that as the leader in this term it may answer.
    pub fn note_ready(&self, term: u64) {
        self.ready.store(term, Ordering::Release);
    }

    /// Whether it may answer, now or once its lease is back, without becoming ready anew.
    pub fn is_ready(&self) -> bool {
        let ready = self.ready.load(Ordering::Acquire);
        let in_term = |group: Group| group.leadership().borrow().term.0 == ready;
        ready > 0 && self.group().is_some_and(in_term)
    }

    /// Has it become ready anew before it answers again.
    pub fn retire(&self) {
        self.ready.store(0, Ordering::Release);
    }

    /// The term in which it leads, and is not ready.
    pub fn unready_term(&self) -> Option<u64> {
        let term = self.group()?.lease()?.term.0;
        (term != self.ready.load(Ordering::Acquire)).then_some(term)
    }

    /// Notes that all that the leader had acknowledged by this moment of the monotonic clock is here.
    pub fn note_fresh(&self, as_of: Duration) {
        let millis = u64::try_from(as_of.as_millis()).unwrap_or(0);
        self.fresh.fetch_max(millis, Ordering::AcqRel);
    }

    /// How old what is here may be, if that is known.
    pub fn age(&self) -> Option<Duration> {
        let as_of = Duration::from_millis(self.fresh.load(Ordering::Acquire));
        (as_of > Duration::ZERO).then(|| clock::monotonic().saturating_sub(as_of))
    }

    /// Whether no new write may be evaluated.
    #[inline]
    pub fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// Has no new write evaluated until it is opened.
    pub fn close(&self) {
        self.closed.store(true, Ordering::Release);
    }

    /// Ends that.
    pub fn open(&self) {
        self.closed.store(false, Ordering::Release);
    }

    /// Whether nothing may be answered or proposed.
    #[inline]
    pub fn is_barred(&self) -> bool {
        self.barred.load(Ordering::SeqCst)
    }

    /// Has nothing answered or proposed until that is ended.
    pub fn set_barred(&self, barred: Barred) {
        self.barred.store(barred == Barred::Yes, Ordering::SeqCst);
    }
}

/// Whether a seat is barred.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Barred {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// The shards of a cluster on this node. Their number is known only once it has joined.
#[derive(Debug)]
pub struct Seats {
    /// By number, the meta group first.
    seats: Box<[Seat]>,
    slots: Arc<Slots>,
}

impl Default for Seats {
    fn default() -> Seats {
        let seats = (0..=ShardCount::MAX.get()).map(|_| Seat::default()).collect();
        Seats { seats, slots: Arc::default() }
    }
}

impl Seats {
    /// The seat of a group.
    ///
    /// # Panics
    /// If its number is above the highest that a cluster may have.
    #[inline]
    pub fn seat(&self, shard: ShardId) -> &Seat {
        &self.seats[usize::from(shard.0)]
    }

    /// Which shard each slot is of.
    #[inline]
    pub fn slots(&self) -> &Arc<Slots> {
        &self.slots
    }

    /// The shards with data that this node leads now.
    pub fn led(&self) -> impl Iterator<Item = ShardId> + '_ {
        let shards = self.slots.map().into_iter().flat_map(ShardMap::shards);
        shards.filter(|shard| self.seat(*shard).lease().is_some())
    }

    /// All groups that have a replica here, the meta group first.
    pub fn groups(&self) -> impl Iterator<Item = (ShardId, Group)> + '_ {
        let numbers = META_GROUP.0..=ShardCount::MAX.get();
        numbers.map(ShardId).filter_map(|shard| Some((shard, self.seat(shard).group()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replica_that_is_made_anew_is_not_fresh() {
        let seat = Seat::default();
        assert_eq!(seat.age(), None);
        seat.note_fresh(clock::monotonic());
        assert!(seat.age().is_some());
        seat.set_group(None);
        assert_eq!(seat.age(), None);
    }
}
