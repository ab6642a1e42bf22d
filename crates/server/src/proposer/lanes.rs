//! Lanes: a proposer for each shard of the node, each with a log, an order and outcomes of its own.
//!
//! ```text
//!           Routing          Proposers
//!  key ─▶ whose shard? ─▶ ┌ lane 0: state, watches, outcomes ─▶ its Log
//!                         │ lane 1: state, watches, outcomes ─▶ its Log
//!                         └ …
//!
//!  one connection's replies:   a: lane 0, batch 7 │ b: lane 1, batch 3 │ c: lane 0, batch 8
//!                              each asks the outcomes of its lane, and waits for those before it
//! ```
//!
//! A node that stands alone has one lane. Of a sharded one, shards that wait for different
//! majorities do not wait for each other, and workers that write to different shards do not wait for
//! one lock.
//!
//! # Invariants
//! - A key is in one lane, the same until its shard is split. All keys of a command or of a
//!   transaction are in one, so that they are in one batch.
//! - Numbers of batches of different lanes say nothing about each other.
//! - Nobody holds two lanes at once. So nobody who holds one waits for one, and no order of taking
//!   them has to be kept for fear of a deadlock. [`Holding`] sees to it.
//! - Who concerns all lanes takes one after the other, in ascending order. Nobody sees all of them at
//!   one moment, unless it writes [alone](crate::server::Server::alone).

use std::cell::Cell;
use std::sync::{Arc, MutexGuard};

use aryavarth_cluster::{ShardCount, ShardId, Slot};

use super::{BatchNumber, Log, Proposer, State};
use crate::cluster::Seats;

/// The number of a shard's proposer on this node, from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane(u16);

impl Lane {
    /// The first; the only one of a server that stands alone.
    pub const FIRST: Lane = Lane(0);

    /// The lane of a shard of a cluster.
    #[inline]
    pub fn of(shard: ShardId) -> Lane {
        Lane(shard.0 - 1)
    }

    /// The shard of a cluster whose lane it is.
    #[inline]
    pub fn shard(self) -> ShardId {
        ShardId(self.0 + 1)
    }

    /// Its place among all lanes.
    #[inline]
    pub fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A batch of some lane: what replies wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchId {
    /// Whose batch it is.
    pub lane: Lane,
    /// Which of them.
    pub number: BatchNumber,
}

const _: () = assert!(size_of::<BatchId>() <= 16, "it is copied on every write");

impl BatchId {
    /// The later of two batches of one lane: once it is settled, both are.
    #[inline]
    pub fn later(self, other: BatchId) -> BatchId {
        debug_assert_eq!(self.lane, other.lane, "a command is in one lane");
        if other.number > self.number { other } else { self }
    }
}

/// Lanes in ascending order.
#[derive(Clone, Debug)]
pub struct Lanes(std::ops::Range<u16>);

impl Lanes {
    /// This one and no other.
    pub fn only(lane: Lane) -> Lanes {
        Lanes(lane.0..lane.0 + 1)
    }
}

impl Iterator for Lanes {
    type Item = Lane;

    #[inline]
    fn next(&mut self) -> Option<Lane> {
        self.0.next().map(Lane)
    }
}

impl DoubleEndedIterator for Lanes {
    fn next_back(&mut self) -> Option<Lane> {
        self.0.next_back().map(Lane)
    }
}

/// Which lane a key is in. Another way to tell is a variant here and its line in the two functions.
#[derive(Clone, Debug)]
pub enum Routing {
    /// There is one lane, and no key is looked at.
    One,
    /// Each shard of a cluster has one, and a key's slot tells its shard. Before it is known how many
    /// there are, there is none but the first.
    Slots(Arc<Seats>),
    /// By the first byte of the key, for tests of several lanes.
    #[cfg(test)]
    FirstByte {
        /// How many there are.
        lanes: u16,
    },
}

impl Routing {
    /// How many lanes there are.
    fn lanes(&self) -> u16 {
        match self {
            Routing::One => 1,
            Routing::Slots(seats) => seats.slots().most().map_or(1, ShardCount::get),
            #[cfg(test)]
            Routing::FirstByte { lanes } => *lanes,
        }
    }

    /// How many there may ever be.
    fn most(&self) -> u16 {
        match self {
            Routing::Slots(_) => ShardCount::MAX.get(),
            fixed => fixed.lanes(),
        }
    }

    /// The lane of the key that `key` finds, which is asked only if that matters; the first one if it
    /// finds none.
    #[inline]
    fn lane<'k>(&self, key: impl FnOnce() -> Option<&'k [u8]>) -> Lane {
        match self {
            Routing::One => {
                let _ = key;
                Lane::FIRST
            }
            Routing::Slots(seats) => {
                let shard = key().and_then(|key| seats.slots().shard_of(Slot::of(key)));
                shard.map_or(Lane::FIRST, Lane::of)
            }
            #[cfg(test)]
            Routing::FirstByte { lanes } => {
                let first = key().and_then(|key| key.first().copied());
                first.map_or(Lane::FIRST, |byte| Lane(u16::from(byte) % lanes))
            }
        }
    }
}

/// The proposers of all lanes. A clone is another handle to the same ones.
#[derive(Clone)]
pub struct Proposers {
    routing: Routing,
    all: Arc<[Proposer]>,
}

impl Proposers {
    /// A proposer for each of these logs, in the order of the lanes: as many as there may ever be.
    ///
    /// # Panics
    /// If there are more or fewer of them than lanes.
    pub fn new(routing: Routing, logs: impl IntoIterator<Item = Arc<dyn Log>>) -> Proposers {
        let lanes = Lanes(0..routing.most());
        let mut logs = logs.into_iter();
        let mut all = Vec::with_capacity(usize::from(routing.most()));
        for lane in lanes {
            all.push(Proposer::new(lane, logs.next().expect("each lane has a log")));
        }
        assert!(logs.next().is_none(), "each log has a lane");
        Proposers { routing, all: all.into() }
    }

    /// The proposer of a lane.
    #[inline]
    pub fn of(&self, lane: Lane) -> &Proposer {
        &self.all[lane.index()]
    }

    /// The lane of a key.
    #[inline]
    pub fn lane_of(&self, key: &[u8]) -> Lane {
        self.routing.lane(|| Some(key))
    }

    /// The lane of the key that `key` finds, which is asked only if that matters; the first one if it
    /// finds none.
    #[inline]
    pub fn lane_by<'k>(&self, key: impl FnOnce() -> Option<&'k [u8]>) -> Lane {
        self.routing.lane(key)
    }

    /// All lanes.
    pub fn lanes(&self) -> Lanes {
        Lanes(0..self.routing.lanes())
    }

    /// Whether there is more than one lane.
    #[inline]
    pub fn are_several(&self) -> bool {
        self.all.len() > 1
    }

    /// Proposes what was gathered in all lanes.
    pub fn flush(&self) {
        self.lanes().for_each(|lane| self.of(lane).flush());
    }

    /// Proposes what was gathered in the lanes noted, which are forgotten.
    #[inline]
    pub fn flush_noted(&self, noted: &NotedLanes) {
        let mut bits = noted.0.take();
        while bits != 0 {
            let first = bits.trailing_zeros() as usize;
            self.lanes()
                .skip(first)
                .step_by(NotedLanes::BITS)
                .for_each(|lane| self.of(lane).flush());
            bits &= bits - 1;
        }
    }
}

/// The lanes that a worker's round concerned: those of the batches that its replies depend on. Among
/// them are all that it wrote to.
///
/// Lanes share a bit if there are more than 64; one too many is then flushed, which does no harm.
#[derive(Debug, Default)]
pub struct NotedLanes(Cell<u64>);

impl NotedLanes {
    const BITS: usize = u64::BITS as usize;

    /// Notes a lane.
    #[inline]
    pub fn note(&self, lane: Lane) {
        self.0.set(self.0.get() | 1 << (lane.index() % NotedLanes::BITS));
    }
}

/// Holds the proposer of one lane at a time: who asks for another lets go of the one before.
///
/// That is what makes deadlocks impossible, and it is why a transaction keeps to its lane: what it
/// let go of, others could write to before it ends.
pub struct Holding<'p> {
    proposers: &'p Proposers,
    held: Option<MutexGuard<'p, State>>,
}

impl<'p> Holding<'p> {
    /// Holds none yet.
    pub fn new(proposers: &'p Proposers) -> Holding<'p> {
        Holding { proposers, held: None }
    }

    /// Holds the proposer of `lane`, until another is asked for.
    #[inline]
    pub fn lane(&mut self, lane: Lane) -> &mut State {
        if self.held.as_ref().is_some_and(|held| held.lane() != lane) {
            // Before the other is waited for.
            self.held = None;
        }
        self.held.get_or_insert_with(|| self.proposers.of(lane).hold())
    }

    /// The proposer of the lane of `key`, likewise.
    #[inline]
    pub fn lane_of(&mut self, key: &[u8]) -> &mut State {
        self.lane(self.proposers.lane_of(key))
    }

    /// The one that is held, if one is.
    #[inline]
    pub fn held(&mut self) -> Option<&mut State> {
        self.held.as_deref_mut()
    }

    /// Lets go.
    pub fn release(&mut self) {
        self.held = None;
    }
}

#[cfg(test)]
#[cfg(feature = "simulation")]
mod server_tests;
#[cfg(test)]
mod tests;
