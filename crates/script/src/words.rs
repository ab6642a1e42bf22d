//! The words of a line.

/// The bytes that a text with escapes stands for.
///
/// # Panics
/// If it holds a quote that is not closed.
pub fn unescaped(text: &str) -> Vec<u8> {
    let quoted = format!("\"{}\"", text.replace('"', "\\\""));
    words(&quoted).unwrap_or_else(|| panic!("no bytes: {text:?}")).swap_remove(0)
}

/// The words of a line, with the quotes and escapes of `redis-cli`; none if a quote is open.
pub fn words(line: &str) -> Option<Vec<Vec<u8>>> {
    let mut words = Vec::new();
    let mut rest = line.as_bytes();
    loop {
        rest = rest.trim_ascii_start();
        let (word, behind) = match rest {
            [] => return Some(words),
            [b'"', behind @ ..] => double_quoted(behind)?,
            [b'\'', behind @ ..] => {
                let end = behind.iter().position(|byte| *byte == b'\'')?;
                (behind[..end].to_vec(), &behind[end + 1..])
            }
            _ => {
                let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
                (rest[..end].to_vec(), &rest[end..])
            }
        };
        words.push(word);
        rest = behind;
    }
}

fn double_quoted(text: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut word = Vec::new();
    let mut rest = text;
    loop {
        rest = match rest {
            [] => return None,
            [b'"', behind @ ..] => return Some((word, behind)),
            [b'\\', b'x', high, low, behind @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                let digits = [*high, *low];
                let digits = str::from_utf8(&digits).expect("hexadecimal digits");
                word.push(u8::from_str_radix(digits, 16).expect("hexadecimal digits"));
                behind
            }
            [b'\\', escape, behind @ ..] => {
                word.push(match escape {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 0x08,
                    b'a' => 0x07,
                    other => *other,
                });
                behind
            }
            [byte, behind @ ..] => {
                word.push(*byte);
                behind
            }
        };
    }
}

#[test]
fn words_as_in_a_terminal() {
    let read = |line: &str| words(line).map(|words| words.concat().escape_ascii().to_string());
    assert_eq!(words("SET a  b").map(|words| words.len()), Some(3));
    assert_eq!(read(r#""a\x00\n\"b" 'c d'"#).as_deref(), Some(r#"a\x00\n\"bc d"#));
    assert_eq!(words("\"open"), None);
    assert_eq!(unescaped("a\\r\\n"), b"a\r\n");
}
