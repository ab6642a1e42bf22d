//! What an operator may want of the cluster, wherever he asks: carried to the leader of the meta group.

use std::sync::Arc;

use aryavarth_cluster::{
    Change, META_GROUP, NodeId, NodeState, ReplicationFactor, ShardId, Topology,
};

use super::error::NodeError;
use super::member::Member;
use super::messages::{Action, Answer, Question, Wish};
use super::node::ClusterNode;

impl ClusterNode {
    /// Has a wish granted; returns when it is logged, or done if that can be waited for. Blocks.
    ///
    /// # Errors
    /// Why it was not granted.
    pub fn wish(&self, wish: Wish) -> Result<(), NodeError> {
        let member = Arc::clone(self.member().ok_or(NodeError::NoCluster)?);
        match self.handle().block_on(async move { member.ask_meta(Question::Wish(wish)).await }) {
            Answer::Done => Ok(()),
            Answer::Refused(why) => Err(NodeError::Refused(why)),
            _ => Err(NodeError::Refused("the leader answered something else".to_owned())),
        }
    }
}

impl Member {
    /// Grants a wish, as the leader of the meta group.
    pub(super) async fn grant(&self, wish: Wish) -> Result<(), NodeError> {
        if !self.leads_meta() {
            return Err(NodeError::NoLeader);
        }
        let topology = self.topology().ok_or(NodeError::NoCluster)?;
        match wish {
            Wish::Drain(node) => self.set_state(&topology, node, NodeState::Draining).await,
            Wish::Undrain(node) => self.set_state(&topology, node, NodeState::Active).await,
            Wish::Remove(node) => {
                // It is removed by itself once it is empty.
                self.set_state(&topology, node, NodeState::Draining).await
            }
            Wish::RemoveLost(node) => self.set_state(&topology, node, NodeState::Gone).await,
            Wish::Transfer { shard, to } => {
                self.let_lead(&topology, shard.map(ShardId), NodeId(to)).await
            }
            Wish::Rebalance => self.unpin(&topology).await,
            Wish::ReplicationFactor(factor) => {
                let factor = ReplicationFactor::new(factor)?;
                self.log(&Change::SetReplicationFactor(factor)).await
            }
        }
    }

    async fn set_state(
        &self,
        topology: &Topology,
        node: u64,
        state: NodeState,
    ) -> Result<(), NodeError> {
        let node = NodeId(node);
        let known = topology.node(node).ok_or(aryavarth_cluster::Error::UnknownNode { node })?;
        if known.state == state || (state == NodeState::Draining && known.state == NodeState::Gone)
        {
            return Ok(());
        }
        self.log(&Change::SetNodeState { node, state }).await
    }

    /// Has a node lead one shard, or all of which it has a vote, until the balance decides again.
    async fn let_lead(
        &self,
        topology: &Topology,
        shard: Option<ShardId>,
        to: NodeId,
    ) -> Result<(), NodeError> {
        topology.node(to).ok_or(aryavarth_cluster::Error::UnknownNode { node: to })?;
        let votes = |shard: ShardId| {
            topology.replicas(shard).is_some_and(|group| group.voters.contains(&to))
        };
        let shards: Vec<ShardId> = match shard {
            Some(shard) => vec![shard],
            None => topology.shards().shards().filter(|shard| votes(*shard)).collect(),
        };
        for shard in shards {
            if shard != META_GROUP {
                self.log(&Change::SetWantedLeader { shard, leader: Some(to) }).await?;
            }
            let leader = self.leader_of(shard).ok_or(NodeError::NoLeader)?;
            if leader != to {
                self.have_done(leader, Action::Transfer { shard: shard.0, to: to.0 }).await?;
            }
        }
        Ok(())
    }

    async fn unpin(&self, topology: &Topology) -> Result<(), NodeError> {
        for (shard, group) in topology.groups() {
            if group.pinned.is_some() {
                self.log(&Change::SetWantedLeader { shard, leader: None }).await?;
            }
        }
        self.known().resting.clear();
        self.bell.notify_one();
        Ok(())
    }
}
