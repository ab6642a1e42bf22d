//! What was heard of nodes: their last pulses, and whether two processes say that they are one node.
//!
//! ```text
//!  run A, A, A ──▶ run B: a restart, or a copy?
//!                    ├─ A is silent from now on ─▶ B is the node
//!                    └─ A goes on                ─▶ B has to end: A was there first
//! ```
//!
//! # Invariants
//! - A pulse that arrives late, after a newer one of the same process, changes nothing.
//! - A process that was replaced by another one is never believed again.
//! - What is said of a group is not believed if something newer was heard of its membership: a pulse may have been on
//!   its way while the membership changed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aryavarth_cluster::{NodeId, NodeSight};
use tokio::time::Instant;

use super::messages::{Led, Pulse};

/// Pulses of the process before that tell it from one whose last words came late.
const ALIVE: u32 = 2;

/// What was heard of all nodes.
#[derive(Debug, Default)]
pub struct Heard {
    nodes: BTreeMap<NodeId, Voice>,
    /// The newest membership of each group: its leader's term, and of which entry it is, which leaders of other terms
    /// may know by another number.
    memberships: BTreeMap<u16, (u64, Option<u64>)>,
}

/// What was heard of one.
#[derive(Debug)]
struct Voice {
    pulse: Pulse,
    at: Instant,
    /// Since when it was heard without a gap.
    since: Instant,
    /// Processes that were replaced.
    replaced: BTreeSet<u64>,
    challenger: Option<Challenger>,
}

/// Another process that says it is the node.
#[derive(Debug)]
struct Challenger {
    run: u64,
    since: Instant,
    /// Pulses of the process before since then.
    answers: u32,
}

/// What a pulse was taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is the newest of the node.
    Newest,
    /// It was late, or it is not known yet whose it is.
    Ignored,
    /// Another process is the node.
    Impostor,
}

impl Heard {
    /// Takes a pulse of a node. `gap` is the silence after which it was away.
    pub fn take(&mut self, node: NodeId, mut pulse: Pulse, now: Instant, gap: Duration) -> Taken {
        pulse.led.retain(|led| self.is_newest(led));
        let Some(voice) = self.nodes.get_mut(&node) else {
            self.nodes.insert(node, Voice::new(pulse, now));
            return Taken::Newest;
        };
        if voice.replaced.contains(&pulse.run) {
            return Taken::Impostor;
        }
        if voice.pulse.run == pulse.run {
            return voice.go_on(pulse, now, gap);
        }
        let silent = now.duration_since(voice.at);
        match &voice.challenger {
            Some(challenger) if challenger.run == pulse.run => {
                if challenger.answers >= ALIVE {
                    return Taken::Impostor;
                }
                if silent < gap && !voice.pulse.leaving {
                    return Taken::Ignored;
                }
                voice.replace(pulse, now);
                Taken::Newest
            }
            // Whoever said goodbye, or was silent for long, has made room.
            _ if silent >= gap || voice.pulse.leaving => {
                voice.replace(pulse, now);
                Taken::Newest
            }
            _ => {
                voice.challenger = Some(Challenger { run: pulse.run, since: now, answers: 0 });
                Taken::Ignored
            }
        }
    }

    /// Forgets all nodes but these.
    pub fn retain(&mut self, known: impl Fn(NodeId) -> bool) {
        self.nodes.retain(|node, _| known(*node));
    }

    /// The last pulses.
    pub fn pulses(&self) -> impl Iterator<Item = (NodeId, &Pulse)> {
        self.nodes.iter().map(|(node, voice)| (*node, &voice.pulse))
    }

    /// A node said this of a group that it leads.
    pub fn amend(&mut self, node: NodeId, newer: Led) {
        if !self.is_newest(&newer) {
            return;
        }
        let Some(voice) = self.nodes.get_mut(&node) else { return };
        match voice.pulse.led.iter_mut().find(|led| led.shard == newer.shard) {
            Some(led) if led.term <= newer.term => *led = newer,
            Some(_) => {}
            None => voice.pulse.led.push(newer),
        }
    }

    /// Whether nothing newer was heard of the membership of a group; that is kept in mind.
    fn is_newest(&mut self, led: &Led) -> bool {
        let told = (led.term, led.config);
        let newest = self.memberships.entry(led.shard).or_default();
        *newest = told.max(*newest);
        told == *newest
    }

    /// Of a group nobody has said anything that counts.
    pub fn forget_group(&mut self, shard: u16) {
        for voice in self.nodes.values_mut() {
            voice.pulse.led.retain(|led| led.shard != shard);
        }
    }

    /// When a node was heard last, and since when without a gap.
    pub fn times(&self, node: NodeId) -> Option<(Instant, Instant)> {
        self.nodes.get(&node).map(|voice| (voice.at, voice.since))
    }

    /// Whether a node has said goodbye just now. Whoever is not told how it is any more does not hear that it is back.
    pub fn is_leaving(&self, node: NodeId, now: Instant, gap: Duration) -> bool {
        let voice = self.nodes.get(&node);
        voice.is_some_and(|voice| voice.pulse.leaving && now.duration_since(voice.at) < gap)
    }

    /// Whether a node answers.
    pub fn sight(&self, node: NodeId, now: Instant, gap: Duration) -> NodeSight {
        match self.nodes.get(&node) {
            Some(voice) if now.duration_since(voice.at) < gap => NodeSight::Reachable,
            _ => NodeSight::Unreachable,
        }
    }
}

impl Voice {
    fn new(pulse: Pulse, now: Instant) -> Voice {
        Voice { pulse, at: now, since: now, replaced: BTreeSet::new(), challenger: None }
    }

    fn go_on(&mut self, pulse: Pulse, now: Instant, gap: Duration) -> Taken {
        if pulse.number <= self.pulse.number {
            return Taken::Ignored;
        }
        if let Some(challenger) = &mut self.challenger {
            challenger.answers += 1;
            // Long after, this is about another one.
            if now.duration_since(challenger.since) > 20 * gap {
                self.challenger = None;
            }
        }
        if now.duration_since(self.at) >= gap {
            self.since = now;
        }
        self.at = now;
        self.pulse = pulse;
        Taken::Newest
    }

    fn replace(&mut self, pulse: Pulse, now: Instant) {
        self.replaced.insert(self.pulse.run);
        let replaced = std::mem::take(&mut self.replaced);
        *self = Voice { replaced, ..Voice::new(pulse, now) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: NodeId = NodeId(4);
    const GAP: Duration = Duration::from_secs(2);

    fn pulse(run: u64, number: u64) -> Pulse {
        Pulse { run, number, ..Pulse::default() }
    }

    /// Each pulse as run and number, half a second after the one before, and what it was taken for.
    fn hear(pulses: &[(u64, u64)]) -> Vec<Taken> {
        let mut heard = Heard::default();
        let start = Instant::now();
        let at = |index: usize| start + Duration::from_millis(500) * u32::try_from(index).unwrap();
        let taken = pulses.iter().enumerate();
        taken.map(|(n, (run, number))| heard.take(NODE, pulse(*run, *number), at(n), GAP)).collect()
    }

    #[test]
    fn a_late_pulse_changes_nothing() {
        use Taken::*;
        assert_eq!(
            hear(&[(1, 1), (1, 3), (1, 2), (1, 3), (1, 4)]),
            [Newest, Newest, Ignored, Ignored, Newest]
        );
    }

    #[test]
    fn a_restarted_process_replaces_the_one_before_though_that_ones_last_words_are_late() {
        use Taken::*;
        let taken = hear(&[(1, 1), (2, 1), (1, 2), (2, 2), (2, 3), (2, 4), (2, 5), (1, 3)]);
        assert_eq!(taken[..2], [Newest, Ignored]);
        assert_eq!(taken[2], Newest);
        assert_eq!(taken[6..], [Newest, Impostor]);
    }

    #[test]
    fn of_two_processes_the_later_one_has_to_end() {
        use Taken::*;
        let taken = hear(&[(1, 1), (2, 1), (1, 2), (2, 2), (1, 3), (2, 3), (1, 4)]);
        assert_eq!(taken[4..], [Newest, Impostor, Newest]);
    }

    #[test]
    fn a_node_that_is_silent_is_not_reachable_and_begins_anew() {
        let mut heard = Heard::default();
        let start = Instant::now();
        heard.take(NODE, pulse(1, 1), start, GAP);
        assert_eq!(heard.sight(NODE, start + GAP / 2, GAP), NodeSight::Reachable);
        assert_eq!(heard.sight(NODE, start + GAP, GAP), NodeSight::Unreachable);
        heard.take(NODE, pulse(1, 2), start + GAP, GAP);
        assert_eq!(heard.times(NODE), Some((start + GAP, start + GAP)));
        heard.take(NODE, pulse(1, 3), start + GAP * 3 / 2, GAP);
        assert_eq!(heard.times(NODE), Some((start + GAP * 3 / 2, start + GAP)));
    }

    #[test]
    fn what_was_said_before_a_membership_changed_is_not_believed_after_it() {
        let led = |term, config, voters: &[u64]| Led {
            shard: 3,
            term,
            config: Some(config),
            voters: voters.iter().copied().collect(),
            ..Led::default()
        };
        let mut heard = Heard::default();
        let start = Instant::now();
        let say = |heard: &mut Heard, number, led| {
            let pulse = Pulse { led: vec![led], ..pulse(1, number) };
            heard.take(NODE, pulse, start, GAP);
            let pulses = heard.pulses().flat_map(|(_, pulse)| &pulse.led);
            pulses.map(|led| led.voters.clone()).collect::<Vec<_>>()
        };
        assert_eq!(say(&mut heard, 1, led(5, 20, &[1, 2, 3])), [[1, 2, 3].into()]);
        heard.amend(NODE, led(5, 24, &[1, 3, 4]));
        // On its way since before.
        assert!(say(&mut heard, 2, led(5, 20, &[1, 2, 3])).is_empty());
        assert_eq!(say(&mut heard, 3, led(5, 24, &[1, 3, 4])), [[1, 3, 4].into()]);
        // The next leader may have the same membership as another entry's.
        assert_eq!(say(&mut heard, 4, led(6, 9, &[1, 3, 4])), [[1, 3, 4].into()]);
        heard.amend(NODE, led(5, 25, &[1, 2, 3]));
        assert_eq!(say(&mut heard, 5, led(6, 9, &[1, 3, 4])), [[1, 3, 4].into()]);
    }
}
