//! `INCRBYFLOAT`: numbers with a fraction, as Redis computes with them.
//!
//! Redis computes in C's `long double`, which on x86-64 has 64 bits of precision, more than any
//! type here. So that the same requests give the same bytes, `extended` does what that processor
//! does: it reads a number to the nearest of that format, adds to the nearest, and writes it out
//! exactly to 17 digits after the point (`%.17Lf`), without the zeros at the end. Thus 0.1 + 0.2 is
//! 0.3, and integers are exact to 2^64; 1e28 is not exact and shows as
//! 9999999999999999999731564544, as in Redis on that processor. Redis on others, whose `long
//! double` is wider or narrower, differs there.
//!
//! A number is what C's `strtold` takes: a sign, digits with a point somewhere, an exponent; or
//! hexadecimal digits behind `0x` with an exponent of two behind `p`; or `inf`, `infinity`. There
//! must be nothing before or behind it. What is too large or too close to zero to be told from
//! infinity or zero is refused, and so is `nan`. Infinity is a number, but no sum may be it.
//!
//! Work is bounded by [`LONGEST_NUMBER`] and the range of the format: the slowest requests take
//! about a millisecond.

mod extended;
mod natural;

use extended::Extended;
use natural::Natural;

/// Longest text of a number, in bytes.
pub const LONGEST_NUMBER: usize = 5 * 1024 - 1;

/// Why there is no sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum FloatError {
    /// The value or the increment is no number, or out of range.
    #[error("value is not a valid float")]
    NotAFloat,
    /// The sum is out of range.
    #[error("increment would produce NaN or Infinity")]
    NotFinite,
}

/// A number that Redis would take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Float(Kind);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Finite(Extended),
    Infinite,
}

impl Float {
    /// What a key that is not there counts as.
    pub const ZERO: Float = Float(Kind::Finite(Extended::ZERO));

    /// Reads a number.
    ///
    /// # Errors
    /// [`FloatError::NotAFloat`].
    pub fn parse(text: &[u8]) -> Result<Float, FloatError> {
        if text.len() > LONGEST_NUMBER {
            return Err(FloatError::NotAFloat);
        }
        parse(text).map(Float).ok_or(FloatError::NotAFloat)
    }

    /// The sum.
    ///
    /// # Errors
    /// [`FloatError::NotFinite`] if it or one of the two is infinite.
    pub fn plus(self, other: Float) -> Result<Float, FloatError> {
        let (Kind::Finite(one), Kind::Finite(other)) = (self.0, other.0) else {
            return Err(FloatError::NotFinite);
        };
        one.plus(other).map(|sum| Float(Kind::Finite(sum))).ok_or(FloatError::NotFinite)
    }

    /// Appends the text that is stored and answered; nothing for infinity, which no sum is.
    pub fn write(self, out: &mut Vec<u8>) {
        if let Kind::Finite(number) = self.0 {
            number.write(out);
        }
    }
}

/// The text of the sum of a value, none if the key is not there, and an increment.
///
/// # Errors
/// If one of them is no number, the value first, or the sum is out of range.
pub fn increment(value: Option<&[u8]>, by: &[u8]) -> Result<Vec<u8>, FloatError> {
    let value = value.map_or(Ok(Float::ZERO), Float::parse)?;
    let sum = value.plus(Float::parse(by)?)?;
    let mut text = Vec::new();
    sum.write(&mut text);
    Ok(text)
}

fn parse(text: &[u8]) -> Option<Kind> {
    let (negative, magnitude) = match text {
        [b'-', rest @ ..] => (true, rest),
        [b'+', rest @ ..] => (false, rest),
        _ => (false, text),
    };
    if magnitude.eq_ignore_ascii_case(b"inf") || magnitude.eq_ignore_ascii_case(b"infinity") {
        return Some(Kind::Infinite);
    }
    let number = match magnitude {
        [b'0', b'x' | b'X', digits @ ..] => parse_hexadecimal(negative, digits)?,
        digits => parse_decimal(negative, digits)?,
    };
    Some(Kind::Finite(number))
}

fn parse_decimal(negative: bool, text: &[u8]) -> Option<Extended> {
    let parts = Parts::split(text, b'e')?;
    let mut digits = Natural::ZERO;
    let mut significant = 0;
    for digit in parts.digits() {
        let digit = char::from(digit).to_digit(10)?;
        digits.multiply_add(10, digit.into());
        significant += i64::from(significant > 0 || digit > 0);
    }
    if significant == 0 {
        return Some(Extended::ZERO);
    }
    let exponent = parts.exponent.saturating_sub(parts.fraction.len() as i64);
    // Far out of range it is not worth computing how far. The bounds fit easily.
    if !(-6000..6000).contains(&(exponent.saturating_add(significant))) {
        return None;
    }
    let power = Natural::power_of_five(exponent.unsigned_abs() as u32);
    let one = Natural::from(1);
    let (numerator, denominator) =
        if exponent < 0 { (digits, power) } else { (digits.times(&power), one) };
    Extended::nearest(negative, numerator, denominator, exponent as i32)
}

fn parse_hexadecimal(negative: bool, text: &[u8]) -> Option<Extended> {
    let parts = Parts::split(text, b'p')?;
    let mut digits = Natural::ZERO;
    for digit in parts.digits() {
        digits.multiply_add(16, char::from(digit).to_digit(16)?.into());
    }
    if digits.is_zero() {
        return Some(Extended::ZERO);
    }
    let exponent = parts.exponent.saturating_sub(4 * parts.fraction.len() as i64);
    if !(-60_000..60_000).contains(&exponent) {
        return None;
    }
    Extended::nearest(negative, digits, Natural::from(1), exponent as i32)
}

/// A number in parts: `whole.fraction` and the exponent.
struct Parts<'text> {
    whole: &'text [u8],
    fraction: &'text [u8],
    exponent: i64,
}

impl<'text> Parts<'text> {
    /// Takes a number apart. None if it has no digit, or a mark of an exponent and none behind.
    fn split(text: &'text [u8], mark: u8) -> Option<Parts<'text>> {
        let (number, exponent) = match text.iter().position(|byte| byte.eq_ignore_ascii_case(&mark))
        {
            Some(place) => (&text[..place], parse_exponent(&text[place + 1..])?),
            None => (text, 0),
        };
        let (whole, fraction) = match number.iter().position(|byte| *byte == b'.') {
            Some(place) => (&number[..place], &number[place + 1..]),
            None => (number, &[][..]),
        };
        let some = !whole.is_empty() || !fraction.is_empty();
        some.then_some(Parts { whole, fraction, exponent })
    }

    fn digits(&self) -> impl Iterator<Item = u8> {
        self.whole.iter().chain(self.fraction).copied()
    }
}

/// Reads an exponent; one past all measure is near the end of the range of its type.
fn parse_exponent(text: &[u8]) -> Option<i64> {
    let (sign, digits) = match text {
        [b'-', rest @ ..] => (-1, rest),
        [b'+', rest @ ..] => (1, rest),
        _ => (1, text),
    };
    if digits.is_empty() {
        return None;
    }
    let magnitude = digits.iter().try_fold(0i64, |sum, byte| {
        let digit = char::from(*byte).to_digit(10)?;
        Some(sum.saturating_mul(10).saturating_add(digit.into()))
    });
    Some(sign * magnitude?)
}

#[cfg(test)]
mod tests;
