//! A cluster in which every step succeeds and only copying takes long: what is left is the work of the
//! reconciler and the limit of copies a node.
//!
//! ```text
//!  next_step ─▶ a step, done in `STEP` ─▶ next_step ─▶ … ─▶ nothing to do
//!       ▲                                                        │ one round ends
//!       └──── as soon as a copy has arrived, 200 ms at most ◀────┘
//! ```
//!
//! A node's rate is divided among as many copies as it may take part in, whether there are so many or not.

#![allow(clippy::disallowed_methods, reason = "it measures, so it needs the clock")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use aryavarth_cluster::{
    Change, ClusterId, Error, Incarnation, Limits, META_GROUP, Membership, NewNode, NodeId,
    NodeSet, NodeSight, NodeState, Observed, ReplicationFactor, Result, ShardCount, ShardId,
    ShardSight, Step, Topology, next_step, wanted,
};

/// As the server has them.
pub const LIMITS: Limits = Limits { copies_per_node: 2 };
/// What a step takes: an entry of a group's log, and an answer.
const STEP: Duration = Duration::from_millis(10);
/// How often the reconciler looks.
const ROUND: Duration = Duration::from_millis(200);
/// What the meta group's copy takes: it is small.
const META_COPY: Duration = Duration::from_millis(200);

/// How much there is to copy, and how fast.
#[derive(Clone, Copy, Debug)]
pub struct Copying {
    pub shard_bytes: u64,
    /// Bytes a second that a node sends or receives.
    pub node_rate: u64,
}

/// What it took.
#[derive(Debug, Default)]
pub struct Run {
    pub steps: usize,
    /// Steps that were changes in the meta group's log.
    pub logged: usize,
    pub copies: usize,
    /// The most copies that were under way.
    pub most_copies: usize,
    pub hand_overs: usize,
    /// Looks after which there was nothing to do at once.
    pub rounds: usize,
    /// In the model.
    pub took: Duration,
    /// In `next_step`, on this machine.
    pub deciding: Duration,
    pub longest: Duration,
}

pub struct Model {
    topology: Topology,
    observed: Observed,
    copying: Copying,
    now: Duration,
    /// When copies will have arrived.
    arrivals: BTreeMap<(ShardId, NodeId), Duration>,
}

fn new_node(id: NodeId) -> Result<NewNode> {
    let NodeId(number) = id;
    Ok(NewNode {
        id,
        incarnation: Incarnation(number),
        client: format!("node-{number}.example.net:6379").parse()?,
        peer: format!("node-{number}.example.net:16379").parse()?,
        zone: None,
    })
}

impl Model {
    /// So many nodes with everything where it is wanted, grown from one in a hundred steps at most: whom a
    /// node shares groups with depends on how the cluster came to be.
    pub fn at_rest(nodes: u64, shards: u16, factor: u8, copying: Copying) -> Result<Model> {
        let shards = ShardCount::new(shards)?;
        let factor = ReplicationFactor::new(factor)?;
        let mut topology = Topology::found(ClusterId(1), shards, factor, new_node(NodeId(1))?);
        let others: Vec<_> = (2..=nodes).map(NodeId).collect();
        for joining in others.chunks(others.len().div_ceil(100).max(1)) {
            for &node in joining {
                topology.apply(&Change::AddNode(new_node(node)?))?;
                topology.apply(&Change::SetNodeState { node, state: NodeState::Active })?;
            }
            for (shard, wanted) in wanted(&topology).groups() {
                let voters = wanted.voters.clone();
                topology.apply(&Change::AdoptVoters { shard, voters })?;
            }
        }
        let placement = wanted(&topology);
        let mut observed = Observed::default();
        for (shard, wanted) in placement.groups() {
            let voters = wanted.voters.clone();
            let sight = ShardSight {
                leader: wanted.leader.unwrap_or(NodeId(1)),
                caught_up: voters.clone(),
                voters,
                learners: NodeSet::new(),
                membership: Membership::Settled,
                split_off: BTreeSet::new(),
            };
            observed.shards.insert(shard, sight);
        }
        let sights = topology.nodes().map(|node| (node.id, NodeSight::Reachable));
        observed.nodes = sights.collect();
        Ok(Model { topology, observed, copying, now: Duration::ZERO, arrivals: BTreeMap::new() })
    }

    pub fn topology(&self) -> &Topology {
        &self.topology
    }

    /// With how many others a node shares groups.
    pub fn partners(&self, node: u64) -> usize {
        let node = NodeId(node);
        let groups = self.topology.groups().map(|(_, group)| &group.voters);
        let shared: NodeSet =
            groups.filter(|voters| voters.contains(&node)).flatten().copied().collect();
        shared.len().saturating_sub(1)
    }

    pub fn observed(&self) -> Observed {
        self.observed.clone()
    }

    /// A node dies for good; the groups that it led have elected others.
    pub fn die(&mut self, node: u64) {
        let node = NodeId(node);
        self.observed.nodes.insert(node, NodeSight::Lost);
        let mut led = BTreeMap::<NodeId, usize>::new();
        for sight in self.observed.shards.values() {
            *led.entry(sight.leader).or_default() += 1;
        }
        for sight in self.observed.shards.values_mut() {
            sight.caught_up.remove(&node);
            if sight.leader == node {
                let least = |node: &&NodeId| led.get(*node).copied().unwrap_or(0);
                sight.leader =
                    sight.caught_up.iter().min_by_key(least).copied().unwrap_or(sight.leader);
                *led.entry(sight.leader).or_default() += 1;
            }
        }
    }

    pub fn join(&mut self) -> Result<()> {
        let id = self.topology.next_node();
        self.topology.apply(&Change::AddNode(new_node(id)?))?;
        self.observed.nodes.insert(id, NodeSight::Reachable);
        Ok(())
    }

    pub fn set_state(&mut self, node: u64, state: NodeState) -> Result<()> {
        self.topology.apply(&Change::SetNodeState { node: NodeId(node), state }).map(drop)
    }

    /// Steps and time, until there is nothing left to do or to wait for.
    pub fn settle(&mut self) -> Result<Run> {
        let mut run = Run::default();
        let begun = self.now;
        loop {
            let from = Instant::now();
            let step = next_step(&self.topology, &self.observed, LIMITS);
            let decided = from.elapsed();
            run.deciding += decided;
            run.longest = run.longest.max(decided);
            match step {
                Some(step) => {
                    self.take(step, &mut run)?;
                    self.now += STEP;
                }
                None => {
                    run.rounds += 1;
                    let Some(&next) = self.arrivals.values().min() else { break };
                    // Looks without a change decide the same: they are counted, not computed.
                    let idle = next.saturating_sub(self.now);
                    run.rounds += (idle.as_millis() / ROUND.as_millis()) as usize;
                    self.now = self.now.max(next);
                }
            }
            self.arrive();
        }
        run.took = self.now - begun;
        Ok(run)
    }

    fn take(&mut self, step: Step, run: &mut Run) -> Result<()> {
        run.steps += 1;
        match step {
            Step::Log(change) => {
                run.logged += 1;
                self.topology.apply(&change)?;
            }
            Step::AddLearner { shard, node } => {
                run.copies += 1;
                self.sight(shard).learners.insert(node);
                self.arrivals.insert((shard, node), self.now + self.copy_time(shard));
                run.most_copies = run.most_copies.max(self.arrivals.len());
            }
            Step::ChangeVoters { shard, voters } => {
                let sight = self.sight(shard);
                sight.learners.retain(|node| !voters.contains(node));
                sight.caught_up.retain(|node| voters.contains(node));
                sight.voters = voters;
            }
            Step::RemoveLearner { shard, node } => {
                self.sight(shard).learners.remove(&node);
                self.arrivals.remove(&(shard, node));
            }
            // It has all shards from the beginning.
            Step::Split { shard, into } => return Err(Error::ImpossibleSplit { shard, into }),
            Step::TransferLeader { shard, to } => {
                run.hand_overs += 1;
                self.sight(shard).leader = to;
            }
        }
        Ok(())
    }

    fn copy_time(&self, shard: ShardId) -> Duration {
        if shard == META_GROUP {
            return META_COPY;
        }
        let rate = self.copying.node_rate as f64 / LIMITS.copies_per_node as f64;
        Duration::from_secs_f64(self.copying.shard_bytes as f64 / rate)
    }

    fn arrive(&mut self) {
        let now = self.now;
        let (arrived, coming) =
            std::mem::take(&mut self.arrivals).into_iter().partition(|(_, at)| *at <= now);
        self.arrivals = coming;
        let arrived: BTreeMap<_, _> = arrived;
        for (shard, node) in arrived.into_keys() {
            self.sight(shard).caught_up.insert(node);
        }
    }

    fn sight(&mut self, shard: ShardId) -> &mut ShardSight {
        self.observed.shards.get_mut(&shard).expect("each group was seen at the start")
    }
}
