//! `tsv`: key, tab, value. A tab, newline, carriage return or backslash in either is written as
//! `\t`, `\n`, `\r` or `\\`; every other byte as it is.

use super::Operation;
use crate::store::Record;

/// What stands for what.
const ESCAPES: [(u8, u8); 4] = [(b'\t', b't'), (b'\n', b'n'), (b'\r', b'r'), (b'\\', b'\\')];

/// The key and value on a line.
///
/// # Errors
/// If there is not exactly one tab, or an escape is unknown.
pub fn parse(line: &[u8]) -> Result<Operation, String> {
    let mut fields = line.split(|byte| *byte == b'\t');
    let (Some(key), Some(value), None) = (fields.next(), fields.next(), fields.next()) else {
        return Err(
            "expected a key, one tab and a value (a tab inside them is written \\t)".to_owned()
        );
    };
    Ok(Operation::Set { key: unescape(key)?, value: unescape(value)?, expires_at: None })
}

/// Appends key, tab and value.
pub fn write(record: &Record, line: &mut Vec<u8>) {
    escape(&record.key, line);
    line.push(b'\t');
    escape(&record.value, line);
}

/// Appends `bytes` such that they stay on one line and in one field.
pub fn escape(bytes: &[u8], line: &mut Vec<u8>) {
    for byte in bytes {
        match ESCAPES.iter().find(|(plain, _)| plain == byte) {
            Some((_, letter)) => line.extend_from_slice(&[b'\\', *letter]),
            None => line.push(*byte),
        }
    }
}

fn unescape(field: &[u8]) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::with_capacity(field.len());
    let mut rest = field.iter();
    while let Some(byte) = rest.next() {
        if *byte != b'\\' {
            bytes.push(*byte);
            continue;
        }
        let letter = rest.next().ok_or("a backslash at the end; write it as \\\\")?;
        match ESCAPES.iter().find(|(_, known)| known == letter) {
            Some((plain, _)) => bytes.push(*plain),
            None => {
                let letter = char::from(*letter);
                return Err(format!("unknown escape \\{letter}; known: \\t \\n \\r \\\\"));
            }
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_one_tab_and_known_escapes() {
        let wrong: [&[u8]; 6] = [b"", b"key", b"a\tb\tc", b"a\tb\\", b"a\\x\tb", b"a\t\\0"];
        for line in wrong {
            assert!(parse(line).is_err(), "{line:?}");
        }
        let read = parse(b"a\\tb\t\\\\n\\n");
        let (key, value) = (b"a\tb".to_vec(), b"\\n\n".to_vec());
        assert_eq!(read, Ok(Operation::Set { key, value, expires_at: None }));
    }
}
