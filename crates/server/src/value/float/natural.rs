//! Natural numbers of any size, with just what reading and writing a float takes.

use std::cmp::Ordering;

/// Largest power of five that fits in a limb, and its exponent.
const FIVES: (u64, u32) = (5u64.pow(27), 27);
/// Largest power of ten that fits in a limb, and its exponent.
const TENS: (u64, usize) = (10u64.pow(19), 19);

/// A natural number, or zero. The limb of the lowest bits is first, the last one is not zero.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Natural {
    limbs: Vec<u64>,
}

impl Natural {
    pub(super) const ZERO: Natural = Natural { limbs: Vec::new() };

    pub(super) fn power_of_five(exponent: u32) -> Natural {
        let mut power = Natural::from(1);
        for _ in 0..exponent / FIVES.1 {
            power.multiply_add(FIVES.0, 0);
        }
        power.multiply_add(5u64.pow(exponent % FIVES.1), 0);
        power
    }

    pub(super) fn is_zero(&self) -> bool {
        self.limbs.is_empty()
    }

    /// How many bits it has: the highest is set.
    pub(super) fn bits(&self) -> i32 {
        let Some(last) = self.limbs.last() else { return 0 };
        self.limbs.len() as i32 * 64 - last.leading_zeros() as i32
    }

    pub(super) fn multiply_add(&mut self, factor: u64, summand: u64) {
        let mut carry = summand;
        for limb in &mut self.limbs {
            let product = u128::from(*limb) * u128::from(factor) + u128::from(carry);
            (*limb, carry) = (product as u64, (product >> 64) as u64);
        }
        if carry > 0 {
            self.limbs.push(carry);
        }
        self.trim();
    }

    pub(super) fn times(&self, other: &Natural) -> Natural {
        let mut limbs = vec![0; self.limbs.len() + other.limbs.len()];
        for (place, limb) in self.limbs.iter().enumerate() {
            let mut carry = 0;
            for (sum, other) in limbs[place..].iter_mut().zip(&other.limbs) {
                let product =
                    u128::from(*limb) * u128::from(*other) + u128::from(*sum) + u128::from(carry);
                (*sum, carry) = (product as u64, (product >> 64) as u64);
            }
            limbs[place + other.limbs.len()] = carry;
        }
        let mut product = Natural { limbs };
        product.trim();
        product
    }

    pub(super) fn shifted_left(&self, bits: u32) -> Natural {
        let (whole, part) = ((bits / 64) as usize, bits % 64);
        let mut shifted = Natural { limbs: vec![0; whole] };
        shifted.limbs.extend_from_slice(&self.limbs);
        let mut carry = 0;
        for limb in &mut shifted.limbs[whole..] {
            let wide = u128::from(*limb) << part;
            (*limb, carry) = (wide as u64 | carry, (wide >> 64) as u64);
        }
        if carry > 0 {
            shifted.limbs.push(carry);
        }
        shifted.trim();
        shifted
    }

    pub(super) fn double(&mut self) {
        let mut carry = 0;
        for limb in &mut self.limbs {
            (*limb, carry) = (*limb << 1 | carry, *limb >> 63);
        }
        if carry > 0 {
            self.limbs.push(carry);
        }
    }

    /// Takes away a number that is no larger.
    pub(super) fn subtract(&mut self, other: &Natural) {
        let mut borrow = false;
        let others = other.limbs.iter().copied().chain(std::iter::repeat(0));
        for (limb, other) in self.limbs.iter_mut().zip(others) {
            let (less, one) = limb.overflowing_sub(other);
            let (less, two) = less.overflowing_sub(borrow.into());
            (*limb, borrow) = (less, one || two);
        }
        self.trim();
    }

    /// Its decimal digits; none for zero.
    pub(super) fn to_digits(&self) -> Vec<u8> {
        let mut rest = self.clone();
        let mut digits = Vec::new();
        while !rest.is_zero() {
            let mut part = rest.divide(TENS.0);
            // The last limb of all has no zeros before it.
            let least = if rest.is_zero() { 0 } else { digits.len() + TENS.1 };
            while part > 0 || digits.len() < least {
                digits.push(b'0' + (part % 10) as u8);
                part /= 10;
            }
        }
        digits.reverse();
        digits
    }

    /// Divides by a number that is not zero and returns the remainder.
    fn divide(&mut self, divisor: u64) -> u64 {
        let mut remainder = 0;
        for limb in self.limbs.iter_mut().rev() {
            let wide = u128::from(remainder) << 64 | u128::from(*limb);
            *limb = (wide / u128::from(divisor)) as u64;
            remainder = (wide % u128::from(divisor)) as u64;
        }
        self.trim();
        remainder
    }

    fn trim(&mut self) {
        while self.limbs.last() == Some(&0) {
            self.limbs.pop();
        }
    }
}

impl From<u64> for Natural {
    fn from(number: u64) -> Natural {
        let mut natural = Natural { limbs: vec![number] };
        natural.trim();
        natural
    }
}

impl Ord for Natural {
    fn cmp(&self, other: &Natural) -> Ordering {
        let lengths = self.limbs.len().cmp(&other.limbs.len());
        lengths.then_with(|| self.limbs.iter().rev().cmp(other.limbs.iter().rev()))
    }
}

impl PartialOrd for Natural {
    fn partial_cmp(&self, other: &Natural) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn natural(number: u128) -> Natural {
        let mut limbs = Natural { limbs: vec![number as u64, (number >> 64) as u64] };
        limbs.trim();
        limbs
    }

    #[test]
    fn digits() {
        assert_eq!(Natural::ZERO.to_digits(), b"");
        assert_eq!(natural(TENS.0.into()).to_digits(), b"10000000000000000000");
        let large = Natural::power_of_five(60).shifted_left(60);
        assert_eq!(large.to_digits(), [&b"1"[..], &b"0".repeat(60)].concat());
    }

    proptest! {
        #[test]
        fn as_128_bits(one in any::<u128>(), other: u64, drop in 0u32..128, bits in 0u32..64) {
            let one = one >> drop;
            let text = one.to_string();
            let digits = natural(one).to_digits();
            prop_assert_eq!(if one == 0 { b"0".to_vec() } else { digits }, text.into_bytes());
            prop_assert_eq!(natural(one).bits(), 128 - one.leading_zeros() as i32);

            let low = one as u64;
            let product = u128::from(low) * u128::from(other);
            prop_assert_eq!(Natural::from(low).times(&Natural::from(other)), natural(product));
            let mut sum = Natural::from(low);
            sum.multiply_add(other, 0);
            prop_assert_eq!(&sum, &natural(product));
            sum.double();
            sum.subtract(&natural(product));
            prop_assert_eq!(sum, natural(product));
            let shifted = Natural::from(low).shifted_left(bits);
            prop_assert_eq!(shifted, natural(u128::from(low) << bits));
            prop_assert_eq!(natural(one).cmp(&natural(product)), one.cmp(&product));
        }
    }
}
