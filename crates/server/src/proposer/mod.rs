//! The proposer: evaluates write commands in order and hands their effects to the log, many in one
//! batch.
//!
//! ```text
//!  worker ─ command ─▶ evaluate against ┌ the open batch     newest first
//!                                       │ batches in flight
//!                                       └ the store          what is applied
//!              │ effects, never commands
//!              ▼
//!         open batch ── flush ──▶ Log::propose ──▶ in flight ──▶ settled: replies may go out
//! ```
//!
//! The log behind it is a trait: here the node's own, later one that a majority has to have. Whatever
//! it is, a reply that depends on a batch waits until the batch is settled, and becomes an error if
//! the batch failed.
//!
//! A log that a majority has to have can refuse a batch. Then all that was computed from it is refused,
//! too: those batches form a chain, and a new one begins when nothing of the old is in flight.
//!
//! # Invariants
//! - There is one proposer for each shard, called its [`Lane`]; what follows holds in each by itself.
//! - Commands are evaluated one at a time, while the proposer is held; so a batch's number is also its
//!   place in the order of all effects of the lane.
//! - All effects of a command, and of all commands of a transaction, are in one batch.
//! - Batches are settled in the order of their numbers.
//! - Nobody but the proposers writes to the store.

mod committer;
#[cfg(test)]
pub(crate) mod fake;
mod lanes;
mod local;
mod log;
mod outcomes;
mod overlay;
mod raft;
mod watch;

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use aryavarth::{Effect, Operation, Term, WriteBatch};
use aryavarth_replication::Chain;

pub use self::committer::{Committer, Queue};
pub use self::lanes::{BatchId, Holding, Lane, Lanes, NotedLanes, Proposers, Routing};
pub use self::local::{DurabilityPolicy, LocalLog};
pub use self::log::{Accepted, Log, Order, Proposed};
pub use self::outcomes::{BatchError, BatchNumber, Outcomes};
use self::overlay::Overlay;
pub use self::raft::{RaftLog, Settlements, Settler};
pub use self::watch::WatchFlag;
use self::watch::Watches;
use crate::{clock, planted};

/// Effects gathered before a batch is proposed even though more commands are waiting.
const MAX_GATHERED: usize = 8192;
/// Bytes of effects, likewise.
const MAX_GATHERED_BYTES: u64 = 4 << 20;
/// The longest that is waited for those who were just answered.
const MOST_GATHERING: Duration = Duration::from_millis(5);
/// Batches kept for their memory.
const SPARE: usize = 4;
/// A batch whose memory is larger is not kept.
const SPARE_BYTES: u64 = 8 << 20;
/// How long growing writes are refused at once after the disk was found full.
const DISK_FULL_PAUSE: Duration = Duration::from_millis(100);

/// Evaluates and proposes what is written in one lane. Shared by all workers.
///
/// Aligned so that lanes beside each other do not contend for a cache line, nor for the pair of them
/// that processors fetch.
#[repr(align(128))]
pub struct Proposer {
    state: Mutex<State>,
    outcomes: Arc<Outcomes>,
}

/// What is gathered and what is in flight. Held by whoever evaluates a command.
pub struct State {
    lane: Lane,
    open: Open,
    in_flight: VecDeque<InFlight>,
    watches: Watches,
    spare: Vec<WriteBatch>,
    log: Arc<dyn Log>,
    outcomes: Arc<Outcomes>,
    trouble: Trouble,
    access: Access,
    /// Batches that failed, and that a planted bug takes for ones in flight.
    stale: Vec<InFlight>,
    /// What the open batch and those in flight are computed from.
    chain: Chain,
    soundness: Soundness,
    gathering: Gathering,
}

/// What the open batch waits for while nothing is in flight.
///
/// Clients that write again as soon as they are answered would fall apart into groups that take turns, each
/// waiting for the entry of the other. So those who were just answered are waited for, for as long as half of
/// what their batch took; no entry of a majority is cheap.
#[derive(Clone, Copy, Debug, Default)]
struct Gathering {
    /// So many effects.
    expected: usize,
    /// This moment of the monotonic clock at the latest.
    until: Duration,
}

/// The batches that were settled at once.
#[derive(Default)]
struct Settled {
    /// Their effects.
    operations: usize,
    /// When the last of them was proposed.
    proposed_at: Duration,
}

/// Whether a chain can go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Soundness {
    Sound,
    /// One of its batches was not logged: none after it will be.
    Broken,
}

/// Whether commands can be evaluated in a term.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Footing {
    /// They can.
    Ready,
    /// What was evaluated before has yet to come to its end.
    Pending,
}

/// Who may write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Whoever holds the proposer.
    Everyone,
    /// Only a task that changes everything, such as `FLUSHALL`; commands wait until it is done.
    Exclusive,
}

/// The batch that effects are added to.
struct Open {
    number: BatchNumber,
    batch: WriteBatch,
    overlay: Overlay,
}

/// A batch that the log has and that is not settled.
struct InFlight {
    proposed: Arc<Proposed>,
    overlay: Overlay,
    /// When, by the monotonic clock.
    proposed_at: Duration,
}

/// Why writes are refused before they are tried.
#[derive(Clone, Debug)]
enum Trouble {
    None,
    /// The disk was full at this moment of the monotonic clock.
    DiskFull {
        since: Duration,
    },
    /// The log takes nothing any more.
    Fenced(BatchError),
}

impl Proposer {
    /// The proposer of `lane`, which hands batches to `log`; the next one is number 1.
    pub fn new(lane: Lane, log: Arc<dyn Log>) -> Proposer {
        let outcomes = Arc::new(Outcomes::default());
        let state = State {
            lane,
            open: Open {
                number: BatchNumber::FIRST,
                batch: WriteBatch::new(),
                overlay: Overlay::default(),
            },
            in_flight: VecDeque::new(),
            watches: Watches::default(),
            spare: Vec::new(),
            log,
            outcomes: Arc::clone(&outcomes),
            trouble: Trouble::None,
            access: Access::Everyone,
            stale: Vec::new(),
            chain: Chain { term: Term(0), number: 0 },
            soundness: Soundness::Sound,
            gathering: Gathering::default(),
        };
        Proposer { state: Mutex::new(state), outcomes }
    }

    /// Waits for the turn to evaluate commands.
    pub fn hold(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while commands are evaluated")
    }

    /// Whether somebody holds it.
    #[cfg(test)]
    fn is_held(&self) -> bool {
        self.state.try_lock().is_err()
    }

    /// What became of batches.
    pub fn outcomes(&self) -> &Outcomes {
        &self.outcomes
    }

    /// Proposes what was gathered.
    pub fn flush(&self) {
        self.hold().flush();
    }

    /// Notes that the log has settled all batches up to `number`: from here on they are found in the
    /// store itself. Returns when the lane is to be [flushed](Proposer::flush), if it gathers until then.
    pub fn settled(&self, number: BatchNumber) -> Option<Duration> {
        let mut state = self.hold();
        let settled = state.retire(number);
        let until = state.gather(&settled);
        drop(state);
        self.outcomes.settle(number);
        until
    }

    /// Notes that a batch in flight failed by itself: those computed from it will fail, too. It is settled
    /// afterwards.
    pub fn refused(&self, number: BatchNumber, error: BatchError) {
        self.hold().soundness = Soundness::Broken;
        self.outcomes.fail(number..=number, error);
    }

    /// Notes that all batches in flight have failed.
    pub fn failed(&self, error: &BatchError) {
        let mut state = self.hold();
        let Some(last) = state.in_flight.back().map(|batch| batch.proposed.number) else { return };
        let first = state.in_flight[0].proposed.number;
        state.trouble = Trouble::Fenced(error.clone().as_earlier());
        self.outcomes.fail(first..=last, error.clone());
        state.retire(last);
        drop(state);
        self.outcomes.settle(last);
    }
}

/// What a key has in batches that are not settled.
pub struct Unsettled<'a> {
    /// The batch.
    pub batch: BatchId,
    /// What it does to the key.
    pub effect: Effect<'a>,
}

impl State {
    /// Whose it is.
    #[inline]
    pub fn lane(&self) -> Lane {
        self.lane
    }

    fn id(&self, number: BatchNumber) -> BatchId {
        BatchId { lane: self.lane, number }
    }

    /// Has what is evaluated from here on stand in this term of its shard's leadership.
    ///
    /// Between two chains others may have led: then whoever watches a key cannot be told what they wrote,
    /// and is told that it changed.
    pub fn lead(&mut self, term: Term) -> Footing {
        if self.chain.term == term && self.soundness == Soundness::Sound {
            return Footing::Ready;
        }
        if !self.open.batch.is_empty() {
            self.propose_open();
        }
        if !self.is_quiet() {
            return Footing::Pending;
        }
        self.watches.touched_all();
        self.chain = Chain { term, number: self.chain.number + 1 };
        self.soundness = Soundness::Sound;
        Footing::Ready
    }

    /// Has nothing be computed from what was before, and whoever watches a key be told that it changed: keys of the
    /// lane may be another's from now on.
    pub fn renew(&mut self) {
        self.watches.touched_all();
        self.soundness = Soundness::Broken;
    }

    /// Who may write now.
    pub fn access(&self) -> Access {
        self.access
    }

    /// Changes who may write.
    pub fn set_access(&mut self, access: Access) {
        self.access = access;
    }

    /// The batch that effects are added to.
    pub fn open_batch(&self) -> BatchId {
        self.id(self.open.number)
    }

    /// The newest unsettled effect on `key`, if there is one.
    pub fn find(&mut self, key: &[u8]) -> Option<Unsettled<'_>> {
        let State { lane, open, in_flight, stale, .. } = self;
        let id = |number| BatchId { lane: *lane, number };
        if let Some(found) = open.overlay.find(&open.batch, key) {
            let effect = open.batch.operation(found).effect;
            return Some(Unsettled { batch: id(open.number), effect });
        }
        for flying in stale.iter_mut().chain(in_flight).rev() {
            if let Some(found) = flying.overlay.find(&flying.proposed.batch, key) {
                let effect = flying.proposed.batch.operation(found).effect;
                return Some(Unsettled { batch: id(flying.proposed.number), effect });
            }
        }
        None
    }

    /// Shows every unsettled effect, oldest first.
    pub fn each_unsettled(&self, mut show: impl FnMut(Operation<'_>)) {
        let flying = self.in_flight.iter().map(|batch| &*batch.proposed.batch);
        for batch in flying.chain([&self.open.batch]) {
            (0..batch.len()).for_each(|number| show(batch.operation(number)));
        }
    }

    /// Whether everything proposed is settled and nothing is gathered.
    pub fn is_quiet(&self) -> bool {
        self.in_flight.is_empty() && self.open.batch.is_empty()
    }

    /// The newest batch that has effects and is not settled.
    pub fn newest_unsettled(&self) -> Option<BatchId> {
        if self.open.batch.is_empty() {
            self.in_flight.back().map(|batch| self.id(batch.proposed.number))
        } else {
            Some(self.open_batch())
        }
    }

    /// Adds an effect to the open batch.
    pub fn stage(&mut self, key: &[u8], effect: Effect<'_>) {
        self.open.batch.push(key, effect);
        self.watches.touched(key);
    }

    /// Effects in the open batch, and their bytes.
    pub fn gathered(&self) -> (usize, u64) {
        (self.open.batch.len(), self.open.batch.bytes())
    }

    /// Why a command that adds data is not worth evaluating, if so.
    pub fn refusal(&self) -> Option<BatchError> {
        match &self.trouble {
            Trouble::None => None,
            Trouble::DiskFull { since } => (clock::monotonic().saturating_sub(*since)
                < DISK_FULL_PAUSE)
                .then_some(BatchError::DiskFull),
            Trouble::Fenced(error) => Some(error.clone()),
        }
    }

    /// What keeps writes from being taken, as of the last one that was tried.
    pub fn trouble(&self) -> Option<BatchError> {
        match &self.trouble {
            Trouble::None => None,
            Trouble::DiskFull { .. } => Some(BatchError::DiskFull),
            Trouble::Fenced(error) => Some(error.clone()),
        }
    }

    /// Why no write at all is worth evaluating, if so.
    pub fn fence(&self) -> Option<BatchError> {
        match &self.trouble {
            Trouble::Fenced(error) => Some(error.clone()),
            _ => None,
        }
    }

    /// Has `flag` raised when a write touches `key`.
    pub fn watch(&mut self, key: &[u8], flag: &WatchFlag) {
        self.watches.add(key, flag);
    }

    /// Ends that.
    pub fn unwatch(&mut self, key: &[u8], flag: &WatchFlag) {
        self.watches.remove(key, flag);
    }

    /// Proposes what was gathered if it is much, whatever is in flight. Between commands only.
    pub fn flush_if_large(&mut self) {
        let (operations, bytes) = self.gathered();
        if operations >= MAX_GATHERED || bytes >= MAX_GATHERED_BYTES {
            self.propose_open();
        }
    }

    /// Proposes what was gathered, unless it is worth waiting for more: then it is proposed once what is in
    /// flight is settled, or at the moment that was said when that was.
    pub fn flush(&mut self) {
        if !self.open.batch.is_empty() && self.is_due() {
            self.propose_open();
        }
    }

    /// Whether what was gathered is not to wait.
    fn is_due(&self) -> bool {
        let Some(window) = self.log.window() else { return true };
        let gathered = self.open.batch.len();
        match self.in_flight.back() {
            // A small batch waits for the one before it, and so becomes a larger one.
            Some(last) => self.in_flight.len() < window && gathered >= last.proposed.batch.len(),
            None => {
                let Gathering { expected, until } = self.gathering;
                gathered >= expected || clock::monotonic() >= until
            }
        }
    }

    /// After batches were settled: proposes what waited for that, or says until when it gathers.
    fn gather(&mut self, settled: &Settled) -> Option<Duration> {
        self.log.window()?;
        if self.in_flight.is_empty() && settled.operations > 1 {
            let now = clock::monotonic();
            let patience = (now.saturating_sub(settled.proposed_at) / 2).min(MOST_GATHERING);
            let expected = self.open.batch.len() + settled.operations;
            self.gathering = Gathering { expected, until: now + patience };
            return Some(self.gathering.until);
        }
        self.flush();
        None
    }

    fn propose_open(&mut self) {
        let number = self.open.number;
        let batch = std::mem::replace(&mut self.open.batch, self.spare.pop().unwrap_or_default());
        let overlay = std::mem::take(&mut self.open.overlay);
        self.open.number = number.next();
        if self.soundness == Soundness::Broken {
            return self.refused(number, BatchError::NotLed);
        }
        let proposed = Arc::new(Proposed { number, batch: Arc::new(batch), chain: self.chain });
        match self.log.propose(&proposed) {
            Ok(Accepted::Settled) => {
                self.trouble = Trouble::None;
                self.outcomes.settle(number);
                self.recycle(proposed, overlay);
            }
            Ok(Accepted::InFlight) => {
                self.trouble = Trouble::None;
                let proposed_at = clock::monotonic();
                self.in_flight.push_back(InFlight { proposed, overlay, proposed_at });
            }
            Err(error) => self.refused(number, error),
        }
    }

    /// Proposes a batch that was made elsewhere and is not empty, behind what was gathered; returns
    /// which one it is.
    pub fn propose(&mut self, batch: WriteBatch) -> BatchId {
        if !self.open.batch.is_empty() {
            self.propose_open();
        }
        (0..batch.len()).for_each(|number| self.watches.touched(batch.operation(number).key));
        self.spare.push(std::mem::replace(&mut self.open.batch, batch));
        let proposed = self.open_batch();
        self.propose_open();
        proposed
    }

    /// Notes that the log did not take a batch. Those in flight before it are not settled yet, so it
    /// cannot be either; it stands in line as an empty one. Where the line has to be without gaps, it does
    /// so even if nothing is before it.
    fn refused(&mut self, number: BatchNumber, error: BatchError) {
        self.trouble = match &error {
            BatchError::DiskFull => Trouble::DiskFull { since: clock::monotonic() },
            BatchError::Refused(_) | BatchError::Io(_) | BatchError::NotLed => Trouble::None,
            fenced => Trouble::Fenced(fenced.clone().as_earlier()),
        };
        self.outcomes.fail(number..=number, error);
        if self.in_flight.is_empty() && self.log.order() == Order::WithGaps {
            self.outcomes.settle(number);
        } else {
            self.log.settle_after(number);
        }
    }

    fn retire(&mut self, number: BatchNumber) -> Settled {
        let mut settled = Settled::default();
        while let Some(batch) = self.in_flight.front()
            && batch.proposed.number <= number
        {
            let batch = self.in_flight.pop_front().expect("just seen");
            settled.operations += batch.proposed.batch.len();
            settled.proposed_at = batch.proposed_at;
            let failed = || self.outcomes.failure(batch.proposed.number).is_some();
            if planted::overlay_is_stale() && failed() {
                self.stale.push(batch);
                continue;
            }
            self.recycle(batch.proposed, batch.overlay);
        }
        settled
    }

    fn recycle(&mut self, proposed: Arc<Proposed>, mut overlay: Overlay) {
        if self.spare.len() < SPARE
            && let Some(Proposed { batch, .. }) = Arc::into_inner(proposed)
            && let Some(mut batch) = Arc::into_inner(batch)
            && batch.bytes() <= SPARE_BYTES
        {
            batch.clear();
            self.spare.push(batch);
        }
        if self.open.overlay.is_empty() {
            overlay.clear();
            self.open.overlay = overlay;
        }
    }
}
