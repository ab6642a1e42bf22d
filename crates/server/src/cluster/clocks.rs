//! What has expired stays expired, whoever leads next and whatever its clock says.
//!
//! ```text
//!  leader's clock ──now──────────▶ mark, in the shard's log
//!                    shown as expired up to here at most
//!  the next leader's clock:         ├─▶ begins at the mark, or later
//! ```
//!
//! A leader shows a key as expired by its own clock, but never beyond the shard's *time mark*, which a
//! majority has: it keeps that some seconds ahead. The node's clock stands still at the earliest mark
//! of the shards that it leads. A new leader raises its clock to the mark before it answers; and first, if
//! its clock shows more than that already, the mark to its clock; and the marks of the other shards that it leads,
//! for which it is the same clock. A leader that did not hear from a majority for so long that its mark has passed takes
//! over anew, too, though its term goes on: meanwhile nothing kept its clock. The price: after a failover keys expire up to [`LEAD`] early.
//!
//! Marks are kept only while there are keys that expire. The first of them may be shown as expired by the
//! bare clock for up to [`INTERVAL`]; losing a leader takes longer than that.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aryavarth::{KvStore, UnixMillis, WriteBatch};
use aryavarth_cluster::{META_GROUP, ShardId, ShardMap};
use aryavarth_replication::{Basis, Group, split};

use super::error::NodeError;
use super::member::PROMPT;
use super::{Seats, reserved};
use crate::planted;

/// Between two looks.
pub const INTERVAL: Duration = Duration::from_millis(200);
/// How far ahead of the machine's clock a mark is set.
const LEAD: Duration = Duration::from_secs(4);
/// What is left of that when the next one is set.
const LEAST: Duration = Duration::from_secs(2);
/// Until a new leader that could not set a mark tries again.
const PAUSE: Duration = Duration::from_millis(20);

/// The time by which a node shows keys as expired.
#[derive(Debug)]
pub struct TimeMarks {
    store: KvStore,
    seats: Arc<Seats>,
    /// Held while it is looked at which shards are led, and the clock is set accordingly.
    setting: Mutex<()>,
}

impl TimeMarks {
    /// Those of the shards of `seats`, for the clock of `store`.
    pub fn new(store: KvStore, seats: Arc<Seats>) -> TimeMarks {
        TimeMarks { store, seats, setting: Mutex::default() }
    }

    fn setting(&self) -> MutexGuard<'_, ()> {
        self.setting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets this node answer as the leader of a shard in this term, once what it and earlier leaders have shown as
    /// expired will stay so. Returns when it does not lead in that term any more, too.
    ///
    /// # Errors
    /// If a mark cannot be read.
    pub async fn take_over(&self, group: &Group, term: u64) -> Result<(), NodeError> {
        let shard = group.shard();
        loop {
            let behind = self.try_to_take_over(shard, term)?;
            if behind.is_empty() {
                return Ok(());
            }
            self.set(behind).await;
            // A leader that does not hear from a majority for a while may still come to answer.
            let leads = {
                let leadership = group.leadership();
                let now = leadership.borrow();
                now.ready && now.term.0 == term
            };
            if !leads {
                return Ok(());
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Takes over, or says which marks are to be set before.
    fn try_to_take_over(
        &self,
        shard: ShardId,
        term: u64,
    ) -> Result<Vec<(ShardId, UnixMillis)>, NodeError> {
        let _setting = self.setting();
        let seat = self.seats.seat(shard);
        if shard == META_GROUP || planted::clock_is_not_taken_over() {
            seat.note_ready(term);
            return Ok(Vec::new());
        }
        // What is another shard's by now is not to be answered for. It was heard of, unless what says so was damaged.
        if !planted::split_is_not_heard() {
            self.seats.slots().open(split::split_off(&self.store, shard)?);
        }
        let mark = self.mark(shard)?.unwrap_or_default();
        if !self.store.may_expire() {
            self.store.raise_clock(mark);
            seat.note_ready(term);
            return Ok(Vec::new());
        }
        // So it does not go on beyond the mark before it is looked at.
        let mut marks = self.ready_marks();
        marks.retain(|(other, _)| *other != shard);
        let lowest = marks.iter().map(|(_, mark)| *mark).min().unwrap_or(mark).min(mark);
        self.store.set_clock_ceiling(Some(lowest));
        let least = self.store.now().max(mark);
        marks.retain(|(other, mark)| *mark >= least || !self.retire(*other));
        let all = marks.into_iter().chain([(shard, mark)]);
        let behind: Vec<_> = all.filter(|(_, mark)| *mark < least).collect();
        if behind.is_empty() {
            self.store.raise_clock(mark);
            seat.note_ready(term);
        }
        let next = least.max(self.ahead(LEAD));
        Ok(behind.into_iter().map(|(shard, _)| (shard, next)).collect())
    }

    /// Sets the marks of the shards led here ahead, where they have nearly come.
    pub async fn keep(&self) {
        if !self.store.may_expire() {
            return self.store.set_clock_ceiling(None);
        }
        let now = self.store.now();
        let (least, next) = (now.max(self.ahead(LEAST)), now.max(self.ahead(LEAD)));
        let led = self.seats.led().filter(|shard| self.mark_or_none(*shard) < least);
        self.set(led.map(|shard| (shard, next)).collect()).await;
        {
            let _setting = self.setting();
            // What is not set by now keeps the clock where it is, if it can still be set.
            let mut marks = self.ready_marks();
            let now = self.ahead(Duration::ZERO);
            marks.retain(|(shard, mark)| *mark >= now || !self.retire(*shard));
            self.store.set_clock_ceiling(marks.iter().map(|(_, mark)| *mark).min());
        }
        self.take_over_again().await;
    }

    /// The marks of the shards for which this node may answer, now or once it has heard from a majority again: a leader
    /// that had not for a while goes on in its term.
    fn ready_marks(&self) -> Vec<(ShardId, UnixMillis)> {
        let shards = self.seats.slots().map().into_iter().flat_map(ShardMap::shards);
        let ready = shards.filter(|shard| self.seats.seat(*shard).is_ready());
        ready.map(|shard| (shard, self.mark_or_none(shard))).collect()
    }

    /// Has a shard be taken over anew before it is answered for, if its mark cannot be set now: it would hold up the
    /// clock of all others. Says whether that was so.
    fn retire(&self, shard: ShardId) -> bool {
        let seat = self.seats.seat(shard);
        let has_no_lease = seat.lease().is_none();
        if has_no_lease {
            seat.retire();
        }
        has_no_lease
    }

    /// Takes over what was not answered for, as no majority was heard, and is led still.
    async fn take_over_again(&self) {
        let shards = self.seats.slots().map().into_iter().flat_map(ShardMap::shards);
        for shard in shards {
            let Some(term) = self.seats.seat(shard).unready_term() else { continue };
            match self.try_to_take_over(shard, term) {
                Ok(behind) => self.set(behind).await,
                Err(error) => tracing::error!(%shard, %error, "cannot lead the shard"),
            }
        }
    }

    /// A span after what the machine's clock shows. The node's own clock may be ahead of that, having been raised to
    /// an earlier mark: were it counted from there, each failover would put it further ahead.
    fn ahead(&self, span: Duration) -> UnixMillis {
        UnixMillis(self.store.wall_clock().0 + span.as_millis() as u64)
    }

    /// The time mark that a shard has here.
    pub(super) fn mark(&self, shard: ShardId) -> Result<Option<UnixMillis>, NodeError> {
        let record = self.store.get(reserved::clock_key(shard))?;
        let millis = record.and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
        Ok(millis.map(UnixMillis))
    }

    /// The same; the beginning of time if there is none.
    fn mark_or_none(&self, shard: ShardId) -> UnixMillis {
        self.mark(shard).ok().flatten().unwrap_or_default()
    }

    /// Proposes marks, and waits until they are set, but not for long.
    async fn set(&self, marks: Vec<(ShardId, UnixMillis)>) {
        let propose = |(shard, mark): (ShardId, UnixMillis)| {
            let group = self.seats.seat(shard).group()?;
            let lease = group.lease()?;
            let mut batch = WriteBatch::new();
            batch.set(reserved::clock_key(shard), mark.0.to_le_bytes());
            Some(group.propose(Arc::new(batch), Basis::Term(lease.term)))
        };
        let proposed: Vec<_> = marks.into_iter().filter_map(propose).collect();
        let all = async {
            for one in proposed {
                // Whether it is set is looked at afterwards.
                let _ = one.await;
            }
        };
        let _ = tokio::time::timeout(PROMPT, all).await;
    }
}
