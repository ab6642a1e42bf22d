//! Keys and values: made from a number, so that what is read back can be checked.

use crate::random::{Rng, mix};

const POOL: usize = 1 << 20;
const SALT: u64 = 0x6a09_e667_f3bc_c908;

/// The smallest value: it holds the number of its key.
pub const MIN_VALUE: usize = 8;
/// The smallest key: two scrambled words.
pub const MIN_KEY: usize = 16;

/// Makes keys and values of one size.
///
/// A key is its number scrambled to 16 bytes, then padding to its length. A value begins with the
/// number of its key and, if there is room, its version; the rest cannot be compressed.
pub struct Data {
    key_len: usize,
    value_len: usize,
    pool: Vec<u8>,
}

impl Data {
    /// A maker of keys and values with these lengths.
    pub fn new(key_len: usize, value_len: usize) -> Self {
        assert!(key_len >= MIN_KEY && value_len >= MIN_VALUE, "keys or values too small");
        let mut rng = Rng::new(SALT);
        let words = (POOL + value_len).div_ceil(8);
        let pool = (0..words).flat_map(|_| rng.bits().to_le_bytes()).collect();
        Self { key_len, value_len, pool }
    }

    /// Bytes of one key and its value.
    pub fn pair_len(&self) -> usize {
        self.key_len + self.value_len
    }

    /// Writes key number `i` to `out`.
    pub fn key<'a>(&self, i: u64, out: &'a mut Vec<u8>) -> &'a [u8] {
        out.resize(self.key_len, b'.');
        out[..8].copy_from_slice(&mix(i).to_be_bytes());
        out[8..16].copy_from_slice(&mix(i ^ SALT).to_be_bytes());
        out
    }

    /// Writes the value of key number `i` at `version` to `out`.
    pub fn value<'a>(&self, i: u64, version: u32, out: &'a mut Vec<u8>) -> &'a [u8] {
        let from = (mix(i ^ u64::from(version)) as usize) % POOL;
        out.clear();
        out.extend_from_slice(&self.pool[from..from + self.value_len]);
        out[..8].copy_from_slice(&i.to_le_bytes());
        if let Some(place) = out.get_mut(8..12) {
            place.copy_from_slice(&version.to_le_bytes());
        }
        out
    }

    /// Whether `value` can be the value of key number `i`.
    pub fn matches(&self, i: u64, value: &[u8]) -> bool {
        value.len() == self.value_len && value[..8] == i.to_le_bytes()
    }

    /// The version written in `value`, if it is long enough to hold one.
    pub fn version(value: &[u8]) -> Option<u32> {
        value.get(8..12)?.try_into().ok().map(u32::from_le_bytes)
    }

    /// Whether `value` is, to the last byte, the value of key `i` at the version it names.
    pub fn is_intact(&self, i: u64, value: &[u8]) -> bool {
        let version = Self::version(value).unwrap_or_default();
        let mut expected = Vec::new();
        self.matches(i, value)
            && (value.len() < 12 || self.value(i, version, &mut expected) == value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_answer_for_their_key_only() {
        let data = Data::new(16, 100);
        let mut value = Vec::new();
        data.value(7, 3, &mut value);
        assert!(data.matches(7, &value) && data.is_intact(7, &value));
        assert!(!data.matches(8, &value));
        assert_eq!(Data::version(&value), Some(3));
        value[50] ^= 1;
        assert!(!data.is_intact(7, &value));
    }

    #[test]
    fn keys_have_their_length() {
        let mut key = Vec::new();
        assert_eq!(Data::new(64, 8).key(1, &mut key).len(), 64);
    }
}
