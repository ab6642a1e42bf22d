//! Slots: the 16384 places of the key space that Redis Cluster's clients know.
//!
//! ```text
//!  user:1000            ─▶ all of it          ┐
//!  {user:1000}.follows  ─▶ user:1000, the tag ┴▶ CRC-16/XMODEM ─▶ mod 16384 ─▶ slot
//! ```
//!
//! # Invariants
//! - A [`Slot`] is below [`Slot::COUNT`].
//! - Keys with the same tag have the same slot, as in Redis.

use std::fmt;

/// One of the 16384 slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot(u16);

impl Slot {
    /// How many there are.
    pub const COUNT: u16 = 16384;

    /// The slot with this number, if there is one.
    pub fn new(number: u16) -> Option<Slot> {
        (number < Slot::COUNT).then_some(Slot(number))
    }

    /// The slot of a key.
    pub fn of(key: &[u8]) -> Slot {
        Slot(crc16(hash_tag(key)) % Slot::COUNT)
    }

    /// Its number.
    pub fn number(self) -> u16 {
        self.0
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The part of a key that is hashed: what stands between the first `{` and the first `}` behind it.
/// The whole key if one of them is missing or nothing stands between.
pub fn hash_tag(key: &[u8]) -> &[u8] {
    let Some(open) = key.iter().position(|&byte| byte == b'{') else { return key };
    let rest = &key[open + 1..];
    match rest.iter().position(|&byte| byte == b'}') {
        Some(length) if length > 0 => &rest[..length],
        _ => key,
    }
}

/// CRC-16/XMODEM: polynomial 0x1021, starts at 0, nothing reflected.
pub fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, &byte| (crc << 8) ^ TABLE[usize::from((crc >> 8) as u8 ^ byte)])
}

const POLYNOMIAL: u16 = 0x1021;
const TABLE: [u16; 256] = table();

const fn table() -> [u16; 256] {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = (byte as u16) << 8;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ POLYNOMIAL };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_check_value_of_the_checksum() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(Slot::of(b"123456789"), Slot(12739));
    }

    /// Answers of `CLUSTER KEYSLOT` of Redis.
    #[test]
    fn slots_of_redis() {
        for (key, slot) in [
            ("", 0),
            ("foo", 12182),
            ("bar", 5061),
            ("hello", 866),
            ("{user1000}.following", 3443),
            ("{user1000}.followers", 3443),
            ("user1000", 3443),
            ("foo{}{bar}", 8363),
            ("foo{{bar}}zap", 4015),
            ("foo{bar}{zap}", 5061),
            ("{", 4092),
            ("{}", 15257),
        ] {
            assert_eq!(Slot::of(key.as_bytes()), Slot(slot), "{key:?}");
        }
    }

    #[test]
    fn what_is_hashed() {
        for (key, hashed) in [
            ("", ""),
            ("plain", "plain"),
            ("{tag}", "tag"),
            ("a{tag}b", "tag"),
            ("a{tag", "a{tag"),
            ("a}tag{", "a}tag{"),
            ("a}{tag}", "tag"),
            ("foo{}{bar}", "foo{}{bar}"),
            ("foo{{bar}}zap", "{bar"),
            ("foo{bar}{zap}", "bar"),
        ] {
            assert_eq!(hash_tag(key.as_bytes()), hashed.as_bytes(), "{key:?}");
        }
    }

    #[test]
    fn numbers_end_at_the_count() {
        assert_eq!(Slot::new(16383).map(Slot::number), Some(16383));
        assert_eq!(Slot::new(16384), None);
    }

    proptest! {
        #[test]
        fn keys_with_one_tag_share_a_slot(
            tag in "[^{}]{1,8}", before in "[^{}]{0,8}", after in "\\PC{0,8}",
        ) {
            let key = format!("{before}{{{tag}}}{after}");
            prop_assert_eq!(Slot::of(key.as_bytes()), Slot::of(tag.as_bytes()));
        }
    }
}
