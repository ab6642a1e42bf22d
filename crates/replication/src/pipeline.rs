//! Entries on their way to one follower.
//!
//! Up to [`WINDOW`] messages are on their way to a follower before it has answered the first, so that its disk and
//! the network work at the same time. Answers are handed to openraft in the order of the requests, whatever
//! order they came in.

use std::sync::Arc;

use futures_util::future::BoxFuture;
use futures_util::stream::{self, FuturesOrdered};
use futures_util::{Stream, StreamExt};
use openraft::errors::{RPCError, Unreachable};
use openraft::raft::{AppendEntriesRequest, AppendEntriesResponse, StreamAppendResult};

use crate::config::Timing;
use crate::entry_log::ShardId;
use crate::network::{RpcResult, bad, mismatch, unreachable_peer};
use crate::peers::Peer;
use crate::proto::{answer, request};
use crate::rotten::Silence;
use crate::types::{LogId, TypeConfig};
use crate::wire;

/// Messages with entries on their way to one follower.
const WINDOW: usize = 16;

type Request = AppendEntriesRequest<TypeConfig>;
type Outcome = RpcResult<StreamAppendResult<TypeConfig>>;

/// Where a pipeline leads.
pub(crate) struct Destination {
    pub peer: Arc<Peer>,
    pub shard: ShardId,
    pub timing: Timing,
    pub silence: Silence,
}

/// What openraft needs to know of an append once its answer is here.
pub(crate) struct Sent {
    previous: Option<LogId>,
    last: Option<LogId>,
}

impl Sent {
    pub fn of(request: &Request) -> Sent {
        let previous = request.prev_log_id;
        Sent { previous, last: request.entries.last().map_or(previous, |last| Some(last.log_id)) }
    }

    pub fn result(self, response: AppendEntriesResponse<TypeConfig>) -> Outcome {
        if response.is_conflict() && self.previous.is_none() {
            // Nothing can conflict with the beginning; openraft relies on that.
            return Err(mismatch());
        }
        Ok(response.into_stream_result(self.previous, self.last))
    }
}

/// A stream of appends in progress.
struct Pipeline<S> {
    destination: Destination,
    input: Option<S>,
    on_the_way: FuturesOrdered<BoxFuture<'static, Outcome>>,
}

impl<S: Stream<Item = Request> + Unpin> Pipeline<S> {
    async fn next(&mut self) -> Option<Outcome> {
        loop {
            let room = self.on_the_way.len() < WINDOW;
            let Some(input) = self.input.as_mut().filter(|_| room) else {
                return self.on_the_way.next().await;
            };
            let request = tokio::select! {
                biased;
                Some(outcome) = self.on_the_way.next() => return Some(outcome),
                request = input.next() => request,
            };
            match request {
                None => self.input = None,
                // Openraft does not mind that it is never answered: any later answer is one to it.
                Some(request) if self.destination.silence.withholds(&request) => {}
                Some(request) => self.send(request).await,
            }
        }
    }

    async fn send(&mut self, request: Request) {
        let answer = launch(&self.destination, request).await;
        self.on_the_way.push_back(answer);
    }
}

/// Sends what `input` gives, beginning with `first`.
pub(crate) async fn pipeline<S>(
    destination: Destination,
    first: Option<Request>,
    input: S,
) -> impl Stream<Item = Outcome> + Send
where
    S: Stream<Item = Request> + Unpin + Send,
{
    let mut pipeline =
        Pipeline { destination, input: Some(input), on_the_way: FuturesOrdered::new() };
    if let Some(first) = first {
        pipeline.send(first).await;
    }
    stream::unfold(Some(pipeline), |pipeline| async move {
        let mut pipeline = pipeline?;
        let result = pipeline.next().await?;
        // After an error nothing that follows can be right.
        let next = matches!(result, Ok(Ok(_))).then_some(pipeline);
        Some((result, next))
    })
}

/// Puts an append on its way at once, in order, and gives what waits for its answer.
async fn launch(destination: &Destination, request: Request) -> BoxFuture<'static, Outcome> {
    let sent = Sent::of(&request);
    let body = match wire::append_request(&request) {
        Ok(body) => request::Body::Append(body),
        Err(error) => return Box::pin(std::future::ready(Err(bad(&error)))),
    };
    let within = destination.timing.append_patience();
    let answer = destination.peer.entries.ask(destination.shard, body).await;
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
