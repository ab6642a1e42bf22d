//! Bytes to and from a server: TCP, or TLS over it.

use std::io::{self, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// An open connection.
pub enum Wire {
    /// In the clear.
    Plain(TcpStream),
    /// Encrypted, the server's name checked.
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Wire {
    /// Connects to the first of the host's addresses that answers. `patience` bounds the wait for
    /// each, and from then on each read and write.
    ///
    /// # Errors
    /// What the last address gave, or the TLS handshake.
    pub fn connect(
        host: &str,
        port: u16,
        tls: Option<&Arc<ClientConfig>>,
        patience: Duration,
    ) -> io::Result<Wire> {
        let stream = connect_to_any(host, port, patience)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(patience))?;
        stream.set_write_timeout(Some(patience))?;
        let Some(config) = tls else { return Ok(Wire::Plain(stream)) };
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let connection =
            ClientConnection::new(Arc::clone(config), name).map_err(io::Error::other)?;
        let mut stream = StreamOwned::new(connection, stream);
        // Now rather than at the first command, so that a bad certificate is told as one.
        stream.conn.complete_io(&mut stream.sock)?;
        Ok(Wire::Tls(Box::new(stream)))
    }

    /// Whether the other side has closed the connection, as far as is known without waiting.
    pub fn is_closed(&self) -> bool {
        let stream = match self {
            Wire::Plain(stream) => stream,
            Wire::Tls(stream) => &stream.sock,
        };
        if stream.set_nonblocking(true).is_err() {
            return true;
        }
        let peeked = stream.peek(&mut [0]);
        let waits_again = stream.set_nonblocking(false).is_ok();
        match peeked {
            Ok(bytes) => bytes == 0 || !waits_again,
            Err(error) => error.kind() != io::ErrorKind::WouldBlock || !waits_again,
        }
    }

    /// How long a read waits from now on; none: for ever.
    ///
    /// # Errors
    /// If the machine refuses it.
    pub fn set_read_patience(&self, patience: Option<Duration>) -> io::Result<()> {
        match self {
            Wire::Plain(stream) => stream.set_read_timeout(patience),
            Wire::Tls(stream) => stream.sock.set_read_timeout(patience),
        }
    }
}

fn connect_to_any(host: &str, port: u16, patience: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, patience) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Read for Wire {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = match self {
            Wire::Plain(stream) => stream.read(buffer),
            Wire::Tls(stream) => stream.read(buffer),
        };
        match read {
            // A signal: whoever waits may want to look at it.
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {
                Err(io::ErrorKind::WouldBlock.into())
            }
            // A peer that left without saying so in TLS; there is no more to come either way.
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(0),
            read => read,
        }
    }
}

impl Write for Wire {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Wire::Plain(stream) => stream.write(bytes),
            Wire::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Wire::Plain(stream) => stream.flush(),
            Wire::Tls(stream) => stream.flush(),
        }
    }
}
