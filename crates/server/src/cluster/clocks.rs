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
//! of the shards that it leads. A new leader raises its clock to the mark before it answers. The price:
//! after a failover keys expire up to [`LEAD`] early.
//!
//! Marks are kept only while there are keys that expire. The first of them may be shown as expired by the
//! bare clock for up to [`INTERVAL`]; losing a leader takes longer than that.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aryavarth::{UnixMillis, WriteBatch};
use aryavarth_cluster::{META_GROUP, ShardId};
use aryavarth_replication::{Basis, Group};

use super::error::NodeError;
use super::member::{Member, PROMPT};
use super::reserved;
use crate::clock;

/// Between two looks.
const INTERVAL: Duration = Duration::from_millis(200);
/// How far ahead a mark is set.
const LEAD: Duration = Duration::from_secs(4);
/// What is left of that when the next one is set.
const LEAST: Duration = Duration::from_secs(2);

impl Member {
    /// Raises the clock to what earlier leaders of a shard may have shown, before this one answers.
    pub(super) fn take_over_clock(&self, group: &Group) -> Result<(), NodeError> {
        if group.shard() != META_GROUP
            && let Some(mark) = self.mark(group.shard())?
        {
            self.around.store.raise_clock(mark);
        }
        Ok(())
    }

    /// The time mark that a shard has here.
    fn mark(&self, shard: ShardId) -> Result<Option<UnixMillis>, NodeError> {
        let record = self.around.store.get(reserved::clock_key(shard))?;
        let millis = record.and_then(|bytes| Some(u64::from_le_bytes(bytes.try_into().ok()?)));
        Ok(millis.map(UnixMillis))
    }

    pub(super) async fn keep_clocks(self: Arc<Self>) {
        while !self.is_stopping() {
            self.rest(INTERVAL).await;
            let store = &self.around.store;
            if !store.may_expire() {
                store.set_clock_ceiling(None);
                continue;
            }
            let marks = self.keep_marks().await;
            store.set_clock_ceiling(marks.into_values().min());
        }
    }

    /// Sets the marks of the shards led here ahead, where they have nearly come; returns them.
    async fn keep_marks(self: &Arc<Self>) -> BTreeMap<ShardId, UnixMillis> {
        let now = clock::wall().as_millis() as u64;
        let now = now.max(self.around.store.now().0);
        let mut set = tokio::task::JoinSet::new();
        let mut marks = BTreeMap::new();
        for shard in self.around.seats.led() {
            let mark = self.mark(shard).ok().flatten().unwrap_or_default();
            if mark.0 >= now + LEAST.as_millis() as u64 {
                marks.insert(shard, mark);
                continue;
            }
            let (member, next) = (Arc::clone(self), UnixMillis(now + LEAD.as_millis() as u64));
            set.spawn(async move {
                let set = tokio::time::timeout(PROMPT, member.set_mark(shard, next)).await;
                (shard, if matches!(set, Ok(Ok(()))) { next } else { mark })
            });
        }
        // What is not answered by then keeps the clock where it is.
        while let Some(Ok((shard, mark))) = set.join_next().await {
            marks.insert(shard, mark);
        }
        marks
    }

    async fn set_mark(&self, shard: ShardId, mark: UnixMillis) -> Result<(), NodeError> {
        let group = self.node.group(shard)?;
        let lease = group.lease().ok_or(NodeError::NoLeader)?;
        let mut batch = WriteBatch::new();
        batch.set(reserved::clock_key(shard), mark.0.to_le_bytes());
        group.propose(Arc::new(batch), Basis::Term(lease.term)).await?;
        Ok(())
    }
}
