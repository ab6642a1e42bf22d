//! A cluster to try things on.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use aryavarth::WriteBatch;
use aryavarth_replication::testing::{Records, SimStore};
use aryavarth_replication::{
    Basis, ClusterId, EntryIndex, Error, Group, Identity, Incarnation, Node, NodeConfig, NodeId,
    Result, Role, Roster, Secret, ShardId, Timing, Tls,
};
use tokio::runtime::Runtime;
use tokio::time::Instant;

pub const SHARD: ShardId = ShardId(1);
/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// A node with threads of its own, so that dropping it is like killing its process.
pub struct Process {
    node: Option<Arc<Node>>,
    pub store: SimStore,
    config: NodeConfig,
    runtime: Option<Runtime>,
}

impl Process {
    pub async fn start(config: NodeConfig, store: SimStore) -> Result<Process> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let mut process = Process { node: None, store, config, runtime: Some(runtime) };
        let deadline = Instant::now() + PATIENCE;
        loop {
            let store = Arc::new(process.store.clone());
            let starting = Node::start(process.config.clone(), store, None);
            match process.run(starting).await {
                Ok(node) => process.node = Some(Arc::new(node)),
                // The one that was killed here has not let go of the address yet.
                Err(Error::Listen { .. }) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    continue;
                }
                Err(error) => return Err(error),
            }
            return Ok(process);
        }
    }

    pub fn node(&self) -> Arc<Node> {
        Arc::clone(self.node.as_ref().unwrap())
    }

    /// Runs on this node's threads, as whatever calls into a node does.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        self.runtime.as_ref().unwrap().spawn(work).await.unwrap()
    }

    pub fn group(&self) -> Group {
        self.node().group(SHARD).unwrap()
    }

    pub fn id(&self) -> NodeId {
        self.config.identity.node
    }

    pub fn address(&self) -> String {
        self.config.listen.to_string()
    }

    pub fn records(&self) -> Records {
        self.store.records()
    }

    /// Ends it without a word. What was not synced is lost.
    pub fn kill(mut self) -> (NodeConfig, SimStore) {
        self.runtime.take().unwrap().shutdown_background();
        (self.config.clone(), self.store.crashed(SHARD))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The settings of node `number`, on an address and a port that no other test uses.
pub fn config(number: u8, port: u16) -> NodeConfig {
    NodeConfig {
        identity: Identity {
            cluster: ClusterId(0xC1),
            node: NodeId(u64::from(number)),
            incarnation: Incarnation(1000 + u64::from(number)),
        },
        secret: Secret::new("open sesame"),
        listen: SocketAddr::new(IpAddr::from([127, 0, 0, 10 + number]), port),
        timing: Timing::quick(),
        tls: None,
        roster: Roster::default(),
    }
}

pub fn port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    // Below the ports that the system gives to outgoing connections.
    20_000
        + u16::try_from(std::process::id() % 10_000).unwrap()
        + NEXT.fetch_add(1, Ordering::SeqCst)
}

pub struct Cluster {
    pub processes: Vec<Process>,
    pub port: u16,
    pub tls: Option<Tls>,
    pub timing: Timing,
}

impl Cluster {
    /// `size` nodes that form one group.
    pub async fn start(size: u8) -> Cluster {
        Cluster::start_with(size, None, Timing::quick()).await
    }

    pub async fn start_with(size: u8, tls: Option<Tls>, timing: Timing) -> Cluster {
        let mut cluster = Cluster { processes: Vec::new(), port: port(), tls, timing };
        for number in 1..=size {
            cluster.add(number).await;
        }
        let members: Vec<_> =
            cluster.processes.iter().map(|process| (process.id(), process.address())).collect();
        let first = cluster.processes[0].group();
        cluster.processes[0].run(async move { first.initialize(&members).await }).await.unwrap();
        cluster
    }

    pub fn config(&self, number: u8) -> NodeConfig {
        NodeConfig { tls: self.tls.clone(), timing: self.timing, ..config(number, self.port) }
    }

    /// A node with an empty group, member of nothing.
    pub async fn add(&mut self, number: u8) -> &Process {
        let store = SimStore::new(SHARD, Duration::from_millis(2));
        let process = Process::start(self.config(number), store).await.unwrap();
        let node = process.node();
        process.run(async move { node.create_group(SHARD).await.unwrap() }).await;
        self.processes.push(process);
        self.processes.last().unwrap()
    }

    /// The place of the node that leads and is ready.
    pub async fn leader(&self) -> usize {
        let found =
            eventually(|| self.processes.iter().position(|process| process.group().is_leader()));
        found.await.expect("somebody leads")
    }

    /// Takes a node out, killed.
    pub fn kill(&mut self, place: usize) -> (NodeConfig, SimStore) {
        self.processes.remove(place).kill()
    }

    /// Writes through whoever leads until it is acknowledged. Gives how often the outcome was unknown.
    pub async fn put(&self, key: &str, value: &str) -> EntryIndex {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let leader = self.processes[self.leader().await].group();
            match leader.propose(batch(key, value), Basis::Anything).await {
                Ok(index) => return index,
                Err(error) => assert!(Instant::now() < deadline, "no write went through: {error}"),
            }
        }
    }

    /// Waits until all nodes have the same records, and gives them.
    pub async fn agree(&self) -> Records {
        let agreed = eventually(|| {
            let mut all = self.processes.iter().map(Process::records);
            let first = all.next()?;
            all.all(|records| records == first).then_some(first)
        });
        agreed.await.expect("the replicas become equal")
    }

    pub fn voters(&self) -> BTreeSet<NodeId> {
        self.processes.iter().map(Process::id).collect()
    }
}

/// Cuts the lines between a node and others, both ways; those to the rest are mended from its side.
pub fn cut(one: &Process, others: &[&Process]) {
    let ids: Vec<NodeId> = others.iter().map(|other| other.id()).collect();
    one.node().sever(&ids);
    for other in others {
        other.node().sever(&[one.id()]);
    }
}

pub fn batch(key: &str, value: &str) -> Arc<WriteBatch> {
    let mut batch = WriteBatch::new();
    batch.set(key, value);
    Arc::new(batch)
}

/// Waits until `found` finds something.
pub async fn eventually<T>(mut found: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(found) = found() {
            return Some(found);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    None
}

pub fn role(process: &Process) -> Role {
    process.group().status().leadership.role
}
