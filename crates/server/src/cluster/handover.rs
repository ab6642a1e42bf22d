//! Handing leaderships over so that no client sees an error.
//!
//! ```text
//!  close the shard's lane ─▶ what is in flight is settled ─▶ the other leads ─▶ open: MOVED
//!    new writes wait                                          reads went on until here
//! ```

use std::sync::Arc;
use std::time::Duration;

use aryavarth_cluster::{NodeId, ShardId};
use tokio::time::Instant;

use super::error::NodeError;
use super::member::Member;

/// How long what is in flight may take to be settled.
const SETTLING: Duration = Duration::from_secs(1);
/// Between two looks.
const GLANCE: Duration = Duration::from_millis(1);
/// How long all handovers of a node that ends may take.
const FAREWELL: Duration = Duration::from_secs(6);

impl Member {
    /// Lets `to` lead a shard that this node leads; none for the voter that is furthest.
    pub(super) async fn hand_over(
        &self,
        shard: ShardId,
        to: Option<NodeId>,
    ) -> Result<(), NodeError> {
        let group = self.node.group(shard)?;
        if to == Some(self.id()) {
            return Ok(());
        }
        let seat = self.around.seats.seat(shard);
        seat.close();
        let deadline = Instant::now() + SETTLING;
        while !self.around.host.is_quiet(shard) && Instant::now() < deadline {
            tokio::time::sleep(GLANCE).await;
        }
        let outcome = match to {
            Some(to) => group.transfer(to).await,
            None => group.step_down().await,
        };
        seat.open();
        Ok(outcome?)
    }

    /// Hands over all that this node leads.
    pub(super) async fn hand_all_over(self: &Arc<Self>) {
        let mut handed = tokio::task::JoinSet::new();
        for group in self.node.groups() {
            if group.is_leader() {
                let (member, shard) = (Arc::clone(self), group.shard());
                handed.spawn(async move {
                    if let Err(error) = member.hand_over(shard, None).await {
                        tracing::warn!(%shard, %error, "the leadership was not handed over");
                    }
                });
            }
        }
        let all = async { while handed.join_next().await.is_some() {} };
        if tokio::time::timeout(FAREWELL, all).await.is_err() {
            tracing::warn!("some leaderships were not handed over in time");
        }
    }
}
