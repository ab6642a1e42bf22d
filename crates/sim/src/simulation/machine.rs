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
use aryavarth_cluster::{ShardCount, Topology};
use aryavarth_replication::entry_log::EntryIndex;
use aryavarth_replication::simulation::{Host, Pace, SimNetwork};
use aryavarth_replication::store::NodeStore;
use aryavarth_replication::{
    ClusterId, EngineStore, Group, Identity, Incarnation, Node, NodeConfig, NodeId, Roster, Secret,
    ShardId, Timing,
};

use aryavarth_server::cluster::reserved::owner;
use aryavarth_server::config::Reads;
use aryavarth_server::simulation::{Setup, SimServer};

use super::clients::{Directory, Running};
use super::ledger::{Found, Ledger, Settled};
use super::peers::Line;
use super::random::Random;
use super::trace::Trace;
use super::watch::{Watch, WatchedStore};
use super::weather::Air;

/// Bytes of a log read at once.
const READ_AT_ONCE: u64 = 1 << 20;

/// What all machines of a run have in common.
#[derive(Clone)]
pub struct Surroundings {
    /// What happens.
    pub trace: Trace,
    /// What Raft promises.
    pub ledger: Ledger,
    /// How nodes reach one another.
    pub network: SimNetwork,
    /// What is between them.
    pub air: Air,
    /// Where they are.
    pub directory: Directory,
    /// The cluster's times.
    pub timing: Timing,
    /// How many shards there are. Each machine has a replica of all of them.
    pub shards: ShardCount,
    /// Where clients find nodes.
    pub topology: Arc<Topology>,
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

/// Where peers reach a node.
pub fn address(node: NodeId) -> String {
    format!("sim:{node}")
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

    /// Whether it leads one of these shards, ready to serve.
    pub fn leads_any(&self, shards: &[ShardId]) -> bool {
        shards.iter().any(|shard| self.group(*shard).is_some_and(|group| group.is_leader()))
    }

    /// All its records that have not expired by then.
    ///
    /// # Errors
    /// If they cannot be read, or it does not run.
    pub fn records(&self, by: UnixMillis) -> Result<Records, String> {
        let process = self.process.as_ref().ok_or_else(|| format!("node {} is down", self.id))?;
        let mut records = Records::new();
        for entry in process.store.iter() {
            let entry = entry.map_err(|error| error.to_string())?;
            if entry.expires_at.is_none_or(|deadline| deadline > by) {
                records.insert(entry.key, (entry.value, entry.expires_at));
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
    pub async fn start(&mut self) -> Result<(), String> {
        if self.process.is_some() {
            return Ok(());
        }
        self.around.trace.note(format_args!("n{} starts", self.id));
        // A machine is off for a while, and its clock goes on.
        self.clock.0 += Duration::from_millis(1);
        let seed = self.random.next();
        let host = Host::new(seed, self.clock.0, self.clock.1, self.pace.clone());
        let opened = host.enter(|| KvStore::open_with(Path::new("/node"), options(&self.disk)));
        let store = opened.map_err(|error| error.to_string())?;
        let alive = Arc::new(AtomicBool::new(true));
        let (ledger, watching) = (self.around.ledger.clone(), Arc::clone(&alive));
        let shards = self.around.shards;
        let engine = EngineStore::new(store.clone(), owner(shards));
        self.report(&engine)?;
        let watch = Watch { node: self.id, ledger, alive: watching };
        let watched = Arc::new(WatchedStore { store: engine, watch });
        let (config, network) = (self.config(), self.around.network.clone());
        let setup = self.setup();
        let records = store.clone();
        let starting = host.spawn(async move {
            let node = Node::start_simulated(config, watched, None, &network).await;
            let node = node.map_err(|error| error.to_string())?;
            // One that was made and never synced is made again.
            for shard in shards.shards().filter(|shard| node.group(*shard).is_err()) {
                node.create_group(shard).await.map_err(|error| error.to_string())?;
            }
            let server = SimServer::start(records, &setup).map_err(|error| error.to_string())?;
            node.groups().into_iter().for_each(|group| server.seat(group));
            Ok::<_, String>((Arc::new(node), Arc::new(server)))
        });
        let (node, server) = starting.await.map_err(|error| error.to_string())??;
        let running = Running { host, node, server };
        self.process = Some(Process { running, store, alive });
        Ok(())
    }

    fn setup(&mut self) -> Setup {
        Setup {
            node: self.id,
            shards: self.around.shards,
            topology: Arc::clone(&self.around.topology),
            reads: *self.random.pick(&[Reads::Lease, Reads::Lease, Reads::ReadIndex]),
            peers: Arc::new(Line {
                node: self.id,
                air: self.around.air.clone(),
                directory: self.around.directory.clone(),
            }),
        }
    }

    /// Tells the ledger what is there.
    fn report(&self, store: &EngineStore) -> Result<(), String> {
        let is_settled = self.disk.unsynced_writes() == 0;
        let settled = if is_settled { Settled::OnDisk } else { Settled::InMemory };
        for shard in store.shards() {
            let log = store.log(shard).map_err(|error| error.to_string())?;
            let state = log.state();
            let mut entries = Vec::new();
            let mut next = state.purged.map_or(0, |purged| purged.index.0 + 1);
            while let Some(last) = state.last
                && next <= last.index.0
            {
                let range = next..last.index.0 + 1;
                let more = log.read(range, READ_AT_ONCE).map_err(|error| error.to_string())?;
                let Some(newest) = more.last().map(|entry| entry.id.index) else { break };
                let EntryIndex(newest) = newest;
                next = newest + 1;
                entries.extend(more);
            }
            let found = Found {
                base: state.purged,
                entries,
                vote: state.vote,
                committed: state.committed,
                applied: state.applied,
                settled,
            };
            self.around.ledger.recovered(self.id, shard, &found);
        }
        Ok(())
    }

    fn config(&self) -> NodeConfig {
        NodeConfig {
            identity: Identity {
                cluster: ClusterId(1),
                node: self.id,
                incarnation: Incarnation(self.id.0),
            },
            secret: Secret::new("simulation"),
            listen: SocketAddr::new(IpAddr::from([0, 0, 0, 0]), 0),
            timing: self.around.timing,
            tls: None,
            roster: Roster::default(),
        }
    }
}
