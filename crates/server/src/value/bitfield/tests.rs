//! Tests of `BITFIELD`: known answers, and integers told bit by bit.

use super::super::bits::{self, Bit};
use super::*;
use proptest::prelude::*;

const LONGEST: usize = 512 << 20;

fn steps(text: &str) -> Result<Vec<Step>, BitfieldError> {
    let arguments: Vec<&str> = text.split_whitespace().collect();
    parse(&arguments, LONGEST, Access::ReadWrite)
}

#[track_caller]
fn run(value: &mut Vec<u8>, text: &str) -> Vec<Option<i64>> {
    apply(value, &steps(text).expect("the text is right")).replies
}

#[test]
fn documented_examples() {
    let mut value = Vec::new();
    assert_eq!(run(&mut value, "INCRBY i5 100 1 GET u4 0"), [Some(1), Some(0)]);
    value.clear();
    let text = "incrby u2 100 1 OVERFLOW SAT incrby u2 102 1";
    assert_eq!(run(&mut value, text), [Some(1), Some(1)]);
    assert_eq!(run(&mut value, text), [Some(2), Some(2)]);
    assert_eq!(run(&mut value, text), [Some(3), Some(3)]);
    assert_eq!(run(&mut value, text), [Some(0), Some(3)]);
    assert_eq!(run(&mut value, "OVERFLOW FAIL incrby u2 102 1"), [None]);
}

#[test]
fn offsets_in_integers() {
    let mut value = Vec::new();
    assert_eq!(run(&mut value, "SET u8 #0 65 SET u8 #1 66 set u8 #2 67"), [Some(0); 3]);
    assert_eq!(value, b"ABC");
    assert_eq!(run(&mut value, "SET u8 7 23"), [Some(0xa1)]);
    assert_eq!(run(&mut value, "GET u8 7 GET u63 0 GET u8 999"), {
        [Some(23), Some(0x40_2e_43_00_00_00_00_00_i64 >> 1), Some(0)]
    });
}

#[test]
fn overflows_of_signed_integers() {
    let mut value = Vec::new();
    assert_eq!(run(&mut value, "SET i8 0 127 INCRBY i8 0 1 GET i8 0"), {
        [Some(0), Some(-128), Some(-128)]
    });
    assert_eq!(run(&mut value, "OVERFLOW SAT INCRBY i8 0 -1 INCRBY i8 0 9000"), {
        [Some(-128), Some(127)]
    });
    assert_eq!(run(&mut value, "OVERFLOW FAIL SET i8 0 128 SET i8 0 -128"), [None, Some(127)]);
    assert_eq!(run(&mut value, "SET i8 0 -129 GET i8 0"), [Some(-128), Some(127)]);
    value.clear();
    assert_eq!(run(&mut value, "SET i64 0 9223372036854775807 INCRBY i64 0 1"), {
        [Some(0), Some(i64::MIN)]
    });
    assert_eq!(run(&mut value, "OVERFLOW SAT INCRBY i64 0 -1 INCRBY i64 0 5"), {
        [Some(i64::MIN), Some(i64::MIN + 5)]
    });
    assert_eq!(run(&mut value, "SET i1 0 1 GET i1 0"), [Some(-1), Some(-1)]);
    value.clear();
    // Where Redis' own 64 bits overflow.
    let text = "OVERFLOW SAT SET i8 0 -9223372036854775808 SET i8 0 -9223372036854775680 GET i8 0";
    assert_eq!(run(&mut value, text), [Some(0), Some(127), Some(-128)]);
}

#[test]
fn overflows_of_unsigned_integers() {
    let mut value = Vec::new();
    assert_eq!(run(&mut value, "SET u8 0 -1 GET u8 0"), [Some(0), Some(255)]);
    assert_eq!(run(&mut value, "INCRBY u8 0 1 INCRBY u8 0 -1"), [Some(0), Some(255)]);
    assert_eq!(run(&mut value, "OVERFLOW SAT INCRBY u8 0 -300 SET u8 0 -1"), [Some(0), Some(0)]);
    assert_eq!(value, b"\xff");
    assert_eq!(run(&mut value, "OVERFLOW FAIL INCRBY u8 0 1 SET u8 0 256"), [None, None]);
    assert_eq!(run(&mut value, "SET u63 0 -1 INCRBY u63 0 9223372036854775807"), {
        [Some(0x7f80_0000_0000_0000), Some(i64::MAX - 1)]
    });
}

#[test]
fn what_changes() {
    let change = |value: &mut Vec<u8>, text| apply(value, &steps(text).expect("right")).change;
    let mut value = Vec::new();
    assert_eq!(change(&mut value, "GET u8 100"), Change::None);
    assert!(value.is_empty());
    assert_eq!(change(&mut value, "OVERFLOW FAIL SET u8 9 300"), Change::Changed);
    assert_eq!(value, [0, 0, 0]);
    assert_eq!(change(&mut value, "OVERFLOW FAIL SET u8 9 300 SET u8 0 0"), Change::None);
    assert_eq!(change(&mut value, "INCRBY u8 16 1"), Change::Changed);
    assert_eq!(read(&value, &steps("GET i8 16 GET i8 17").expect("right")), [Some(1), Some(2)]);
}

#[test]
fn refusals() {
    for (text, error) in [
        ("GET u8", BitfieldError::Syntax),
        ("SET u8 0", BitfieldError::Syntax),
        ("OVERFLOW", BitfieldError::Syntax),
        ("PUT u8 0 1", BitfieldError::Syntax),
        ("GET u64 0", BitfieldError::Type),
        ("GET i65 0", BitfieldError::Type),
        ("GET u0 0", BitfieldError::Type),
        ("GET U8 0", BitfieldError::Type),
        ("GET i08 0", BitfieldError::Type),
        ("GET u8 -1", BitfieldError::Offset),
        ("GET u8 4294967296", BitfieldError::Offset),
        ("GET u8 #536870912", BitfieldError::Offset),
        ("GET u63 #9223372036854775807", BitfieldError::Offset),
        ("GET u8 ##1", BitfieldError::Offset),
        ("SET u8 0 x", BitfieldError::NotAnInteger(NotAnInteger)),
        ("SET u8 x x", BitfieldError::Offset),
        ("OVERFLOW never", BitfieldError::Overflow),
    ] {
        assert_eq!(steps(text), Err(error), "{text}");
    }
    assert!(steps("GET u8 #536870911 GET i64 4294967295 OVERFLOW sat").is_ok());
    let read_only = |text: &str| {
        let arguments: Vec<&str> = text.split_whitespace().collect();
        parse(&arguments, LONGEST, Access::ReadOnly).map(|steps| steps.len())
    };
    assert_eq!(read_only("GET u8 0"), Ok(1));
    assert_eq!(read_only("SET u8 0 1"), Err(BitfieldError::ReadOnly));
    assert_eq!(read_only("SET u8 0 1 GET"), Err(BitfieldError::Syntax));
}

proptest! {
    #[test]
    fn puts_and_tells_bit_by_bit(
        before in proptest::collection::vec(any::<u8>(), 0..24),
        width in 1u32..=64, offset in 0u64..200, number: i64,
    ) {
        let name = if width == 64 { "i64".to_owned() } else { format!("u{width}") };
        let kind = Type::parse(name.as_bytes()).expect("it is one");
        let told = (0..u64::from(width)).fold(0u64, |sum, bit| {
            sum << 1 | bits::get(&before, offset + bit).to_i64() as u64
        });
        prop_assert_eq!(kind.load(&before, offset), told.cast_signed());

        let mut value = before.clone();
        apply(&mut value, &[Step { action: Action::Set(number, Overflow::Wrap), kind, offset }]);
        let mut expected = before;
        for bit in 0..u64::from(width) {
            let state = number >> (u64::from(width) - 1 - bit) & 1;
            let state = if state == 1 { Bit::Set } else { Bit::Clear };
            bits::set(&mut expected, offset + bit, state);
        }
        prop_assert_eq!(value, expected);
    }
}
