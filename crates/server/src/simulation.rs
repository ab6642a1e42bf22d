//! A server of a simulated cluster: all of it that is between a client's bytes and the groups.
//!
//! ```text
//!  ClientEnd ═ Wire ═▶ worker ─▶ commands ─▶ lanes ─▶ RaftLog ─▶ groups, given by the simulator
//!     a task of the machine ┘     seats, views ◀── who leads    └─▶ settler, a task of the machine
//! ```
//!
//! What is not here is the server's part in placing replicas: the simulator makes groups and moves them.

use std::fmt;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use aryavarth::KvStore;
use aryavarth_cluster::{NodeId, ShardCount, ShardId, Topology};
use aryavarth_replication::simulation::Host;
use aryavarth_replication::{EntryIndex, Group};
use tokio::sync::Notify;

pub use crate::net::ClientEnd;

use crate::clients::Origin;
use crate::cluster::clocks::{self, TimeMarks};
use crate::cluster::member::PROMPT;
use crate::cluster::serving::{lanes, settle};
use crate::cluster::{ClusterView, Clustered, Later, NodeError, Seats, Views, following};
use crate::config::{Config, Reads, Sources, Switch};
use crate::error::{Error, Result};
use crate::metrics::LogMetrics;
use crate::net::{Message, Socket, Wire, serve_simulated};
use crate::proposer::{DurabilityPolicy, Queue};
use crate::server::{Parts, Server, put_together};
use crate::tls::{self, Tls};

/// How a server asks other nodes.
pub trait Peers: fmt::Debug + Send + Sync {
    /// Asks the leader of a shard for an entry at or after all that it has acknowledged.
    fn read_index(&self, leader: NodeId, shard: ShardId) -> Later<Option<EntryIndex>>;
}

/// As [`Clustered::catch_up`].
pub(crate) fn catch_up(cluster: &Clustered, peers: &Arc<dyn Peers>, shard: ShardId) -> Later<bool> {
    let (seats, peers) = (Arc::clone(&cluster.seats), Arc::clone(peers));
    let leader = cluster.views.newest().leaders.get(&shard).copied();
    Box::pin(async move {
        let (Some(group), Some(leader)) = (seats.seat(shard).group(), leader) else { return false };
        let asking = async {
            let asking = tokio::time::timeout(PROMPT, peers.read_index(leader, shard));
            asking.await.ok().flatten().ok_or(NodeError::NoLeader)
        };
        following::catch_up(seats.seat(shard), &group, asking).await.is_ok()
    })
}

/// What a server is told at its start.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its node.
    pub node: NodeId,
    /// How many shards the cluster has.
    pub shards: ShardCount,
    /// Where clients find the nodes.
    pub topology: Arc<Topology>,
    /// How it makes sure that it leads before it answers a read.
    pub reads: Reads,
    /// How it asks other nodes.
    pub peers: Arc<dyn Peers>,
}

/// A server on a simulated machine.
pub struct SimServer {
    server: Arc<Server>,
    seats: Arc<Seats>,
    known: Arc<Known>,
    clocks: Arc<TimeMarks>,
    bell: Arc<Notify>,
}

/// What the server knows of the cluster.
struct Known {
    views: Arc<Views>,
    newest: Mutex<ClusterView>,
}

impl SimServer {
    /// A server in front of `store`, on the machine that is current. It has no groups yet.
    ///
    /// # Errors
    /// The system's.
    ///
    /// # Panics
    /// If no machine is current.
    pub fn start(store: KvStore, setup: &Setup) -> Result<SimServer> {
        let host = Host::current().expect("a simulated server is started on its machine");
        let mut config = Config::default();
        (config.cluster, config.io_threads, config.reads) = (Switch::Yes, 1, setup.reads);
        let tls = Tls::new(tls::load(&config)?);
        let (seats, views) = (Arc::new(Seats::default()), Arc::new(Views::default()));
        seats.set_shards(setup.shards);
        let clocks = Arc::new(TimeMarks::new(store.clone(), Arc::clone(&seats)));
        let log_metrics = Arc::new(LogMetrics::default());
        let (proposers, settler) = lanes(&seats, &log_metrics);
        let clustered = Clustered {
            node: OnceLock::new(),
            seats: Arc::clone(&seats),
            views: Arc::clone(&views),
            runtime: tokio::runtime::Handle::current(),
            peers: Some(Arc::clone(&setup.peers)),
        };
        let parts = Parts {
            store,
            proposers,
            cluster: Some(clustered),
            durability: Arc::new(DurabilityPolicy::new(config.durability)),
            log_queue: Arc::new(Queue::new(Arc::clone(&log_metrics))),
            log_metrics,
        };
        let server = put_together(parts, config, &Sources::default(), tls)?;
        let bell = serve_simulated(&server, &host).map_err(Error::io("make an event loop"))?;
        host.spawn(settle(settler, &server));
        host.spawn(keep(Arc::clone(&clocks)));
        let newest = ClusterView {
            myself: Some(setup.node),
            topology: Some(Arc::clone(&setup.topology)),
            ..ClusterView::default()
        };
        let known = Arc::new(Known { views, newest: Mutex::new(newest) });
        Ok(SimServer { server, seats, known, clocks, bell })
    }

    /// Gives a group its seat, and follows who leads it.
    ///
    /// # Panics
    /// If no machine is current.
    pub fn seat(&self, group: Group) {
        let host = Host::current().expect("a group is on the machine of its node");
        self.seats.seat(group.shard()).set_group(Some(group.clone()));
        let (clocks, known) = (Arc::clone(&self.clocks), Arc::clone(&self.known));
        host.spawn(async move {
            let mut leadership = group.leadership();
            loop {
                let now = leadership.borrow_and_update().clone();
                // A shard whose mark is on a damaged place is not led.
                if now.ready {
                    let _ = clocks.take_over(&group, now.term.0).await;
                }
                if let Some(leader) = &now.leader {
                    known.leads(&group, leader.node);
                }
                if leadership.changed().await.is_err() {
                    return;
                }
            }
        });
    }

    /// A new connection to it.
    pub fn connect(&self) -> ClientEnd {
        let (wire, client) = Wire::new(Arc::clone(&self.bell));
        let origin = Origin::File("simulation".into());
        let worker = &self.server.workers()[0];
        worker.connections().fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        worker.send(Message::Connection(Socket::Wire(wire), origin));
        client
    }
}

async fn keep(clocks: Arc<TimeMarks>) {
    loop {
        tokio::time::sleep(clocks::INTERVAL).await;
        clocks.keep().await;
    }
}

impl Known {
    fn leads(&self, group: &Group, leader: NodeId) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.leaders.insert(group.shard(), leader);
        self.views.publish(newest.clone());
    }
}
