//! Replies from bytes, strictly.

use memchr::memmem;

/// Replies within replies.
const DEEPEST: usize = 16;

/// What stands behind the last whole reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing.
    Whole,
    /// The beginning of one.
    Cut,
    /// Something else.
    Malformed,
}

/// Counts the replies in `bytes`.
pub(super) fn replies(bytes: &[u8]) -> (usize, End) {
    let (mut rest, mut count) = (bytes, 0);
    while !rest.is_empty() {
        rest = match reply(rest, 0) {
            Ok(rest) => rest,
            Err(end) => return (count, end),
        };
        count += 1;
    }
    (count, End::Whole)
}

/// Takes a reply off the front.
fn reply(bytes: &[u8], depth: usize) -> Result<&[u8], End> {
    let end = memmem::find(bytes, b"\r\n").ok_or(End::Cut)?;
    let (line, rest) = (&bytes[..end], &bytes[end + 2..]);
    let text = std::str::from_utf8(line.get(1..).unwrap_or_default());
    let number = || text.ok().and_then(|text| text.parse::<i64>().ok()).ok_or(End::Malformed);
    let is = |right: bool| if right { Ok(rest) } else { Err(End::Malformed) };
    match line.first() {
        Some(b'+' | b'-') => is(!line.contains(&b'\r') && !line.contains(&b'\n')),
        Some(b':') => number().map(|_| rest),
        Some(b'_') => is(line.len() == 1),
        Some(b'#') => is(matches!(line, b"#t" | b"#f")),
        Some(b',') => is(text.is_ok_and(|text| text.parse::<f64>().is_ok())),
        Some(b'(') => is(line[1..].iter().all(|byte| byte.is_ascii_digit() || *byte == b'-')),
        Some(b'$' | b'=') => match number()? {
            -1 => Ok(rest),
            length => {
                let length = usize::try_from(length).map_err(|_| End::Malformed)?;
                let end = rest.get(length..).ok_or(End::Cut)?;
                match end {
                    [b'\r', b'\n', rest @ ..] => Ok(rest),
                    [] | [b'\r'] => Err(End::Cut),
                    _ => Err(End::Malformed),
                }
            }
        },
        Some(kind @ (b'*' | b'~' | b'>' | b'%')) if depth < DEEPEST => {
            let count = number()?;
            if count == -1 {
                return Ok(rest);
            }
            let count = u64::try_from(count).map_err(|_| End::Malformed)?;
            let count = if *kind == b'%' { 2 * count } else { count };
            (0..count).try_fold(rest, |rest, _| reply(rest, depth + 1))
        }
        _ => Err(End::Malformed),
    }
}
