//! A node with its machine: disk, clock, process.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aryavarth::disk::Disk;
use aryavarth::disk::sim::{CrashPlan, SimDisk};
use aryavarth::{Durability, KvStore, Options, UnixMillis};
use aryavarth_cluster::{Address, ShardCount};
use aryavarth_replication::simulation::{Host, Pace, SimNetwork};
use aryavarth_replication::{Group, NodeId, ShardId, Timing};
use aryavarth_server::cluster::reserved::group_of;
use aryavarth_server::cluster::{Home, Start};
use aryavarth_server::config::{Config, OnDamage, Reads, Routing, Span, Switch};
use aryavarth_server::simulation::{Setup, SimServer, Simulated};

use super::clients::Running;
use super::ledger::Ledger;
use super::random::Random;
use super::talk::host_of;
use super::trace::Trace;
use super::watch::Watcher;

/// What all machines of a run have in common.
#[derive(Clone)]
pub struct Surroundings {
    /// What happens.
    pub trace: Trace,
    /// What Raft promises.
    pub ledger: Ledger,
    /// How nodes reach one another.
    pub network: SimNetwork,
    /// The cluster's times.
    pub timing: Timing,
    /// How many shards there are.
    pub shards: ShardCount,
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
}

impl Settings {
    /// Some settings.
    pub fn any(random: &mut Random) -> Settings {
        Settings {
            log_keep: *random.pick(&[10, 100, 10_000]),
            scrub_period: *random.pick(&[0, 1, 4]),
            routing: *random.pick(&[Routing::Redirect, Routing::Redirect, Routing::Forward]),
        }
    }

    fn config(self, random: &mut Random) -> Config {
        let mut config = Config::default();
        (config.cluster, config.io_threads) = (Switch::Yes, 1);
        config.reads = *random.pick(&[Reads::Lease, Reads::Lease, Reads::ReadIndex]);
        config.raft_log_keep = self.log_keep;
        config.scrub_period = Span(Duration::from_secs(self.scrub_period));
        config.on_damage = OnDamage::Stop;
        config.routing = self.routing;
        config
    }
}

/// A machine, whether its node runs or not.
pub struct Machine {
    /// Its node's id.
    pub id: NodeId,
    around: Surroundings,
    random: Random,
    disk: SimDisk,
    /// What its clock showed when it was stopped, and how fast it runs.
    clock: (Duration, u32),
    pace: Pace,
    process: Option<Process>,
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

/// Records with their deadlines, by key.
pub type Records = BTreeMap<Vec<u8>, (Vec<u8>, Option<UnixMillis>)>;

/// The directory of a node.
const HOME: &str = "/node";

/// Where peers reach a node.
pub fn address(node: NodeId) -> SocketAddr {
    let number = u8::try_from(node.0).unwrap_or(u8::MAX);
    SocketAddr::new(IpAddr::from([10, 0, 0, number]), 7)
}

fn options(disk: &SimDisk) -> Options {
    Options::tiny().durability(Durability::Os).disk(Arc::new(disk.clone()))
}

impl Machine {
    /// A machine with an empty disk.
    pub fn new(id: NodeId, around: Surroundings, mut random: Random) -> Machine {
        let disk = SimDisk::with_seed(random.next());
        let wall = Disk::wall_clock(&disk).0 + random.below(MOST_SKEW);
        disk.set_wall_clock(UnixMillis(wall));
        let clock = (random.millis(0..=1_000_000), 1_000_000);
        let pace = Pace { sync: 1..=4, work: 0..=5 };
        Machine { id, around, random, disk, clock, pace, process: None }
    }

    /// The node, if it runs.
    pub fn process(&self) -> Option<&Process> {
        self.process.as_ref()
    }

    /// The group of a shard, if it is here and runs.
    pub fn group(&self, shard: ShardId) -> Option<Group> {
        self.process.as_ref()?.running.group(shard)
    }

    /// Its id, if it has become a node.
    pub fn joined(&self) -> Option<NodeId> {
        self.process.as_ref()?.running.server.id()
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
        let process = self.process.as_ref().ok_or_else(|| format!("node {} is down", self.id))?;
        let mut records: BTreeMap<ShardId, Records> = BTreeMap::new();
        for entry in process.store.iter() {
            let entry = entry.map_err(|error| error.to_string())?;
            if entry.expires_at.is_none_or(|deadline| deadline > by) {
                let shard = group_of(self.around.shards, &entry.key);
                let value = (entry.value, entry.expires_at);
                records.entry(shard).or_default().insert(entry.key, value);
            }
        }
        Ok(records)
    }

    /// Its disk.
    pub fn disk(&self) -> &SimDisk {
        &self.disk
    }

    /// Lets its clock run at another rate, in millionths.
    pub fn set_rate(&mut self, rate: u32) {
        self.clock.1 = rate;
        if let Some(process) = &self.process
            && process.running.host.is_running()
        {
            process.running.host.set_rate(rate);
        }
    }

    /// Sets how long its disk takes.
    pub fn set_pace(&mut self, pace: Pace) {
        self.pace = pace.clone();
        if let Some(process) = &self.process {
            process.running.host.set_pace(pace);
        }
    }

    /// Suspends it.
    pub fn pause(&self) {
        if let Some(process) = &self.process {
            process.running.host.pause();
        }
    }

    /// Lets it go on.
    pub fn resume(&self) {
        if let Some(process) = &self.process {
            process.running.host.resume(self.clock.1);
        }
    }

    /// Ends it without a word, and leaves on the disk what `plan` says.
    pub async fn crash(&mut self, plan: CrashPlan) {
        let Some(process) = self.process.take() else { return };
        self.around.trace.note(format_args!("n{} crashes: {plan:?}", self.id));
        process.alive.store(false, Ordering::SeqCst);
        self.disk = self.disk.crashed_image(plan);
        self.clock.0 = process.running.host.now();
        self.around.network.close(self.id);
        process.running.host.kill();
        drop(process);
        // The tasks are dropped when their turn comes.
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    }

    /// Starts the node on what is on the disk.
    ///
    /// # Errors
    /// What it says, if it does not start.
    pub async fn start(&mut self, start: Start) -> Result<(), String> {
        if self.process.is_some() {
            return Ok(());
        }
        self.around.trace.note(format_args!("n{} starts", self.id));
        // A machine is off for a while, and its clock goes on.
        self.clock.0 += Duration::from_millis(1);
        let seed = self.random.next();
        let host = Host::new(seed, self.clock.0, self.clock.1, self.pace.clone());
        let opened = host.enter(|| KvStore::open_with(Path::new(HOME), options(&self.disk)));
        let store = opened.map_err(|error| error.to_string())?;
        let alive = Arc::new(AtomicBool::new(true));
        let setup = self.setup(start, &alive);
        let records = store.clone();
        let starting = host.spawn(SimServer::start(records, setup));
        let server = starting.await.map_err(|error| error.to_string())?;
        let server = Arc::new(server.map_err(|error| error.to_string())?);
        let running = Running { host, server };
        self.process = Some(Process { running, store, alive });
        Ok(())
    }

    fn setup(&mut self, start: Start, alive: &Arc<AtomicBool>) -> Setup {
        let watcher = Watcher {
            disk: self.disk.clone(),
            ledger: self.around.ledger.clone(),
            alive: Arc::clone(alive),
            machine: self.id,
        };
        Setup {
            home: Home::on(Arc::new(self.disk.clone()), HOME),
            config: self.around.settings.config(&mut self.random),
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
