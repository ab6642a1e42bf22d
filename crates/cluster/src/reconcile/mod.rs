//! The reconciler: compares what is wanted with what is, and says what to do next.
//!
//! ```text
//!  Log(BeginMove) ─▶ AddLearner … ─▶ (they catch up) ─▶ TransferLeader ─▶ ChangeVoters ─▶ Log(FinishMove)
//!        in the meta group              in the group      if it leaves     all at once
//!                                            │
//!                    a new node died or left └─▶ RemoveLearner … ─▶ Log(AbortMove)
//! ```
//!
//! It keeps nothing in mind: each step is found anew from the [`Topology`] and from what was
//! [`Observed`]. So it may be cut off anywhere, and another node's reconciler goes on. Whoever drives it
//! takes a step, waits until it was done or failed, looks again, and asks for the next one; a step
//! that was done twice does nothing the second time. A shard left out of [`Observed::shards`] is left
//! alone, which is how to rest one whose last step failed.
//!
//! # Invariants
//! - A group has one move at a time, and within it one change of its membership at a time.
//! - Voters change only to a set of which a majority is reachable, and whose new members have caught up. A
//!   leader that is to lose its vote hands over first.
//! - No node takes part in copying, as sender or receiver, for more groups than [`Limits`] allow.
//! - A node is removed only when nobody lists it any more: neither topology nor a group.
//! - A silent node is given up only if each of its groups has a majority without it.

mod course;
mod split;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

use crate::node::{NodeId, NodeSet, NodeState};
use crate::placement::{Burden, Choice, next_transfer, wanted_voters};
use crate::reconcile::course::Course;
use crate::shards::ShardId;
use crate::topology::{Change, Damage, Move, Replicas, Topology};

/// What was seen of the cluster, a short time ago.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Observed {
    /// How nodes are. One that is not listed counts as unreachable.
    pub nodes: BTreeMap<NodeId, NodeSight>,
    /// How groups are, of those whose leader was seen.
    pub shards: BTreeMap<ShardId, ShardSight>,
}

/// How a node was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NodeSight {
    /// It answers.
    Reachable,
    /// It does not, for now.
    Unreachable,
    /// It won't again: nobody waits for it any more.
    Lost,
}

/// How a group was seen by its leader.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShardSight {
    /// The leader.
    pub leader: NodeId,
    /// The voters that the group has committed.
    pub voters: NodeSet,
    /// Who follows without a vote.
    pub learners: NodeSet,
    /// Voters and learners that have all, or nearly all, that the leader has.
    pub caught_up: NodeSet,
    /// Whether its membership is settled.
    pub membership: Membership,
    /// The shards that have slots which were its own.
    pub split_off: BTreeSet<ShardId>,
}

/// Whether a group's membership is settled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Membership {
    /// The newest one is committed.
    Settled,
    /// A change is on its way.
    Changing,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Let the meta group log this change.
    Log(Change),
    /// Let the group's leader send everything to a node, which has no vote.
    AddLearner {
        /// The group.
        shard: ShardId,
        /// Who learns.
        node: NodeId,
    },
    /// Give the group these voters, by joint consensus, and forget who is not among them.
    ChangeVoters {
        /// The group.
        shard: ShardId,
        /// All its voters from now on.
        voters: NodeSet,
    },
    /// Let the group forget a node without a vote.
    RemoveLearner {
        /// The group.
        shard: ShardId,
        /// Who.
        node: NodeId,
    },
    /// Let the group log that its slots from those of another shard on are that one's.
    Split {
        /// The group.
        shard: ShardId,
        /// Whose they are then.
        into: ShardId,
    },
    /// Let the group's leader hand over.
    TransferLeader {
        /// The group.
        shard: ShardId,
        /// To whom.
        to: NodeId,
    },
}

/// How much may go on at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For how many groups a node may send or receive copies at once. At least 1.
    pub copies_per_node: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { copies_per_node: 2 }
    }
}

impl Observed {
    /// How a node was seen.
    pub fn sight(&self, node: NodeId) -> NodeSight {
        self.nodes.get(&node).copied().unwrap_or(NodeSight::Unreachable)
    }

    fn reaches(&self, node: NodeId) -> bool {
        self.sight(node) == NodeSight::Reachable
    }

    /// Whether a majority of `voters` answers.
    fn reaches_majority(&self, voters: &NodeSet) -> bool {
        let reached = voters.iter().filter(|&&node| self.reaches(node)).count();
        reached * 2 > voters.len()
    }
}

/// The next step, if there is one to take now. None also while something is waited for.
pub fn next_step(topology: &Topology, observed: &Observed, limits: Limits) -> Option<Step> {
    let view = View { topology, observed, limits };
    view.node_on_its_way()
        .or_else(|| view.running_move())
        .or_else(|| view.correction())
        .or_else(|| view.noted_split())
        .or_else(|| view.new_split())
        .or_else(|| view.new_move())
        .or_else(|| view.leader())
        .or_else(|| view.removal())
}

struct View<'v> {
    topology: &'v Topology,
    observed: &'v Observed,
    limits: Limits,
}

impl<'v> View<'v> {
    /// Groups of which something was seen.
    fn seen(&self) -> impl Iterator<Item = (ShardId, &'v Replicas, &'v ShardSight)> + use<'v> {
        let observed = self.observed;
        let groups = self.topology.groups();
        groups.filter_map(|(shard, group)| Some((shard, group, observed.shards.get(&shard)?)))
    }

    /// Those whose membership is settled.
    fn settled(&self) -> impl Iterator<Item = (ShardId, &'v Replicas, &'v ShardSight)> + use<'v> {
        self.seen().filter(|(_, _, sight)| sight.membership == Membership::Settled)
    }

    fn state(&self, node: NodeId) -> Option<NodeState> {
        self.topology.node(node).map(|node| node.state)
    }

    fn node_on_its_way(&self) -> Option<Step> {
        self.topology.nodes().find_map(|node| {
            let state = match (node.state, self.observed.sight(node.id)) {
                (NodeState::Gone, _) => return None,
                (_, NodeSight::Lost) if self.can_spare(node.id) => NodeState::Gone,
                (NodeState::Joining, NodeSight::Reachable) => NodeState::Active,
                _ => return None,
            };
            Some(Step::Log(Change::SetNodeState { node: node.id, state }))
        })
    }

    /// Whether a majority of each of a node's groups is there without it. What is given up may never come back, though
    /// its disk has what else is nowhere; and of a group without a majority no replica can be made anew.
    fn can_spare(&self, node: NodeId) -> bool {
        let stays = |voter: &&NodeId| {
            **voter != node
                && self.observed.reaches(**voter)
                && self.topology.damage(**voter) != Some(Damage::Goes)
        };
        let noted = self.topology.groups().map(|(_, group)| &group.voters);
        let seen = self.observed.shards.values().map(|sight| &sight.voters);
        let mut groups = noted.chain(seen).filter(|voters| voters.contains(&node));
        groups.all(|voters| voters.iter().filter(stays).count() * 2 > voters.len())
    }

    fn running_move(&self) -> Option<Step> {
        self.settled().find_map(|(shard, group, sight)| {
            let step = group.running.as_ref()?;
            Course { view: self, shard, group, step, sight }.next()
        })
    }

    /// Where group and topology differ though no move is under way: the group is right about voters, the
    /// topology about learners.
    fn correction(&self) -> Option<Step> {
        let idle = self.settled().filter(|(_, group, _)| group.running.is_none());
        idle.into_iter().find_map(|(shard, group, sight)| {
            let known = sight.voters.iter().all(|&node| self.state(node).is_some());
            if sight.voters != group.voters && known {
                let voters = sight.voters.clone();
                return Some(Step::Log(Change::AdoptVoters { shard, voters }));
            }
            let stray = sight.learners.first();
            stray.map(|&node| Step::RemoveLearner { shard, node })
        })
    }

    /// Begins the most urgent move: that of the group with the fewest voters to spare.
    fn new_move(&self) -> Option<Step> {
        let busy = self.busy();
        let shards = self.topology.groups().map(|(shard, _)| shard);
        let wanted: BTreeMap<_, _> = shards.zip(wanted_voters(self.topology)).collect();
        let idle = self.settled().filter(|(_, group, _)| group.running.is_none());
        let moves = idle.filter_map(|(shard, group, sight)| {
            let step = self.move_towards(&group.voters, wanted.get(&shard)?, &busy)?;
            let copies = !step.add.is_empty();
            let room = |node| busy.get(&node).copied().unwrap_or(0) < self.limits.copies_per_node;
            if copies && !(room(sight.leader) && step.add.iter().all(|&node| room(node))) {
                return None;
            }
            let reached = group.voters.iter().filter(|&&node| self.observed.reaches(node)).count();
            // Majority is what counts: how many more may fail.
            let spare = reached.saturating_sub(group.voters.len() / 2 + 1);
            Some((spare, shard, step))
        });
        let (_, shard, step) = moves.min_by_key(|(spare, shard, _)| (*spare, *shard))?;
        Some(Step::Log(Change::BeginMove { shard, step }))
    }

    /// In how many copies each node takes part.
    fn busy(&self) -> BTreeMap<NodeId, usize> {
        let mut busy = BTreeMap::new();
        for (shard, group) in self.topology.groups() {
            let Some(step) = group.running.as_ref().filter(|step| !step.add.is_empty()) else {
                continue;
            };
            let leader = self.observed.shards.get(&shard).map(|sight| sight.leader);
            let leader = leader.filter(|leader| !step.add.contains(leader));
            for &node in step.add.iter().chain(&leader) {
                *busy.entry(node).or_default() += 1;
            }
        }
        busy
    }

    /// A move from some voters towards others. It swaps one for one, or grows to the next odd number, or
    /// gives up what is too many; so the number of voters stays odd if it was.
    fn move_towards(
        &self,
        voters: &NodeSet,
        wanted: &NodeSet,
        busy: &BTreeMap<NodeId, usize>,
    ) -> Option<Move> {
        let load = |node: &NodeId| busy.get(node).copied().unwrap_or(0);
        let mut add: Vec<_> = wanted.difference(voters).copied().collect();
        add.sort_by_key(|node| (load(node), *node));
        let mut remove: Vec<_> = voters.difference(wanted).copied().collect();
        remove.sort_by_key(|&node| (self.worth(node), node));
        if add.is_empty() && remove.is_empty() {
            return None;
        }
        let reachable = add.iter().copied().filter(|&node| self.observed.reaches(node));
        let missing = wanted.len().saturating_sub(voters.len());
        let (added, removed) = match missing {
            0 if add.is_empty() => (0, remove.len()),
            0 => (1, 1),
            _ if missing.is_multiple_of(2) => (2, 0),
            _ => (1, 0),
        };
        let add: NodeSet = reachable.take(added).collect();
        let remove = remove.into_iter().take(removed).collect();
        let step = Move { add, remove };
        let complete = step.add.len() == added;
        (complete && self.observed.reaches_majority(&step.outcome(voters))).then_some(step)
    }

    /// What a replica on this node is worth: the least goes first.
    fn worth(&self, node: NodeId) -> u8 {
        match (self.state(node), self.observed.reaches(node)) {
            (None | Some(NodeState::Gone), _) => 0,
            (_, false) => 1,
            (Some(NodeState::Draining), _) => 2,
            _ => 3,
        }
    }

    /// Hands over one leadership for the sake of balance.
    fn leader(&self) -> Option<Step> {
        let (shards, choices): (Vec<_>, Vec<_>) = self
            .seen()
            .map(|(shard, group, sight)| (shard, self.choice(shard, group, sight)))
            .unzip();
        let (index, to) = next_transfer(&choices)?;
        Some(Step::TransferLeader { shard: shards[index], to })
    }

    /// Who may lead a group: who is there, is to stay, and has what the leader has.
    fn choice(&self, shard: ShardId, group: &Replicas, sight: &ShardSight) -> Choice {
        let able = |node: &NodeId| {
            self.observed.reaches(*node) && sight.caught_up.contains(node) && self.stays(*node)
        };
        let moving = group.running.is_some() || sight.membership == Membership::Changing;
        let candidates = match moving {
            true => NodeSet::from([sight.leader]),
            false => sight
                .voters
                .iter()
                .filter(|node| able(node) || **node == sight.leader && self.stays(**node))
                .copied()
                .collect(),
        };
        let current = Some(sight.leader);
        Choice { candidates, pinned: group.pinned, current, burden: Burden::of(shard) }
    }

    /// Whether a node is neither on its way out nor damaged, so that it could send no copy.
    fn stays(&self, node: NodeId) -> bool {
        self.state(node) == Some(NodeState::Active) && self.topology.damage(node).is_none()
    }

    /// Removes a node that was drained or is gone, and that nobody lists any more.
    fn removal(&self) -> Option<Step> {
        let leaving = |state| matches!(state, NodeState::Draining | NodeState::Gone);
        let mut nodes = self.topology.nodes().filter(|node| leaving(node.state));
        let empty = nodes.find(|node| {
            let listed = |sight: &ShardSight| {
                sight.voters.contains(&node.id) || sight.learners.contains(&node.id)
            };
            self.topology.groups_of(node.id).next().is_none()
                && !self.observed.shards.values().any(listed)
        });
        empty.map(|node| Step::Log(Change::RemoveNode { node: node.id }))
    }
}
