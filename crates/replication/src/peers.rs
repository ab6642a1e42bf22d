//! Connections to peers, shared by all shards.
//!
//! ```text
//!  shard 1 ┐  votes, heartbeats, transfers ──▶ urgent ──┐
//!  shard 2 ├─ entries ───────────────────────▶ entries ─┼─▶ three connections to each peer
//!  shard 9 ┘  snapshots, forwarded bytes ────▶ bulk ────┘
//! ```
//!
//! Three, so that a large value on its way to a slow follower does not hold up the heartbeat that keeps
//! the leader in office. Connections leave from the node's own peer address, are made when first needed, and
//! made again when they break.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use tokio::sync::mpsc;
use tonic::metadata::MetadataMap;
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};
use tonic::{ConnectError, Request, Response, Status};

use crate::config::Timing;
use crate::error::{Error, Result};
use crate::identity::{Identity, NOBODY, NodeId, Passport, Refusal};
use crate::link::{Dial, Link, Patience};
use crate::proto;
use crate::proto::peer_client::PeerClient;
#[cfg(feature = "simulation")]
use crate::simulation::{Lane, SimBulk, Station};

/// The largest message: one entry with the largest batch the engine takes.
pub(crate) const MAX_MESSAGE: usize = (1 << 30) + (64 << 20);
/// Bytes on the way before the receiver has taken them.
pub(crate) const STREAM_WINDOW: u32 = 4 << 20;
pub(crate) const CONNECTION_WINDOW: u32 = 8 << 20;

pub(crate) type Client = PeerClient<InterceptedService<Channel, Signer>>;

/// Puts this node's identity on each call to one peer.
#[derive(Clone)]
pub(crate) struct Signer {
    passport: Arc<Passport>,
    to: NodeId,
}

impl Interceptor for Signer {
    fn call(&mut self, mut request: Request<()>) -> std::result::Result<Request<()>, Status> {
        self.passport.sign(request.metadata_mut(), self.to);
        Ok(request)
    }
}

impl Signer {
    /// Who answered, if it is whom we called: an answer bears the same headers as a call.
    pub fn verify(&self, headers: &MetadataMap) -> std::result::Result<Identity, Refusal> {
        let identity = self.passport.check(headers)?;
        let meant = self.to == NOBODY || self.to == identity.node;
        if meant { Ok(identity) } else { Err(Refusal::NotMe) }
    }
}

/// All peers of this node.
#[derive(Clone)]
pub(crate) struct Peers(Arc<Shared>);

struct Shared {
    passport: Arc<Passport>,
    timing: Timing,
    from: IpAddr,
    tls: Option<ClientTlsConfig>,
    peers: Mutex<HashMap<NodeId, Arc<Peer>>>,
    #[cfg(feature = "simulation")]
    severed: Mutex<Vec<NodeId>>,
    #[cfg(feature = "simulation")]
    station: Option<Station>,
}

/// One peer at one address.
pub(crate) struct Peer {
    address: String,
    pub urgent: Link,
    pub entries: Link,
    pub bulk: Bulk,
}

/// What goes to a peer without a link.
pub(crate) enum Bulk {
    /// By gRPC.
    Real(Renewed),
    #[cfg(feature = "simulation")]
    Simulated(SimBulk),
}

/// A connection, and how to get another in its place.
pub(crate) struct Renewed {
    client: Mutex<Client>,
    dial: Dial,
}

impl Renewed {
    fn client(&self) -> Client {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Bulk {
    /// An answer did not come in time: the next calls go over another connection. One that a noisy line has
    /// put out of step may stay open and say nothing more; calls that are still on it go on.
    pub fn renew(&self) {
        match self {
            Bulk::Real(renewed) => {
                if let Some(client) = (renewed.dial)() {
                    *renewed.client.lock().unwrap_or_else(PoisonError::into_inner) = client;
                }
            }
            #[cfg(feature = "simulation")]
            Bulk::Simulated(_) => {}
        }
    }

    /// Sends a snapshot, which may take so long.
    pub async fn install_snapshot(
        &self,
        parts: mpsc::Receiver<proto::SnapshotPart>,
        within: Duration,
    ) -> std::result::Result<proto::SnapshotReply, Status> {
        match self {
            Bulk::Real(renewed) => {
                let parts = stream::unfold(parts, |mut parts| async {
                    parts.recv().await.map(|part| (part, parts))
                });
                let mut call = Request::new(parts);
                call.set_timeout(within);
                renewed.client().install_snapshot(call).await.map(Response::into_inner)
            }
            #[cfg(feature = "simulation")]
            Bulk::Simulated(bulk) => bulk.install_snapshot(parts).await,
        }
    }

    /// Sends bytes and waits for the answer, of which `signer` says whether it is the peer's.
    pub async fn forward(&self, body: Bytes, signer: &Signer) -> ForwardResult {
        match self {
            Bulk::Real(renewed) => {
                let reply = renewed.client().forward(proto::ForwardRequest { body }).await;
                let reply = reply.map_err(Box::new)?;
                Ok(signer.verify(reply.metadata()).map(|_| reply.into_inner().body))
            }
            #[cfg(feature = "simulation")]
            Bulk::Simulated(bulk) => Ok(Ok(bulk.forward(body).await.map_err(Box::new)?)),
        }
    }
}

/// The answer to forwarded bytes, unless it is not the peer's, or there is none.
pub(crate) type ForwardResult =
    std::result::Result<std::result::Result<Bytes, Refusal>, Box<Status>>;

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").field("from", &self.0.from).finish_non_exhaustive()
    }
}

impl Peers {
    pub fn new(
        passport: Arc<Passport>,
        timing: Timing,
        from: IpAddr,
        tls: Option<ClientTlsConfig>,
    ) -> Peers {
        Peers(Arc::new(Shared {
            passport,
            timing,
            from,
            tls,
            peers: Mutex::default(),
            #[cfg(feature = "simulation")]
            severed: Mutex::default(),
            #[cfg(feature = "simulation")]
            station: None,
        }))
    }

    /// Peers on a simulated network.
    #[cfg(feature = "simulation")]
    pub fn simulated(passport: Arc<Passport>, timing: Timing, station: Station) -> Peers {
        Peers(Arc::new(Shared {
            passport,
            timing,
            from: IpAddr::from([0, 0, 0, 0]),
            tls: None,
            peers: Mutex::default(),
            severed: Mutex::default(),
            station: Some(station),
        }))
    }

    /// Cuts the lines to these nodes, and mends those to all others.
    #[cfg(feature = "simulation")]
    pub fn sever(&self, nodes: &[NodeId]) {
        *self.0.severed.lock().unwrap_or_else(PoisonError::into_inner) = nodes.to_vec();
        let peers = self.0.peers.lock().unwrap_or_else(PoisonError::into_inner);
        for (node, peer) in peers.iter() {
            peer.urgent.set_cut(nodes.contains(node));
            peer.entries.set_cut(nodes.contains(node));
        }
    }

    /// The peer at this address.
    ///
    /// # Errors
    /// If it is no address.
    pub fn get(&self, node: NodeId, address: &str) -> Result<Arc<Peer>> {
        let moved = self.0.passport.roster.address(node);
        let address = moved.as_deref().unwrap_or(address);
        let mut peers = self.0.peers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(peer) = peers.get(&node).filter(|peer| peer.address == address) {
            return Ok(Arc::clone(peer));
        }
        let peer = Arc::new(self.reach(node, address)?);
        #[cfg(feature = "simulation")]
        {
            let severed = self.0.severed.lock().unwrap_or_else(PoisonError::into_inner);
            peer.urgent.set_cut(severed.contains(&node));
            peer.entries.set_cut(severed.contains(&node));
        }
        // A node that moved is reached at its new address only.
        peers.insert(node, Arc::clone(&peer));
        Ok(peer)
    }

    fn reach(&self, node: NodeId, address: &str) -> Result<Peer> {
        #[cfg(feature = "simulation")]
        if let Some(station) = &self.0.station {
            return Ok(Peer {
                address: address.to_owned(),
                urgent: Link::simulated(station.clone(), node, Lane::Urgent),
                entries: Link::simulated(station.clone(), node, Lane::Entries),
                bulk: Bulk::Simulated(SimBulk { station: station.clone(), to: node }),
            });
        }
        let patience = Patience {
            pause: Duration::from_millis(self.0.timing.heartbeat),
            silence: Duration::from_millis(self.0.timing.append),
        };
        let client = Mutex::new(self.client(node, address)?);
        let bulk = Bulk::Real(Renewed { client, dial: self.dial(node, address) });
        let link = || Link::start(self.dial(node, address), self.signer(node), patience);
        Ok(Peer { address: address.to_owned(), urgent: link(), entries: link(), bulk })
    }

    /// Gives connections to `node` as long as this node runs.
    fn dial(&self, node: NodeId, address: &str) -> Dial {
        // The links are among what is shared: they must not keep it.
        let (shared, address) = (Arc::downgrade(&self.0), address.to_owned());
        Box::new(move || Peers(shared.upgrade()?).client(node, &address).ok())
    }

    /// A connection of its own to whoever is at this address.
    ///
    /// # Errors
    /// If it is no address.
    pub fn client(&self, node: NodeId, address: &str) -> Result<Client> {
        let channel = self.endpoint(address)?.connect_lazy();
        let service = InterceptedService::new(channel, self.signer(node));
        Ok(PeerClient::new(service)
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE))
    }

    /// What names this node to `node`, and judges its answers.
    pub fn signer(&self, node: NodeId) -> Signer {
        Signer { passport: Arc::clone(&self.0.passport), to: node }
    }

    fn endpoint(&self, address: &str) -> Result<Endpoint> {
        let scheme = if self.0.tls.is_some() { "https" } else { "http" };
        let unusable = |error: tonic::transport::Error| Error::Unreachable {
            address: address.to_owned(),
            cause: error.to_string(),
        };
        let timing = self.0.timing;
        let endpoint = Endpoint::from_shared(format!("{scheme}://{address}"))
            .map_err(unusable)?
            .local_address(Some(self.0.from))
            .connect_timeout(Duration::from_millis(timing.connect))
            .tcp_nodelay(true)
            // A peer that vanished without a word is noticed, and dialled anew once it is back.
            .http2_keep_alive_interval(Duration::from_millis(timing.election_max))
            .keep_alive_timeout(Duration::from_millis(timing.election_max))
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW);
        match &self.0.tls {
            None => Ok(endpoint),
            Some(tls) => {
                endpoint.tls_config(tls.clone()).map_err(|error| Error::Tls(error.to_string()))
            }
        }
    }
}

/// What a failed call means to the caller.
pub(crate) fn failure(address: &str, status: &Status) -> Error {
    let (address, cause) = (address.to_owned(), say(status));
    match Refusal::of(status) {
        Some(refusal) => Error::Refused(refusal),
        None if causes(status).any(|cause| cause.is::<ConnectError>()) => {
            Error::Unreachable { address, cause }
        }
        None => Error::Unanswered { address, cause },
    }
}

/// A status with what caused it, which tonic keeps to itself.
pub(crate) fn say(status: &Status) -> String {
    causes(status).fold(status.message().to_owned(), |text, cause| format!("{text}: {cause}"))
}

fn causes(status: &Status) -> impl Iterator<Item = &(dyn std::error::Error + 'static)> {
    std::iter::successors(std::error::Error::source(status), |cause| cause.source())
}
