//! Sizes and spans of time as they are written: `512mb`, `64KiB`, `4096`; `500ms`, `10s`, `5m`.

use std::time::Duration;

/// The units of sizes, in bytes, as in Redis: with a `b` they count by 1024, without by 1000. Those
/// with an `i` say so themselves.
const SIZES: [(&str, u64); 11] = [
    ("gb", 1 << 30),
    ("mb", 1 << 20),
    ("kb", 1 << 10),
    ("", 1),
    ("b", 1),
    ("k", 1_000),
    ("m", 1_000_000),
    ("g", 1_000_000_000),
    ("kib", 1 << 10),
    ("mib", 1 << 20),
    ("gib", 1 << 30),
];

/// The units of time, in milliseconds, longest first.
const SPANS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Where the digits end that a text begins with.
fn split(text: &str) -> (&str, &str) {
    text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()))
}

/// Bytes of a whole number with or without a unit, whatever the case of the unit.
pub fn parse_size(text: &str) -> Option<u64> {
    let (number, unit) = split(text);
    let (_, bytes) = SIZES.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    number.parse::<u64>().ok()?.checked_mul(*bytes)
}

/// A size with the largest unit that leaves a whole number.
pub fn show_size(bytes: u64) -> String {
    let fits = |length: u64| bytes != 0 && bytes.is_multiple_of(length);
    let (unit, length) = SIZES.iter().find(|(_, length)| fits(*length)).unwrap_or(&("", 1));
    format!("{}{unit}", bytes / length)
}

/// A whole number with its unit.
pub fn parse_span(text: &str) -> Option<Duration> {
    let (number, unit) = split(text);
    let (_, length) = SPANS.iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(*length).map(Duration::from_millis)
}

/// A span of time with the largest unit that leaves a whole number.
pub fn show_span(span: Duration) -> String {
    let total = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    let fits = |length: u64| total != 0 && total.is_multiple_of(length);
    let (unit, length) = SPANS.iter().find(|(_, length)| fits(*length)).unwrap_or(&("s", 1_000));
    format!("{}{unit}", total / length)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_those_of_redis_and_a_few_more() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("7b", 7),
            ("1k", 1_000),
            ("1kb", 1_024),
            ("64KB", 65_536),
            ("64KiB", 65_536),
            ("2m", 2_000_000),
            ("2mb", 2 << 20),
            ("2MiB", 2 << 20),
            ("1g", 1_000_000_000),
            ("1gb", 1 << 30),
            ("1GiB", 1 << 30),
        ] {
            assert_eq!(parse_size(text), Some(bytes), "{text}");
        }
        for wrong in ["", "mb", "-1", "+1", "1.5mb", "1 mb", "5%", "1tb", "99999999999999999999"] {
            assert_eq!(parse_size(wrong), None, "{wrong}");
        }
        assert_eq!(parse_size("99999999999gb"), None);
    }

    #[test]
    fn spans_have_a_unit() {
        for (text, milliseconds) in
            [("500ms", 500), ("10s", 10_000), ("5m", 300_000), ("1h", 3_600_000), ("0s", 0)]
        {
            assert_eq!(parse_span(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for wrong in ["", "10", "s", "-1s", "1.5s", "1 s", "1S", "213503982335d0"] {
            assert_eq!(parse_span(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_shown_can_be_read_again() {
        for bytes in [0, 1, 1_000, 1_023, 1_024, 65_536, 1 << 20, 5 << 30, u64::MAX] {
            assert_eq!(parse_size(&show_size(bytes)), Some(bytes));
        }
        assert_eq!(show_size(512 << 20), "512mb");
        for milliseconds in [0, 1, 999, 1_000, 60_000, 90_000, 86_400_000] {
            let span = Duration::from_millis(milliseconds);
            assert_eq!(parse_span(&show_span(span)), Some(span));
        }
        assert_eq!(show_span(Duration::from_secs(60)), "1m");
    }
}
