//! One client's connection: what came in and is not used yet, what is to go out, and why it rests.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::output::Output;
use super::socket::{ShortRead, Socket};
use crate::clients::Client;
use crate::config::OutputLimit;
use crate::proposer::Proposers;
use crate::resp::Decoder;
use crate::session::{Session, Standing};

/// Bytes read at once while a large request comes in.
const LARGE_READ: usize = 1 << 20;
/// Bytes read at once otherwise.
pub(super) const READ: usize = 64 << 10;

/// Why no request of a connection is evaluated for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// It is not resting.
    None,
    /// A job is under way for it.
    Job,
    /// Until this moment of the monotonic clock; then the job's reply is due, or the command is tried
    /// again.
    Until(Duration),
    /// Until a pause ends: at this moment of the monotonic clock, or before.
    Pause(Duration),
    /// Until others are done with what they are doing alone.
    Others,
    /// Until the client has taken some of its replies.
    Output,
}

/// A client's connection.
pub(super) struct Connection {
    pub socket: Socket,
    pub session: Session,
    pub decoder: Decoder,
    /// Bytes that came and are not used yet.
    pub input: Vec<u8>,
    pub output: Output,
    pub rest: Rest,
    /// Whether more bytes may be there without an event telling.
    pub readable: bool,
    /// Whether the socket took all it was given the last time.
    pub writable: bool,
    /// Whether it is on the list of those with something to do.
    pub listed: bool,
    /// Whether it is on the list of those whose replies wait for batches.
    pub awaits: bool,
    /// An event told that the end is there, behind what was not read yet: no other event will.
    pub end_told: bool,
    /// The other side sends nothing more: it is closed once what it has sent is answered.
    pub half_closed: bool,
    /// The connection is broken, or is to be closed at once.
    pub ended: bool,
    /// Since when its output is beyond the soft limit.
    pub over_soft_limit: Option<Duration>,
    /// If its requests wait for a client that takes nothing: since when.
    pub stalled: Option<Stall>,
    /// The memory of it last counted among all clients'.
    pub counted: usize,
}

/// A wait for a client that takes none of its replies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stall {
    since: Duration,
    /// All bytes the client had taken by then.
    sent: u64,
}

/// What a read brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrived {
    /// So many bytes.
    Bytes(usize),
    /// Nothing for now.
    Nothing,
    /// The end.
    End,
}

impl Connection {
    pub fn new(socket: Socket, session: Session) -> Connection {
        Connection {
            socket,
            session,
            decoder: Decoder::default(),
            input: Vec::new(),
            output: Output::default(),
            rest: Rest::None,
            readable: true,
            writable: true,
            listed: false,
            awaits: false,
            end_told: false,
            half_closed: false,
            ended: false,
            over_soft_limit: None,
            stalled: None,
            counted: 0,
        }
    }

    pub fn client(&self) -> &Arc<Client> {
        &self.session.client
    }

    /// Reads into `into`, and notes whether more may be there.
    pub fn read(&mut self, into: &mut [u8]) -> Arrived {
        let read = self.socket.read(into);
        if let Some(held_back) = self.socket.holds_back() {
            // Reading may have brought the handshake to its end, or left an answer unsent.
            self.writable = !held_back;
        }
        match read {
            Ok(0) => {
                self.half_closed = true;
                self.readable = false;
                Arrived::End
            }
            Ok(bytes) => {
                self.readable = self.end_told
                    || bytes == into.len()
                    || self.socket.short_read() == ShortRead::MayHaveMore;
                Arrived::Bytes(bytes)
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.readable = false;
                Arrived::Nothing
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => Arrived::Nothing,
            Err(error) => {
                tracing::debug!(client = self.client().id.0, %error, "connection lost");
                self.ended = true;
                Arrived::End
            }
        }
    }

    /// Reads behind what is there already.
    pub fn read_more(&mut self) -> Arrived {
        let have = self.input.len();
        let missing = self.decoder.expected().map_or(0, |expected| expected.saturating_sub(have));
        let room = missing.clamp(READ, LARGE_READ);
        let mut input = std::mem::take(&mut self.input);
        input.resize(have + room, 0);
        let arrived = self.read(&mut input[have..]);
        let bytes = if let Arrived::Bytes(bytes) = arrived { bytes } else { 0 };
        input.truncate(have + bytes);
        self.input = input;
        arrived
    }

    /// Sends what may be sent, as far as the socket takes it. Says whether the connection still works.
    pub fn flush(&mut self, proposers: &Proposers) -> bool {
        loop {
            let bytes = self.output.sendable(proposers, self.session.protocol);
            if bytes.is_empty() {
                break;
            }
            match self.socket.write(bytes) {
                Ok(sent) => self.output.sent(sent),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.writable = false;
                    return true;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::debug!(client = self.client().id.0, %error, "cannot send");
                    self.ended = true;
                    return false;
                }
            }
        }
        match self.socket.flush() {
            Ok(all) => {
                self.writable = all;
                true
            }
            Err(_) => {
                self.ended = true;
                false
            }
        }
    }

    /// Why it is to be closed, if its client has taken too few of its replies for too long. To be asked
    /// regularly, as this is when it looks.
    pub fn beyond_output_limit(
        &mut self,
        limit: &OutputLimit,
        now: Duration,
    ) -> Option<&'static str> {
        let over = limit.soft > 0 && self.output.pending() as u64 > limit.soft;
        self.over_soft_limit = over.then(|| self.over_soft_limit.unwrap_or(now));
        let over_for = self.over_soft_limit.map(|since| now.saturating_sub(since));
        let stalled_for = self.stalled_for(now);
        // A job's reply has nowhere to go when its connection is closed.
        if self.rest == Rest::Job {
            return None;
        }
        if over_for.is_some_and(|time| time >= limit.soft_time()) {
            return Some("soft limit");
        }
        stalled_for.is_some_and(|time| time >= limit.stall_time()).then_some("nothing is taken")
    }

    /// How long its requests have waited for a socket that takes nothing; none if they do not. Replies
    /// that wait for the disk are not the client's fault.
    fn stalled_for(&mut self, now: Duration) -> Option<Duration> {
        let sent = self.client().sent.load(Ordering::Relaxed);
        let same = self.stalled.filter(|stall| stall.sent == sent);
        let waits = self.rest == Rest::Output && !self.writable;
        self.stalled = waits.then(|| same.unwrap_or(Stall { since: now, sent }));
        self.stalled.map(|stall| now.saturating_sub(stall.since))
    }

    /// Memory of its buffers.
    pub fn memory(&self) -> usize {
        let queued = self.session.transaction.as_ref().map_or(0, |t| t.memory);
        self.input.capacity() + self.output.memory() + queued
    }

    /// Whether it is not known whose it is: it has yet to log in, or to finish its handshake.
    pub fn is_unknown(&self) -> bool {
        self.session.standing == Standing::Unknown || self.socket.is_handshaking()
    }

    /// Whether there is something to send and, as far as is known, a socket that takes it.
    pub fn may_send(&self) -> bool {
        let held_back = self.socket.holds_back() == Some(true);
        let waiting = self.output.pending() > 0 || self.output.is_held() || held_back;
        self.writable && waiting
    }

    /// Lets go of its buffers, whatever they hold, and has it closed.
    pub fn abandon(&mut self) {
        (self.input, self.output) = (Vec::new(), Output::default());
        self.session.set_transaction(None);
        self.rest = Rest::None;
        self.ended = true;
    }

    /// Whether all that will ever be sent has been.
    pub fn is_finished(&self) -> bool {
        let all_answered = self.half_closed && self.rest == Rest::None && !self.listed;
        let closes = self.session.closing && self.rest != Rest::Job;
        (closes || all_answered)
            && self.output.pending() == 0
            && self.socket.holds_back() != Some(true)
    }
}
