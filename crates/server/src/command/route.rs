//! Where a command belongs: here, at another node, or nowhere for the moment.
//!
//! ```text
//!  keys ─▶ one slot? ─▶ its shard ─▶ led here? ── yes ──▶ evaluated; then: led here still?
//!            │ no                       ├ by another ──▶ MOVED slot host:port
//!         CROSSSLOT                     └ unknown ─────▶ waits a little; then CLUSTERDOWN
//! ```
//!
//! What a command answers without having written is a read, whatever its name: so the lease is looked at
//! before it is evaluated and again after it. What it wrote is bound to the term instead.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use aryavarth::Term;
use aryavarth_cluster::{NodeId, ShardId, Slot};
use aryavarth_replication::ReadPolicy;

use super::context::Job;
use super::error::CommandError;
use super::flags::Flags;
use super::forward::{Part, parts};
use super::id::CommandId;
use super::table::CommandSpec;
use super::transactions;
use super::turn::{Turn, Wait};
use crate::clock;
use crate::cluster::{Standing, reserved};
use crate::config::{Reads, Routing};
use crate::proposer::{Footing, Lane};
use crate::resp::Args;
use crate::server::Server;
use crate::session::{ReadFrom, Session, Trust};

/// How long a command waits for its shard to have a leader.
const PATIENCE: Duration = Duration::from_secs(2);
/// How long it waits before it looks again.
const GLANCE: Duration = Duration::from_millis(2);

/// What is to be done with a command.
pub(super) enum Verdict {
    /// It is evaluated here.
    Here(Stay),
    /// It is looked at again after a wait.
    Later(Wait),
    /// The leader of this shard is asked in its client's name.
    Forward(ShardId),
    /// The leaders of several shards are, each for its keys.
    Split(Vec<Part>),
    /// It is answered with this.
    Refused(CommandError),
}

/// Where the keys of a command are.
enum Place {
    /// It has none.
    Nowhere,
    /// All in this slot, or at least in its shard.
    Slot(ShardId, Slot),
    /// In several shards, and it can be split.
    Shards(Vec<Part>),
}

/// In which leadership a command is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stay {
    /// In none: it has no keys, or the server stands alone.
    Free,
    /// As the leader of a shard.
    Leading(Leading),
}

/// In which leadership a command is evaluated, and by which map of the slots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Leading {
    /// Of this shard.
    pub shard: ShardId,
    /// In this term.
    pub term: Term,
    /// Before any split after so many.
    pub splits: u32,
}

/// Whether an answer may be sent.
pub(super) enum Confirmed {
    /// It may.
    Yes,
    /// The command is to be tried again after a wait.
    Later(Wait),
    /// It may not.
    No,
}

/// What a session's next command has waited for.
#[derive(Debug, Default)]
pub struct Waiting {
    /// Since when it has waited for a leader.
    since: Option<Duration>,
    /// The confirmation that it asked for.
    confirmation: Option<Arc<Confirmation>>,
    /// Where it was admitted, if it has yet to be evaluated.
    #[cfg(feature = "simulated-cluster")]
    hesitated: Option<Stay>,
}

impl Waiting {
    /// The command is done. What was confirmed for it says nothing of a later moment, even if it was not needed.
    pub(super) fn end(&mut self) {
        self.confirmation = None;
    }
}

/// Whether a majority has said that this node leads a shard.
#[derive(Debug)]
struct Confirmation {
    shard: ShardId,
    state: AtomicU8,
}

const ASKED: u8 = 0;
const GIVEN: u8 = 1;

impl Turn<'_> {
    /// Where a command belongs.
    pub(super) fn route(
        &mut self,
        session: &mut Session,
        spec: &'static CommandSpec,
        args: Args<'_>,
    ) -> Verdict {
        #[cfg(feature = "simulated-cluster")]
        if let Some(stay) = session.waiting.hesitated.take() {
            return Verdict::Here(stay);
        }
        if self.server.cluster.is_none() {
            return match spec.keys(&args).any(|key| reserved::is_reserved(&args[key.index])) {
                true => Verdict::Refused(RESERVED),
                false => Verdict::Here(Stay::Free),
            };
        }
        let verdict = match self.slot_of(session, spec, args) {
            Err(error) => Verdict::Refused(error),
            Ok(Place::Nowhere) => Verdict::Here(Stay::Free),
            Ok(Place::Shards(parts)) => Verdict::Split(parts),
            Ok(Place::Slot(..)) if self.is_for_later(session, spec) => Verdict::Here(Stay::Free),
            Ok(Place::Slot(shard, slot)) => self.admit(session, spec, shard, slot),
        };
        if !matches!(verdict, Verdict::Later(_)) {
            session.waiting.since = None;
        }
        #[cfg(feature = "simulated-cluster")]
        let verdict = self.hesitate(session, spec, verdict);
        verdict
    }

    /// In a simulation, has a read lose its processor between the look at the lease and the read.
    #[cfg(feature = "simulated-cluster")]
    fn hesitate(
        &self,
        session: &mut Session,
        spec: &'static CommandSpec,
        verdict: Verdict,
    ) -> Verdict {
        let Verdict::Here(stay @ Stay::Leading(..)) = verdict else { return verdict };
        let Some(host) = aryavarth_replication::simulation::Host::current() else { return verdict };
        if self.must_hold(spec) || session.transaction.is_some() || !host.random().is_multiple_of(8)
        {
            return verdict;
        }
        session.waiting.hesitated = Some(stay);
        let longest = if host.random().is_multiple_of(4) { 600 } else { 5 };
        let span = Duration::from_millis(host.random() % longest);
        Verdict::Later(Wait::Until(clock::monotonic() + span))
    }

    /// Where its keys are.
    fn slot_of(
        &self,
        session: &Session,
        spec: &'static CommandSpec,
        args: Args<'_>,
    ) -> Result<Place, CommandError> {
        let Some(cluster) = &self.server.cluster else { return Ok(Place::Nowhere) };
        if spec.keys(&args).any(|key| reserved::is_reserved(&args[key.index])) {
            return Err(RESERVED);
        }
        let map = cluster.seats.slots();
        if map.most().is_none() {
            let has_keys = spec.id != CommandId::Exec && spec.keys(&args).next().is_some();
            return if has_keys { Err(DOWN) } else { Ok(Place::Nowhere) };
        }
        let queued = match spec.id {
            CommandId::Exec => transactions::keys(session),
            _ => Vec::new(),
        };
        let keys = spec.keys(&args).filter_map(|key| args.get(key.index)).chain(queued);
        let mut slots = keys.map(Slot::of);
        let Some(first) = slots.next() else { return Ok(Place::Nowhere) };
        let shard = map.owner_of(first);
        let by_shard = self.forwards(session) || session.trust == Trust::Node;
        if slots.all(|slot| slot == first || (by_shard && map.owner_of(slot) == shard)) {
            return Ok(Place::Slot(shard, first));
        }
        let alone = session.transaction.is_none();
        let parts = (by_shard && alone).then(|| parts(spec, args, map)).flatten();
        parts.map(Place::Shards).ok_or(CROSS_SLOT)
    }

    /// Whether commands of this session are passed on to where they belong.
    fn forwards(&self, session: &Session) -> bool {
        self.server.config.hot().routing() == Routing::Forward && session.trust == Trust::None
    }

    /// Whether a command is only queued, and its transaction passed on as a whole.
    fn is_for_later(&self, session: &Session, spec: &'static CommandSpec) -> bool {
        session.transaction.is_some()
            && !transactions::runs_at_once(spec.id)
            && self.forwards(session)
    }

    /// Whether this node may answer for the shard.
    fn admit(
        &mut self,
        session: &mut Session,
        spec: &'static CommandSpec,
        shard: ShardId,
        slot: Slot,
    ) -> Verdict {
        let Some(cluster) = &self.server.cluster else { return Verdict::Here(Stay::Free) };
        // Noted before it is looked whether the slot is the shard's.
        let splits = cluster.seats.slots().splits();
        if cluster.seats.slots().owner_of(slot) != shard {
            return wait(session);
        }
        let seat = cluster.seats.seat(shard);
        match seat.standing() {
            Standing::Leads(lease) => {
                let stays = Stay::Leading(Leading { shard, term: lease.term, splits });
                if self.must_hold(spec) {
                    let lane = Lane::of(shard);
                    if seat.is_closed() || self.proposer(lane).lead(lease.term) == Footing::Pending
                    {
                        self.holding.release();
                        return wait(session);
                    }
                } else if spec.flags.contains(Flags::READONLY)
                    && self.server.config.hot().reads() == Reads::ReadIndex
                    && !take_confirmation(session, shard)
                {
                    return self.ask_majority(session, shard);
                }
                Verdict::Here(stays)
            }
            Standing::Elsewhere(_) | Standing::Unsure if self.may_follow(session, spec) => {
                self.admit_at_replica(session, shard)
            }
            Standing::Elsewhere(node) => self.moved(session, spec, (shard, slot), node),
            Standing::Unsure => wait(session),
            Standing::Absent => {
                let view = cluster.views.newest();
                match view.leaders.get(&shard) {
                    Some(node) if view.myself != Some(*node) => {
                        self.moved(session, spec, (shard, slot), *node)
                    }
                    _ => wait(session),
                }
            }
        }
    }

    /// Whether a replica that does not lead may answer.
    fn may_follow(&self, session: &Session, spec: &'static CommandSpec) -> bool {
        session.reads != ReadFrom::Leader
            && session.transaction.is_none()
            && spec.flags.contains(Flags::READONLY)
    }

    /// Answers from this node's replica if it is fresh enough, or once it is.
    fn admit_at_replica(&self, session: &mut Session, shard: ShardId) -> Verdict {
        let Some(cluster) = &self.server.cluster else { return Verdict::Here(Stay::Free) };
        let most = match session.reads {
            ReadFrom::Replicas { max_staleness: Some(most) } => most,
            _ => self.server.config.current().replica_max_staleness.0,
        };
        let fresh = cluster.seats.seat(shard).age().is_some_and(|age| age <= most);
        if fresh || take_confirmation(session, shard) {
            return Verdict::Here(Stay::Free);
        }
        if let Verdict::Refused(error) = wait(session) {
            return Verdict::Refused(error);
        }
        let catching_up = cluster.catch_up(shard);
        let confirmation = Arc::new(Confirmation { shard, state: AtomicU8::new(ASKED) });
        session.waiting.confirmation = Some(Arc::clone(&confirmation));
        let work = async move {
            match catching_up.await {
                true => confirmation.state.store(GIVEN, Ordering::Release),
                // Not again at once.
                false => tokio::time::sleep(GLANCE).await,
            }
        };
        self.server.jobs.await_elsewhere(&cluster.runtime, self.worker(), session, work);
        Verdict::Later(Wait::Job)
    }

    /// Whether a command needs its lane, as it may write or watches.
    pub(super) fn must_hold(&self, spec: &'static CommandSpec) -> bool {
        spec.flags.contains(Flags::WRITE) || matches!(spec.id, CommandId::Exec | CommandId::Watch)
    }

    /// Sends the client to another node, or asks that in its name.
    fn moved(
        &self,
        session: &mut Session,
        spec: &'static CommandSpec,
        (shard, slot): (ShardId, Slot),
        node: NodeId,
    ) -> Verdict {
        let Some(cluster) = &self.server.cluster else { return wait(session) };
        let view = cluster.views.newest();
        let Some(address) = view.client_address(node) else { return wait(session) };
        let (host, port) = (address.host(), address.port());
        if !self.forwards(session) {
            return Verdict::Refused(CommandError::new(format!("MOVED {slot} {host}:{port}")));
        }
        if spec.id == CommandId::Watch || !session.watched.is_empty() {
            return Verdict::Refused(CommandError::new(format!(
                "ERR WATCH is not passed on: connect to the node that leads the key's shard, {host}:{port}"
            )));
        }
        Verdict::Forward(shard)
    }

    /// Has a majority asked whether this node leads, for the next try of the command.
    fn ask_majority(&self, session: &mut Session, shard: ShardId) -> Verdict {
        let Some(cluster) = &self.server.cluster else { return wait(session) };
        let Some(group) = cluster.seats.seat(shard).group() else { return wait(session) };
        let confirmation = Arc::new(Confirmation { shard, state: AtomicU8::new(ASKED) });
        session.waiting.confirmation = Some(Arc::clone(&confirmation));
        let work = async move {
            if group.read_barrier(ReadPolicy::ReadIndex).await.is_ok() {
                confirmation.state.store(GIVEN, Ordering::Release);
            }
        };
        self.server.jobs.await_elsewhere(&cluster.runtime, self.worker(), session, work);
        Verdict::Later(Wait::Job)
    }

    /// Whether what a command answered without having written may be sent.
    pub(super) fn confirm(
        &self,
        stay: Stay,
        session: &mut Session,
        spec: &'static CommandSpec,
    ) -> Confirmed {
        let Stay::Leading(leading @ Leading { shard, .. }) = stay else { return Confirmed::Yes };
        // What it changed in the session cannot be done twice.
        let once = matches!(spec.id, CommandId::Exec | CommandId::Watch);
        if !leads(self.server, leading) {
            return match (once, wait(session)) {
                (false, Verdict::Later(wait)) => Confirmed::Later(wait),
                _ => Confirmed::No,
            };
        }
        let asks = self.must_hold(spec) && self.server.config.hot().reads() == Reads::ReadIndex;
        if !asks || once || take_confirmation(session, shard) {
            return Confirmed::Yes;
        }
        match self.ask_majority(session, shard) {
            Verdict::Later(wait) => Confirmed::Later(wait),
            _ => Confirmed::No,
        }
    }

    /// A job whose answer is sent only if this node leads still when it is done.
    pub(super) fn still_leading(&self, stay: Stay, spec: &'static CommandSpec, job: Job) -> Job {
        let Stay::Leading(leading) = stay else { return job };
        let writes = spec.flags.contains(Flags::WRITE);
        Box::new(move |server, reply| {
            job(server, reply)?;
            match leads(server, leading) {
                true => Ok(()),
                false if writes => Err(UNDECIDED),
                false => Err(LOST),
            }
        })
    }
}

/// Whether this node leads a shard still, in the same term and with a lease, and no shard was split since.
fn leads(server: &Server, leading: Leading) -> bool {
    server.cluster.as_ref().is_some_and(|cluster| {
        let lease = cluster.seats.seat(leading.shard).lease();
        lease.is_some_and(|lease| lease.term == leading.term)
            && cluster.seats.slots().splits() == leading.splits
    })
}

/// Has the command tried again soon, until it has waited long.
fn wait(session: &mut Session) -> Verdict {
    let now = clock::monotonic();
    let since = *session.waiting.since.get_or_insert(now);
    match now.saturating_sub(since) < PATIENCE {
        true => Verdict::Later(Wait::Until(now + GLANCE)),
        false => Verdict::Refused(LEADERLESS),
    }
}

/// Takes the confirmation that the session asked for, if it was given.
fn take_confirmation(session: &mut Session, shard: ShardId) -> bool {
    session.waiting.confirmation.take().is_some_and(|confirmation| {
        confirmation.shard == shard && confirmation.state.load(Ordering::Acquire) == GIVEN
    })
}

const RESERVED: CommandError =
    CommandError::text("ERR keys that begin with \\0aryavarth\\0 are the server's own");
const CROSS_SLOT: CommandError =
    CommandError::text("CROSSSLOT Keys in request don't hash to the same slot");
const DOWN: CommandError =
    CommandError::text("CLUSTERDOWN This node belongs to no cluster yet: let it join one");
const LEADERLESS: CommandError = CommandError::text(
    "CLUSTERDOWN No leader of the key's shard is known here: less than a majority of its replicas \
     can be reached",
);
/// What is answered if the leadership was lost while a command was evaluated that wrote nothing.
pub(super) const LOST: CommandError =
    CommandError::text("TRYAGAIN This node leads the shard no more; nothing was written");
const UNDECIDED: CommandError = CommandError::text(
    "UNKNOWN Outcome unknown: the leadership of the shard changed meanwhile; read before doing it again",
);
