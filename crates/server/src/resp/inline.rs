//! Requests typed by hand: words on a line, with quotes, as `telnet` users send them.

/// Why a line could not be split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnbalancedQuotes;

/// Splits a line into words and hands each to `word`: separated by white space, `"…"` with the
/// escapes `\n \r \t \b \a \xHH`, `'…'` with `\'`.
///
/// # Errors
/// If a quote is not closed, or is followed by something other than white space.
pub fn split(line: &[u8], mut word: impl FnMut(&[u8])) -> Result<(), UnbalancedQuotes> {
    let mut rest = line;
    let mut text = Vec::new();
    loop {
        let blank = rest.iter().take_while(|byte| byte.is_ascii_whitespace()).count();
        rest = &rest[blank..];
        if rest.is_empty() {
            return Ok(());
        }
        text.clear();
        rest = match rest[0] {
            b'"' => double_quoted(&rest[1..], &mut text)?,
            b'\'' => single_quoted(&rest[1..], &mut text)?,
            _ => plain(rest, &mut text)?,
        };
        word(&text);
    }
}

/// A word without quotes at its start; quotes inside begin a quoted part.
fn plain<'l>(mut rest: &'l [u8], text: &mut Vec<u8>) -> Result<&'l [u8], UnbalancedQuotes> {
    while let [first, after @ ..] = rest {
        match first {
            b'"' => return double_quoted(after, text),
            b'\'' => return single_quoted(after, text),
            byte if byte.is_ascii_whitespace() => return Ok(rest),
            byte => text.push(*byte),
        }
        rest = after;
    }
    Ok(rest)
}

fn double_quoted<'l>(mut rest: &'l [u8], text: &mut Vec<u8>) -> Result<&'l [u8], UnbalancedQuotes> {
    loop {
        rest = match rest {
            [b'\\', b'x', high, low, after @ ..]
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                text.push(hex_digit(*high) << 4 | hex_digit(*low));
                after
            }
            [b'\\', escaped, after @ ..] => {
                text.push(match escaped {
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    b'b' => 8,
                    b'a' => 7,
                    other => *other,
                });
                after
            }
            [b'"', after @ ..] => return closed(after),
            [byte, after @ ..] => {
                text.push(*byte);
                after
            }
            [] => return Err(UnbalancedQuotes),
        };
    }
}

fn single_quoted<'l>(mut rest: &'l [u8], text: &mut Vec<u8>) -> Result<&'l [u8], UnbalancedQuotes> {
    loop {
        rest = match rest {
            [b'\\', b'\'', after @ ..] => {
                text.push(b'\'');
                after
            }
            [b'\'', after @ ..] => return closed(after),
            [byte, after @ ..] => {
                text.push(*byte);
                after
            }
            [] => return Err(UnbalancedQuotes),
        };
    }
}

fn closed(rest: &[u8]) -> Result<&[u8], UnbalancedQuotes> {
    match rest.first() {
        Some(byte) if !byte.is_ascii_whitespace() => Err(UnbalancedQuotes),
        _ => Ok(rest),
    }
}

fn hex_digit(digit: u8) -> u8 {
    (digit as char).to_digit(16).map_or(0, |value| value as u8)
}
