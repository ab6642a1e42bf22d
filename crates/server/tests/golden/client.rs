//! A client of its own, which knows nothing of the server's code: words to bytes, bytes to replies.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Silence after which raw replies are taken to be all there are.
const QUIET: Duration = Duration::from_millis(250);
/// How long raw bytes may go unanswered.
const UNANSWERED: Duration = Duration::from_millis(500);

/// A reply.
#[derive(Debug)]
pub enum Reply {
    /// A word of the server's.
    Simple(String),
    /// An error.
    Error(String),
    /// A number.
    Integer(i64),
    /// Bytes.
    Bulk(Vec<u8>),
    /// Text for people, with its format.
    Verbatim(String),
    /// Nothing.
    Null,
    /// A number with a fraction, as it came.
    Double(String),
    /// Yes or no.
    Boolean(bool),
    /// Replies in order.
    Array(Vec<Reply>),
    /// Replies in no order.
    Set(Vec<Reply>),
    /// Keys and values in turn.
    Map(Vec<Reply>),
    /// What came without being asked for.
    Push(Vec<Reply>),
    /// The server closed the connection.
    Closed,
    /// Nothing came.
    Silence,
}

/// A connection.
pub struct Client {
    stream: UnixStream,
    input: Vec<u8>,
}

/// Why there is no whole reply yet.
enum Missing {
    Closed,
    Silence,
}

impl Client {
    /// Connects to a server.
    pub fn connect(path: &Path) -> Client {
        let stream = UnixStream::connect(path).unwrap();
        Client { stream, input: Vec::new() }
    }

    /// Sends a request and waits for the reply.
    pub fn call(&mut self, words: &[Vec<u8>]) -> Reply {
        let mut request = format!("*{}\r\n", words.len()).into_bytes();
        for word in words {
            request.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
            request.extend_from_slice(word);
            request.extend_from_slice(b"\r\n");
        }
        self.send(&request);
        self.reply()
    }

    /// Sends bytes. If the connection is closed the next reply tells.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The next reply.
    pub fn reply(&mut self) -> Reply {
        match self.parse() {
            Ok(reply) => reply,
            Err(Missing::Closed) => Reply::Closed,
            Err(Missing::Silence) => Reply::Silence,
        }
    }

    /// All bytes that come, and whether the connection is closed then.
    pub fn raw(&mut self) -> (Vec<u8>, bool) {
        let mut patience = UNANSWERED;
        let closed = loop {
            match self.receive(patience) {
                Ok(()) => patience = QUIET,
                Err(Missing::Closed) => break true,
                Err(Missing::Silence) => break false,
            }
        };
        (std::mem::take(&mut self.input), closed)
    }

    fn receive(&mut self, patience: Duration) -> Result<(), Missing> {
        self.stream.set_read_timeout(Some(patience)).unwrap();
        let mut buffer = [0; 64 << 10];
        match self.stream.read(&mut buffer) {
            Ok(0) => Err(Missing::Closed),
            Ok(length) => {
                self.input.extend_from_slice(&buffer[..length]);
                Ok(())
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                Err(Missing::Silence)
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => Ok(()),
            Err(_) => Err(Missing::Closed),
        }
    }

    fn line(&mut self) -> Result<String, Missing> {
        loop {
            if let Some(end) = self.input.windows(2).position(|pair| pair == b"\r\n") {
                let line = self.input.drain(..end + 2).take(end).collect::<Vec<u8>>();
                return Ok(String::from_utf8_lossy(&line).into_owned());
            }
            self.receive(PATIENCE)?;
        }
    }

    fn bytes(&mut self, length: usize) -> Result<Vec<u8>, Missing> {
        while self.input.len() < length + 2 {
            self.receive(PATIENCE)?;
        }
        let bytes = self.input.drain(..length + 2).take(length).collect();
        Ok(bytes)
    }

    fn parse(&mut self) -> Result<Reply, Missing> {
        let line = self.line()?;
        let (kind, rest) = line.split_at(1);
        let number = || rest.parse::<i64>().unwrap_or_else(|_| panic!("no number: {line:?}"));
        Ok(match kind {
            "+" => Reply::Simple(rest.to_owned()),
            "-" => Reply::Error(rest.to_owned()),
            ":" => Reply::Integer(number()),
            "$" | "*" if number() < 0 => Reply::Null,
            "$" => Reply::Bulk(self.bytes(number() as usize)?),
            "=" => {
                let text = self.bytes(number() as usize)?;
                Reply::Verbatim(String::from_utf8_lossy(&text).into_owned())
            }
            "_" => Reply::Null,
            "," => Reply::Double(rest.to_owned()),
            "#" => Reply::Boolean(rest == "t"),
            "*" => Reply::Array(self.several(number())?),
            "~" => Reply::Set(self.several(number())?),
            "%" => Reply::Map(self.several(2 * number())?),
            ">" => Reply::Push(self.several(number())?),
            _ => panic!("no reply: {line:?}"),
        })
    }

    fn several(&mut self, count: i64) -> Result<Vec<Reply>, Missing> {
        (0..count).map(|_| self.parse()).collect()
    }
}
