//! Handing leaderships over so that no client sees an error.
//!
//! ```text
//!  close the shard's lane ─▶ what is in flight is settled ─▶ the other leads ─▶ open: MOVED
//!    new writes wait                                          reads went on until here
//! ```
//!
//! # Invariants
//! - A lane that was closed is opened again, however this ends.

use std::sync::Arc;
use std::time::Duration;

use aryavarth_cluster::{NodeId, ShardId};
use aryavarth_replication::{Group, Role, Standing};
use tokio::time::Instant;

use super::Seats;
use super::error::NodeError;
use super::member::Member;
use crate::tasks::{all, spawn};

/// How long what is in flight may take to be settled.
const SETTLING: Duration = Duration::from_secs(1);
/// Between two looks.
const GLANCE: Duration = Duration::from_millis(1);
/// How long all handovers of a node that ends may take.
const FAREWELL: Duration = Duration::from_secs(6);
/// Before another voter is asked.
const PAUSE: Duration = Duration::from_millis(50);
/// Silence after which a voter is not asked to lead, and a goodbye is of the past.
const SILENCE: Duration = Duration::from_secs(1);
/// Entries that count as none, as they are caught up with in no time.
const FEW: u64 = 64;

/// A seat that takes no new writes until this is dropped.
pub(super) struct Closed {
    seats: Arc<Seats>,
    shard: ShardId,
}

impl Closed {
    pub(super) fn new(seats: Arc<Seats>, shard: ShardId) -> Closed {
        seats.seat(shard).close();
        Closed { seats, shard }
    }
}

impl Drop for Closed {
    fn drop(&mut self) {
        self.seats.seat(self.shard).open();
    }
}

impl Member {
    /// Lets `to` lead a shard that this node leads.
    ///
    /// # Errors
    /// What the group says; then whoever wins an election leads.
    pub(super) async fn hand_over(&self, shard: ShardId, to: NodeId) -> Result<(), NodeError> {
        let group = self.node.group(shard)?;
        if to == self.id() {
            return Ok(());
        }
        // A group that hands over to somebody who cannot lead is without a leader for a while.
        let members = group.status().members;
        if !members.iter().any(|m| m.node == to && m.standing == Standing::Voter) {
            return Err(aryavarth_cluster::Error::NotAVoter { shard, node: to }.into());
        }
        // It would be gone before it leads.
        if self.known().heard.is_leaving(to, Instant::now(), SILENCE) {
            return Err(NodeError::Later(format!("node {to} is about to stop")));
        }
        let _closed = Closed::new(Arc::clone(&self.around.seats), shard);
        let deadline = Instant::now() + SETTLING;
        while !self.around.host.is_quiet(shard) && Instant::now() < deadline {
            tokio::time::sleep(GLANCE).await;
        }
        Ok(group.transfer(to).await?)
    }

    /// Hands over all that this node leads.
    pub(crate) async fn hand_all_over(self: &Arc<Self>) {
        self.say_goodbye().await;
        let handed = async {
            // What was ordered before the goodbye was heard may still have it lead one more.
            while self.hand_over_each().await > 0 {}
        };
        if tokio::time::timeout(FAREWELL, handed).await.is_err() {
            tracing::warn!("some leaderships were not handed over in time");
        }
    }

    /// Hands over what this node leads now, and says how many groups that are.
    async fn hand_over_each(self: &Arc<Self>) -> usize {
        let mut handed = Vec::new();
        for group in self.node.groups().into_iter().filter(|group| self.successor(group).is_some())
        {
            let member = Arc::clone(self);
            handed.push(spawn(async move {
                while let Some(to) = member.successor(&group) {
                    let shard = group.shard();
                    match member.hand_over(shard, to).await {
                        Ok(()) => return,
                        Err(error) => {
                            tracing::warn!(%shard, %to, %error, "leadership was not handed over");
                        }
                    }
                    tokio::time::sleep(PAUSE).await;
                }
            }));
        }
        let count = handed.len();
        all(handed).await;
        count
    }

    /// Who could lead instead of this node: of the voters that answer one that is furthest, another for each
    /// shard, none that is about to stop, and none with a damaged store if there is another. None if this node
    /// does not lead, or there is nobody.
    pub(super) fn successor(&self, group: &Group) -> Option<NodeId> {
        self.intact_successor(group).or_else(|| self.any_successor(group, |_| true))
    }

    /// The same, and none with a damaged store at all.
    pub(super) fn intact_successor(&self, group: &Group) -> Option<NodeId> {
        let topology = self.topology();
        let damage = |node| topology.as_ref().and_then(|topology| topology.damage(node));
        self.any_successor(group, |node| damage(node).is_none())
    }

    fn any_successor(&self, group: &Group, may: impl Fn(NodeId) -> bool) -> Option<NodeId> {
        let status = group.status();
        if status.leadership.role != Role::Leader {
            return None;
        }
        let leaving = |node| self.known().heard.is_leaving(node, Instant::now(), SILENCE);
        let others = status.members.iter().filter(|member| {
            member.standing == Standing::Voter
                && member.node != self.id()
                && !leaving(member.node)
                && member.silent_for.is_some_and(|silent| silent < SILENCE)
                && may(member.node)
        });
        let turn = u64::from(group.shard().0);
        let next = others.max_by_key(|member| {
            let matched = member.matched.map_or(0, |index| index.0 + 1);
            (matched / FEW, (member.node.0 + turn) % 7)
        });
        next.map(|member| member.node)
    }
}
