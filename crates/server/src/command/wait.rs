//! `WAIT` and `WAITAOF`: until writes are where they should be.
//!
//! There are no replicas, and none will come: nobody is kept waiting for one.

use std::time::Duration;

use aryavarth::Durability;

use super::context::{Context, Place};
use super::error::{CommandError, CommandResult};
use crate::resp::{Args, Reply};
use crate::value::integer;

/// `WAIT numreplicas timeout`: 0 at once, whatever is asked for. Redis would wait for the timeout.
pub(super) fn wait(
    _: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    integer::parse_i64(&args[1]).ok_or(CommandError::NotAnInteger)?;
    parse_timeout(&args[2])?;
    reply.integer(0);
    Ok(())
}

/// `WAITAOF numlocal numreplicas timeout`: whether all that was written is on the disk, and 0
/// replicas. With 1 for `numlocal` it has the log synced and waits for that.
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
    if local == 0 || cx.place == Place::Transaction {
        let synced = is_synced(cx);
        answer(reply, synced);
        return Ok(());
    }
    let written = cx.propose_gathered();
    cx.run_elsewhere(reply, move |server, reply| {
        let begun = crate::clock::monotonic();
        let settled = written.iter().all(|batch| server.await_settled(*batch).is_ok());
        let took = crate::clock::monotonic().saturating_sub(begun);
        let left = longest.map(|longest| longest.saturating_sub(took));
        answer(reply, settled && server.log_queue.sync_now(left));
        Ok(())
    })
}

/// Whether nothing waits to be synced, as far as that is known without waiting.
fn is_synced(cx: &mut Context<'_, '_>) -> bool {
    let is_quiet = cx.is_quiet();
    let server = cx.server();
    is_quiet && (server.durability.get() == Durability::Always || server.log_queue.is_synced())
}

fn answer(reply: &mut Reply<'_>, synced: bool) {
    reply.array(2);
    reply.integer(i64::from(synced));
    reply.integer(0);
}

/// Milliseconds; 0 is without end.
fn parse_timeout(text: &[u8]) -> Result<Option<Duration>, CommandError> {
    let number = integer::parse_i64(text)
        .ok_or(CommandError::text("ERR timeout is not an integer or out of range"))?;
    let millis =
        u64::try_from(number).map_err(|_| CommandError::text("ERR timeout is negative"))?;
    Ok((millis > 0).then(|| Duration::from_millis(millis)))
}
