//! The extended format of x86-64: 64 bits of precision, a sign and 15 bits of exponent.
//!
//! ```text
//!  number = mantissa × 2^exponent       exponent from -16445 to 16320
//!  mantissa: 64 bits, the highest set unless the exponent is the least there is
//! ```
//!
//! All results are the nearest number of the format, of two as near the one with an even mantissa.

use super::super::integer;
use super::natural::Natural;

/// The exponent of the smallest numbers.
const LEAST_EXPONENT: i32 = -16_445;
/// The exponent of the largest.
const LARGEST_EXPONENT: i32 = 16_320;
/// Digits written after the point, and the number that many make one of.
const FRACTION_DIGITS: usize = 17;
const FRACTION: u128 = 10u128.pow(FRACTION_DIGITS as u32);
/// Bits kept below the mantissas of summands.
const GUARD_BITS: i32 = 62;

/// A finite number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extended {
    negative: bool,
    mantissa: u64,
    exponent: i32,
}

impl Extended {
    pub(super) const ZERO: Extended =
        Extended { negative: false, mantissa: 0, exponent: LEAST_EXPONENT };

    /// The nearest to `numerator / denominator × 2^exponent`, neither of which is zero; none if
    /// that is out of range or zero.
    pub(super) fn nearest(
        negative: bool,
        numerator: Natural,
        denominator: Natural,
        exponent: i32,
    ) -> Option<Extended> {
        // The quotient has this many bits or one more.
        let least_bits = numerator.bits() - denominator.bits();
        let lowest = (least_bits + exponent - 65).max(LEAST_EXPONENT - 2);
        if least_bits + exponent > LARGEST_EXPONENT + 66 || least_bits + exponent < lowest {
            return None;
        }
        // Its bits down to 2^lowest, at most 66, then whether anything is left below.
        let shift = exponent - lowest;
        let mut rest = numerator.shifted_left(shift.max(0).cast_unsigned());
        let divisor = denominator.shifted_left((65 - shift.min(0)).cast_unsigned());
        let mut quotient = 0u128;
        for _ in 0..=65 {
            quotient <<= 1;
            if rest >= divisor {
                rest.subtract(&divisor);
                quotient |= 1;
            }
            rest.double();
        }
        let quotient = quotient << 1 | u128::from(!rest.is_zero());
        Extended::round(negative, quotient, lowest - 1).filter(|number| number.mantissa != 0)
    }

    /// The nearest to `number × 2^exponent`; none if that is out of range. `number` is less than
    /// 2^127. Its lowest bit may stand for any below it, if it is among those that are rounded away
    /// and not the highest of them.
    fn round(negative: bool, number: u128, exponent: i32) -> Option<Extended> {
        let bits = (u128::BITS - number.leading_zeros()).cast_signed();
        let drop = (bits - 64).max(LEAST_EXPONENT - exponent).max(0);
        let (kept, exponent) = (shift_to_even(number, drop.cast_unsigned()), exponent + drop);
        // Rounded up, it may have got a bit more; that bit is the only one.
        let (mantissa, exponent) = match u64::try_from(kept) {
            Ok(mantissa) => (mantissa, exponent),
            Err(_) => (1 << 63, exponent + 1),
        };
        if mantissa == 0 {
            return Some(Extended { negative, ..Extended::ZERO });
        }
        let room = mantissa.leading_zeros().cast_signed().min(exponent - LEAST_EXPONENT);
        let (mantissa, exponent) = (mantissa << room, exponent - room);
        (exponent <= LARGEST_EXPONENT).then_some(Extended { negative, mantissa, exponent })
    }

    /// The sum; none if it is out of range.
    pub(super) fn plus(self, other: Extended) -> Option<Extended> {
        let size = |number: Extended| (number.exponent, number.mantissa);
        let (large, small) = if size(self) < size(other) { (other, self) } else { (self, other) };
        let distance = large.exponent - small.exponent;
        let summand = u128::from(large.mantissa) << GUARD_BITS;
        let other = shift_to_sticky(u128::from(small.mantissa) << GUARD_BITS, distance);
        // What is cut off below matters only as being there: only numbers that are next to each
        // other in size cancel many bits, and they lose none.
        let sum = if large.negative == small.negative { summand + other } else { summand - other };
        Extended::round(large.negative, sum, large.exponent - GUARD_BITS)
    }

    /// Appends the number with 17 digits after the point, less the zeros at the end. Zero has no
    /// sign.
    pub(super) fn write(self, out: &mut Vec<u8>) {
        let (whole, fraction) = if self.exponent < 0 {
            let scaled = u128::from(self.mantissa) * FRACTION;
            let scaled = shift_to_even(scaled, self.exponent.unsigned_abs());
            (Natural::from((scaled / FRACTION) as u64), (scaled % FRACTION) as u64)
        } else {
            (Natural::from(self.mantissa).shifted_left(self.exponent.cast_unsigned()), 0)
        };
        if self.negative && !(whole.is_zero() && fraction == 0) {
            out.push(b'-');
        }
        match whole.is_zero() {
            true => out.push(b'0'),
            false => out.extend_from_slice(&whole.to_digits()),
        }
        if fraction > 0 {
            out.push(b'.');
            let text = integer::Text::of_u64(fraction);
            let digits = text.as_bytes();
            out.resize(out.len() + FRACTION_DIGITS - digits.len(), b'0');
            let zeros = digits.iter().rev().take_while(|digit| **digit == b'0').count();
            out.extend_from_slice(&digits[..digits.len() - zeros]);
        }
    }
}

/// `number / 2^bits`, to the nearest, of two as near to the even one. `number` is less than 2^127.
fn shift_to_even(number: u128, bits: u32) -> u128 {
    if bits == 0 {
        return number;
    }
    if bits > 127 {
        return 0;
    }
    let (kept, rest) = (number >> bits, number & ((1 << bits) - 1));
    let half = 1 << (bits - 1);
    kept + u128::from(rest > half || (rest == half && kept & 1 == 1))
}

/// `number / 2^bits`, the lowest bit set also if any was cut off.
fn shift_to_sticky(number: u128, bits: i32) -> u128 {
    let kept = number.checked_shr(bits.cast_unsigned()).unwrap_or(0);
    let lost = kept.checked_shl(bits.cast_unsigned()).unwrap_or(0) != number;
    kept | u128::from(lost)
}
