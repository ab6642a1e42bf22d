//! What a connection's commands remember from one to the next.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::acl::{AclStore, Login};
use crate::clients::Client;
use crate::command::Waiting;
use crate::proposer::WatchFlag;
use crate::resp::{OwnedRequest, Protocol};

/// Which replies a client wants.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    /// All.
    #[default]
    On,
    /// None.
    Off,
    /// None to the next command.
    SkipNext,
    /// None to this one.
    Skip,
}

/// What `MULTI` has gathered.
#[derive(Default)]
pub struct Transaction {
    /// The commands, in their order.
    pub queue: Vec<OwnedRequest>,
    /// Whether one was refused, so that `EXEC` will be too.
    pub spoilt: bool,
    /// Memory of the queue.
    pub memory: usize,
}

/// Whether a client may run commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has logged in, or need not.
    Known,
    /// It has to log in first.
    Unknown,
}

/// Who has checked what the user may.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Nobody yet: it is checked here.
    None,
    /// The node that passes the requests on.
    Node,
}

/// Who may answer a client's reads, in a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReadFrom {
    /// The shard's leader.
    #[default]
    Leader,
    /// Any replica that is not too old.
    Replicas {
        /// How old that may be; none for what the setting `replica-max-staleness` says.
        max_staleness: Option<Duration>,
    },
}

/// What a client has agreed with the server.
pub struct Session {
    /// What others may know of it.
    pub client: Arc<Client>,
    /// The user it runs its commands as.
    pub login: Login,
    /// Whether it may run them.
    pub standing: Standing,
    /// Who has checked what the user may.
    pub trust: Trust,
    /// The version of the protocol.
    pub protocol: Protocol,
    /// Which replies it wants.
    pub replies: ReplyMode,
    /// Who may answer its reads.
    pub reads: ReadFrom,
    /// Between `MULTI` and `EXEC`.
    pub transaction: Option<Transaction>,
    /// The keys it watches, each with when it expires if it does.
    pub watched: Vec<Watched>,
    /// Raised when one of them is written to.
    pub watch_flag: WatchFlag,
    /// How often the next command was put off because what it reads was not in memory.
    pub fetches: u8,
    /// What its next command has waited for, in a cluster.
    pub waiting: Waiting,
    /// Whether the connection ends once its replies are sent.
    pub closing: bool,
}

/// A watched key.
pub struct Watched {
    /// The key.
    pub key: Box<[u8]>,
    /// When the value it had expires, if it had one that does.
    pub expires_at: Option<aryavarth::UnixMillis>,
}

impl Session {
    /// Of a client that has just come.
    pub fn new(client: Arc<Client>, login: Login) -> Session {
        let standing =
            if login.needs_no_authentication() { Standing::Known } else { Standing::Unknown };
        client.names().user = user_name(&login);
        Session {
            client,
            login,
            standing,
            trust: Trust::None,
            protocol: Protocol::Two,
            replies: ReplyMode::On,
            reads: ReadFrom::default(),
            transaction: None,
            watched: Vec::new(),
            watch_flag: WatchFlag::default(),
            fetches: 0,
            waiting: Waiting::default(),
            closing: false,
        }
    }

    /// Takes what comes as checked by another node, and speaks this version.
    pub fn trust(&mut self, protocol: Protocol) {
        (self.standing, self.trust) = (Standing::Known, Trust::Node);
        self.speak(protocol);
    }

    /// Speaks this version from here on.
    pub fn speak(&mut self, protocol: Protocol) {
        self.protocol = protocol;
        self.client.protocol.store(protocol.number() as u64, Ordering::Relaxed);
    }

    /// Begins or ends a transaction.
    pub fn set_transaction(&mut self, transaction: Option<Transaction>) {
        let queued = if transaction.is_some() { 0 } else { -1 };
        self.client.queued.store(queued, Ordering::Relaxed);
        self.transaction = transaction;
    }

    /// Whether its user, who has not logged in, need not do so any more.
    pub fn needs_no_login(&mut self, acl: &AclStore) -> bool {
        self.login.user(acl).is_some_and(|user| user.is_enabled() && user.needs_no_password())
    }

    /// Goes on as this user.
    pub fn log_in(&mut self, login: Login) {
        self.client.names().user = user_name(&login);
        self.login = login;
        self.standing = Standing::Known;
    }
}

fn user_name(login: &Login) -> String {
    String::from_utf8_lossy(login.last_seen().name()).into_owned()
}
