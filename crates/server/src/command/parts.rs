//! Parts of strings: lengths, ranges, what is added, and what two have in common.

use super::apart;
use super::context::{Context, Place};
use super::error::{CommandError, CommandResult};
use crate::resp::{Args, Reply};
use crate::value::integer;
use crate::value::lcs::{self, TooLarge};
use crate::value::range::{self, RangeError, Written};

/// Most pairs of bytes that `LCS` compares on the spot: some milliseconds.
const FEW_PAIRS: usize = 1 << 20;

/// The longest value a command may make, in bytes.
pub(super) fn longest(cx: &Context<'_, '_>) -> usize {
    let hot = cx.server().config.hot();
    hot.max_argument_length().min(hot.max_value_length())
}

/// The reply to what would make a value too long, or start before it.
fn refused(cx: &Context<'_, '_>, error: RangeError) -> CommandError {
    let hot = cx.server().config.hot();
    if error == RangeError::TooLong && hot.max_value_length() < hot.max_argument_length() {
        return CommandError::text("ERR string exceeds maximum allowed size (max-value-length)");
    }
    CommandError::because(error)
}

/// An argument that is a whole number.
pub(super) fn whole(text: &[u8]) -> Result<i64, CommandError> {
    integer::parse_i64(text).ok_or(CommandError::NotAnInteger)
}

/// `STRLEN key`
pub(super) fn strlen(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let length = cx.read(&args[1], |entry| entry.value.len())?;
    reply.count(length.unwrap_or(0));
    Ok(())
}

/// `APPEND key value`
pub(super) fn append(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let (key, more, longest) = (&args[1], &args[2], longest(cx));
    let found = cx.read(key, |entry| {
        range::check_growth(entry.value.len(), more.len(), longest)?;
        Ok(([entry.value, more].concat(), entry.expires_at))
    })?;
    let length = match found.transpose().map_err(|error| refused(cx, error))? {
        Some((value, expires_at)) => {
            cx.set(key, &value, expires_at)?;
            value.len()
        }
        None => {
            cx.set(key, more, None)?;
            more.len()
        }
    };
    reply.count(length);
    Ok(())
}

/// `GETRANGE key start end`, once `SUBSTR`
pub(super) fn getrange(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let (first, last) = (whole(&args[2])?, whole(&args[3])?);
    let start = reply.buffer().len();
    let found = cx.read(&args[1], |entry| {
        reply.buffer().truncate(start);
        reply.bulk(&entry.value[range::resolve(first, last, entry.value.len())]);
    })?;
    if found.is_none() {
        reply.bulk(b"");
    }
    Ok(())
}

/// `SETRANGE key offset value`
pub(super) fn setrange(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let offset = whole(&args[2])?;
    let (mut value, expires_at) = match cx.value(&args[1])? {
        Some(value) => (value.bytes, value.expires_at),
        None => (Vec::new(), None),
    };
    let written = range::overwrite(&mut value, offset, &args[3], longest(cx));
    if written.map_err(|error| refused(cx, error))? == Written::Bytes {
        cx.set(&args[1], &value, expires_at)?;
    }
    reply.count(value.len());
    Ok(())
}

/// What `LCS` is to answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Wanted {
    #[default]
    Sequence,
    Length,
    Ranges,
}

/// Whether the ranges come with their lengths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Lengths {
    #[default]
    LeftOut,
    Shown,
}

#[derive(Clone, Copy, Debug, Default)]
struct LcsOptions {
    wanted: Wanted,
    shortest: usize,
    lengths: Lengths,
}

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN length] [WITHMATCHLEN]`
pub(super) fn lcs(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let options = parse_lcs(args)?;
    let limit = cx.server().config.hot().max_argument_length() as u64;
    cx.see_everything();
    let lengths = (length(cx, &args[1])?, length(cx, &args[2])?);
    lcs::check(lengths.0, lengths.1, limit).map_err(CommandError::because)?;
    let first = cx.value(&args[1])?.map_or_else(Vec::new, |value| value.bytes);
    let second = cx.value(&args[2])?.map_or_else(Vec::new, |value| value.bytes);
    let answer = move |reply: &mut Reply<'_>| {
        answer_lcs(&first, &second, options, limit, reply).map_err(CommandError::because)
    };
    if cx.place == Place::Alone && lengths.0.saturating_mul(lengths.1) > FEW_PAIRS {
        return apart::run(cx, reply, move |_, reply| answer(reply));
    }
    answer(reply)
}

fn length(cx: &mut Context<'_, '_>, key: &[u8]) -> Result<usize, CommandError> {
    Ok(cx.read(key, |entry| entry.value.len())?.unwrap_or(0))
}

fn parse_lcs(args: Args<'_>) -> Result<LcsOptions, CommandError> {
    let mut options = LcsOptions::default();
    let (mut length, mut ranges) = (None, None);
    let mut words = args.from(3).iter();
    while let Some(word) = words.next() {
        match word.to_ascii_lowercase().as_slice() {
            b"len" => length = Some(Wanted::Length),
            b"idx" => ranges = Some(Wanted::Ranges),
            b"withmatchlen" => options.lengths = Lengths::Shown,
            b"minmatchlen" => {
                let shortest = whole(words.next().ok_or(CommandError::Syntax)?)?;
                options.shortest = usize::try_from(shortest).unwrap_or(0);
            }
            _ => return Err(CommandError::Syntax),
        }
    }
    if length.is_some() && ranges.is_some() {
        return Err(CommandError::text(
            "ERR If you want both the length and indexes, please just use IDX.",
        ));
    }
    options.wanted = length.or(ranges).unwrap_or_default();
    Ok(options)
}

fn answer_lcs(
    first: &[u8],
    second: &[u8],
    options: LcsOptions,
    limit: u64,
    reply: &mut Reply<'_>,
) -> Result<(), TooLarge> {
    match options.wanted {
        Wanted::Sequence => reply.bulk(&lcs::sequence(first, second, limit)?),
        Wanted::Length => reply.integer(lcs::length(first, second, limit)?.into()),
        Wanted::Ranges => {
            let found = lcs::matches(first, second, options.shortest, limit)?;
            reply.map(2);
            reply.bulk(b"matches");
            reply.array(found.matches.len());
            for run in found.matches {
                reply.array(if options.lengths == Lengths::Shown { 3 } else { 2 });
                for range in [&run.first, &run.second] {
                    reply.array(2);
                    reply.count(*range.start());
                    reply.count(*range.end());
                }
                if options.lengths == Lengths::Shown {
                    reply.count(run.length());
                }
            }
            reply.bulk(b"len");
            reply.integer(found.length.into());
        }
    }
    Ok(())
}
