//! What an operator may want of the cluster, wherever he asks: carried to the leader of the meta group.

use std::sync::Arc;
use std::time::Duration;

use aryavarth_cluster::{
    Change, META_GROUP, NodeId, NodeSight, NodeState, ReplicationFactor, ShardId, Topology,
    check_drain,
};
use tokio::time::Instant;

use super::error::NodeError;
use super::member::Member;
use super::messages::{Action, Answer, Question, Wish};
use super::node::ClusterNode;
use super::reconciler::leaves;

/// How long one handover that an operator waits for may be tried.
const HANDING_OVER: Duration = Duration::from_secs(5);
/// Between two tries.
const AGAIN: Duration = Duration::from_millis(100);

/// Whether an order may leave fewer copies than there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Copies {
    Keep,
    GiveUp,
}

impl ClusterNode {
    /// Has a wish granted; returns when it is logged, or done if that can be waited for. Blocks.
    ///
    /// # Errors
    /// Why it was not granted.
    pub fn wish(&self, wish: Wish) -> Result<(), NodeError> {
        self.handle().block_on(self.ask_wish(wish))
    }

    /// As [`wish`](ClusterNode::wish), without blocking.
    ///
    /// # Errors
    /// As there.
    pub(crate) async fn ask_wish(&self, wish: Wish) -> Result<(), NodeError> {
        let member = self.member().ok_or(NodeError::NoCluster)?;
        match member.ask_meta(Question::Wish(wish)).await {
            Answer::Done => Ok(()),
            Answer::Refused(why) => Err(NodeError::Refused(why)),
            Answer::Later(why) => Err(NodeError::Later(why)),
            _ => Err(NodeError::Refused("the leader answered something else".to_owned())),
        }
    }
}

impl Member {
    /// Grants a wish, as the leader of the meta group.
    pub(super) async fn grant(self: &Arc<Self>, wish: Wish) -> Result<(), NodeError> {
        if !self.leads_meta() {
            return Err(NodeError::NoLeader);
        }
        let topology = self.topology().ok_or(NodeError::NoCluster)?;
        match wish {
            Wish::Drain(node) => self.drain(node, Copies::Keep).await,
            Wish::DrainForced(node) => self.drain(node, Copies::GiveUp).await,
            Wish::Undrain(node) => {
                self.note_leaving(node, None).await?;
                self.set_state(&topology, node, NodeState::Active).await
            }
            Wish::Remove(node) => self.remove(&topology, node, Copies::Keep).await,
            Wish::RemoveForced(node) => self.remove(&topology, node, Copies::GiveUp).await,
            Wish::RemoveLost(node) => {
                if self.known().sights.get(&NodeId(node)) == Some(&NodeSight::Reachable) {
                    return Err(NodeError::Refused(format!(
                        "node {node} was heard a moment ago, so it is not lost: remove it without LOST, or stop it; \
                         if it has just died, ask again in some seconds"
                    )));
                }
                self.set_state(&topology, node, NodeState::Gone).await
            }
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

    async fn remove(
        &self,
        topology: &Topology,
        node: u64,
        copies: Copies,
    ) -> Result<(), NodeError> {
        if topology.nodes().len() == 1 {
            let why = "the last node of a cluster cannot be removed";
            return Err(NodeError::Refused(why.to_owned()));
        }
        self.drain(node, copies).await?;
        // It is removed by itself once it is empty.
        self.note_leaving(node, Some("yes")).await
    }

    /// Has a node emptied, unless it is already, or is given up.
    async fn drain(&self, node: u64, copies: Copies) -> Result<(), NodeError> {
        let node = NodeId(node);
        // On the newest topology: of two orders that come at once, the later is to see the earlier.
        let decide = |topology: &Topology| {
            let known = topology.node(node);
            let known = known.ok_or(aryavarth_cluster::Error::UnknownNode { node })?;
            let state = match known.state {
                NodeState::Gone => NodeState::Gone,
                _ => NodeState::Draining,
            };
            if copies == Copies::Keep {
                check_drain(topology, node)?;
            }
            Ok(Change::SetNodeState { node, state })
        };
        self.change(decide).await.map(drop)
    }

    async fn note_leaving(&self, node: u64, value: Option<&str>) -> Result<(), NodeError> {
        let (name, value) = (leaves(NodeId(node)), value.map(str::to_owned));
        self.log(&Change::SetSetting { name, value }).await
    }

    async fn set_state(
        &self,
        topology: &Topology,
        node: u64,
        state: NodeState,
    ) -> Result<(), NodeError> {
        let node = NodeId(node);
        let known = topology.node(node).ok_or(aryavarth_cluster::Error::UnknownNode { node })?;
        if known.state == state {
            return Ok(());
        }
        self.log(&Change::SetNodeState { node, state }).await
    }

    /// Has a node lead one shard, or all of which it has a vote, until the balance decides again.
    async fn let_lead(
        self: &Arc<Self>,
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
            self.have_lead(shard, to).await?;
        }
        Ok(())
    }

    /// Returns once a node leads a shard, which whoever leads it is ordered to see to.
    async fn have_lead(self: &Arc<Self>, shard: ShardId, to: NodeId) -> Result<(), NodeError> {
        let deadline = Instant::now() + HANDING_OVER;
        loop {
            let leader = self.known().leaders.get(&shard).copied();
            let (term, leader) = leader.ok_or(NodeError::NoLeader)?;
            if leader == to {
                return Ok(());
            }
            let action = Action::Transfer { shard: shard.0, to: to.0 };
            match self.order(leader, term, None, action).await {
                Ok(()) => return Ok(()),
                Err(error) if Instant::now() >= deadline => return Err(error),
                Err(error) => tracing::debug!(%shard, %to, %error, "it does not lead yet"),
            }
            self.pulse_now.notify_one();
            tokio::time::sleep(AGAIN).await;
        }
    }

    async fn unpin(&self, topology: &Topology) -> Result<(), NodeError> {
        for (shard, group) in topology.groups() {
            if group.pinned.is_some() {
                self.log(&Change::SetWantedLeader { shard, leader: None }).await?;
            }
        }
        self.bell.notify_one();
        Ok(())
    }
}
