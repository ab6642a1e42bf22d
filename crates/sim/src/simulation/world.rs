//! A run, from the founding of a cluster to the judgement.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aryavarth::disk::sim::CrashPlan;
use aryavarth_cluster::{NodeState, ReplicationFactor, ShardCount, ShardMap, Sharding, group_size};
use aryavarth_replication::simulation::SimNetwork;
use aryavarth_replication::{NodeId, ShardId, Timing};
use aryavarth_server::cluster::Start;
use tokio::task::JoinHandle;
use tokio::time::Instant;

use super::clients::{Client, Directory, Habits};
use super::expiry::Clocks;
use super::history::History;
use super::ledger::Ledger;
use super::machine::{Machine, MachineId, Settings, Surroundings, Whereabouts, address};
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

/// All there is in a run.
pub struct World {
    pub(super) random: Random,
    pub(super) trace: Trace,
    pub(super) air: Air,
    pub(super) machines: BTreeMap<MachineId, Machine>,
    pub(super) shards: Vec<ShardId>,
    /// Those that belong to the cluster, and are not about to leave it.
    pub(super) members: BTreeSet<MachineId>,
    /// On how many of them each shard is to be.
    pub(super) factor: ReplicationFactor,
    /// Those of them whose disks have rotted, and which nodes they were.
    pub(super) rotten: BTreeMap<MachineId, NodeId>,
    pub(super) reliefs: Vec<(Instant, Relief)>,
    pub(super) ledger: Ledger,
    pub(super) history: History,
    pub(super) directory: Directory,
    pub(super) around: Surroundings,
    pub(super) clocks: Clocks,
    /// The highest number of a machine so far.
    newest: u64,
    /// Whether there is a cluster to join.
    is_founded: bool,
    replacing: Vec<(Replacement, JoinHandle<()>)>,
    /// Since when machines wait to be let in.
    pub(super) joining: BTreeMap<MachineId, Instant>,
    stop: Arc<AtomicBool>,
}

impl World {
    /// The world of a seed.
    pub fn new(seed: u64, events: Events) -> World {
        let mut random = Random::new(seed ^ 0x005E_ED0F_A11C_E000);
        let trace = Trace::new(events);
        let whereabouts = Whereabouts::default();
        let air = Air::new(random.fork(), trace.clone(), whereabouts.clone());
        let network = SimNetwork::new(Arc::new(air.clone()));
        let shards = ShardCount::new(*random.pick(&[1, 2, 3])).expect("few shards are allowed");
        let ledger = Ledger::new(trace.clone(), shards);
        // A third of them grow, and so are all of the others what they were before these could.
        let sharding = match seed % 3 {
            2 => Sharding::Growing(shards),
            _ => Sharding::Fixed(shards),
        };
        let directory = Directory::default();
        let around = Surroundings {
            trace: trace.clone(),
            ledger: ledger.clone(),
            network,
            whereabouts,
            timing: Timing::quick(),
            sharding,
            settings: Settings::any(&mut random),
        };
        let (machines, factor) = *random.pick(&[(3, 3), (3, 3), (4, 3), (5, 3), (5, 5)]);
        World {
            random,
            trace,
            air,
            machines: BTreeMap::new(),
            shards: shards.shards().collect(),
            members: (1..=machines).map(MachineId).collect(),
            factor: ReplicationFactor::new(factor).expect("it is odd"),
            rotten: BTreeMap::new(),
            reliefs: Vec::new(),
            ledger,
            history: History::default(),
            directory,
            around,
            clocks: Clocks::default(),
            newest: machines,
            is_founded: false,
            replacing: Vec::new(),
            joining: BTreeMap::new(),
            stop: Arc::default(),
        }
    }

    /// Runs all of it.
    ///
    /// # Errors
    /// What must not happen and did.
    pub async fn run(&mut self) -> Result<(), String> {
        let grows = matches!(self.around.sharding, Sharding::Growing(_));
        let mut others: Vec<MachineId> = self.members.iter().copied().collect();
        let first: Vec<MachineId> = others.drain(..1).collect();
        self.join(&first).await?;
        if !grows {
            self.join(&others).await?;
            self.settle(PATIENCE).await?;
        }
        let clients = self.send_clients();
        if grows {
            self.join(&others).await?;
            // What goes wrong begins while shards are split, but not before there are copies.
            self.await_none(PATIENCE, World::without_copies).await?;
        }
        self.live_through().await?;
        self.heal().await?;
        self.end_rot().await?;
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

    /// The first node founds the cluster, and the others join it.
    async fn join(&mut self, machines: &[MachineId]) -> Result<(), String> {
        for &machine in machines {
            self.add_machine(machine).await?;
            self.await_joined(machine).await?;
            self.is_founded = true;
        }
        Ok(())
    }

    /// A group that is on too few nodes.
    fn without_copies(&self) -> Option<String> {
        let copies = usize::from(self.factor.get());
        let newest = self.directory.newest();
        let mut groups = newest.iter().flat_map(|topology| topology.groups());
        let alone = groups.find(|(_, group)| group.voters.len() < copies);
        alone.map(|(shard, group)| format!("shard {shard} is on {:?} only", group.voters))
    }

    /// A machine with an empty disk, that asks to be let in, or founds the cluster if there is none.
    pub(super) async fn add_machine(&mut self, machine: MachineId) -> Result<(), String> {
        let (around, random) = (self.around.clone(), self.random.fork());
        self.machines.insert(machine, Machine::new(machine, around, random));
        self.note_clocks();
        self.joining.insert(machine, Instant::now());
        self.start(machine).await;
        match self.machines[&machine].is_off() {
            false => Ok(()),
            true => Err(format!("machine {machine} does not start")),
        }
    }

    pub(super) async fn await_joined(&mut self, machine: MachineId) -> Result<(), String> {
        self.await_none(PATIENCE, |world| {
            let is_out = world.machines[&machine].joined().is_none();
            is_out.then(|| format!("machine {machine} is not let in"))
        })
        .await
    }

    /// Waits until nothing is wrong any more of what `wrong` tells.
    async fn await_none(
        &mut self,
        within: Duration,
        wrong: impl Fn(&World) -> Option<String>,
    ) -> Result<(), String> {
        let deadline = Instant::now() + within;
        while let Some(why) = wrong(self) {
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

    /// How a machine comes to the cluster: told to as it was at first, but by way of anybody who is there now.
    fn way_in(&mut self, machine: MachineId) -> Start {
        if !self.is_founded {
            return Start::Found { shards: self.around.sharding, factor: self.factor };
        }
        let others = self.machines.keys().copied().filter(|id| *id != machine);
        let others: Vec<MachineId> = others.collect();
        let running = |id: &MachineId| self.machines[id].joined().is_some();
        let there: Vec<MachineId> = others.iter().copied().filter(running).collect();
        let from = if there.is_empty() { others } else { there };
        match from.is_empty() {
            true => Start::Resume,
            false => Start::Join { member: address(*self.random.pick(&from)).to_string() },
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
            shards: self.around.sharding.most(),
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

    pub(super) async fn relieve_due(&mut self, until: Instant) {
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
    async fn heal(&mut self) -> Result<(), String> {
        self.trace.note(format_args!("healing"));
        self.air.set_climate(Climate::fair());
        self.air.cut(BTreeSet::new());
        self.reliefs.sort_by_key(|(at, _)| *at);
        for (_, relief) in std::mem::take(&mut self.reliefs) {
            self.relieve(relief).await;
        }
        for id in self.machines.keys().copied().collect::<Vec<_>>() {
            // A store that was fenced stays so until it is opened again.
            let fenced = |machine: &Machine| {
                machine.process().is_some_and(|process| process.running.server.failure().is_some())
            };
            if fenced(&self.machines[&id]) {
                self.crash(id, CrashPlan::LoseUnsynced).await;
            }
            self.start(id).await;
        }
        self.await_none(PATIENCE, |world| {
            world.starting().map(|machine| format!("machine {machine} does not start"))
        })
        .await
    }

    /// A machine that is starting, though nothing is wrong with it.
    fn starting(&self) -> Option<MachineId> {
        let mut whole = self.machines.values().filter(|it| !self.rotten.contains_key(&it.id));
        whole.find(|machine| machine.is_starting()).map(|machine| machine.id)
    }

    /// Ends a node without a word.
    pub(super) async fn crash(&mut self, id: MachineId, plan: CrashPlan) {
        self.directory.remove(id);
        if let Some(machine) = self.machines.get_mut(&id) {
            machine.crash(plan).await;
        }
    }

    /// Starts a node, if it does not run.
    pub(super) async fn start(&mut self, id: MachineId) {
        let way_in = self.way_in(id);
        let Some(machine) = self.machines.get_mut(&id) else { return };
        let started = machine.start(way_in).await;
        self.note_start(id, started);
    }

    /// Takes note of how a start ended, or that it goes on.
    pub(super) fn note_start(&mut self, id: MachineId, started: Result<(), String>) {
        match started {
            Ok(()) => {}
            Err(error) if self.rotten.contains_key(&id) => {
                self.trace.note(format_args!("m{id} does not start: {error}"));
                self.start_again(id);
            }
            Err(error) => {
                self.trace.violation(format_args!("machine {id} does not start: {error}"));
            }
        }
        if let Some(process) = self.machines.get(&id).and_then(Machine::process) {
            self.directory.add(id, process.running.clone());
        }
    }

    /// Begins to replace a machine by a new one, unless that is under way.
    pub(super) async fn replace(&mut self) {
        if self.is_replacing() {
            return;
        }
        let leaves = |id: &MachineId| match self.rotten.contains_key(id) {
            // It does so itself.
            true => !self.replaces_itself(),
            // One that is not in the cluster yet cannot leave it.
            false => self.machines[id].joined().is_some() || !self.takes_for_lost(),
        };
        let mut members: Vec<MachineId> = self.members.iter().copied().filter(leaves).collect();
        if let Some(rotten) = members.iter().find(|id| self.rotten.contains_key(id)).copied() {
            members = vec![rotten];
        }
        if !members.is_empty() {
            let from = *self.random.pick(&members);
            self.replace_machine(from).await;
        }
    }

    /// Whether a machine is being replaced.
    pub(super) fn is_replacing(&self) -> bool {
        !self.replacing.is_empty()
    }

    /// Begins to replace this machine by a new one.
    pub(super) async fn replace_machine(&mut self, from: MachineId) {
        self.newest += 1;
        let to = MachineId(self.newest);
        if let Err(error) = self.add_machine(to).await {
            return self.trace.violation(format_args!("{error}"));
        }
        self.members.remove(&from);
        self.members.insert(to);
        let replacement = Replacement { from, to, done: Arc::default() };
        let task = replacement.clone().run(self.directory.clone(), self.trace.clone());
        self.replacing.push((replacement, tokio::spawn(task)));
    }

    /// Turns off machines that were replaced.
    async fn finish_replacements(&mut self) {
        let is_done = |replacement: &Replacement| replacement.done.load(Ordering::SeqCst);
        let done = self.replacing.extract_if(.., |(replacement, _)| is_done(replacement));
        for machine in done.map(|(replacement, _)| replacement.from).collect::<Vec<_>>() {
            self.crash(machine, CrashPlan::LoseUnsynced).await;
            self.machines.remove(&machine);
            self.rotten.remove(&machine);
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
        self.await_none(within, World::unsettled).await
    }

    /// What is not yet as it is to be.
    pub(super) fn unsettled(&self) -> Option<String> {
        let Some(topology) = self.directory.newest() else {
            return Some("nobody knows the cluster".to_owned());
        };
        let active = topology.nodes_in(NodeState::Active);
        // Of these only the places may be left, as long as nobody else could take them.
        let gone = topology.nodes_in(NodeState::Gone);
        let members = self.members.iter().map(|id| (*id, self.machines[id].joined()));
        let members: Vec<(MachineId, Option<NodeId>)> = members.collect();
        let is_there = |(_, node): &(_, Option<NodeId>)| node.is_some_and(|n| active.contains(&n));
        let is_complete = active.len() == members.len() && members.iter().all(is_there);
        if !is_complete || active.len() + gone.len() != topology.nodes().len() {
            let known: Vec<_> = topology.nodes().map(|node| (node.id, node.state)).collect();
            return Some(format!("the nodes are {known:?}, and not {members:?}"));
        }
        let (shards, copies) = (topology.shards(), usize::from(self.factor.get()));
        if active.len() >= copies && shards.count() < active.len().min(shards.most().get().into()) {
            return Some(format!("{} nodes have the shards {shards:?}", active.len()));
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
            for (id, machine) in &self.machines {
                let is_voter = machine.joined().is_some_and(|node| group.voters.contains(&node));
                if machine.group(shard).is_some() != is_voter {
                    return Some(format!(
                        "machine {id} has a replica of shard {shard}, or has none"
                    ));
                }
            }
        }
        None
    }

    /// The shards there are, as far as anybody knows.
    fn map(&self) -> ShardMap {
        let newest = self.directory.newest();
        newest.map_or_else(|| self.around.sharding.first(), |topology| topology.shards())
    }

    /// All Raft groups, likewise.
    pub(super) fn groups(&self) -> Vec<ShardId> {
        self.map().groups().collect()
    }

    /// The shard that has what is to be a shard's own, if it is not there yet.
    pub(super) fn carrier(&self, shard: ShardId) -> ShardId {
        self.map().shards().rfind(|open| *open <= shard).unwrap_or(shard)
    }

    /// How the groups stand, as their leaders see it.
    pub(super) fn standing(&self) -> String {
        let groups = self.machines.values().flat_map(|machine| {
            self.groups().into_iter().filter_map(|shard| Some((machine.id, machine.group(shard)?)))
        });
        let leading = groups.filter(|(_, group)| group.is_leader());
        let told =
            leading.map(|(id, group)| format!("\n    on machine {id}: {:?}", group.status()));
        let newest = self.directory.newest();
        told.chain(newest.map(|topology| format!("\n    the topology: {topology:?}"))).collect()
    }

    /// Waits until each shard has a leader that serves.
    pub(super) async fn await_leaders(&self, within: Duration) -> Result<(), String> {
        let deadline = Instant::now() + within;
        for shard in self.groups() {
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
