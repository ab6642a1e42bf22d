//! `GETRANGE` and `SETRANGE`: which bytes an index names.
//!
//! ```text
//!   h   e   l   l   o          GETRANGE 1 3  ▶ ell      both ends belong to the range;
//!   0   1   2   3   4          GETRANGE -2 9 ▶ lo       one past an end counts as that end
//!  -5  -4  -3  -2  -1
//! ```

use std::ops::Range;

/// Why a value cannot be overwritten from an offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RangeError {
    /// The offset is negative.
    #[error("offset is out of range")]
    Offset,
    /// The value would be longer than allowed.
    #[error("string exceeds maximum allowed size (proto-max-bulk-len)")]
    TooLong,
}

/// What [`overwrite`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// Nothing, as there was nothing to put there: a key that is not there is not made.
    Nothing,
    /// The value holds the bytes now.
    Bytes,
}

/// The bytes of a value of `length` bytes from `start` to `end`, both included; negative ones
/// count from the back. Empty if there are none.
///
/// As in Redis, an end before the first byte counts as the first byte unless both are negative and
/// in the wrong order: `-100 -99` is the first byte of a value of five.
pub fn resolve(start: i64, end: i64, length: usize) -> Range<usize> {
    let length = length as i64;
    if length == 0 || (start < 0 && end < 0 && start > end) {
        return 0..0;
    }
    let start = from_the_front(start, length);
    let end = from_the_front(end, length).min(length - 1);
    if start > end { 0..0 } else { start as usize..end as usize + 1 }
}

/// The index counted from the front; one before the front is the front.
pub(super) fn from_the_front(index: i64, length: i64) -> i64 {
    if index < 0 { (length + index).max(0) } else { index }
}

/// Puts `bytes` in `value` from `offset` on, with zeros before them if the value ends earlier.
/// `longest` is the longest a value may become, in bytes.
///
/// # Errors
/// If the offset is negative, or the value would be longer than `longest`; `value` is as it was.
pub fn overwrite(
    value: &mut Vec<u8>,
    offset: i64,
    bytes: &[u8],
    longest: usize,
) -> Result<Written, RangeError> {
    let offset = usize::try_from(offset).map_err(|_| RangeError::Offset)?;
    if bytes.is_empty() {
        return Ok(Written::Nothing);
    }
    let end = offset.checked_add(bytes.len()).filter(|end| *end <= longest);
    let end = end.ok_or(RangeError::TooLong)?;
    if value.len() < end {
        value.resize(end, 0);
    }
    value[offset..end].copy_from_slice(bytes);
    Ok(Written::Bytes)
}

/// Checks that a value of `length` bytes may grow by `more`.
///
/// # Errors
/// [`RangeError::TooLong`] if it would be longer than `longest`.
pub fn check_growth(length: usize, more: usize, longest: usize) -> Result<(), RangeError> {
    match length.checked_add(more) {
        Some(total) if total <= longest => Ok(()),
        _ => Err(RangeError::TooLong),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: usize = 64;

    fn part(start: i64, end: i64) -> &'static str {
        &"hello"[resolve(start, end, 5)]
    }

    #[test]
    fn ranges() {
        assert_eq!(part(0, -1), "hello");
        assert_eq!(part(1, 3), "ell");
        assert_eq!(part(-2, 9), "lo");
        assert_eq!(part(3, 1), "");
        assert_eq!(part(-1, -3), "");
        assert_eq!(part(-100, -99), "h");
        assert_eq!(part(-99, -100), "");
        assert_eq!(part(0, -100), "h");
        assert_eq!(part(5, 9), "");
        assert_eq!(part(i64::MIN, i64::MAX), "hello");
        assert_eq!(part(i64::MAX, i64::MAX), "");
        assert_eq!(part(i64::MIN, i64::MIN), "h");
        assert_eq!(resolve(0, -1, 0), 0..0);
    }

    #[track_caller]
    fn overwritten(value: &[u8], offset: i64, bytes: &[u8]) -> Vec<u8> {
        let mut value = value.to_vec();
        overwrite(&mut value, offset, bytes, LONGEST).expect("it fits");
        value
    }

    #[test]
    fn overwriting() {
        assert_eq!(overwritten(b"Hello World", 6, b"Redis"), b"Hello Redis");
        assert_eq!(overwritten(b"", 3, b"ab"), b"\0\0\0ab");
        assert_eq!(overwritten(b"abc", 2, b"xyz"), b"abxyz");
        assert_eq!(overwritten(b"abc", 0, b"x"), b"xbc");
        let mut value = b"abc".to_vec();
        assert_eq!(overwrite(&mut value, i64::MAX, b"", LONGEST), Ok(Written::Nothing));
        assert_eq!(overwrite(&mut value, 63, b"x", LONGEST), Ok(Written::Bytes));
        assert_eq!(value.len(), LONGEST);
    }

    #[test]
    fn refusals_leave_the_value() {
        let mut value = b"abc".to_vec();
        assert_eq!(overwrite(&mut value, -1, b"", LONGEST), Err(RangeError::Offset));
        assert_eq!(overwrite(&mut value, 64, b"x", LONGEST), Err(RangeError::TooLong));
        assert_eq!(overwrite(&mut value, i64::MAX, b"x", LONGEST), Err(RangeError::TooLong));
        assert_eq!(value, b"abc");
        assert_eq!(check_growth(60, 4, LONGEST), Ok(()));
        assert_eq!(check_growth(60, 5, LONGEST), Err(RangeError::TooLong));
        assert_eq!(check_growth(usize::MAX, 1, LONGEST), Err(RangeError::TooLong));
    }
}
