//! A client of its own, which knows nothing of the server's code: words to bytes, bytes to replies.

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use aryavarth_script::Reply;

/// How long a reply may take.
const PATIENCE: Duration = Duration::from_secs(5);
/// Silence after which raw replies are taken to be all there are.
const QUIET: Duration = Duration::from_millis(250);
/// How long raw bytes may go unanswered.
const UNANSWERED: Duration = Duration::from_millis(500);

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
        self.send(&aryavarth_script::request(words));
        self.reply()
    }

    /// Sends bytes. If the connection is closed the next reply tells.
    pub fn send(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The next reply.
    pub fn reply(&mut self) -> Reply {
        loop {
            if let Some(reply) = aryavarth_script::take(&mut self.input) {
                return reply;
            }
            match self.receive(PATIENCE) {
                Ok(()) => {}
                Err(Missing::Closed) => return Reply::Closed,
                Err(Missing::Silence) => return Reply::Silence,
            }
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
}
