//! `CLUSTER …`, `READONLY`, `READWRITE`, `ASKING`: the cluster as clients and operators see it.
//!
//! ```text
//!  view ─▶ replies    SLOTS SHARDS NODES INFO MYID …      what is known here, never waited for
//!  store ─▶ slots     COUNTKEYSINSLOT GETKEYSINSLOT       a job: it goes over all keys
//!  words ─▶ orders    DRAIN REMOVE TRANSFER …             a job: other nodes have a say
//! ```
//!
//! A server that stands alone answers `KEYSLOT` and `HELP`, and to all else what Redis would.

mod orders;
mod replies;
mod slots;
mod text;

use std::time::Duration;

use aryavarth_cluster::{NodeId, NodeName, RedisView, ShardId, Slot};

use super::context::Context;
use super::error::{CommandError, CommandResult};
use crate::cluster::{ClusterView, Clustered};
use crate::resp::{Args, Reply};
use crate::session::ReadFrom;
use crate::value::integer;

pub(super) use orders::{drain, meet, rebalance, remove, replication_factor, transfer, undrain};
pub(super) use slots::{count_keys_in_slot, get_keys_in_slot};
pub(super) use text::{help, refusal};

/// Redis' own words.
const DISABLED: CommandError = CommandError::text("ERR This instance has cluster support disabled");
/// What is said before it has joined.
const HOMELESS: CommandError =
    CommandError::text("CLUSTERDOWN This node belongs to no cluster yet: let it join one");

/// The cluster of a server that does not stand alone.
fn cluster<'s>(cx: &Context<'_, 's>) -> Result<&'s Clustered, CommandError> {
    cx.server().cluster.as_ref().ok_or(DISABLED)
}

/// Writes a reply from what is known of the cluster.
fn answer(
    cx: &Context<'_, '_>,
    write: impl FnOnce(&RedisView<'_>) -> CommandResult,
) -> CommandResult {
    let view = cluster(cx)?.views.newest();
    write(&view.for_clients().ok_or(HOMELESS)?)
}

/// The node that a word names: by its name of 40 digits, as in Redis, or by its id.
fn node(view: &RedisView<'_>, word: &[u8]) -> Result<NodeId, CommandError> {
    let unknown = || {
        let word = String::from_utf8_lossy(&word[..word.len().min(128)]);
        CommandError::new(format!("ERR Unknown node {word}"))
    };
    let text = std::str::from_utf8(word).map_err(|_| unknown())?.to_ascii_lowercase();
    let cluster = view.topology.cluster();
    let mut ids = view.topology.nodes().map(|node| node.id);
    ids.find(|id| NodeName::of(cluster, *id).to_string() == text || id.to_string() == text)
        .ok_or_else(unknown)
}

/// `CLUSTER SLOTS`
pub(super) fn slots(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    answer(cx, |view| {
        replies::slots(view, reply);
        Ok(())
    })
}

/// `CLUSTER SHARDS`
pub(super) fn shards(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let seats = &cluster(cx)?.seats;
    answer(cx, |view| {
        let known = |shard: ShardId| seats.seat(shard).group();
        let offsets = |shard| known(shard).as_ref().map(replies::Offsets::of).unwrap_or_default();
        replies::shards(view, offsets, reply);
        Ok(())
    })
}

/// `CLUSTER NODES`
pub(super) fn nodes(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    answer(cx, |view| {
        reply.verbatim(&view.nodes_text());
        Ok(())
    })
}

/// `CLUSTER INFO`
pub(super) fn info(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    let view = cluster(cx)?.views.newest();
    reply.verbatim(&info_text(&view));
    Ok(())
}

/// That of a node without a cluster says so, as one without slots does in Redis.
fn info_text(view: &ClusterView) -> String {
    view.for_clients().map_or_else(replies::info_of_none, |view| view.info_text())
}

/// `CLUSTER MYID`, and `CLUSTER MYSHARDID`: in Redis that is a name which a master shares with those who
/// follow it in everything; here nobody does.
pub(super) fn my_id(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    answer(cx, |view| {
        reply.bulk(NodeName::of(view.topology.cluster(), view.myself).to_string().as_bytes());
        Ok(())
    })
}

/// `CLUSTER KEYSLOT key`
pub(super) fn key_slot(
    _: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    reply.integer(i64::from(Slot::of(&args[2]).number()));
    Ok(())
}

/// `CLUSTER LINKS`
pub(super) fn links(cx: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    answer(cx, |view| {
        replies::links(view, reply);
        Ok(())
    })
}

/// `CLUSTER COUNT-FAILURE-REPORTS node-id`: one opinion counts, that of the meta group's leader.
pub(super) fn count_failure_reports(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    answer(cx, |view| {
        let node = node(view, &args[2])?;
        reply.integer(i64::from(!replies::answers(view, node)));
        Ok(())
    })
}

/// `CLUSTER REPLICAS node-id`, `CLUSTER SLAVES node-id`
pub(super) fn replicas(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    answer(cx, |view| {
        let lines = view.replicas_lines(node(view, &args[2])?).unwrap_or_default();
        reply.array(lines.len());
        lines.iter().for_each(|line| reply.bulk(line.as_bytes()));
        Ok(())
    })
}

/// `READONLY [MAXSTALENESS milliseconds]`
pub(super) fn read_only(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    cluster(cx)?;
    let max_staleness = match args.len() {
        1 => None,
        3 if args.is(1, "MAXSTALENESS") => Some(parse_staleness(&args[2])?),
        _ => return Err(CommandError::Syntax),
    };
    cx.session.reads = ReadFrom::Replicas { max_staleness };
    reply.ok();
    Ok(())
}

fn parse_staleness(word: &[u8]) -> Result<Duration, CommandError> {
    let millis = integer::parse_i64(word).ok_or(CommandError::NotAnInteger)?;
    let millis =
        u64::try_from(millis).map_err(|_| CommandError::text("ERR MAXSTALENESS is negative"))?;
    Ok(Duration::from_millis(millis))
}

/// `READWRITE`
pub(super) fn read_write(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    cluster(cx)?;
    cx.session.reads = ReadFrom::Leader;
    reply.ok();
    Ok(())
}

/// `ASKING`: no slot is ever on its way from one node to another, so there is nothing to ask for.
pub(super) fn asking(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    cluster(cx)?;
    reply.ok();
    Ok(())
}

/// `CLUSTER REPAIR key`: the value goes through the log again, so that a replica of which the record is
/// damaged has another one. Nodes ask this of one another.
pub(super) fn repair(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    cluster(cx)?;
    let value = cx.value(&args[2])?;
    if let Some(value) = &value {
        cx.set(&args[2], &value.bytes, value.expires_at)?;
    }
    reply.integer(i64::from(value.is_some()));
    Ok(())
}

/// `CLUSTER STATUS`
pub(super) fn status(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    cluster(cx)?;
    cx.run_elsewhere(reply, |server, reply| {
        let node = server.cluster.as_ref().and_then(|cluster| cluster.node.get());
        let status = node.ok_or(HOMELESS)?.status().map_err(CommandError::because)?;
        let text = serde_json::to_vec(&status).map_err(CommandError::because)?;
        reply.bulk(&text);
        Ok(())
    })
}

#[cfg(test)]
mod tests;
