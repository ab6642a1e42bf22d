//! Reads from a replica that does not lead: how fresh it is, without trusting any other clock.
//!
//! ```text
//!  here:    t ─ ask the leader ─▶ entry i ─▶ applied here ─▶ fresh as of t
//!  leader:          a majority says that it leads; all it acknowledged is in i or before
//! ```
//!
//! So what is read here afterwards is at most as old as the time since `t`, by this node's clock alone.

use aryavarth_cluster::ShardId;
use aryavarth_replication::EntryIndex;

use super::error::NodeError;
use super::member::{Member, PROMPT};
use super::messages::{Answer, Question};
use crate::{clock, planted};

impl Member {
    /// Brings this node's replica of a shard up to what its leader has acknowledged by now.
    ///
    /// # Errors
    /// If there is no replica here, no leader, or it takes long.
    pub async fn catch_up(&self, shard: ShardId) -> Result<(), NodeError> {
        let group = self.node.group(shard)?;
        let leader = self.leader_of(shard).ok_or(NodeError::NoLeader)?;
        let asked = clock::monotonic();
        let index = match self.ask(leader, &Question::ReadIndex(shard.0), PROMPT).await? {
            Answer::Index(index) => EntryIndex(index),
            Answer::Refused(why) => return Err(NodeError::Refused(why)),
            _ => return Err(NodeError::Refused("the leader answered something else".to_owned())),
        };
        if !planted::follower_does_not_wait() {
            group.wait_applied(index, PROMPT).await?;
        }
        self.around.seats.seat(shard).note_fresh(asked);
        Ok(())
    }
}
