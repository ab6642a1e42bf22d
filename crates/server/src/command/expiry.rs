//! Deadlines of keys: `EXPIRE` and its kin, `TTL` and its kin, `PERSIST`.
//!
//! A deadline that has passed takes the key away at once. A deadline stands in the record of its
//! value, so a new one writes the value anew.

use aryavarth::UnixMillis;

use super::context::Context;
use super::error::{CommandError, CommandResult};
use super::id::CommandId;
use crate::resp::{Args, Reply};
use crate::value::integer;
use crate::value::time_to_live::{self, Base, Condition, Expiry, Unit};

/// `EXPIRE`, `PEXPIRE`, `EXPIREAT`, `PEXPIREAT`: `key time [NX|XX|GT|LT …]`
pub(super) fn expire(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let options: Vec<&[u8]> = args.iter().skip(3).collect();
    let condition = Condition::parse(&options).map_err(CommandError::because)?;
    let amount = integer::parse_i64(&args[2]).ok_or(CommandError::NotAnInteger)?;
    let (unit, base) = match cx.spec.id {
        CommandId::PExpire => (Unit::Milliseconds, Base::Now),
        CommandId::ExpireAt => (Unit::Seconds, Base::Epoch),
        CommandId::PExpireAt => (Unit::Milliseconds, Base::Epoch),
        _ => (Unit::Seconds, Base::Now),
    };
    let deadline = Expiry { amount, unit, base }
        .of_a_key(cx.now().0 as i64, cx.spec.full_name)
        .map_err(|_| CommandError::InvalidExpiry(cx.spec.full_name))?;
    let changed = match cx.expiry(&args[1])? {
        Some(current) if condition.holds(deadline, current.map(|at| at.0 as i64)) => {
            set_deadline(cx, &args[1], deadline)?
        }
        _ => false,
    };
    reply.integer(i64::from(changed));
    Ok(())
}

/// Says whether the key is still there to get it.
fn set_deadline(cx: &mut Context<'_, '_>, key: &[u8], deadline: i64) -> Result<bool, CommandError> {
    // One before the epoch has passed just as well.
    let deadline = UnixMillis(deadline.max(0).unsigned_abs());
    if deadline <= cx.now() {
        cx.remove(key);
        return Ok(true);
    }
    let Some(value) = cx.value(key)? else { return Ok(false) };
    cx.set(key, &value.bytes, Some(deadline))?;
    Ok(true)
}

/// `TTL`, `PTTL`, `EXPIRETIME`, `PEXPIRETIME`: -1 for a key that never expires, -2 for none.
pub(super) fn ttl(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let now = cx.now().0 as i64;
    let left = match cx.expiry(&args[1])? {
        None => -2,
        Some(None) => -1,
        Some(Some(UnixMillis(deadline))) => {
            let deadline = i64::try_from(deadline).unwrap_or(i64::MAX);
            match cx.spec.id {
                CommandId::Ttl => time_to_live::remaining(deadline, now, Unit::Seconds),
                CommandId::PTtl => time_to_live::remaining(deadline, now, Unit::Milliseconds),
                CommandId::ExpireTime => time_to_live::in_unit(deadline, Unit::Seconds),
                _ => time_to_live::in_unit(deadline, Unit::Milliseconds),
            }
        }
    };
    reply.integer(left);
    Ok(())
}

/// `PERSIST key`
pub(super) fn persist(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let expires = cx.expiry(&args[1])?.flatten().is_some();
    let value = if expires { cx.value(&args[1])? } else { None };
    if let Some(value) = &value {
        cx.set(&args[1], &value.bytes, None)?;
    }
    reply.integer(i64::from(value.is_some()));
    Ok(())
}
