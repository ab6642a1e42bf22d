//! The network between simulated nodes, in place of gRPC.
//!
//! ```text
//!  link ──▶ Letter ── Weather: lost │ so long │ broken ──▶ door of the receiver ──▶ its listener
//!    ▲                                                                                      │
//!    └────────────────── the answer, a letter too ◀─────────────────────────────────────────┘
//! ```
//!
//! A letter that is lost is met with silence, as is one to a machine that is suspended. One to a machine
//! without a node is refused after its journey, as by a system where nobody listens. Where a connection
//! breaks the sender is told, while the letter may still arrive: as a *ghost*, late, perhaps more than once,
//! after what was sent by the next connection; nobody hears its answer.

use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use prost::Message;
use tokio::sync::{mpsc, oneshot};
use tonic::Status;

use super::Host;
use crate::entry_log::ShardId;
use crate::error::{self, Error};
use crate::identity::{Incarnation, NOBODY, NodeId};
use crate::link::{Asked, Failure, Reply, body};
use crate::listener::Listener;
use crate::proto::{self, answer, request, snapshot_part};

/// Parts of a snapshot between the network and the receiver.
const PARTS: usize = 4;
/// How long an answer to a stranger may take.
const WELCOME: Duration = Duration::from_secs(10);

/// The connection of two nodes by which something goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Votes, heartbeats, transfers.
    Urgent,
    /// Entries.
    Entries,
    /// Snapshots and what is forwarded.
    Bulk,
}

/// What a letter is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "named like the messages")]
pub enum Kind {
    Vote,
    PreVote,
    Append,
    Transfer,
    Answer,
    SnapshotHead,
    SnapshotChunk,
    SnapshotEnd,
    SnapshotReply,
    Forward,
    ForwardReply,
}

/// Something that a node says to another.
#[derive(Clone, Copy, Debug)]
pub struct Letter {
    /// Who says it.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// By which connection.
    pub lane: Lane,
    /// What it is.
    pub kind: Kind,
    /// The shard it is about, if it is about one.
    pub shard: Option<ShardId>,
    /// A checksum of what it says.
    pub checksum: u32,
}

/// What becomes of a letter.
#[derive(Clone, Debug, Default)]
pub struct Fate {
    /// It arrives after so long, if it does.
    pub arrives: Option<Duration>,
    /// It arrives after so long, but not by a connection that is still there.
    pub ghosts: Vec<Duration>,
    /// The sender is told after so long that the connection broke.
    pub breaks: Option<Duration>,
}

/// What becomes of letters.
pub trait Weather: Send + Sync + 'static {
    /// What becomes of this one.
    fn fate(&self, letter: &Letter) -> Fate;

    /// A letter is here.
    fn arrived(&self, letter: &Letter);
}

/// The network. Clones are the same.
#[derive(Clone)]
pub struct SimNetwork(Arc<Shared>);

struct Shared {
    weather: Arc<dyn Weather>,
    doors: Mutex<BTreeMap<NodeId, Door>>,
    places: Mutex<BTreeMap<String, NodeId>>,
}

/// Where letters to a node go.
#[derive(Clone)]
struct Door {
    host: Host,
    listener: Listener,
}

impl fmt::Debug for SimNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimNetwork").finish_non_exhaustive()
    }
}

impl SimNetwork {
    /// A network without nodes.
    pub fn new(weather: Arc<dyn Weather>) -> SimNetwork {
        SimNetwork(Arc::new(Shared { weather, doors: Mutex::default(), places: Mutex::default() }))
    }

    pub(crate) fn open(&self, node: NodeId, address: String, host: Host, listener: Listener) {
        let mut places = self.0.places.lock().unwrap_or_else(PoisonError::into_inner);
        places.insert(address, node);
        drop(places);
        let mut doors = self.0.doors.lock().unwrap_or_else(PoisonError::into_inner);
        doors.insert(node, Door { host, listener });
    }

    /// Nobody listens at this address any more.
    pub fn close(&self, address: &str) {
        if let Some(node) = self.node_at(address) {
            self.0.doors.lock().unwrap_or_else(PoisonError::into_inner).remove(&node);
        }
    }

    /// As [`introduce`](crate::introduce), by somebody who is no node yet.
    ///
    /// # Errors
    /// As there.
    pub async fn introduce(
        &self,
        stranger: Incarnation,
        address: &str,
        body: Bytes,
    ) -> error::Result<Bytes> {
        let unreachable = |cause: &str| Error::Unreachable {
            address: address.to_owned(),
            cause: cause.to_owned(),
        };
        let to = self.node_at(address).ok_or_else(|| unreachable("nobody listens there"))?;
        let station = Station { network: self.clone(), node: NOBODY };
        let bulk = SimBulk { station, to };
        let answer = tokio::time::timeout(WELCOME, bulk.introduce(stranger, body)).await;
        let answer = answer.map_err(|_| unreachable("no answer in time"))?;
        answer.map_err(|status| unreachable(status.message()))
    }

    fn node_at(&self, address: &str) -> Option<NodeId> {
        self.0.places.lock().unwrap_or_else(PoisonError::into_inner).get(address).copied()
    }

    fn door(&self, node: NodeId) -> Option<Door> {
        self.0.doors.lock().unwrap_or_else(PoisonError::into_inner).get(&node).cloned()
    }

    /// A letter arrives after `journey`, and then `arrive` is called.
    fn deliver(&self, letter: Letter, journey: Duration, arrive: impl FnOnce() + Send + 'static) {
        let network = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(journey).await;
            network.0.weather.arrived(&letter);
            arrive();
        });
    }

    /// Waits as long as a letter is on its way; false if it is lost.
    async fn travel(&self, letter: Letter) -> bool {
        let Some(journey) = self.0.weather.fate(&letter).arrives else { return false };
        tokio::time::sleep(journey).await;
        self.0.weather.arrived(&letter);
        true
    }
}

/// A node's place on the network.
#[derive(Clone, Debug)]
pub(crate) struct Station {
    pub network: SimNetwork,
    pub node: NodeId,
}

/// Who waits for the one answer of a letter that may arrive twice.
type Waiting = Arc<Mutex<Option<Reply>>>;

fn tell(waiting: &Waiting, outcome: Result<answer::Body, Failure>) {
    let reply = waiting.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(reply) = reply {
        // Whoever asked may have given up.
        let _ = reply.send(outcome);
    }
}

impl Station {
    /// Carries what a link is asked to, until its last handle is dropped.
    pub async fn serve(self, to: NodeId, lane: Lane, mut asked: mpsc::Receiver<Asked>) {
        while let Some(asked) = asked.recv().await {
            self.ask(to, lane, asked);
        }
    }

    fn ask(&self, to: NodeId, lane: Lane, asked: Asked) {
        let Asked { shard, body, reply } = asked;
        let kind = match &body {
            request::Body::Vote(_) => Kind::Vote,
            request::Body::PreVote(_) => Kind::PreVote,
            request::Body::Append(_) => Kind::Append,
            request::Body::Transfer(_) => Kind::Transfer,
        };
        let request = proto::Request { id: 0, shard: u32::from(shard.0), body: Some(body) };
        let checksum = crc32c::crc32c(&request.encode_to_vec());
        let letter = Letter { from: self.node, to, lane, kind, shard: Some(shard), checksum };
        let waiting = Waiting::new(Mutex::new(Some(reply)));
        let fate = self.network.0.weather.fate(&letter);
        for journey in fate.ghosts {
            let (network, request) = (self.network.clone(), request.clone());
            self.network.deliver(letter, journey, move || {
                if let Some(door) = network.door(letter.to) {
                    let nobody = Waiting::default();
                    door.answer(&network, letter, request, nobody);
                }
            });
        }
        if let Some(journey) = fate.arrives {
            let (network, waiting) = (self.network.clone(), Arc::clone(&waiting));
            self.network.deliver(letter, journey, move || match network.door(letter.to) {
                Some(door) => door.answer(&network, letter, request, waiting),
                None => tell(&waiting, Err(Failure::Broken("nobody listens there".into()))),
            });
        }
        if let Some(breaks) = fate.breaks {
            let waiting = Arc::clone(&waiting);
            tokio::spawn(async move {
                tokio::time::sleep(breaks).await;
                tell(&waiting, Err(Failure::Broken("the connection broke".into())));
            });
        }
        // Silence is no answer: whoever asks waits as long as it wants to.
        keep(waiting);
    }
}

/// Keeps a reply until nobody waits for it.
fn keep(waiting: Waiting) {
    tokio::spawn(async move {
        std::future::poll_fn(|context| {
            let mut reply = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            match reply.as_mut() {
                Some(reply) => reply.poll_closed(context),
                None => std::task::Poll::Ready(()),
            }
        })
        .await;
    });
}

impl Door {
    fn answer(
        &self,
        network: &SimNetwork,
        asked: Letter,
        request: proto::Request,
        waiting: Waiting,
    ) {
        let (network, listener) = (network.clone(), self.listener.clone());
        self.host.spawn(async move {
            let answer = listener.answer(request).await;
            let said = proto::Answer { id: 0, body: Some(answer.clone()) };
            let letter = Letter {
                from: asked.to,
                to: asked.from,
                kind: Kind::Answer,
                checksum: crc32c::crc32c(&said.encode_to_vec()),
                ..asked
            };
            if let Some(journey) = network.0.weather.fate(&letter).arrives {
                let arrive = move || tell(&waiting, body(Some(answer)));
                network.deliver(letter, journey, arrive);
            }
        });
    }
}

/// What is not asked by links.
#[derive(Clone, Debug)]
pub(crate) struct SimBulk {
    pub station: Station,
    pub to: NodeId,
}

impl SimBulk {
    fn letter(&self, kind: Kind, shard: Option<ShardId>, bytes: &[u8]) -> Letter {
        let (from, checksum) = (self.station.node, crc32c::crc32c(bytes));
        Letter { from, to: self.to, lane: Lane::Bulk, kind, shard, checksum }
    }

    fn back(&self, kind: Kind, shard: Option<ShardId>, bytes: &[u8]) -> Letter {
        Letter { from: self.to, to: self.station.node, ..self.letter(kind, shard, bytes) }
    }

    /// Does something on the other node, and waits for what comes of it.
    async fn there<T: Send + 'static, F>(
        &self,
        work: impl FnOnce(Listener) -> F,
    ) -> Result<oneshot::Receiver<T>, Status>
    where
        F: Future<Output = T> + Send + 'static,
    {
        let door = self.station.network.door(self.to);
        let door = door.ok_or_else(|| Status::unavailable("nobody listens there"))?;
        let (done, outcome) = oneshot::channel();
        let work = work(door.listener);
        door.host.spawn(async move {
            // Whoever waited may be gone.
            let _ = done.send(work.await);
        });
        Ok(outcome)
    }

    pub async fn install_snapshot(
        &self,
        mut parts: mpsc::Receiver<proto::SnapshotPart>,
    ) -> Result<proto::SnapshotReply, Status> {
        let lost = || Status::unavailable("the stream broke");
        let (arriving, arrived) = mpsc::channel(PARTS);
        let mut arrived = Some(arrived);
        let mut outcome = None;
        let mut shard = None;
        while let Some(part) = parts.recv().await {
            let kind = match &part.part {
                Some(snapshot_part::Part::Chunk(_)) => Kind::SnapshotChunk,
                Some(snapshot_part::Part::End(_)) => Kind::SnapshotEnd,
                Some(snapshot_part::Part::Head(_)) | None => Kind::SnapshotHead,
            };
            if let Some(snapshot_part::Part::Head(head)) = &part.part {
                shard = u16::try_from(head.shard).ok().map(ShardId);
            }
            let letter = self.letter(kind, shard, &part.encode_to_vec());
            if !self.station.network.travel(letter).await {
                // The receiver finds the stream ended.
                return Err(lost());
            }
            if let Some(arrived) = arrived.take() {
                let arrived = stream::unfold(arrived, |mut arrived| async {
                    arrived.recv().await.map(|part| (Ok(part), arrived))
                });
                let receive =
                    |listener: Listener| async move { listener.receive(Box::pin(arrived)).await };
                outcome = Some(self.there(receive).await?);
            }
            if arriving.send(part).await.is_err() {
                break;
            }
        }
        drop(arriving);
        let reply = outcome.ok_or_else(lost)?.await.map_err(|_| lost())??;
        let letter = self.back(Kind::SnapshotReply, shard, &reply.encode_to_vec());
        if self.station.network.travel(letter).await { Ok(reply) } else { Err(lost()) }
    }

    pub async fn forward(&self, body: Bytes) -> Result<Bytes, Status> {
        let from = self.station.node;
        let answer = |listener: Listener, body| async move { listener.forwarded(from, body).await };
        self.converse(body, answer).await
    }

    async fn introduce(&self, stranger: Incarnation, body: Bytes) -> Result<Bytes, Status> {
        let answer = move |listener: Listener, body| async move {
            listener.introduced(stranger, body).await
        };
        self.converse(body, answer).await
    }

    /// Says something, and waits for the answer, which may never come.
    async fn converse<F>(
        &self,
        body: Bytes,
        answer: impl FnOnce(Listener, Bytes) -> F,
    ) -> Result<Bytes, Status>
    where
        F: Future<Output = Result<Bytes, Status>> + Send + 'static,
    {
        let lost = || Status::unavailable("the connection broke");
        let letter = self.letter(Kind::Forward, None, &body);
        if !self.station.network.travel(letter).await {
            return std::future::pending().await;
        }
        let answered = self.there(|listener| answer(listener, body));
        let answer = answered.await?.await.map_err(|_| lost())??;
        let letter = self.back(Kind::ForwardReply, None, &answer);
        if self.station.network.travel(letter).await {
            return Ok(answer);
        }
        std::future::pending().await
    }
}
