//! `CLUSTER COUNTKEYSINSLOT` and `GETKEYSINSLOT`: the keys of a slot that this node has, led or not.
//!
//! Keys are found by their hashes, not by their slots, so both look at all keys.

use std::sync::Arc;

use aryavarth::ScanPosition;
use aryavarth_cluster::Slot;

use super::cluster;
use crate::cluster::Clustered;
use crate::command::context::Context;
use crate::command::error::{CommandError, CommandResult};
use crate::command::scope::Scope;
use crate::resp::{Args, Reply};
use crate::server::Server;
use crate::value::integer;

/// Keys of one visit to the store.
const STEP: usize = 1 << 16;

/// `CLUSTER COUNTKEYSINSLOT slot`
pub(in crate::command) fn count_keys_in_slot(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let cluster = cluster(cx)?;
    let number = integer::parse_i64(&args[2]).ok_or(CommandError::NotAnInteger)?;
    let slot = slot(number).ok_or(CommandError::text("ERR Invalid slot"))?;
    if !is_here(cluster, slot) {
        reply.integer(0);
        return Ok(());
    }
    cx.run_elsewhere(reply, move |server, reply| {
        let mut count = 0;
        each_key(server, slot, |_| {
            count += 1;
            Next::Go
        })?;
        reply.integer(count);
        Ok(())
    })
}

/// `CLUSTER GETKEYSINSLOT slot count`
pub(in crate::command) fn get_keys_in_slot(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let cluster = cluster(cx)?;
    let number = integer::parse_i64(&args[2]).ok_or(CommandError::NotAnInteger)?;
    let most = integer::parse_i64(&args[3]).ok_or(CommandError::NotAnInteger)?;
    let (Some(slot), Ok(most)) = (slot(number), usize::try_from(most)) else {
        return Err(CommandError::text("ERR Invalid slot or number of keys"));
    };
    if most == 0 || !is_here(cluster, slot) {
        reply.array(0);
        return Ok(());
    }
    cx.run_elsewhere(reply, move |server, reply| {
        let mut keys: Vec<Vec<u8>> = Vec::new();
        each_key(server, slot, |key| {
            if keys.len() < most {
                keys.push(key.to_vec());
            }
            if keys.len() < most { Next::Go } else { Next::Stop }
        })?;
        reply.array(keys.len());
        keys.iter().for_each(|key| reply.bulk(key));
        Ok(())
    })
}

fn slot(number: i64) -> Option<Slot> {
    u16::try_from(number).ok().and_then(Slot::new)
}

/// Whether this node has a replica of a slot's shard.
fn is_here(cluster: &Clustered, slot: Slot) -> bool {
    let shard = cluster.seats.slots().shard_of(slot);
    shard.is_some_and(|shard| cluster.seats.seat(shard).group().is_some())
}

/// Whether to look at more keys.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Next {
    Go,
    Stop,
}

/// Shows all keys of a slot, until enough were seen.
fn each_key(
    server: &Arc<Server>,
    slot: Slot,
    mut show: impl FnMut(&[u8]) -> Next,
) -> aryavarth::Result<()> {
    let held = Scope::held(server);
    let (mut position, mut next) = (Some(ScanPosition::START), Next::Go);
    while let Some(at) = position
        && next == Next::Go
    {
        position = server.store.scan(at, STEP, |entry| {
            if Slot::of(entry.key) == slot && held.has(entry.key) {
                next = show(entry.key);
            }
        })?;
    }
    Ok(())
}
