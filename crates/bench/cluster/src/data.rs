//! Keys, values, and the numbers that choose them.
//!
//! A key is `key:` and its number, with zeros in front, so that a fill and a draw name the same keys. Values
//! are windows of a block of random bytes: they cannot be compressed, and cost nothing to make.

use std::sync::Arc;

/// Random numbers (splitmix64): the same for the same seed.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Less than `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.draw()) * u128::from(bound)) >> 64) as u64
    }
}

/// Makes keys of one size.
#[derive(Clone, Copy, Debug)]
pub struct Keys {
    pub size: usize,
}

impl Keys {
    pub fn key(self, number: u64) -> Vec<u8> {
        format!("key:{number:0width$}", width = self.size - 4).into_bytes()
    }
}

const BLOCK: usize = 1 << 16;

/// Makes values of one size.
#[derive(Clone, Debug)]
pub struct Values {
    block: Arc<[u8]>,
    size: usize,
}

impl Values {
    pub fn new(size: usize) -> Values {
        let mut random = Random::new(0x5eed);
        let block = (0..BLOCK + size).map(|_| random.draw() as u8).collect();
        Values { block, size }
    }

    pub fn value(&self, random: &mut Random) -> Vec<u8> {
        let start = random.below(BLOCK as u64) as usize;
        self.block[start..start + self.size].to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_have_their_size_and_their_number() {
        assert_eq!(Keys { size: 16 }.key(42), b"key:000000000042");
        assert_eq!(Keys { size: 32 }.key(999_999_999_999).len(), 32);
    }

    #[test]
    fn numbers_stay_below_their_bound_and_come_to_all_of_it() {
        let mut random = Random::new(1);
        let drawn: std::collections::BTreeSet<_> = (0..1000).map(|_| random.below(10)).collect();
        assert_eq!(drawn.into_iter().collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
    }

    #[test]
    fn values_have_their_size_and_differ() {
        let (values, mut random) = (Values::new(128), Random::new(7));
        let (one, other) = (values.value(&mut random), values.value(&mut random));
        assert_eq!((one.len(), other.len()), (128, 128));
        assert_ne!(one, other);
    }
}
