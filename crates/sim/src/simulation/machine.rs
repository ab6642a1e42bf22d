//! A node with its machine: disk, clock, process.

use std::collections::BTreeMap;
use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aryavarth::disk::Disk;
use aryavarth::disk::sim::{CrashPlan, SimDisk};
use aryavarth::{Durability, KvStore, Lives, Options, UnixMillis};
use aryavarth_cluster::{Address, Sharding};
use aryavarth_replication::simulation::{Host, Pace, SimNetwork};
use aryavarth_replication::{Group, NodeId, ShardId, Timing};
use aryavarth_server::cluster::{Home, Start};
use aryavarth_server::config::{Config, OnDamage, Reads, Routing, Span, Switch};
use aryavarth_server::simulation::{Setup, SimServer, Simulated};

use tokio::task::JoinHandle;

use super::clients::Running;
use super::ledger::Ledger;
use super::random::Random;
use super::talk::host_of;
use super::trace::Trace;
use super::watch::Watcher;

/// A machine. Which node it is, its cluster says; and that may become another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineId(pub u64);

impl fmt::Display for MachineId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// On which machine each node is. Clones are the same.
#[derive(Clone, Debug, Default)]
pub struct Whereabouts(Arc<Mutex<BTreeMap<NodeId, MachineId>>>);

impl Whereabouts {
    /// A machine becomes a node, or goes on as it.
    ///
    /// # Errors
    /// If another one is that node, or this one has become another node since.
    pub fn note(&self, machine: MachineId, node: NodeId) -> Result<(), String> {
        if let Some(newest) = self.newest(machine).filter(|newest| *newest > node) {
            return Err(format!("machine {machine} is node {node} again, after it was {newest}"));
        }
        let mut nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match *nodes.entry(node).or_insert(machine) {
            noted if noted == machine => Ok(()),
            other => Err(format!("machine {machine} is node {node}, as is machine {other}")),
        }
    }

    /// Where a node is.
    pub fn of(&self, node: NodeId) -> Option<MachineId> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(&node).copied()
    }

    /// What a machine became last.
    pub fn newest(&self, machine: MachineId) -> Option<NodeId> {
        let nodes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        nodes.iter().rev().find(|(_, on)| **on == machine).map(|(node, _)| *node)
    }
}

/// What all machines of a run have in common.
#[derive(Clone)]
pub struct Surroundings {
    /// What happens.
    pub trace: Trace,
    /// What Raft promises.
    pub ledger: Ledger,
    /// How nodes reach one another.
    pub network: SimNetwork,
    /// On which machines they are.
    pub whereabouts: Whereabouts,
    /// The cluster's times.
    pub timing: Timing,
    /// How the cluster comes to its shards.
    pub sharding: Sharding,
    /// How nodes are set.
    pub settings: Settings,
}

/// How the nodes of a run are set.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Entries that are kept for who falls behind.
    pub log_keep: u32,
    /// In how many seconds all records are read to look for damage; 0 for never.
    pub scrub_period: u64,
    /// What becomes of requests that another node has to answer.
    pub routing: Routing,
    /// What a node does about damage that cannot be mended.
    pub on_damage: OnDamage,
    /// After how many milliseconds of silence a node is taken for lost; 0 for never.
    pub lost_after: u64,
}

impl Settings {
    /// Some settings.
    pub fn any(random: &mut Random) -> Settings {
        let on_damage = *random.pick(&[OnDamage::Stop, OnDamage::Stop, OnDamage::Replace]);
        Settings {
            log_keep: *random.pick(&[10, 100, 10_000]),
            // A node that replaces itself has to find out that it should.
            scrub_period: *random.pick(match on_damage {
                OnDamage::Stop => &[0, 1, 4],
                OnDamage::Replace => &[1, 1, 4],
            }),
            routing: *random.pick(&[Routing::Redirect, Routing::Redirect, Routing::Forward]),
            on_damage,
            lost_after: *random.pick(&[0, 0, 0, 2_500, 4_000]),
        }
    }

    /// Nothing that goes on by itself.
    pub fn quiet() -> Settings {
        Settings {
            log_keep: 10_000,
            scrub_period: 0,
            routing: Routing::Redirect,
            on_damage: OnDamage::Stop,
            lost_after: 0,
        }
    }

    fn config(self, random: &mut Random) -> Config {
        let mut config = Config::default();
        (config.cluster, config.io_threads) = (Switch::Yes, 1);
        config.reads = *random.pick(&[Reads::Lease, Reads::Lease, Reads::ReadIndex]);
        config.raft_log_keep = self.log_keep;
        config.scrub_period = Span(Duration::from_secs(self.scrub_period));
        config.on_damage = self.on_damage;
        config.node_lost_after = Span(Duration::from_millis(self.lost_after));
        config.routing = self.routing;
        config
    }
}

/// A machine, whether its node runs or not.
pub struct Machine {
    /// Which one it is.
    pub id: MachineId,
    around: Surroundings,
    random: Random,
    disk: SimDisk,
    /// What its clock showed when it was stopped, and how fast it runs.
    clock: (Duration, u32),
    pace: Pace,
    life: Life,
}

enum Life {
    Off,
    /// Its store is being opened, or others are asked to replace it; or it founds a cluster.
    Starts(Starting),
    Runs(Process),
}

struct Starting {
    host: Host,
    alive: Arc<AtomicBool>,
    task: JoinHandle<Result<SimServer, String>>,
}

/// A node that runs.
pub struct Process {
    /// The machine as the runtime sees it, node and server.
    pub running: Running,
    /// Its records.
    pub store: KvStore,
    alive: Arc<AtomicBool>,
}

/// How far the wall clocks of new machines differ, in milliseconds.
const MOST_SKEW: u64 = 5_000;
/// Bytes that are looked through at once.
const AT_ONCE: u64 = 1 << 20;
/// How long a start is waited for, before all else goes on.
const START: Duration = Duration::from_millis(100);

/// Records with their deadlines, by key.
pub type Records = BTreeMap<Vec<u8>, (Vec<u8>, Option<UnixMillis>)>;

/// The directory of a node.
const HOME: &str = "/node";

/// The same, as a path.
pub fn home() -> &'static Path {
    Path::new(HOME)
}

/// Where peers reach a machine.
pub fn address(machine: MachineId) -> SocketAddr {
    let number = u8::try_from(machine.0).unwrap_or(u8::MAX);
    SocketAddr::new(IpAddr::from([10, 0, 0, number]), 7)
}

fn options(disk: &SimDisk) -> Options {
    Options::tiny().durability(Durability::Os).disk(Arc::new(disk.clone()))
}

impl Machine {
    /// A machine with an empty disk.
    pub fn new(id: MachineId, around: Surroundings, mut random: Random) -> Machine {
        let disk = SimDisk::with_seed(random.next());
        let wall = Disk::wall_clock(&disk).0 + random.below(MOST_SKEW);
        disk.set_wall_clock(UnixMillis(wall));
        let clock = (random.millis(0..=1_000_000), 1_000_000);
        let pace = Pace { sync: 1..=4, work: 0..=5 };
        Machine { id, around, random, disk, clock, pace, life: Life::Off }
    }

    /// The node, if it runs.
    pub fn process(&self) -> Option<&Process> {
        match &self.life {
            Life::Runs(process) => Some(process),
            Life::Off | Life::Starts(_) => None,
        }
    }

    /// Whether its node is about to run.
    pub fn is_starting(&self) -> bool {
        matches!(self.life, Life::Starts(_))
    }

    /// Whether nothing runs on it.
    pub fn is_off(&self) -> bool {
        matches!(self.life, Life::Off)
    }

    /// The group of a shard, if it is here and runs.
    pub fn group(&self, shard: ShardId) -> Option<Group> {
        self.process()?.running.group(shard)
    }

    /// Which node it is, if it runs and has become one.
    pub fn joined(&self) -> Option<NodeId> {
        self.process()?.running.server.id()
    }

    /// Whether it leads one of these shards, ready to serve.
    pub fn leads_any(&self, shards: &[ShardId]) -> bool {
        shards.iter().any(|shard| self.group(*shard).is_some_and(|group| group.is_leader()))
    }

    /// All its records that have not expired by then, by shard.
    ///
    /// # Errors
    /// If they cannot be read, or it does not run.
    pub fn records(&self, by: UnixMillis) -> Result<BTreeMap<ShardId, Records>, String> {
        let process = self.process().ok_or_else(|| format!("machine {} is down", self.id))?;
        let mut records: BTreeMap<ShardId, Records> = BTreeMap::new();
        for entry in process.store.iter() {
            let entry = entry.map_err(|error| error.to_string())?;
            if entry.expires_at.is_none_or(|deadline| deadline > by) {
                let shard = process.running.server.shard_of(&entry.key).unwrap_or_default();
                let value = (entry.value, entry.expires_at);
                records.entry(shard).or_default().insert(entry.key, value);
            }
        }
        Ok(records)
    }

    /// Whether anything is damaged that its store needs, now or at its next start.
    pub fn is_damaged(&self) -> bool {
        let Some(process) = self.process() else { return true };
        let look = || -> aryavarth::Result<bool> {
            let (mut scrub, mut is_damaged) = (process.store.begin_scrub()?, false);
            while scrub.left() > 0 {
                process.store.scrub(&mut scrub, AT_ONCE, |rotten| {
                    let is_spared = process.store.is_spared(&rotten.error).unwrap_or(false);
                    is_damaged |= rotten.lives != Lives::Nothing || !is_spared;
                })?;
            }
            Ok(is_damaged)
        };
        process.running.host.enter(look).unwrap_or(true)
    }

    /// Its disk.
    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// Lets its clock run at another rate, in millionths.
    pub fn set_rate(&mut self, rate: u32) {
        self.clock.1 = rate;
        if let Some(process) = self.process()
            && process.running.host.is_running()
        {
            process.running.host.set_rate(rate);
        }
    }

    /// Sets how long its disk takes.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace.clone();
        if let Some(process) = self.process() {
            process.running.host.set_pace(pace);
        }
    }

    /// Suspends it.
    pub fn pause(&self) {
        if let Some(process) = self.process() {
            process.running.host.pause();
        }
    }

    /// Lets it go on.
    pub fn resume(&self) {
        if let Some(process) = self.process() {
            process.running.host.resume(self.clock.1);
        }
    }

    /// Ends it without a word, also in the middle of its start, and leaves on the disk what `plan` says.
    pub async fn crash(&mut self, plan: CrashPlan) {
        let (host, alive, rest) = match std::mem::replace(&mut self.life, Life::Off) {
            Life::Off => return,
            Life::Starts(Starting { host, alive, task }) => (host, alive, (Some(task), None)),
            Life::Runs(process) => {
                let alive = Arc::clone(&process.alive);
                (process.running.host.clone(), alive, (None, Some(process)))
            }
        };
        self.around.trace.note(format_args!("m{} crashes: {plan:?}", self.id));
        alive.store(false, Ordering::SeqCst);
        self.disk = self.disk.crashed_image(plan);
        self.clock.0 = host.now();
        self.around.network.close(&address(self.id).to_string());
        host.kill();
        drop(rest);
        // The tasks are dropped when their turn comes.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    }

    /// Gives it an empty disk. It must be off.
    pub fn wipe(&mut self) {
        let wall = Disk::wall_clock(&self.disk);
        self.disk = SimDisk::with_seed(self.random.next());
        self.disk.set_wall_clock(wall);
    }

    /// Starts the node on what is on the disk. It may be under way still when this returns.
    ///
    /// # Errors
    /// What it says, if it does not start.
    pub async fn start(&mut self, start: Start) -> Result<(), String> {
        if !self.is_off() {
            return Ok(());
        }
        self.around.trace.note(format_args!("m{} starts", self.id));
        // A machine is off for a while, and its clock goes on.
        self.clock.0 += Duration::from_millis(1);
        let seed = self.random.next();
        let host = Host::new(seed, self.clock.0, self.clock.1, self.pace.clone());
        let alive = Arc::new(AtomicBool::new(true));
        let setup = self.setup(start, &alive);
        let mut task = host.spawn(async move {
            let started = SimServer::start(setup).await;
            started.map_err(|error| error.to_string())
        });
        let ended = tokio::time::timeout(START, &mut task).await;
        let starting = Starting { host, alive, task };
        match ended {
            Ok(ended) => self.started(starting, ended.map_err(|error| error.to_string())).await,
            Err(_) => {
                self.life = Life::Starts(starting);
                Ok(())
            }
        }
    }

    /// Takes note of a start that has ended meanwhile; says whether it has.
    ///
    /// # Errors
    /// What it says, if it does not start.
    pub async fn finish_start(&mut self) -> Result<bool, String> {
        match std::mem::replace(&mut self.life, Life::Off) {
            Life::Starts(mut starting) if starting.task.is_finished() => {
                let ended = (&mut starting.task).await.map_err(|error| error.to_string());
                self.started(starting, ended).await?;
                Ok(true)
            }
            life => {
                self.life = life;
                Ok(false)
            }
        }
    }

    async fn started(
        &mut self,
        starting: Starting,
        ended: Result<Result<SimServer, String>, String>,
    ) -> Result<(), String> {
        match ended.flatten() {
            Ok(server) => {
                let Starting { host, alive, task: _ } = starting;
                let (store, server) = (server.store().clone(), Arc::new(server));
                let running = Running { host, server };
                self.life = Life::Runs(Process { running, store, alive });
                Ok(())
            }
            Err(error) => {
                // A process that does not start ends.
                self.life = Life::Starts(starting);
                self.crash(CrashPlan::KillProcess).await;
                Err(error)
            }
        }
    }

    fn setup(&mut self, start: Start, alive: &Arc<AtomicBool>) -> Setup {
        let watcher = Watcher {
            disk: self.disk.clone(),
            ledger: self.around.ledger.clone(),
            alive: Arc::clone(alive),
            machine: self.id,
            whereabouts: self.around.whereabouts.clone(),
        };
        Setup {
            home: Home::on(Arc::new(self.disk.clone()), HOME),
            config: self.around.settings.config(&mut self.random),
            store: options(&self.disk),
            peer: address(self.id),
            client: Address::new(&host_of(self.id), 1).expect("a name without odd letters"),
            timing: self.around.timing,
            start,
            simulated: Simulated {
                network: self.around.network.clone(),
                watcher: Arc::new(watcher),
            },
        }
    }
}
