//! From a key to its place in the index.
//!
//! ```text
//! 63          52 51                      28 27                         0
//! ┌─────────────┬──────────────────────────┬────────────────────────────┐
//! │ table: 12   │ tag: 24                  │ not used                   │
//! └─────────────┴──────────────────────────┴────────────────────────────┘
//! ```
//!
//! The tag is kept in the slot and also says which bucket is a key's home, so that a table can be
//! rebuilt at another size without knowing a single key.

use xxhash_rust::xxh3::xxh3_64_with_seed;

const TABLE_BITS: u32 = 12;
const TAG_BITS: u32 = 24;

/// What makes the hashes of one store differ from those of all others, so that nobody can choose
/// keys that meet in one bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashSeed(pub u64);

/// The hash of a key under the seed of its store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct KeyHash(u64);

impl KeyHash {
    /// The hash of `key`.
    #[inline]
    pub fn of(seed: HashSeed, key: &[u8]) -> KeyHash {
        KeyHash(xxh3_64_with_seed(key, seed.0))
    }

    /// The table that holds the key.
    #[inline]
    pub fn table(self) -> TableNumber {
        TableNumber((self.0 >> (u64::BITS - TABLE_BITS)) as u16)
    }

    /// The part of the hash that the table keeps.
    #[inline]
    pub fn tag(self) -> Tag {
        let high = (self.0 << TABLE_BITS) >> (u64::BITS - TAG_BITS);
        Tag(high as u32)
    }

    /// A hash with this table and tag.
    #[cfg(test)]
    pub fn from_parts(table: TableNumber, tag: Tag) -> KeyHash {
        let (table, tag) = (u64::from(table.0), u64::from(tag.0));
        KeyHash(table << (u64::BITS - TABLE_BITS) | tag << (u64::BITS - TABLE_BITS - TAG_BITS))
    }
}

/// The number of one of the index's tables: 0 to 4095.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TableNumber(u16);

impl TableNumber {
    /// How many tables there are.
    pub const COUNT: usize = 1 << TABLE_BITS;

    /// Table `number`, if there is one.
    pub fn new(number: usize) -> Option<TableNumber> {
        (number < Self::COUNT).then_some(TableNumber(number as u16))
    }

    /// Every table, in ascending order.
    pub fn all() -> impl ExactSizeIterator<Item = TableNumber> {
        (0..Self::COUNT as u16).map(TableNumber)
    }

    /// The number.
    #[inline]
    pub fn get(self) -> usize {
        usize::from(self.0)
    }
}

/// The 24 bits of a key's hash that its slot keeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u32);

impl Tag {
    /// Bits of a tag.
    pub const BITS: u32 = TAG_BITS;

    /// The tag whose bits are the low 24 of `bits`.
    #[inline]
    pub fn from_low_bits(bits: u64) -> Tag {
        Tag(bits as u32 & ((1 << Self::BITS) - 1))
    }

    /// The 24 bits.
    #[inline]
    pub fn bits(self) -> u64 {
        u64::from(self.0)
    }

    /// The bucket, of `buckets`, where the search for this tag starts. Grows with the tag.
    #[inline]
    pub fn home(self, buckets: usize) -> usize {
        debug_assert!(buckets as u64 <= 1 << (u64::BITS - Self::BITS));
        ((self.bits() * buckets as u64) >> Self::BITS) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_hash_are_its_high_bits_in_order() {
        let hash = KeyHash(0xabc1_2345_6fff_ffff);
        assert_eq!(hash.table(), TableNumber(0xabc));
        assert_eq!(hash.tag(), Tag(0x12_3456));
        assert_eq!(KeyHash::from_parts(hash.table(), hash.tag()).0, 0xabc1_2345_6000_0000);
    }

    #[test]
    fn the_hash_depends_on_key_and_seed() {
        // Checkpoints hold tags: this value may never change under an existing store.
        assert_eq!(KeyHash::of(HashSeed(0), b""), KeyHash(0x2d06_8005_38d3_94c2));
        assert_ne!(KeyHash::of(HashSeed(1), b"a"), KeyHash::of(HashSeed(2), b"a"));
        assert_ne!(KeyHash::of(HashSeed(1), b"a"), KeyHash::of(HashSeed(1), b"b"));
    }

    #[test]
    fn homes_ascend_with_the_tag_and_reach_every_bucket() {
        for buckets in [1, 2, 3, 7, 400, 1 << 20] {
            let homes: Vec<usize> =
                (0..1 << 12).map(|high| Tag::from_low_bits(high << 12).home(buckets)).collect();
            assert!(homes.is_sorted());
            assert_eq!(homes[0], 0);
            assert_eq!(Tag::from_low_bits(u64::MAX).home(buckets), buckets - 1);
        }
    }

    #[test]
    fn there_are_as_many_tables_as_numbers() {
        assert_eq!(TableNumber::all().len(), TableNumber::COUNT);
        assert!(TableNumber::new(TableNumber::COUNT).is_none());
        assert_eq!(TableNumber::new(4095), TableNumber::all().last());
    }
}
