//! One stream to a peer, for the requests of all shards.
//!
//! ```text
//!  ask ──▶ queue ──▶ writer: all that wait go as one parcel ──▶ ═══ stream ═══▶ the peer
//!   ▲                    │ number, who waits                                       │
//!   └──── reader ◀───────┴─────────────────────────────────── answers ◀════════════╛
//! ```
//!
//! Requests leave in the order they were asked. Answers come in any order. When the stream breaks, all who
//! wait are told; the next request opens a new one, after a pause if the last attempt failed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::stream;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;
use tonic::{Code, Status, Streaming};

use crate::entry_log::ShardId;
#[cfg(feature = "simulation")]
use crate::identity::NodeId;
use crate::identity::Refusal;
use crate::peers::{Client, Signer, say};
use crate::proto::{self, answer, request};
use crate::runtime;
#[cfg(feature = "simulation")]
use crate::simulation::{Lane, Station};

/// Requests that wait for the writer before asking has to wait.
const QUEUE: usize = 1024;
/// Parcels on the way to the transport.
const PARCELS: usize = 4;
/// Requests in one parcel.
const TOGETHER: usize = 64;

/// Why there is no answer.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Failure {
    /// The peer cannot be reached. The request may have arrived.
    #[error("{0}")]
    Broken(String),
    /// The peer is there, but does not serve this shard now.
    #[error("{0}")]
    Unavailable(String),
    /// The peer does not talk to us.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

pub(crate) type Reply = oneshot::Sender<Result<answer::Body, Failure>>;

pub(crate) struct Asked {
    pub shard: ShardId,
    pub body: request::Body,
    pub reply: Reply,
}

/// A peer's stream. Its task ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    queue: mpsc::Sender<Asked>,
    /// Whether a test has cut the line: what is asked then goes nowhere.
    cut: Arc<AtomicBool>,
}

impl Link {
    /// A stream over `client` that is opened when it is needed; not again within `pause` after it failed.
    pub fn start(client: Client, signer: Signer, pause: Duration) -> Link {
        let (queue, asked) = mpsc::channel(QUEUE);
        runtime::spawn(serve(client, signer, asked, pause));
        Link { queue, cut: Arc::default() }
    }

    /// A stream over a simulated network.
    #[cfg(feature = "simulation")]
    pub fn simulated(station: Station, to: NodeId, lane: Lane) -> Link {
        let (queue, asked) = mpsc::channel(QUEUE);
        runtime::spawn(station.serve(to, lane, asked));
        Link { queue, cut: Arc::default() }
    }

    /// Puts a request on its way. Waits only if too many wait already.
    pub async fn ask(
        &self,
        shard: ShardId,
        body: request::Body,
    ) -> oneshot::Receiver<Result<answer::Body, Failure>> {
        let (reply, answer) = oneshot::channel();
        if !self.cut.load(Ordering::Relaxed) {
            // A task that is gone drops the reply, which says enough.
            let _ = self.queue.send(Asked { shard, body, reply }).await;
        }
        answer
    }

    /// Cuts the line, or mends it.
    #[cfg(feature = "simulation")]
    pub fn set_cut(&self, cut: bool) {
        self.cut.store(cut, Ordering::Relaxed);
    }
}

type Waiting = Arc<Mutex<HashMap<u64, Reply>>>;

async fn serve(
    mut client: Client,
    signer: Signer,
    mut asked: mpsc::Receiver<Asked>,
    pause: Duration,
) {
    let mut failed: Option<(Instant, Failure)> = None;
    let mut first = Vec::new();
    while asked.recv_many(&mut first, TOGETHER).await > 0 {
        if let Some((at, failure)) = &failed
            && at.elapsed() < pause
        {
            fail(first.drain(..).map(|asked| asked.reply), failure);
            continue;
        }
        let outcome = converse(&mut client, &signer, &mut asked, &mut first).await;
        let Err(failure) = outcome else { return };
        fail(first.drain(..).map(|asked| asked.reply), &failure);
        failed = Some((Instant::now(), failure));
    }
}

fn fail(replies: impl Iterator<Item = Reply>, failure: &Failure) {
    for reply in replies {
        // Whoever asked may have given up.
        let _ = reply.send(Err(failure.clone()));
    }
}

/// Talks until the stream breaks, or until nobody has a handle any more.
async fn converse(
    client: &mut Client,
    signer: &Signer,
    asked: &mut mpsc::Receiver<Asked>,
    first: &mut Vec<Asked>,
) -> Result<(), Failure> {
    let (parcels, outgoing) = mpsc::channel::<proto::Parcel>(PARCELS);
    let outgoing = stream::unfold(outgoing, |mut outgoing| async {
        outgoing.recv().await.map(|parcel| (parcel, outgoing))
    });
    let opened = client.link(outgoing).await;
    let opened = opened.map_err(|status| failure(&status))?;
    signer.verify(opened.metadata()).map_err(refused)?;
    let mut answers = opened.into_inner();
    let waiting = Waiting::default();
    let outcome = tokio::select! {
        biased;
        outcome = read(&mut answers, &waiting) => Err(outcome),
        () = write(&parcels, asked, first, &waiting) => Ok(()),
    };
    if let Err(failure) = &outcome {
        let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
        fail(waiting.drain().map(|(_, reply)| reply), failure);
    }
    outcome
}

async fn write(
    parcels: &mpsc::Sender<proto::Parcel>,
    asked: &mut mpsc::Receiver<Asked>,
    first: &mut Vec<Asked>,
    waiting: &Waiting,
) {
    let mut next_id = 0;
    loop {
        let mut requests = Vec::with_capacity(first.len());
        {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            for asked in first.drain(..) {
                next_id += 1;
                waiting.insert(next_id, asked.reply);
                let shard = u32::from(asked.shard.0);
                requests.push(proto::Request { id: next_id, shard, body: Some(asked.body) });
            }
        }
        if parcels.send(proto::Parcel { requests }).await.is_err() {
            // The reader is about to say why.
            std::future::pending::<()>().await;
        }
        if asked.recv_many(first, TOGETHER).await == 0 {
            return;
        }
    }
}

async fn read(answers: &mut Streaming<proto::Answers>, waiting: &Waiting) -> Failure {
    loop {
        match answers.message().await {
            Ok(Some(answers)) => {
                let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
                for answer in answers.answers {
                    if let Some(reply) = waiting.remove(&answer.id) {
                        let _ = reply.send(body(answer.body));
                    }
                }
            }
            Ok(None) => return Failure::Broken("the peer ended the stream".into()),
            Err(status) => return failure(&status),
        }
    }
}

pub(crate) fn body(body: Option<answer::Body>) -> Result<answer::Body, Failure> {
    match body {
        Some(answer::Body::Unavailable(why)) => Err(Failure::Unavailable(why)),
        Some(body) => Ok(body),
        None => Err(Failure::Unavailable("the peer's answer cannot be understood".into())),
    }
}

fn failure(status: &Status) -> Failure {
    match (Refusal::of(status), status.code()) {
        (Some(refusal), _) => {
            tracing::warn!(%refusal, "a peer refused this node");
            Failure::Refused(refusal)
        }
        (None, Code::Unimplemented) => Failure::Broken("not a node of a cluster".into()),
        (None, _) => Failure::Broken(say(status)),
    }
}

fn refused(refusal: Refusal) -> Failure {
    tracing::warn!(%refusal, "a peer is not the node it should be");
    Failure::Refused(refusal)
}
