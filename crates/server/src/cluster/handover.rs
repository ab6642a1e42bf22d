//! Handing leaderships over, so that no client notices: the lane is closed and emptied first.
//!
//! ```text
//!  close ─▶ what is in flight is settled ─▶ transfer ─▶ the other leads ─▶ open (it says MOVED now)
//! ```

use std::sync::Arc;
use std::time::Duration;

use aryavarth_cluster::{META_GROUP, NodeId, ShardId};
use aryavarth_replication::{Error as ReplicationError, Group, Role, Standing};
use futures_util::future::join_all;

use super::error::NodeError;
use super::member::Member;
use super::seats::Seat;

/// How long what is in flight may take to be settled.
const SETTLING: Duration = Duration::from_secs(2);
/// How long all handovers of a node that stops may take.
const STOPPING: Duration = Duration::from_secs(5);

/// A seat that takes no new writes until this is dropped, whatever happens.
struct Closed<'s>(&'s Seat);

impl<'s> Closed<'s> {
    fn new(seat: &'s Seat) -> Closed<'s> {
        seat.close();
        Closed(seat)
    }
}

impl Drop for Closed<'_> {
    fn drop(&mut self) {
        self.0.open();
    }
}

impl Member {
    /// Lets `to` lead a shard that this node leads.
    ///
    /// # Errors
    /// What the group says; then whoever wins an election leads.
    pub async fn hand_over(&self, shard: ShardId, to: NodeId) -> Result<(), NodeError> {
        let seat = self.seats.seat(shard);
        let group = seat.group().ok_or(ReplicationError::NoSuchShard { shard })?;
        let status = group.status();
        let able = status.members.iter().any(|m| m.node == to && m.standing == Standing::Voter);
        if !able {
            return Err(aryavarth_cluster::Error::NotAVoter { shard, node: to }.into());
        }
        // No change of the topology is on its way meanwhile.
        let _one = match shard {
            META_GROUP => Some(self.changing.lock().await),
            _ => None,
        };
        let _closed = Closed::new(seat);
        if let (Some(front), true) = (self.front.get(), shard != META_GROUP) {
            // If it takes longer than that, clients are told that the outcome is unknown.
            let _ = tokio::time::timeout(SETTLING, front.settled(shard)).await;
        }
        group.transfer(to).await?;
        Ok(())
    }

    /// Hands over all that this node leads, at once, for at most some seconds.
    pub async fn hand_all_over(self: &Arc<Self>) {
        self.leave();
        let led = self.seats.groups().filter(|(_, group)| leads(group));
        let handing = led.map(|(shard, group)| async move {
            // A successor may say no: then the next one is asked.
            while let Some(to) = self.successor(&group) {
                match self.hand_over(shard, to).await {
                    Ok(()) => return,
                    Err(error) => {
                        tracing::warn!(%shard, %to, %error, "leadership was not handed over");
                    }
                }
                tokio::time::sleep(SETTLING / 20).await;
            }
        });
        if tokio::time::timeout(STOPPING, join_all(handing)).await.is_err() {
            tracing::warn!("some leaderships were not handed over in time");
        }
    }

    /// Who could lead instead of this node: the voter that is furthest, of those that answer; of equal ones
    /// another for each shard.
    fn successor(&self, group: &Group) -> Option<NodeId> {
        if !leads(group) {
            return None;
        }
        let gap = self.options.rhythm.reachable;
        let voters = group.status().members.into_iter().filter(|member| {
            member.standing == Standing::Voter
                && member.node != self.myself
                && member.silent_for.is_some_and(|silent| silent < gap)
        });
        let turn = u64::from(group.shard().0);
        voters
            .max_by_key(|member| {
                let matched = member.matched.map_or(0, |index| index.0 + 1);
                // Some entries more or less are caught up in no time.
                (matched / 64, member.node.0.wrapping_add(turn) % 7)
            })
            .map(|member| member.node)
    }
}

fn leads(group: &Group) -> bool {
    group.leadership().borrow().role == Role::Leader
}
