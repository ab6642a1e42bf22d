//! `DUMP` and `RESTORE`: values in the form in which Redis exchanges them.

use aryavarth::UnixMillis;

use super::context::Context;
use super::error::{CommandError, CommandResult};
use crate::resp::{Args, Reply};
use crate::value::time_to_live::{self, Base};
use crate::value::{dump, integer};

/// Bytes of a value from which on its checksum is not taken on the worker.
const LARGE: usize = 4 << 20;

/// `DUMP key`
pub(super) fn dump(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let found = cx.read(&args[1], |entry| match entry.value {
        value if value.len() < LARGE => Dumped::Payload(dump::encode(value)),
        value => Dumped::Value(value.to_vec()),
    })?;
    match found {
        None => reply.null(),
        Some(Dumped::Payload(payload)) => reply.bulk(&payload),
        Some(Dumped::Value(value)) => {
            return cx.run_elsewhere(reply, move |_, reply| {
                reply.bulk(&dump::encode(&value));
                Ok(())
            });
        }
    }
    Ok(())
}

/// What is found of a value: what is asked for, or what it is to be made of.
enum Dumped {
    Payload(Vec<u8>),
    Value(Vec<u8>),
}

/// What the options of `RESTORE` ask for.
struct Options {
    replace: bool,
    base: Base,
}

/// `RESTORE key ttl payload [REPLACE] [ABSTTL] [IDLETIME seconds] [FREQ frequency]`: the last two are
/// checked, and forgotten.
pub(super) fn restore(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let options = parse(args)?;
    let key = &args[1];
    if !options.replace && cx.exists(key)? {
        return Err(CommandError::text("BUSYKEY Target key name already exists."));
    }
    let amount = integer::parse_i64(&args[2]).ok_or(CommandError::NotAnInteger)?;
    let now = cx.now().0 as i64;
    let deadline =
        time_to_live::of_restored(amount, options.base, now).map_err(CommandError::because)?;
    let longest = cx.server().config.hot().max_value_length();
    let value = dump::decode(&args[3], longest).map_err(CommandError::because)?;
    let expires_at = deadline.map(|at| UnixMillis(at.unsigned_abs()));
    match expires_at {
        // Nothing comes of it, so nothing is written unless there is something to take away.
        Some(at) if at <= cx.now() && !cx.exists(key)? => {}
        _ => cx.set(key, &value, expires_at)?,
    }
    reply.ok();
    Ok(())
}

fn parse(args: Args<'_>) -> Result<Options, CommandError> {
    let mut options = Options { replace: false, base: Base::Now };
    let (mut idle, mut frequency) = (None, None);
    let mut number = 4;
    while number < args.len() {
        let has_value = number + 1 < args.len();
        if args.is(number, "REPLACE") {
            options.replace = true;
        } else if args.is(number, "ABSTTL") {
            options.base = Base::Epoch;
        } else if args.is(number, "IDLETIME") && has_value && frequency.is_none() {
            number += 1;
            idle =
                Some(within(&args[number], i64::MAX, "ERR Invalid IDLETIME value, must be >= 0")?);
        } else if args.is(number, "FREQ") && has_value && idle.is_none() {
            number += 1;
            let text = "ERR Invalid FREQ value, must be >= 0 and <= 255";
            frequency = Some(within(&args[number], 255, text)?);
        } else {
            return Err(CommandError::Syntax);
        }
        number += 1;
    }
    Ok(options)
}

fn within(word: &[u8], most: i64, refusal: &'static str) -> Result<i64, CommandError> {
    let number = integer::parse_i64(word).ok_or(CommandError::NotAnInteger)?;
    if (0..=most).contains(&number) { Ok(number) } else { Err(CommandError::text(refusal)) }
}
