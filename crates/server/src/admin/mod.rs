//! Pages for operators, over HTTP at an address of their own: is it well, how much of what.
//!
//! ```text
//!  start: address ─▶ "starting" ── the store is opened ──▶ show(server) ─▶ figures
//!  end:   "ending" until the store is closed, then nobody answers
//!
//!  a thread with a tokio runtime of its own: accept ─▶ one request, one reply, closed
//! ```
//!
//! | module | idea |
//! |---|---|
//! | `pages` | what is where |
//! | `health` | how far the server is and what ails it |
//! | `status` | `/status`: one JSON object |
//! | `shards` | its part on the replicas of a node of a cluster |
//! | `probe` | asks a server from outside |
//! | `figures` | `/metrics`: the atomics of the server, read when somebody asks |
//!
//! # Invariants
//! - Nothing here is waited for by those who serve clients, and nothing changes the server.
//! - A connection ends within [`LONGEST`], whatever it does; of too many, the oldest goes.

mod figures;
mod health;
mod pages;
mod probe;
mod shards;
mod status;

pub use probe::ask_health;

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::AbortHandle;

use crate::error::{Error, Result};
use crate::server::Server;

/// Time for a connection from its first byte to its last.
const LONGEST: Duration = Duration::from_secs(10);
/// Time for a request's line and headers.
const HEADERS_WITHIN: Duration = Duration::from_secs(5);
/// Bytes of a request's line and headers, and their number.
const MAX_HEAD: usize = 16 << 10;
const MAX_HEADERS: usize = 64;
/// Connections at once.
const MOST_CONNECTIONS: usize = 64;
/// Ports that are tried where none was asked for.
const PORTS: u16 = 64;
/// Pause after a connection could not be accepted, as when there are too many open files.
const RESPITE: Duration = Duration::from_millis(100);

/// The server that is shown, once there is one.
#[derive(Clone, Debug, Default)]
struct Shown(Arc<OnceLock<Weak<Server>>>);

impl Shown {
    fn server(&self) -> Option<Arc<Server>> {
        self.0.get().and_then(Weak::upgrade)
    }
}

/// The thread that answers operators. It ends when this is dropped.
pub struct Admin {
    address: SocketAddr,
    shown: Shown,
    /// Dropped, it tells the thread to end.
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Admin {
    /// Answers at `address`: for now, that the server is starting.
    ///
    /// # Errors
    /// [`Error::Listen`]; [`Error::Io`] if the system has no thread to give.
    pub fn start(address: SocketAddr) -> Result<Admin> {
        Admin::answer(listen(address).map_err(refused(address))?)
    }

    /// The same, where nobody asked for this address: if its port is taken, as by another server of this
    /// machine, at one of the next.
    ///
    /// # Errors
    /// The same.
    pub fn start_near(address: SocketAddr) -> Result<Admin> {
        let next = |above| Some(SocketAddr::new(address.ip(), address.port().checked_add(above)?));
        let is_taken = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
        let mut tried = (0..PORTS).filter_map(next).map(listen);
        let free = tried.find(|tried| !tried.as_ref().is_err_and(is_taken));
        let Some(free) = free else { return Admin::start(address) };
        let admin = Admin::answer(free.map_err(refused(address))?)?;
        if admin.address != address {
            tracing::warn!(
                taken = %address, address = %admin.address,
                "another program has the address of the pages for operators, so they are at the next; \
                 `admin-address` sets it"
            );
        }
        Ok(admin)
    }

    fn answer(listener: std::net::TcpListener) -> Result<Admin> {
        let address = listener.local_addr();
        let address = address.map_err(Error::io("ask for the address of a socket"))?;
        if !address.ip().is_loopback() {
            tracing::warn!(
                %address,
                "the pages for operators can be read from other machines, and ask for no password"
            );
        }
        let shown = Shown::default();
        let router = pages::router(shown.clone());
        let (stop, stopped) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(Error::io("start the pages for operators"))?;
        let thread = std::thread::Builder::new()
            .name("aryavarth-admin".to_owned())
            .spawn(move || runtime.block_on(run(listener, router, stopped)))
            .map_err(Error::io("start a thread"))?;
        Ok(Admin { address, shown, stop: Some(stop), thread: Some(thread) })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Shows this server from here on.
    pub fn show(&self, server: &Arc<Server>) {
        // It is shown once.
        let _ = self.shown.0.set(Arc::downgrade(server));
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell.
            let _ = thread.join();
        }
    }
}

fn refused(address: SocketAddr) -> impl FnOnce(io::Error) -> Error {
    move |source| Error::Listen { address: address.to_string(), source }
}

fn listen(address: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(128)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

async fn run(listener: std::net::TcpListener, router: Router, stopped: oneshot::Receiver<()>) {
    let listener = match TcpListener::from_std(listener) {
        Ok(listener) => listener,
        Err(error) => return tracing::error!(%error, "nobody answers operators"),
    };
    tokio::select! {
        () = accept(&listener, &router) => {}
        _ = stopped => {}
    }
}

async fn accept(listener: &TcpListener, router: &Router) {
    let mut connections: VecDeque<AbortHandle> = VecDeque::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.retain(|connection| !connection.is_finished());
                // Whoever is slow makes room for who comes.
                if connections.len() >= MOST_CONNECTIONS
                    && let Some(oldest) = connections.pop_front()
                {
                    oldest.abort();
                }
                let answer = answer(stream, router.clone());
                connections.push_back(tokio::spawn(answer).abort_handle());
            }
            Err(error) => {
                tracing::debug!(%error, "cannot accept an operator's connection");
                tokio::time::sleep(RESPITE).await;
            }
        }
    }
}

async fn answer(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(MAX_HEAD)
        .max_headers(MAX_HEADERS)
        // One request each: nobody keeps a place for later.
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    match tokio::time::timeout(LONGEST, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an operator's request came to nothing"),
        Err(_) => tracing::debug!("an operator took too long"),
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;

    #[test]
    fn there_is_an_answer_before_there_is_a_server() {
        let admin = Admin::start("127.0.0.1:0".parse().unwrap()).unwrap();
        let get = |path: &str| {
            let mut stream = std::net::TcpStream::connect(admin.address()).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).unwrap();
            answer
        };
        assert!(
            get("/healthz").starts_with("HTTP/1.1 200 ") && get("/healthz").ends_with("starting\n")
        );
        ask_health(admin.address()).unwrap();
        assert!(get("/readyz").starts_with("HTTP/1.1 503 "));
        assert!(get("/status").contains("\"phase\":\"starting\""));
        assert!(get("/metrics").contains("\naryavarth_ready 0\n"));
        let address = admin.address();
        drop(admin);
        ask_health(address).unwrap_err();
    }

    #[test]
    fn a_server_beside_another_takes_the_next_port() {
        let first = Admin::start("127.0.0.1:0".parse().unwrap()).unwrap();
        let second = Admin::start_near(first.address()).unwrap();
        assert!(first.address().port() < second.address().port());
        ask_health(second.address()).unwrap();
        let asked_for = Admin::start(first.address());
        assert!(matches!(asked_for, Err(Error::Listen { .. })));
        let nowhere = Admin::start_near("192.0.2.1:9121".parse().unwrap());
        assert!(matches!(nowhere, Err(Error::Listen { .. })));
    }
}
