//! Spans of time as they are written on the command line: `500ms`, `10s`, `5m`, `1h`, `2d`.

use std::time::Duration;

use aryavarth::Durability;

/// The units, in milliseconds. `ms` stands before the `m` and `s` that it ends with.
const UNITS: [(&str, u64); 5] =
    [("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];

/// A whole number with its unit.
///
/// # Errors
/// What may be written instead.
pub fn parse(text: &str) -> Result<Duration, String> {
    let number_ends = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(number_ends);
    let milliseconds = UNITS.iter().find(|(name, _)| *name == unit).map(|(_, length)| *length);
    let (Some(length), Ok(number)) = (milliseconds, number.parse::<u64>()) else {
        return Err(
            "write a whole number and its unit, such as 500ms, 10s, 5m, 1h or 2d".to_owned()
        );
    };
    let total = number.checked_mul(length).ok_or("too long")?;
    Ok(Duration::from_millis(total))
}

/// `always`, `os`, or `interval:` and a span of time (without a unit: milliseconds).
///
/// # Errors
/// What may be written instead.
pub fn parse_durability(text: &str) -> Result<Durability, String> {
    match text {
        "always" => return Ok(Durability::Always),
        "os" => return Ok(Durability::Os),
        _ => {}
    }
    let Some(span) = text.strip_prefix("interval:") else {
        return Err("write always, os or interval:TIME, such as interval:100ms".to_owned());
    };
    let interval = match span.parse() {
        Ok(milliseconds) => Duration::from_millis(milliseconds),
        Err(_) => parse(span)?,
    };
    Ok(Durability::Interval(interval))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read_with_their_unit() {
        let spans = [("1500ms", 1500), ("10s", 10_000), ("5m", 300_000), ("0s", 0)];
        for (text, milliseconds) in spans {
            assert_eq!(parse(text), Ok(Duration::from_millis(milliseconds)), "{text}");
        }
        assert_eq!(parse("1h"), parse("60m"));
        assert_eq!(parse("2d"), parse("48h"));
        for wrong in ["", "10", "s", "-1s", "1.5s", "1 s", "1S", "10 min", "99999999999999999999s"]
        {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse("213503982335d"), Err("too long".to_owned()));
    }

    #[test]
    fn durabilities_have_names() {
        assert_eq!(parse_durability("always"), Ok(Durability::Always));
        assert_eq!(parse_durability("os"), Ok(Durability::Os));
        let tenth = Durability::Interval(Duration::from_millis(100));
        assert_eq!(parse_durability("interval:100"), Ok(tenth));
        assert_eq!(parse_durability("interval:100ms"), Ok(tenth));
        for wrong in ["", "never", "interval", "interval:", "interval:x", "Always"] {
            assert!(parse_durability(wrong).is_err(), "{wrong}");
        }
    }
}
