//! The network's mood: who hears whom, how late, how often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aryavarth_replication::NodeId;
use aryavarth_replication::simulation::{Fate, Lane, Letter, Weather};
use tokio::time::Instant;

use super::machine::{MachineId, Whereabouts};
use super::random::Random;
use super::trace::Trace;

/// How letters fare.
#[derive(Clone, Debug)]
pub struct Climate {
    /// Of a thousand letters, so many are lost without a word.
    pub lost: u64,
    /// Of a thousand, so many are on a connection when it breaks.
    pub broken: u64,
    /// Of a thousand, so many arrive a second time.
    pub doubled: u64,
    /// Of a thousand, so many take much longer.
    pub late: u64,
    /// Milliseconds on the way, at most.
    pub delay: u64,
    /// Milliseconds for those that take much longer, at most.
    pub long_delay: u64,
}

impl Climate {
    /// Nothing is lost and all is quick.
    pub fn fair() -> Climate {
        Climate { lost: 0, broken: 0, doubled: 0, late: 0, delay: 2, long_delay: 0 }
    }

    /// Some climate.
    pub fn any(random: &mut Random) -> Climate {
        Climate {
            lost: *random.pick(&[0, 0, 5, 20, 80]),
            broken: *random.pick(&[0, 5, 20, 80]),
            doubled: *random.pick(&[0, 5, 50]),
            late: *random.pick(&[0, 10, 50]),
            delay: *random.pick(&[2, 5, 15]),
            long_delay: *random.pick(&[50, 300, 1_500]),
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
    cut: BTreeSet<(MachineId, MachineId)>,
    whereabouts: Whereabouts,
    last: BTreeMap<(NodeId, NodeId, Lane), Instant>,
}

impl Air {
    /// The air with these random numbers.
    pub fn new(random: Random, trace: Trace, whereabouts: Whereabouts) -> Air {
        let (climate, cut, last) = (Climate::fair(), BTreeSet::new(), BTreeMap::new());
        Air(Arc::new(Mutex::new(State { random, climate, cut, whereabouts, last })), trace)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes how letters fare.
    pub fn set_climate(&self, climate: Climate) {
        self.state().climate = climate;
    }

    /// Lets nothing pass in these directions, and all in the others.
    pub fn cut(&self, cut: BTreeSet<(MachineId, MachineId)>) {
        self.state().cut = cut;
    }
}

impl State {
    fn is_cut(&self, letter: &Letter) -> bool {
        let ends = self.whereabouts.of(letter.from).zip(self.whereabouts.of(letter.to));
        ends.is_some_and(|ends| self.cut.contains(&ends))
    }

    fn journey(&mut self) -> Duration {
        let most = self.climate.delay.max(1);
        let mut journey = self.random.millis(0..=most);
        if self.random.chance(self.climate.late) {
            let longest = self.climate.long_delay;
            journey += self.random.millis(0..=longest);
        }
        journey
    }

    /// A journey on a connection: whoever was sent before arrives before.
    fn in_order(&mut self, letter: &Letter) -> Duration {
        let now = Instant::now();
        let arrival = now + self.journey();
        let after = self.last.entry((letter.from, letter.to, letter.lane)).or_insert(now);
        *after = arrival.max(*after + Duration::from_millis(1));
        *after - now
    }

    fn ghost(&mut self) -> Duration {
        let longest = self.climate.long_delay.max(20);
        self.random.millis(0..=longest)
    }
}

impl Weather for Air {
    fn fate(&self, letter: &Letter) -> Fate {
        let mut state = self.state();
        let climate = state.climate.clone();
        let mut fate = Fate::default();
        if state.is_cut(letter) || state.random.chance(climate.lost) {
            return fate;
        }
        if state.random.chance(climate.broken) {
            fate.breaks = Some(state.random.millis(0..=20));
            if state.random.chance(500) {
                fate.ghosts.push(state.ghost());
            }
            return fate;
        }
        fate.arrives = Some(state.in_order(letter));
        if state.random.chance(climate.doubled) {
            fate.ghosts.push(state.ghost());
        }
        fate
    }

    fn arrived(&self, letter: &Letter) {
        let Letter { from, to, lane: _, kind, shard, checksum } = letter;
        let shard = shard.map_or(0, |shard| shard.0);
        self.1.note(format_args!("{from}->{to} s{shard} {kind:?} {checksum:08x}"));
    }
}
