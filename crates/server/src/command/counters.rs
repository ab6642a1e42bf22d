//! Counters: values that are numbers. Whatever they become, they expire when they would have.

use super::context::Context;
use super::error::{CommandError, CommandResult};
use crate::resp::{Args, Reply};
use crate::value::float;
use crate::value::integer::{self, Overflow, Text};

/// `INCR key`
pub(super) fn incr(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    count(cx, &args[1], reply, |old| integer::increment(old, 1))
}

/// `DECR key`
pub(super) fn decr(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    count(cx, &args[1], reply, |old| integer::decrement(old, 1))
}

/// `INCRBY key increment`
pub(super) fn incrby(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let by = integer::parse_i64(&args[2]).ok_or(CommandError::NotAnInteger)?;
    count(cx, &args[1], reply, |old| integer::increment(old, by))
}

/// `DECRBY key decrement`
pub(super) fn decrby(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let by = integer::parse_i64(&args[2]).ok_or(CommandError::NotAnInteger)?;
    // That this one has no opposite is told whatever the value is.
    if by == i64::MIN {
        return Err(CommandError::because(Overflow::Decrement));
    }
    count(cx, &args[1], reply, |old| integer::decrement(old, by))
}

#[inline]
fn count(
    cx: &mut Context<'_, '_>,
    key: &[u8],
    reply: &mut Reply<'_>,
    change: impl FnOnce(i64) -> Result<i64, Overflow>,
) -> CommandResult {
    let old = cx.read(key, |entry| (integer::parse_i64(entry.value), entry.expires_at))?;
    let (old, expires_at) = old.unwrap_or((Some(0), None));
    let new = change(old.ok_or(CommandError::NotAnInteger)?).map_err(CommandError::because)?;
    cx.set(key, Text::of_i64(new).as_bytes(), expires_at)?;
    reply.integer(new);
    Ok(())
}

/// `INCRBYFLOAT key increment`
pub(super) fn incrbyfloat(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let by = &args[2];
    let found =
        cx.read(&args[1], |entry| (float::increment(Some(entry.value), by), entry.expires_at))?;
    let (new, expires_at) = found.unwrap_or_else(|| (float::increment(None, by), None));
    let new = new.map_err(CommandError::because)?;
    cx.set(&args[1], &new, expires_at)?;
    reply.bulk(&new);
    Ok(())
}
