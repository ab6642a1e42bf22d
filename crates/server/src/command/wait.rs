//! `WAIT` and `WAITAOF`: until writes are where they should be.
//!
//! ```text
//!  alone         no replicas, and none will come: nobody is kept waiting for one
//!  in a cluster  settled, so a majority has it ─▶ until so many followers have it, or the time is over
//! ```
//!
//! A write that was answered in a cluster is on a majority already; `WAIT` is for who wants more.

use std::sync::{Arc, Weak};
use std::time::Duration;

use aryavarth::Durability;

use super::context::{After, Context, Place};
use super::error::{CommandError, CommandResult};
use super::following::Mark;
use crate::clients::Client;
use crate::clock;
use crate::cluster::Clustered;
use crate::proposer::BatchId;
use crate::resp::{Args, Reply};
use crate::server::Server;
use crate::value::integer;

/// How often it is looked how far followers are.
const GLANCE: Duration = Duration::from_millis(1);
/// How often after a while.
const SLOW_GLANCE: Duration = Duration::from_millis(20);

/// `WAIT numreplicas timeout`: how many followers have all that was written before. Of a server that stands
/// alone 0 at once, whatever is asked for; Redis would wait for the timeout.
pub(super) fn wait(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let replicas = integer::parse_i64(&args[1]).ok_or(CommandError::NotAnInteger)?;
    let longest = parse_timeout(&args[2])?;
    let Some(cluster) = &cx.server().cluster else {
        reply.integer(0);
        return Ok(());
    };
    if cx.place == Place::Transaction {
        reply.integer(Mark::now(cluster).reached(cluster) as i64);
        return Ok(());
    }
    let awaited = Awaited::of(cx, replicas, longest);
    let protocol = cx.session.protocol;
    answer_later(cx, cluster, async move {
        let (mut bytes, reached) = (Vec::new(), awaited.reached().await);
        Reply::new(&mut bytes, protocol).integer(reached);
        bytes
    });
    Ok(())
}

/// `WAITAOF numlocal numreplicas timeout`: whether all that was written is on the disk, and how many
/// followers have it on theirs: that is what they say yes to. With 1 for `numlocal` it has the log
/// synced and waits for that.
pub(super) fn wait_aof(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let local = integer::parse_i64(&args[1]).ok_or(CommandError::NotAnInteger)?;
    if !(0..=1).contains(&local) {
        return Err(CommandError::text("ERR value is out of range, value must between 0 and 1"));
    }
    let replicas = integer::parse_i64(&args[2]).ok_or(CommandError::NotAnInteger)?;
    if replicas < 0 {
        return Err(CommandError::text("ERR value is out of range, must be positive"));
    }
    let longest = parse_timeout(&args[3])?;
    if let Some(cluster) = &cx.server().cluster {
        return wait_for_disks(cx, cluster, (replicas, longest), reply);
    }
    if local == 0 || cx.place == Place::Transaction {
        let synced = is_synced(cx);
        answer(reply, synced, 0);
        return Ok(());
    }
    let written = cx.propose_gathered();
    cx.run_elsewhere(reply, move |server, reply| {
        let begun = clock::monotonic();
        let settled = written.iter().all(|batch| server.await_settled(*batch).is_ok());
        let took = clock::monotonic().saturating_sub(begun);
        let left = longest.map(|longest| longest.saturating_sub(took));
        answer(reply, settled && server.log_queue.sync_now(left), 0);
        Ok(())
    })
}

/// `WAITAOF` in a cluster: a majority has synced what is settled, and this node is made to.
fn wait_for_disks(
    cx: &mut Context<'_, '_>,
    cluster: &Clustered,
    (replicas, longest): (i64, Option<Duration>),
    reply: &mut Reply<'_>,
) -> CommandResult {
    if cx.place == Place::Transaction {
        let synced = is_synced(cx);
        answer(reply, synced, Mark::now(cluster).reached(cluster) as i64);
        return Ok(());
    }
    let (awaited, store) = (Awaited::of(cx, replicas, longest), cx.server().store.clone());
    let protocol = cx.session.protocol;
    answer_later(cx, cluster, async move {
        awaited.settled().await;
        let synced = tokio::task::spawn_blocking(move || store.sync().is_ok()).await;
        let (mut bytes, reached) = (Vec::new(), awaited.reached().await);
        answer(&mut Reply::new(&mut bytes, protocol), synced.unwrap_or(false), reached);
        bytes
    });
    Ok(())
}

/// What a client waits for.
struct Awaited {
    server: Arc<Server>,
    /// It may leave meanwhile.
    client: Weak<Client>,
    /// After these, all that was written before is settled.
    written: Vec<BatchId>,
    replicas: i64,
    until: Option<Duration>,
}

impl Awaited {
    fn of(cx: &mut Context<'_, '_>, replicas: i64, longest: Option<Duration>) -> Awaited {
        Awaited {
            written: cx.propose_gathered(),
            server: Arc::clone(cx.server()),
            client: Arc::downgrade(&cx.session.client),
            replicas,
            until: longest.map(|longest| clock::monotonic() + longest),
        }
    }

    /// Whether there is no use in waiting on.
    fn is_over(&self) -> bool {
        self.client.strong_count() == 0
            || self.server.is_ending()
            || self.until.is_some_and(|until| clock::monotonic() >= until)
    }

    /// Waits until what was written is settled, or the time is over.
    async fn settled(&self) {
        let is_settled = |batch: &BatchId| {
            self.server.proposers.of(batch.lane).outcomes().settled() >= batch.number
        };
        while !self.written.iter().all(is_settled) && !self.is_over() {
            tokio::time::sleep(GLANCE).await;
        }
    }

    /// Waits until so many followers have it, or the time is over; returns how many have.
    async fn reached(&self) -> i64 {
        self.settled().await;
        let Some(cluster) = &self.server.cluster else { return 0 };
        let (mark, begun) = (Mark::now(cluster), clock::monotonic());
        loop {
            let reached = mark.reached(cluster) as i64;
            if reached >= self.replicas || self.is_over() {
                return reached;
            }
            let waited = clock::monotonic().saturating_sub(begun);
            let pause = if waited < SLOW_GLANCE * 5 { GLANCE } else { SLOW_GLANCE };
            tokio::time::sleep(pause).await;
        }
    }
}

/// Has the connection rest until its reply is there, which takes no thread meanwhile.
fn answer_later(
    cx: &mut Context<'_, '_>,
    cluster: &Clustered,
    reply: impl Future<Output = Vec<u8>> + Send + 'static,
) {
    cx.after = After::Elsewhere;
    let (worker, jobs) = (cx.turn.worker(), &cx.server().jobs);
    jobs.answer_elsewhere(&cluster.runtime, worker, cx.session, reply);
}

/// Whether nothing waits to be synced, as far as that is known without waiting.
fn is_synced(cx: &mut Context<'_, '_>) -> bool {
    let is_quiet = cx.is_quiet();
    let server = cx.server();
    is_quiet && (server.durability.get() == Durability::Always || server.log_queue.is_synced())
}

fn answer(reply: &mut Reply<'_>, synced: bool, replicas: i64) {
    reply.array(2);
    reply.integer(i64::from(synced));
    reply.integer(replicas);
}

/// Milliseconds; 0 is without end.
fn parse_timeout(text: &[u8]) -> Result<Option<Duration>, CommandError> {
    let number = integer::parse_i64(text)
        .ok_or(CommandError::text("ERR timeout is not an integer or out of range"))?;
    let millis =
        u64::try_from(number).map_err(|_| CommandError::text("ERR timeout is negative"))?;
    Ok((millis > 0).then(|| Duration::from_millis(millis)))
}
