//! Who is connected: what others may know of a connection and do to it.

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, RwLock};
use std::time::Duration;

use aryavarth_cluster::NodeId;

use crate::clock;

/// The number of a client, never used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(pub u64);

/// Where a connection comes from and where it arrived.
#[derive(Clone, Debug)]
pub enum Origin {
    /// Over TCP.
    Network {
        /// The client's address.
        peer: SocketAddr,
        /// The server's.
        local: SocketAddr,
    },
    /// Over a socket in the file system.
    File(PathBuf),
    /// By way of another node, which has checked what its user may.
    Node(NodeId),
}

impl Origin {
    /// Whether it comes from this machine.
    pub fn is_local(&self) -> bool {
        match self {
            Origin::Network { peer, .. } => peer.ip().to_canonical().is_loopback(),
            Origin::File(_) | Origin::Node(_) => true,
        }
    }

    /// The client's address as Redis prints it.
    pub fn peer(&self) -> String {
        match self {
            Origin::Network { peer, .. } => peer.to_string(),
            Origin::File(path) => format!("{}:0", path.display()),
            Origin::Node(node) => format!("node-{node}:0"),
        }
    }

    /// The server's address as Redis prints it.
    pub fn local(&self) -> String {
        match self {
            Origin::Network { local, .. } => local.to_string(),
            Origin::File(path) => format!("{}:0", path.display()),
            Origin::Node(node) => format!("node-{node}:0"),
        }
    }
}

/// What clients say of themselves.
#[derive(Clone, Debug, Default)]
pub struct Names {
    /// By `CLIENT SETNAME`.
    pub name: String,
    /// By `CLIENT SETINFO LIB-NAME`.
    pub library: String,
    /// By `CLIENT SETINFO LIB-VER`.
    pub library_version: String,
    /// The user logged in as.
    pub user: String,
}

/// What others may know of a client. Its worker keeps it current.
pub struct Client {
    /// Its number.
    pub id: ClientId,
    /// Where it comes from.
    pub origin: Origin,
    /// The number of its socket.
    pub fd: i32,
    /// The worker that serves it.
    pub worker: usize,
    /// When it came, by the monotonic clock.
    pub since: Duration,
    /// What it says of itself.
    names: Mutex<Names>,
    /// Milliseconds of the monotonic clock when it was last heard of.
    pub last_active: AtomicU64,
    /// Bytes of requests not yet understood.
    pub input: AtomicUsize,
    /// Bytes of replies not yet sent.
    pub output: AtomicUsize,
    /// Memory of its buffers.
    pub memory: AtomicUsize,
    /// Commands queued by `MULTI`; -1 without.
    pub queued: std::sync::atomic::AtomicI64,
    /// Keys watched.
    pub watched: AtomicUsize,
    /// The number of its last command in the table, plus one.
    pub last_command: AtomicUsize,
    /// The version of the protocol.
    pub protocol: AtomicU64,
    /// `CLIENT NO-EVICT`.
    pub no_evict: AtomicBool,
    /// `CLIENT NO-TOUCH`.
    pub no_touch: AtomicBool,
    /// To be closed.
    pub doomed: AtomicBool,
    /// All bytes it has sent.
    pub received: AtomicU64,
    /// All bytes it was sent.
    pub sent: AtomicU64,
    /// All its commands.
    pub commands: AtomicU64,
}

impl Client {
    /// What it says of itself.
    pub fn names(&self) -> MutexGuard<'_, Names> {
        self.names.lock().expect("no panic while held")
    }

    /// How long it has been silent.
    pub fn idle(&self) -> Duration {
        let last = Duration::from_millis(self.last_active.load(Ordering::Relaxed));
        clock::monotonic().saturating_sub(last)
    }

    /// Notes that it was heard of.
    pub fn touch(&self, now: Duration) {
        self.last_active.store(now.as_millis() as u64, Ordering::Relaxed);
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {} from {}", self.id.0, self.origin.peer())
    }
}

/// All clients.
#[derive(Debug, Default)]
pub struct Clients {
    last_id: AtomicU64,
    by_id: RwLock<BTreeMap<ClientId, Arc<Client>>>,
    count: AtomicUsize,
    /// Connections ever accepted.
    pub accepted: AtomicU64,
    /// Connections refused because there were too many.
    pub refused: AtomicU64,
    /// Connections closed because of replies that were not taken.
    pub over_output_limit: AtomicU64,
    /// Connections closed because of requests that became too long.
    pub over_query_limit: AtomicU64,
    /// Bytes of those that have gone. Changed while `by_id` is held.
    gone: Gone,
}

#[derive(Debug, Default)]
struct Gone {
    received: AtomicU64,
    sent: AtomicU64,
}

/// Bytes over the network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// From clients.
    pub received: u64,
    /// To clients.
    pub sent: u64,
}

impl Clients {
    /// Adds a client that just connected.
    pub fn add(&self, origin: Origin, fd: i32, worker: usize) -> Arc<Client> {
        let now = clock::monotonic();
        let client = Arc::new(Client {
            id: ClientId(self.last_id.fetch_add(1, Ordering::Relaxed) + 1),
            origin,
            fd,
            worker,
            since: now,
            names: Mutex::default(),
            last_active: AtomicU64::new(now.as_millis() as u64),
            input: AtomicUsize::new(0),
            output: AtomicUsize::new(0),
            memory: AtomicUsize::new(0),
            queued: std::sync::atomic::AtomicI64::new(-1),
            watched: AtomicUsize::new(0),
            last_command: AtomicUsize::new(0),
            protocol: AtomicU64::new(2),
            no_evict: AtomicBool::new(false),
            no_touch: AtomicBool::new(false),
            doomed: AtomicBool::new(false),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            commands: AtomicU64::new(0),
        });
        self.by_id.write().expect("no panic while held").insert(client.id, Arc::clone(&client));
        self.count.fetch_add(1, Ordering::Relaxed);
        client
    }

    /// Forgets a client that has gone.
    pub fn remove(&self, id: ClientId) {
        let mut by_id = self.by_id.write().expect("no panic while held");
        if let Some(client) = by_id.remove(&id) {
            self.gone
                .received
                .fetch_add(client.received.load(Ordering::Relaxed), Ordering::Relaxed);
            self.gone.sent.fetch_add(client.sent.load(Ordering::Relaxed), Ordering::Relaxed);
            self.count.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// The client of that number.
    pub fn get(&self, id: ClientId) -> Option<Arc<Client>> {
        self.by_id.read().expect("no panic while held").get(&id).cloned()
    }

    /// All of now, by number.
    pub fn all(&self) -> Vec<Arc<Client>> {
        self.by_id.read().expect("no panic while held").values().cloned().collect()
    }

    /// Bytes of all clients there ever were.
    pub fn traffic(&self) -> Traffic {
        let by_id = self.by_id.read().expect("no panic while held");
        let mut sum = Traffic {
            received: self.gone.received.load(Ordering::Relaxed),
            sent: self.gone.sent.load(Ordering::Relaxed),
        };
        for client in by_id.values() {
            sum.received += client.received.load(Ordering::Relaxed);
            sum.sent += client.sent.load(Ordering::Relaxed);
        }
        sum
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }
}
