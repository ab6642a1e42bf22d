//! Entries on their way to one follower, and when it learns what is committed.
//!
//! Up to [`WINDOW`] messages are on their way to a follower before it has answered the first, so that its disk and
//! the network work at the same time. Answers are handed to openraft in the order of the requests, whatever
//! order they came in.
//!
//! ```text
//!  entry 7 ──▶ ═══▶            7 is committed ──▶ held ┐
//!                                     entry 8 ─────────┴──▶ ═══▶ 8, and that 7 is committed
//! ```
//!
//! That an entry is committed concerns a follower only once somebody reads from it, so the news waits for the next
//! entry, which carries it for nothing: a message of its own would cost both ends as much as one with an
//! entry. It goes alone at the next of the moments that are `Timing::news` apart. Who reads from a follower does not
//! wait for that: the leader asks a majority first whether it still leads, and says with that what is committed.

use std::pin::Pin;
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
use crate::runtime;
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

/// What is committed, to be told with the next entry or alone.
struct News {
    request: Request,
    alone: Pin<Box<tokio::time::Sleep>>,
}

/// A stream of appends in progress.
struct Pipeline<S> {
    destination: Destination,
    input: Option<S>,
    on_the_way: FuturesOrdered<BoxFuture<'static, Outcome>>,
    news: Option<News>,
}

/// What a pipeline does next.
enum Step {
    Answer(Outcome),
    Send(Request),
    TellNews,
    End,
}

impl<S: Stream<Item = Request> + Unpin> Pipeline<S> {
    async fn next(&mut self) -> Option<Outcome> {
        loop {
            let room = self.on_the_way.len() < WINDOW;
            let Some(input) = self.input.as_mut().filter(|_| room) else {
                return self.on_the_way.next().await;
            };
            let step = tokio::select! {
                biased;
                Some(outcome) = self.on_the_way.next() => Step::Answer(outcome),
                request = input.next() => request.map_or(Step::End, Step::Send),
                () = due(&mut self.news) => Step::TellNews,
            };
            match step {
                Step::Answer(outcome) => return Some(outcome),
                Step::Send(request) if request.entries.is_empty() => self.hold(request),
                Step::Send(request) => self.send(request).await,
                Step::TellNews => self.tell_news().await,
                Step::End => {
                    self.input = None;
                    self.tell_news().await;
                }
            }
        }
    }

    /// Openraft does not mind that a request without entries is never answered: any later answer is one to it.
    fn hold(&mut self, request: Request) {
        match &mut self.news {
            Some(news) => news.request = request,
            None => {
                let alone = Box::pin(runtime::until_next(self.destination.timing.news()));
                self.news = Some(News { request, alone });
            }
        }
    }

    async fn tell_news(&mut self) {
        if let Some(News { request, .. }) = self.news.take()
            && !self.destination.silence.withholds(&request)
        {
            self.send(request).await;
        }
    }

    async fn send(&mut self, request: Request) {
        self.news = None;
        let answer = launch(&self.destination, request).await;
        self.on_the_way.push_back(answer);
    }
}

/// Ends when the news has to go alone; never, if there is none.
async fn due(news: &mut Option<News>) {
    match news {
        Some(news) => (&mut news.alone).await,
        None => std::future::pending().await,
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
        Pipeline { destination, input: Some(input), on_the_way: FuturesOrdered::new(), news: None };
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
