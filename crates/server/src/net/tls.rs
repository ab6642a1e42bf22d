//! TLS 1.2 and 1.3 over a socket that does not block.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::{ServerConfig, ServerConnection};

/// Most bytes kept encrypted and unsent: what is more waits in the connection's own output.
const MAX_UNSENT: usize = 64 << 10;

/// A TCP stream and the TLS session on it.
pub struct TlsSocket {
    tcp: TcpStream,
    session: ServerConnection,
}

impl TlsSocket {
    /// Expects a handshake on `tcp`.
    ///
    /// # Errors
    /// If the configuration does not fit together.
    pub fn new(tcp: TcpStream, config: Arc<ServerConfig>) -> io::Result<TlsSocket> {
        let mut session = ServerConnection::new(config).map_err(io::Error::other)?;
        session.set_buffer_limit(Some(MAX_UNSENT));
        Ok(TlsSocket { tcp, session })
    }

    /// The stream below.
    pub fn tcp(&mut self) -> &mut TcpStream {
        &mut self.tcp
    }

    /// Reads decrypted bytes.
    ///
    /// # Errors
    /// `WouldBlock`; `InvalidData` if the other side does not speak TLS or shows no valid certificate.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(into) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            let read = self.session.read_tls(&mut self.tcp)?;
            let processed = self.session.process_new_packets();
            // Alerts and the handshake's answers go out whatever came of it.
            let sent = self.send();
            processed.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            sent?;
            if read == 0 {
                return match self.session.reader().read(into) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                    other => other,
                };
            }
        }
    }

    /// Encrypts and sends bytes.
    ///
    /// # Errors
    /// `WouldBlock` if no more are taken for now.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.session.is_handshaking() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let taken = self.session.writer().write(bytes)?;
        self.send()?;
        if taken == 0 { Err(io::ErrorKind::WouldBlock.into()) } else { Ok(taken) }
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
