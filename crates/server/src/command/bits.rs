//! Bits of strings, and integers made of them.

use super::apart::{self, Combination, LARGE};
use super::context::{Context, Place};
use super::error::{CommandError, CommandResult};
use super::parts::{longest, whole};
use crate::resp::{Args, Reply};
use crate::value::bitfield::{self, Access, Change, Step};
use crate::value::bits::{self, Bit, Operation, RangeUnit, Span};

/// `SETBIT key offset value`
pub(super) fn setbit(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let offset = bits::parse_offset(&args[2], longest(cx)).map_err(CommandError::because)?;
    let bit = bits::parse_bit(&args[3]).map_err(CommandError::because)?;
    let (mut value, expires_at) = match cx.value(&args[1])? {
        Some(value) => (value.bytes, value.expires_at),
        None => (Vec::new(), None),
    };
    let length = value.len();
    let old = bits::set(&mut value, offset, bit);
    if old != bit || value.len() != length {
        cx.set(&args[1], &value, expires_at)?;
    }
    reply.integer(old.to_i64());
    Ok(())
}

/// `GETBIT key offset`
pub(super) fn getbit(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let offset = bits::parse_offset(&args[2], longest(cx)).map_err(CommandError::because)?;
    let bit = cx.read(&args[1], |entry| bits::get(entry.value, offset))?;
    reply.integer(bit.unwrap_or(Bit::Clear).to_i64());
    Ok(())
}

fn unit(word: Option<&[u8]>) -> Result<RangeUnit, CommandError> {
    match word {
        None => Ok(RangeUnit::Byte),
        Some(word) if word.eq_ignore_ascii_case(b"BYTE") => Ok(RangeUnit::Byte),
        Some(word) if word.eq_ignore_ascii_case(b"BIT") => Ok(RangeUnit::Bit),
        Some(_) => Err(CommandError::Syntax),
    }
}

/// `BITCOUNT key [start end [BYTE | BIT]]`
pub(super) fn bitcount(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let span = match (args.get(2), args.get(3), args.get(5)) {
        (None, ..) => Span::ALL,
        (Some(start), Some(end), None) => {
            let (start, end) = (whole(start)?, Some(whole(end)?));
            Span { start, end, unit: unit(args.get(4))? }
        }
        _ => return Err(CommandError::Syntax),
    };
    apart::with_value(cx, &args[1], reply, move |value, reply| {
        let count = value.map_or(0, |value| bits::count(value, span));
        reply.integer(count.cast_signed());
    })
}

/// `BITPOS key bit [start [end [BYTE | BIT]]]`
pub(super) fn bitpos(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let sought = bits::parse_sought(&args[2]).map_err(CommandError::because)?;
    if args.len() > 6 {
        return Err(CommandError::Syntax);
    }
    let mut span = Span::ALL;
    if let Some(start) = args.get(3) {
        span.start = whole(start)?;
        span.unit = unit(args.get(5))?;
        span.end = args.get(4).map(whole).transpose()?;
    }
    apart::with_value(cx, &args[1], reply, move |value, reply| {
        let position = bits::position(value, sought, span);
        reply.integer(position.map_or(-1, u64::cast_signed));
    })
}

/// `BITOP operation destkey key [key …]`
pub(super) fn bitop(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let operation = Operation::parse(&args[1], args.len() - 3).map_err(CommandError::because)?;
    let (target, sources) = (&args[2], args.from(3));
    let (mut total, mut most) = (0usize, 0);
    for key in sources.iter() {
        let length = cx.read(key, |entry| entry.value.len())?.unwrap_or(0);
        total = total.saturating_add(length);
        most = most.max(length);
    }
    cx.check(target, most)?;
    if cx.place == Place::Alone && total >= LARGE {
        let sources = sources.iter().map(<[u8]>::to_vec).collect();
        let combination = Combination { operation, target: target.to_vec(), sources };
        return apart::run(cx, reply, move |server, reply| {
            reply.count(combination.perform(server)?);
            Ok(())
        });
    }
    let result = combine(cx, operation, sources)?;
    if result.is_empty() {
        if cx.exists(target)? {
            cx.remove(target);
        }
    } else {
        cx.set(target, &result, None)?;
    }
    reply.count(result.len());
    Ok(())
}

fn combine(
    cx: &mut Context<'_, '_>,
    operation: Operation,
    sources: Args<'_>,
) -> Result<Vec<u8>, CommandError> {
    let mut values = Vec::with_capacity(sources.len());
    for key in sources.iter() {
        values.push(cx.value(key)?.map_or_else(Vec::new, |value| value.bytes));
    }
    let sources: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
    Ok(bits::combine(operation, &sources))
}

/// `BITFIELD key [GET type offset | [OVERFLOW …] SET type offset value | INCRBY type offset by …]`
pub(super) fn bitfield(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let steps = parse_steps(cx, args, Access::ReadWrite)?;
    if !bitfield::writes(&steps) {
        return read_steps(cx, &args[1], &steps, reply);
    }
    let (mut value, expires_at) = match cx.value(&args[1])? {
        Some(value) => (value.bytes, value.expires_at),
        None => (Vec::new(), None),
    };
    let outcome = bitfield::apply(&mut value, &steps);
    if outcome.change == Change::Changed {
        cx.set(&args[1], &value, expires_at)?;
    }
    answer_steps(&outcome.replies, reply);
    Ok(())
}

/// `BITFIELD_RO key [GET type offset …]`
pub(super) fn bitfield_ro(
    cx: &mut Context<'_, '_>,
    args: Args<'_>,
    reply: &mut Reply<'_>,
) -> CommandResult {
    let steps = parse_steps(cx, args, Access::ReadOnly)?;
    read_steps(cx, &args[1], &steps, reply)
}

fn parse_steps(
    cx: &Context<'_, '_>,
    args: Args<'_>,
    access: Access,
) -> Result<Vec<Step>, CommandError> {
    let words: Vec<&[u8]> = args.from(2).iter().collect();
    bitfield::parse(&words, longest(cx), access).map_err(CommandError::because)
}

fn read_steps(
    cx: &mut Context<'_, '_>,
    key: &[u8],
    steps: &[Step],
    reply: &mut Reply<'_>,
) -> CommandResult {
    let found = cx.read(key, |entry| bitfield::read(entry.value, steps))?;
    answer_steps(&found.unwrap_or_else(|| bitfield::read(&[], steps)), reply);
    Ok(())
}

fn answer_steps(numbers: &[Option<i64>], reply: &mut Reply<'_>) {
    reply.array(numbers.len());
    for number in numbers {
        match number {
            Some(number) => reply.integer(*number),
            None => reply.null(),
        }
    }
}
