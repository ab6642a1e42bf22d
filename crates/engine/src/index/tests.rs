//! The index as its users see it: here alone; below against a model, by many threads at once, and
//! weighed.

mod memory;
mod model;
mod together;

use std::cell::RefCell;
use std::convert::Infallible;

use super::hash::Tag;
use super::*;

fn location(number: u64) -> Location {
    Location::from_bits(2 + number)
}

fn hash(table: usize, tag: u64) -> KeyHash {
    let table = TableNumber::new(table).expect("tests name existing tables");
    KeyHash::from_parts(table, Tag::from_low_bits(tag))
}

/// The first candidate.
fn any(index: &Index, hash: KeyHash) -> Option<Location> {
    let accept = |_| Ok::<_, Infallible>(true);
    index.find(&pin(), hash, accept).unwrap()
}

fn check(index: &Index) {
    let (counts, guard) = (index.counts(), pin());
    for number in TableNumber::all() {
        index.table(number).check(&counts[number.get()], &guard);
    }
    assert_eq!(index.len(), counts.iter().map(|counts| counts.live() as u64).sum::<u64>());
}

#[test]
fn an_empty_index_finds_nothing_and_has_no_arrays() {
    let index = Index::default();
    assert_eq!(index.len(), 0);
    assert_eq!(any(&index, hash(0, 0)), None);
    assert!(!index.contains(&pin(), hash(0, 0), location(0)));
    assert!(!index.writer().remove(hash(0, 0), location(0)));
    assert!(!index.writer().replace(hash(0, 0), location(0), location(1)));
    assert!(index.entries(hash(9, 0).table()).is_empty());
    assert!(index.bytes() <= 16 * Index::TABLES as u64);
}

#[test]
fn a_key_is_found_where_it_was_put_last_until_it_is_removed() {
    let (index, key) = (Index::new(), hash(7, 0xabcdef));
    index.writer().insert(key, location(1));
    assert_eq!(any(&index, key), Some(location(1)));
    assert_eq!(any(&index, hash(7, 0xabcdee)), None);
    assert_eq!(any(&index, hash(8, 0xabcdef)), None);
    assert!(index.writer().replace(key, location(1), location(2)));
    assert_eq!(any(&index, key), Some(location(2)));
    assert_eq!(index.len(), 1);
    assert!(index.writer().remove(key, location(2)));
    assert_eq!(any(&index, key), None);
    assert_eq!(index.len(), 0);
    check(&index);
}

#[test]
fn only_exactly_the_named_slot_is_changed() {
    let (index, key) = (Index::new(), hash(7, 3));
    let mut writer = index.writer();
    writer.insert(key, location(1));
    assert!(!writer.replace(key, location(2), location(3)));
    assert!(!writer.replace(hash(7, 4), location(1), location(3)));
    assert!(!writer.remove(key, location(2)));
    assert!(!writer.remove(hash(7, 4), location(1)));
    assert!(writer.contains(key, location(1)));
    assert!(!writer.contains(key, location(2)));
    drop(writer);
    assert!(index.contains(&pin(), key, location(1)));
    assert!(!index.contains(&pin(), hash(7, 4), location(1)));
}

#[test]
fn entries_are_changed_without_a_hash() {
    let (index, key) = (Index::new(), hash(5, 77));
    index.writer().insert(key, location(1));
    let entry = index.entries(key.table())[0];
    assert_eq!((entry.tag(), entry.location()), (key.tag(), location(1)));
    let moved = entry.with_location(location(9));
    assert!(index.writer().replace_entry(key.table(), entry, moved));
    assert!(!index.writer().remove_entry(key.table(), entry));
    assert_eq!(any(&index, key), Some(location(9)));
    assert!(index.writer().remove_entry(key.table(), moved));
    assert_eq!(index.len(), 0);
}

#[test]
fn confirm_sees_every_candidate_until_it_accepts_one() {
    let (index, key) = (Index::new(), hash(1, 5));
    (0..30).for_each(|number| index.writer().insert(key, location(number)));
    (0..30).for_each(|number| index.writer().insert(hash(1, 6), location(100 + number)));
    let seen = RefCell::new(Vec::new());
    let found = index.find(&pin(), key, |candidate| {
        seen.borrow_mut().push(candidate.bits() - 2);
        Ok::<_, Infallible>(false)
    });
    assert_eq!(found, Ok(None));
    let mut seen = seen.into_inner();
    seen.sort_unstable();
    assert!(seen.into_iter().eq(0..30));
    for number in 0..30 {
        let found = index.find(&pin(), key, |c| Ok::<_, Infallible>(c == location(number)));
        assert_eq!(found, Ok(Some(location(number))));
    }
}

#[test]
fn an_error_counts_only_if_no_candidate_is_accepted() {
    let (index, key) = (Index::new(), hash(1, 5));
    (0..3).for_each(|number| index.writer().insert(key, location(number)));
    let accept = |accepted: Option<u64>| {
        move |candidate: Location| match candidate.bits() - 2 {
            number if Some(number) == accepted => Ok(true),
            number => Err(number),
        }
    };
    let found = |accepted| index.writer().find(key, accept(accepted));
    for number in 0..3 {
        assert_eq!(found(Some(number)), Ok(Some(location(number))));
    }
    assert_eq!(found(None), Err(0));
    assert_eq!(any(&index, key), Some(location(0)));
}

#[test]
fn more_keys_than_any_bucket_holds_may_share_a_tag() {
    for tag in [0, 0x80_0000, 0xff_ffff] {
        let (index, key) = (Index::new(), hash(4095, tag));
        (0..1_000).for_each(|number| index.writer().insert(key, location(number)));
        check(&index);
        for number in (0..1_000).rev() {
            assert!(index.contains(&pin(), key, location(number)));
            assert!(index.writer().remove(key, location(number)));
            assert!(!index.contains(&pin(), key, location(number)));
        }
        check(&index);
        assert_eq!(index.len(), 0);
    }
}

#[test]
fn an_emptied_index_gives_its_memory_back() {
    let (index, seed) = (Index::new(), HashSeed(3));
    let key = |number: u64| KeyHash::of(seed, &number.to_le_bytes());
    let keys = 400_000;
    (0..keys).for_each(|number| index.writer().insert(key(number), location(number)));
    assert!(index.bytes() > 8 * keys);
    check(&index);
    for number in 0..keys {
        assert!(index.writer().remove(key(number), location(number)));
    }
    check(&index);
    assert!(index.bytes() < 300 * Index::TABLES as u64);
}

#[test]
fn steady_replacement_of_keys_does_not_grow_the_index() {
    let index = Index::new();
    let key = |number: u64| hash(3, number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40);
    (0..500).for_each(|number| index.writer().insert(key(number), location(number)));
    let before = index.bytes();
    for number in 0..50_000 {
        assert!(index.writer().remove(key(number), location(number)));
        index.writer().insert(key(number + 500), location(number + 500));
    }
    check(&index);
    assert!(index.bytes() <= before * 5 / 4 + 64);
}

#[test]
fn a_restored_table_has_the_same_entries() {
    for keys in [0, 1, 6, 7, 100, 3_000] {
        let index = Index::new();
        let key = |number: u64| hash(3, number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40);
        (0..keys).for_each(|number| index.writer().insert(key(number), location(number)));
        let entries = index.entries(key(0).table());
        assert_eq!(entries.len() as u64, keys);
        for reversed in [false, true] {
            let mut entries = entries.clone();
            if reversed {
                entries.reverse();
            }
            let other = Index::new();
            other.restore(key(0).table(), entries.into_iter());
            check(&other);
            assert_eq!(other.len(), keys);
            for number in 0..keys {
                assert!(other.contains(&pin(), key(number), location(number)));
                assert!(other.writer().replace(
                    key(number),
                    location(number),
                    location(1 << 30 | number)
                ));
            }
        }
    }
}

#[test]
#[should_panic(expected = "only an empty table is restored")]
fn a_table_with_entries_is_not_restored() {
    let (index, key) = (Index::new(), hash(2, 2));
    index.writer().insert(key, location(0));
    index.restore(key.table(), index.entries(key.table()).into_iter());
}

#[test]
#[should_panic(expected = "an entry of another key")]
fn an_entry_is_not_replaced_by_that_of_another_tag() {
    let (index, key) = (Index::new(), hash(2, 2));
    index.writer().insert(key, location(0));
    let (old, new) =
        (Entry::new(key.tag(), location(0)), Entry::new(hash(2, 3).tag(), location(0)));
    index.writer().replace_entry(key.table(), old, new);
}
