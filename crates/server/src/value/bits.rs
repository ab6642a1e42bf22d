//! Bits of a value: `GETBIT`, `SETBIT`, `BITCOUNT`, `BITPOS` and `BITOP`.
//!
//! ```text
//!  byte      0                1
//!  bit   0 1 2 3 4 5 6 7  8 9 …          bit 0 is the highest of the first byte
//! ```
//!
//! A value has as many bits as its bytes hold; those after its end read as clear. Long values go
//! by words of 64 bits, or in loops that the compiler turns into such.

use super::integer;
use super::range::from_the_front;

/// The state of a bit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bit {
    /// 0.
    Clear,
    /// 1.
    Set,
}

impl Bit {
    fn of(number: u8) -> Bit {
        if number == 0 { Bit::Clear } else { Bit::Set }
    }

    /// The bit as commands answer it.
    pub fn to_i64(self) -> i64 {
        match self {
            Bit::Clear => 0,
            Bit::Set => 1,
        }
    }
}

/// Why an argument of a command on bits cannot be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BitError {
    /// The offset is no integer, negative, or past the longest value.
    #[error("bit offset is not an integer or out of range")]
    Offset,
    /// `SETBIT` was given something else than 0 or 1.
    #[error("bit is not an integer or out of range")]
    Value,
    /// `BITPOS` was not given an integer.
    #[error("value is not an integer or out of range")]
    NotAnInteger,
    /// `BITPOS` was given another integer than 0 or 1.
    #[error("The bit argument must be 1 or 0.")]
    Sought,
}

/// Reads the offset of a bit. It must fall in a value of `longest` bytes: 2^32 - 1 is the last for
/// 512 MiB.
///
/// # Errors
/// [`BitError::Offset`].
pub fn parse_offset(text: &[u8], longest: usize) -> Result<u64, BitError> {
    let offset = integer::parse_i64(text).and_then(|offset| u64::try_from(offset).ok());
    offset.filter(|offset| offset >> 3 < longest as u64).ok_or(BitError::Offset)
}

/// Reads the bit that `SETBIT` is to put.
///
/// # Errors
/// [`BitError::Value`].
pub fn parse_bit(text: &[u8]) -> Result<Bit, BitError> {
    match text {
        b"0" => Ok(Bit::Clear),
        b"1" => Ok(Bit::Set),
        _ => Err(BitError::Value),
    }
}

/// Reads the bit that `BITPOS` is to look for.
///
/// # Errors
/// [`BitError::NotAnInteger`] or [`BitError::Sought`].
pub fn parse_sought(text: &[u8]) -> Result<Bit, BitError> {
    match integer::parse_i64(text) {
        Some(0) => Ok(Bit::Clear),
        Some(1) => Ok(Bit::Set),
        Some(_) => Err(BitError::Sought),
        None => Err(BitError::NotAnInteger),
    }
}

/// The bit at `offset`.
pub fn get(value: &[u8], offset: u64) -> Bit {
    let byte = usize::try_from(offset >> 3).ok().and_then(|place| value.get(place));
    byte.map_or(Bit::Clear, |byte| Bit::of(byte & mask(offset)))
}

/// Puts a bit and returns the one that was there. The value grows, with clear bits, to hold
/// `offset`, which [`parse_offset`] bounds.
pub fn set(value: &mut Vec<u8>, offset: u64, bit: Bit) -> Bit {
    let place = (offset >> 3) as usize;
    if value.len() <= place {
        value.resize(place + 1, 0);
    }
    let old = Bit::of(value[place] & mask(offset));
    match bit {
        Bit::Clear => value[place] &= !mask(offset),
        Bit::Set => value[place] |= mask(offset),
    }
    old
}

fn mask(offset: u64) -> u8 {
    0x80 >> (offset & 7)
}

/// What the ends of a range count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RangeUnit {
    /// Bytes.
    Byte,
    /// Bits.
    Bit,
}

/// A part of a value. Both ends belong to it; negative ones count from the back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// The first byte or bit.
    pub start: i64,
    /// The last; none is the end of the value.
    pub end: Option<i64>,
    /// What they count.
    pub unit: RangeUnit,
}

impl Span {
    /// All of a value.
    pub const ALL: Span = Span { start: 0, end: None, unit: RangeUnit::Byte };

    /// The bits from the first to the one after the last, none if there are none in the value.
    fn bits(self, length: usize) -> Option<(u64, u64)> {
        let total = match self.unit {
            RangeUnit::Byte => length as i64,
            RangeUnit::Bit => length as i64 * 8,
        };
        let start = from_the_front(self.start, total);
        let end = from_the_front(self.end.unwrap_or(total - 1), total).min(total - 1);
        if start > end {
            return None;
        }
        let (start, end) = (start as u64, end as u64 + 1);
        match self.unit {
            RangeUnit::Byte => Some((start * 8, end * 8)),
            RangeUnit::Bit => Some((start, end)),
        }
    }
}

/// How many bits of `span` are set.
pub fn count(value: &[u8], span: Span) -> u64 {
    // Only here a range whose negative ends are in the wrong order is empty before it is cut.
    if let (..0, Some(end @ ..0)) = (span.start, span.end)
        && span.start > end
    {
        return 0;
    }
    let Some((start, end)) = span.bits(value.len()) else { return 0 };
    let (first, last) = ((start / 8) as usize, ((end - 1) / 8) as usize);
    let whole = count_all(&value[first..=last]);
    let before = value[first] & !(0xff >> (start & 7));
    let behind = value[last] & ((0x80 >> ((end - 1) & 7)) - 1);
    whole - u64::from(before.count_ones() + behind.count_ones())
}

fn count_all(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let words: u64 = words.iter().map(|word| ones(u64::from_ne_bytes(*word).count_ones())).sum();
    words + rest.iter().map(|byte| ones(byte.count_ones())).sum::<u64>()
}

fn ones(count: u32) -> u64 {
    u64::from(count)
}

/// Where the first bit that is as `sought` is in `span`, counted from the start of the value; none
/// if there is none. `value` is none for a key that is not there.
///
/// A clear bit is also found right after the end of the value, unless the span says where it ends.
/// A missing key has a clear bit at 0; an empty value, whose every span is empty, has none.
pub fn position(value: Option<&[u8]>, sought: Bit, span: Span) -> Option<u64> {
    let Some(value) = value else { return (sought == Bit::Clear).then_some(0) };
    let (start, end) = span.bits(value.len())?;
    let found = first_at_or_after(value, sought, start).filter(|found| *found < end);
    match (found, sought, span.end) {
        (None, Bit::Clear, None) => Some(value.len() as u64 * 8),
        _ => found,
    }
}

/// The first bit from `start` on, which is in the value, that is as `sought`.
fn first_at_or_after(value: &[u8], sought: Bit, start: u64) -> Option<u64> {
    // What is looked for becomes a set bit.
    let flip = match sought {
        Bit::Clear => u64::MAX,
        Bit::Set => 0,
    };
    let first = (start / 8) as usize;
    let byte = (value[first] ^ flip as u8) & (0xff >> (start & 7));
    if byte != 0 {
        return Some(first as u64 * 8 + u64::from(byte.leading_zeros()));
    }
    let (words, rest) = value[first + 1..].as_chunks::<8>();
    let mut place = (first as u64 + 1) * 8;
    for word in words {
        let word = u64::from_be_bytes(*word) ^ flip;
        if word != 0 {
            return Some(place + u64::from(word.leading_zeros()));
        }
        place += 64;
    }
    for byte in rest {
        let byte = byte ^ flip as u8;
        if byte != 0 {
            return Some(place + u64::from(byte.leading_zeros()));
        }
        place += 8;
    }
    None
}

/// What `BITOP` does. The last four came with Redis 8.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// Set in all.
    And,
    /// Set in any.
    Or,
    /// Set in an odd number of them.
    Xor,
    /// Clear in the one.
    Not,
    /// Set in the first and in none of the others.
    Diff,
    /// Clear in the first and set in any of the others.
    Diff1,
    /// Set in the first and in any of the others.
    AndOr,
    /// Set in exactly one.
    One,
}

/// Why `BITOP` cannot be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OperationError {
    /// There is no such operation.
    #[error("syntax error")]
    Unknown,
    /// `NOT` takes one source.
    #[error("BITOP NOT must be called with a single source key.")]
    NotTakesOne,
    /// These take two sources at least.
    #[error("BITOP {0} must be called with at least two source keys.")]
    TakesTwo(&'static str),
}

impl Operation {
    /// Reads the name of an operation and checks that it takes that many sources.
    ///
    /// # Errors
    /// If there is no such operation, or it does not.
    pub fn parse(name: &[u8], sources: usize) -> Result<Operation, OperationError> {
        let operation = match name.to_ascii_lowercase().as_slice() {
            b"and" => Operation::And,
            b"or" => Operation::Or,
            b"xor" => Operation::Xor,
            b"not" => Operation::Not,
            b"diff" => Operation::Diff,
            b"diff1" => Operation::Diff1,
            b"andor" => Operation::AndOr,
            b"one" => Operation::One,
            _ => return Err(OperationError::Unknown),
        };
        match operation {
            Operation::Not if sources != 1 => Err(OperationError::NotTakesOne),
            Operation::Diff if sources < 2 => Err(OperationError::TakesTwo("DIFF")),
            Operation::Diff1 if sources < 2 => Err(OperationError::TakesTwo("DIFF1")),
            Operation::AndOr if sources < 2 => Err(OperationError::TakesTwo("ANDOR")),
            _ => Ok(operation),
        }
    }
}

/// Bytes of the result that are made at a time: they stay in the nearest cache meanwhile.
const BLOCK: usize = 4096;

/// Combines the sources bit by bit. The result is as long as the longest; the others count as
/// followed by clear bits. Empty if all are: the destination is then to be removed.
///
/// `operation` must take that many sources, as [`Operation::parse`] checks.
pub fn combine(operation: Operation, sources: &[&[u8]]) -> Vec<u8> {
    let length = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut result = vec![0; length];
    let Some((first, others)) = sources.split_first() else { return result };
    for (number, block) in result.chunks_mut(BLOCK).enumerate() {
        let (start, end) = (number * BLOCK, number * BLOCK + block.len());
        let part = |source: &[u8]| source.len().min(start)..source.len().min(end);
        let parts = others.iter().map(|source| &source[part(source)]);
        combine_block(operation, block, &first[part(first)], parts);
    }
    result
}

/// Makes a block of zeros the combination of parts no longer than it.
fn combine_block<'a>(
    operation: Operation,
    block: &mut [u8],
    first: &[u8],
    others: impl Iterator<Item = &'a [u8]>,
) {
    match operation {
        Operation::And => {
            block[..first.len()].copy_from_slice(first);
            for other in others {
                block[other.len()..].fill(0);
                each(block, other, |byte, other| byte & other);
            }
        }
        Operation::Or => {
            block[..first.len()].copy_from_slice(first);
            others.for_each(|other| each(block, other, |byte, other| byte | other));
        }
        Operation::Xor => {
            block[..first.len()].copy_from_slice(first);
            others.for_each(|other| each(block, other, |byte, other| byte ^ other));
        }
        Operation::Not => {
            block.fill(0xff);
            each(block, first, |_, first| !first);
        }
        Operation::Diff | Operation::Diff1 | Operation::AndOr => {
            others.for_each(|other| each(block, other, |byte, other| byte | other));
            match operation {
                Operation::Diff1 => each(block, first, |any, first| any & !first),
                Operation::Diff => {
                    each(block, first, |any, first| first & !any);
                    block[first.len()..].fill(0);
                }
                _ => {
                    each(block, first, |any, first| first & any);
                    block[first.len()..].fill(0);
                }
            }
        }
        Operation::One => set_in_one(block, first, others),
    }
}

fn set_in_one<'a>(block: &mut [u8], first: &[u8], others: impl Iterator<Item = &'a [u8]>) {
    let mut twice = [0; BLOCK];
    block[..first.len()].copy_from_slice(first);
    for other in others {
        for ((byte, twice), other) in block.iter_mut().zip(&mut twice).zip(other) {
            *twice |= *byte & other;
            *byte |= other;
        }
    }
    each(block, &twice, |byte, twice| byte & !twice);
}

fn each(block: &mut [u8], other: &[u8], change: impl Fn(u8, u8) -> u8) {
    for (byte, other) in block.iter_mut().zip(other) {
        *byte = change(*byte, *other);
    }
}

#[cfg(test)]
mod tests;
