//! Replies of servers, from bytes.

/// A reply of RESP 2.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// `+OK`
    Simple(String),
    /// `-ERR …`
    Error(String),
    /// `:1`
    Integer(i64),
    /// `$1`, or none
    Bulk(Option<Vec<u8>>),
    /// `*2`, or none
    Array(Option<Vec<Reply>>),
}

/// Takes the first reply off the bytes; none if it is not whole.
///
/// # Errors
/// If it is none at all.
pub fn take(bytes: &mut Vec<u8>) -> Result<Option<Reply>, String> {
    let mut rest = &bytes[..];
    let reply = parse(&mut rest)?;
    if reply.is_some() {
        let used = bytes.len() - rest.len();
        bytes.drain(..used);
    }
    Ok(reply)
}

fn parse(rest: &mut &[u8]) -> Result<Option<Reply>, String> {
    let bytes = *rest;
    let Some(end) = bytes.windows(2).position(|pair| pair == b"\r\n") else { return Ok(None) };
    let wrong = || format!("no reply: {:?}", bytes.escape_ascii().to_string());
    let line = std::str::from_utf8(&bytes[..end]).map_err(|_| wrong())?;
    *rest = &bytes[end + 2..];
    let (kind, text) = (line.get(..1).ok_or_else(wrong)?, &line[1..]);
    let number = || text.parse::<i64>().map_err(|_| wrong());
    Ok(Some(match kind {
        "+" => Reply::Simple(text.to_owned()),
        "-" => Reply::Error(text.to_owned()),
        ":" => Reply::Integer(number()?),
        "$" => {
            let Ok(length) = usize::try_from(number()?) else { return Ok(Some(Reply::Bulk(None))) };
            let Some(value) = rest.get(..length + 2) else { return Ok(None) };
            *rest = &rest[length + 2..];
            Reply::Bulk(Some(value[..length].to_vec()))
        }
        "*" => {
            let Ok(length) = usize::try_from(number()?) else {
                return Ok(Some(Reply::Array(None)));
            };
            let mut parts = Vec::new();
            for _ in 0..length {
                let Some(part) = parse(rest)? else { return Ok(None) };
                parts.push(part);
            }
            Reply::Array(Some(parts))
        }
        _ => return Err(wrong()),
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_taken_one_by_one_once_they_are_whole() {
        let whole = b"+OK\r\n*3\r\n:1\r\n$2\r\nab\r\n$-1\r\n-ERR no\r\n";
        let parts = vec![Reply::Integer(1), Reply::Bulk(Some(b"ab".to_vec())), Reply::Bulk(None)];
        let (mut bytes, mut taken) = (Vec::new(), Vec::new());
        for byte in whole {
            bytes.push(*byte);
            taken.extend(take(&mut bytes).unwrap());
        }
        let array = Reply::Array(Some(parts));
        assert_eq!(taken, [Reply::Simple("OK".into()), array, Reply::Error("ERR no".into())]);
        assert!(take(&mut b"?\r\n".to_vec()).is_err());
    }
}
