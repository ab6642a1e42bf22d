//! As much of the Redis protocol as a client of strings needs, over one connection.
//!
//! ```text
//!  out   *3 $3 SET $24 key:… $128 …  *3 $3 SET …        all of a batch in one write
//!  in    +OK  +OK  -MOVED 77 127.0.0.1:7002             as many replies, in the same order
//! ```

use std::io::{self, Write};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// The most that an answer's arrays nest.
const DEPTH: usize = 8;

/// An answer.
#[derive(Debug, PartialEq)]
pub enum Reply<'b> {
    Simple(&'b [u8]),
    Error(&'b [u8]),
    Integer(i64),
    Bulk(Option<&'b [u8]>),
    Array(Vec<Reply<'b>>),
}

/// Adds a request to `out`.
pub fn write_request(out: &mut Vec<u8>, words: &[&[u8]]) {
    // Writing to a vector does not fail.
    let _ = write!(out, "*{}\r\n", words.len());
    for word in words {
        let _ = write!(out, "${}\r\n", word.len());
        out.extend_from_slice(word);
        out.extend_from_slice(b"\r\n");
    }
}

/// The first reply in `bytes` and its length; none while it is not complete.
///
/// # Errors
/// If it is not of the protocol.
pub fn parse(bytes: &[u8]) -> io::Result<Option<(Reply<'_>, usize)>> {
    parse_nested(bytes, DEPTH)
}

fn parse_nested(bytes: &[u8], depth: usize) -> io::Result<Option<(Reply<'_>, usize)>> {
    let Some(end) = bytes.windows(2).position(|two| two == b"\r\n") else { return Ok(None) };
    let (line, next) = (&bytes[..end], end + 2);
    let Some((&kind, rest)) = line.split_first() else { return Err(malformed(line)) };
    match kind {
        b'+' => Ok(Some((Reply::Simple(rest), next))),
        b'-' => Ok(Some((Reply::Error(rest), next))),
        b':' => Ok(Some((Reply::Integer(number(rest)?), next))),
        b'_' => Ok(Some((Reply::Bulk(None), next))),
        b'$' => {
            let Ok(length) = usize::try_from(number(rest)?) else {
                return Ok(Some((Reply::Bulk(None), next)));
            };
            let bulk = bytes.get(next..next + length + 2);
            Ok(bulk.map(|bulk| (Reply::Bulk(Some(&bulk[..length])), next + length + 2)))
        }
        b'*' if depth > 0 => {
            let (mut items, mut at) = (Vec::new(), next);
            for _ in 0..number(rest)?.max(0) {
                let Some((item, length)) = parse_nested(&bytes[at..], depth - 1)? else {
                    return Ok(None);
                };
                items.push(item);
                at += length;
            }
            Ok(Some((Reply::Array(items), at)))
        }
        _ => Err(malformed(line)),
    }
}

fn number(digits: &[u8]) -> io::Result<i64> {
    let text = std::str::from_utf8(digits).ok();
    text.and_then(|text| text.parse().ok()).ok_or_else(|| malformed(digits))
}

fn malformed(line: &[u8]) -> io::Error {
    let text = format!("not of the protocol: {:?}", String::from_utf8_lossy(line));
    io::Error::new(io::ErrorKind::InvalidData, text)
}

/// A connection. One on which anything failed is of no more use: its replies have lost their order.
#[derive(Debug)]
pub struct Connection {
    stream: TcpStream,
    input: Vec<u8>,
    /// How much of the input was taken.
    taken: usize,
}

impl Connection {
    pub async fn open(address: &str) -> io::Result<Connection> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, input: Vec::with_capacity(1 << 14), taken: 0 })
    }

    pub async fn send(&mut self, requests: &[u8]) -> io::Result<()> {
        self.stream.write_all(requests).await
    }

    /// Waits for the next reply and lets `take` see it.
    pub async fn receive<T>(&mut self, take: impl FnOnce(&Reply<'_>) -> T) -> io::Result<T> {
        loop {
            if let Some((reply, length)) = parse(&self.input[self.taken..])? {
                let result = take(&reply);
                self.taken += length;
                return Ok(result);
            }
            self.input.drain(..self.taken);
            self.taken = 0;
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_complete_or_not_there() {
        let bytes = b"*3\r\n:1\r\n$3\r\na\r\n\r\n*2\r\n$-1\r\n-MOVED 1 a:2\r\n";
        let expected = Reply::Array(vec![
            Reply::Integer(1),
            Reply::Bulk(Some(b"a\r\n")),
            Reply::Array(vec![Reply::Bulk(None), Reply::Error(b"MOVED 1 a:2")]),
        ]);
        for length in 0..bytes.len() {
            assert_eq!(parse(&bytes[..length]).unwrap(), None, "{length}");
        }
        let more = [bytes.as_slice(), b"+OK\r\n"].concat();
        assert_eq!(parse(&more).unwrap(), Some((expected, bytes.len())));
    }

    #[test]
    fn what_is_not_of_the_protocol_is_an_error() {
        let deep = b"*1\r\n".repeat(20);
        for bytes in [b"HTTP/1.1\r\n".as_slice(), b":x\r\n", b"\r\n", &deep] {
            assert!(parse(bytes).is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_request_as_redis_reads_it() {
        let mut out = Vec::new();
        write_request(&mut out, &[b"GET", b"key"]);
        assert_eq!(out, b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n");
    }
}
