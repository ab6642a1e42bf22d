//! Strings: the plain reads and writes.

use super::context::Context;
use super::error::{CommandError, CommandResult};
use crate::resp::{Args, Reply};
use crate::value::integer;

/// `GET key`
pub(super) fn get(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let start = reply.buffer().len();
    let found = cx.read(&args[1], |entry| {
        reply.buffer().truncate(start);
        reply.bulk(entry.value);
    })?;
    if found.is_none() {
        reply.null();
    }
    Ok(())
}

/// `SET key value`
pub(super) fn set(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    cx.set(&args[1], &args[2], None)?;
    reply.ok();
    Ok(())
}

/// `INCR key`
pub(super) fn incr(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let old = cx.read(&args[1], |entry| (integer::parse_i64(entry.value), entry.expires_at))?;
    let (old, expires_at) = old.unwrap_or((Some(0), None));
    let new = old.ok_or(CommandError::NotAnInteger)?.checked_add(1);
    let new = new.ok_or(CommandError::text("ERR increment or decrement would overflow"))?;
    let mut text = Vec::with_capacity(20);
    integer::write_i64(&mut text, new);
    cx.set(&args[1], &text, expires_at)?;
    reply.integer(new);
    Ok(())
}

/// `MSET key value [key value …]`
pub(super) fn mset(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if args.len().is_multiple_of(2) {
        return Err(CommandError::WrongArguments("mset"));
    }
    for number in (1..args.len()).step_by(2) {
        cx.set(&args[number], &args[number + 1], None)?;
    }
    reply.ok();
    Ok(())
}
