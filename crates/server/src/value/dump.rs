//! `DUMP` and `RESTORE`: a value as Redis serialises it, so that the two can exchange values.
//!
//! ```text
//!  ┌──────┬──────────────────────────────┬──────────────┬──────────────┐
//!  │ type │ string                       │ version      │ CRC64        │  numbers little-endian,
//!  │  0   │ length, bytes                │ 2 bytes      │ 8 bytes      │  lengths big-endian
//!  └──────┴──────────────────────────────┴──────────────┴──────────────┘
//!           first byte of a length
//!           00nnnnnn                 6 bits              11000000  integer of  8 bits follows
//!           01nnnnnn n:8            14 bits              11000001  integer of 16 bits follows
//!           10000000 n:32           32 bits              11000010  integer of 32 bits follows
//!           10000001 n:64           64 bits              11000011  compressed: length of what
//!                                                        follows, length unpacked, LZF
//! ```
//!
//! The string is what the RDB file format of Redis has. The checksum covers all before it. What is
//! written is what Redis 7.2 writes (version 11), but for compression: long values stay as they
//! are. What is read is a string that any release of Redis up to version 12 wrote. As Redis does,
//! it overlooks bytes between the string and the version; unlike Redis, which goes on reading in
//! them, it refuses a string that runs into the version.

mod crc64;
mod lzf;

use std::borrow::Cow;

use super::integer::{self, Text};

/// The version of the format that is written, that of Redis 7.2.
pub const WRITTEN_VERSION: u16 = 11;
/// The newest version that is read, that of Redis 8.
pub const NEWEST_VERSION: u16 = 12;

const STRING: u8 = 0;
/// The types of other values up to version 12: lists, sets, sorted sets, hashes, streams, modules.
const OTHERS: [std::ops::RangeInclusive<u8>; 2] = [1..=7, 9..=25];

const LENGTH_14: u8 = 0b0100_0000;
const LENGTH_32: u8 = 0b1000_0000;
const LENGTH_64: u8 = 0b1000_0001;
const INTEGER_8: u8 = 0b1100_0000;
const INTEGER_16: u8 = 0b1100_0001;
const INTEGER_32: u8 = 0b1100_0010;
const COMPRESSED: u8 = 0b1100_0011;

/// Longest text of an integer of 32 bits, in bytes: longer values are not tried as integers.
const LONGEST_INTEGER: usize = 11;

/// Why a payload gives no value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DumpError {
    /// It is too short to be one, of a newer version, or not what was written.
    #[error("DUMP payload version or checksum are wrong")]
    VersionOrChecksum,
    /// The checksum holds, but what it covers is no value, or one longer than allowed.
    #[error("Bad data format")]
    Format,
    /// It is a list, a set or another value that is not a string. Redis would take it; the text
    /// is this server's own.
    #[error("Bad data format: only strings can be restored")]
    NotAString,
}

/// Serialises a value.
pub fn encode(value: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(value.len() + 20);
    out.push(STRING);
    match integer_of_32_bits(value) {
        Some(number) => write_integer(&mut out, number),
        None => {
            write_length(&mut out, value.len());
            out.extend_from_slice(value);
        }
    }
    out.extend_from_slice(&WRITTEN_VERSION.to_le_bytes());
    let checksum = crc64::checksum(&out);
    out.extend_from_slice(&checksum.to_le_bytes());
    out
}

fn integer_of_32_bits(value: &[u8]) -> Option<i32> {
    if value.len() > LONGEST_INTEGER {
        return None;
    }
    integer::parse_i64(value)?.try_into().ok()
}

fn write_integer(out: &mut Vec<u8>, number: i32) {
    if let Ok(number) = i8::try_from(number) {
        out.extend_from_slice(&[INTEGER_8, number.cast_unsigned()]);
    } else if let Ok(number) = i16::try_from(number) {
        out.push(INTEGER_16);
        out.extend_from_slice(&number.to_le_bytes());
    } else {
        out.push(INTEGER_32);
        out.extend_from_slice(&number.to_le_bytes());
    }
}

fn write_length(out: &mut Vec<u8>, length: usize) {
    if length < 1 << 6 {
        out.push(length as u8);
    } else if length < 1 << 14 {
        out.extend_from_slice(&[LENGTH_14 | (length >> 8) as u8, length as u8]);
    } else if let Ok(length) = u32::try_from(length) {
        out.push(LENGTH_32);
        out.extend_from_slice(&length.to_be_bytes());
    } else {
        out.push(LENGTH_64);
        out.extend_from_slice(&(length as u64).to_be_bytes());
    }
}

/// Reads the value back that a payload holds, of at most `longest` bytes. Whatever the bytes, no
/// more memory is taken than that, and none that the payload has not bytes for.
///
/// # Errors
/// If there is none in it, or it is not a string.
pub fn decode(payload: &[u8], longest: usize) -> Result<Cow<'_, [u8]>, DumpError> {
    let body = verify(payload)?;
    let (kind, rest) = body.split_first().ok_or(DumpError::Format)?;
    if OTHERS.iter().any(|others| others.contains(kind)) {
        return Err(DumpError::NotAString);
    }
    if *kind != STRING {
        return Err(DumpError::Format);
    }
    read_string(rest, longest).ok_or(DumpError::Format)
}

/// Checks the version and the checksum and returns what is before them.
fn verify(payload: &[u8]) -> Result<&[u8], DumpError> {
    let (covered, checksum) = payload.split_last_chunk().ok_or(DumpError::VersionOrChecksum)?;
    let (body, version) = covered.split_last_chunk().ok_or(DumpError::VersionOrChecksum)?;
    let known = u16::from_le_bytes(*version) <= NEWEST_VERSION;
    if !known || crc64::checksum(covered) != u64::from_le_bytes(*checksum) {
        return Err(DumpError::VersionOrChecksum);
    }
    Ok(body)
}

fn read_string(bytes: &[u8], longest: usize) -> Option<Cow<'_, [u8]>> {
    let number = |number: i32| Some(Cow::Owned(Text::of_i64(number.into()).as_bytes().to_vec()));
    let (first, rest) = bytes.split_first()?;
    match *first {
        INTEGER_8 => number(i8::from_le_bytes(*rest.first_chunk()?).into()),
        INTEGER_16 => number(i16::from_le_bytes(*rest.first_chunk()?).into()),
        INTEGER_32 => number(i32::from_le_bytes(*rest.first_chunk()?)),
        COMPRESSED => {
            let (packed, rest) = read_length(rest)?;
            let (length, rest) = read_length(rest)?;
            let packed = rest.get(..packed)?;
            lzf::unpack(packed, length.min(longest.saturating_add(1)))
                .filter(|value| value.len() == length && length <= longest)
                .map(Cow::Owned)
        }
        _ => {
            let (length, rest) = read_length(bytes)?;
            rest.get(..length).filter(|value| value.len() <= longest).map(Cow::Borrowed)
        }
    }
}

/// Reads a length and returns what follows it.
fn read_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    let (length, rest) = match *first {
        LENGTH_32 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u32::from_be_bytes(*length).into(), rest)
        }
        LENGTH_64 => {
            let (length, rest) = rest.split_first_chunk()?;
            (u64::from_be_bytes(*length), rest)
        }
        short @ ..LENGTH_14 => (short.into(), rest),
        high @ LENGTH_14..LENGTH_32 => {
            let (low, rest) = rest.split_first()?;
            (u64::from(high - LENGTH_14) << 8 | u64::from(*low), rest)
        }
        _ => return None,
    };
    Some((usize::try_from(length).ok()?, rest))
}

#[cfg(test)]
mod tests;
