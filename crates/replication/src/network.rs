//! What a group's leader or candidate says to one peer.
//!
//! Entries are pipelined: up to [`WINDOW`] messages are on their way to a follower before it has answered
//! the first, so that its disk and the network work at the same time. Answers are handed to openraft in the
//! order of the requests, whatever order they came in.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream, FuturesOrdered};
use futures_util::{Stream, StreamExt};
use openraft::OptionalSend;
use openraft::errors::{NetworkError, RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{RPCOption, RaftNetworkFactory, v2::RaftNetworkV2};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendResult,
    TransferLeaderRequest, TransferLeaderResponse, VoteRequest, VoteResponse,
};

use crate::config::Timing;
use crate::entry_log::ShardId;
use crate::identity::NodeId;
use crate::link::Link;
use crate::outlet::send_snapshot;
use crate::peers::{Peer, Peers};
use crate::progress::Transfers;
use crate::proto::{self, answer, request};
use crate::snapshot::SnapshotData;
use crate::types::{LogId, Member, TypeConfig, Vote};
use crate::wire;

/// Messages with entries on their way to one follower.
const WINDOW: usize = 16;

type RpcResult<T> = Result<T, RPCError<TypeConfig>>;
pub(crate) type SnapshotOf = openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotData>;

/// Makes what talks to one peer about one shard.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub shard: ShardId,
    pub peers: Peers,
    pub timing: Timing,
    pub transfers: Transfers,
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Contact;

    async fn new_client(&mut self, target: u64, member: &Member) -> Contact {
        Contact { network: self.clone(), address: member.address.clone(), target: NodeId(target) }
    }
}

/// What talks to one peer about one shard.
pub(crate) struct Contact {
    network: Network,
    address: String,
    target: NodeId,
}

impl Contact {
    /// The peer where it is now: openraft keeps a contact for as long as a node leads, and in that time the
    /// peer may come back at another address.
    fn peer(&self) -> RpcResult<Arc<Peer>> {
        let peer = self.network.peers.get(self.target, &self.address);
        peer.map_err(|error| unreachable_peer(&error))
    }

    async fn urgent(&mut self, body: request::Body, within: Duration) -> RpcResult<answer::Body> {
        let link = self.peer()?.urgent.clone();
        ask(link, self.network.shard, body, within).await
    }

    async fn ask_for_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        body: impl FnOnce(proto::VoteRequest) -> request::Body,
        option: &RPCOption,
    ) -> RpcResult<VoteResponse<TypeConfig>> {
        let body = body(wire::vote_request(&request));
        match self.urgent(body, option.soft_ttl()).await? {
            answer::Body::Vote(answer) => wire::to_vote_answer(answer).map_err(|e| bad(&e)),
            _ => Err(mismatch()),
        }
    }
}

fn unreachable_peer(error: &(impl std::error::Error + 'static)) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::new(error))
}

fn bad(error: &(impl std::error::Error + 'static)) -> RPCError<TypeConfig> {
    RPCError::Network(NetworkError::new(error))
}

fn mismatch() -> RPCError<TypeConfig> {
    RPCError::Network(NetworkError::from_string("the answer is to another question"))
}

async fn ask(
    link: Link,
    shard: ShardId,
    body: request::Body,
    within: Duration,
) -> RpcResult<answer::Body> {
    let asked = async { link.ask(shard, body).await.await };
    match tokio::time::timeout(within, asked).await {
        Ok(Ok(Ok(body))) => Ok(body),
        Ok(Ok(Err(failure))) => Err(unreachable_peer(&failure)),
        Ok(Err(_)) => Err(RPCError::Unreachable(Unreachable::from_string("the node is stopping"))),
        Err(elapsed) => Err(bad(&elapsed)),
    }
}

/// What openraft needs to know of an append once its answer is here.
struct Sent {
    previous: Option<LogId>,
    last: Option<LogId>,
}

impl Sent {
    fn of(request: &AppendEntriesRequest<TypeConfig>) -> Sent {
        let previous = request.prev_log_id;
        Sent { previous, last: request.entries.last().map_or(previous, |last| Some(last.log_id)) }
    }

    fn result(
        self,
        response: AppendEntriesResponse<TypeConfig>,
    ) -> RpcResult<StreamAppendResult<TypeConfig>> {
        if response.is_conflict() && self.previous.is_none() {
            // Nothing can conflict with the beginning; openraft relies on that.
            return Err(mismatch());
        }
        Ok(response.into_stream_result(self.previous, self.last))
    }
}

async fn append(
    peer: Arc<Peer>,
    shard: ShardId,
    request: AppendEntriesRequest<TypeConfig>,
    (urgent, patient): (Duration, Duration),
) -> RpcResult<AppendEntriesResponse<TypeConfig>> {
    let (link, within) = if request.entries.is_empty() {
        (peer.urgent.clone(), urgent)
    } else {
        (peer.entries.clone(), patient)
    };
    let request = wire::append_request(&request).map_err(|e| bad(&e))?;
    match ask(link, shard, request::Body::Append(request), within).await? {
        answer::Body::Append(answer) => wire::to_append_answer(answer).map_err(|e| bad(&e)),
        _ => Err(mismatch()),
    }
}

/// Puts an append on its way at once, in order, and gives what waits for its answer.
async fn launch(
    peer: &Peer,
    shard: ShardId,
    request: AppendEntriesRequest<TypeConfig>,
    within: Duration,
) -> BoxFuture<'static, RpcResult<StreamAppendResult<TypeConfig>>> {
    let sent = Sent::of(&request);
    let body = match wire::append_request(&request) {
        Ok(body) => request::Body::Append(body),
        Err(error) => return Box::pin(std::future::ready(Err(bad(&error)))),
    };
    let answer = peer.entries.ask(shard, body).await;
    Box::pin(async move {
        let answered = tokio::time::timeout(within, answer).await;
        #[cfg(feature = "simulation")]
        if aryavarth::planted::is_planted(aryavarth::planted::Planted::CommitMiscounted)
            && !matches!(&answered, Ok(Ok(Ok(_))))
        {
            return sent.result(AppendEntriesResponse::Success);
        }
        match answered {
            Ok(Ok(Ok(answer::Body::Append(answer)))) => {
                sent.result(wire::to_append_answer(answer).map_err(|e| bad(&e))?)
            }
            Ok(Ok(Ok(_))) => Err(mismatch()),
            Ok(Ok(Err(failure))) => Err(unreachable_peer(&failure)),
            Ok(Err(_)) => {
                Err(RPCError::Unreachable(Unreachable::from_string("the node is stopping")))
            }
            Err(elapsed) => Err(bad(&elapsed)),
        }
    })
}

/// A stream of appends in progress.
struct Pipeline<S> {
    input: Option<S>,
    on_the_way: FuturesOrdered<BoxFuture<'static, RpcResult<StreamAppendResult<TypeConfig>>>>,
    peer: Arc<Peer>,
    shard: ShardId,
    within: Duration,
}

impl<S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Unpin> Pipeline<S> {
    async fn next(&mut self) -> Option<RpcResult<StreamAppendResult<TypeConfig>>> {
        loop {
            let room = self.on_the_way.len() < WINDOW;
            let Some(input) = self.input.as_mut().filter(|_| room) else {
                return self.on_the_way.next().await;
            };
            let request = tokio::select! {
                biased;
                Some(result) = self.on_the_way.next() => return Some(result),
                request = input.next() => request,
            };
            match request {
                None => self.input = None,
                Some(request) => {
                    let answer = launch(&self.peer, self.shard, request, self.within).await;
                    self.on_the_way.push_back(answer);
                }
            }
        }
    }
}

impl RaftNetworkV2<TypeConfig> for Contact {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> RpcResult<AppendEntriesResponse<TypeConfig>> {
        let peer = self.peer()?;
        let patient = Duration::from_millis(self.network.timing.append);
        append(peer, self.network.shard, request, (option.soft_ttl(), patient)).await
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, RpcResult<BoxStream<'s, RpcResult<StreamAppendResult<TypeConfig>>>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + OptionalSend + Unpin + 'static,
    {
        Box::pin(async move {
            let peer = self.peer()?;
            let shard = self.network.shard;
            let patient = Duration::from_millis(self.network.timing.append);
            let mut input = input;
            // A heartbeat is a stream of one request without entries: it goes the urgent way.
            let Some(first) = input.next().await else {
                return Ok(Box::pin(stream::empty()) as BoxStream<'s, _>);
            };
            let sent = Sent::of(&first);
            if first.entries.is_empty() {
                let urgent = option.soft_ttl();
                let response = append(Arc::clone(&peer), shard, first, (urgent, patient)).await?;
                let result = sent.result(response)?;
                let failed = result.is_err();
                let head = stream::iter([Ok(result)]);
                if failed {
                    return Ok(Box::pin(head) as BoxStream<'s, _>);
                }
                let rest = pipeline(peer, shard, input, patient, VecDeque::new());
                return Ok(Box::pin(head.chain(rest)) as BoxStream<'s, _>);
            }
            let first = launch(&peer, shard, first, patient).await;
            let rest = pipeline(peer, shard, input, patient, [first].into());
            Ok(Box::pin(rest) as BoxStream<'s, _>)
        })
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> RpcResult<VoteResponse<TypeConfig>> {
        self.ask_for_vote(request, request::Body::Vote, &option).await
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> RpcResult<VoteResponse<TypeConfig>> {
        self.ask_for_vote(request, request::Body::PreVote, &option).await
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: SnapshotOf,
        cancel: impl Future<Output = ReplicationClosed> + OptionalSend + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let peer = self.peer().map_err(StreamingError::from)?;
        let progress = self.network.transfers.begin(self.target);
        let sending =
            send_snapshot(&peer, self.network.shard, vote, snapshot, self.network.timing, progress);
        tokio::select! {
            biased;
            closed = cancel => Err(StreamingError::Closed(closed)),
            response = sending => response,
        }
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> RpcResult<TransferLeaderResponse<TypeConfig>> {
        let body = request::Body::Transfer(wire::transfer_request(&request));
        match self.urgent(body, option.soft_ttl()).await? {
            answer::Body::Transfer(answer) => wire::to_transfer_answer(answer).map_err(|e| bad(&e)),
            _ => Err(mismatch()),
        }
    }
}

fn pipeline<S>(
    peer: Arc<Peer>,
    shard: ShardId,
    input: S,
    within: Duration,
    launched: VecDeque<BoxFuture<'static, RpcResult<StreamAppendResult<TypeConfig>>>>,
) -> impl Stream<Item = RpcResult<StreamAppendResult<TypeConfig>>> + Send
where
    S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Unpin + Send,
{
    let on_the_way = launched.into_iter().collect();
    let pipeline = Pipeline { input: Some(input), on_the_way, peer, shard, within };
    stream::unfold(Some(pipeline), |pipeline| async move {
        let mut pipeline = pipeline?;
        let result = pipeline.next().await?;
        // After an error nothing that follows can be right.
        let next = matches!(result, Ok(Ok(_))).then_some(pipeline);
        Some((result, next))
    })
}
