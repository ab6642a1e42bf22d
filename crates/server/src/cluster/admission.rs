//! Letting nodes in: strangers, and nodes that lost their store to damage and come back as new ones.
//!
//! ```text
//!  applicant ─▶ any member ─▶ the leader of the meta group ─┬─ it was another node: that is given up,
//!                                                           │   if every shard can do without it
//!                                                           └─ AddNode, once for each incarnation
//! ```
//!
//! # Invariants
//! - Who asks twice is let in once.
//! - A node is given up for its replacement only while a majority of each of its groups answers without it.

use std::sync::Arc;

use aryavarth_cluster::{
    Change, ClusterId, NewNode, NodeId, NodeSight, NodeState, ShardId, Topology,
};
use aryavarth_replication::Incarnation;

use super::error::NodeError;
use super::member::{Known, Member};
use super::messages::{Answer, Applicant, Former, Question, Welcome};

impl Member {
    /// Lets somebody in who is no node yet, by way of the leader of the meta group.
    pub(super) async fn let_in(self: &Arc<Self>, applicant: Applicant) -> Answer {
        self.ask_meta(Question::Join(applicant)).await
    }

    /// Makes a node of an applicant; the same one if it asks twice.
    pub(super) async fn admit(&self, applicant: &Applicant) -> Result<Welcome, NodeError> {
        if let Some(former) = applicant.replaces {
            self.give_up(former).await?;
        }
        let incarnation = Incarnation(applicant.incarnation);
        let find = |topology: &Topology| {
            topology.nodes().find(|node| node.incarnation == incarnation).cloned()
        };
        let newcomer = |topology: &Topology| {
            let known = find(topology);
            if let Some(gone) = known.as_ref().filter(|node| node.state == NodeState::Gone) {
                return Err(NodeError::Refused(format!(
                    "it was node {}, which was given up: empty the directory and let it join anew",
                    gone.id
                )));
            }
            Ok(Change::AddNode(NewNode {
                id: known.map_or(topology.next_node(), |node| node.id),
                incarnation,
                client: applicant.client.parse()?,
                peer: applicant.peer.parse()?,
                zone: applicant.zone.as_deref().map(str::parse).transpose()?,
            }))
        };
        let topology = self.change(newcomer).await?;
        let node = find(&topology).ok_or(NodeError::NoLeader)?.id;
        let ClusterId(cluster) = topology.cluster();
        Ok(Welcome { cluster, node: node.0, topology: topology.encode() })
    }

    /// Gives up a node in whose place an applicant comes.
    async fn give_up(&self, former: Former) -> Result<(), NodeError> {
        let node = NodeId(former.node);
        let topology = self.topology().ok_or(NodeError::NoCluster)?;
        let Some(known) = topology.node(node) else { return Ok(()) };
        if known.incarnation != Incarnation(former.incarnation) {
            let why = format!("it says that it was node {node}, which is another directory");
            return Err(NodeError::Refused(why));
        }
        if known.state == NodeState::Gone {
            return Ok(());
        }
        {
            let known = self.known();
            if known.answers(node) {
                let why = format!("node {node} answered a moment ago: its process must end first");
                return Err(NodeError::Later(why));
            }
            known.can_do_without(node)?;
        }
        tracing::warn!(%node, "its store is damaged: it is given up for a new node");
        self.log(&Change::SetNodeState { node, state: NodeState::Gone }).await
    }
}

impl Known {
    /// Whether every group goes on without a node, and so can make its replica anew.
    pub(super) fn can_do_without(&self, node: NodeId) -> Result<(), NodeError> {
        let topology = self.topology.as_ref().ok_or(NodeError::NoCluster)?;
        for (shard, group) in topology.groups() {
            let voters = &group.voters;
            if !voters.contains(&node) {
                continue;
            }
            if voters.len() == 1 {
                return Err(NodeError::Refused(only_replica(node, shard)));
            }
            let others =
                voters.iter().filter(|other| **other != node && self.answers(**other)).count();
            if others * 2 <= voters.len() {
                return Err(NodeError::Later(format!(
                    "too few of the other replicas of shard {shard} answer to make that of node {node} \
                     anew: start their nodes"
                )));
            }
        }
        Ok(())
    }

    fn answers(&self, node: NodeId) -> bool {
        self.sights.get(&node).is_some_and(|sight| *sight == NodeSight::Reachable)
    }
}

/// Why a node cannot be given up.
pub(super) fn only_replica(node: NodeId, shard: ShardId) -> String {
    format!(
        "node {node} has the only replica of shard {shard}, so that it cannot be made anew: restore a \
         backup, or save what is intact (`aryavarth verify`, `aryavarth export --skip-damaged`)"
    )
}
