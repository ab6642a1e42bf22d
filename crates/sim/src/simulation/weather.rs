//! The network's mood: who hears whom, how late, how often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aryavarth_replication::NodeId;
use aryavarth_replication::simulation::{Kind, Lane, Letter, Weather};
use tokio::time::Instant;

use super::random::Random;
use super::trace::Trace;

/// Whether letters may overtake one another on a lane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// As on a connection.
    Kept,
    /// As between connections that break and are made anew.
    Loose,
}

/// How letters fare.
#[derive(Clone, Debug)]
pub struct Climate {
    /// Of a thousand letters, so many are lost.
    pub lost: u64,
    /// Of a thousand, so many arrive twice.
    pub doubled: u64,
    /// Of a thousand, so many take much longer.
    pub late: u64,
    /// Milliseconds on the way, at most.
    pub delay: u64,
    /// Milliseconds for those that take much longer, at most.
    pub long_delay: u64,
    /// Whether they may overtake one another.
    pub order: Order,
}

impl Climate {
    /// Nothing is lost and all is quick.
    pub fn fair() -> Climate {
        Climate { lost: 0, doubled: 0, late: 0, delay: 2, long_delay: 0, order: Order::Kept }
    }

    /// Some climate.
    pub fn any(random: &mut Random) -> Climate {
        let order = if random.chance(500) { Order::Kept } else { Order::Loose };
        Climate {
            lost: *random.pick(&[0, 0, 5, 20, 80]),
            doubled: *random.pick(&[0, 5, 50]),
            late: *random.pick(&[0, 10, 50]),
            delay: *random.pick(&[2, 5, 15]),
            long_delay: *random.pick(&[50, 300, 1_500]),
            order,
        }
    }
}

/// The network between the nodes of a run. Clones are the same.
#[derive(Clone, Debug)]
pub struct Air(Arc<Mutex<State>>, Trace);

#[derive(Debug)]
struct State {
    random: Random,
    climate: Climate,
    cut: BTreeSet<(NodeId, NodeId)>,
    last: BTreeMap<(NodeId, NodeId, Lane), Instant>,
}

impl Air {
    /// The air with these random numbers.
    pub fn new(random: Random, trace: Trace) -> Air {
        let (cut, last) = (BTreeSet::new(), BTreeMap::new());
        Air(Arc::new(Mutex::new(State { random, climate: Climate::fair(), cut, last })), trace)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes how letters fare.
    pub fn set_climate(&self, climate: Climate) {
        self.state().climate = climate;
    }

    /// Lets nothing pass in these directions, and all in the others.
    pub fn cut(&self, cut: BTreeSet<(NodeId, NodeId)>) {
        self.state().cut = cut;
    }
}

impl State {
    fn journey(&mut self, letter: &Letter) -> Duration {
        let most = self.climate.delay.max(1);
        let mut journey = self.random.millis(0..=most);
        if self.random.chance(self.climate.late) {
            let longest = self.climate.long_delay;
            journey += self.random.millis(0..=longest);
        }
        if self.climate.order == Order::Loose {
            return journey;
        }
        let now = Instant::now();
        let after = self.last.entry((letter.from, letter.to, letter.lane)).or_insert(now);
        let arrival = (now + journey).max(*after + Duration::from_millis(1));
        *after = arrival;
        arrival - now
    }
}

impl Weather for Air {
    fn journeys(&self, letter: &Letter) -> Vec<Duration> {
        let mut state = self.state();
        let lost = state.climate.lost;
        if state.cut.contains(&(letter.from, letter.to)) || state.random.chance(lost) {
            return Vec::new();
        }
        let mut journeys = vec![state.journey(letter)];
        let twice = state.climate.doubled;
        if state.random.chance(twice) {
            journeys.push(state.journey(letter));
        }
        journeys
    }

    fn arrived(&self, letter: &Letter) {
        let Letter { from, to, lane: _, kind, shard, checksum } = letter;
        let shard = shard.map_or(0, |shard| shard.0);
        let kind: &Kind = kind;
        self.1.note(format_args!("{from}->{to} s{shard} {kind:?} {checksum:08x}"));
    }
}
