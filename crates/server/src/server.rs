//! What all parts of a running server share, and its life from start to end.
//!
//! ```text
//!  start: settings ─▶ store ─▶ users ─▶ listeners ─▶ workers, committer, jobs, admin ─▶ ready
//!  end:   no new connections ─▶ replies sent ─▶ everything settled ─▶ checkpoint ─▶ store closed
//! ```

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, OnceLock};
use std::thread::JoinHandle;
use std::time::Duration;

use aryavarth::disk::{Disk, OsDisk};
use aryavarth::{Durability, KvStore};

use crate::acl::{AclStore, Denial, LogContext, LogEvent};
use crate::admin::Admin;
use crate::clients::{Client, Clients, Origin};
use crate::clock;
use crate::cluster::{
    ClusterOptions, Clustered, Home, NodeError, Rising, Start, open_or_replace,
    refuse_directory_of_node, runtime,
};
use crate::command::table::CommandSpec;
use crate::command::{self, CommandError};
use crate::config::{Absence, Config, LiveConfig, Place, Sources, Switch};
use crate::error::{Error, Result};
use crate::jobs::Jobs;
use crate::latency::{Latency, SlowCommand, SlowLog};
use crate::logging::Logging;
use crate::memory::ClientMemory;
use crate::metrics::LogMetrics;
use crate::net::listener::{Encryption, Listener};
use crate::net::{self, Message, Worker, WorkerHandle};
use crate::notify::{Progress, notify};
use crate::pause::Pause;
use crate::process;
use crate::proposer::{
    Access, BatchError, BatchId, Committer, DurabilityPolicy, Lane, LocalLog, Log, Proposers,
    Queue, Routing,
};
use crate::redact::redacted;
use crate::resp::{Args, Caller, Limits};
use crate::saving::Saving;
use crate::session::{Session, Standing};
use crate::signals::Signal;
use crate::stats::Stats;
use crate::tls::{self, Tls};
use crate::users;

/// Words of a slow command that are remembered, and bytes of each, as in Redis.
const SLOW_WORDS: usize = 32;
const SLOW_BYTES: usize = 128;
/// Most workers when their number is left to the server.
const MOST_WORKERS: usize = 8;

/// A running server.
pub struct Server {
    /// The settings.
    pub config: LiveConfig,
    /// The store. Only the proposers write to it.
    pub store: KvStore,
    /// Where writes are evaluated, each in the lane of its keys.
    pub proposers: Proposers,
    /// The other nodes, if it is one of a cluster.
    pub cluster: Option<Clustered>,
    /// What is asked of writes.
    pub durability: Arc<DurabilityPolicy>,
    /// What waits for the disk.
    pub log_queue: Arc<Queue>,
    /// What the log does.
    pub log_metrics: Arc<LogMetrics>,
    /// Who may do what.
    pub acl: AclStore,
    /// Who is connected.
    pub clients: Clients,
    /// What commands did.
    pub stats: Stats,
    /// Delays of events.
    pub latency: Latency,
    /// Slow commands.
    pub slow_log: SlowLog,
    /// Memory of clients' buffers.
    pub memory: ClientMemory,
    /// What takes long.
    pub jobs: Jobs,
    /// Who has to wait.
    pub pause: Pause,
    /// What connections with TLS are accepted with.
    pub tls: Tls,
    /// The log of the process, if this server is to change its level.
    pub(crate) logging: OnceLock<Logging>,
    /// When it started, by the monotonic clock.
    pub started: Duration,
    /// Checkpoints that clients ask for.
    pub saving: Saving,
    /// The generation of the users' rules at the start.
    pub users_at_start: u64,
    /// Seconds since 1970 of the last checkpoint that was asked for, or of the start.
    pub last_save: AtomicU64,
    /// Tells this run from others: 40 hexadecimal digits.
    pub run_id: String,
    exclusive: AtomicBool,
    workers: OnceLock<Vec<Arc<WorkerHandle>>>,
    ports: OnceLock<Vec<String>>,
    ending: Mutex<bool>,
    ended: Condvar,
    /// Why it ends, if nobody asked for it.
    ended_because: OnceLock<String>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("run_id", &self.run_id).finish_non_exhaustive()
    }
}

/// A server and its threads.
pub struct Running {
    server: Arc<Server>,
    workers: Vec<JoinHandle<()>>,
    committer: JoinHandle<()>,
    queue: Arc<Queue>,
    jobs: Vec<JoinHandle<()>>,
    admin: Option<Admin>,
}

impl Running {
    /// The server.
    pub fn server(&self) -> &Arc<Server> {
        &self.server
    }

    /// Where the pages for operators are, if there are any.
    pub fn admin_address(&self) -> Option<SocketAddr> {
        self.admin.as_ref().map(Admin::address)
    }

    /// Tells who started the process that the server serves.
    pub fn announce(&self) {
        notify(Progress::Ready);
    }

    /// Waits until somebody asks the server to end, then ends it: replies to what was accepted are
    /// sent, everything is settled, a checkpoint is written, the store closed.
    ///
    /// # Errors
    /// [`Error::Store`] if the last writes may not be durable.
    pub fn wait(self) -> Result<()> {
        self.server.wait_for_end();
        notify(Progress::Stopping);
        tracing::info!("ending: what was accepted is finished first");
        let node = self.server.cluster.as_ref().and_then(|cluster| cluster.node.get());
        if let Some(node) = node {
            node.hand_over();
        }
        for worker in self.server.workers() {
            worker.send(Message::Stop);
        }
        for worker in self.workers {
            worker.join().expect("workers do not panic");
        }
        self.server.jobs.stop();
        for job in self.jobs {
            job.join().expect("jobs do not panic");
        }
        self.server.proposers.flush();
        self.queue.stop();
        self.committer.join().expect("the committer does not panic");
        if let Some(node) = node {
            node.stop();
        }
        if let Err(error) = self.server.store.checkpoint() {
            tracing::warn!(%error, "no checkpoint was written: the next start will take longer");
        }
        let closed = self.server.store.clone().close();
        match &closed {
            Ok(()) => tracing::info!("ended: everything is on the disk"),
            Err(error) => tracing::error!(%error, "the store was not closed cleanly"),
        }
        // Until here it can be asked how far the end is.
        drop(self.admin);
        closed?;
        match self.server.ended_because() {
            Some(why) => Err(NodeError::Refused(why.to_owned()).into()),
            None => Ok(()),
        }
    }
}

/// Starts a server.
///
/// # Errors
/// Whatever keeps it from serving.
pub fn start(config: Config, sources: &Sources) -> Result<Running> {
    start_node(config, sources, Start::Resume)
}

/// Starts a server that comes to its cluster like this, if it is to be a node of one.
///
/// # Errors
/// As [`start`].
pub fn start_node(config: Config, sources: &Sources, start: Start) -> Result<Running> {
    launch(Arc::new(OsDisk::new()), config, sources, start)
}

/// Starts a server whose store is on `disk`, as on a simulated one in tests.
///
/// # Errors
/// As [`start`].
pub fn start_on(disk: Arc<dyn Disk>, config: Config, sources: &Sources) -> Result<Running> {
    launch(disk, config, sources, Start::Resume)
}

fn launch(
    disk: Arc<dyn Disk>,
    mut config: Config,
    sources: &Sources,
    start: Start,
) -> Result<Running> {
    if start != Start::Resume && config.cluster == Switch::No {
        let detail = "--init and --join are for a node of a cluster: say --cluster, too".to_owned();
        return Err(NodeError::Setting { setting: "cluster", detail }.into());
    }
    process::fit_clients(&mut config);
    let start_admin = match config.place_of("admin-address") {
        Place::Default => Admin::start_near,
        _ => Admin::start,
    };
    let admin = config.admin_address.map(start_admin).transpose()?;
    let tls = Tls::new(tls::load(&config)?);
    let listeners = listen(&config, &tls)?;
    let (server, rising) = assemble(disk, config, sources, tls, &start)?;
    let ports = listeners.iter().map(Listener::address).collect::<std::io::Result<Vec<_>>>();
    let ports = ports.map_err(Error::io("ask for the address of a socket"))?;
    server.ports.set(ports).expect("it has just been made");
    let handles = start_workers(&server, listeners)?;
    let committer = start_committer(&server)?;
    if let Some(rising) = rising {
        rising.rise(&server, start)?;
    }
    let jobs = server.jobs.start(&server).map_err(Error::io("start a thread"))?;
    if let Some(admin) = &admin {
        admin.show(&server);
    }
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        addresses = server.addresses().join(" "),
        admin = admin.as_ref().map(|admin| admin.address().to_string()),
        directory = %server.config.current().dir.display(),
        keys = server.store.stats().keys,
        workers = handles.len(),
        "serving"
    );
    let queue = Arc::clone(&server.log_queue);
    Ok(Running { server, workers: handles, committer, queue, jobs, admin })
}

/// Opens the store and puts a server together; none of its threads runs yet, and nobody reaches it.
pub(crate) fn assemble(
    disk: Arc<dyn Disk>,
    config: Config,
    sources: &Sources,
    tls: Tls,
    start: &Start,
) -> Result<(Arc<Server>, Option<Rising>)> {
    // The server's own committer waits for the disk, so the store need not.
    let home = Home::on(Arc::clone(&disk), &config.dir);
    let options = config.store_options().durability(Durability::Os).disk(disk);
    let durability = Arc::new(DurabilityPolicy::new(config.durability));
    let log_metrics = Arc::new(LogMetrics::default());
    let queue = Arc::new(Queue::new(Arc::clone(&log_metrics)));
    let (store, rising, proposers, cluster) = if config.cluster == Switch::Yes {
        let (node, runtime) = (ClusterOptions::of(home, &config)?, runtime()?);
        let opened = open_or_replace(&node, config.on_damage, options, start);
        let store = runtime.block_on(opened)?;
        let (rising, proposers, cluster) = Rising::new(node, runtime, &log_metrics);
        (store, Some(rising), proposers, Some(cluster))
    } else {
        let store = KvStore::open_with(&config.dir, options)?;
        refuse_directory_of_node(&home, &store)?;
        let log = LocalLog::new(store.clone(), Arc::clone(&durability), Arc::clone(&queue));
        let proposers = Proposers::new(Routing::One, [Arc::new(log) as Arc<dyn Log>]);
        (store, None, proposers, None)
    };
    let parts = Parts { store, proposers, cluster, durability, log_queue: queue, log_metrics };
    Ok((put_together(parts, config, sources, tls)?, rising))
}

/// What a server writes with.
pub(crate) struct Parts {
    pub store: KvStore,
    pub proposers: Proposers,
    pub cluster: Option<Clustered>,
    pub durability: Arc<DurabilityPolicy>,
    pub log_queue: Arc<Queue>,
    pub log_metrics: Arc<LogMetrics>,
}

/// Puts the parts of a server together.
pub(crate) fn put_together(
    parts: Parts,
    config: Config,
    sources: &Sources,
    tls: Tls,
) -> Result<Arc<Server>> {
    let acl = AclStore::new();
    users::load(&acl, &config)?;
    acl.log().set_capacity(config.acllog_max_len as usize);
    let users_at_start = acl.generation();
    let workers = worker_count(&config);
    let Parts { store, proposers, cluster, durability, log_queue, log_metrics } = parts;
    Ok(Arc::new(Server {
        config: LiveConfig::new(config, sources),
        store,
        proposers,
        cluster,
        durability,
        log_queue,
        log_metrics,
        acl,
        clients: Clients::default(),
        stats: Stats::new(workers),
        latency: Latency::default(),
        slow_log: SlowLog::default(),
        memory: ClientMemory::default(),
        jobs: Jobs::default(),
        pause: Pause::default(),
        tls,
        logging: OnceLock::new(),
        started: clock::monotonic(),
        saving: Saving::default(),
        users_at_start,
        last_save: AtomicU64::new(clock::wall().as_secs()),
        run_id: run_id()?,
        exclusive: AtomicBool::new(false),
        workers: OnceLock::new(),
        ports: OnceLock::new(),
        ending: Mutex::new(false),
        ended: Condvar::new(),
        ended_because: OnceLock::new(),
    }))
}

/// Starts the thread that waits for the disk.
pub(crate) fn start_committer(server: &Arc<Server>) -> Result<JoinHandle<()>> {
    let bells = server.workers().to_vec();
    let committer = Committer {
        store: server.store.clone(),
        queue: Arc::clone(&server.log_queue),
        proposers: server.proposers.clone(),
        lane: Lane::FIRST,
        policy: Arc::clone(&server.durability),
        wake: Box::new(move || bells.iter().for_each(|worker| worker.settled())),
    };
    std::thread::Builder::new()
        .name("aryavarth-sync".to_owned())
        .spawn(move || committer.run())
        .map_err(Error::io("start a thread"))
}

fn worker_count(config: &Config) -> usize {
    match config.io_threads {
        // Half of the cores: the other half has clients, the committer and compaction to run.
        0 => std::thread::available_parallelism().map_or(1, |n| n.get() / 2).clamp(1, MOST_WORKERS),
        number => number as usize,
    }
}

fn run_id() -> Result<String> {
    let mut bytes = [0; 20];
    let refused = |error: getrandom::Error| Error::Io {
        operation: "get random numbers",
        source: std::io::Error::other(error),
    };
    getrandom::fill(&mut bytes).map_err(refused)?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

fn listen(config: &Config, tls: &Tls) -> Result<Vec<Listener>> {
    let mut listeners = Vec::new();
    for bind in &config.bind {
        let tls = tls.shared().map(|shared| (config.tls_port, Encryption::Tls(shared)));
        for (port, encryption) in [(config.port, Encryption::None)].into_iter().chain(tls) {
            if port == 0 {
                continue;
            }
            let address = SocketAddr::new(bind.address, port);
            match Listener::tcp(address, config.tcp_backlog, encryption) {
                Ok(listener) => listeners.push(listener),
                Err(error)
                    if bind.absence == Absence::Skipped
                        && error.kind() == std::io::ErrorKind::AddrNotAvailable => {}
                Err(source) => {
                    return Err(Error::Listen { address: address.to_string(), source });
                }
            }
        }
    }
    if let Some(path) = &config.unixsocket {
        let failed = |source| Error::Listen { address: path.display().to_string(), source };
        let mode = config.unixsocketperm.to_set();
        let listener = Listener::unix(path, mode, config.tcp_backlog).map_err(failed)?;
        listeners.push(listener);
    }
    if listeners.is_empty() { Err(Error::NoListener) } else { Ok(listeners) }
}

/// Makes what workers are reached by, and lets the server know it.
pub(crate) fn prepare_workers(
    server: &Arc<Server>,
    count: usize,
) -> Result<Vec<(mio::Poll, Arc<WorkerHandle>)>> {
    let prepared = (0..count).map(|_| Worker::prepare()).collect::<std::io::Result<Vec<_>>>();
    let prepared = prepared.map_err(Error::io("make an event loop"))?;
    let handles = prepared.iter().map(|(_, handle)| Arc::clone(handle)).collect();
    server.set_workers(handles);
    Ok(prepared)
}

fn start_workers(server: &Arc<Server>, listeners: Vec<Listener>) -> Result<Vec<JoinHandle<()>>> {
    let prepared = prepare_workers(server, worker_count(&server.config.current()))?;
    let mut listeners = Some(listeners);
    let mut threads = Vec::new();
    for (number, (poll, handle)) in prepared.into_iter().enumerate() {
        let listeners = listeners.take().unwrap_or_default();
        let worker = Worker::new(number, Arc::clone(server), poll, handle, listeners);
        let worker = worker.map_err(Error::io("make an event loop"))?;
        threads.push(net::start(worker).map_err(Error::io("start a thread"))?);
    }
    Ok(threads)
}

impl Server {
    /// The workers.
    pub fn workers(&self) -> &[Arc<WorkerHandle>] {
        self.workers.get().map_or(&[], Vec::as_slice)
    }

    /// Notes what its workers are reached by.
    ///
    /// # Panics
    /// If it has some already.
    pub(crate) fn set_workers(&self, workers: Vec<Arc<WorkerHandle>>) {
        self.workers.set(workers).ok().expect("workers are started once");
    }

    /// The addresses it listens on.
    pub fn addresses(&self) -> &[String] {
        self.ports.get().map_or(&[], Vec::as_slice)
    }

    /// Asks the server to end.
    pub fn end(&self) {
        *self.ending.lock().expect("no panic while held") = true;
        self.ended.notify_all();
    }

    /// Has the server end because it may not go on.
    pub fn end_because(&self, why: &str) {
        let _ = self.ended_because.set(why.to_owned());
        self.end();
    }

    /// Why it ends, if nobody asked for it.
    pub fn ended_because(&self) -> Option<&str> {
        self.ended_because.get().map(String::as_str)
    }

    /// Does what a signal asks for.
    pub fn heed(&self, signal: Signal) {
        match signal {
            Signal::End => self.end(),
            Signal::Reload => self.reload(),
        }
    }

    /// Reads certificates and users anew. What is wrong is left as it was.
    fn reload(&self) {
        notify(Progress::Reloading);
        self.reload_tls();
        if let Some(path) = &self.config.current().aclfile {
            match command::acl::reload(self) {
                Ok(()) => tracing::info!(file = %path.display(), "users were read anew"),
                Err(error) => tracing::error!(%error, "the users stay as they were"),
            }
        }
        notify(Progress::Ready);
    }

    /// What an acknowledged write survives, in a few words.
    pub fn durability_text(&self) -> String {
        match self.durability.get() {
            Durability::Always => "always: an OK is on the disk".to_owned(),
            Durability::Interval(interval) => {
                format!("interval: a power cut loses at most {interval:?}")
            }
            Durability::Os => "os: a power cut loses what the system had not written".to_owned(),
        }
    }

    /// Whether it is ending.
    pub fn is_ending(&self) -> bool {
        *self.ending.lock().expect("no panic while held")
    }

    fn wait_for_end(&self) {
        let ending = self.ending.lock().expect("no panic while held");
        let _ending =
            self.ended.wait_while(ending, |ending| !*ending).expect("no panic while held");
    }

    // --- who may come in ---

    /// Whether a new connection is taken.
    ///
    /// # Errors
    /// The reply to it, which is then closed.
    pub fn admit(&self, origin: &Origin) -> std::result::Result<(), String> {
        self.clients.accepted.fetch_add(1, Ordering::Relaxed);
        if self.clients.count() >= self.config.hot().max_clients() {
            self.clients.refused.fetch_add(1, Ordering::Relaxed);
            return Err("ERR max number of clients reached".to_owned());
        }
        if !origin.is_local() && self.is_protected() {
            self.clients.refused.fetch_add(1, Ordering::Relaxed);
            return Err(
                "DENIED Aryavarth takes no connections from other machines as long as its \
                        default user needs no password. Set one (`requirepass`, or users in \
                        `aclfile`), or set `protected-mode = false` if the network is yours alone."
                    .to_owned(),
            );
        }
        Ok(())
    }

    /// Whether only this machine's clients are taken.
    pub fn is_protected(&self) -> bool {
        self.config.current().protected_mode == Switch::Yes
            && self.acl.default_login().needs_no_authentication()
    }

    /// What a request of this session may have.
    pub fn request_limits(&self, session: &Session) -> Limits {
        if session.standing == Standing::Unknown {
            return Limits::UNAUTHENTICATED;
        }
        let hot = self.config.hot();
        Limits {
            arguments: hot.max_arguments(),
            bulk: hot.max_argument_length(),
            inline: hot.max_inline_length(),
            caller: Caller::Known,
        }
    }

    /// Notes that a user was denied something; returns what to answer.
    pub fn deny(
        &self,
        session: &Session,
        spec: &CommandSpec,
        args: Args<'_>,
        denial: Denial,
    ) -> CommandError {
        let user = session.login.last_seen();
        let context = match session.transaction {
            Some(_) => LogContext::Multi,
            None => LogContext::TopLevel,
        };
        let line = command::client_line(&session.client);
        let event = LogEvent {
            reason: denial.reason(),
            context,
            object: denial.object(spec, &args),
            username: user.name(),
            client_info: line.as_bytes(),
        };
        self.acl.log().record(&event, self.store.now());
        CommandError::new(denial.message(user, spec))
    }

    /// Closes a client's connection.
    pub fn kill(&self, client: &Client) {
        client.doomed.store(true, Ordering::Relaxed);
        if let Some(worker) = self.workers().get(client.worker) {
            worker.send(Message::Kill(client.id));
        }
    }

    /// Forgets what was counted since the start or the last time.
    pub fn reset_stats(&self) {
        self.stats.reset();
        self.clients.accepted.store(0, Ordering::Relaxed);
        self.clients.refused.store(0, Ordering::Relaxed);
        self.clients.over_output_limit.store(0, Ordering::Relaxed);
        self.clients.over_query_limit.store(0, Ordering::Relaxed);
        self.memory.evicted.store(0, Ordering::Relaxed);
    }

    /// Forgets what a session leaves behind.
    pub fn leave(&self, session: &mut Session) {
        command::leave(session, &self.proposers);
    }

    // --- who may write ---

    /// Whether somebody writes alone.
    pub fn is_exclusive(&self) -> bool {
        self.exclusive.load(Ordering::Acquire)
    }

    /// Keeps all other writes waiting while `work` runs. Everything proposed before is settled then.
    pub fn alone<R>(&self, work: impl FnOnce() -> R) -> R {
        for lane in self.proposers.lanes() {
            self.close_lane(lane);
        }
        for lane in self.proposers.lanes() {
            while !self.proposers.of(lane).hold().is_quiet() {
                std::thread::sleep(Duration::from_micros(100));
            }
        }
        let answer = work();
        // The first one last: who gets it finds the others open.
        for lane in self.proposers.lanes().rev() {
            self.proposers.of(lane).hold().set_access(Access::Everyone);
        }
        self.exclusive.store(false, Ordering::Release);
        self.wake_workers();
        answer
    }

    /// Takes a lane for who writes alone. They begin with the first one, so it decides between two.
    fn close_lane(&self, lane: Lane) {
        loop {
            let mut state = self.proposers.of(lane).hold();
            if state.access() == Access::Everyone {
                state.flush();
                state.set_access(Access::Exclusive);
                self.exclusive.store(true, Ordering::Release);
                return;
            }
            drop(state);
            std::thread::sleep(Duration::from_millis(1));
        }
    }

    /// Waits until a batch is settled. For threads that may wait.
    ///
    /// # Errors
    /// Why the batch failed, if it did.
    pub fn await_settled(&self, batch: BatchId) -> std::result::Result<(), BatchError> {
        let outcomes = self.proposers.of(batch.lane).outcomes();
        while outcomes.settled() < batch.number {
            std::thread::sleep(Duration::from_micros(100));
        }
        outcomes.failure(batch.number).map_or(Ok(()), Err)
    }

    /// Has workers look whether what commands wait for is over.
    pub fn wake_workers(&self) {
        self.workers().iter().for_each(|worker| worker.send(Message::Resume));
    }

    /// Until when a client has to wait before it may run a command, if it has to.
    pub fn paused(&self, spec: &CommandSpec, session: &Session) -> Option<Duration> {
        self.pause.until(spec, session)
    }

    /// Remembers a slow command.
    pub fn note_slow(&self, session: &Session, args: Args<'_>, took: Duration) {
        let shorten = |word: &[u8]| match word.len() {
            0..=SLOW_BYTES => word.to_vec(),
            length => {
                let mut text = word[..SLOW_BYTES].to_vec();
                text.extend_from_slice(
                    format!("... ({} more bytes)", length - SLOW_BYTES).as_bytes(),
                );
                text
            }
        };
        let shown = if args.len() > SLOW_WORDS { SLOW_WORDS - 1 } else { args.len() };
        let words = args.iter().take(shown).enumerate();
        let mut words: Vec<Vec<u8>> =
            words.map(|(at, word)| shorten(redacted(args, at).unwrap_or(word))).collect();
        if shown < args.len() {
            words.push(format!("... ({} more arguments)", args.len() - shown).into_bytes());
        }
        let command = SlowCommand {
            id: 0,
            at: clock::wall().as_secs(),
            took,
            args: words,
            peer: session.client.origin.peer(),
            name: session.client.names().name.clone(),
        };
        self.slow_log.note(command, self.config.hot().slow_commands());
    }
}
