//! A node of a simulated cluster with its server: all of it that is between a client's bytes and the disk.
//!
//! ```text
//!  ClientEnd ═ Wire ═▶ worker ─▶ commands ─▶ lanes ─▶ RaftLog ─▶ groups ─▶ Watcher ─▶ the store
//!     a task of the machine ┘     seats, views ◀── who leads ┘└─▶ settler, a task of the machine
//!                                      ClusterNode: pulses, reconciler, replicas, mending … ◀═ SimNetwork
//! ```

use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use aryavarth::{KvStore, Options};
use aryavarth_cluster::{Address, NodeId, ShardId, Topology};
use aryavarth_replication::simulation::{Host, SimNetwork};
use aryavarth_replication::{
    EngineStore, Forwarded, Group, Node, NodeConfig, NodeStore, Secret, Timing,
};
use tokio::sync::Notify;

pub use crate::net::ClientEnd;

use crate::clients::Origin;
use crate::cluster::serving::{ServerHost, lanes, settle};
use crate::cluster::{
    ClusterNode, ClusterOptions, Clustered, Home, NodeError, Seats, Start, Surroundings, Views,
    Wish, open_or_replace,
};
use crate::config::{Config, Sources};
use crate::error::{Error, Result};
use crate::metrics::LogMetrics;
use crate::net::{Message, Socket, Wire, serve_simulated};
use crate::proposer::{DurabilityPolicy, Queue};
use crate::server::{Parts, Server, put_together};
use crate::tls::{self, Tls};

/// Whoever watches what the groups of a node do to their logs.
pub trait Watcher: fmt::Debug + Send + Sync {
    /// A node begins on a store: what its groups are to have instead.
    ///
    /// # Errors
    /// Why it may not begin.
    fn watch(
        &self,
        node: NodeId,
        store: &EngineStore,
    ) -> std::result::Result<Arc<dyn NodeStore>, String>;
}

/// What a node has instead of the machine's own.
#[derive(Clone, Debug)]
pub struct Simulated {
    /// How it reaches others.
    pub network: SimNetwork,
    /// Who watches it.
    pub watcher: Arc<dyn Watcher>,
}

impl Simulated {
    /// As [`Node::start`].
    pub(crate) async fn start(
        &self,
        config: NodeConfig,
        store: &EngineStore,
        forwarded: Option<Arc<dyn Forwarded>>,
    ) -> std::result::Result<Node, NodeError> {
        let watched = self.watcher.watch(config.identity.node, store);
        let watched = watched.map_err(NodeError::Refused)?;
        Ok(Node::start_simulated(config, watched, forwarded, &self.network).await?)
    }
}

/// What a server is told at its start.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Its directory.
    pub home: Home,
    /// Its settings.
    pub config: Config,
    /// How its store is opened.
    pub store: Options,
    /// Where other nodes reach it.
    pub peer: SocketAddr,
    /// Where clients reach it.
    pub client: Address,
    /// The cluster's times.
    pub timing: Timing,
    /// How it comes to its cluster.
    pub start: Start,
    /// What is around it.
    pub simulated: Simulated,
}

/// A server on a simulated machine.
pub struct SimServer {
    server: Arc<Server>,
    bell: Arc<Notify>,
}

impl SimServer {
    /// A server on the machine that is current, once its store is open or was replaced, for which it may wait for
    /// others. As in [`ClusterNode::start`] it is a member when this returns, if it was one or founds a cluster; else
    /// it goes on trying to become one.
    ///
    /// # Errors
    /// What keeps it from serving.
    ///
    /// # Panics
    /// If no machine is current.
    pub async fn start(setup: Setup) -> Result<SimServer> {
        let machine = Host::current().expect("a simulated server is started on its machine");
        let Setup { home, config, store, peer, client, timing, start, simulated } = setup;
        let options = ClusterOptions {
            home,
            peer,
            client,
            zone: None,
            secret: Secret::new("simulation"),
            tls: None,
            timing,
            simulated: Some(simulated),
        };
        let store = open_or_replace(&options, config.on_damage, store, &start).await?;
        let tls = Tls::new(tls::load(&config)?);
        let (seats, views) = (Arc::new(Seats::default()), Arc::new(Views::default()));
        let log_metrics = Arc::new(LogMetrics::default());
        let (proposers, settler) = lanes(&seats, &log_metrics);
        let clustered = Clustered {
            node: OnceLock::new(),
            seats: Arc::clone(&seats),
            views: Arc::clone(&views),
            runtime: tokio::runtime::Handle::current(),
        };
        let parts = Parts {
            store: store.clone(),
            proposers,
            cluster: Some(clustered),
            durability: Arc::new(DurabilityPolicy::new(config.durability)),
            log_queue: Arc::new(Queue::new(Arc::clone(&log_metrics))),
            log_metrics,
        };
        let server = put_together(parts, config, &Sources::default(), tls)?;
        let bell = serve_simulated(&server, &machine).map_err(Error::io("make an event loop"))?;
        machine.spawn(settle(settler, &server));
        let host = Arc::new(ServerHost(Arc::downgrade(&server)));
        let around = Surroundings { options: Arc::new(options), store, seats, views, host };
        let node = ClusterNode::start_simulated(around, start).await?;
        if let Some(cluster) = &server.cluster {
            // It is started once.
            let _ = cluster.node.set(node);
        }
        Ok(SimServer { server, bell })
    }

    fn node(&self) -> Option<&Arc<ClusterNode>> {
        self.server.cluster.as_ref()?.node.get()
    }

    /// Its id; none as long as it belongs to no cluster.
    pub fn id(&self) -> Option<NodeId> {
        Some(self.node()?.member()?.id())
    }

    /// The newest topology that it has heard of.
    pub fn topology(&self) -> Option<Arc<Topology>> {
        self.node()?.member()?.topology()
    }

    /// The shard that a key is of, as far as the node knows.
    pub fn shard_of(&self, key: &[u8]) -> Option<ShardId> {
        Some(crate::cluster::reserved::group_of(self.server.cluster.as_ref()?.seats.slots(), key))
    }

    /// The group of a shard, if it is on this node.
    pub fn group(&self, shard: ShardId) -> Option<Group> {
        self.server.cluster.as_ref()?.seats.seat(shard).group()
    }

    /// Its records.
    pub fn store(&self) -> &KvStore {
        &self.server.store
    }

    /// What failed, if its store takes no more writes.
    pub fn failure(&self) -> Option<aryavarth::Error> {
        self.node()?.member()?.failure()
    }

    /// Why it wants its process to end, if it does.
    pub fn ended_because(&self) -> Option<&str> {
        self.server.ended_because()
    }

    /// Has a wish of an operator granted.
    ///
    /// # Errors
    /// Why it was not.
    pub async fn wish(&self, wish: Wish) -> std::result::Result<(), NodeError> {
        let node = self.node().ok_or(NodeError::NoCluster)?;
        node.ask_wish(wish).await
    }

    /// Hands over all that it leads, as before a clean end.
    pub async fn hand_over(&self) {
        if let Some(member) = self.node().and_then(|node| node.member()) {
            member.hand_all_over().await;
        }
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
