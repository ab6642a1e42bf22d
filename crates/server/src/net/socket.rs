//! What a connection's bytes come from and go to.

use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, RawFd};

use mio::event::Source;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};

use super::parcel::Parcel;
use super::tls::TlsSocket;
#[cfg(feature = "simulated-cluster")]
use super::wire::Wire;

/// A connection's socket. Never blocks.
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A socket in the file system.
    Unix(UnixStream),
    /// TLS over TCP.
    Tls(Box<TlsSocket>),
    /// None: requests that another node passes on.
    Parcel(Box<Parcel>),
    /// A client of a simulation.
    #[cfg(feature = "simulated-cluster")]
    Wire(Wire),
}

/// What is known of bytes that were not asked for yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ShortRead {
    /// There are none: an event will tell when there are.
    Drained,
    /// There may be more.
    MayHaveMore,
}

impl Socket {
    /// Reads what is there, up to the length of `into`.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there; the system's own.
    pub fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(into),
            Socket::Unix(stream) => stream.read(into),
            Socket::Tls(stream) => stream.read(into),
            Socket::Parcel(parcel) => Ok(parcel.read(into)),
            #[cfg(feature = "simulated-cluster")]
            Socket::Wire(wire) => wire.read(into),
        }
    }

    /// What a read of fewer bytes than asked for means.
    pub fn short_read(&self) -> ShortRead {
        match self {
            Socket::Tcp(_) | Socket::Unix(_) => ShortRead::Drained,
            Socket::Tls(_) | Socket::Parcel(_) => ShortRead::MayHaveMore,
            #[cfg(feature = "simulated-cluster")]
            Socket::Wire(_) => ShortRead::Drained,
        }
    }

    /// Sends as much of `bytes` as is taken.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is; the system's own.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
            Socket::Tls(stream) => stream.write(bytes),
            Socket::Parcel(parcel) => parcel.write(bytes),
            #[cfg(feature = "simulated-cluster")]
            Socket::Wire(wire) => wire.write(bytes),
        }
    }

    /// Sends what the socket itself holds back; says whether all of it went.
    ///
    /// # Errors
    /// The system's own.
    pub fn flush(&mut self) -> io::Result<bool> {
        match self {
            Socket::Tcp(_) | Socket::Unix(_) | Socket::Parcel(_) => Ok(true),
            #[cfg(feature = "simulated-cluster")]
            Socket::Wire(_) => Ok(true),
            Socket::Tls(stream) => stream.send(),
        }
    }

    /// Whether the two sides have yet to agree before requests can come.
    pub fn is_handshaking(&self) -> bool {
        matches!(self, Socket::Tls(stream) if stream.is_handshaking())
    }

    /// Whether the socket itself holds bytes back; none if it never does.
    pub fn holds_back(&self) -> Option<bool> {
        match self {
            Socket::Tcp(_) | Socket::Unix(_) | Socket::Parcel(_) => None,
            #[cfg(feature = "simulated-cluster")]
            Socket::Wire(_) => None,
            Socket::Tls(stream) => Some(stream.holds_back()),
        }
    }

    /// Everything that came was answered, and nothing more will come.
    pub fn finish(&mut self) {
        if let Socket::Parcel(parcel) = self {
            parcel.finish();
        }
    }

    /// Says goodbye, where the protocol has a word for it.
    pub fn close(&mut self) {
        if let Socket::Tls(stream) = self {
            stream.close();
        }
    }

    /// Has events of it told under `token`.
    ///
    /// # Errors
    /// The system's own.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        match self {
            Socket::Tcp(stream) => stream.register(registry, token, interest),
            Socket::Unix(stream) => stream.register(registry, token, interest),
            Socket::Tls(stream) => stream.tcp().register(registry, token, interest),
            // All of it is here.
            Socket::Parcel(_) => Ok(()),
            // Its worker looks for itself.
            #[cfg(feature = "simulated-cluster")]
            Socket::Wire(_) => Ok(()),
        }
    }

    /// The number of the file; -1 if there is none.
    pub fn fd(&self) -> RawFd {
        match self {
            Socket::Tcp(stream) => stream.as_raw_fd(),
            Socket::Unix(stream) => stream.as_raw_fd(),
            Socket::Tls(stream) => stream.as_raw_fd(),
            Socket::Parcel(_) => -1,
            #[cfg(feature = "simulated-cluster")]
            Socket::Wire(_) => -1,
        }
    }
}
