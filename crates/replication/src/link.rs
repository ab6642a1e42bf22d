//! One stream to a peer, for the requests of all shards.
//!
//! ```text
//!  ask ──▶ queue ──▶ writer: all that wait go as one parcel ──▶ ═══ stream ═══▶ the peer
//!   ▲                    │ number, who waits                                       │
//!   └──── reader ◀───────┴─────────────────────────────────── answers ◀════════════╛
//! ```
//!
//! Requests leave in the order they were asked. Answers come in any order. When the stream breaks, all who
//! wait are told; the next request opens a new one, after a pause if the last attempt failed. A stream on which
//! somebody waits and nothing is heard for long counts as broken, and so does the connection under it: bits
//! turned in a frame's head can leave either waiting for ever.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
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

/// Makes a client with a connection of its own; none if nobody needs it any more.
pub(crate) type Dial = Box<dyn Fn() -> Option<Client> + Send + Sync>;

/// How long a link waits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// Before it opens another stream after one that failed.
    pub pause: Duration,
    /// For a word of the peer, while somebody waits for one.
    pub silence: Duration,
}

/// A peer's stream. Its task ends when the last handle is dropped.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    queue: mpsc::Sender<Asked>,
    /// Whether a test has cut the line: what is asked then goes nowhere.
    cut: Arc<AtomicBool>,
}

impl Link {
    /// A stream over what `dial` gives, which is asked for another client when one hears nothing any more. It
    /// is opened when it is needed.
    pub fn start(dial: Dial, signer: Signer, patience: Patience) -> Link {
        let (queue, asked) = mpsc::channel(QUEUE);
        runtime::spawn(serve(dial, signer, asked, patience));
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

/// Who waits for an answer, and since when nobody was heard although somebody does.
#[derive(Clone)]
struct Waiting(Arc<Mutex<Outstanding>>);

struct Outstanding {
    replies: HashMap<u64, Reply>,
    silent_since: Instant,
}

impl Waiting {
    fn new() -> Waiting {
        let silent_since = Instant::now();
        Waiting(Arc::new(Mutex::new(Outstanding { replies: HashMap::new(), silent_since })))
    }

    fn outstanding(&self) -> MutexGuard<'_, Outstanding> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends when nothing was heard for this long.
    async fn fall_silent(&self, silence: Duration) {
        loop {
            tokio::time::sleep(silence / 4).await;
            let outstanding = self.outstanding();
            if !outstanding.replies.is_empty() && outstanding.silent_since.elapsed() >= silence {
                return;
            }
        }
    }
}

/// Why a conversation ended.
enum Ended {
    /// Nobody has a handle any more.
    Unneeded,
    Failed(Failure),
    /// The peer said nothing for too long.
    Silent,
}

impl From<Failure> for Ended {
    fn from(failure: Failure) -> Ended {
        Ended::Failed(failure)
    }
}

async fn serve(dial: Dial, signer: Signer, mut asked: mpsc::Receiver<Asked>, patience: Patience) {
    let Some(mut client) = dial() else { return };
    let mut failed: Option<(Instant, Failure)> = None;
    let mut first = Vec::new();
    while asked.recv_many(&mut first, TOGETHER).await > 0 {
        if let Some((at, failure)) = &failed
            && at.elapsed() < patience.pause
        {
            fail(first.drain(..).map(|asked| asked.reply), failure);
            continue;
        }
        let silence = patience.silence;
        let failure = match converse(&mut client, &signer, &mut asked, &mut first, silence).await {
            Ended::Unneeded => return,
            Ended::Failed(failure) => failure,
            Ended::Silent => {
                let Some(another) = dial() else { return };
                client = another;
                silent()
            }
        };
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
    silence: Duration,
) -> Ended {
    let (parcels, outgoing) = mpsc::channel::<proto::Parcel>(PARCELS);
    let outgoing = stream::unfold(outgoing, |mut outgoing| async {
        outgoing.recv().await.map(|parcel| (parcel, outgoing))
    });
    let opened = match tokio::time::timeout(silence, client.link(outgoing)).await {
        Ok(Ok(opened)) => opened,
        Ok(Err(status)) => return failure(&status).into(),
        Err(_) => return Ended::Silent,
    };
    if let Err(refusal) = signer.verify(opened.metadata()) {
        return refused(refusal).into();
    }
    let mut answers = opened.into_inner();
    let waiting = Waiting::new();
    let ended = tokio::select! {
        biased;
        failure = read(&mut answers, &waiting) => failure.into(),
        () = write(&parcels, asked, first, &waiting) => Ended::Unneeded,
        () = waiting.fall_silent(silence) => Ended::Silent,
    };
    let failure = match &ended {
        Ended::Unneeded => return ended,
        Ended::Failed(failure) => failure.clone(),
        Ended::Silent => silent(),
    };
    fail(waiting.outstanding().replies.drain().map(|(_, reply)| reply), &failure);
    ended
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
            let mut outstanding = waiting.outstanding();
            if outstanding.replies.is_empty() {
                outstanding.silent_since = Instant::now();
            }
            for asked in first.drain(..) {
                next_id += 1;
                outstanding.replies.insert(next_id, asked.reply);
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
                let mut outstanding = waiting.outstanding();
                outstanding.silent_since = Instant::now();
                for answer in answers.answers {
                    if let Some(reply) = outstanding.replies.remove(&answer.id) {
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

fn silent() -> Failure {
    Failure::Broken("the peer does not answer".into())
}

fn refused(refusal: Refusal) -> Failure {
    tracing::warn!(%refusal, "a peer is not the node it should be");
    Failure::Refused(refusal)
}
