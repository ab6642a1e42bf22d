//! A turn: the requests of one connection that are evaluated in one go.
//!
//! ```text
//!  request ─▶ known? ─▶ arguments? ─▶ logged in? ─▶ allowed? ─▶ led here? ─▶ queued by MULTI?
//!                                                                               │ no
//!                    paused? ─▶ may write now? ─▶ run ─▶ led here still? ─▶ reply, held for its batch
//! ```

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use aryavarth::Reader;

use super::context::{After, Context, Place, Sight};
use super::error::{CommandError, CommandResult};
use super::flags::Flags;
use super::id::CommandId;
use super::keys::KeyPosition;
use super::route::{self, Confirmed, Leading, Stay, Verdict};
use super::table::{self, CommandSpec};
use super::{absent, cluster, dispatch, transactions};
use crate::clock;
use crate::net::{Caution, MOST_FETCHES, Output, WorkerHandle};
use crate::proposer::{Access, Holding, Lane, Lanes, NotedLanes, State};
use crate::resp::{Args, OwnedRequest, Reply};
use crate::server::Server;
use crate::session::{ReplyMode, Session, Standing, Trust};
use crate::stats::WorkerStats;

/// How a connection goes on after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flow {
    /// With the next one.
    Next,
    /// With the same one, after a wait.
    Retry(Wait),
    /// With the next one, after a wait.
    Rest(Wait),
}

/// What a connection waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// The end of its job.
    Job,
    /// This moment of the monotonic clock.
    Until(Duration),
    /// The end of what others do alone.
    Others,
    /// The end of the pause that lasts until this moment, unless it is ended before.
    Pause(Duration),
}

/// The evaluation of some requests of one connection.
pub struct Turn<'s> {
    pub(super) server: &'s Arc<Server>,
    pub(super) reader: Reader<'s>,
    worker: usize,
    pub(super) holding: Holding<'s>,
    noted: &'s NotedLanes,
    pub(super) stats: &'s WorkerStats,
    caution: &'s Caution,
    /// When the request began.
    began: Duration,
}

impl<'s> Turn<'s> {
    /// Begins a turn on worker `worker`. The lanes of batches that replies depend on are noted in
    /// `noted`: they are to be flushed.
    pub fn new(
        server: &'s Arc<Server>,
        worker: usize,
        caution: &'s Caution,
        noted: &'s NotedLanes,
    ) -> Turn<'s> {
        Turn {
            server,
            reader: server.store.reader(),
            worker,
            holding: Holding::new(&server.proposers),
            noted,
            stats: server.stats.worker(worker),
            caution,
            began: clock::monotonic(),
        }
    }

    /// How others reach the worker.
    pub(super) fn worker(&self) -> &'s Arc<WorkerHandle> {
        &self.server.workers()[self.worker]
    }

    /// The server.
    pub fn server(&self) -> &'s Arc<Server> {
        self.server
    }

    /// Has a job read the keys of a request if some of them are not in memory; says whether.
    fn fetches(&self, session: &mut Session, spec: &'static CommandSpec, args: Args<'_>) -> bool {
        let is_cold = |key: &KeyPosition| !self.reader.is_resident(&args[key.index]);
        if session.fetches >= MOST_FETCHES || !spec.keys(&args).any(|key| is_cold(&key)) {
            session.fetches = 0;
            return false;
        }
        session.fetches += 1;
        self.caution.missed(self.began);
        let keys = OwnedRequest::of(spec.keys(&args).map(|key| &args[key.index]));
        let fetch = move |server: &Arc<Server>, _: &mut Reply<'_>| {
            for key in keys.args().iter() {
                // What is wrong shows when the command is tried again.
                let _ = server.store.contains(key);
            }
            Ok(())
        };
        self.server.jobs.run(self.worker, session, spec.id, Box::new(fetch));
        true
    }

    /// Fetches what reading these keys will need, all at once.
    pub fn warm<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        // Whoever is careful must not be made to wait here.
        if !self.caution.is_careful(self.began) {
            self.reader.warm(keys);
        }
    }

    /// Holds the proposer of `lane` until the end of the turn, or until another is asked for.
    #[inline]
    pub(super) fn proposer(&mut self, lane: Lane) -> &mut State {
        self.holding.lane(lane)
    }

    /// The lane of a request: that of its keys, all of which are in one; the first one if it has none.
    #[inline]
    fn lane_of(
        &self,
        stay: Stay,
        session: &Session,
        spec: &'static CommandSpec,
        args: Args<'_>,
    ) -> Lane {
        if let Stay::Leading(Leading { shard, .. }) = stay {
            return Lane::of(shard);
        }
        let proposers = &self.server.proposers;
        if spec.id == CommandId::Exec {
            return self.lane_of_transaction(session);
        }
        let lane = proposers.lane_by(|| args.get(spec.keys(&args).next()?.index));
        debug_assert!(
            // There a shard may be split between two looks.
            self.server.cluster.is_some()
                || spec.keys(&args).all(|key| proposers.lane_of(&args[key.index]) == lane),
            "all keys of a command are in one lane"
        );
        lane
    }

    /// The lane of what is queued and watched.
    fn lane_of_transaction(&self, session: &Session) -> Lane {
        let proposers = &self.server.proposers;
        let lane = proposers.lane_by(|| transactions::keys(session).first().copied());
        debug_assert!(
            transactions::keys(session).iter().all(|key| proposers.lane_of(key) == lane),
            "all keys of a transaction are in one lane"
        );
        lane
    }

    /// Evaluates a request and writes its reply.
    pub fn evaluate(&mut self, session: &mut Session, output: &mut Output, args: Args<'_>) -> Flow {
        let flow = self.try_to_evaluate(session, output, args);
        if !matches!(flow, Flow::Retry(_)) {
            session.waiting.end();
        }
        flow
    }

    fn try_to_evaluate(
        &mut self,
        session: &mut Session,
        output: &mut Output,
        args: Args<'_>,
    ) -> Flow {
        let Some(name) = args.get(0) else { return Flow::Next };
        session.replies = match session.replies {
            ReplyMode::SkipNext => ReplyMode::Skip,
            ReplyMode::Skip => ReplyMode::On,
            other => other,
        };
        let start = output.end();
        let spec = match resolve(name, args) {
            Ok(spec) => spec,
            Err(error) => {
                let spec = match &error {
                    CommandError::WrongArguments(name) => table::find_full(name.as_bytes()),
                    _ => table::find(name),
                };
                if spec.is_none() {
                    self.stats.unknown();
                }
                self.reject(session, output, spec, &error);
                return Flow::Next;
            }
        };
        if let Some(paused) = self.server.paused(spec, session) {
            return Flow::Retry(Wait::Pause(paused));
        }
        if let Err(error) = self.permit(session, spec, args) {
            self.reject(session, output, Some(spec), &error);
            return Flow::Next;
        }
        let stay = match self.route(session, spec, args) {
            Verdict::Here(stay) => stay,
            Verdict::Later(wait) => return Flow::Retry(wait),
            Verdict::Forward(shard) => return self.forward(session, spec, args, shard),
            Verdict::Split(parts) => return self.split(session, spec, args, parts),
            Verdict::Refused(error) => {
                self.turn_away(session, output, spec, &error);
                return Flow::Next;
            }
        };
        if session.transaction.is_some() && !transactions::runs_at_once(spec.id) {
            self.enqueue(session, output, spec, args);
            return Flow::Next;
        }
        if self.caution.is_careful(self.began) && self.fetches(session, spec, args) {
            return Flow::Retry(Wait::Job);
        }
        let lane = self.lane_of(stay, session, spec, args);
        let writes = self.must_hold(spec);
        if writes {
            // A write that names no key concerns all of them.
            let concerns_all = spec.flags.contains(Flags::WRITE) && spec.keys.is_empty();
            let lanes =
                if concerns_all { self.server.proposers.lanes() } else { Lanes::only(lane) };
            let fenced = match self.may_write(lanes, spec) {
                Ok(true) => None,
                Ok(false) => return Flow::Retry(Wait::Others),
                Err(error) => Some(error),
            };
            if let Some(error) = fenced {
                self.reject(session, output, Some(spec), &error);
                return Flow::Next;
            }
        }
        let sight = if writes || output.is_held() { Sight::Everything } else { Sight::Settled };
        let protocol = session.protocol;
        session.client.last_command.store(spec.id.index() + 1, Ordering::Relaxed);
        let mut context = Context {
            turn: self,
            session,
            spec,
            place: Place::Alone,
            sight,
            lane,
            depends: None,
            after: After::Nothing,
        };
        let mut reply = Reply::new(output.buffer(), protocol);
        let mut result = dispatch(&mut context, args, &mut reply);
        let (depends, after) = (context.depends, context.after);
        if depends.is_none() && stay != Stay::Free {
            match self.confirm(stay, session, spec) {
                Confirmed::Yes => {}
                Confirmed::Later(wait) => {
                    output.truncate(start);
                    return Flow::Retry(wait);
                }
                Confirmed::No => {
                    output.truncate(start);
                    result = Err(route::LOST);
                }
            }
        }
        let failed = result.is_err();
        if let Err(error) = result {
            output.truncate(start);
            let text = error.to_string();
            self.stats.error(&text);
            Reply::new(output.buffer(), protocol).error(&text);
        }
        if session.replies != ReplyMode::On {
            output.truncate(start);
        }
        if let Some(batch) = depends {
            self.noted.note(batch.lane);
        }
        if output.end() > start {
            output.replied(start, depends);
        } else if let Some(batch) = depends {
            output.depends_silently(batch);
        }
        self.note(session, spec, args, failed);
        if let Some(state) = self.holding.held() {
            state.flush_if_large();
        }
        match after {
            After::Nothing => Flow::Next,
            After::Until(moment) => Flow::Rest(Wait::Until(moment)),
            After::Elsewhere => Flow::Rest(Wait::Job),
            After::Job(job) => {
                let job = self.still_leading(stay, spec, job);
                self.server.jobs.run(self.worker, session, spec.id, job);
                Flow::Rest(Wait::Job)
            }
        }
    }

    /// Answers a request that does not belong here. An `EXEC` ends its transaction and tells why, in the
    /// words that clients of Redis Cluster look for.
    fn turn_away(
        &mut self,
        session: &mut Session,
        output: &mut Output,
        spec: &'static CommandSpec,
        error: &CommandError,
    ) {
        if spec.id != CommandId::Exec {
            return self.reject(session, output, Some(spec), error);
        }
        self.holding.release();
        transactions::abort(session, &self.server.proposers);
        self.stats.command(spec.id).reject();
        self.reject(session, output, None, error);
    }

    /// Answers a request that is not run. It spoils a transaction, and if it was its `EXEC`, ends it.
    fn reject(
        &mut self,
        session: &mut Session,
        output: &mut Output,
        spec: Option<&'static CommandSpec>,
        error: &CommandError,
    ) {
        let aborted = match spec {
            Some(spec) if spec.id == CommandId::Exec => {
                // Its watches are given up while the proposer is held.
                self.holding.release();
                transactions::abort(session, &self.server.proposers);
                Some(transactions::aborted(&error.to_string()))
            }
            _ => None,
        };
        let error = aborted.as_ref().unwrap_or(error);
        if let Some(transaction) = &mut session.transaction {
            transaction.spoilt = true;
        }
        if let Some(spec) = spec {
            self.stats.command(spec.id).reject();
        }
        self.stats.error(&error.to_string());
        if session.replies == ReplyMode::On {
            let start = output.end();
            Reply::new(output.buffer(), session.protocol).error(&error.to_string());
            output.replied(start, None);
        }
    }

    /// Whether the client may run the command.
    fn permit(
        &self,
        session: &mut Session,
        spec: &'static CommandSpec,
        args: Args<'_>,
    ) -> CommandResult {
        if session.trust == Trust::Node {
            return Ok(());
        }
        if session.standing == Standing::Unknown {
            if spec.flags.contains(Flags::NOAUTH) {
                return Ok(());
            }
            if !session.needs_no_login(&self.server.acl) {
                return Err(CommandError::text("NOAUTH Authentication required."));
            }
            session.standing = Standing::Known;
        }
        let Some(user) = session.login.user(&self.server.acl) else {
            session.closing = true;
            return Err(CommandError::text("NOPERM The user was deleted; log in again"));
        };
        match user.permits(spec, &args) {
            Ok(()) => Ok(()),
            Err(denial) => Err(self.server.deny(session, spec, args, denial)),
        }
    }

    /// Whether a write may be evaluated now; false if others write alone.
    fn may_write(
        &mut self,
        lanes: Lanes,
        spec: &'static CommandSpec,
    ) -> Result<bool, CommandError> {
        for lane in lanes {
            let state = self.proposer(lane);
            if state.access() == Access::Exclusive {
                self.holding.release();
                return Ok(false);
            }
            if !spec.flags.contains(Flags::WRITE) {
                continue;
            }
            let refusal =
                if spec.flags.contains(Flags::DENYOOM) { state.refusal() } else { state.fence() };
            if let Some(error) = refusal {
                return Err(error.into());
            }
        }
        Ok(true)
    }

    fn enqueue(
        &mut self,
        session: &mut Session,
        output: &mut Output,
        spec: &'static CommandSpec,
        args: Args<'_>,
    ) {
        let limit = self.server.config.hot().max_queued_commands();
        let Some(transaction) = &mut session.transaction else { return };
        if spec.flags.contains(Flags::NO_MULTI) {
            let error = CommandError::text("ERR Command not allowed inside a transaction");
            return self.reject(session, output, Some(spec), &error);
        }
        if limit != 0 && transaction.queue.len() >= limit {
            let error = CommandError::new(format!(
                "ERR a transaction has at most {limit} commands (max-multi-commands)"
            ));
            return self.reject(session, output, Some(spec), &error);
        }
        let request = OwnedRequest::copy(args);
        transaction.memory += request.memory() + size_of::<OwnedRequest>();
        transaction.queue.push(request);
        let queued = transaction.queue.len() as i64;
        session.client.queued.store(queued, Ordering::Relaxed);
        if session.replies == ReplyMode::On {
            let start = output.end();
            Reply::new(output.buffer(), session.protocol).simple("QUEUED");
            output.replied(start, None);
        }
    }

    /// Begins to measure a command within another; returns when the other began.
    pub(super) fn begin(&mut self) -> Duration {
        std::mem::replace(&mut self.began, clock::monotonic())
    }

    /// Goes on measuring the other.
    pub(super) fn resume(&mut self, began: Duration) {
        self.began = began;
    }

    /// Notes what a command took.
    pub(super) fn note(
        &mut self,
        session: &Session,
        spec: &'static CommandSpec,
        args: Args<'_>,
        failed: bool,
    ) {
        let now = clock::monotonic();
        let took = now.saturating_sub(std::mem::replace(&mut self.began, now));
        self.caution.note(now, took);
        self.stats.ran(spec.id, took, failed);
        let hot = self.server.config.hot();
        let may_be_slow = !spec.flags.contains(Flags::SKIP_SLOWLOG);
        if may_be_slow && hot.slow_from().is_some_and(|from| took >= from) {
            self.server.note_slow(session, args, took);
        }
        if hot.delay_from().is_some_and(|from| took >= from) {
            self.server.latency.note("command", took);
        }
    }
}

/// The row of a request's command, or of its subcommand.
pub(super) fn resolve(name: &[u8], args: Args<'_>) -> Result<&'static CommandSpec, CommandError> {
    let Some(spec) = table::find(name) else { return Err(unknown(name, args)) };
    let spec = match args.get(1) {
        Some(sub) if !spec.subcommands.is_empty() => match table::find_subcommand(spec, sub) {
            Some(found) => found,
            None => return Err(unknown_subcommand(spec, sub)),
        },
        _ => spec,
    };
    if spec.accepts(args.len()) {
        Ok(spec)
    } else {
        Err(CommandError::WrongArguments(spec.full_name))
    }
}

/// Redis' own words for a subcommand that there is not, or plain words for one that only Redis has.
fn unknown_subcommand(spec: &CommandSpec, name: &[u8]) -> CommandError {
    let container = spec.name.to_uppercase();
    let shown = String::from_utf8_lossy(&name[..name.len().min(128)]);
    let reason = if spec.id == CommandId::Cluster { cluster::refusal(name) } else { None };
    CommandError::new(match reason {
        Some(reason) => format!("ERR {container} {} is not here: {reason}", shown.to_uppercase()),
        None => format!("ERR unknown subcommand '{shown}'. Try {container} HELP."),
    })
}

/// Redis' own words for a command it does not know; plain words for one that is not here.
fn unknown(name: &[u8], args: Args<'_>) -> CommandError {
    if let Some(kind) = absent::absent(name) {
        return CommandError::new(format!(
            "ERR unknown command '{}': this server does not support {kind}",
            String::from_utf8_lossy(name)
        ));
    }
    let mut text = format!(
        "ERR unknown command '{}', with args beginning with: ",
        String::from_utf8_lossy(&name[..name.len().min(128)])
    );
    for arg in args.iter().skip(1) {
        if text.len() >= 128 {
            break;
        }
        let shown = &arg[..arg.len().min(128)];
        text.push_str(&format!("'{}' ", String::from_utf8_lossy(shown)));
    }
    CommandError::new(text)
}
