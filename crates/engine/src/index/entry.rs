//! What a slot holds when it holds something.
//!
//! ```text
//! 63                      40 39                                        0
//! ┌─────────────────────────┬───────────────────────────────────────────┐
//! │ tag: 24                 │ location: 40, at least 2                  │
//! └─────────────────────────┴───────────────────────────────────────────┘
//! ```

use super::hash::Tag;
use crate::ids::Location;

/// The least location bits of an entry; slots mark with the lesser ones that they hold none.
const FIRST_LOCATION: u64 = 2;
const LOCATION_MASK: u64 = (1 << Location::BITS) - 1;

const _: () = assert!(Tag::BITS + Location::BITS == u64::BITS);

/// One key of the index: the tag of its hash and where its newest record stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry(u64);

impl Entry {
    /// The entry of a key with `tag` whose record stands at `location`.
    ///
    /// # Panics
    /// If `location` is one that no record has.
    #[inline]
    pub fn new(tag: Tag, location: Location) -> Entry {
        let location = location.bits();
        assert!((FIRST_LOCATION..=LOCATION_MASK).contains(&location), "no record stands there");
        Entry(tag.bits() << Location::BITS | location)
    }

    /// The entry whose bits these are; `None` if no entry has them.
    #[inline]
    pub fn from_bits(bits: u64) -> Option<Entry> {
        (bits & LOCATION_MASK >= FIRST_LOCATION).then_some(Entry(bits))
    }

    /// All 64 bits.
    #[inline]
    pub fn to_bits(self) -> u64 {
        self.0
    }

    /// The part of the key's hash that is kept.
    #[inline]
    pub fn tag(self) -> Tag {
        Tag::from_low_bits(self.0 >> Location::BITS)
    }

    /// Where the key's newest record stands.
    #[inline]
    pub fn location(self) -> Location {
        Location::from_bits(self.0 & LOCATION_MASK)
    }

    /// The entry of the same key when its record stands at `location`.
    ///
    /// # Panics
    /// If `location` is one that no record has.
    #[inline]
    pub fn with_location(self, location: Location) -> Entry {
        Entry::new(self.tag(), location)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_gives_back_what_it_was_made_of() {
        for tag in [0, 1, 0xff_ffff].map(Tag::from_low_bits) {
            for location in [2, 3, LOCATION_MASK].map(Location::from_bits) {
                let entry = Entry::new(tag, location);
                assert_eq!((entry.tag(), entry.location()), (tag, location));
                assert_eq!(Entry::from_bits(entry.to_bits()), Some(entry));
                assert_eq!(entry.with_location(Location::from_bits(7)).tag(), tag);
            }
        }
    }

    #[test]
    fn bits_without_a_location_are_no_entry() {
        for tag in [0, 1, 0xff_ffff] {
            for location in 0..FIRST_LOCATION {
                assert_eq!(Entry::from_bits(tag << Location::BITS | location), None);
            }
        }
    }

    #[test]
    #[should_panic(expected = "no record stands there")]
    fn a_reserved_location_is_refused() {
        Entry::new(Tag::from_low_bits(1), Location::from_bits(1));
    }
}
