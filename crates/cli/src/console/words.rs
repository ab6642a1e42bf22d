//! A line as the words of a command, by the rules of redis-cli.
//!
//! ```text
//! SET k "two words\x00\n" 'it\'s'  ─▶  SET, k, two words<0><newline>, it's
//! ```
//!
//! Between double quotes `\n \r \t \b \a`, `\xHH` and a backslash before any other byte are escapes;
//! between single quotes `\'` alone is. A closing quote must end the word.

use std::iter::Peekable;
use std::slice::Iter;

/// The words of `line`; none if a quote is not closed, or not followed by a space.
pub fn split(line: &str) -> Option<Vec<Vec<u8>>> {
    split_bytes(line.as_bytes())
}

/// The words of a line that need not be text.
pub fn split_bytes(line: &[u8]) -> Option<Vec<Vec<u8>>> {
    let mut bytes = line.iter().peekable();
    let mut words = Vec::new();
    loop {
        while bytes.next_if(|byte| byte.is_ascii_whitespace()).is_some() {}
        if bytes.peek().is_none() {
            return Some(words);
        }
        words.push(word(&mut bytes)?);
    }
}

fn word(bytes: &mut Peekable<Iter<'_, u8>>) -> Option<Vec<u8>> {
    let mut word = Vec::new();
    while let Some(byte) = bytes.next_if(|byte| !byte.is_ascii_whitespace()) {
        match byte {
            b'"' => double_quoted(bytes, &mut word)?,
            b'\'' => single_quoted(bytes, &mut word)?,
            _ => {
                word.push(*byte);
                continue;
            }
        }
        // Nothing may stick to the closing quote.
        return bytes.peek().is_none_or(|next| next.is_ascii_whitespace()).then_some(word);
    }
    Some(word)
}

fn double_quoted(bytes: &mut Peekable<Iter<'_, u8>>, word: &mut Vec<u8>) -> Option<()> {
    loop {
        match bytes.next()? {
            b'"' => return Some(()),
            b'\\' => word.push(escaped(bytes)?),
            byte => word.push(*byte),
        }
    }
}

fn escaped(bytes: &mut Peekable<Iter<'_, u8>>) -> Option<u8> {
    let letter = *bytes.next()?;
    if letter == b'x' {
        let mut ahead = bytes.clone();
        let digits = (ahead.next().and_then(hex), ahead.next().and_then(hex));
        if let (Some(high), Some(low)) = digits {
            *bytes = ahead;
            return Some(high << 4 | low);
        }
    }
    Some(match letter {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'b' => 0x08,
        b'a' => 0x07,
        other => other,
    })
}

fn hex(digit: &u8) -> Option<u8> {
    char::from(*digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn single_quoted(bytes: &mut Peekable<Iter<'_, u8>>, word: &mut Vec<u8>) -> Option<()> {
    loop {
        match bytes.next()? {
            b'\'' => return Some(()),
            b'\\' if bytes.next_if_eq(&&b'\'').is_some() => word.push(b'\''),
            byte => word.push(*byte),
        }
    }
}

/// Appends `bytes` as redis-cli shows a string: between double quotes, such that [`split`] gives
/// them back.
pub fn quote(bytes: &[u8], text: &mut String) {
    text.push('"');
    for byte in bytes {
        match byte {
            b'\\' | b'"' => text.extend(['\\', char::from(*byte)]),
            b'\n' => text.push_str("\\n"),
            b'\r' => text.push_str("\\r"),
            b'\t' => text.push_str("\\t"),
            0x07 => text.push_str("\\a"),
            0x08 => text.push_str("\\b"),
            b' '..=b'~' => text.push(char::from(*byte)),
            other => text.push_str(&format!("\\x{other:02x}")),
        }
    }
    text.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<Vec<u8>> {
        split(line).unwrap()
    }

    #[test]
    fn words_stand_between_spaces() {
        assert_eq!(words("  set  k\tv "), [b"set", &b"k"[..], b"v"]);
        assert_eq!(words(""), Vec::<Vec<u8>>::new());
        assert_eq!(words("clé\\n"), ["clé\\n".as_bytes()]);
    }

    #[test]
    fn quotes_keep_words_together() {
        assert_eq!(words(r#""a b" 'c d' "" ''"#), [&b"a b"[..], b"c d", b"", b""]);
        assert_eq!(words(r#""\x00\xfF\n\r\t\a\b\"\\\q\xg""#), [b"\x00\xff\n\r\t\x07\x08\"\\qxg"]);
        assert_eq!(words(r"'it\'s \n'"), [b"it's \\n"]);
        assert_eq!(words(r#"ab"c d""#), [b"abc d"]);
    }

    #[test]
    fn quotes_must_be_closed_and_end_the_word() {
        for wrong in [r#"""#, r#""a"#, "'a", r#""a"b"#, "'a'b", r#""a\""#, r"'a\'", r#""\"#] {
            assert_eq!(split(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn what_is_quoted_is_read_back() {
        let every_byte: Vec<u8> = (0..=255).collect();
        let mut text = String::new();
        quote(&every_byte, &mut text);
        assert_eq!(words(&text), [every_byte]);
        assert!(text.is_ascii());
    }
}
