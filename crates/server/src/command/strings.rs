//! Strings: whole values, read and written.

use aryavarth::UnixMillis;

use super::apart;
use super::context::Context;
use super::error::{CommandError, CommandResult};
use super::options::{self, Answer, Comparison, Lifetime, Options, Taker};
use crate::resp::{Args, Reply};
use crate::value::digest::Digest;
use crate::value::integer;
use crate::value::time_to_live::{Base, Unit};

/// `GET key`
pub(super) fn get(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    answer_value(cx, &args[1], reply).map(|_| ())
}

/// Whether a key was there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Presence {
    There,
    Missing,
}

/// Writes the value of a key, or nothing, as the reply.
#[inline]
fn answer_value(
    cx: &mut Context<'_, '_>,
    key: &[u8],
    reply: &mut Reply<'_>,
) -> Result<Presence, CommandError> {
    let start = reply.buffer().len();
    let found = cx.read(key, |entry| {
        reply.buffer().truncate(start);
        reply.bulk(entry.value);
    })?;
    if found.is_some() {
        return Ok(Presence::There);
    }
    reply.null();
    Ok(Presence::Missing)
}

/// `SET key value [NX | XX | IFEQ … | IFNE … | IFDEQ … | IFDNE …] [GET] [EX … | PX … | EXAT … |
/// PXAT … | KEEPTTL]`
pub(super) fn set(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if args.len() > 3 {
        return set_with_options(cx, args, reply);
    }
    cx.set(&args[1], &args[2], None)?;
    reply.ok();
    Ok(())
}

fn set_with_options(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let options = Options::parse(args, 3, Taker::Set)?;
    let deadline = options.lifetime.deadline(cx.now(), "set")?;
    let key = &args[1];
    let mut found = None;
    if options.look_at_the_key() {
        let start = reply.buffer().len();
        found = cx.read(key, |entry| {
            reply.buffer().truncate(start);
            if options.answer == Answer::OldValue {
                reply.bulk(entry.value);
            }
            (options.condition.holds(Some(entry.value)), entry.expires_at)
        })?;
    }
    if found.is_none() && options.answer == Answer::OldValue {
        reply.null();
    }
    let (holds, expires_at) = found.unwrap_or_else(|| (options.condition.holds(None), None));
    if holds? {
        let expires_at = if options.lifetime == Lifetime::Kept { expires_at } else { deadline };
        cx.set(key, &args[2], expires_at)?;
        if options.answer == Answer::Outcome {
            reply.ok();
        }
    } else if options.answer == Answer::Outcome {
        reply.null();
    }
    Ok(())
}

/// `SETNX key value`
pub(super) fn setnx(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if cx.exists(&args[1])? {
        reply.integer(0);
    } else {
        cx.set(&args[1], &args[2], None)?;
        reply.integer(1);
    }
    Ok(())
}

/// `SETEX key seconds value`
pub(super) fn setex(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    set_for(cx, args, Unit::Seconds, "setex", reply)
}

/// `PSETEX key milliseconds value`
pub(super) fn psetex(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    set_for(cx, args, Unit::Milliseconds, "psetex", reply)
}

fn set_for(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    unit: Unit,
    command: &'static str,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let deadline = options::deadline(&args[2], unit, Base::Now, cx.now(), command)?;
    cx.set(&args[1], &args[3], Some(deadline))?;
    reply.ok();
    Ok(())
}

/// `GETSET key value`
pub(super) fn getset(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    answer_value(cx, &args[1], reply)?;
    cx.set(&args[1], &args[2], None)
}

/// `GETDEL key`
pub(super) fn getdel(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if answer_value(cx, &args[1], reply)? == Presence::There {
        cx.remove(&args[1]);
    }
    Ok(())
}

/// `GETEX key [EX … | PX … | EXAT … | PXAT … | PERSIST]`
pub(super) fn getex(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let options = Options::parse(args, 2, Taker::GetEx)?;
    let key = &args[1];
    if options.lifetime == Lifetime::Unsaid {
        return answer_value(cx, key, reply).map(|_| ());
    }
    let Some(value) = cx.value(key)? else {
        reply.null();
        return Ok(());
    };
    // Redis looks at the time only if there is something to apply it to.
    let deadline = options.lifetime.deadline(cx.now(), "getex")?;
    reply.bulk(&value.bytes);
    if deadline == value.expires_at {
        return Ok(());
    }
    cx.set(key, &value.bytes, deadline)
}

/// `MGET key [key …]`
pub(super) fn mget(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if args.len() > 2 {
        cx.see_everything();
    }
    reply.array(args.len() - 1);
    for key in args.iter().skip(1) {
        answer_value(cx, key, reply)?;
    }
    Ok(())
}

/// Keys and values in turn.
fn pairs(args: Args<'_>) -> impl Iterator<Item = (&[u8], &[u8])> {
    args.iter().step_by(2).zip(args.iter().skip(1).step_by(2))
}

/// Writes all, or none and returns why.
fn set_all(cx: &mut Context<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.check_all(pairs(args).map(|(key, value)| (key, value.len())))?;
    pairs(args).try_for_each(|(key, value)| cx.set(key, value, None))
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
    set_all(cx, args.from(1))?;
    reply.ok();
    Ok(())
}

/// `MSETNX key value [key value …]`
pub(super) fn msetnx(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if args.len().is_multiple_of(2) {
        return Err(CommandError::WrongArguments("msetnx"));
    }
    for (key, _) in pairs(args.from(1)) {
        if cx.exists(key)? {
            reply.integer(0);
            return Ok(());
        }
    }
    set_all(cx, args.from(1))?;
    reply.integer(1);
    Ok(())
}

/// `MSETEX numkeys key value [key value …] [NX | XX] [EX … | PX … | EXAT … | PXAT … | KEEPTTL]`
pub(super) fn msetex(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let count = integer::parse_i64(&args[1]).filter(|count| (1..=i32::MAX.into()).contains(count));
    let count = count.ok_or(CommandError::text("ERR invalid numkeys value"))? as usize;
    let behind = 2 + 2 * count;
    if behind > args.len() {
        return Err(CommandError::text("ERR wrong number of key-value pairs"));
    }
    let options = Options::parse(args, behind, Taker::MSetEx)?;
    let deadline = options.lifetime.deadline(cx.now(), "msetex")?;
    let each = || pairs(args.from(2)).take(count);
    cx.check_all(each().map(|(key, value)| (key, value.len())))?;
    for (key, _) in each() {
        let found = cx.read(key, |_| options.condition.holds(Some(b"")))?;
        if !found.unwrap_or_else(|| options.condition.holds(None))? {
            reply.integer(0);
            return Ok(());
        }
    }
    for (key, value) in each() {
        let expires_at = lasting(cx, key, options.lifetime, deadline)?;
        cx.set(key, value, expires_at)?;
    }
    reply.integer(1);
    Ok(())
}

/// Until when a key is to last.
fn lasting(
    cx: &mut Context<'_, '_>,
    key: &[u8],
    lifetime: Lifetime<'_>,
    deadline: Option<UnixMillis>,
) -> Result<Option<UnixMillis>, CommandError> {
    if lifetime == Lifetime::Kept { Ok(cx.expiry(key)?.flatten()) } else { Ok(deadline) }
}

/// `DELEX key [IFEQ … | IFNE … | IFDEQ … | IFDNE …]`
pub(super) fn delex(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let key = &args[1];
    let found = match (args.get(2), args.get(3), args.get(4)) {
        (None, ..) => cx.exists(key)?.then_some(Ok(true)),
        (Some(name), Some(with), None) => {
            let comparison = Comparison::parse(name, with);
            let unknown =
                CommandError::text("ERR Invalid condition. Use IFEQ, IFNE, IFDEQ, or IFDNE");
            cx.read(key, |entry| comparison.ok_or(unknown.clone())?.holds(entry.value))?
        }
        _ => return Err(CommandError::WrongArguments("delex")),
    };
    let removed = found.unwrap_or(Ok(false))?;
    if removed {
        cx.remove(key);
    }
    reply.integer(i64::from(removed));
    Ok(())
}

/// `DIGEST key`
pub(super) fn digest(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    apart::with_value(cx, &args[1], reply, |value, reply| match value {
        Some(value) => reply.bulk(&Digest::of(value).to_hex()),
        None => reply.null(),
    })
}
