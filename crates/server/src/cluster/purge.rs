//! How much of each group's log is kept: enough for followers that were away for a moment, and not so much
//! that compaction cannot get rid of what was overwritten.
//!
//! ```text
//!      purged      goal                       applied     last
//!  … gone ─┤ can go  ├─ `raft-log-keep` entries ─┤─────────┤
//!                  └── on the leader no further than what a follower that answers still lacks,
//!                      unless that is more than ten times as much
//! ```
//!
//! A segment with entries that were not purged is not compacted. If there is much to compact, a tenth is
//! kept.

use std::sync::Arc;
use std::time::Duration;

use aryavarth_cluster::META_GROUP;
use aryavarth_replication::{EntryIndex, GroupStatus, Role};

use super::member::Member;
use crate::tasks::{all, spawn};

/// Between two looks at the logs.
const INTERVAL: Duration = Duration::from_secs(3);
/// Silence of a follower after which nothing is kept for it.
const SILENCE: Duration = Duration::from_secs(5);
/// Entries of the meta group's log that are kept.
const META_KEEP: u64 = 100;
/// How many times as much is kept for a follower that is behind.
const FOR_THE_SLOW: u64 = 10;
/// Fewer are not worth the effort.
const LEAST: u64 = 64;

impl Member {
    pub(super) async fn keep_purging(self: Arc<Self>) {
        while !self.is_stopping() {
            self.rest(INTERVAL).await;
            if !self.is_stopping() {
                self.purge_once().await;
            }
        }
    }

    /// Purges all groups, as far as it is worth it.
    pub(super) async fn purge_once(&self) {
        let keep = self.around.host.policy().log_keep;
        let stats = self.around.store.stats();
        let crowded = stats.compaction_debt.saturating_mul(4) > stats.log_bytes;
        let keep = if crowded { keep / 10 } else { keep };
        let mut purges = Vec::new();
        for group in self.node.groups() {
            let keep = if group.shard() == META_GROUP { keep.min(META_KEEP) } else { keep };
            let Some(goal) = goal(&group.status(), keep, SILENCE) else { continue };
            purges.push(spawn(async move {
                if let Err(error) = group.purge(EntryIndex(goal)).await {
                    tracing::debug!(shard = %group.shard(), %error, "the log was not purged");
                }
            }));
        }
        all(purges).await;
    }
}

/// Up to which entry a log may be purged now; none if there is little to gain.
fn goal(status: &GroupStatus, keep: u64, gap: Duration) -> Option<u64> {
    let next = |index: Option<u64>| index.map_or(0, |index| index + 1);
    let applied = next(status.applied.map(|id| id.index.0));
    let purged = next(status.purged.map(|id| id.index.0));
    let mut until = applied.saturating_sub(keep);
    if status.leadership.role == Role::Leader {
        let others = status.members.iter().filter(|member| {
            Some(member.node) != status.leadership.leader.as_ref().map(|leader| leader.node)
                && member.silent_for.is_some_and(|silent| silent < gap)
                && member.matched.is_some()
        });
        let slowest = others.map(|member| next(member.matched.map(|index| index.0))).min();
        let floor = applied.saturating_sub(keep.max(LEAST).saturating_mul(FOR_THE_SLOW));
        until = until.min(slowest.unwrap_or(until).max(floor));
    }
    let worth = LEAST.max(keep / 16);
    (until >= purged + worth).then(|| until - 1)
}

#[cfg(test)]
mod tests {
    use aryavarth_cluster::NodeId;
    use aryavarth_replication::{EntryId, Leadership, MemberStatus, ShardId, Standing, Term};

    use super::*;

    const GAP: Duration = Duration::from_secs(2);

    /// A leader that has applied 10 000 entries, and how far its followers are and how long silent.
    fn status(role: Role, followers: &[(u64, u64)]) -> GroupStatus {
        let leader = aryavarth_replication::Leader { node: NodeId(1), address: None };
        let members = followers.iter().zip(2..).map(|((matched, silent), node)| MemberStatus {
            node: NodeId(node),
            address: String::new(),
            standing: Standing::Voter,
            matched: Some(EntryIndex(*matched)),
            silent_for: Some(Duration::from_secs(*silent)),
            snapshot_bytes: None,
        });
        GroupStatus {
            shard: ShardId(1),
            leadership: Leadership { term: Term(1), role, leader: Some(leader), ready: true },
            last: Some(EntryIndex(9_999)),
            committed: Some(EntryId::new(1, 9_999)),
            applied: Some(EntryId::new(1, 9_999)),
            purged: Some(EntryId::new(1, 999)),
            config: None,
            changing: false,
            members: members.collect(),
        }
    }

    #[test]
    fn a_log_keeps_what_it_should() {
        let up_to_date = status(Role::Leader, &[(9_999, 0), (9_990, 0)]);
        assert_eq!(goal(&up_to_date, 1_000, GAP), Some(8_999));
        assert_eq!(goal(&up_to_date, 10_000, GAP), None);
        assert_eq!(goal(&up_to_date, 8_950, GAP), None, "too little to gain");
    }

    #[test]
    fn what_a_follower_lacks_is_kept_while_it_answers_and_is_not_too_much() {
        assert_eq!(goal(&status(Role::Leader, &[(9_999, 0), (4_999, 0)]), 1_000, GAP), Some(4_999));
        assert_eq!(goal(&status(Role::Leader, &[(9_999, 0), (4_999, 9)]), 1_000, GAP), Some(8_999));
        assert_eq!(goal(&status(Role::Leader, &[(9_999, 0), (4_999, 0)]), 100, GAP), Some(8_999));
        assert_eq!(
            goal(&status(Role::Follower, &[(9_999, 0), (4_999, 0)]), 1_000, GAP),
            Some(8_999)
        );
    }
}
