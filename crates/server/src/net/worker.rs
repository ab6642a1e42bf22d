//! A worker: the event loop that serves some of the connections.

#[cfg(feature = "simulation")]
mod by_hand;
mod eviction;
#[cfg(feature = "simulated-cluster")]
mod simulated;
#[cfg(test)]
#[cfg(feature = "simulation")]
mod tests;

#[cfg(feature = "simulation")]
pub(crate) use by_hand::{ByHand, Standstill};
#[cfg(feature = "simulated-cluster")]
pub(crate) use simulated::serve_simulated;

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::Duration;

use mio::event::Event;
use mio::{Events, Poll, Token};
use slab::Slab;

use super::caution::Caution;
use super::connection::{Arrived, Connection, READ, Rest};
use super::handle::{Bell, JobDone, Message, WorkerHandle};
use super::listener::Listener;
use super::socket::Socket;
use crate::clients::{ClientId, Origin};
use crate::clock;
use crate::command::{Flow, Turn};
use crate::proposer::NotedLanes;
use crate::resp::{Ahead, Caller, Reply};
use crate::server::Server;
use crate::session::{ReplyMode, Session};

/// The token of the worker's bell.
const BELL: Token = Token(usize::MAX);
/// Listeners have the tokens below the bell's.
const FIRST_LISTENER: usize = usize::MAX - 1024;
/// How often a worker looks after its connections when nothing happens.
const TICK: Duration = Duration::from_millis(100);
/// Requests understood ahead of their turn.
const AHEAD: usize = 16;
/// How long clients have to take their last replies when the server ends.
const GRACE: Duration = Duration::from_secs(10);
/// Connections accepted in one go before others are served.
const ACCEPTED_AT_ONCE: usize = 256;

/// A worker and what it serves.
pub struct Worker {
    number: usize,
    server: Arc<Server>,
    handle: Arc<WorkerHandle>,
    poll: Poll,
    listeners: Vec<Listener>,
    connections: Slab<Connection>,
    /// Those with something to do in this round.
    ready: Vec<usize>,
    /// Those whose replies wait for batches.
    awaiting: Vec<usize>,
    /// Those that rest until some moment, or until others are done.
    resting: Vec<usize>,
    scratch: Vec<u8>,
    ahead: Ahead,
    caution: Caution,
    /// The lanes to be flushed at the end of the round.
    noted: NotedLanes,
    looked_after: Duration,
    /// Whether connections wait that could not be accepted; no event will tell of them.
    accepts_later: bool,
    /// Since when it is to end.
    stopping: Option<Duration>,
}

/// Starts a worker on a thread of its own.
///
/// # Errors
/// The system's, if it has no thread to give.
pub fn start(worker: Worker) -> io::Result<JoinHandle<()>> {
    let name = format!("aryavarth-io-{}", worker.number);
    std::thread::Builder::new().name(name).spawn(move || worker.run())
}

impl Worker {
    /// A worker that accepts from `listeners` (one worker does) and serves what it is sent.
    ///
    /// # Errors
    /// The system's.
    pub fn new(
        number: usize,
        server: Arc<Server>,
        poll: Poll,
        handle: Arc<WorkerHandle>,
        mut listeners: Vec<Listener>,
    ) -> io::Result<Worker> {
        for (at, listener) in listeners.iter_mut().enumerate() {
            listener.register(poll.registry(), Token(FIRST_LISTENER + at))?;
        }
        Ok(Worker {
            number,
            server,
            handle,
            poll,
            listeners,
            connections: Slab::new(),
            ready: Vec::new(),
            awaiting: Vec::new(),
            resting: Vec::new(),
            scratch: vec![0; READ],
            ahead: Ahead::default(),
            caution: Caution::default(),
            noted: NotedLanes::default(),
            looked_after: Duration::ZERO,
            accepts_later: false,
            stopping: None,
        })
    }

    /// What to make a worker with: its poll and the handle others reach it by.
    ///
    /// # Errors
    /// The system's.
    pub fn prepare() -> io::Result<(Poll, Arc<WorkerHandle>)> {
        let poll = Poll::new()?;
        let waker = mio::Waker::new(poll.registry(), BELL)?;
        Ok((poll, Arc::new(WorkerHandle::new(Bell::Event(waker)))))
    }

    fn run(mut self) {
        let mut events = Events::with_capacity(1024);
        while !(self.stopping.is_some() && self.connections.is_empty()) {
            let timeout = self.timeout();
            if let Err(error) = self.attend(&mut events, timeout) {
                tracing::error!(%error, "cannot wait for events");
                return;
            }
        }
    }

    /// Waits for events, at most for `longest`, and does a round.
    fn attend(&mut self, events: &mut Events, longest: Duration) -> io::Result<()> {
        match self.poll.poll(events, Some(longest)) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            Err(error) => return Err(error),
        }
        for event in &*events {
            match event.token() {
                BELL => self.hear(),
                Token(token) if token >= FIRST_LISTENER => self.accept(token - FIRST_LISTENER),
                Token(token) => self.note_event(token, event),
            }
        }
        self.round();
        Ok(())
    }

    /// How long to wait for events at most.
    fn timeout(&self) -> Duration {
        if !self.ready.is_empty() {
            return Duration::ZERO;
        }
        let now = clock::monotonic();
        let until = |token: &usize| match self.connections.get(*token).map(|c| c.rest) {
            Some(Rest::Until(moment) | Rest::Pause(moment)) => Some(moment.saturating_sub(now)),
            _ => None,
        };
        self.resting.iter().filter_map(until).min().unwrap_or(TICK).min(TICK)
    }

    fn note_event(&mut self, token: usize, event: &Event) {
        let Some(connection) = self.connections.get_mut(token) else { return };
        let readable = event.is_readable() || event.is_read_closed();
        connection.readable |= readable;
        connection.end_told |= event.is_read_closed();
        if event.is_writable() && !connection.writable {
            connection.writable = true;
        } else if !readable {
            return;
        }
        self.list(token);
    }

    fn list(&mut self, token: usize) {
        let connection = &mut self.connections[token];
        if !std::mem::replace(&mut connection.listed, true) {
            self.ready.push(token);
        }
    }

    /// One round: evaluate, propose, send.
    fn round(&mut self) {
        let now = clock::monotonic();
        self.wake_rested(now);
        let ready = std::mem::take(&mut self.ready);
        for token in &ready {
            self.connections[*token].listed = false;
            self.serve(*token, now);
        }
        self.server.proposers.flush_noted(&self.noted);
        for token in &ready {
            self.send(*token);
        }
        self.send_settled();
        if now.saturating_sub(self.looked_after) >= TICK {
            self.looked_after = now;
            self.look_after(now);
            if self.number == 0 {
                self.server.stats.sample(now);
            }
        }
        if self.ready.is_empty() {
            // Its memory is used again.
            self.ready = ready;
            self.ready.clear();
        }
    }

    // --- evaluating ---

    /// Reads what has come and evaluates what is whole.
    fn serve(&mut self, token: usize, now: Duration) {
        let connection = &mut self.connections[token];
        if connection.rest != Rest::None || connection.session.closing || connection.ended {
            return;
        }
        // Who kills a client may rely on it: whatever it sends from then on is not heard.
        if connection.client().doomed.load(Ordering::Relaxed) {
            return self.abandon(token);
        }
        let mut received = 0;
        if connection.input.is_empty() && connection.readable {
            let arrived = connection.read(&mut self.scratch);
            if let Arrived::Bytes(bytes) = arrived {
                received = bytes;
                let turn = Turn::new(&self.server, self.number, &self.caution, &self.noted);
                let used = evaluate(turn, connection, &mut self.ahead, &self.scratch[..bytes]);
                connection.input.extend_from_slice(&self.scratch[used..bytes]);
            }
        } else {
            if connection.readable
                && needs_more(connection)
                && let Arrived::Bytes(bytes) = connection.read_more()
            {
                received = bytes;
            }
            let mut input = std::mem::take(&mut connection.input);
            let turn = Turn::new(&self.server, self.number, &self.caution, &self.noted);
            let used = evaluate(turn, connection, &mut self.ahead, &input);
            if used == input.len() {
                input = Vec::new();
            } else {
                input.drain(..used);
            }
            connection.input = input;
        }
        let client = connection.client();
        if received > 0 {
            client.touch(now);
            client.received.fetch_add(received as u64, Ordering::Relaxed);
            self.server.stats.worker(self.number).received(received as u64);
        }
        client.input.store(connection.input.len(), Ordering::Relaxed);
        self.weigh(token);
        self.after_serving(token);
    }

    /// Puts a connection on the lists it belongs on.
    fn after_serving(&mut self, token: usize) {
        let server = Arc::clone(&self.server);
        let connection = &mut self.connections[token];
        let limit = server.config.hot().query_buffer_limit();
        if connection.input.len() > limit {
            tracing::warn!(client = connection.client().id.0, "closed: query buffer limit");
            server.clients.over_query_limit.fetch_add(1, Ordering::Relaxed);
            connection.session.closing = true;
            connection.ended = true;
        }
        match connection.rest {
            Rest::Until(_) | Rest::Pause(_) | Rest::Others => self.resting.push(token),
            Rest::None if connection.readable || !connection.input.is_empty() => {
                let may_go_on = !connection.session.closing
                    && !connection.ended
                    && (connection.readable || connection.decoder.expected().is_none());
                // What is there but not whole waits for an event.
                if may_go_on && connection.readable {
                    self.list(token);
                }
            }
            _ => {}
        }
    }

    /// Lets those go on whose time has come.
    fn wake_rested(&mut self, now: Duration) {
        if self.resting.is_empty() {
            return;
        }
        let exclusive = self.server.is_exclusive();
        let paused = self.server.pause.is_on();
        let resting = std::mem::take(&mut self.resting);
        for token in resting {
            let Some(connection) = self.connections.get_mut(token) else { continue };
            let over = match connection.rest {
                Rest::Until(moment) => moment <= now,
                Rest::Pause(moment) => moment <= now || !paused,
                Rest::Others => !exclusive,
                _ => continue,
            };
            if over {
                connection.rest = Rest::None;
                connection.readable = true;
                self.list(token);
            } else {
                self.resting.push(token);
            }
        }
    }

    // --- sending ---

    fn send(&mut self, token: usize) {
        let Some(connection) = self.connections.get_mut(token) else { return };
        if connection.may_send() {
            let before = connection.output.pending();
            connection.flush(&self.server.proposers);
            let sent = before.saturating_sub(connection.output.pending());
            connection.client().sent.fetch_add(sent as u64, Ordering::Relaxed);
            self.server.stats.worker(self.number).sent(sent as u64);
        }
        self.weigh(token);
        let connection = &mut self.connections[token];
        let pending = connection.output.pending();
        connection.client().output.store(pending, Ordering::Relaxed);
        if connection.output.is_held() && !std::mem::replace(&mut connection.awaits, true) {
            self.awaiting.push(token);
            self.handle.await_settling();
        }
        let connection = &mut self.connections[token];
        let limits = self.server.config.hot().output_limit();
        if limits.hard > 0 && pending as u64 > limits.hard && !connection.ended {
            note_output_limit(&self.server, connection, "hard limit");
            connection.ended = true;
        }
        if connection.rest == Rest::Output && pending < pause_above(&self.server) / 2 {
            connection.rest = Rest::None;
            connection.readable = true;
            self.list(token);
        }
        let connection = &mut self.connections[token];
        let finished = connection.is_finished();
        if finished {
            connection.socket.finish();
        }
        if finished || (connection.ended && connection.rest != Rest::Job) {
            self.close(token);
        }
    }

    /// Sends the replies whose batches are settled by now.
    fn send_settled(&mut self) {
        if self.awaiting.is_empty() {
            return;
        }
        // Before looking: what is settled after this look rings the bell.
        self.handle.await_settling();
        let awaiting = std::mem::take(&mut self.awaiting);
        for token in awaiting {
            let Some(connection) = self.connections.get_mut(token) else { continue };
            if std::mem::replace(&mut connection.awaits, false) {
                self.send(token);
            }
        }
    }

    fn close(&mut self, token: usize) {
        let mut connection = self.connections.remove(token);
        connection.socket.close();
        self.server.leave(&mut connection.session);
        self.server.clients.remove(connection.client().id);
        self.server.memory.change(connection.counted, 0);
        self.handle.connections().fetch_sub(1, Ordering::Relaxed);
        self.ready.retain(|listed| *listed != token);
        self.awaiting.retain(|listed| *listed != token);
        self.resting.retain(|listed| *listed != token);
    }

    // --- what comes from outside ---

    fn accept(&mut self, listener: usize) {
        for _ in 0..ACCEPTED_AT_ONCE {
            let keepalive = self.server.config.hot().keepalive();
            // An event from before the listeners were closed.
            let Some(listener) = self.listeners.get_mut(listener) else { return };
            match listener.accept(keepalive) {
                Ok(Some((socket, origin))) => self.place(socket, origin),
                Ok(None) => {
                    self.accepts_later = false;
                    return;
                }
                Err(error) => {
                    // As when there are too many open files: those there are go on.
                    if !std::mem::replace(&mut self.accepts_later, true) {
                        tracing::warn!(%error, "cannot accept connections for now");
                    }
                    return;
                }
            }
        }
        // There may be more, of which no event will tell.
        self.handle.send(Message::Resume);
    }

    /// Gives a new connection to the worker with the fewest.
    fn place(&mut self, mut socket: Socket, origin: Origin) {
        if let Err(refusal) = self.server.admit(&origin) {
            let mut reply = Vec::new();
            Reply::new(&mut reply, crate::resp::Protocol::Two).error(&refusal);
            let _ = socket.write(&reply);
            return;
        }
        let workers = self.server.workers();
        let count = |worker: &Arc<WorkerHandle>| worker.connections().load(Ordering::Relaxed);
        let chosen = (0..workers.len()).min_by_key(|n| count(&workers[*n])).unwrap_or(self.number);
        workers[chosen].connections().fetch_add(1, Ordering::Relaxed);
        if chosen == self.number {
            let _ = self.adopt(socket, origin);
        } else {
            workers[chosen].send(Message::Connection(socket, origin));
        }
    }

    fn adopt(&mut self, mut socket: Socket, origin: Origin) -> Option<usize> {
        let token = self.connections.vacant_key();
        if let Err(error) = socket.register(self.poll.registry(), Token(token)) {
            tracing::warn!(%error, "cannot watch a connection");
            self.handle.connections().fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        let client = self.server.clients.add(origin, socket.fd(), self.number);
        let session = Session::new(client, self.server.acl.default_login());
        let entry = self.connections.insert(Connection::new(socket, session));
        assert_eq!(entry, token, "nothing was inserted in between");
        self.list(token);
        Some(token)
    }

    fn hear(&mut self) {
        for message in self.handle.take() {
            match message {
                Message::Connection(socket, origin) => _ = self.adopt(socket, origin),
                Message::Parcel(parcel, from, protocol) => {
                    self.handle.connections().fetch_add(1, Ordering::Relaxed);
                    let token = self.adopt(Socket::Parcel(Box::new(parcel)), Origin::Node(from));
                    if let Some(connection) =
                        token.and_then(|token| self.connections.get_mut(token))
                    {
                        connection.session.trust(protocol);
                    }
                }
                Message::Done(done) => self.finish_job(done),
                Message::Kill(client) => self.kill(client),
                Message::Resume => (0..self.listeners.len()).for_each(|n| self.accept(n)),
                Message::Stop => self.stop(),
            }
        }
    }

    fn token_of(&self, client: ClientId) -> Option<usize> {
        self.connections.iter().find(|(_, c)| c.client().id == client).map(|(token, _)| token)
    }

    fn finish_job(&mut self, done: JobDone) {
        let Some(token) = self.token_of(done.client) else { return };
        let connection = &mut self.connections[token];
        let start = connection.output.end();
        connection.output.buffer().extend_from_slice(&done.reply);
        if connection.session.replies != ReplyMode::On {
            connection.output.truncate(start);
        } else if !done.reply.is_empty() {
            connection.output.replied(start, None);
        }
        connection.rest = Rest::None;
        connection.readable = true;
        self.list(token);
    }

    fn kill(&mut self, client: ClientId) {
        if let Some(token) = self.token_of(client) {
            self.connections[token].ended = true;
            self.connections[token].rest = Rest::None;
            self.list(token);
        }
    }

    /// Accepts nothing more; connections end when their replies are sent.
    fn stop(&mut self) {
        self.stopping = Some(clock::monotonic());
        for listener in &mut self.listeners {
            listener.deregister(self.poll.registry());
        }
        self.listeners.clear();
        let tokens: Vec<usize> = self.connections.iter().map(|(token, _)| token).collect();
        for token in tokens {
            self.connections[token].session.closing = true;
            self.list(token);
        }
    }

    // --- looking after ---

    /// Closes who has been silent too long, takes too much, or is to go.
    fn look_after(&mut self, now: Duration) {
        let tokens: Vec<usize> = self.connections.iter().map(|(token, _)| token).collect();
        let hot = self.server.config.hot();
        let (timeout, limits) = (hot.timeout(), hot.output_limit());
        let auth_timeout = self.server.config.current().auth_timeout.above_zero();
        for token in tokens {
            self.connections[token].output.settle_down();
            self.weigh(token);
            let connection = &mut self.connections[token];
            let takes_too_much = connection.beyond_output_limit(&limits, now);
            let silent = timeout.is_some_and(|timeout| connection.client().idle() >= timeout);
            let unknown = connection.is_unknown()
                && auth_timeout
                    .is_some_and(|limit| now.saturating_sub(connection.client().since) >= limit);
            let left = connection.half_closed && connection.client().idle() >= GRACE;
            let doomed = connection.client().doomed.load(Ordering::Relaxed);
            let stuck = self.stopping.is_some_and(|since| {
                connection.is_finished() || now.saturating_sub(since) >= GRACE
            });
            if let Some(why) = takes_too_much
                && !connection.ended
            {
                note_output_limit(&self.server, connection, why);
            }
            if doomed
                || stuck
                || takes_too_much.is_some()
                || ((silent || unknown || left) && connection.rest == Rest::None)
            {
                connection.ended = true;
                connection.rest = Rest::None;
                self.list(token);
            }
        }
        // The limit may have been lowered.
        self.evict();
        if self.accepts_later {
            (0..self.listeners.len()).for_each(|listener| self.accept(listener));
        }
    }
}

/// Notes that a client is closed because of the replies it does not take.
fn note_output_limit(server: &Server, connection: &Connection, why: &str) {
    let (client, pending) = (connection.client().id.0, connection.output.pending());
    tracing::warn!(client, pending, "closed: output buffer limit ({why})");
    server.clients.over_output_limit.fetch_add(1, Ordering::Relaxed);
}

/// The bytes of unsent replies above which a client's requests wait.
fn pause_above(server: &Server) -> usize {
    let limit = server.config.hot().output_limit();
    let soft = if limit.soft > 0 { limit.soft } else { u64::MAX };
    let hard = if limit.hard > 0 { limit.hard / 2 } else { u64::MAX };
    usize::try_from(soft.min(hard)).unwrap_or(usize::MAX)
}

/// Whether what is there is not a whole request, as far as is known.
fn needs_more(connection: &Connection) -> bool {
    connection.decoder.expected().is_none_or(|expected| connection.input.len() < expected)
}

/// Evaluates the requests in `bytes`; returns how many bytes were used.
fn evaluate(
    mut turn: Turn<'_>,
    connection: &mut Connection,
    ahead: &mut Ahead,
    bytes: &[u8],
) -> usize {
    let server = turn.server();
    let pause_above = pause_above(server);
    let mut used = 0;
    while used < bytes.len() {
        if connection.output.pending() > pause_above {
            connection.rest = Rest::Output;
            break;
        }
        let limits = server.request_limits(&connection.session);
        let most = if limits.caller == Caller::Known { AHEAD } else { 1 };
        let rest = &bytes[used..];
        let filled = ahead.fill(&mut connection.decoder, rest, &limits, most);
        if ahead.len() > 1 {
            turn.warm((0..ahead.len()).filter_map(|number| ahead.args(number, rest).get(1)));
        }
        for number in 0..ahead.len() {
            let args = ahead.args(number, rest);
            let flow = turn.evaluate(&mut connection.session, &mut connection.output, args);
            if !matches!(flow, Flow::Retry(_)) {
                used += ahead.length(number);
            }
            if let Flow::Retry(wait) | Flow::Rest(wait) = flow {
                connection.rest = wait.into();
                connection.decoder.restart();
                return used;
            }
            if connection.session.closing {
                return bytes.len();
            }
        }
        if let Err(error) = filled {
            let start = connection.output.end();
            let protocol = connection.session.protocol;
            Reply::new(connection.output.buffer(), protocol)
                .error(&format!("ERR Protocol error: {error}"));
            connection.output.replied(start, None);
            connection.session.closing = true;
            return bytes.len();
        }
        if ahead.len() < most {
            break;
        }
    }
    used
}

impl From<crate::command::Wait> for Rest {
    fn from(wait: crate::command::Wait) -> Rest {
        match wait {
            crate::command::Wait::Job => Rest::Job,
            crate::command::Wait::Until(moment) => Rest::Until(moment),
            crate::command::Wait::Others => Rest::Others,
            crate::command::Wait::Pause(moment) => Rest::Pause(moment),
        }
    }
}
