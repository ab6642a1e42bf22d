//! Where connections come from.

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::os::unix::net::UnixListener as StdUnixListener;
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener};
use mio::{Interest, Registry, Token};
use rustix::fs::Mode;
use rustls::ServerConfig;
use socket2::{Domain, Protocol, SockAddr, SockRef, Socket as RawSocket, TcpKeepalive, Type};

use super::socket::Socket;
use super::tls::TlsSocket;
use crate::clients::Origin;

/// The TLS configuration of new connections; replaced as a whole when certificates change.
pub type SharedTls = Arc<RwLock<Arc<ServerConfig>>>;

/// Probes without an answer after which a peer is dead.
const PROBES: u32 = 3;

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
    pub fn tcp(address: SocketAddr, backlog: u32, encryption: Encryption) -> io::Result<Listener> {
        let socket =
            RawSocket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        if address.is_ipv6() {
            socket.set_only_v6(true)?;
        }
        socket.set_reuse_address(true)?;
        socket.bind(&address.into())?;
        listen(&socket, backlog)?;
        let listener = TcpListener::from_std(StdListener::from(socket));
        Ok(Listener { inner: Inner::Tcp(listener, encryption) })
    }

    /// Listens on a path, in the place of a socket that nobody listens on any more. The socket has the
    /// permissions of `mode`, if one is given, before anybody can connect.
    ///
    /// # Errors
    /// The system's.
    pub fn unix(path: &Path, mode: Option<u32>, backlog: u32) -> io::Result<Listener> {
        let socket = RawSocket::new(Domain::UNIX, Type::STREAM, None)?;
        let address = SockAddr::unix(path)?;
        match socket.bind(&address) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                if std::os::unix::net::UnixStream::connect(path).is_ok() {
                    return Err(error);
                }
                rustix::fs::unlink(path)?;
                socket.bind(&address)?;
            }
            other => other?,
        }
        // From here on it is removed if something fails.
        let inner = Inner::Unix(UnixListener::from_std(StdUnixListener::from(socket)), path.into());
        let listener = Listener { inner };
        if let Some(mode) = mode {
            rustix::fs::chmod(path, Mode::from_raw_mode(mode))?;
        }
        if let Inner::Unix(socket, _) = &listener.inner {
            listen(&SockRef::from(socket), backlog)?;
        }
        Ok(listener)
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

    /// Accepts a connection, to be probed after `keepalive` of silence; none if nobody waits.
    ///
    /// # Errors
    /// The system's, as when there are too many open files.
    pub fn accept(&mut self, keepalive: Option<Duration>) -> io::Result<Option<(Socket, Origin)>> {
        loop {
            let accepted = match &self.inner {
                Inner::Tcp(listener, encryption) => match listener.accept() {
                    Ok((stream, peer)) => prepare(stream, peer, keepalive, encryption),
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

fn listen(socket: &RawSocket, backlog: u32) -> io::Result<()> {
    socket.listen(i32::try_from(backlog).unwrap_or(i32::MAX))?;
    socket.set_nonblocking(true)
}

fn prepare(
    stream: TcpStream,
    peer: SocketAddr,
    keepalive: Option<Duration>,
    encryption: &Encryption,
) -> io::Result<(Socket, Origin)> {
    stream.set_nodelay(true)?;
    if let Some(time) = keepalive {
        // As in Redis. Less than a second is no time for the system.
        let interval = (time / PROBES).max(Duration::from_secs(1));
        let probes =
            TcpKeepalive::new().with_time(time).with_interval(interval).with_retries(PROBES);
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

impl Drop for Listener {
    fn drop(&mut self) {
        if let Inner::Unix(_, path) = &self.inner {
            // Whoever comes next removes it otherwise.
            let _ = rustix::fs::unlink(path);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpStream as Peer;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    /// After how much silence a connection is probed that was accepted with this setting.
    fn probed_after(keepalive: Option<Duration>) -> Option<Duration> {
        let address = "127.0.0.1:0".parse().unwrap();
        let mut listener = Listener::tcp(address, 8, Encryption::None).unwrap();
        let _peer = Peer::connect(("127.0.0.1", listener.port().unwrap())).unwrap();
        let (socket, _) = listener.accept(keepalive).unwrap().unwrap();
        let Socket::Tcp(stream) = &socket else { panic!("no TCP") };
        let stream = SockRef::from(stream);
        stream.keepalive().unwrap().then(|| stream.tcp_keepalive_time().unwrap())
    }

    #[test]
    fn silent_connections_are_probed_if_they_are_to_be() {
        assert_eq!(probed_after(None), None);
        for seconds in [1, 300] {
            let time = Some(Duration::from_secs(seconds));
            assert_eq!(probed_after(time), time);
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "sockets are no part of the store")]
    fn a_unix_socket_has_the_permissions_asked_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        for mode in [0o600, 0o770, 0o777] {
            let listener = Listener::unix(&path, Some(mode), 8).unwrap();
            assert!(Listener::unix(&path, None, 8).is_err(), "somebody listens there");
            let found = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(found & 0o777, mode);
            drop(listener);
            assert!(!path.exists());
            // What a crash leaves behind is in nobody's way.
            drop(StdUnixListener::bind(&path).unwrap());
        }
    }
}
