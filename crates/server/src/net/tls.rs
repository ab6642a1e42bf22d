//! TLS 1.2 and 1.3 over a socket that does not block.
//!
//! ```text
//!  tcp ── read ──▶ session ─▶ decrypted bytes        events tell of the edges alone: whatever is
//!  tcp ◀─ send ── session ◀─ bytes to encrypt        left undone is left because tcp said so
//! ```
//!
//! # Invariants
//! - If the session holds encrypted bytes back, the last thing tcp said to it was that it takes no
//!   more; so an event tells when it does.
//! - A read that is not full has taken all that tcp had, or has failed, which the next one tells.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::{ServerConfig, ServerConnection};

/// Most bytes kept encrypted and unsent: what is more waits in the connection's own output.
const MAX_UNSENT: usize = 64 << 10;
/// Reads from tcp in one go, however few bytes come of them: others want to be served too.
const MAX_READS: usize = 256;

/// A TCP stream and the TLS session on it.
pub struct TlsSocket {
    tcp: TcpStream,
    session: ServerConnection,
    /// What went wrong while there were bytes to hand over first.
    failure: Option<io::Error>,
}

impl TlsSocket {
    /// Expects a handshake on `tcp`.
    ///
    /// # Errors
    /// If the configuration does not fit together.
    pub fn new(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<TlsSocket> {
        let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
        session.set_buffer_limit(Some(MAX_UNSENT));
        Ok(TlsSocket { tcp, session, failure: None })
    }

    /// The stream below.
    pub fn tcp(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }

    /// Whether the two sides have yet to agree.
    pub fn is_handshaking(&self) -> bool {
        self.session.is_handshaking()
    }

    /// Whether encrypted bytes are held back until tcp takes them.
    pub fn holds_back(&self) -> bool {
        self.session.wants_write()
    }

    /// Reads decrypted bytes, and answers whatever the other side's TLS asks meanwhile.
    ///
    /// # Errors
    /// `WouldBlock`; `Interrupted` if there may be more but others are to be served first;
    /// `InvalidData` if the other side does not speak TLS or shows no valid certificate.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if let Some(failure) = self.failure.take() {
            return Err(failure);
        }
        let mut have = 0;
        for _ in 0..MAX_READS {
            match self.session.reader().read(&mut into[have..]) {
                Ok(0) => return Ok(have),
                Ok(bytes) => {
                    have += bytes;
                    continue;
                }
                // The other side left without a word. A request tells itself whether it is whole, so
                // nothing can be cut unnoticed.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(have),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return self.later(have, error),
            }
            if let Err(error) = self.receive() {
                return self.later(have, error);
            }
        }
        self.later(have, io::ErrorKind::Interrupted.into())
    }

    /// Hands over what there is before telling of an error.
    fn later(&mut self, have: usize, error: io::Error) -> io::Result<usize> {
        if have == 0 {
            return Err(error);
        }
        // These two are not of the session but of the moment: the next read finds out by itself.
        if !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) {
            self.failure = Some(error);
        }
        Ok(have)
    }

    /// Takes what tcp has into the session. At the end of it, the session knows.
    fn receive(&mut self) -> io::Result<()> {
        self.session.read_tls(&mut self.tcp)?;
        let processed = self.session.process_new_packets();
        // Alerts and the handshake's answers go out whatever came of it.
        let sent = self.send();
        processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        sent.map(drop)
    }

    /// Encrypts and sends bytes.
    ///
    /// # Errors
    /// `WouldBlock` if no more are taken for now.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // What is held back goes first. If it does not go, tcp has just said so, and will tell; a
        // full session that tcp would have emptied must not be taken for that.
        if self.session.is_handshaking() || !self.send()? {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.session.writer().write(bytes)?;
        self.send()?;
        Ok(taken)
    }

    /// Sends what is encrypted; says whether all of it went.
    ///
    /// # Errors
    /// The system's own.
    pub fn send(&mut self) -> io::Result<bool> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.tcp) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    /// Says goodbye.
    pub fn close(&mut self) {
        self.session.send_close_notify();
        // The other side may be gone already.
        let _ = self.send();
    }
}

impl AsRawFd for TlsSocket {
    fn as_raw_fd(&self) -> RawFd {
        self.tcp.as_raw_fd()
    }
}
