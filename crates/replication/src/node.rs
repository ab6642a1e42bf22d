//! All groups of a node, and what they share: one syncer, one listener, one set of connections.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::{BoxFuture, join_all};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::config::Timing;
use crate::entry_log::ShardId;
use crate::error::{Error, Result};
use crate::group::{Group, Surroundings};
use crate::identity::{Identity, NOBODY, NodeId, PROTOCOL, Passport, Roster, Secret};
use crate::listener::{Forwarded, Listener, Seats};
use crate::peers::{CONNECTION_WINDOW, MAX_MESSAGE, Peers, STREAM_WINDOW, failure};
use crate::pledge;
use crate::proto;
use crate::proto::peer_server::PeerServer;
use crate::runtime;
use crate::status::Role;
use crate::store::NodeStore;
use crate::syncer::Syncer;
use crate::tls::Tls;

/// Streams of one connection: far more than a peer opens.
const STREAMS: u32 = 1024;
/// How long connections get to end by themselves when the node stops.
const FAREWELL: Duration = Duration::from_millis(500);

/// What a node has to be told.
#[derive(Clone, Debug)]
pub struct NodeConfig {
    /// Who it is.
    pub identity: Identity,
    /// What all nodes of the cluster know.
    pub secret: Secret,
    /// Where peers reach it, and where its own connections leave from.
    pub listen: SocketAddr,
    /// The cluster's times.
    pub timing: Timing,
    /// Certificates, if peers talk over TLS.
    pub tls: Option<Tls>,
    /// The nodes known already.
    pub roster: Roster,
}

/// A running node.
pub struct Node {
    passport: Arc<Passport>,
    around: Surroundings,
    seats: Seats,
    groups: Mutex<BTreeMap<ShardId, Group>>,
    /// Held while a group is made or removed, so that there is one of each shard.
    changing: tokio::sync::Mutex<()>,
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: Mutex<Option<JoinHandle<()>>>,
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Node").field("identity", &self.passport.identity).finish_non_exhaustive()
    }
}

impl Node {
    /// Begins to listen, and opens the groups of all shards that the store has.
    ///
    /// # Errors
    /// [`Error::Listen`], [`Error::Tls`], [`Error::Timing`], or what a group says.
    pub fn start(
        config: NodeConfig,
        store: Arc<dyn NodeStore>,
        forwarded: Option<Arc<dyn Forwarded>>,
    ) -> BoxFuture<'static, Result<Node>> {
        Box::pin(async move {
            let passport = passport(&config)?;
            let unusable = |error: &dyn fmt::Display| Error::Listen {
                address: config.listen.to_string(),
                cause: error.to_string(),
            };
            let tls = config.tls.as_ref();
            let peers = Peers::new(
                Arc::clone(&passport),
                config.timing,
                config.listen.ip(),
                tls.map(Tls::client),
            );
            let socket =
                TcpListener::bind(config.listen).await.map_err(|error| unusable(&error))?;
            let address = socket.local_addr().map_err(|error| unusable(&error))?;
            let syncer = syncer(&store).map_err(|error| unusable(&error))?;
            let timing = config.timing;
            runtime::keep_time(Duration::from_millis(timing.heartbeat));
            let around = Surroundings { node: config.identity.node, store, syncer, peers, timing };
            let node = Node::new(passport, around, address);
            let server = serve(socket, node.listener(forwarded), tls, node.stop.subscribe())?;
            *node.server.lock().unwrap_or_else(PoisonError::into_inner) = Some(server);
            node.open_all().await?;
            Ok(node)
        })
    }

    /// The same on a simulated network, on the machine that is current.
    ///
    /// # Errors
    /// As [`Node::start`].
    ///
    /// # Panics
    /// If no machine is.
    #[cfg(feature = "simulation")]
    pub fn start_simulated<'a>(
        config: NodeConfig,
        store: Arc<dyn NodeStore>,
        forwarded: Option<Arc<dyn Forwarded>>,
        network: &'a crate::simulation::SimNetwork,
    ) -> BoxFuture<'a, Result<Node>> {
        Box::pin(async move {
            use crate::simulation::{Host, Station};

            let host = Host::current().expect("a simulated node is started on its machine");
            let passport = passport(&config)?;
            let (me, timing) = (config.identity.node, config.timing);
            let station = Station { network: network.clone(), node: me };
            let peers = Peers::simulated(Arc::clone(&passport), timing, station);
            let syncer = syncer(&store).map_err(|error| Error::Listen {
                address: config.listen.to_string(),
                cause: error.to_string(),
            })?;
            let around = Surroundings { node: me, store, syncer, peers, timing };
            let node = Node::new(passport, around, config.listen);
            network.open(me, config.listen.to_string(), host, node.listener(forwarded));
            node.open_all().await?;
            Ok(node)
        })
    }

    fn new(passport: Arc<Passport>, around: Surroundings, address: SocketAddr) -> Node {
        Node {
            passport,
            around,
            seats: Seats::default(),
            groups: Mutex::default(),
            changing: tokio::sync::Mutex::default(),
            address,
            stop: watch::Sender::new(false),
            server: Mutex::default(),
        }
    }

    fn listener(&self, forwarded: Option<Arc<dyn Forwarded>>) -> Listener {
        Listener {
            passport: Arc::clone(&self.passport),
            seats: self.seats.clone(),
            store: Arc::clone(&self.around.store),
            forwarded,
            timing: self.around.timing,
            stopping: self.stop.subscribe(),
        }
    }

    async fn open_all(&self) -> Result<()> {
        for shard in self.around.store.shards() {
            self.open(shard).await?;
        }
        Ok(())
    }

    /// Who it is.
    pub fn identity(&self) -> Identity {
        self.passport.identity
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The nodes it knows.
    pub fn roster(&self) -> &Roster {
        &self.passport.roster
    }

    /// What failed, if this node's store takes no more writes.
    pub fn failure(&self) -> Option<aryavarth::Error> {
        self.around.syncer.failure().cloned()
    }

    /// The group of a shard, if it is on this node.
    ///
    /// # Errors
    /// [`Error::NoSuchShard`].
    pub fn group(&self, shard: ShardId) -> Result<Group> {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.get(&shard).cloned().ok_or(Error::NoSuchShard { shard })
    }

    /// All groups of this node, by shard.
    pub fn groups(&self) -> Vec<Group> {
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.values().cloned().collect()
    }

    /// Makes a group on this node that waits to be made a member, see [`Group::add_learner`], or to be
    /// initialized, see [`Group::initialize`].
    ///
    /// # Errors
    /// [`Error::ShardExists`], or what the store says.
    pub fn create_group(&self, shard: ShardId) -> BoxFuture<'_, Result<Group>> {
        Box::pin(async move {
            let _changing = self.changing.lock().await;
            if self.group(shard).is_ok() {
                return Err(Error::ShardExists { shard });
            }
            self.open(shard).await
        })
    }

    /// Starts the group of a shard anew from what the store has of it, if it has stopped: as after a
    /// full disk on which there is room again.
    ///
    /// # Errors
    /// [`Error::NoSuchShard`], [`Error::ShardExists`] if it has not stopped, or what the store says.
    pub async fn reopen_group(&self, shard: ShardId) -> Result<Group> {
        let _changing = self.changing.lock().await;
        let group = self.group(shard)?;
        if group.leadership().borrow().role != Role::Stopped {
            return Err(Error::ShardExists { shard });
        }
        group.stop().await;
        self.open(shard).await
    }

    async fn open(&self, shard: ShardId) -> Result<Group> {
        let group = Group::start(shard, &self.around).await?;
        self.seats.insert(shard, group.seat());
        let mut groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        groups.insert(shard, group.clone());
        Ok(group)
    }

    /// Ends the group of a shard on this node and forgets its log. Only for one that is no member any
    /// more.
    ///
    /// # Errors
    /// [`Error::NoSuchShard`], or what the store says.
    pub fn remove_group(&self, shard: ShardId) -> BoxFuture<'_, Result<()>> {
        Box::pin(async move {
            let _changing = self.changing.lock().await;
            let group = self.group(shard)?;
            self.seats.remove(shard);
            self.groups.lock().unwrap_or_else(PoisonError::into_inner).remove(&shard);
            group.stop().await;
            pledge::renew(group.log().as_ref())?;
            group.log().forget()?;
            Ok(self.around.syncer.sync().await?)
        })
    }

    /// Asks who is at `address`.
    ///
    /// # Errors
    /// [`Error::Refused`], [`Error::Unreachable`], [`Error::Unanswered`].
    pub fn hello<'a>(&'a self, address: &'a str) -> BoxFuture<'a, Result<Identity>> {
        Box::pin(async move {
            let mut client = self.around.peers.client(NOBODY, address)?;
            let asked = client.hello(proto::HelloRequest {});
            let patience = Duration::from_millis(2 * self.around.timing.connect);
            let reply = tokio::time::timeout(patience, asked).await;
            let reply = reply.map_err(|_| late(address))?;
            let reply = reply.map_err(|status| failure(address, &status))?;
            Ok(self.around.peers.signer(NOBODY).verify(reply.metadata())?)
        })
    }

    /// Sends bytes to another node's [`Forwarded`], and waits for its answer.
    ///
    /// # Errors
    /// [`Error::Refused`] and [`Error::Unreachable`], if they were not sent; [`Error::Unanswered`], after which
    /// they may have arrived.
    pub fn forward<'a>(
        &'a self,
        node: NodeId,
        address: &'a str,
        body: Bytes,
        within: Duration,
    ) -> BoxFuture<'a, Result<Bytes>> {
        Box::pin(async move {
            let peer = self.around.peers.get(node, address)?;
            let signer = self.around.peers.signer(node);
            let asked = peer.bulk.forward(body, &signer);
            let reply = tokio::time::timeout(within, asked).await.map_err(|_| {
                peer.bulk.renew();
                late(address)
            })?;
            Ok(reply.map_err(|status| failure(address, &status))??)
        })
    }

    /// From now on nothing this node asks reaches these nodes, and all others are reached again.
    #[cfg(feature = "simulation")]
    pub fn sever(&self, nodes: &[NodeId]) {
        self.around.peers.sever(nodes);
    }

    /// Hands over what it leads, ends all groups, and stops listening.
    pub fn shutdown(&self) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            let groups = self.groups();
            let handed_over = join_all(groups.iter().map(Group::step_down)).await;
            for (group, outcome) in groups.iter().zip(handed_over) {
                if let Err(error) = outcome {
                    tracing::warn!(shard = %group.shard(), %error, "leadership was not handed over");
                }
            }
            join_all(groups.iter().map(Group::stop)).await;
            // Nobody may be listening any more.
            let _ = self.stop.send(true);
            let server = self.server.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(mut server) = server
                && tokio::time::timeout(FAREWELL, &mut server).await.is_err()
            {
                server.abort();
            }
        })
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        if let Some(server) = self.server.get_mut().unwrap_or_else(PoisonError::into_inner).take() {
            server.abort();
        }
    }
}

/// A peer may have been asked, and its time is over.
fn late(address: &str) -> Error {
    Error::Unanswered { address: address.to_owned(), cause: "the time for it is over".to_owned() }
}

fn passport(config: &NodeConfig) -> Result<Arc<Passport>> {
    config.timing.config(ShardId(0))?;
    Ok(Arc::new(Passport {
        identity: config.identity,
        secret: config.secret.clone(),
        roster: config.roster.clone(),
        protocol: PROTOCOL,
    }))
}

fn syncer(store: &Arc<dyn NodeStore>) -> std::io::Result<Syncer> {
    let store = Arc::clone(store);
    Syncer::start(move || store.sync())
}

fn serve(
    socket: TcpListener,
    listener: Listener,
    tls: Option<&Tls>,
    mut stopping: watch::Receiver<bool>,
) -> Result<JoinHandle<()>> {
    let mut server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(STREAMS);
    if let Some(tls) = tls {
        server = server.tls_config(tls.server()).map_err(|error| Error::Tls(error.to_string()))?;
    }
    let service = PeerServer::new(listener)
        .max_decoding_message_size(MAX_MESSAGE)
        .max_encoding_message_size(MAX_MESSAGE);
    let incoming = TcpIncoming::from(socket).with_nodelay(Some(true));
    let serving = server.add_service(service).serve_with_incoming_shutdown(incoming, async move {
        // An error means that the node is gone.
        let _ = stopping.wait_for(|stopping| *stopping).await;
    });
    Ok(tokio::spawn(async move {
        if let Err(error) = serving.await {
            tracing::error!(%error, "the listener for peers failed");
        }
    }))
}
