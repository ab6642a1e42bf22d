//! A run, from the founding of a cluster to the judgement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aryavarth::disk::sim::CrashPlan;
use aryavarth_cluster::{NodeState, ReplicationFactor, ShardCount, group_size};
use aryavarth_replication::simulation::SimNetwork;
use aryavarth_replication::{NodeId, ShardId, Timing};
use aryavarth_server::cluster::Start;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::clients::{Client, Directory, Habits};
use super::expiry::Clocks;
use super::history::History;
use super::ledger::Ledger;
use super::machine::{Machine, Settings, Surroundings, address};
use super::nemesis::Relief;
use super::operator::Replacement;
use super::random::Random;
use super::trace::{Events, Trace};
use super::weather::{Air, Climate};

/// How long founding a cluster may take, and any step of the end.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// After so many elections each shard must serve again.
const ELECTIONS: u32 = 12;
pub(super) const TICK: Duration = Duration::from_millis(50);
/// How long replicas may take to be where they are to be: an order of which the answer was lost, when all was not well
/// yet, is waited for.
pub(super) const LONG: Duration = Duration::from_secs(60);
/// How long somebody is asked to let a machine in, before another one is.
const PERSISTENCE: Duration = Duration::from_secs(3);
/// The node that founds the cluster.
const FIRST: NodeId = NodeId(1);

/// All there is in a run.
pub struct World {
    pub(super) random: Random,
    pub(super) trace: Trace,
    pub(super) air: Air,
    pub(super) machines: BTreeMap<NodeId, Machine>,
    pub(super) shards: Vec<ShardId>,
    /// The nodes that belong to the cluster, and are not about to leave it.
    pub(super) members: BTreeSet<NodeId>,
    /// On how many of them each shard is to be.
    pub(super) factor: ReplicationFactor,
    /// Those of them whose disks have rotted.
    pub(super) rotten: BTreeSet<NodeId>,
    pub(super) reliefs: Vec<(Instant, Relief)>,
    pub(super) ledger: Ledger,
    pub(super) history: History,
    pub(super) directory: Directory,
    pub(super) around: Surroundings,
    pub(super) clocks: Clocks,
    /// The highest id of a node so far.
    newest: u64,
    replacing: Vec<(Replacement, JoinHandle<()>)>,
    /// Since when a machine waits to be let in.
    joining: Option<(NodeId, Instant)>,
    stop: Arc<AtomicBool>,
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64, events: Events) -> World {
        let mut random = Random::new(seed ^ 0x005E_ED0F_A11C_E000);
        let trace = Trace::new(events);
        let ledger = Ledger::new(trace.clone());
        let air = Air::new(random.fork(), trace.clone());
        let network = SimNetwork::new(Arc::new(air.clone()));
        let shards = ShardCount::new(*random.pick(&[1, 2, 3])).expect("few shards are allowed");
        let directory = Directory::default();
        let around = Surroundings {
            trace: trace.clone(),
            ledger: ledger.clone(),
            network,
            timing: Timing::quick(),
            shards,
            settings: Settings::any(&mut random),
        };
        let (nodes, factor) = *random.pick(&[(3, 3), (3, 3), (4, 3), (5, 3), (5, 5)]);
        World {
            random,
            trace,
            air,
            machines: BTreeMap::new(),
            shards: shards.shards().collect(),
            members: (1..=nodes).map(NodeId).collect(),
            factor: ReplicationFactor::new(factor).expect("it is odd"),
            rotten: BTreeSet::new(),
            reliefs: Vec::new(),
            ledger,
            history: History::default(),
            directory,
            around,
            clocks: Clocks::default(),
            newest: nodes,
            replacing: Vec::new(),
            joining: None,
            stop: Arc::default(),
        }
    }

    /// Runs all of it.
    ///
    /// # Errors
    /// What must not happen and did.
    pub async fn run(&mut self) -> Result<(), String> {
        self.found().await?;
        let clients = self.send_clients();
        self.live_through().await?;
        self.heal().await;
        self.give_up_rotten().await?;
        self.stop.store(true, Ordering::SeqCst);
        for client in clients {
            client.await.map_err(|error| format!("a client panicked: {error}"))?;
        }
        self.judge().await
    }

    /// What was found so far, as an error.
    pub(super) fn check(&self) -> Result<(), String> {
        self.trace.found().map_or(Ok(()), Err)
    }

    /// One node founds the cluster, and the others join it.
    async fn found(&mut self) -> Result<(), String> {
        for node in self.members.clone() {
            self.add_machine(node).await?;
            self.await_joined(node).await?;
        }
        self.settle(PATIENCE).await
    }

    /// A machine with an empty disk, that asks to be let in, or founds the cluster if it is the first.
    pub(super) async fn add_machine(&mut self, node: NodeId) -> Result<(), String> {
        let (around, random) = (self.around.clone(), self.random.fork());
        self.machines.insert(node, Machine::new(node, around, random));
        self.note_clocks();
        self.joining = Some((node, Instant::now()));
        self.start(node).await;
        match self.machines[&node].process() {
            Some(_) => Ok(()),
            None => Err(format!("node {node} does not start")),
        }
    }

    pub(super) async fn await_joined(&mut self, node: NodeId) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while self.machines[&node].joined() != Some(node) {
            if Instant::now() > deadline {
                return Err(format!("node {node} is not let in though all is well"));
            }
            tokio::time::sleep(TICK).await;
            self.look_after_machines().await;
            self.check()?;
        }
        Ok(())
    }

    /// How a machine comes to the cluster: told to as it was at first, but by way of anybody who is there now.
    fn way_in(&mut self, node: NodeId) -> Start {
        if node == FIRST {
            return Start::Found { shards: self.around.shards, factor: self.factor };
        }
        let others: Vec<NodeId> = self.machines.keys().copied().filter(|id| *id != node).collect();
        let running = |id: &NodeId| self.machines[id].joined().is_some();
        let there: Vec<NodeId> = others.iter().copied().filter(running).collect();
        let from = if there.is_empty() { others } else { there };
        match from.is_empty() {
            true => Start::Resume,
            false => Start::Join { member: address(*self.random.pick(&from)).to_string() },
        }
    }

    /// Sees to machines of which the processes have ended, and to one that asks somebody who is not there.
    pub(super) async fn look_after_machines(&mut self) {
        for node in self.machines.keys().copied().collect::<Vec<_>>() {
            let Some(process) = self.machines[&node].process() else { continue };
            let Some(why) = process.running.server.ended_because().map(str::to_owned) else {
                continue;
            };
            self.trace.note(format_args!("n{node} ends: {why}"));
            self.crash(node, CrashPlan::KillProcess).await;
            if self.members.contains(&node) {
                self.trace.violation(format_args!("node {node} ends: {why}"));
            }
        }
        let Some((node, since)) = self.joining else { return };
        let machine = self.machines.get(&node);
        if machine.is_none_or(|machine| machine.joined().is_some()) {
            self.joining = None;
        } else if since.elapsed() > PERSISTENCE && machine.is_some_and(|m| m.process().is_some()) {
            self.joining = Some((node, Instant::now()));
            self.crash(node, CrashPlan::LoseUnsynced).await;
            self.start(node).await;
        }
    }

    /// Takes note of what the clocks of the machines show.
    pub(super) fn note_clocks(&mut self) {
        let disks = self.machines.values().map(Machine::disk);
        let shown = disks.map(|disk| aryavarth::disk::Disk::wall_clock(disk).0);
        self.clocks.note(self.trace.now(), shown);
    }

    fn send_clients(&mut self) -> Vec<JoinHandle<()>> {
        let habits = Habits {
            shards: self.around.shards,
            subjects: *self.random.pick(&[2, 4, 8]),
            rest: *self.random.pick(&[10, 40, 120]),
            reads: *self.random.pick(&[300, 500]),
            expiring: *self.random.pick(&[0, 150, 300]),
            following: *self.random.pick(&[0, 300, 600]),
        };
        let clients = 4 + self.random.below(6);
        let mut sent = Vec::new();
        for number in 0..clients {
            let client = Client {
                number,
                habits: habits.clone(),
                directory: self.directory.clone(),
                history: self.history.clone(),
                trace: self.trace.clone(),
                random: self.random.fork(),
                connections: BTreeMap::new(),
                stop: Arc::clone(&self.stop),
            };
            sent.push(tokio::spawn(client.run()));
        }
        sent
    }

    /// Lets things go wrong for a while.
    async fn live_through(&mut self) -> Result<(), String> {
        let end = Instant::now() + self.random.millis(6_000..=14_000);
        self.air.set_climate(Climate::any(&mut self.random));
        let between = *self.random.pick(&[400, 900, 1_800]);
        let mut next = Instant::now() + self.random.millis(100..=between);
        while Instant::now() < end {
            tokio::time::sleep(TICK).await;
            for machine in self.machines.values() {
                machine.disk().advance(TICK);
            }
            self.note_clocks();
            self.relieve_due(Instant::now()).await;
            self.look_after_machines().await;
            self.finish_replacements().await;
            if Instant::now() >= next {
                self.trouble().await;
                next = Instant::now() + self.random.millis(50..=between);
            }
            self.check()?;
        }
        Ok(())
    }

    async fn relieve_due(&mut self, until: Instant) {
        let mut due: Vec<_> = Vec::new();
        self.reliefs.retain(|(at, relief)| {
            let is_due = *at <= until;
            if is_due {
                due.push((*at, *relief));
            }
            !is_due
        });
        due.sort_by_key(|(at, _)| *at);
        for (_, relief) in due {
            self.relieve(relief).await;
        }
    }

    /// Ends all that goes wrong.
    async fn heal(&mut self) {
        self.trace.note(format_args!("healing"));
        self.air.set_climate(Climate::fair());
        self.air.cut(BTreeSet::new());
        self.reliefs.sort_by_key(|(at, _)| *at);
        for (_, relief) in std::mem::take(&mut self.reliefs) {
            self.relieve(relief).await;
        }
        for node in self.machines.keys().copied().collect::<Vec<_>>() {
            // A store that was fenced stays so until it is opened again.
            let fenced = |machine: &Machine| {
                machine.process().is_some_and(|process| process.running.server.failure().is_some())
            };
            if fenced(&self.machines[&node]) {
                self.crash(node, CrashPlan::LoseUnsynced).await;
            }
            self.start(node).await;
        }
    }

    /// Ends a node without a word.
    pub(super) async fn crash(&mut self, node: NodeId, plan: CrashPlan) {
        self.directory.remove(node);
        if let Some(machine) = self.machines.get_mut(&node) {
            machine.crash(plan).await;
        }
    }

    /// Starts a node, if it does not run.
    pub(super) async fn start(&mut self, node: NodeId) {
        let way_in = self.way_in(node);
        let Some(machine) = self.machines.get_mut(&node) else { return };
        if let Err(error) = machine.start(way_in).await {
            if self.rotten.contains(&node) {
                self.trace.note(format_args!("n{node} does not start: {error}"));
            } else {
                self.trace.violation(format_args!("node {node} does not start: {error}"));
            }
        }
        if let Some(process) = machine.process() {
            self.directory.add(node, process.running.clone());
        }
    }

    /// Begins to replace a node by a new one, unless that is under way.
    pub(super) async fn replace(&mut self) {
        if self.is_replacing() {
            return;
        }
        let rotten = self.rotten.first().copied();
        let members: Vec<NodeId> = self.members.iter().copied().collect();
        let from = rotten.unwrap_or_else(|| *self.random.pick(&members));
        self.replace_node(from).await;
    }

    /// Whether a node is being replaced.
    pub(super) fn is_replacing(&self) -> bool {
        !self.replacing.is_empty()
    }

    /// Begins to replace this node by a new one. No other one may be about to join.
    pub(super) async fn replace_node(&mut self, from: NodeId) {
        let newest = self.machines.keys().next_back().map_or(0, |node| node.0);
        let to = NodeId(newest.max(self.newest) + 1);
        self.newest = to.0;
        if let Err(error) = self.add_machine(to).await {
            return self.trace.violation(format_args!("{error}"));
        }
        self.members.remove(&from);
        self.members.insert(to);
        let replacement = Replacement { from, to, done: Arc::default() };
        let task = replacement.clone().run(self.directory.clone(), self.trace.clone());
        self.replacing.push((replacement, tokio::spawn(task)));
    }

    /// Turns off nodes that were replaced.
    async fn finish_replacements(&mut self) {
        let is_done = |replacement: &Replacement| replacement.done.load(Ordering::SeqCst);
        let done = self.replacing.extract_if(.., |(replacement, _)| is_done(replacement));
        for node in done.map(|(replacement, _)| replacement.from).collect::<Vec<_>>() {
            self.crash(node, CrashPlan::LoseUnsynced).await;
            self.machines.remove(&node);
            self.rotten.remove(&node);
        }
    }

    /// Waits until all replacements that have begun are done.
    pub(super) async fn end_replacements(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + LONG;
        while self.is_replacing() {
            if Instant::now() > deadline {
                return Err(format!(
                    "a node is not replaced though all is well: {}",
                    self.standing()
                ));
            }
            tokio::time::sleep(TICK).await;
            self.look_after_machines().await;
            self.finish_replacements().await;
            self.check()?;
        }
        Ok(())
    }

    /// Waits until every group is where it is to be, and nowhere else.
    pub(super) async fn settle(&mut self, within: Duration) -> Result<(), String> {
        let deadline = Instant::now() + within;
        while let Some(why) = self.unsettled() {
            if Instant::now() > deadline {
                let standing = self.standing();
                return Err(format!("{why}, though all is well: {standing}"));
            }
            tokio::time::sleep(TICK).await;
            self.look_after_machines().await;
            self.check()?;
        }
        Ok(())
    }

    /// What is not yet as it is to be.
    fn unsettled(&self) -> Option<String> {
        let Some(topology) = self.directory.newest() else {
            return Some("nobody knows the cluster".to_owned());
        };
        let active = topology.nodes_in(NodeState::Active);
        // Of these only the places may be left, as long as nobody else could take them.
        let gone = topology.nodes_in(NodeState::Gone);
        if active != self.members || active.len() + gone.len() != topology.nodes().len() {
            let known: Vec<_> = topology.nodes().map(|node| (node.id, node.state)).collect();
            return Some(format!("the nodes are {known:?}, and not {:?}", self.members));
        }
        for (shard, group) in topology.groups() {
            let (kept, lost) = (&group.voters & &active, &group.voters & &gone);
            let factor = topology.factor_of(shard);
            let size = group_size(factor, active.len(), kept.len(), lost.len());
            let is_whole = group.voters.len() == size && group.running.is_none();
            if !is_whole || (!lost.is_empty() && kept != active) {
                return Some(format!(
                    "shard {shard} is on {:?}, not on {size} nodes",
                    group.voters
                ));
            }
            for (node, machine) in &self.machines {
                if machine.group(shard).is_some() != group.voters.contains(node) {
                    return Some(format!(
                        "node {node} has a replica of shard {shard}, or has none"
                    ));
                }
            }
        }
        None
    }

    /// How the groups stand, as their leaders see it.
    fn standing(&self) -> String {
        let groups = self.machines.values().flat_map(|machine| {
            self.around
                .shards
                .groups()
                .filter_map(|shard| Some((machine.id, machine.group(shard)?)))
        });
        let leading = groups.filter(|(_, group)| group.is_leader());
        let told =
            leading.map(|(node, group)| format!("\n    on node {node}: {:?}", group.status()));
        let newest = self.directory.newest();
        told.chain(newest.map(|topology| format!("\n    the topology: {topology:?}"))).collect()
    }

    /// Waits until each shard has a leader that serves.
    pub(super) async fn await_leaders(&self, within: Duration) -> Result<(), String> {
        let deadline = Instant::now() + within;
        for shard in self.around.shards.groups() {
            while !self.machines.values().any(|machine| machine.leads_any(&[shard])) {
                if Instant::now() > deadline {
                    return Err(format!("nobody leads shard {shard} though all is well"));
                }
                tokio::time::sleep(TICK).await;
                self.check()?;
            }
        }
        Ok(())
    }

    /// How long a healthy cluster has to serve again.
    pub(super) fn elections(&self) -> Duration {
        Duration::from_millis(self.around.timing.election_max) * ELECTIONS
    }
}
