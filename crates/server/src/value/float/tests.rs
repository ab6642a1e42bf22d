//! Tests of floats: what a Redis 7.0.15 on x86-64 answered.

use super::*;
use proptest::prelude::*;

#[track_caller]
fn sum(value: &str, by: &str) -> String {
    match increment(Some(value.as_bytes()), by.as_bytes()) {
        Ok(text) => String::from_utf8(text).expect("it is digits"),
        Err(error) => error.to_string(),
    }
}

const NOT_A_FLOAT: &str = "value is not a valid float";
const NOT_FINITE: &str = "increment would produce NaN or Infinity";

#[test]
fn ordinary_sums() {
    assert_eq!(sum("3.0", "1.1"), "4.1");
    assert_eq!(sum("10.50", "0.1"), "10.6");
    assert_eq!(sum("10.6", "-5"), "5.6");
    assert_eq!(sum("5.0e3", "2.0e2"), "5200");
    assert_eq!(sum("0.1", "0.2"), "0.3");
    assert_eq!(sum("1e20", "0"), "100000000000000000000");
    assert_eq!(sum("100", "-100"), "0");
    assert_eq!(sum("-1.5", "0.25"), "-1.25");
    assert_eq!(increment(None, b"7.250"), Ok(b"7.25".to_vec()));
}

#[test]
fn edges_of_precision() {
    assert_eq!(sum("1e28", "0"), "9999999999999999999731564544");
    assert_eq!(sum("1e17", "0.1"), "100000000000000000.1015625");
    assert_eq!(sum("1234567890123456789", "0.1"), "1234567890123456789.125");
    assert_eq!(sum("9007199254740993", "0"), "9007199254740993");
    assert_eq!(sum("18446744073709551615", "1"), "18446744073709551616");
    assert_eq!(sum("36893488147419103233", "0"), "36893488147419103232");
    assert_eq!(sum("123456.789", "-123456.7889"), "0.00010000000000332");
    assert_eq!(sum("-21.78", "-113.87"), "-135.65000000000000001");
    assert_eq!(sum("0.00000000000000001", "0.00000000000000002"), "0.00000000000000003");
    // The last digit written.
    assert_eq!(sum("5e-18", "0"), "0");
    assert_eq!(sum("5.0000001e-18", "0"), "0.00000000000000001");
    assert_eq!(sum("-4e-18", "0"), "0");
    assert_eq!(sum("-0", "-0"), "0");
}

#[test]
fn ways_to_write_a_number() {
    assert_eq!(sum("0x1p3", "0x.8"), "8.5");
    assert_eq!(sum("0X1F.8p-1", "0"), "15.75");
    assert_eq!(sum("0x10", "1E+1"), "26");
    assert_eq!(sum("+1", "1."), "2");
    assert_eq!(sum(".5", "-.25"), "0.25");
    assert_eq!(sum("0e99999999999999999999", "1"), "1");
    for text in [
        "", " 1", "1 ", "1e", "1e+", ".", "-", "0x", "0x.p1", "0x1p", "1.1.1", "--1", "1,5", "1f",
        "infinit", "1_0", "0b1", "1\0", "nan", "nan(1)", "é",
    ] {
        assert_eq!(sum(text, "1"), NOT_A_FLOAT, "{text:?}");
        assert_eq!(sum("1", text), NOT_A_FLOAT, "{text:?}");
    }
}

#[test]
fn edges_of_the_range() {
    let large = sum("1e4932", "1");
    assert_eq!(large.len(), 4933);
    assert!(large.starts_with("100000000000000000000601894938796389132383777425453311477378"));
    assert_eq!(sum("1e-4950", "0"), "0");
    assert_eq!(sum("1.9e-4951", "0"), "0");
    for text in [
        "1.19e4932",
        "1e4933",
        "-1.5e4932",
        "0x1p16384",
        "1e99999999999999999999",
        "1.8e-4951",
        "1e-4951",
        "1e-99999999999999999999",
        "0x1p-16446",
        "0x1p-99999",
    ] {
        assert_eq!(sum(text, "0"), NOT_A_FLOAT, "{text}");
    }
    assert_eq!(sum("0x1p16383", "0x1p16383"), NOT_FINITE);
    assert_eq!(sum("inf", "1"), NOT_FINITE);
    assert_eq!(sum("1", "-Infinity"), NOT_FINITE);
    assert_eq!(sum("inf", "x"), NOT_A_FLOAT);
}

#[test]
fn long_numbers() {
    let zeros = "0".repeat(LONGEST_NUMBER - 1);
    assert_eq!(sum(&format!("{zeros}1"), "1"), "2");
    assert_eq!(sum(&format!("{zeros}01"), "1"), NOT_A_FLOAT);
    let nines = "9".repeat(4900);
    assert_eq!(sum(&format!("0.{nines}"), "0"), "1");
    assert_eq!(sum(&format!("{nines}e-4900"), "0"), "1");
    assert_eq!(sum(&"1".repeat(LONGEST_NUMBER), "1"), NOT_A_FLOAT);
}

proptest! {
    /// Numbers so small that 17 digits after the point are within the precision.
    #[test]
    fn hundredths_add_up(one in -3_000i64..3_000, other in -3_000i64..3_000) {
        let decimal = |hundredths: i64| {
            let sign = if hundredths < 0 { "-" } else { "" };
            let size = hundredths.unsigned_abs();
            format!("{sign}{}.{:02}", size / 100, size % 100)
        };
        let total = decimal(one + other);
        let total = total.trim_end_matches('0').trim_end_matches('.');
        prop_assert_eq!(sum(&decimal(one), &decimal(other)), total);
    }

    #[test]
    fn integers_add_up(one in -(1i64 << 62)..1 << 62, other in -(1i64 << 62)..1 << 62) {
        prop_assert_eq!(sum(&one.to_string(), &other.to_string()), (one + other).to_string());
    }

    #[test]
    fn any_text_has_an_answer(one in "[-+0-9.exp]{0,12}", other: Vec<u8>) {
        let _ = increment(Some(one.as_bytes()), &other);
        let _ = increment(None, one.as_bytes());
    }
}
