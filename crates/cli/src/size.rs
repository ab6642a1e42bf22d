//! Numbers of bytes as they are written on the command line: `4096`, `64KiB`, `512MB`, `1GiB`.

/// The units, in bytes: those with an `i` count by 1024, the others by 1000.
const UNITS: [(&str, u64); 8] = [
    ("", 1),
    ("B", 1),
    ("kB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
];

/// A whole number, with or without a unit.
///
/// # Errors
/// What may be written instead.
pub fn parse(text: &str) -> Result<u64, String> {
    let number_ends = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(number_ends);
    let bytes = UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit));
    let (Some((_, bytes)), Ok(number)) = (bytes, number.parse::<u64>()) else {
        return Err("write a whole number and a unit, such as 512KiB, 64MiB or 1GiB".to_owned());
    };
    number.checked_mul(*bytes).ok_or_else(|| "too many bytes".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_with_their_unit() {
        for (text, bytes) in [
            ("0", 0),
            ("4096", 4096),
            ("7B", 7),
            ("64KiB", 65_536),
            ("64kib", 65_536),
            ("1kB", 1000),
            ("64MiB", 67_108_864),
            ("3MB", 3_000_000),
            ("1GiB", 1_073_741_824),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
        for wrong in ["", "MiB", "-1", "1.5MiB", "1 MiB", "1M", "1TB", "99999999999999999999"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert_eq!(parse("99999999999GiB"), Err("too many bytes".to_owned()));
    }
}
