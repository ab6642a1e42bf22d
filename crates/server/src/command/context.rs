//! What a command works with: the keys as it may see them, and everything it may change.
//!
//! ```text
//!  read:   unsettled effects, if the command must see them ─▶ the store
//!  write:  into the proposer's open batch
//! ```
//!
//! A command must see unsettled effects if it writes, if it stands in a transaction, or if its own
//! connection has a reply that waits for a batch. Then its reply waits for what it saw, too.

use std::sync::Arc;
use std::time::Duration;

use aryavarth::limits::{MAX_BATCH_BYTES, MAX_SEGMENT_SIZE, MIN_KEY_LENGTH};
use aryavarth::{Effect, EntryRef, Operation, UnixMillis};

use super::error::{CommandError, CommandResult};
use super::flags::Flags;
use super::table::CommandSpec;
use super::turn::Turn;
use crate::proposer::{BatchError, BatchId, Lane, Lanes, State};
use crate::resp::Reply;
use crate::server::Server;
use crate::session::Session;

/// Most bytes of records in one batch, and of those before its last: what the store takes, less some
/// room for what frames them.
const MOST: u64 = MAX_BATCH_BYTES - (1 << 20);
const MOST_BEFORE_LAST: u64 = MAX_SEGMENT_SIZE - (1 << 20);
/// Bytes of a record around its key and its value, at most.
const RECORD_OVERHEAD: u64 = 48;

/// A value by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Value {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// When it expires, if it does.
    pub expires_at: Option<UnixMillis>,
}

/// Where a command stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// By itself.
    Alone,
    /// Between `MULTI` and `EXEC`: it may not wait.
    Transaction,
}

/// What a command sees of the keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sight {
    /// What is settled.
    Settled,
    /// What was evaluated before it, settled or not.
    Everything,
}

/// What long work is done with, on a thread of its own. Whatever it wrote is dropped if it fails.
pub type Job = Box<dyn FnOnce(&Arc<Server>, &mut Reply<'_>) -> CommandResult + Send>;

/// What is to be waited for after a command.
pub enum After {
    /// Nothing.
    Nothing,
    /// A job, which writes the reply.
    Job(Job),
    /// What writes the reply elsewhere and has been begun.
    Elsewhere,
    /// A moment of the monotonic clock.
    Until(Duration),
}

/// What one command works with.
pub struct Context<'c, 's> {
    pub(super) turn: &'c mut Turn<'s>,
    /// The client's session.
    pub session: &'c mut Session,
    /// The row of the command.
    pub spec: &'static CommandSpec,
    /// Where it stands.
    pub place: Place,
    pub(super) sight: Sight,
    /// The lane of its keys.
    pub(super) lane: Lane,
    pub(super) depends: Option<BatchId>,
    pub(super) after: After,
}

impl<'s> Context<'_, 's> {
    /// The server.
    pub fn server(&self) -> &'s Arc<Server> {
        self.turn.server
    }

    /// The time by which keys expire.
    pub fn now(&self) -> UnixMillis {
        self.turn.server.store.now()
    }

    /// Holds the proposer of its lane until the end of the turn, or until a command goes over others.
    #[inline]
    pub fn proposer(&mut self) -> &mut State {
        self.turn.proposer(self.lane)
    }

    /// Has the reply wait for a batch of its lane.
    #[inline]
    pub(super) fn depend_on(&mut self, batch: BatchId) {
        self.depends = Some(self.depends.map_or(batch, |other| other.later(batch)));
    }

    /// Notes that it looks up `key`, which its table does not tell of. A transaction stays where it is,
    /// and sees of keys in other lanes what is settled.
    pub(super) fn turn_to(&mut self, key: &[u8]) {
        if self.place == Place::Alone {
            self.lane = self.turn.server.proposers.lane_of(key);
        }
    }

    /// The lanes that a command on all keys goes over, one after the other: all of them. A transaction
    /// may not let go of its own, so of the others it sees what is settled.
    fn lanes(&self) -> Lanes {
        match self.place {
            Place::Alone => self.turn.server.proposers.lanes(),
            Place::Transaction => Lanes::only(self.lane),
        }
    }

    /// Whether it would have to look into several lanes for unsettled effects on all keys.
    pub fn is_spread(&self) -> bool {
        self.place == Place::Alone
            && self.sees_unsettled()
            && self.turn.server.proposers.are_several()
    }

    /// Whether everything that was written is settled.
    pub fn is_quiet(&mut self) -> bool {
        self.lanes().all(|lane| self.turn.proposer(lane).is_quiet())
    }

    /// Why a command that adds data would be refused, if one would be.
    pub fn refusal(&mut self) -> Option<BatchError> {
        self.lanes().find_map(|lane| self.turn.proposer(lane).refusal())
    }

    // --- reading ---

    /// Hands the entry of `key` to `take`; none if it has none. (`take` may be called twice; the last
    /// answer counts.)
    ///
    /// # Errors
    /// If its record cannot be read.
    #[inline]
    pub fn read<R>(
        &mut self,
        key: &[u8],
        take: impl FnMut(EntryRef<'_>) -> R,
    ) -> Result<Option<R>, CommandError> {
        let answer = self.look_up(key, take)?;
        if self.spec.flags.contains(Flags::READONLY) {
            self.turn.stats.looked_up(answer.is_some());
        }
        Ok(answer)
    }

    #[inline]
    fn look_up<R>(
        &mut self,
        key: &[u8],
        mut take: impl FnMut(EntryRef<'_>) -> R,
    ) -> Result<Option<R>, CommandError> {
        if self.sight == Sight::Everything {
            let store = &self.turn.server.store;
            if let Some(unsettled) = self.turn.proposer(self.lane).find(key) {
                let batch = unsettled.batch;
                let answer = match unsettled.effect {
                    Effect::Set { value, expires_at }
                        if expires_at.is_none_or(|at| at > store.now()) =>
                    {
                        let version = aryavarth::Sequence(0);
                        Some(take(EntryRef { key, value, version, expires_at }))
                    }
                    _ => None,
                };
                self.depend_on(batch);
                return Ok(answer);
            }
        }
        self.turn.reader.read(key, take).map_err(|error| {
            if let Some(cluster) = &self.turn.server.cluster {
                if error.is_damage() {
                    cluster.note_damage(key);
                } else if error.is_unreadable() {
                    cluster.note_unreadable();
                }
            }
            error.into()
        })
    }

    /// Whether all records of `keys` can be read, asked before the first of several writes that need
    /// them: a damaged one must not leave half of them done. Not counted as lookups.
    ///
    /// # Errors
    /// As [`read`](Context::read).
    pub(super) fn probe<'k>(&mut self, keys: impl IntoIterator<Item = &'k [u8]>) -> CommandResult {
        keys.into_iter().try_for_each(|key| self.look_up(key, |_| ()).map(drop))
    }

    /// The value of `key`, copied.
    ///
    /// # Errors
    /// As [`read`](Context::read); so do the next ones.
    pub fn value(&mut self, key: &[u8]) -> Result<Option<Value>, CommandError> {
        self.read(key, |entry| Value { bytes: entry.value.to_vec(), expires_at: entry.expires_at })
    }

    /// Whether `key` is there.
    pub fn exists(&mut self, key: &[u8]) -> Result<bool, CommandError> {
        Ok(self.read(key, |_| ())?.is_some())
    }

    /// When `key` expires: none if it is not there, and none inside if it never does.
    pub fn expiry(&mut self, key: &[u8]) -> Result<Option<Option<UnixMillis>>, CommandError> {
        self.read(key, |entry| entry.expires_at)
    }

    /// From here on, unsettled effects are seen: what is read of several keys is then from one moment.
    /// The reply waits for what it saw.
    pub fn see_everything(&mut self) {
        self.sight = Sight::Everything;
    }

    // --- writing ---

    /// Gives `key` a value, until `expires_at` if that is given. A deadline that has passed takes the
    /// key away.
    ///
    /// # Errors
    /// As [`check`](Context::check); nothing is written then. A command that writes several keys
    /// checks all of them before, so that it writes all or none.
    #[inline]
    pub fn set(
        &mut self,
        key: &[u8],
        value: &[u8],
        expires_at: Option<UnixMillis>,
    ) -> CommandResult {
        self.check(key, value.len())?;
        if expires_at.is_some_and(|at| at <= self.now()) {
            self.remove(key);
        } else {
            self.stage(key, Effect::Set { value, expires_at });
        }
        Ok(())
    }

    /// Checks that the store takes this key with a value of `length` bytes. What it would not take
    /// must not get into a batch: the commands of others in it would fail, too.
    ///
    /// # Errors
    /// A text that names the limit.
    #[inline]
    pub fn check(&mut self, key: &[u8], length: usize) -> CommandResult {
        let hot = self.turn.server.config.hot();
        let (longest_key, longest_value) = (hot.max_key_length(), hot.max_value_length());
        if key.len() < MIN_KEY_LENGTH || key.len() > longest_key || length > longest_value {
            return Err(refused_length(key.len(), longest_key, length, longest_value));
        }
        let record = record(key, length);
        self.check_room(record, record)
    }

    /// Checks several keys with the lengths of their values, and all of them together.
    ///
    /// # Errors
    /// As [`check`](Context::check).
    pub fn check_all<'k>(
        &mut self,
        pairs: impl Iterator<Item = (&'k [u8], usize)>,
    ) -> CommandResult {
        let (mut total, mut last) = (0, 0);
        for (key, length) in pairs {
            self.check(key, length)?;
            last = record(key, length);
            total += last;
        }
        self.check_room(total, last)
    }

    /// Checks that records of `total` bytes, the last of `last` bytes, fit in the open batch. In a
    /// transaction none is known to be the last.
    #[inline]
    fn check_room(&mut self, total: u64, last: u64) -> CommandResult {
        let (records, bytes) = self.proposer().gathered();
        let all = bytes + records as u64 * RECORD_OVERHEAD + total;
        let before_last = match self.place {
            Place::Alone => all - last,
            Place::Transaction => all,
        };
        if all <= MOST && before_last <= MOST_BEFORE_LAST {
            return Ok(());
        }
        Err(CommandError::text(
            "ERR too much is written at once: a command or a transaction that writes several values \
             writes 127 MiB at most",
        ))
    }

    /// Takes `key` away.
    pub fn remove(&mut self, key: &[u8]) {
        self.stage(key, Effect::Remove);
    }

    fn stage(&mut self, key: &[u8], effect: Effect<'_>) {
        debug_assert_eq!(self.turn.server.proposers.lane_of(key), self.lane, "it is in one lane");
        let state = self.proposer();
        state.stage(key, effect);
        let batch = state.open_batch();
        self.depend_on(batch);
    }

    // --- what is not settled ---

    /// Whether it has to see effects that are not settled.
    pub fn sees_unsettled(&self) -> bool {
        self.sight == Sight::Everything
    }

    /// Shows every unsettled effect of its lane, oldest first; the reply depends on them. Who is
    /// [spread](Context::is_spread) waits until they are settled instead.
    pub fn each_unsettled(&mut self, show: impl FnMut(Operation<'_>)) {
        debug_assert!(!self.is_spread(), "a reply depends on batches of one lane");
        let state = self.proposer();
        let newest = state.newest_unsettled();
        state.each_unsettled(show);
        if let Some(newest) = newest {
            self.depend_on(newest);
        }
    }

    /// Proposes what was gathered, for a command that stands alone and writes nothing itself; returns
    /// the batches after which everything before it is settled, one at most for each lane.
    pub fn propose_gathered(&mut self) -> Vec<BatchId> {
        debug_assert_eq!(self.place, Place::Alone);
        let lanes = self.lanes();
        let propose = |lane| {
            let state = self.turn.proposer(lane);
            state.flush();
            state.newest_unsettled()
        };
        lanes.filter_map(propose).collect()
    }

    // --- what takes long ---

    /// Has `job` write the reply, on another thread while the connection rests; or here and now, where
    /// the command may not wait.
    ///
    /// # Errors
    /// The job's, if it was done here.
    pub fn run_elsewhere(
        &mut self,
        reply: &mut Reply<'_>,
        job: impl FnOnce(&Arc<Server>, &mut Reply<'_>) -> CommandResult + Send + 'static,
    ) -> CommandResult {
        match self.place {
            Place::Alone => {
                self.after = After::Job(Box::new(job));
                Ok(())
            }
            Place::Transaction => job(self.turn.server, reply),
        }
    }

    /// Has the connection rest for a while; its reply is sent before.
    pub fn rest(&mut self, span: Duration) {
        self.after = After::Until(crate::clock::monotonic() + span);
    }
}

/// Bytes of a record, at most.
fn record(key: &[u8], length: usize) -> u64 {
    (key.len() + length) as u64 + RECORD_OVERHEAD
}

/// Why a key or a value is not taken.
#[cold]
fn refused_length(
    key: usize,
    longest_key: usize,
    value: usize,
    longest_value: usize,
) -> CommandError {
    CommandError::new(if key < MIN_KEY_LENGTH {
        "ERR the key is empty: a key has at least 1 byte".to_owned()
    } else if key > longest_key {
        format!("ERR the key has {key} bytes: at most {longest_key} are allowed (max-key-length)")
    } else {
        format!(
            "ERR the value has {value} bytes: at most {longest_value} are allowed \
             (max-value-length)"
        )
    })
}
