//! What a group looks like from outside.

use std::collections::BTreeSet;
use std::time::Duration;

use openraft::{RaftMetrics, ServerState};

use crate::entry_log::{EntryId, EntryIndex, ShardId, Term};
use crate::error::Leader;
use crate::identity::NodeId;
use crate::runtime::Moment;
use crate::types::{TypeConfig, entry_id};

/// What this node is in a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// It has the log, and no vote.
    Learner,
    /// It follows.
    Follower,
    /// It wants to lead.
    Candidate,
    /// It leads.
    Leader,
    /// Its group has stopped.
    Stopped,
}

/// Who leads, as this node sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leadership {
    /// The newest term this node knows.
    pub term: Term,
    /// What this node is.
    pub role: Role,
    /// Who leads in that term.
    pub leader: Option<Leader>,
    /// Whether this node leads and has applied all that earlier leaders acknowledged.
    pub ready: bool,
}

/// A member's part in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has a vote.
    Voter,
    /// It has none.
    Learner,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberStatus {
    /// The node.
    pub node: NodeId,
    /// Its address.
    pub address: String,
    /// Its part.
    pub standing: Standing,
    /// On the leader: up to where its log is known to be the leader's.
    pub matched: Option<EntryIndex>,
    /// On the leader: how long ago the request was sent that it answered last.
    pub silent_for: Option<Duration>,
    /// On the leader, while a snapshot is sent to it: the bytes of keys and values sent.
    pub snapshot_bytes: Option<u64>,
}

/// A group, at one moment.
#[derive(Clone, Debug)]
pub struct GroupStatus {
    /// Its shard.
    pub shard: ShardId,
    /// Who leads.
    pub leadership: Leadership,
    /// The last entry of this node's log.
    pub last: Option<EntryIndex>,
    /// The last entry that a majority is known to have.
    pub committed: Option<EntryId>,
    /// The last entry that reads see.
    pub applied: Option<EntryId>,
    /// The last entry that was purged.
    pub purged: Option<EntryId>,
    /// The entry whose configuration is in force, once it is committed.
    pub config: Option<EntryId>,
    /// Whether the newest configuration is not committed, or a change that a further one completes.
    pub changing: bool,
    /// The members.
    pub members: Vec<MemberStatus>,
}

impl GroupStatus {
    /// Entries in the log of this node.
    pub fn held(&self) -> u64 {
        let next = |index: Option<EntryIndex>| index.map_or(0, |index| index.0 + 1);
        next(self.last).saturating_sub(next(self.purged.map(|purged| purged.index)))
    }

    /// Entries that are committed and not applied yet on this node.
    pub fn lag(&self) -> u64 {
        let next = |id: Option<EntryId>| id.map_or(0, |id| id.index.0 + 1);
        next(self.committed).saturating_sub(next(self.applied))
    }
}

pub(crate) fn leadership(metrics: &RaftMetrics<TypeConfig>) -> Leadership {
    let role = match (&metrics.running_state, metrics.state) {
        (Err(_), _) | (_, ServerState::Shutdown) => Role::Stopped,
        (_, ServerState::Learner) => Role::Learner,
        (_, ServerState::Follower) => Role::Follower,
        (_, ServerState::Candidate) => Role::Candidate,
        (_, ServerState::Leader) => Role::Leader,
    };
    let term = metrics.current_term;
    let members = metrics.membership_config.membership();
    let leader = metrics.current_leader.map(|node| Leader {
        node: NodeId(node),
        address: members.get_node(&node).map(|member| member.address.clone()),
    });
    Leadership { term: Term(term), role, leader, ready: is_ready_leader(metrics) }
}

/// Whether this node leads and has applied all that earlier leaders acknowledged.
pub(crate) fn is_ready_leader(metrics: &RaftMetrics<TypeConfig>) -> bool {
    let leads = metrics.running_state.is_ok()
        && metrics.state == ServerState::Leader
        && metrics.current_leader == Some(metrics.id);
    #[cfg(feature = "simulation")]
    if aryavarth::planted::is_planted(aryavarth::planted::Planted::ReadBeforeReady) {
        return leads;
    }
    let applied = metrics.last_applied.map(|applied| applied.committed_leader_id().term);
    leads && applied == Some(metrics.current_term)
}

pub(crate) fn status(
    shard: ShardId,
    metrics: &RaftMetrics<TypeConfig>,
    transfers: &[(NodeId, u64)],
) -> GroupStatus {
    let group = metrics.membership_config.membership();
    let voters: BTreeSet<u64> = group.voter_ids().collect();
    let now = Moment::now();
    let members = group
        .nodes()
        .map(|(node, member)| MemberStatus {
            node: NodeId(*node),
            address: member.address.clone(),
            standing: if voters.contains(node) { Standing::Voter } else { Standing::Learner },
            matched: metrics
                .replication
                .as_ref()
                .and_then(|replication| replication.get(node).copied().flatten())
                .map(|matched| EntryIndex(matched.index())),
            silent_for: metrics
                .heartbeat
                .as_ref()
                .and_then(|heartbeat| heartbeat.get(node).copied().flatten())
                .map(|acknowledged| now - acknowledged.into_inner()),
            snapshot_bytes: transfers.iter().find(|(to, _)| to.0 == *node).map(|(_, bytes)| *bytes),
        })
        .collect();
    GroupStatus {
        shard,
        leadership: leadership(metrics),
        last: metrics.last_log_index.map(EntryIndex),
        committed: metrics.local_committed.as_ref().map(entry_id),
        applied: metrics.last_applied.as_ref().map(entry_id),
        purged: metrics.purged.as_ref().map(entry_id),
        config: metrics.committed_membership_config.log_id().as_ref().map(entry_id),
        changing: group.get_joint_config().len() > 1
            || metrics.membership_config.log_id() != metrics.committed_membership_config.log_id(),
        members,
    }
}
