//! What peers ask of this node.
//!
//! Requests of a stream reach each shard's group in the order they were sent: each is handed to its group
//! before the next one is looked at, and only the answer is waited for elsewhere.

use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use openraft::async_runtime::WatchReceiver;
use openraft::storage::Snapshot;
use tokio::sync::{mpsc, watch};
use tonic::{Request, Response, Status, Streaming};

use crate::config::Timing;
use crate::entry_log::{EntryId, EntryLog, ShardId};
use crate::gate::Gate;
use crate::identity::{Identity, Incarnation, NodeId, Passport, Refusal};
use crate::proto::{self, answer, peer_server, request, snapshot_part};
use crate::runtime::{self, Moment};
use crate::snapshot::{Incoming, SnapshotData};
use crate::store::NodeStore;
use crate::types::{ShardRaft, SnapshotMeta, StoredMembership, Vote, log_id};
use crate::{membership, pledge, wire};

/// Answers that wait for the transport.
const ANSWERS: usize = 256;

/// Takes the bytes that another layer forwards from one node to another.
pub trait Forwarded: Send + Sync + 'static {
    /// Answers `body`, which node `from` sent.
    fn answer(&self, from: NodeId, body: Bytes) -> BoxFuture<'static, Bytes>;

    /// Answers `body`, which somebody sent who is no node yet and has this incarnation.
    fn introduced(&self, incarnation: Incarnation, body: Bytes) -> BoxFuture<'static, Bytes>;
}

/// A shard's group, as peers see it.
#[derive(Clone)]
pub(crate) struct Seat {
    pub raft: ShardRaft,
    pub log: Arc<dyn EntryLog>,
    pub gate: Arc<Gate>,
    /// Before this, the node may still be bound by a word it gave before it was started.
    pub bound_until: Option<Moment>,
}

/// The groups of this node, by shard.
#[derive(Clone, Default)]
pub(crate) struct Seats(Arc<RwLock<HashMap<ShardId, Seat>>>);

impl Seats {
    pub fn get(&self, shard: ShardId) -> Option<Seat> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).get(&shard).cloned()
    }

    pub fn insert(&self, shard: ShardId, seat: Seat) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).insert(shard, seat);
    }

    pub fn remove(&self, shard: ShardId) {
        self.0.write().unwrap_or_else(PoisonError::into_inner).remove(&shard);
    }
}

/// The service.
#[derive(Clone)]
pub(crate) struct Listener {
    pub passport: Arc<Passport>,
    pub seats: Seats,
    pub store: Arc<dyn NodeStore>,
    pub forwarded: Option<Arc<dyn Forwarded>>,
    pub timing: Timing,
    /// Becomes true when the node stops.
    pub stopping: watch::Receiver<bool>,
}

/// The parts of a snapshot that comes in.
pub(crate) trait Parts: Stream<Item = Result<proto::SnapshotPart, Status>> + Unpin {}

impl<S: Stream<Item = Result<proto::SnapshotPart, Status>> + Unpin> Parts for S {}

type Answering = Pin<Box<dyn Future<Output = answer::Body> + Send>>;

fn unavailable(why: impl ToString) -> answer::Body {
    answer::Body::Unavailable(why.to_string())
}

impl Listener {
    fn caller<T>(&self, request: &Request<T>) -> Result<Identity, Status> {
        self.passport.check(request.metadata()).map_err(Refusal::into_status)
    }

    /// An answer with our identity on it, so that the caller knows who gave it.
    fn signed<T>(&self, caller: Identity, body: T) -> Response<T> {
        let mut response = Response::new(body);
        self.passport.sign(response.metadata_mut(), caller.node);
        response
    }

    fn shard(number: u32) -> Option<ShardId> {
        u16::try_from(number).ok().map(ShardId)
    }

    /// What answers a request. Nothing happens before it is polled.
    pub fn answer(&self, request: proto::Request) -> Answering {
        let Some(seat) = Listener::shard(request.shard).and_then(|shard| self.seats.get(shard))
        else {
            return Box::pin(std::future::ready(unavailable("no such shard here")));
        };
        let Some(body) = request.body else {
            return Box::pin(std::future::ready(unavailable("a request that is not known here")));
        };
        Box::pin(async move {
            match body {
                request::Body::Append(request) => append(&seat, request).await,
                request::Body::Vote(request) => vote(&seat, request, VoteKind::Real).await,
                request::Body::PreVote(request) => vote(&seat, request, VoteKind::Trial).await,
                request::Body::Transfer(request) => transfer(&seat, request).await,
            }
        })
    }

    async fn serve_link(self, mut parcels: Streaming<proto::Parcel>, answers: Answers) {
        let mut stopping = self.stopping.clone();
        loop {
            let parcel = tokio::select! {
                biased;
                _ = stopping.wait_for(|stopping| *stopping) => return,
                parcel = parcels.message() => parcel,
            };
            let Ok(Some(parcel)) = parcel else { return };
            let mut ready = Vec::new();
            for request in parcel.requests {
                let id = request.id;
                let mut answering = self.answer(request);
                // The first poll hands the request to its group. Unconstrained: a task that has used
                // up its turn would do nothing instead, and the next request overtake this one.
                let now = tokio::task::unconstrained(poll_once(&mut answering)).await;
                match now {
                    Some(body) => ready.push(proto::Answer { id, body: Some(body) }),
                    None => {
                        let answers = answers.clone();
                        runtime::spawn(async move {
                            let body = Some(answering.await);
                            // If the stream broke, the peer asks again.
                            let _ = answers.send(vec![proto::Answer { id, body }]).await;
                        });
                    }
                }
            }
            if !ready.is_empty() && answers.send(ready).await.is_err() {
                return;
            }
        }
    }

    pub async fn receive(&self, mut parts: impl Parts) -> Result<proto::SnapshotReply, Status> {
        let Some(snapshot_part::Part::Head(head)) = self.next_part(&mut parts).await? else {
            return Err(Status::invalid_argument("a snapshot begins with its head"));
        };
        let seat = Listener::shard(head.shard).and_then(|shard| self.seats.get(shard));
        let seat = seat.ok_or_else(|| Status::not_found("no such shard here"))?;
        let vote = wire::to_vote(head.vote).map_err(invalid)?;
        let base = head.base.map(wire::to_id).ok_or_else(|| invalid("a base is missing"))?;
        let group = membership::decode(&head.config).map_err(invalid)?;
        let config_id = head.config_id.map(|id| log_id(wire::to_id(id)));
        let pass = seat.gate.begin(Arc::clone(&seat.log), base.index).await;
        let pass = pass.map_err(|busy| Status::resource_exhausted(busy.to_string()))?;
        if let Some(vote) = already(&seat, &vote, base) {
            // It may be here and not on the disk, as when an installation ended with a failed sync.
            let store = Arc::clone(&self.store);
            blocking(move || store.sync()).await?;
            return Ok(proto::SnapshotReply { vote: wire::vote(&vote) });
        }
        let shard = ShardId(u16::try_from(head.shard).unwrap_or_default());
        let split_off = head.split_off.iter().filter_map(|shard| u16::try_from(*shard).ok());
        if !self.store.may_take(shard, &split_off.map(ShardId).collect()) {
            return Err(Status::failed_precondition("a shard is here that is yet to be split off"));
        }
        let store = Arc::clone(&self.store);
        let install = blocking(move || store.begin_install(shard)).await?;
        let mut incoming = Incoming { install, pass };
        let mut received = 0;
        loop {
            match self.next_part(&mut parts).await? {
                Some(snapshot_part::Part::Chunk(chunk)) if chunk.number == received => {
                    let records = wire::to_chunk(&chunk).map_err(invalid)?;
                    received += 1;
                    let writing = incoming.pass.write().await;
                    let writing = writing.map_err(|past| Status::aborted(past.to_string()))?;
                    incoming = blocking(move || {
                        incoming.install.chunk(&records)?;
                        drop(writing);
                        Ok(incoming)
                    })
                    .await?;
                }
                Some(snapshot_part::Part::End(end)) if end.chunks == received => break,
                _ => return Err(invalid("the parts of a snapshot are out of order")),
            }
        }
        let Incoming { install, pass } = incoming;
        pass.received(base.index).await;
        let meta = SnapshotMeta {
            last_log_id: Some(log_id(base)),
            last_membership: StoredMembership::new(config_id, group),
        };
        let snapshot = Snapshot { meta, snapshot: SnapshotData::Received(install) };
        let response = seat.raft.install_full_snapshot(vote, snapshot).await;
        pass.settle().await;
        let response = response.map_err(|fatal| Status::unavailable(fatal.to_string()))?;
        Ok(proto::SnapshotReply { vote: wire::vote(&response.vote) })
    }

    pub async fn forwarded(&self, from: NodeId, body: Bytes) -> Result<Bytes, Status> {
        let Some(forwarded) = &self.forwarded else {
            return Err(Status::unimplemented("nothing is forwarded to this node"));
        };
        Ok(forwarded.answer(from, body).await)
    }

    /// What somebody is told who is no node yet.
    pub async fn introduced(&self, stranger: Incarnation, body: Bytes) -> Result<Bytes, Status> {
        let Some(forwarded) = &self.forwarded else {
            return Err(Status::unimplemented("this node lets nobody in"));
        };
        Ok(forwarded.introduced(stranger, body).await)
    }

    async fn next_part(
        &self,
        parts: &mut impl Parts,
    ) -> Result<Option<snapshot_part::Part>, Status> {
        let idle = Duration::from_millis(self.timing.snapshot_idle);
        let part = tokio::time::timeout(idle, parts.next()).await;
        let part = part.map_err(|_| Status::deadline_exceeded("the snapshot has stalled"))?;
        Ok(part.transpose()?.and_then(|part| part.part))
    }
}

/// The vote to answer with at once: the sender leads no longer, or all that it would send is here. Old
/// records must not be written over newer ones. Nothing is applied while this holds.
fn already(seat: &Seat, theirs: &Vote, base: EntryId) -> Option<Vote> {
    let ours = seat.raft.metrics().borrow_watched().vote;
    let deposed = theirs.partial_cmp(&ours) == Some(std::cmp::Ordering::Less);
    (deposed || is_here(seat.log.as_ref(), base)).then_some(ours)
}

/// Whether the log leads to the snapshot's records without it.
fn is_here(log: &dyn EntryLog, base: EntryId) -> bool {
    log.state().applied.is_some_and(|applied| applied.index >= base.index) || log.holds(base)
}

fn invalid(why: impl ToString) -> Status {
    Status::invalid_argument(why.to_string())
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> aryavarth::Result<T> + Send + 'static,
) -> Result<T, Status> {
    let done = runtime::blocking(work).await;
    let done = done.map_err(|error| Status::internal(error.to_string()))?;
    done.map_err(|error| Status::unavailable(error.to_string()))
}

async fn poll_once(answering: &mut Answering) -> Option<answer::Body> {
    tokio::select! {
        biased;
        body = answering => Some(body),
        () = std::future::ready(()) => None,
    }
}

async fn append(seat: &Seat, request: proto::AppendRequest) -> answer::Body {
    let request = match wire::to_append_request(request) {
        Ok(request) => request,
        Err(error) => {
            tracing::warn!(%error, "entries from a peer were refused");
            return unavailable(error);
        }
    };
    match seat.raft.append_entries(request).await {
        Ok(response) => answer::Body::Append(wire::append_answer(response)),
        Err(error) => unavailable(error),
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum VoteKind {
    Real,
    Trial,
}

async fn vote(seat: &Seat, request: proto::VoteRequest, kind: VoteKind) -> answer::Body {
    let request = match wire::to_vote_request(request) {
        Ok(request) => request,
        Err(error) => return unavailable(error),
    };
    if !request.leadership_transfer
        && let Some(until) = seat.bound_until
        && Moment::now() < until
    {
        return unavailable("started just now: another leader may still count on this node");
    }
    if seat.log.state().pledge.is_some_and(|pledge| pledge::forbids(&pledge, &request)) {
        return unavailable("an earlier replica here has promised otherwise");
    }
    let response = match kind {
        VoteKind::Real => seat.raft.vote(request).await,
        VoteKind::Trial => seat.raft.pre_vote(request).await,
    };
    match response {
        Ok(response) => answer::Body::Vote(wire::vote_answer(&response)),
        Err(error) => unavailable(error),
    }
}

async fn transfer(seat: &Seat, request: proto::TransferRequest) -> answer::Body {
    let request = match wire::to_transfer_request(request) {
        Ok(request) => request,
        Err(error) => return unavailable(error),
    };
    match seat.raft.handle_transfer_leader(request).await {
        Ok(response) => answer::Body::Transfer(wire::transfer_answer(response)),
        Err(error) => unavailable(error),
    }
}

type Answers = mpsc::Sender<Vec<proto::Answer>>;

#[tonic::async_trait]
impl peer_server::Peer for Listener {
    async fn hello(
        &self,
        request: Request<proto::HelloRequest>,
    ) -> Result<Response<proto::HelloReply>, Status> {
        let caller = self.caller(&request)?;
        Ok(self.signed(caller, proto::HelloReply {}))
    }

    type LinkStream = BoxStream<'static, Result<proto::Answers, Status>>;

    async fn link(
        &self,
        request: Request<Streaming<proto::Parcel>>,
    ) -> Result<Response<Self::LinkStream>, Status> {
        let caller = self.caller(&request)?;
        let (answers, outgoing) = mpsc::channel(ANSWERS);
        runtime::spawn(self.clone().serve_link(request.into_inner(), answers));
        let outgoing = stream::unfold(outgoing, |mut outgoing| async {
            let mut together: Vec<Vec<proto::Answer>> = Vec::new();
            if outgoing.recv_many(&mut together, ANSWERS).await == 0 {
                return None;
            }
            let answers = together.into_iter().flatten().collect();
            Some((Ok(proto::Answers { answers }), outgoing))
        });
        Ok(self.signed(caller, Box::pin(outgoing)))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<proto::SnapshotPart>>,
    ) -> Result<Response<proto::SnapshotReply>, Status> {
        let caller = self.caller(&request)?;
        let reply = self.receive(request.into_inner()).await;
        if let Err(status) = &reply {
            tracing::warn!(why = status.message(), "a snapshot was given up");
        }
        reply.map(|reply| self.signed(caller, reply))
    }

    async fn forward(
        &self,
        request: Request<proto::ForwardRequest>,
    ) -> Result<Response<proto::ForwardReply>, Status> {
        let from = self.caller(&request)?;
        let body = self.forwarded(from.node, request.into_inner().body).await?;
        Ok(self.signed(from, proto::ForwardReply { body }))
    }

    async fn introduce(
        &self,
        request: Request<proto::ForwardRequest>,
    ) -> Result<Response<proto::ForwardReply>, Status> {
        let stranger = self.passport.check_stranger(request.metadata());
        let stranger = stranger.map_err(Refusal::into_status)?;
        let body = self.introduced(stranger.incarnation, request.into_inner().body).await?;
        Ok(self.signed(stranger, proto::ForwardReply { body }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entry_log::{NewEntry, Payload};
    use crate::testing::SimStore;

    #[test]
    fn a_snapshot_of_what_the_log_holds_is_here_and_of_what_it_has_otherwise_is_not() {
        let log = SimStore::new(ShardId(1), Duration::ZERO).log(ShardId(1)).unwrap();
        for index in 0..4 {
            let id = EntryId::new(1, index);
            log.append(&[NewEntry { id, payload: Payload::Blank }]).unwrap();
        }
        assert!(is_here(log.as_ref(), EntryId::new(1, 2)));
        assert!(!is_here(log.as_ref(), EntryId::new(2, 2)), "another leader's entry is there");
        assert!(!is_here(log.as_ref(), EntryId::new(1, 4)));
    }
}
