//! Where replicas should be: a function of the topology, the same on every node.
//!
//! ```text
//!  voters now ─▶ keep who is active ─▶ trim ─▶ fill ─▶ part zones ─▶ even out ─▶ wanted
//! ```
//!
//! **How many.** As many as the replication factor says, or the greatest odd number of active nodes
//! below it. Two nodes hold one replica each group, not two: with two voters the majority is two, so
//! that either node's failure stops the group, which is worse than one voter that stops when *its* node
//! fails. Likewise three of four. A node that is gone does not make a group give up copies that live:
//! its place is kept until another node can take it ([`group_size`]).
//!
//! **Where.** On active nodes only. In as many zones as can be; a node without a zone is one by itself.
//! The numbers of replicas of two nodes differ by one at most, where zones allow. What is where it may
//! be stays there: nothing moves but for one of these reasons.
//!
//! While a cluster is too small to have more than one replica though it should, nothing is evened
//! out: the next node will get everything anyway.

mod drain;
mod leaders;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::node::{NodeId, NodeSet, NodeState, Zone};
use crate::shards::ShardId;
use crate::topology::{Replicas, ReplicationFactor, Topology};

pub use drain::check_drain;
pub use leaders::{Burden, Choice, next_transfer, spread_leaders};

/// Where the replicas of all groups should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    groups: BTreeMap<ShardId, Wanted>,
}

/// Where the replicas of one group should be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Who should vote.
    pub voters: NodeSet,
    /// Who should lead, if leaders were chosen now and not kept where they are.
    pub leader: Option<NodeId>,
}

impl Placement {
    /// What is wanted of a group.
    pub fn of(&self, shard: ShardId) -> Option<&Wanted> {
        self.groups.get(&shard)
    }

    /// What is wanted of each group.
    pub fn groups(&self) -> impl ExactSizeIterator<Item = (ShardId, &Wanted)> {
        self.groups.iter().map(|(shard, wanted)| (*shard, wanted))
    }
}

/// Where replicas should be. Moves under way count as made.
pub fn wanted(topology: &Topology) -> Placement {
    let voters = wanted_voters(topology);
    let choices: Vec<_> = voters
        .iter()
        .zip(topology.groups())
        .map(|(voters, (shard, group))| Choice {
            candidates: voters.clone(),
            pinned: group.pinned,
            current: None,
            burden: Burden::of(shard),
        })
        .collect();
    let leaders = spread_leaders(&choices);
    let wanted = voters.into_iter().zip(leaders).map(|(voters, leader)| Wanted { voters, leader });
    Placement { groups: topology.groups().map(|(shard, _)| shard).zip(wanted).collect() }
}

/// The voters of [`wanted`], by group.
pub(crate) fn wanted_voters(topology: &Topology) -> Vec<NodeSet> {
    let mut plan = Plan::new(topology);
    if plan.held.is_empty() {
        return topology.groups().map(|(_, group)| group.outcome()).collect();
    }
    plan.trim();
    plan.fill();
    plan.part_zones();
    plan.even_out();
    plan.keep_places_of_the_gone();
    plan.seats.into_iter().map(|seat| seat.voters).collect()
}

/// How many voters a group should have, when `active` nodes could hold one, `kept` of them do, and
/// `lost` of its voters are gone.
///
/// The greatest odd number that neither the factor nor the active nodes exceed; but if that would be
/// fewer than the copies that live, places of the gone are kept, so that their number stays odd.
pub fn group_size(factor: ReplicationFactor, active: usize, kept: usize, lost: usize) -> usize {
    let factor = usize::from(factor.get());
    let mut size = odd(factor.min(active));
    while size < kept.min(factor) && size + 2 <= factor.min(active + lost) {
        size += 2;
    }
    size
}

fn odd(count: usize) -> usize {
    if count.is_multiple_of(2) { count.saturating_sub(1) } else { count }
}

/// A placement in the making.
struct Plan<'t> {
    zones: BTreeMap<NodeId, Option<&'t Zone>>,
    /// Of each active node, the groups of which it has a replica, by their place in `seats`.
    held: BTreeMap<NodeId, BTreeSet<usize>>,
    /// One for each group.
    seats: Vec<Seat>,
}

struct Seat {
    /// Who had a replica, active or not.
    before: NodeSet,
    /// Whose place may be kept.
    gone: NodeSet,
    voters: NodeSet,
    size: usize,
    balance: Balance,
}

/// Whether a group's replicas move for the sake of balance.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Balance {
    Even,
    /// The cluster is too small for the group's factor.
    Leave,
}

impl<'t> Plan<'t> {
    fn new(topology: &'t Topology) -> Plan<'t> {
        let active = || topology.nodes().filter(|node| node.state == NodeState::Active);
        let mut plan = Plan {
            zones: active().map(|node| (node.id, node.zone.as_ref())).collect(),
            held: active().map(|node| (node.id, BTreeSet::new())).collect(),
            seats: Vec::new(),
        };
        let gone = topology.nodes_in(NodeState::Gone);
        for (index, (shard, group)) in topology.groups().enumerate() {
            let seat = plan.seat(topology.factor_of(shard), group, &gone);
            seat.voters.iter().for_each(|&node| plan.note(index, node));
            plan.seats.push(seat);
        }
        plan
    }

    fn seat(&self, factor: ReplicationFactor, group: &Replicas, gone: &NodeSet) -> Seat {
        let before = group.outcome();
        let voters: NodeSet =
            before.iter().copied().filter(|node| self.held.contains_key(node)).collect();
        let gone: NodeSet = before.intersection(gone).copied().collect();
        let size = group_size(factor, self.held.len(), voters.len(), gone.len());
        let too_small = size == 1 && factor != ReplicationFactor::One;
        let balance = if too_small { Balance::Leave } else { Balance::Even };
        Seat { before, gone, voters, size, balance }
    }

    /// Groups that have more replicas than they should give up some.
    fn trim(&mut self) {
        for index in 0..self.seats.len() {
            while self.seats[index].voters.len() > self.seats[index].size {
                let seat = &self.seats[index];
                let worst = seat.voters.iter().copied().max_by_key(|&node| {
                    (self.conflicts(&seat.voters, node), self.load(node), node)
                });
                self.take(index, worst.expect("it has more than it should"));
            }
        }
    }

    /// Groups that have fewer get more.
    fn fill(&mut self) {
        for index in 0..self.seats.len() {
            while self.seats[index].voters.len() < self.seats[index].size {
                let Some(node) = self.best_addition(&self.seats[index].voters) else { break };
                self.give(index, node);
            }
        }
    }

    fn best_addition(&self, voters: &NodeSet) -> Option<NodeId> {
        let others = self.held.keys().copied().filter(|node| !voters.contains(node));
        others.min_by_key(|&node| (self.conflicts(voters, node), self.load(node), node))
    }

    /// Replicas that share a zone without need are parted.
    fn part_zones(&mut self) {
        for index in 0..self.seats.len() {
            while let Some((from, to)) = self.better_zone(&self.seats[index]) {
                self.take(index, from);
                self.give(index, to);
            }
        }
    }

    fn better_zone(&self, seat: &Seat) -> Option<(NodeId, NodeId)> {
        let crowded = |&node: &NodeId| (self.conflicts(&seat.voters, node), self.load(node), node);
        let from = seat.voters.iter().copied().max_by_key(crowded)?;
        let mut without = seat.voters.clone();
        without.remove(&from);
        let to = self.best_addition(&without)?;
        (self.conflicts(&without, to) < self.conflicts(&without, from)).then_some((from, to))
    }

    /// From nodes with many replicas to nodes with few, until no such move helps.
    fn even_out(&mut self) {
        while let Some((index, from, to)) = self.better_balance() {
            self.take(index, from);
            self.give(index, to);
        }
    }

    fn better_balance(&self) -> Option<(usize, NodeId, NodeId)> {
        let mut nodes: Vec<_> = self.held.keys().map(|&node| (self.load(node), node)).collect();
        nodes.sort_unstable();
        for &(most, from) in nodes.iter().rev() {
            for &(least, to) in nodes.iter().take_while(|(least, _)| least + 2 <= most) {
                debug_assert!(least < most);
                if let Some(index) = self.movable(from, to) {
                    return Some((index, from, to));
                }
            }
        }
        None
    }

    /// The group that had better move its replica from the one node to the other: one whose replica
    /// is not there yet, or was on the other before, as these cost nothing.
    fn movable(&self, from: NodeId, to: NodeId) -> Option<usize> {
        let moves = |seat: &Seat| {
            seat.balance == Balance::Even
                && !seat.voters.contains(&to)
                && self.zones_allow(seat, from, to)
        };
        let cost = |seat: &Seat| {
            i8::from(seat.before.contains(&from)) - i8::from(seat.before.contains(&to))
        };
        let held = self.held[&from].iter().map(|&index| (index, &self.seats[index]));
        let candidates = held.filter(|(_, seat)| moves(seat));
        candidates.min_by_key(|(index, seat)| (cost(seat), *index)).map(|(index, _)| index)
    }

    fn zones_allow(&self, seat: &Seat, from: NodeId, to: NodeId) -> bool {
        if self.zones[&from] == self.zones[&to] && self.zones[&to].is_some() {
            return true;
        }
        let mut without = seat.voters.clone();
        without.remove(&from);
        self.conflicts(&without, to) <= self.conflicts(&without, from)
    }

    /// Where not enough active nodes are, those that are gone stay in the list.
    fn keep_places_of_the_gone(&mut self) {
        for seat in &mut self.seats {
            let missing = seat.size.saturating_sub(seat.voters.len());
            seat.voters.extend(seat.gone.iter().take(missing));
        }
    }

    /// With how many others of `voters` the node shares its zone.
    fn conflicts(&self, voters: &NodeSet, node: NodeId) -> usize {
        let Some(zone) = self.zones[&node] else { return 0 };
        let others = voters.iter().filter(|&&other| other != node);
        others.filter(|other| self.zones[other] == Some(zone)).count()
    }

    /// How many replicas an active node has.
    fn load(&self, node: NodeId) -> usize {
        self.held[&node].len()
    }

    fn give(&mut self, index: usize, node: NodeId) {
        self.seats[index].voters.insert(node);
        self.note(index, node);
    }

    fn take(&mut self, index: usize, node: NodeId) {
        self.seats[index].voters.remove(&node);
        self.held.get_mut(&node).expect("only active nodes have a seat").remove(&index);
    }

    fn note(&mut self, index: usize, node: NodeId) {
        self.held.get_mut(&node).expect("only active nodes have a seat").insert(index);
    }
}
