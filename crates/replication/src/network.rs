//! What a group's leader or candidate says to one peer.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
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
use crate::pipeline::{Destination, Sent, pipeline};
use crate::progress::Transfers;
use crate::proto::{self, answer, request};
use crate::rotten::Silence;
use crate::snapshot::SnapshotData;
use crate::types::{Member, TypeConfig, Vote};
use crate::wire;

pub(crate) type RpcResult<T> = Result<T, RPCError<TypeConfig>>;
pub(crate) type SnapshotOf = openraft::type_config::alias::SnapshotOf<TypeConfig, SnapshotData>;

/// Makes what talks to one peer about one shard.
#[derive(Clone, Debug)]
pub(crate) struct Network {
    pub shard: ShardId,
    pub peers: Peers,
    pub timing: Timing,
    pub transfers: Transfers,
    pub silence: Silence,
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

    /// An error if a request is withheld.
    fn may_send(&self, request: &AppendEntriesRequest<TypeConfig>) -> RpcResult<()> {
        match self.network.silence.withholds(request) {
            true => {
                let why = "entries are damaged here: another node is to lead";
                Err(RPCError::Unreachable(Unreachable::from_string(why)))
            }
            false => Ok(()),
        }
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

pub(crate) fn unreachable_peer(error: &(impl std::error::Error + 'static)) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::new(error))
}

pub(crate) fn bad(error: &(impl std::error::Error + 'static)) -> RPCError<TypeConfig> {
    RPCError::Network(NetworkError::new(error))
}

pub(crate) fn mismatch() -> RPCError<TypeConfig> {
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

impl RaftNetworkV2<TypeConfig> for Contact {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> RpcResult<AppendEntriesResponse<TypeConfig>> {
        self.may_send(&request)?;
        let peer = self.peer()?;
        let patience = (option.soft_ttl(), self.network.timing.append_patience());
        append(peer, self.network.shard, request, patience).await
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
            let Network { shard, timing, .. } = self.network;
            let silence = self.network.silence.clone();
            let destination = Destination { peer: Arc::clone(&peer), shard, timing, silence };
            let mut input = input;
            // A heartbeat is a stream of one request without entries: it goes the urgent way.
            let Some(first) = input.next().await else {
                return Ok(Box::pin(stream::empty()) as BoxStream<'s, _>);
            };
            self.may_send(&first)?;
            let sent = Sent::of(&first);
            if first.entries.is_empty() {
                let patience = (option.soft_ttl(), timing.append_patience());
                let response = append(peer, shard, first, patience).await?;
                let result = sent.result(response)?;
                let failed = result.is_err();
                let head = stream::iter([Ok(result)]);
                if failed {
                    return Ok(Box::pin(head) as BoxStream<'s, _>);
                }
                let rest = pipeline(destination, None, input).await;
                return Ok(Box::pin(head.chain(rest)) as BoxStream<'s, _>);
            }
            let stream = pipeline(destination, Some(first), input).await;
            Ok(Box::pin(stream) as BoxStream<'s, _>)
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
