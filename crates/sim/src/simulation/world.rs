//! A run, from the founding of a cluster to the judgement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aryavarth::disk::sim::CrashPlan;
use aryavarth_cluster::{
    Address, Change, ClusterId, Incarnation, NewNode, ReplicationFactor, ShardCount, Topology,
};
use aryavarth_replication::simulation::SimNetwork;
use aryavarth_replication::{NodeId, ShardId, Timing};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::clients::{Client, Directory, Habits};
use super::expiry::Clocks;
use super::history::History;
use super::ledger::Ledger;
use super::machine::{Machine, Surroundings, address};
use super::moving::Move;
use super::nemesis::Relief;
use super::random::Random;
use super::talk::host_of;
use super::trace::{Events, Trace};
use super::weather::{Air, Climate};

/// How long founding a cluster may take, and any step of the end.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// After so many elections each shard must serve again.
const ELECTIONS: u32 = 12;
pub(super) const TICK: Duration = Duration::from_millis(50);

/// The nodes that there may ever be.
const NODES: u64 = 40;

/// Where clients find nodes, be they there yet or not. Who leads is not in it.
fn phone_book(shards: ShardCount) -> Topology {
    let node = |id: u64| {
        let address = Address::new(&host_of(NodeId(id)), 1).expect("a name without odd letters");
        let (id, incarnation) = (NodeId(id), Incarnation(id));
        NewNode { id, incarnation, client: address.clone(), peer: address, zone: None }
    };
    let factor = ReplicationFactor::new(3).expect("three is allowed");
    let mut topology = Topology::found(ClusterId(1), shards, factor, node(1));
    for id in 2..=NODES {
        topology.apply(&Change::AddNode(node(id))).expect("it is new");
    }
    topology
}

/// All there is in a run.
pub struct World {
    pub(super) random: Random,
    pub(super) trace: Trace,
    pub(super) air: Air,
    pub(super) machines: BTreeMap<NodeId, Machine>,
    pub(super) shards: Vec<ShardId>,
    pub(super) voters: BTreeSet<NodeId>,
    /// Those of them whose disks have rotted.
    pub(super) rotten: BTreeSet<NodeId>,
    pub(super) reliefs: Vec<(Instant, Relief)>,
    pub(super) ledger: Ledger,
    pub(super) history: History,
    pub(super) directory: Directory,
    pub(super) around: Surroundings,
    pub(super) clocks: Clocks,
    moving: Option<(Move, JoinHandle<()>)>,
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
            air: air.clone(),
            directory: directory.clone(),
            timing: Timing::quick(),
            shards,
            topology: Arc::new(phone_book(shards)),
        };
        let nodes = if random.chance(650) { 3 } else { 5 };
        World {
            random,
            trace,
            air,
            machines: BTreeMap::new(),
            shards: shards.shards().collect(),
            voters: (1..=nodes).map(NodeId).collect(),
            rotten: BTreeSet::new(),
            reliefs: Vec::new(),
            ledger,
            history: History::default(),
            directory,
            around,
            clocks: Clocks::default(),
            moving: None,
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

    async fn found(&mut self) -> Result<(), String> {
        for node in self.voters.clone() {
            self.add_machine(node).await?;
        }
        let members: Vec<_> = self.voters.iter().map(|node| (*node, address(*node))).collect();
        for shard in self.shards.clone() {
            let first = self.random.pick(&members).0;
            let Some(group) = self.machines[&first].group(shard) else { continue };
            let Some(process) = self.machines[&first].process() else { continue };
            let members = members.clone();
            let founding =
                process.running.host.spawn(async move { group.initialize(&members).await });
            let founded = founding.await.map_err(|error| error.to_string())?;
            founded.map_err(|error| format!("a group cannot be founded: {error}"))?;
        }
        self.await_leaders(PATIENCE).await
    }

    /// A machine with an empty disk, and empty groups on it.
    pub(super) async fn add_machine(&mut self, node: NodeId) -> Result<(), String> {
        let (around, random) = (self.around.clone(), self.random.fork());
        self.machines.insert(node, Machine::new(node, around, random));
        self.note_clocks();
        self.start(node).await;
        match self.machines[&node].process() {
            Some(_) => Ok(()),
            None => Err(format!("node {node} does not start")),
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
            self.finish_move().await;
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
                machine.process().is_some_and(|process| process.running.node.failure().is_some())
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
        let Some(machine) = self.machines.get_mut(&node) else { return };
        if let Err(error) = machine.start().await {
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
        if self.moving.is_some() {
            return;
        }
        let rotten = self.rotten.first().copied();
        let voters: Vec<NodeId> = self.voters.iter().copied().collect();
        let from = rotten.unwrap_or_else(|| *self.random.pick(&voters));
        self.replace_node(from).await;
    }

    /// Whether a node is being replaced.
    pub(super) fn is_moving(&self) -> bool {
        self.moving.is_some()
    }

    /// Begins to replace this node by a new one.
    pub(super) async fn replace_node(&mut self, from: NodeId) {
        let newest = self.machines.keys().next_back().map_or(0, |node| node.0);
        let to = NodeId(newest + 1);
        if let Err(error) = self.add_machine(to).await {
            return self.trace.violation(format_args!("{error}"));
        }
        let mut voters = self.voters.clone();
        voters.remove(&from);
        voters.insert(to);
        let moving = Move { from, to, voters, done: Arc::default() };
        let task =
            moving.clone().run(self.shards.clone(), self.directory.clone(), self.trace.clone());
        self.moving = Some((moving, tokio::spawn(task)));
    }

    /// Turns off a node that was replaced.
    async fn finish_move(&mut self) {
        let Some((moving, _)) =
            self.moving.take_if(|(moving, _)| moving.done.load(Ordering::SeqCst))
        else {
            return;
        };
        self.crash(moving.from, CrashPlan::LoseUnsynced).await;
        self.machines.remove(&moving.from);
        self.rotten.remove(&moving.from);
        self.voters = moving.voters;
    }

    /// Waits until a move that has begun is done.
    pub(super) async fn end_move(&mut self) -> Result<(), String> {
        let deadline = Instant::now() + PATIENCE;
        while self.moving.is_some() {
            if Instant::now() > deadline {
                return Err(format!(
                    "a replica is not moved though all is well: {}",
                    self.standing()
                ));
            }
            tokio::time::sleep(TICK).await;
            self.finish_move().await;
            self.check()?;
        }
        Ok(())
    }

    /// How the groups stand, as their leaders see it.
    fn standing(&self) -> String {
        let groups = self.machines.values().flat_map(|machine| {
            self.shards.iter().filter_map(|shard| Some((machine.id, machine.group(*shard)?)))
        });
        let leading = groups.filter(|(_, group)| group.is_leader());
        let told =
            leading.map(|(node, group)| format!("\n    on node {node}: {:?}", group.status()));
        told.collect()
    }

    /// Waits until each shard has a leader that serves.
    pub(super) async fn await_leaders(&self, within: Duration) -> Result<(), String> {
        let deadline = Instant::now() + within;
        for shard in &self.shards {
            while !self.machines.values().any(|machine| machine.leads_any(&[*shard])) {
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
