//! What operators want of the cluster: carried to the leader of the meta group, and answered once it is logged,
//! or done.

use std::sync::Arc;
use std::time::{Duration, Instant};

use aryavarth_cluster::{
    Change, Error as TopologyError, NodeId, NodeSight, NodeState, ReplicationFactor, ShardId,
    Topology,
};

use super::error::NodeError;
use super::member::Member;
use super::messages::{Action, Answer, Order, Question, Wish};
use super::reconciler::leaves;

/// How long a handover may take that an operator waits for.
const HANDING_OVER: Duration = Duration::from_secs(8);
const AGAIN: Duration = Duration::from_millis(100);

impl Member {
    /// On the leader of the meta group: does what an operator wants.
    pub async fn grant(self: Arc<Self>, wish: Wish) -> Answer {
        if let Err(later) = self.speaks_for_meta() {
            return later;
        }
        // By itself, so that what was begun is done though nobody waits any more.
        let member = Arc::clone(&self);
        let doing = tokio::spawn(async move { member.fulfil(wish).await });
        match doing.await {
            Ok(Ok(())) => Answer::Done,
            Ok(Err(error)) => self.decline(error),
            Err(_) => Answer::Later("the node is stopping".into()),
        }
    }

    async fn fulfil(self: &Arc<Self>, wish: Wish) -> Result<(), NodeError> {
        match wish {
            Wish::Drain(node) => self.put(node, NodeState::Draining).await?,
            Wish::Undrain(node) => {
                self.note_leaving(node, None).await?;
                self.put(node, NodeState::Active).await?;
            }
            Wish::Remove(node) => {
                self.check_drainable(node)?;
                self.note_leaving(node, Some("yes")).await?;
                self.put(node, NodeState::Draining).await?;
            }
            Wish::RemoveLost(node) => {
                self.check_silent(node)?;
                self.put(node, NodeState::Gone).await?;
            }
            Wish::Transfer { shard: Some(shard), to } => {
                self.pin(ShardId(shard), NodeId(to)).await?;
            }
            Wish::Transfer { shard: None, to } => self.pin_all(NodeId(to)).await?,
            Wish::Rebalance => self.unpin_all().await?,
            Wish::ReplicationFactor(factor) => {
                let factor = ReplicationFactor::new(factor)?;
                self.change(|_| Ok(Change::SetReplicationFactor(factor))).await?;
            }
        }
        self.reconcile_now.notify_one();
        Ok(())
    }

    async fn put(&self, node: u64, state: NodeState) -> Result<(), NodeError> {
        let node = NodeId(node);
        self.change(|_| Ok(Change::SetNodeState { node, state })).await.map(drop)
    }

    async fn note_leaving(&self, node: u64, value: Option<&str>) -> Result<(), NodeError> {
        let (name, value) = (leaves(NodeId(node)), value.map(str::to_owned));
        self.change(|_| Ok(Change::SetSetting { name, value })).await.map(drop)
    }

    fn newest(&self) -> Result<Arc<Topology>, NodeError> {
        self.topology().ok_or(NodeError::NoLeader)
    }

    fn check_drainable(&self, node: u64) -> Result<(), NodeError> {
        let node = NodeId(node);
        let topology = self.newest()?;
        let known = topology.node(node).ok_or(TopologyError::UnknownNode { node })?;
        match known.state {
            NodeState::Gone => Err(TopologyError::NodeRemoved { node }.into()),
            _ if topology.nodes().len() == 1 => {
                Err(NodeError::Refused("the last node of a cluster cannot be removed".into()))
            }
            _ => Ok(()),
        }
    }

    /// Refuses to give up a node that answers.
    fn check_silent(&self, node: u64) -> Result<(), NodeError> {
        let sights = self.sights(&self.known());
        match sights.get(&NodeId(node)) {
            Some(NodeSight::Reachable) => Err(NodeError::Refused(format!(
                "node {node} answers, so it is not lost: remove it without LOST, or stop it first"
            ))),
            _ => Ok(()),
        }
    }

    /// Has a node lead a shard, now and from now on.
    async fn pin(self: &Arc<Self>, shard: ShardId, to: NodeId) -> Result<(), NodeError> {
        self.change(|_| Ok(Change::SetWantedLeader { shard, leader: Some(to) })).await?;
        let deadline = Instant::now() + HANDING_OVER;
        let mut why = "it has not led yet".to_owned();
        while Instant::now() < deadline {
            let leader = self.known().leader(shard);
            if leader == Some(to) {
                return Ok(());
            }
            // An order like the reconciler's, so that the same is checked.
            if let (Some(leader), Some(order)) = (leader, self.order_handover(shard, to)) {
                match self.ask(leader, Question::Act(order), HANDING_OVER).await {
                    Ok(Answer::Done) => {
                        self.known().heard.leads_no_longer(leader, shard.0);
                        return Ok(());
                    }
                    Ok(Answer::Later(later) | Answer::Refused(later)) => why = later,
                    Ok(_) => {}
                    Err(error) => why = error.to_string(),
                }
            }
            self.pulse_now.notify_one();
            tokio::time::sleep(AGAIN).await;
        }
        Err(NodeError::Refused(format!(
            "node {to} shall lead shard {shard} and does not yet: {why}"
        )))
    }

    fn order_handover(&self, shard: ShardId, to: NodeId) -> Option<Order> {
        let meta_term = self.leads_meta()?.0;
        let known = self.known();
        let (_, term, _) = known.leaders().find(|(led, _, _)| *led == shard)?;
        let action = Action::Transfer { shard: shard.0, to: to.0 };
        Some(Order { meta_term, epoch: known.epoch(), term, config: None, action })
    }

    async fn pin_all(self: &Arc<Self>, to: NodeId) -> Result<(), NodeError> {
        let topology = self.newest()?;
        topology.node(to).ok_or(TopologyError::UnknownNode { node: to })?;
        let votes = topology.groups().filter(|(_, group)| group.voters.contains(&to));
        // The meta group last: whoever leads it does this.
        let mut shards: Vec<_> = votes.map(|(shard, _)| shard).collect();
        shards.reverse();
        for shard in shards {
            self.pin(shard, to).await?;
        }
        Ok(())
    }

    async fn unpin_all(&self) -> Result<(), NodeError> {
        let topology = self.newest()?;
        let pinned = topology.groups().filter(|(_, group)| group.pinned.is_some());
        for (shard, _) in pinned {
            self.change(|_| Ok(Change::SetWantedLeader { shard, leader: None })).await?;
        }
        Ok(())
    }
}
