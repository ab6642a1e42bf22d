//! A cluster that does what it is told, and nothing by chance: for scripts of what people see of it.
//!
//! Its machines, clocks, disks and network are those of a [run](super::run), in fair weather; Raft's promises are
//! watched in the same way. Time stands still unless it is waited for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aryavarth::disk::sim::CrashPlan;
use aryavarth_cluster::{ReplicationFactor, Sharding};
use aryavarth_replication::Timing;
use aryavarth_replication::simulation::SimNetwork;
use aryavarth_server::cluster::{Start, Wish};
use aryavarth_server::config::Routing;
use aryavarth_server::simulation::ClientEnd;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use super::clients::Running;
use super::ledger::Ledger;
use super::machine::{Machine, MachineId, Settings, Surroundings, Whereabouts, address};
use super::random::Random;
use super::trace::{Events, Trace};
use super::weather::Air;

/// The machine whose node founds the cluster.
const FIRST: MachineId = MachineId(1);
/// How long a node may take to be let in.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(20);

/// Why there are no bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Nothing {
    /// The node has closed the connection.
    Closed,
    /// It says nothing.
    Silence,
}

/// A cluster under control.
pub struct Stage {
    /// First, as its tasks use all the others.
    runtime: Runtime,
    machines: BTreeMap<MachineId, Machine>,
    around: Surroundings,
    factor: ReplicationFactor,
    air: Air,
    random: Random,
}

/// What a cluster is like.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// How it comes to its shards.
    pub sharding: Sharding,
    /// On how many nodes each is to be.
    pub factor: ReplicationFactor,
    /// What becomes of requests that another node has to answer.
    pub routing: Routing,
}

impl Stage {
    /// No machines yet.
    ///
    /// # Panics
    /// If there is no runtime to be had.
    pub fn new(plan: Plan) -> Stage {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("the machine gives what a runtime needs");
        let entered = runtime.enter();
        let mut random = Random::new(0);
        let trace = Trace::new(Events::Hashed);
        let whereabouts = Whereabouts::default();
        let air = Air::new(random.fork(), trace.clone(), whereabouts.clone());
        let around = Surroundings {
            ledger: Ledger::new(trace.clone(), plan.sharding.most()),
            network: SimNetwork::new(Arc::new(air.clone())),
            whereabouts,
            timing: Timing::quick(),
            sharding: plan.sharding,
            settings: Settings { routing: plan.routing, ..Settings::quiet() },
            trace,
        };
        drop(entered);
        Stage { runtime, machines: BTreeMap::new(), around, factor: plan.factor, air, random }
    }

    /// Starts a machine's node: on its disk, if it ran before; else on an empty one, to join the cluster, or to found it
    /// if it is the first.
    ///
    /// # Errors
    /// Why it does not start, or is not let in.
    pub fn start(&mut self, id: MachineId) -> Result<(), String> {
        let way_in = match id {
            FIRST => Start::Found { shards: self.around.sharding, factor: self.factor },
            _ => Start::Join { member: address(FIRST).to_string() },
        };
        let (around, random) = (self.around.clone(), &mut self.random);
        let new = || Machine::new(id, around, random.fork());
        let machine = self.machines.entry(id).or_insert_with(new);
        self.runtime.block_on(machine.start(way_in))?;
        self.await_joined(id)
    }

    fn await_joined(&mut self, id: MachineId) -> Result<(), String> {
        for _ in 0..PATIENCE.as_millis() / TICK.as_millis() {
            let machine = self.machines.get_mut(&id).ok_or("there is no such machine")?;
            self.runtime.block_on(machine.finish_start())?;
            if let Some(why) = self.ended(id) {
                self.crash(id, CrashPlan::KillProcess);
                return Err(why);
            }
            if self.machines[&id].joined().is_some() {
                return Ok(());
            }
            self.wait(TICK);
        }
        Err(format!("machine {id} is not let in"))
    }

    /// Ends a node without a word, and leaves on its disk what `plan` says.
    pub fn crash(&mut self, machine: MachineId, plan: CrashPlan) {
        let machine = self.machines.get_mut(&machine);
        self.runtime.block_on(async {
            if let Some(machine) = machine {
                machine.crash(plan).await;
            }
        });
    }

    /// Suspends a node.
    pub fn pause(&self, machine: MachineId) {
        let _entered = self.runtime.enter();
        self.machines.get(&machine).into_iter().for_each(Machine::pause);
    }

    /// Lets it go on.
    pub fn resume(&self, machine: MachineId) {
        let _entered = self.runtime.enter();
        self.machines.get(&machine).into_iter().for_each(Machine::resume);
    }

    /// Lets nothing pass between these sides.
    pub fn cut(&self, sides: &[BTreeSet<MachineId>]) {
        let apart = |from: &MachineId, to: &MachineId| {
            sides.iter().any(|side| side.contains(from))
                && sides.iter().any(|side| side.contains(to) && !side.contains(from))
        };
        let all = || self.machines.keys().copied();
        let pairs = all().flat_map(|from| all().map(move |to| (from, to)));
        self.air.cut(pairs.filter(|(from, to)| apart(from, to)).collect());
    }

    /// Lets time go on.
    pub fn wait(&self, span: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(span).await });
        self.machines.values().for_each(|machine| machine.disk().advance(span));
    }

    /// A connection to a node; none if it does not run.
    pub fn connect(&self, machine: MachineId) -> Option<ClientEnd> {
        let _entered = self.runtime.enter();
        let process = self.machines.get(&machine)?.process()?;
        Some(process.running.server.connect())
    }

    /// Waits for bytes.
    ///
    /// # Errors
    /// If the connection is closed, or nothing comes for long.
    pub fn receive(&self, from: &ClientEnd) -> Result<Vec<u8>, Nothing> {
        for _ in 0..ANSWER.as_millis() / TICK.as_millis() {
            match self.runtime.block_on(async { timeout(TICK, from.receive()).await }) {
                Ok(Some(bytes)) => return Ok(bytes),
                Ok(None) => return Err(Nothing::Closed),
                Err(_) => self.machines.values().for_each(|machine| machine.disk().advance(TICK)),
            }
        }
        Err(Nothing::Silence)
    }

    /// Has a node asked for what an operator wants.
    ///
    /// # Errors
    /// Why it is not done.
    pub fn wish(&self, of: MachineId, wish: Wish) -> Result<(), String> {
        let process = self.machines.get(&of).and_then(Machine::process);
        let running = process.map(|process| process.running.clone());
        let Running { host, server } =
            running.ok_or_else(|| format!("machine {of} does not run"))?;
        self.runtime.block_on(async {
            let asked = host.spawn(async move { server.wish(wish).await });
            match timeout(ANSWER, asked).await {
                Ok(Ok(outcome)) => outcome.map_err(|refusal| refusal.to_string()),
                Ok(Err(ended)) => Err(ended.to_string()),
                Err(_) => Err("no answer".to_owned()),
            }
        })
    }

    /// A line for each node and for each shard, the meta group first: where it is, and who leads it.
    pub fn table(&self) -> String {
        let servers = || self.machines.values().filter_map(|machine| machine.process());
        let known = servers().filter_map(|process| process.running.server.topology());
        let Some(topology) = known.max_by_key(|topology| topology.epoch()) else {
            return "no cluster\n".to_owned();
        };
        let nodes = topology.nodes().map(|node| format!("node {} {:?}\n", node.id, node.state));
        let shards = topology.groups().map(|(shard, group)| {
            let on: Vec<_> = group.voters.iter().map(ToString::to_string).collect();
            let leads = |machine: &&Machine| machine.leads_any(&[shard]);
            let leader = self.machines.values().find(leads).and_then(Machine::joined);
            let leader = leader.map(|node| node.to_string());
            let leader = leader.unwrap_or_else(|| "nobody".to_owned());
            let moves = if group.running.is_some() { ", and moves" } else { "" };
            format!("shard {shard} on {}, led by {leader}{moves}\n", on.join(" "))
        });
        nodes.chain(shards).collect::<String>().to_lowercase()
    }

    /// What happened that must not.
    pub fn violation(&self) -> Option<String> {
        self.around.trace.found()
    }

    /// Why a node wants its process to end, if it does.
    pub fn ended(&self, machine: MachineId) -> Option<String> {
        let process = self.machines.get(&machine)?.process()?;
        process.running.server.ended_because().map(str::to_owned)
    }
}
