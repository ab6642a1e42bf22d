//! Where connections come from.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener};
use mio::{Interest, Registry, Token};
use rustls::ServerConfig;
use socket2::{Domain, Protocol, SockRef, Socket as RawSocket, TcpKeepalive, Type};

use super::socket::Socket;
use super::tls::TlsSocket;
use crate::clients::Origin;

/// The TLS configuration of new connections; replaced as a whole when certificates change.
pub type SharedTls = Arc<RwLock<Arc<ServerConfig>>>;

/// What connections through a listener speak.
#[derive(Clone)]
pub enum Encryption {
    /// RESP at once.
    None,
    /// TLS first.
    Tls(SharedTls),
}

/// A socket that connections are accepted from.
pub struct Listener {
    inner: Inner,
    keepalive: Option<Duration>,
}

enum Inner {
    Tcp(TcpListener, Encryption),
    Unix(UnixListener, PathBuf),
}

impl Listener {
    /// Listens on a TCP address.
    ///
    /// # Errors
    /// The system's: the address is in use, or is not this machine's.
    pub fn tcp(
        address: SocketAddr,
        backlog: u32,
        keepalive: Option<Duration>,
        encryption: Encryption,
    ) -> io::Result<Listener> {
        let socket =
            RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
        socket.set_nonblocking(true)?;
        let listener = TcpListener::from_std(StdListener::from(socket));
        Ok(Listener { inner: Inner::Tcp(listener, encryption), keepalive })
    }

    /// Listens on a path, in the place of a socket that nobody listens on any more.
    ///
    /// # Errors
    /// The system's.
    pub fn unix(path: &Path) -> io::Result<Listener> {
        let listener = match UnixListener::bind(path) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if std::os::unix::net::UnixStream::connect(path).is_ok() {
                    return Err(error);
                }
                rustix::fs::unlink(path)?;
                UnixListener::bind(path)?
            }
            other => other?,
        };
        let inner = Inner::Unix(listener, path.to_owned());
        Ok(Listener { inner, keepalive: None })
    }

    /// The address it listens on, as told by the system.
    ///
    /// # Errors
    /// The system's.
    pub fn address(&self) -> io::Result<String> {
        match &self.inner {
            Inner::Tcp(listener, _) => Ok(listener.local_addr()?.to_string()),
            Inner::Unix(_, path) => Ok(path.display().to_string()),
        }
    }

    /// The port it listens on, if it has one.
    pub fn port(&self) -> Option<u16> {
        match &self.inner {
            Inner::Tcp(listener, _) => listener.local_addr().ok().map(|address| address.port()),
            Inner::Unix(..) => None,
        }
    }

    /// Accepts a connection; none if nobody waits.
    ///
    /// # Errors
    /// The system's, as when there are too many open files.
    pub fn accept(&mut self) -> io::Result<Option<(Socket, Origin)>> {
        loop {
            let accepted = match &self.inner {
                Inner::Tcp(listener, encryption) => match listener.accept() {
                    Ok((stream, peer)) => self.prepare(stream, peer, encryption),
                    Err(error) => Err(error),
                },
                Inner::Unix(listener, path) => listener
                    .accept()
                    .map(|(stream, _)| (Socket::Unix(stream), Origin::File(path.clone()))),
            };
            match accepted {
                Ok(accepted) => return Ok(Some(accepted)),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(None),
                    // Gone before it was accepted.
                    io::ErrorKind::ConnectionAborted
                    | io::ErrorKind::ConnectionReset
                    | io::ErrorKind::NotConnected
                    | io::ErrorKind::Interrupted => {}
                    _ => return Err(error),
                },
            }
        }
    }

    fn prepare(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        encryption: &Encryption,
    ) -> io::Result<(Socket, Origin)> {
        stream.set_nodelay(true)?;
        if let Some(time) = self.keepalive {
            let probes = TcpKeepalive::new().with_time(time).with_interval(time / 3);
            SockRef::from(&stream).set_tcp_keepalive(&probes)?;
        }
        let origin = Origin::Network { peer, local: stream.local_addr()? };
        let socket = match encryption {
            Encryption::None => Socket::Tcp(stream),
            Encryption::Tls(config) => {
                let config = Arc::clone(&config.read().expect("no panic while held"));
                Socket::Tls(Box::new(TlsSocket::new(stream, config)?))
            }
        };
        Ok((socket, origin))
    }

    /// Has waiting connections told under `token`.
    ///
    /// # Errors
    /// The system's.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match &mut self.inner {
            Inner::Tcp(listener, _) => listener.register(registry, token, Interest::READABLE),
            Inner::Unix(listener, _) => listener.register(registry, token, Interest::READABLE),
        }
    }

    /// Ends that.
    pub fn deregister(&mut self, registry: &Registry) {
        // It is closed right after.
        let _ = match &mut self.inner {
            Inner::Tcp(listener, _) => listener.deregister(registry),
            Inner::Unix(listener, _) => listener.deregister(registry),
        };
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        if let Inner::Unix(_, path) = &self.inner {
            // Whoever comes next removes it otherwise.
            let _ = rustix::fs::unlink(path);
        }
    }
}
