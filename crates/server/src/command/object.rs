//! `OBJECT`: what Redis tells of the insides of a value, as far as there is an answer here.

use super::context::Context;
use super::error::{CommandError, CommandResult};
use crate::resp::{Args, Reply};
use crate::value::integer;

/// Longest value, in bytes, that Redis keeps beside its own header.
const LONGEST_EMBEDDED: usize = 44;

const HELP: &[&str] = &[
    "OBJECT <subcommand> [<arg> [value] [opt] ...]. Subcommands are:",
    "ENCODING <key>",
    "    Return the kind of internal representation used in order to store the value",
    "    associated with a <key>.",
    "FREQ <key>",
    "    Return the access frequency index of the <key>. The returned integer is",
    "    proportional to the logarithm of the recent access frequency of the key.",
    "IDLETIME <key>",
    "    Return the idle time of the <key>, that is the approximated number of",
    "    seconds elapsed since the last access to the key.",
    "REFCOUNT <key>",
    "    Return the number of references of the value associated with the specified",
    "    <key>.",
    "HELP",
    "    Print this help.",
];

/// `OBJECT ENCODING key`: what Redis would call a value that `SET` has just written. All are stored
/// alike here; some clients and tools ask.
pub(super) fn encoding(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let name = cx.read(&args[2], |entry| match entry.value {
        value if integer::parse_i64(value).is_some() => "int",
        value if value.len() <= LONGEST_EMBEDDED => "embstr",
        _ => "raw",
    })?;
    reply.bulk_or_null(name.map(str::as_bytes));
    Ok(())
}

/// `OBJECT FREQ key`: no frequencies of access are kept, as in Redis without an LFU policy.
pub(super) fn freq(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if cx.exists(&args[2])? {
        return Err(CommandError::text(
            "ERR An LFU maxmemory policy is not selected, access frequency not tracked. Please \
             note that when switching between policies at runtime LRU and LFU data will take some \
             time to adjust.",
        ));
    }
    reply.null();
    Ok(())
}

/// `OBJECT IDLETIME key`: always 0. No times of access are kept: a read writes nothing. Whoever
/// asks so as to throw out what is not used then keeps it.
pub(super) fn idle_time(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if cx.exists(&args[2])? {
        reply.integer(0)
    } else {
        reply.null()
    }
    Ok(())
}

/// `OBJECT REFCOUNT key`: always 1, no value is shared.
pub(super) fn ref_count(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    if cx.exists(&args[2])? {
        reply.integer(1)
    } else {
        reply.null()
    }
    Ok(())
}

/// `OBJECT HELP`
pub(super) fn help(_: &mut Context<'_, '_>, _: Args<'_>, reply: &mut Reply<'_>) -> CommandResult {
    reply.array(HELP.len());
    HELP.iter().for_each(|line| reply.simple(line));
    Ok(())
}
