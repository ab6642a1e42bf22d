//! Integers as text: the one form that counts as an integer, and back.
//!
//! The form is Redis' `string2ll`: an optional `-`, then digits without a leading zero, nothing
//! before, between or after; `-0`, `+1`, ` 1` and the empty string are no integers. So an integer
//! has exactly one text, and a value that parses can be shown again byte for byte.

/// Longest text of an integer of 64 bits, in bytes: that of the smallest signed one.
pub const MAX_INTEGER_LENGTH: usize = 20;

/// The argument or the value is no integer of 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("value is not an integer or out of range")]
pub struct NotAnInteger;

/// The sum or difference does not fit in 64 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Overflow {
    /// The result is past the range.
    #[error("increment or decrement would overflow")]
    Result,
    /// The amount to take away cannot be negated.
    #[error("decrement would overflow")]
    Decrement,
}

/// Parses a signed integer; none if `text` is not exactly the text of one.
pub fn parse_i64(text: &[u8]) -> Option<i64> {
    match text {
        [b'-', digits @ ..] => match parse_u64(digits)? {
            0 => None,
            magnitude => 0i64.checked_sub_unsigned(magnitude),
        },
        digits => parse_u64(digits)?.try_into().ok(),
    }
}

/// Parses an unsigned integer; none if `text` is not exactly the text of one.
pub fn parse_u64(text: &[u8]) -> Option<u64> {
    match text {
        [b'0'] => Some(0),
        [b'1'..=b'9', ..] if text.len() <= MAX_INTEGER_LENGTH => {
            text.iter().try_fold(0u64, |sum, byte| {
                let digit = u64::from(byte.wrapping_sub(b'0'));
                if digit > 9 {
                    return None;
                }
                sum.checked_mul(10)?.checked_add(digit)
            })
        }
        _ => None,
    }
}

/// [`parse_i64`] for who needs the error.
///
/// # Errors
/// [`NotAnInteger`] if `text` is not exactly the text of one.
pub fn expect_i64(text: &[u8]) -> Result<i64, NotAnInteger> {
    parse_i64(text).ok_or(NotAnInteger)
}

/// What `INCR` and `INCRBY` make of a value.
///
/// # Errors
/// [`Overflow::Result`].
pub fn increment(value: i64, amount: i64) -> Result<i64, Overflow> {
    value.checked_add(amount).ok_or(Overflow::Result)
}

/// What `DECR` and `DECRBY` make of a value.
///
/// # Errors
/// [`Overflow::Decrement`] for the one amount that has no opposite, whatever the value;
/// [`Overflow::Result`] otherwise.
pub fn decrement(value: i64, amount: i64) -> Result<i64, Overflow> {
    if amount == i64::MIN {
        return Err(Overflow::Decrement);
    }
    value.checked_sub(amount).ok_or(Overflow::Result)
}

/// The text of an integer, on the stack.
#[derive(Clone, Copy)]
pub struct Text {
    bytes: [u8; MAX_INTEGER_LENGTH],
    start: usize,
}

impl Text {
    /// The text of a signed integer.
    pub fn of_i64(number: i64) -> Text {
        let mut text = Text::of_u64(number.unsigned_abs());
        if number < 0 {
            text.push_front(b'-');
        }
        text
    }

    /// The text of an unsigned integer.
    pub fn of_u64(mut number: u64) -> Text {
        let mut text = Text { bytes: [0; MAX_INTEGER_LENGTH], start: MAX_INTEGER_LENGTH };
        // Two digits a division: it is the division that takes time.
        while number >= 100 {
            let pair = number % 100;
            number /= 100;
            text.push_front(b'0' + (pair % 10) as u8);
            text.push_front(b'0' + (pair / 10) as u8);
        }
        if number >= 10 {
            text.push_front(b'0' + (number % 10) as u8);
            number /= 10;
        }
        text.push_front(b'0' + number as u8);
        text
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    fn push_front(&mut self, byte: u8) {
        self.start -= 1;
        self.bytes[self.start] = byte;
    }
}

impl std::fmt::Debug for Text {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.as_bytes().escape_ascii())
    }
}

/// Appends the text of a signed integer.
pub fn write_i64(out: &mut Vec<u8>, number: i64) {
    out.extend_from_slice(Text::of_i64(number).as_bytes());
}

/// Appends the text of an unsigned integer.
pub fn write_u64(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(Text::of_u64(number).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_text_an_integer() {
        for number in [0, 1, -1, 9, 10, 99, 100, -100, 12345, i64::MAX, i64::MIN] {
            assert_eq!(parse_i64(number.to_string().as_bytes()), Some(number));
        }
        let others: [&[u8]; 14] = [
            b"", b"-", b"+1", b" 1", b"1 ", b"01", b"-0", b"-01", b"00", b"1.0", b"0x1", b"1\0",
            b"--1", b"/",
        ];
        for text in others {
            assert_eq!(parse_i64(text), None, "{}", text.escape_ascii());
        }
    }

    #[test]
    fn bounds() {
        assert_eq!(parse_i64(b"9223372036854775808"), None);
        assert_eq!(parse_i64(b"-9223372036854775809"), None);
        assert_eq!(parse_i64(b"18446744073709551615"), None);
        assert_eq!(parse_u64(b"18446744073709551615"), Some(u64::MAX));
        assert_eq!(parse_u64(b"18446744073709551616"), None);
        assert_eq!(parse_u64(b"99999999999999999999"), None);
        assert_eq!(parse_u64(b"184467440737095516150"), None);
        assert_eq!(parse_u64(b"-1"), None);
        assert_eq!(expect_i64(b"x"), Err(NotAnInteger));
    }

    #[test]
    fn counting_up_and_down() {
        assert_eq!(increment(40, 2), Ok(42));
        assert_eq!(increment(i64::MAX, i64::MIN), Ok(-1));
        assert_eq!(increment(i64::MAX, 1), Err(Overflow::Result));
        assert_eq!(decrement(i64::MIN, 1), Err(Overflow::Result));
        assert_eq!(decrement(-1, i64::MAX), Ok(i64::MIN));
        assert_eq!(decrement(-5, i64::MIN), Err(Overflow::Decrement));
        assert_eq!(Overflow::Result.to_string(), "increment or decrement would overflow");
    }

    proptest! {
        #[test]
        fn writes_what_it_parses(number: i64, unsigned: u64, shift in 0u32..64) {
            let (number, unsigned) = (number >> shift, unsigned >> shift);
            let mut out = Vec::new();
            write_i64(&mut out, number);
            prop_assert_eq!(&out, &number.to_string().into_bytes());
            prop_assert_eq!(parse_i64(&out), Some(number));
            out.clear();
            write_u64(&mut out, unsigned);
            prop_assert_eq!(&out, &unsigned.to_string().into_bytes());
            prop_assert_eq!(parse_u64(&out), Some(unsigned));
        }

        #[test]
        fn what_parses_is_the_text(text in "[-+ 0-9]{0,21}") {
            if let Some(number) = parse_i64(text.as_bytes()) {
                prop_assert_eq!(number.to_string(), text);
            }
        }
    }
}
