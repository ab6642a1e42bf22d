//! `FLUSHALL` and `FLUSHDB`: all keys go.
//!
//! ```text
//!  alone ─▶ scan ─▶ each lane: batches of removals, as few as the log takes ─▶ settled
//!                                                                 ─▶ expired keys swept
//! ```
//!
//! No other write comes in between, and the reply says that the removals are as durable as any
//! write. If the keys take several batches and the machine fails before the reply, some of them may
//! be gone and others there. In a cluster the keys go whose shards this node leads. If it loses one
//! meanwhile, some of the keys may be left, and the reply says so. Memory is given back by the way, so `ASYNC` and `SYNC` are the same.

use std::sync::Arc;

use aryavarth::{ScanPosition, WriteBatch};

use super::context::{Context, Place};
use super::error::{CommandError, CommandResult};
use super::scope::Scope;
use super::view::View;
use crate::proposer::{Footing, Lane};
use crate::resp::{Args, Reply};
use crate::server::Server;

/// Most bytes of records in one batch: the log takes no batch of several operations whose last
/// begins beyond 128 MiB.
const MOST_BYTES: usize = 96 << 20;
/// Bytes of a removal besides its key, at most.
const REMOVAL: usize = 40;
/// Bytes of a record that holds a deadline, beyond those.
const DEADLINE: usize = 8;
/// Keys of one visit to the store.
const STEP: usize = 1 << 16;

/// What is answered if a shard was lost meanwhile.
const LOST: CommandError = CommandError::text(
    "TRYAGAIN This node leads some of its shards no more; of their keys some may be left",
);

/// `FLUSHALL [ASYNC|SYNC]`, `FLUSHDB [ASYNC|SYNC]`: there is one database.
pub(super) fn flush_all(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let is_known = args.len() == 1 || args.is(1, "ASYNC") || args.is(1, "SYNC");
    if args.len() > 2 || !is_known {
        return Err(CommandError::Syntax);
    }
    match cx.place {
        Place::Transaction => {
            remove_in_transaction(cx)?;
            reply.ok();
            Ok(())
        }
        Place::Alone => cx.run_elsewhere(reply, |server, reply| {
            server.alone(|| remove_all(server))?;
            reply.ok();
            Ok(())
        }),
    }
}

/// Removes all keys while nobody else writes.
fn remove_all(server: &Arc<Server>) -> CommandResult {
    let (mut position, scope) = (Some(ScanPosition::START), Scope::led(server));
    let proposers = &server.proposers;
    let mut gathered: Vec<Gathered> = proposers.lanes().map(|_| Gathered::default()).collect();
    while let Some(at) = position {
        position = server.store.scan(at, STEP, |entry| {
            if scope.has(entry.key) {
                gathered[proposers.lane_of(entry.key).index()].remove(entry.key);
            }
        })?;
        for (lane, gathered) in proposers.lanes().zip(&mut gathered) {
            for batch in gathered.full.drain(..) {
                propose(server, lane, batch)?;
            }
        }
    }
    for (lane, gathered) in proposers.lanes().zip(gathered) {
        if !gathered.batch.is_empty() {
            propose(server, lane, gathered.batch)?;
        }
    }
    // Those that have expired count until they are swept.
    server.store.sweep_expired()?;
    Ok(())
}

fn propose(server: &Arc<Server>, lane: Lane, batch: WriteBatch) -> CommandResult {
    let proposed = {
        let mut state = server.proposers.of(lane).hold();
        if let Some(cluster) = &server.cluster {
            // Whoever leads the lane's shard now may write to it; nobody else can.
            let seat = cluster.seats.seat(lane.shard());
            let lease = seat.lease().filter(|_| !seat.is_closed()).ok_or(LOST)?;
            if state.lead(lease.term) == Footing::Pending {
                return Err(LOST);
            }
        }
        state.propose(batch)
    };
    Ok(server.await_settled(proposed)?)
}

/// Removals in batches that the log takes.
#[derive(Default)]
struct Gathered {
    full: Vec<WriteBatch>,
    batch: WriteBatch,
    bytes: usize,
}

impl Gathered {
    fn remove(&mut self, key: &[u8]) {
        self.bytes += key.len() + REMOVAL;
        if self.bytes > MOST_BYTES {
            self.bytes = key.len() + REMOVAL;
            self.full.push(std::mem::take(&mut self.batch));
        }
        self.batch.remove(key);
    }
}

/// Removes all keys in the batch of the transaction. They have to fit in it, and to be in its lane.
fn remove_in_transaction(cx: &mut Context<'_, '_>) -> CommandResult {
    if cx.server().proposers.are_several() {
        return Err(CommandError::text(
            "ERR a transaction removes keys of one shard; use FLUSHALL outside of MULTI",
        ));
    }
    let (view, now, server) = (View::of(cx), cx.now(), Arc::clone(cx.server()));
    let mut keys: Vec<Vec<u8>> = view.unsettled(now).map(<[u8]>::to_vec).collect();
    let mut bytes: usize = keys.iter().map(|key| key.len() + REMOVAL).sum();
    let (operations, gathered) = cx.proposer().gathered();
    bytes += gathered as usize + operations * (REMOVAL + DEADLINE);
    let mut position = Some(ScanPosition::START);
    while let Some(at) = position
        && bytes <= MOST_BYTES
    {
        position = server.store.scan(at, STEP, |entry| {
            if Scope::All.has(entry.key) && view.fate(entry.key, now).is_none() {
                bytes += entry.key.len() + REMOVAL;
                keys.push(entry.key.to_vec());
            }
        })?;
    }
    if bytes > MOST_BYTES {
        return Err(CommandError::text(
            "ERR there are more keys than one transaction can remove; use FLUSHALL outside of MULTI",
        ));
    }
    keys.iter().for_each(|key| cx.remove(key));
    Ok(())
}
