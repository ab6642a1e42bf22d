//! The whole cluster for its operator, put together from what its nodes have said.

use std::collections::BTreeMap;
use std::sync::Arc;

use aryavarth_cluster::{
    ClusterId, META_GROUP, Node, NodeId, NodeName, NodeSight, Replicas, ShardId, Topology,
};

use super::error::NodeError;
use super::member::Member;
use super::messages::{Answer, Led, News, Pulse, Question, Sight};
use super::node::ClusterNode;
use super::status::{ClusterStatus, Condition, Moving, NodeStatus, ShardStatus};

impl ClusterNode {
    /// How the cluster is. Asks the leader of the meta group; without one, tells what is known here.
    /// Blocks.
    ///
    /// # Errors
    /// [`NodeError::NoCluster`].
    pub fn status(&self) -> Result<ClusterStatus, NodeError> {
        let member = Arc::clone(self.member().ok_or(NodeError::NoCluster)?);
        self.handle().block_on(async move {
            let topology = member.topology().ok_or(NodeError::NoCluster)?;
            let news = match member.ask_meta(Question::Overview).await {
                Answer::News(news) => *news,
                _ => member.overview(),
            };
            let topology = match news.topology.as_deref().map(Topology::decode) {
                Some(Ok(newer)) => Arc::new(newer),
                _ => topology,
            };
            Ok(Told::of(&member, &news).status(&topology))
        })
    }
}

/// What was told, by node and by shard.
struct Told<'n> {
    myself: NodeId,
    pulses: BTreeMap<NodeId, &'n Pulse>,
    sights: BTreeMap<NodeId, NodeSight>,
    /// Who leads, and what that one said.
    led: BTreeMap<ShardId, (NodeId, &'n Led)>,
}

impl<'n> Told<'n> {
    fn of(member: &Member, news: &'n News) -> Told<'n> {
        let sights = news.sights.iter().map(|(node, sight)| (NodeId(*node), (*sight).into()));
        let sights: BTreeMap<NodeId, NodeSight> = sights.collect();
        let pulses: BTreeMap<NodeId, &Pulse> =
            news.heard.iter().map(|(node, pulse)| (NodeId(*node), pulse)).collect();
        let mut led: BTreeMap<ShardId, (NodeId, &Led)> = BTreeMap::new();
        for (node, pulse) in &pulses {
            let answers = sights.get(node).is_none_or(|sight| *sight == NodeSight::Reachable);
            for group in pulse.led.iter().filter(|_| answers) {
                let shard = ShardId(group.shard);
                if led.get(&shard).is_none_or(|(_, known)| known.term < group.term) {
                    led.insert(shard, (*node, group));
                }
            }
        }
        Told { myself: member.id(), pulses, sights, led }
    }

    fn status(&self, topology: &Topology) -> ClusterStatus {
        let ClusterId(_) = topology.cluster();
        ClusterStatus {
            cluster: topology.cluster().to_string(),
            epoch: topology.epoch().0,
            state: self.condition(topology),
            replication_factor: topology.replication_factor().get(),
            meta_leader: self.led.get(&META_GROUP).map(|(node, _)| node.0),
            nodes: topology.nodes().map(|node| self.node(topology, node)).collect(),
            shards: topology
                .groups()
                .map(|(shard, group)| self.shard(topology, shard, group))
                .collect(),
        }
    }

    fn condition(&self, topology: &Topology) -> Condition {
        let reached = |node: &NodeId| {
            self.sights.get(node).is_none_or(|sight| *sight == NodeSight::Reachable)
        };
        if topology.groups().any(|(shard, _)| !self.led.contains_key(&shard)) {
            return Condition::Down;
        }
        let present = topology.nodes().len();
        let whole = topology.groups().all(|(shard, group)| {
            let wanted = usize::from(topology.factor_of(shard).get()).min(odd(present));
            group.running.is_none()
                && group.voters.len() >= wanted
                && group.voters.iter().all(reached)
        });
        if whole { Condition::Ok } else { Condition::Degraded }
    }

    fn node(&self, topology: &Topology, node: &Node) -> NodeStatus {
        let pulse = self.pulses.get(&node.id);
        let sight = self.sights.get(&node.id).copied().unwrap_or(NodeSight::Unreachable);
        NodeStatus {
            id: node.id.0,
            name: NodeName::of(topology.cluster(), node.id).to_string(),
            client: node.client.to_string(),
            peer: node.peer.to_string(),
            zone: node.zone.as_ref().map(ToString::to_string),
            state: node.state.to_string(),
            sight: match Sight::from(sight) {
                Sight::Reachable => "reachable",
                Sight::Unreachable => "unreachable",
                Sight::Lost => "lost",
            }
            .to_owned(),
            myself: node.id == self.myself,
            shards: topology.groups_of(node.id).count(),
            leads: self.led.values().filter(|(leader, _)| *leader == node.id).count(),
            keys: pulse.map(|pulse| pulse.keys),
            disk_bytes: pulse.map(|pulse| pulse.disk_bytes),
            index_bytes: pulse.map(|pulse| pulse.index_bytes),
            version: pulse.map(|pulse| pulse.version.clone()),
        }
    }

    fn shard(&self, topology: &Topology, shard: ShardId, group: &Replicas) -> ShardStatus {
        let led = self.led.get(&shard);
        let slots = topology.shards().slots_of(shard);
        let moving = group.running.as_ref().map(|step| Moving {
            add: step.add.iter().map(|node| node.0).collect(),
            remove: step.remove.iter().map(|node| node.0).collect(),
        });
        ShardStatus {
            shard: shard.0,
            slots: slots.map(|slots| format!("{}-{}", slots.start(), slots.end())),
            leader: led.map(|(node, _)| node.0),
            term: led.map(|(_, led)| led.term),
            voters: group.voters.iter().map(|node| node.0).collect(),
            learners: group.learners().map(|node| node.0).collect(),
            moving: moving.unwrap_or_default(),
            pinned: group.pinned.map(|node| node.0),
            last: led.and_then(|(_, led)| led.last),
            committed: led.and_then(|(_, led)| led.committed),
            applied: led.and_then(|(_, led)| led.applied),
            lag: led.map(|(_, led)| led.lag.clone()).unwrap_or_default(),
            log_held: led.map(|(_, led)| led.held),
            snapshot_bytes: led.map(|(_, led)| led.snapshots.clone()).unwrap_or_default(),
        }
    }
}

/// The greatest odd number that is not above `number`, as there is one replica at least.
fn odd(number: usize) -> usize {
    if number.is_multiple_of(2) { number.saturating_sub(1).max(1) } else { number }
}
