//! `CLUSTER DRAIN UNDRAIN REMOVE REBALANCE TRANSFER MEET REPLICATION-FACTOR`: what operators want.
//!
//! A node is named by its id or its name. The answer is `OK` once the order is in the log of the meta
//! group, so that it will be carried out whoever fails; the moves it leads to are seen in
//! `CLUSTER STATUS`.

use std::sync::Arc;
use std::time::Duration;

use aryavarth_cluster::{Address, META_GROUP, ReplicationFactor, ShardId};

use super::{HOMELESS, cluster};
use crate::clock;
use crate::cluster::{ClusterNode, NodeError, Wish};
use crate::command::context::Context;
use crate::command::error::{CommandError, CommandResult};
use crate::resp::{Args, Reply};
use crate::value::integer;

/// How long an order waits for the meta group to have a leader, and how long between two tries.
const PATIENCE: Duration = Duration::from_secs(3);
const PAUSE: Duration = Duration::from_millis(50);

/// Whether an order was not heard of for want of a leader, who will be there soon.
fn passes(error: &NodeError) -> bool {
    match error {
        NodeError::NoLeader => true,
        NodeError::Refused(why) => *why == NodeError::NoLeader.to_string(),
        _ => false,
    }
}

/// Has something done on another thread.
fn have_done(
    cx: &mut Context<'_, '_>,
    reply: &mut Reply<'_>,
    work: impl Fn(&Arc<ClusterNode>) -> Result<(), NodeError> + Send + 'static,
) -> CommandResult {
    cx.run_elsewhere(reply, move |server, reply| {
        let node = server.cluster.as_ref().and_then(|cluster| cluster.node.get());
        let node = node.ok_or(HOMELESS)?;
        let begun = clock::monotonic();
        let mut outcome = work(node);
        while outcome.as_ref().is_err_and(passes)
            && clock::monotonic().saturating_sub(begun) < PATIENCE
        {
            std::thread::sleep(PAUSE);
            outcome = work(node);
        }
        outcome.map_err(CommandError::because)?;
        reply.ok();
        Ok(())
    })
}

fn grant(cx: &mut Context<'_, '_>, wish: Wish, reply: &mut Reply<'_>) -> CommandResult {
    have_done(cx, reply, move |node| {
        tracing::info!(?wish, "an operator wants this");
        node.wish(wish.clone())
    })
}

/// The node that word `number` names.
fn node(cx: &Context<'_, '_>, args: Args<'_>, number: usize) -> Result<u64, CommandError> {
    let view = cluster(cx)?.views.newest();
    Ok(super::node(&view.for_clients().ok_or(HOMELESS)?, &args[number])?.0)
}

/// `CLUSTER DRAIN id [FORCE]`
pub(in crate::command) fn drain(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let node = node(cx, args, 2)?;
    let wish = match args.len() {
        3 => Wish::Drain(node),
        4 if args.is(3, "FORCE") => Wish::DrainForced(node),
        _ => return Err(CommandError::Syntax),
    };
    grant(cx, wish, reply)
}

/// `CLUSTER UNDRAIN id`
pub(in crate::command) fn undrain(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let node = node(cx, args, 2)?;
    grant(cx, Wish::Undrain(node), reply)
}

/// `CLUSTER REMOVE id [FORCE|LOST]`
pub(in crate::command) fn remove(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let node = node(cx, args, 2)?;
    let wish = match args.len() {
        3 => Wish::Remove(node),
        4 if args.is(3, "FORCE") => Wish::RemoveForced(node),
        4 if args.is(3, "LOST") => Wish::RemoveLost(node),
        _ => return Err(CommandError::Syntax),
    };
    grant(cx, wish, reply)
}

/// `CLUSTER REBALANCE`
pub(in crate::command) fn rebalance(
    cx: &mut Context<'_, '_>,
    _: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    cluster(cx)?;
    grant(cx, Wish::Rebalance, reply)
}

/// `CLUSTER TRANSFER shard|ALL id`
pub(in crate::command) fn transfer(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let to = node(cx, args, 3)?;
    let shard = if args.is(2, "ALL") { None } else { Some(shard(cx, &args[2])?.0) };
    grant(cx, Wish::Transfer { shard, to }, reply)
}

/// A shard by its number; the meta group is 0.
fn shard(cx: &Context<'_, '_>, word: &[u8]) -> Result<ShardId, CommandError> {
    let shards = cluster(cx)?.seats.slots().map().ok_or(HOMELESS)?;
    let number = integer::parse_i64(word).ok_or(CommandError::NotAnInteger)?;
    let shard = u16::try_from(number).ok().map(ShardId);
    shard.filter(|shard| *shard == META_GROUP || shards.is_open(*shard)).ok_or_else(|| {
        let numbers: Vec<_> = shards.shards().map(|shard| shard.to_string()).collect();
        let numbers = numbers.join(" ");
        CommandError::new(format!("ERR Unknown shard: they are {META_GROUP} {numbers}"))
    })
}

/// `CLUSTER MEET host port`
pub(in crate::command) fn meet(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    cluster(cx)?;
    let invalid = || {
        let (host, port) = (String::from_utf8_lossy(&args[2]), String::from_utf8_lossy(&args[3]));
        CommandError::new(format!("ERR Invalid node address specified: {host}:{port}"))
    };
    let host = std::str::from_utf8(&args[2]).map_err(|_| invalid())?;
    let port = integer::parse_i64(&args[3]).and_then(|port| u16::try_from(port).ok());
    let member = Address::new(host, port.ok_or_else(invalid)?).map_err(|_| invalid())?;
    have_done(cx, reply, move |node| node.meet(member.to_string()))
}

/// `CLUSTER REPLICATION-FACTOR n`
pub(in crate::command) fn replication_factor(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    cluster(cx)?;
    let number = integer::parse_i64(&args[2]).ok_or(CommandError::NotAnInteger)?;
    // What is beyond a byte is no factor either.
    let factor = ReplicationFactor::new(u8::try_from(number).unwrap_or(u8::MAX));
    let factor =
        factor.map_err(|_| CommandError::text("ERR the replication factor is 1, 3 or 5"))?;
    grant(cx, Wish::ReplicationFactor(factor.get()), reply)
}
