//! The course of one move, from what is seen of its group.
//!
//! | seen | next |
//! |---|---|
//! | the outcome's voters | forget learners that are left, then `FinishMove` |
//! | voters that are neither those of before, nor the outcome, nor both | give it up: the topology is wrong about the group |
//! | it can't succeed, nobody new votes | forget the new learners, then `AbortMove` |
//! | somebody new is not a learner yet | `AddLearner`, or wait until it can be reached |
//! | somebody new is behind | wait |
//! | no majority of the outcome can be reached | wait |
//! | the leader goes, and no voter stays | `ChangeVoters` to old and new together |
//! | the leader goes | `TransferLeader` to a voter that stays and has all, or wait for one |
//! | otherwise | `ChangeVoters` to the outcome |

use crate::node::{NodeId, NodeSet, NodeState};
use crate::reconcile::{NodeSight, ShardSight, Step, View};
use crate::shards::ShardId;
use crate::topology::{Change, Move, Replicas};

/// A move and its group.
pub(super) struct Course<'c> {
    pub view: &'c View<'c>,
    pub shard: ShardId,
    pub group: &'c Replicas,
    pub step: &'c Move,
    pub sight: &'c ShardSight,
}

impl Course<'_> {
    /// The next step; none while something is waited for.
    pub fn next(&self) -> Option<Step> {
        let shard = self.shard;
        let outcome = self.group.outcome();
        if self.sight.voters == outcome {
            let step = self.step.clone();
            return Some(match self.sight.learners.first() {
                Some(&node) => Step::RemoveLearner { shard, node },
                None => Step::Log(Change::FinishMove { shard, step }),
            });
        }
        let before = &self.group.voters;
        let both: NodeSet = before.union(&outcome).copied().collect();
        let is_known = self.sight.voters == *before || self.sight.voters == both;
        if !is_known || self.is_hopeless(&outcome) {
            return Some(self.back());
        }
        let fresh = || self.step.add.iter().copied().filter(|n| !self.sight.voters.contains(n));
        if let Some(node) = fresh().find(|node| !self.sight.learners.contains(node)) {
            return self.reaches(node).then_some(Step::AddLearner { shard, node });
        }
        let ready = fresh().all(|node| self.reaches(node) && self.has_all(node));
        if !ready || !self.view.observed.reaches_majority(&outcome) {
            return None;
        }
        if outcome.contains(&self.sight.leader) {
            return Some(Step::ChangeVoters { shard, voters: outcome });
        }
        if outcome.is_disjoint(&self.sight.voters) {
            let reached = self.view.observed.reaches_majority(&both);
            return reached.then_some(Step::ChangeVoters { shard, voters: both });
        }
        self.successor(&outcome).map(|to| Step::TransferLeader { shard, to })
    }

    /// Whether the move should be given up: before anybody new has a vote, when somebody new will not
    /// be there, or when what would be left has no majority that may come back.
    fn is_hopeless(&self, outcome: &NodeSet) -> bool {
        if !self.step.add.is_disjoint(&self.sight.voters) {
            return false;
        }
        let lost = |node: &NodeId| {
            self.view.state(*node) == Some(NodeState::Gone)
                || self.view.observed.sight(*node) == NodeSight::Lost
        };
        // One that is lost need not be given up: another group may still wait for it.
        let leaves =
            |node: &NodeId| self.view.state(*node) != Some(NodeState::Active) || lost(node);
        let alive = outcome.iter().filter(|node| !lost(node)).count();
        self.step.add.iter().any(leaves) || alive * 2 <= outcome.len()
    }

    /// The next step of giving up.
    fn back(&self) -> Step {
        let (shard, step) = (self.shard, self.step.clone());
        match self.sight.learners.first() {
            Some(&node) => Step::RemoveLearner { shard, node },
            None => Step::Log(Change::AbortMove { shard, step }),
        }
    }

    /// Who may lead once the leader has lost its vote.
    fn successor(&self, outcome: &NodeSet) -> Option<NodeId> {
        let able = |node: &NodeId| self.reaches(*node) && self.has_all(*node);
        let mut staying: Vec<_> = outcome.intersection(&self.sight.voters).copied().collect();
        staying.retain(able);
        let led = |node: NodeId| {
            let shards = self.view.observed.shards.values();
            shards.filter(|sight| sight.leader == node).count()
        };
        let leaves = |node| !self.view.stays(node);
        staying.into_iter().min_by_key(|&node| (leaves(node), led(node), node))
    }

    fn reaches(&self, node: NodeId) -> bool {
        self.view.observed.reaches(node)
    }

    fn has_all(&self, node: NodeId) -> bool {
        self.sight.caught_up.contains(&node)
    }
}
