//! A server as a node: what its settings say of it, its lanes, and what the node needs of the server.

use std::path::Path;
use std::sync::{Arc, OnceLock, Weak};

use aryavarth_cluster::{Address, META_GROUP, NodeId, ShardCount, ShardId};
use aryavarth_replication::{Secret, Timing, Tls};
use bytes::Bytes;
use tokio::runtime::Runtime;

use super::card::{self, Card};
use super::error::NodeError;
use super::home::Home;
use super::node::{ClusterNode, ClusterOptions, Host, Later, Policy};
use super::passing::{Harm, Passed, pass_on};
use super::{Clustered, Seats, Start, Views};
use crate::config::Config;
use crate::metrics::LogMetrics;
use crate::net::{Message, Parcel};
use crate::proposer::{Lane, Log, Proposers, RaftLog, Routing, Settler};
use crate::resp::Protocol;
use crate::server::Server;

/// A clustered server that is being put together.
pub(crate) struct Rising {
    runtime: Runtime,
    options: ClusterOptions,
    settler: Settler,
}

impl Rising {
    /// What a server needs to be a node: the lanes, and what will be made of the rest once the server is there.
    pub fn new(
        options: ClusterOptions,
        runtime: Runtime,
        metrics: &Arc<LogMetrics>,
    ) -> (Rising, Proposers, Clustered) {
        let seats = Arc::new(Seats::default());
        let (proposers, settler) = lanes(&seats, metrics);
        let clustered = Clustered {
            node: OnceLock::new(),
            seats,
            views: Arc::new(Views::default()),
            runtime: runtime.handle().clone(),
        };
        (Rising { runtime, options, settler }, proposers, clustered)
    }

    /// Has the server be a node from now on.
    ///
    /// # Errors
    /// What keeps it from being one.
    pub fn rise(self, server: &Arc<Server>, start: Start) -> Result<(), NodeError> {
        let Some(cluster) = &server.cluster else { return Ok(()) };
        self.runtime.spawn(settle(self.settler, server));
        let parts = (server.store.clone(), Arc::clone(&cluster.seats), Arc::clone(&cluster.views));
        let host = Arc::new(ServerHost(Arc::downgrade(server)));
        let node = ClusterNode::start(self.runtime, self.options, parts, host, start)?;
        // It is started once.
        let _ = cluster.node.set(node);
        Ok(())
    }
}

/// Settles batches, and has workers look.
pub(crate) fn settle(
    settler: Settler,
    server: &Arc<Server>,
) -> impl Future<Output = ()> + Send + 'static {
    let bells = server.workers().to_vec();
    let wake = move || bells.iter().for_each(|worker| worker.settled());
    settler.run(server.proposers.clone(), wake)
}

/// A lane for each shard there may be, and what settles their batches.
pub(crate) fn lanes(seats: &Arc<Seats>, metrics: &Arc<LogMetrics>) -> (Proposers, Settler) {
    let (settler, settlements) = Settler::new();
    let log = |shard: ShardId| {
        let (seats, settlements) = (Arc::clone(seats), settlements.clone());
        let log = RaftLog::new(Lane::of(shard), seats, settlements, Arc::clone(metrics));
        Arc::new(log) as Arc<dyn Log>
    };
    let logs = ShardCount::MAX.shards().map(log);
    (Proposers::new(Routing::Slots(Arc::clone(seats)), logs), settler)
}

/// Refuses a directory that belongs to a node, for a server that is none.
///
/// # Errors
/// [`NodeError::OfCluster`].
pub(crate) fn refuse_directory_of_node(
    home: &Home,
    store: &aryavarth::KvStore,
) -> Result<(), NodeError> {
    let is_node = Card::read(home)?.is_some() || !store.replicated_shards().is_empty();
    match is_node {
        true => Err(NodeError::OfCluster { directory: home.directory().to_owned() }),
        false => Ok(()),
    }
}

/// Whether a directory has the card of a node.
pub fn is_of_cluster(directory: &Path) -> bool {
    directory.join(card::FILE).exists()
}

impl ClusterOptions {
    /// What the settings say.
    ///
    /// # Errors
    /// [`NodeError::Setting`].
    pub fn of(home: Home, config: &Config) -> Result<ClusterOptions, NodeError> {
        let missing =
            |setting, detail: &str| NodeError::Setting { setting, detail: detail.to_owned() };
        let peer = config.peer_address.ok_or_else(|| {
            missing("peer-address", "say where other nodes reach this one (--peer-addr HOST:PORT)")
        })?;
        if peer.ip().is_unspecified() {
            return Err(missing(
                "peer-address",
                "name one address of this machine, not all of them",
            ));
        }
        let client = match &config.announce_address {
            Some(address) => address.clone(),
            None => announced(config).ok_or_else(|| {
                missing("announce-address", "say where clients reach this node (host:port)")
            })?,
        };
        let secret = match &config.cluster_secret_file {
            Some(path) => read("cluster-secret-file", path)?.trim_ascii().to_vec(),
            None => Vec::new(),
        };
        if secret.is_empty() && !peer.ip().is_loopback() {
            tracing::warn!(
                "no `cluster-secret-file`: whoever reaches {peer} can become a node of this cluster"
            );
        }
        let files =
            [&config.peer_tls_cert_file, &config.peer_tls_key_file, &config.peer_tls_ca_cert_file];
        let tls = match files {
            [Some(certificate), Some(key), Some(authority)] => Some(Tls {
                authority: read("peer-tls-ca-cert-file", authority)?,
                certificate: read("peer-tls-cert-file", certificate)?,
                key: read("peer-tls-key-file", key)?,
                peer_name: None,
            }),
            [None, None, None] => None,
            _ => {
                let detail = "give `peer-tls-cert-file`, `peer-tls-key-file` and \
                              `peer-tls-ca-cert-file`, or none of them";
                return Err(missing("peer-tls-cert-file", detail));
            }
        };
        Ok(ClusterOptions {
            home,
            peer,
            client,
            zone: config.zone.clone(),
            secret: Secret::new(secret),
            tls,
            timing: Timing::default(),
            #[cfg(feature = "simulated-cluster")]
            simulated: None,
        })
    }
}

impl Policy {
    /// What the settings say.
    pub fn of(config: &Config) -> Policy {
        Policy {
            lost_after: config.node_lost_after.above_zero(),
            log_keep: u64::from(config.raft_log_keep),
            scrub_period: config.scrub_period.above_zero(),
            on_damage: config.on_damage,
        }
    }
}

/// A file that a setting names.
#[expect(clippy::disallowed_methods, reason = "the file is no part of the store")]
fn read(setting: &'static str, path: &Path) -> Result<Vec<u8>, NodeError> {
    std::fs::read(path).map_err(|error| NodeError::Setting {
        setting,
        detail: format!("{}: {error}", path.display()),
    })
}

/// Where clients reach the server, as far as its settings tell.
fn announced(config: &Config) -> Option<Address> {
    let named = config.bind.iter().find(|bind| !bind.address.is_unspecified())?;
    let port = if config.port == 0 { config.tls_port } else { config.port };
    Address::new(&named.address.to_string(), port).ok()
}

/// The server, as its node sees it.
pub(crate) struct ServerHost(pub Weak<Server>);

impl Host for ServerHost {
    fn is_quiet(&self, shard: ShardId) -> bool {
        let Some(server) = self.0.upgrade().filter(|_| shard != META_GROUP) else { return true };
        server.proposers.of(Lane::of(shard)).hold().is_quiet()
    }

    fn renew(&self, shard: ShardId) {
        if let Some(server) = self.0.upgrade() {
            server.proposers.of(Lane::of(shard)).hold().renew();
        }
    }

    fn answer(&self, from: NodeId, requests: Bytes) -> Later<Bytes> {
        let server = self.0.upgrade();
        Box::pin(async move {
            let Some(server) = server else { return Bytes::new() };
            answer_parcel(&server, from, &requests).await
        })
    }

    fn ask_leader(&self, shard: ShardId, request: Vec<u8>) -> Later<Vec<u8>> {
        let Some(server) = self.0.upgrade() else {
            return Box::pin(std::future::ready(Vec::new()));
        };
        let (protocol, harm) = (Protocol::Two, Harm::None);
        let passed = Passed { shard, requests: request, protocol, harm, skipped: 0 };
        Box::pin(pass_on(server, passed))
    }

    fn policy(&self) -> Policy {
        let Some(server) = self.0.upgrade() else { return Policy::of(&Config::default()) };
        Policy::of(&server.config.current())
    }

    fn end(&self, why: &str) {
        tracing::error!(why, "this node must end");
        if let Some(server) = self.0.upgrade() {
            server.end_because(why);
        }
    }
}

/// Has a worker answer requests that another node passes on; nothing, if that was cut short.
pub(crate) async fn answer_parcel(server: &Arc<Server>, from: NodeId, requests: &[u8]) -> Bytes {
    let Some((version, requests)) = requests.split_first() else { return Bytes::new() };
    let protocol = if *version == 3 { Protocol::Three } else { Protocol::Two };
    let (parcel, replies) = Parcel::new(requests.to_vec());
    let workers = server.workers();
    let fewest = workers
        .iter()
        .min_by_key(|worker| worker.connections().load(std::sync::atomic::Ordering::Relaxed));
    let Some(worker) = fewest else { return Bytes::new() };
    worker.send(Message::Parcel(parcel, from, protocol));
    replies.await.map(Bytes::from).unwrap_or_default()
}
