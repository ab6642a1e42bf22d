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
//! - A node is given up for its replacement only while a majority of each of its groups answers without it, and
//!   without those who were let go.

use std::sync::Arc;

use aryavarth_cluster::{
    Change, ClusterId, Damage, NewNode, NodeId, NodeSight, NodeState, ShardId, Topology,
};
use aryavarth_replication::Incarnation;

use super::error::NodeError;
use super::member::{Known, Member};
use super::messages::{Answer, Applicant, Former, Question, Welcome};
use super::replacement::alone;

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
        // On the newest topology: nobody is let go meanwhile without whom this one cannot be spared.
        let decide = |topology: &Topology| {
            let known = self.known();
            if known.answers(node) {
                let why = format!("node {node} answered a moment ago: its process must end first");
                return Err(NodeError::Later(why));
            }
            known.can_do_without(topology, node)?;
            Ok(Change::SetNodeState { node, state: NodeState::Gone })
        };
        self.change(decide).await?;
        tracing::warn!(%node, "its store is damaged: it was given up for a new node");
        Ok(())
    }
}

impl Known {
    /// Whether every group goes on without a node, and can make its replica anew, which takes an intact one. Who was
    /// told to go counts as gone already.
    pub(super) fn can_do_without(
        &self,
        topology: &Topology,
        node: NodeId,
    ) -> Result<(), NodeError> {
        if let Some(shard) = alone(topology, node) {
            return Err(NodeError::Refused(only_replica(node, shard)));
        }
        let stays = |other: &&NodeId| {
            **other != node
                && self.answers(**other)
                && topology.damage(**other) != Some(Damage::Goes)
        };
        for (shard, group) in topology.groups().filter(|(_, group)| group.voters.contains(&node)) {
            let others: Vec<&NodeId> = group.voters.iter().filter(stays).collect();
            let why = if others.len() * 2 <= group.voters.len() {
                "too few of the other replicas answer, and stay: start their nodes"
            } else if others.iter().all(|other| topology.damage(**other).is_some()) {
                "all other replicas that answer are on nodes with damaged stores, too"
            } else {
                continue;
            };
            let why =
                format!("the replica of shard {shard} on node {node} cannot be made anew: {why}");
            return Err(NodeError::Later(why));
        }
        Ok(())
    }

    /// Whether a majority of each group of a node is there and intact without it: what only it and a damaged node have
    /// would be lost.
    pub(super) fn is_whole_without(&self, topology: &Topology, node: NodeId) -> bool {
        let is_whole = |other: &&NodeId| {
            let is_active = topology.node(**other).is_some_and(|n| n.state != NodeState::Gone);
            **other != node
                && is_active
                && self.answers(**other)
                && topology.damage(**other).is_none()
        };
        let mut groups = topology.groups().filter(|(_, group)| group.voters.contains(&node));
        groups
            .all(|(_, group)| group.voters.iter().filter(is_whole).count() * 2 > group.voters.len())
    }

    /// Whether a node was heard lately, be it one that was given up: as long as it speaks, it votes.
    fn answers(&self, node: NodeId) -> bool {
        let sight = self.sights.get(&node);
        let is_heard = !self.unheard.contains(&node);
        matches!(sight, Some(NodeSight::Reachable | NodeSight::Lost)) && is_heard
    }
}

/// Why a node cannot be given up.
pub(super) fn only_replica(node: NodeId, shard: ShardId) -> String {
    format!(
        "node {node} has the only replica of shard {shard}, so that it cannot be made anew: restore a \
         backup, or save what is intact (`aryavarth verify`, `aryavarth export --skip-damaged`)"
    )
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aryavarth_cluster::{NodeSet, ReplicationFactor, ShardCount};

    use super::*;
    use crate::cluster::pulse::farewell;

    fn newcomer(id: u64) -> NewNode {
        let address = |port: u64| format!("10.0.0.1:{port}").parse().unwrap();
        NewNode {
            id: NodeId(id),
            incarnation: Incarnation(id),
            client: address(6000 + id),
            peer: address(16000 + id),
            zone: None,
        }
    }

    /// Five nodes, of which some answer, and shard 1 on the first of them.
    fn known(voters: impl IntoIterator<Item = u64>, answering: &[u64]) -> Known {
        let (cluster, shards) = (ClusterId(7), ShardCount::new(2).unwrap());
        let mut topology = Topology::found(cluster, shards, ReplicationFactor::Three, newcomer(1));
        for id in 2..=5 {
            topology.apply(&Change::AddNode(newcomer(id))).unwrap();
        }
        let set = |ids: &mut dyn Iterator<Item = u64>| ids.map(NodeId).collect::<NodeSet>();
        let mut adopt = |shard, voters| {
            topology.apply(&Change::AdoptVoters { shard: ShardId(shard), voters }).unwrap();
        };
        adopt(0, set(&mut (1..=5)));
        adopt(1, set(&mut voters.into_iter()));
        adopt(2, set(&mut (3..=5)));
        let sights = answering.iter().map(|id| (NodeId(*id), NodeSight::Reachable)).collect();
        Known { topology: Some(Arc::new(topology)), sights, ..Known::default() }
    }

    fn outcome(voters: impl IntoIterator<Item = u64>, answering: &[u64]) -> Result<(), NodeError> {
        let known = known(voters, answering);
        known.can_do_without(known.topology.as_ref().unwrap(), NodeId(1))
    }

    #[test]
    fn a_node_is_given_up_only_while_each_of_its_groups_goes_on() {
        outcome(1..=3, &[2, 3, 4]).unwrap();
        // Of the meta group three of five answer, of shard 1 only one of three.
        let error = outcome(1..=3, &[3, 4, 5]).unwrap_err();
        assert!(matches!(&error, NodeError::Later(why) if why.contains("shard 1 ")), "{error}");
        // It need not be asked itself, and what it does not hold is not looked at.
        outcome(2..=4, &[2, 3, 4]).unwrap();
        let error = outcome(1..=3, &[2, 3]).unwrap_err();
        assert!(matches!(&error, NodeError::Later(why) if why.contains("shard 0 ")), "{error}");
    }

    #[test]
    fn who_was_let_go_counts_as_gone_though_it_still_answers() {
        let known = known(1..=3, &[1, 2, 3, 4, 5]);
        let mut topology = Topology::clone(known.topology.as_ref().unwrap());
        let can_do_without =
            |topology: &Topology, node| known.can_do_without(topology, NodeId(node));
        can_do_without(&topology, 1).unwrap();
        let mut note = |node, damage| {
            topology.apply(&Change::note_damage(NodeId(node), damage)).unwrap();
            topology.clone()
        };
        let with_3_let_go = note(3, Some(Damage::Goes));
        let error = can_do_without(&with_3_let_go, 1).unwrap_err();
        assert!(matches!(&error, NodeError::Later(why) if why.contains("shard 1 ")), "{error}");
        // It may ask twice, and whoever shares no group with it may go, too.
        can_do_without(&with_3_let_go, 3).unwrap();
        can_do_without(&note(3, None), 1).unwrap();
        can_do_without(&note(5, Some(Damage::Goes)), 1).unwrap();
        // One that waits is there, and of two others one must be able to send a copy.
        can_do_without(&note(3, Some(Damage::Waits)), 1).unwrap();
        let error = can_do_without(&note(2, Some(Damage::Waits)), 1).unwrap_err();
        assert!(error.to_string().contains("with damaged stores"), "{error}");
    }

    #[test]
    fn who_was_given_up_and_is_back_stays_as_long_as_its_groups_need_it() {
        let gone = |answering: &[u64]| {
            let mut known = known(1..=3, answering);
            let mut topology = Topology::clone(known.topology.as_ref().unwrap());
            let state = NodeState::Gone;
            topology.apply(&Change::SetNodeState { node: NodeId(1), state }).unwrap();
            known.topology = Some(Arc::new(topology));
            known
        };
        let told = |known: &Known| farewell(known, NodeId(2), NodeId(1));
        let all = told(&gone(&[2, 3, 4, 5])).unwrap();
        assert!(all.contains("was given up"), "{all}");
        // Of shard 1 a majority is there only with it.
        assert_eq!(told(&gone(&[3, 4, 5])), None);
        // Nothing was heard of node 3 since this one started.
        let unheard = BTreeSet::from([NodeId(3)]);
        assert_eq!(told(&Known { unheard, ..gone(&[2, 3, 4, 5]) }), None);
        // What it has may be damaged on node 3.
        let mut damaged = gone(&[2, 3, 4, 5]);
        let mut topology = Topology::clone(damaged.topology.as_ref().unwrap());
        topology.apply(&Change::note_damage(NodeId(3), Some(Damage::Waits))).unwrap();
        // So node 3 may go, as long as node 1 is there.
        damaged.sights.insert(NodeId(1), NodeSight::Lost);
        damaged.can_do_without(&topology, NodeId(3)).unwrap();
        damaged.unheard.insert(NodeId(1));
        damaged.can_do_without(&topology, NodeId(3)).unwrap_err();
        damaged.topology = Some(Arc::new(topology));
        assert_eq!(told(&damaged), None);
        assert_eq!(told(&known(1..=3, &[])), None, "it was not given up");
        let told = farewell(&known(1..=3, &[]), NodeId(2), NodeId(0)).unwrap();
        assert!(told.contains("was removed"), "{told}");
    }

    #[test]
    fn the_only_replica_is_never_given_up() {
        let error = outcome([1], &[1, 2, 3, 4, 5]).unwrap_err();
        assert!(
            matches!(&error, NodeError::Refused(why) if why.contains("only replica")),
            "{error}"
        );
    }
}
