//! A model of a cluster: nodes that are up, paused or dead, groups that elect and copy, and a log of
//! changes.
//!
//! It does what a step says as the real parts would, and refuses to go on when a step breaks a rule.

use std::collections::{BTreeMap, BTreeSet};

use aryavarth_cluster::{
    Applied, Change, ClusterId, Incarnation, Limits, META_GROUP, Membership, NewNode, NodeId,
    NodeSet, NodeSight, NodeState, Observed, ReplicationFactor, ShardCount, ShardId, ShardSight,
    Sharding, Step, Topology, Zone, next_step, wanted,
};

const LIMITS: Limits = Limits { copies_per_node: 2 };
/// Ticks until a copy has arrived.
const COPYING: u8 = 3;

/// Whether a step is carried out.
#[derive(Clone, Copy, Debug)]
pub enum Fate {
    Done,
    /// Whoever drives is cut off before.
    Lost,
    /// Whoever drives is cut off behind, and another does the same again.
    DoneTwice,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Life {
    Up,
    Paused,
    Dead,
}

#[derive(Clone, Debug)]
struct Group {
    voters: NodeSet,
    /// A change of the voters that is not committed yet.
    pending: Option<NodeSet>,
    learners: NodeSet,
    /// Ticks until who is behind has caught up.
    behind: BTreeMap<NodeId, u8>,
    leader: Option<NodeId>,
    /// The shards that have slots which were its own.
    split_off: BTreeSet<ShardId>,
}

pub struct World {
    topology: Topology,
    lives: BTreeMap<NodeId, Life>,
    groups: BTreeMap<ShardId, Group>,
}

fn new_node(id: u64, zone: Option<Zone>) -> NewNode {
    NewNode {
        id: NodeId(id),
        incarnation: Incarnation(id * 7),
        client: format!("node-{id}:6379").parse().unwrap(),
        peer: format!("node-{id}:16379").parse().unwrap(),
        zone,
    }
}

impl World {
    pub fn new(shards: u16, factor: u8) -> World {
        World::found(Sharding::Fixed(ShardCount::new(shards).unwrap()), factor)
    }

    /// One that has one shard at first, and comes to have as many as nodes, but so many at most.
    pub fn growing(most: u16, factor: u8) -> World {
        World::found(Sharding::Growing(ShardCount::new(most).unwrap()), factor)
    }

    fn found(shards: Sharding, factor: u8) -> World {
        let factor = ReplicationFactor::new(factor).unwrap();
        let group = || Group {
            voters: NodeSet::from([NodeId(1)]),
            pending: None,
            learners: NodeSet::new(),
            behind: BTreeMap::new(),
            leader: Some(NodeId(1)),
            split_off: BTreeSet::new(),
        };
        let topology = Topology::found(ClusterId(1), shards, factor, new_node(1, None));
        World {
            groups: topology.groups().map(|(shard, _)| (shard, group())).collect(),
            topology,
            lives: BTreeMap::from([(NodeId(1), Life::Up)]),
        }
    }

    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    pub fn leader(&self, shard: ShardId) -> Option<NodeId> {
        self.groups[&shard].leader
    }

    fn group(&mut self, shard: ShardId) -> &mut Group {
        self.groups.get_mut(&shard).expect("steps are for groups that there are")
    }

    fn shards(&self) -> Vec<ShardId> {
        self.groups.keys().copied().collect()
    }

    fn pick_group(&self, which: u8) -> ShardId {
        // Of those that the topology has: a group that was just split off may not be noted yet.
        let groups: Vec<_> = self.topology.groups().map(|(shard, _)| shard).collect();
        groups[usize::from(which) % groups.len()]
    }

    // --- what happens ---

    /// A node joins, in one of three zones or in none.
    pub fn join(&mut self, zone: u8) {
        if self.lives.len() >= 12 {
            return;
        }
        let id = self.topology.next_node();
        let zone = ["a", "b", "c"].get(usize::from(zone)).map(|label| Zone::new(label).unwrap());
        self.log(&Change::AddNode(new_node(id.0, zone)));
        self.lives.insert(id, Life::Up);
    }

    pub fn put(&mut self, which: u8, state: NodeState) {
        let node = self.pick(which);
        let _ = self.topology.apply(&Change::SetNodeState { node, state }); // refused if it can't be
    }

    pub fn pin(&mut self, group: u8, which: u8) {
        let shard = self.pick_group(group);
        let voters = &self.topology.replicas(shard).unwrap().voters;
        let leader = voters.iter().nth(usize::from(which) % (voters.len() + 1)).copied();
        self.log(&Change::SetWantedLeader { shard, leader });
    }

    /// A node dies for good, unless that takes a group's majority with it.
    pub fn die(&mut self, which: u8) {
        let node = self.pick(which);
        let before = self.lives.insert(node, Life::Dead);
        if !self.groups.values().all(|group| self.is_alive(group)) {
            self.lives.extend(before.map(|life| (node, life)));
            return;
        }
        self.elect_all();
    }

    pub fn pause(&mut self, which: u8) {
        let node = self.pick(which);
        if self.lives[&node] == Life::Up {
            self.lives.insert(node, Life::Paused);
            self.elect_all();
        }
    }

    pub fn resume(&mut self, which: u8) {
        let node = self.pick(which);
        if self.lives[&node] == Life::Paused {
            self.lives.insert(node, Life::Up);
            for group in self.groups.values_mut() {
                if group.voters.contains(&node) || group.learners.contains(&node) {
                    group.behind.insert(node, 1);
                }
            }
            self.elect_all();
        }
    }

    pub fn resume_all(&mut self) {
        let count = self.topology.nodes().len() as u8;
        (0..count).for_each(|which| self.resume(which));
    }

    /// A group elects another leader, as it may at any time.
    pub fn elect(&mut self, group: u8, which: u8) {
        let index = self.pick_group(group);
        let able: Vec<_> = self.groups[&index].voters.iter().copied().collect();
        let node = able[usize::from(which) % able.len()];
        if self.is_up(node) && !self.groups[&index].behind.contains_key(&node) {
            self.group(index).leader = Some(node);
        }
        self.elect_all();
    }

    pub fn log(&mut self, change: &Change) {
        self.topology.apply(change).unwrap();
    }

    /// Time passes.
    pub fn tick(&mut self) {
        for index in self.shards() {
            if self.groups[&index].leader.is_none() {
                continue;
            }
            if self.groups[&index].pending.as_ref().is_some_and(|voters| self.majority_up(voters)) {
                let group = self.group(index);
                group.voters = group.pending.take().unwrap();
                let voters = &group.voters;
                group
                    .behind
                    .retain(|node, _| voters.contains(node) || group.learners.contains(node));
            }
            let (lives, groups) = (&self.lives, &mut self.groups);
            let behind = groups.get_mut(&index).map(|group| &mut group.behind);
            behind.into_iter().for_each(|behind| {
                behind.retain(|node, ticks| {
                    if lives[node] == Life::Up {
                        *ticks -= 1;
                    }
                    *ticks > 0
                });
            });
        }
        self.elect_all();
        self.check();
    }

    // --- the reconciler's work ---

    /// One step; what it was.
    pub fn step(&mut self, fate: Fate) -> Option<Step> {
        let step = next_step(&self.topology, &self.observed(), LIMITS)?;
        match fate {
            Fate::Lost => {}
            Fate::Done => self.take(&step, Applied::Changed),
            Fate::DoneTwice => {
                self.take(&step, Applied::Changed);
                if matches!(step, Step::Log(_)) {
                    self.take(&step, Applied::Unchanged);
                }
            }
        }
        self.check();
        Some(step)
    }

    /// Steps and time, until nothing is left to do; all the steps.
    pub fn settle(&mut self) -> Vec<Step> {
        let mut steps = Vec::new();
        let mut quiet = 0;
        let bound = 100 + 40 * self.groups.len() * (self.lives.len() + 1);
        while quiet <= 2 * COPYING {
            match self.step(Fate::Done) {
                Some(step) => {
                    steps.push(step);
                    quiet = 0;
                }
                None => {
                    self.tick();
                    quiet += 1;
                }
            }
            assert!(
                steps.len() < bound,
                "it does not end: {:?} with {:?}",
                &steps[steps.len() - 12..],
                self.groups
            );
        }
        steps
    }

    /// Takes the steps that nodes go through as they come and die.
    pub fn greet(&mut self) {
        loop {
            match next_step(&self.topology, &self.observed(), LIMITS) {
                Some(step @ Step::Log(Change::SetNodeState { .. })) => {
                    self.take(&step, Applied::Changed);
                }
                _ => return,
            }
        }
    }

    fn take(&mut self, step: &Step, expected: Applied) {
        let has_meta = self.groups[&ShardId(0)].leader.is_some();
        match step {
            Step::Log(_) if !has_meta => {}
            Step::Log(change) => {
                self.check_change(change);
                assert_eq!(self.topology.apply(change), Ok(expected), "{change:?}");
                assert_eq!(self.topology.validate(), Ok(()));
            }
            Step::AddLearner { shard, node } => {
                assert!(self.is_up(*node));
                let group = self.settled(*shard);
                assert!(!group.voters.contains(node), "{node} has a vote already");
                assert!(group.learners.insert(*node), "{node} learns already");
                group.behind.insert(*node, COPYING);
                self.check_copies();
            }
            Step::RemoveLearner { shard, node } => {
                let group = self.settled(*shard);
                assert!(group.learners.remove(node), "{node} does not learn");
                group.behind.remove(node);
            }
            Step::ChangeVoters { shard, voters } => self.change_voters(*shard, voters),
            Step::Split { shard, into } => {
                assert!(!self.groups.contains_key(into), "{into} is there already");
                let group = self.settled(*shard);
                assert!(group.learners.is_empty() && group.behind.is_empty());
                group.split_off.insert(*into);
                let group = Group { split_off: BTreeSet::new(), ..group.clone() };
                self.groups.insert(*into, group);
            }
            Step::TransferLeader { shard, to } => {
                assert!(self.is_up(*to));
                let group = self.settled(*shard);
                assert!(group.voters.contains(to) && !group.behind.contains_key(to));
                assert_ne!(group.leader, Some(*to));
                group.leader = Some(*to);
            }
        }
    }

    fn change_voters(&mut self, shard: ShardId, voters: &NodeSet) {
        assert!(self.majority_up(voters), "{voters:?} could not commit");
        let group = self.settled(shard);
        let leader = group.leader.unwrap();
        assert!(voters.contains(&leader), "the leader of {shard} takes its own vote");
        for node in voters.difference(&group.voters) {
            assert!(group.learners.contains(node) && !group.behind.contains_key(node));
        }
        assert_ne!(*voters, group.voters);
        // Two voters only on the way from one to another.
        let replaces_the_only_one = group.voters.len() == 1 && voters.is_superset(&group.voters);
        assert!(voters.len() % 2 == 1 || replaces_the_only_one, "{voters:?}");
        group.learners.retain(|node| !voters.contains(node));
        group.pending = Some(voters.clone());
    }

    /// The group, of which nothing may be changed while a change is on its way.
    fn settled(&mut self, shard: ShardId) -> &mut Group {
        let group = self.group(shard);
        assert!(
            group.leader.is_some() && group.pending.is_none(),
            "two changes of {shard} at once"
        );
        group
    }

    fn observed(&self) -> Observed {
        let sight = |(&node, &life): (&NodeId, &Life)| {
            let sight = match life {
                Life::Up => NodeSight::Reachable,
                Life::Paused => NodeSight::Unreachable,
                Life::Dead => NodeSight::Lost,
            };
            (node, sight)
        };
        let shard = |(shard, group): (&ShardId, &Group)| {
            let members = group.voters.union(&group.learners);
            let sight = ShardSight {
                leader: group.leader?,
                voters: group.voters.clone(),
                learners: group.learners.clone(),
                caught_up: members
                    .filter(|node| !group.behind.contains_key(node))
                    .copied()
                    .collect(),
                membership: match group.pending {
                    Some(_) => Membership::Changing,
                    None => Membership::Settled,
                },
                split_off: group.split_off.clone(),
            };
            Some((*shard, sight))
        };
        Observed {
            nodes: self.lives.iter().map(sight).collect(),
            shards: self.groups.iter().filter_map(shard).collect(),
        }
    }

    // --- rules ---

    fn check_change(&self, change: &Change) {
        match change {
            Change::RemoveNode { node } => {
                let lists = |group: &Group| {
                    group.voters.contains(node)
                        || group.learners.contains(node)
                        || group.pending.as_ref().is_some_and(|voters| voters.contains(node))
                };
                // A group without a leader was not seen, and has no say in the topology's list.
                let mut seen = self.groups.values().filter(|group| group.leader.is_some());
                assert!(!seen.any(lists), "{node} is removed while a group lists it");
            }
            Change::AdoptVoters { .. } => panic!("topology and group have come apart: {change:?}"),
            _ => {}
        }
    }

    /// Every group that had a majority alive has one.
    fn check(&self) {
        for (shard, group) in &self.groups {
            assert!(self.is_alive(group), "shard {shard} has lost its majority: {group:?}");
        }
    }

    /// No node receives more copies at once than it may.
    fn check_copies(&self) {
        for node in self.lives.keys() {
            let copying =
                self.groups.values().filter(|group| group.learners.contains(node)).count();
            assert!(copying <= LIMITS.copies_per_node, "{node} receives {copying} copies");
        }
    }

    /// There is a shard for each node, if there may be, once there are nodes for all copies.
    pub fn assert_grown(&self) {
        let active = self.topology.nodes_in(NodeState::Active).len();
        let copies = usize::from(self.topology.replication_factor().get());
        let shards = self.topology.shards();
        let least = if active < copies { 1 } else { active.min(usize::from(shards.most().get())) };
        assert!(shards.count() >= least, "{active} nodes: {shards:?}");
    }

    pub fn assert_as_wanted(&self) {
        let placement = wanted(&self.topology);
        let active = self.topology.nodes_in(NodeState::Active);
        for (shard, group) in self.topology.groups() {
            let wanted = &placement.of(shard).unwrap().voters;
            let actual = &self.groups[&shard];
            assert_eq!(group.running, None, "shard {shard}");
            assert_eq!(&group.voters, wanted, "shard {shard}");
            assert_eq!(&actual.voters, wanted, "shard {shard}");
            assert!(actual.learners.is_empty() && actual.pending.is_none(), "shard {shard}");
            let pinned = group.pinned.filter(|node| active.contains(node));
            assert!(pinned.is_none() || actual.leader == pinned, "shard {shard} is pinned");
        }
        for node in self.topology.nodes() {
            let holds = self.topology.groups_of(node.id).next().is_some();
            match node.state {
                NodeState::Active => assert_eq!(self.lives[&node.id], Life::Up),
                NodeState::Joining => panic!("{node:?} was not welcomed"),
                NodeState::Draining => assert!(active.is_empty(), "{node:?} was not emptied"),
                NodeState::Gone => assert!(holds, "{node:?} was not removed"),
            }
        }
    }

    /// By how much the numbers of shards that nodes lead differ.
    pub fn leaders_spread(&self) -> usize {
        let shards = || self.groups.iter().filter(|(shard, _)| **shard != META_GROUP);
        let led = |node| shards().filter(|(_, group)| group.leader == Some(node)).count();
        let led: Vec<_> = self.topology.nodes().map(|node| led(node.id)).collect();
        led.iter().max().unwrap() - led.iter().min().unwrap()
    }

    pub fn copies_wanted(&self) -> usize {
        let placement = wanted(&self.topology);
        let groups = self.topology.groups().zip(placement.groups());
        groups.map(|((_, group), (_, wanted))| (&wanted.voters - &group.voters).len()).sum()
    }

    pub fn groups_to_change(&self) -> usize {
        let placement = wanted(&self.topology);
        let groups = self.topology.groups().zip(placement.groups());
        groups.filter(|((_, group), (_, wanted))| group.voters != wanted.voters).count()
    }

    // --- elections ---

    fn pick(&self, which: u8) -> NodeId {
        let nodes: Vec<_> = self.topology.nodes().map(|node| node.id).collect();
        nodes[usize::from(which) % nodes.len()]
    }

    fn is_up(&self, node: NodeId) -> bool {
        self.lives[&node] == Life::Up
    }

    fn majority_up(&self, voters: &NodeSet) -> bool {
        voters.iter().filter(|node| self.is_up(**node)).count() * 2 > voters.len()
    }

    /// Whether the group can still come to a decision, if all that are paused resume.
    fn is_alive(&self, group: &Group) -> bool {
        [Some(&group.voters), group.pending.as_ref()].into_iter().flatten().all(|voters| {
            voters.iter().filter(|node| self.lives[node] != Life::Dead).count() * 2 > voters.len()
        })
    }

    /// Groups whose leader can't lead choose another, or have none.
    fn elect_all(&mut self) {
        for index in self.shards() {
            let group = &self.groups[&index];
            let sets = [Some(&group.voters), group.pending.as_ref()];
            let decides = sets.into_iter().flatten().all(|voters| self.majority_up(voters));
            let able = |node: &NodeId| decides && self.is_up(*node) && group.voters.contains(node);
            let leader = group.leader.filter(able).or_else(|| {
                // Who has all comes first; a majority up always has it.
                let mut voters: Vec<_> = group.voters.iter().copied().filter(able).collect();
                voters.sort_by_key(|node| group.behind.contains_key(node));
                voters.first().copied()
            });
            let group = self.group(index);
            group.leader = leader;
            leader.map(|node| group.behind.remove(&node));
        }
    }
}
