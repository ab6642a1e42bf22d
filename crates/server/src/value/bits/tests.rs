//! Tests of the commands on bits: known answers, and a model that goes bit by bit.

use super::*;
use proptest::prelude::*;

const LONGEST: usize = 512 << 20;

fn span(start: i64, end: i64, unit: RangeUnit) -> Span {
    Span { start, end: Some(end), unit }
}

#[test]
fn offsets() {
    assert_eq!(parse_offset(b"0", LONGEST), Ok(0));
    assert_eq!(parse_offset(b"4294967295", LONGEST), Ok(u64::from(u32::MAX)));
    for text in [&b"4294967296"[..], b"-1", b"x", b"", b"#1", b"9223372036854775807"] {
        assert_eq!(parse_offset(text, LONGEST), Err(BitError::Offset));
    }
}

#[test]
fn arguments() {
    assert_eq!(parse_bit(b"1"), Ok(Bit::Set));
    assert_eq!(parse_bit(b"2"), Err(BitError::Value));
    assert_eq!(parse_sought(b"0"), Ok(Bit::Clear));
    assert_eq!(parse_sought(b"2"), Err(BitError::Sought));
    assert_eq!(parse_sought(b"x"), Err(BitError::NotAnInteger));
    assert_eq!(Operation::parse(b"AndOr", 2), Ok(Operation::AndOr));
    assert_eq!(Operation::parse(b"NOT", 2), Err(OperationError::NotTakesOne));
    assert_eq!(Operation::parse(b"diff", 1), Err(OperationError::TakesTwo("DIFF")));
    assert_eq!(Operation::parse(b"one", 1), Ok(Operation::One));
    assert_eq!(Operation::parse(b"nand", 1), Err(OperationError::Unknown));
}

#[test]
fn single_bits() {
    let mut value = Vec::new();
    assert_eq!(set(&mut value, 7, Bit::Set), Bit::Clear);
    assert_eq!(set(&mut value, 7, Bit::Set), Bit::Set);
    assert_eq!(set(&mut value, 17, Bit::Clear), Bit::Clear);
    assert_eq!(value, [1, 0, 0]);
    assert_eq!(set(&mut value, 7, Bit::Clear), Bit::Set);
    assert_eq!(get(b"\x80", 0), Bit::Set);
    assert_eq!(get(b"\x80", 1), Bit::Clear);
    assert_eq!(get(b"\x80", 8), Bit::Clear);
    assert_eq!(get(b"", u64::MAX), Bit::Clear);
    assert_eq!(Bit::Set.to_i64(), 1);
}

#[test]
fn counts() {
    assert_eq!(count(b"foobar", Span::ALL), 26);
    assert_eq!(count(b"foobar", span(0, 0, RangeUnit::Byte)), 4);
    assert_eq!(count(b"foobar", span(1, 1, RangeUnit::Byte)), 6);
    assert_eq!(count(b"foobar", span(5, 30, RangeUnit::Bit)), 17);
    assert_eq!(count(b"foobar", span(-1, -2, RangeUnit::Byte)), 0);
    assert_eq!(count(b"foobar", span(-90, -99, RangeUnit::Byte)), 0);
    assert_eq!(count(b"foobar", span(-99, -90, RangeUnit::Byte)), 4);
    assert_eq!(count(b"foobar", span(6, 9, RangeUnit::Byte)), 0);
    assert_eq!(count(b"", span(0, -1, RangeUnit::Bit)), 0);
    assert_eq!(count(b"foobar", span(i64::MIN, i64::MAX, RangeUnit::Bit)), 26);
}

#[test]
fn positions() {
    let byte = |start, end| Span { start, end, unit: RangeUnit::Byte };
    assert_eq!(position(Some(b"\xff\xf0\x00"), Bit::Clear, Span::ALL), Some(12));
    assert_eq!(position(Some(b"\x00\xff\xf0"), Bit::Set, byte(0, None)), Some(8));
    assert_eq!(position(Some(b"\x00\xff\xf0"), Bit::Set, byte(2, None)), Some(16));
    assert_eq!(position(Some(b"\x00\xff\xf0"), Bit::Set, span(7, 15, RangeUnit::Bit)), Some(8));
    assert_eq!(position(Some(b"\x00\x00\x00"), Bit::Set, Span::ALL), None);
    // All set: the clear bit behind is found unless an end is given.
    assert_eq!(position(Some(b"\xff\xff"), Bit::Clear, Span::ALL), Some(16));
    assert_eq!(position(Some(b"\xff\xff"), Bit::Clear, byte(1, None)), Some(16));
    assert_eq!(position(Some(b"\xff\xff"), Bit::Clear, byte(0, Some(-1))), None);
    assert_eq!(position(Some(b"\xff\xff"), Bit::Clear, byte(2, None)), None);
    assert_eq!(position(Some(b"\xff\xff"), Bit::Clear, span(3, 99, RangeUnit::Bit)), None);
    // Nothing there is not the same as nothing in it.
    assert_eq!(position(None, Bit::Clear, byte(5, Some(6))), Some(0));
    assert_eq!(position(None, Bit::Set, Span::ALL), None);
    assert_eq!(position(Some(b""), Bit::Clear, Span::ALL), None);
    assert_eq!(position(Some(b""), Bit::Set, Span::ALL), None);
}

#[test]
fn combinations() {
    let bits = |operation, sources: &[&[u8]]| combine(operation, sources);
    assert_eq!(bits(Operation::And, &[b"\xff\x0f\xff", b"\x3c\xff"]), b"\x3c\x0f\x00");
    assert_eq!(bits(Operation::Or, &[b"\x01", b"\x02\x03"]), b"\x03\x03");
    assert_eq!(bits(Operation::Xor, &[b"\x01", b"\x03\x03", b"\x01"]), b"\x03\x03");
    assert_eq!(bits(Operation::Not, &[b"\x00\xf0"]), b"\xff\x0f");
    assert_eq!(bits(Operation::Diff, &[b"\xff", b"\x0f", b"\x10\xff"]), b"\xe0\x00");
    assert_eq!(bits(Operation::Diff1, &[b"\xf0", b"\x1f", b"\x00\xff"]), b"\x0f\xff");
    assert_eq!(bits(Operation::AndOr, &[b"\xf0", b"\x1f", b"\x80\xff"]), b"\x90\x00");
    assert_eq!(bits(Operation::One, &[b"\x17", b"\x26", b"\x4d"]), b"\x78");
    assert_eq!(bits(Operation::Or, &[b"", b""]), b"");
}

/// Each bit as the definition says.
fn combine_slowly(operation: Operation, sources: &[&[u8]]) -> Vec<u8> {
    let length = sources.iter().map(|source| source.len()).max().unwrap_or(0);
    let mut result = vec![0; length];
    for offset in 0..length as u64 * 8 {
        let set_in = |source: &&&[u8]| get(source, offset) == Bit::Set;
        let first = set_in(&&sources[0]);
        let others = sources[1..].iter().any(|source| set_in(&source));
        let many = sources.iter().filter(set_in).count();
        let bit = match operation {
            Operation::And => many == sources.len(),
            Operation::Or => many > 0,
            Operation::Xor => many % 2 == 1,
            Operation::Not => !first,
            Operation::Diff => first && !others,
            Operation::Diff1 => !first && others,
            Operation::AndOr => first && others,
            Operation::One => many == 1,
        };
        set(&mut result, offset, if bit { Bit::Set } else { Bit::Clear });
    }
    result
}

fn any_span() -> impl Strategy<Value = Span> {
    let unit = prop_oneof![Just(RangeUnit::Byte), Just(RangeUnit::Bit)];
    (-200i64..200, proptest::option::of(-200i64..200), unit).prop_map(|(start, end, unit)| Span {
        start,
        end,
        unit,
    })
}

/// Mostly long runs, so that whole words are skipped.
fn any_value() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![5 => Just(0u8), 5 => Just(0xff), 1 => any::<u8>()];
    let run = (byte, 1usize..12).prop_map(|(byte, times)| vec![byte; times]);
    proptest::collection::vec(run, 0..4).prop_map(|runs| runs.concat())
}

proptest! {
    #[test]
    fn counts_and_positions_bit_by_bit(value in any_value(), span in any_span()) {
        let inside = span.bits(value.len()).map_or(0..0, |(start, end)| start..end);
        let set = inside.clone().filter(|offset| get(&value, *offset) == Bit::Set).count();
        let reversed = span.end.is_some_and(|end| end < 0 && span.start > end) && span.start < 0;
        prop_assert_eq!(count(&value, span), if reversed { 0 } else { set as u64 });
        for sought in [Bit::Set, Bit::Clear] {
            let found = inside.clone().find(|offset| get(&value, *offset) == sought);
            let past = sought == Bit::Clear && span.end.is_none() && !inside.is_empty();
            let expected = found.or(past.then_some(value.len() as u64 * 8));
            prop_assert_eq!(position(Some(&value), sought, span), expected);
        }
    }

    #[test]
    fn combines_bit_by_bit(values in proptest::collection::vec(any_value(), 2..5)) {
        let sources: Vec<&[u8]> = values.iter().map(Vec::as_slice).collect();
        for operation in [Operation::And, Operation::Or, Operation::Xor, Operation::Diff,
            Operation::Diff1, Operation::AndOr, Operation::One] {
            prop_assert_eq!(combine(operation, &sources), combine_slowly(operation, &sources));
        }
        prop_assert_eq!(
            combine(Operation::Not, &sources[..1]), combine_slowly(Operation::Not, &sources[..1])
        );
    }
}

#[test]
fn combines_across_blocks() {
    let long: Vec<u8> = (0..BLOCK * 2 + 100).map(|place| ((place * 7) >> 3) as u8).collect();
    let short = vec![0x5a; BLOCK + 5];
    for operation in [Operation::And, Operation::Diff, Operation::Diff1, Operation::One] {
        for sources in [[&long[..], &short[..]], [&short[..], &long[..]]] {
            assert_eq!(combine(operation, &sources), combine_slowly(operation, &sources));
        }
    }
}
