//! The cluster for its operator, put together from the newest pulses.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use aryavarth_cluster::{META_GROUP, NodeId, NodeName, NodeSight, NodeState, ShardId, Topology};

use super::member::Member;
use super::messages::{Answer, Led, Pulse, Question};
use super::status::{ClusterStatus, Condition, Moving, NodeStatus, ShardStatus};

/// How long others may take to tell what they heard.
const PATIENCE: Duration = Duration::from_secs(1);

impl Member {
    /// The cluster; none as long as the topology is not known.
    pub async fn report(self: &Arc<Self>) -> Option<ClusterStatus> {
        let topology = self.topology()?;
        let pulses = self.newest_pulses(&topology).await;
        self.refresh();
        let view = self.views.newest();
        let nodes = self.known();
        let sights = self.sights(&nodes);
        drop(nodes);
        let mut leds: BTreeMap<u16, (u64, &Led)> = BTreeMap::new();
        for (node, pulse) in &pulses {
            for led in &pulse.led {
                let newest = leds.entry(led.shard).or_insert((*node, led));
                if newest.1.term < led.term {
                    *newest = (*node, led);
                }
            }
        }
        let shards: Vec<_> = topology
            .groups()
            .map(|(shard, _)| {
                let leader = view.leaders.get(&shard).copied();
                let led = leds.get(&shard.0).filter(|(node, _)| leader == Some(NodeId(*node)));
                describe(&topology, shard, leader, led.map(|(_, led)| *led))
            })
            .collect();
        let nodes = topology.nodes().map(|node| {
            let sight = sights.get(&node.id).copied().unwrap_or(NodeSight::Reachable);
            let pulse = pulses.get(&node.id.0).filter(|_| sight == NodeSight::Reachable);
            NodeStatus {
                id: node.id.0,
                name: NodeName::of(topology.cluster(), node.id).to_string(),
                client: node.client.to_string(),
                peer: node.peer.to_string(),
                zone: node.zone.as_ref().map(|zone| zone.as_str().to_owned()),
                state: node.state.to_string(),
                sight: match sight {
                    NodeSight::Reachable => "reachable",
                    NodeSight::Unreachable => "unreachable",
                    NodeSight::Lost => "lost",
                }
                .to_owned(),
                myself: node.id == self.myself,
                shards: topology.groups_of(node.id).count(),
                leads: view.leaders.values().filter(|leader| **leader == node.id).count(),
                keys: pulse.map(|pulse| pulse.keys),
                disk_bytes: pulse.map(|pulse| pulse.disk_bytes),
                index_bytes: pulse.map(|pulse| pulse.index_bytes),
                version: pulse.map(|pulse| pulse.version.clone()),
            }
        });
        let nodes: Vec<_> = nodes.collect();
        Some(ClusterStatus {
            cluster: topology.cluster().to_string(),
            epoch: topology.epoch().0,
            state: condition(&topology, &sights, &shards),
            replication_factor: topology.replication_factor().get(),
            meta_leader: view.leaders.get(&META_GROUP).map(|node| node.0),
            nodes,
            shards,
        })
    }

    /// The last pulse of each node: as heard here if this node votes in the meta group, else by one that does.
    async fn newest_pulses(self: &Arc<Self>, topology: &Topology) -> BTreeMap<u64, Pulse> {
        let voters = topology.replicas(META_GROUP).map(|group| &group.voters);
        let mut pulses: BTreeMap<u64, Pulse> = match voters {
            Some(voters) if !voters.contains(&self.myself) => {
                match self.ask_meta(Question::Heard, PATIENCE).await {
                    Ok(Answer::News(news)) => news.heard.into_iter().collect(),
                    _ => BTreeMap::new(),
                }
            }
            _ => {
                let known = self.known();
                known.heard.pulses().map(|(node, pulse)| (node.0, pulse.clone())).collect()
            }
        };
        pulses.insert(self.myself.0, self.pulse());
        pulses
    }
}

fn condition(
    topology: &Topology,
    sights: &BTreeMap<NodeId, NodeSight>,
    shards: &[ShardStatus],
) -> Condition {
    if shards.iter().any(|shard| shard.leader.is_none()) {
        return Condition::Down;
    }
    let away = |node: NodeId| sights.get(&node).is_some_and(|s| *s != NodeSight::Reachable);
    let held = |(_, group): (ShardId, &aryavarth_cluster::Replicas)| {
        group.running.is_none() && !group.voters.iter().any(|node| away(*node))
    };
    let active = topology.nodes_in(NodeState::Active).len();
    let full = topology.groups().all(|(shard, group)| {
        group.voters.len() >= aryavarth_cluster::group_size(topology.factor_of(shard), active, 0, 0)
    });
    match full && topology.groups().all(held) {
        true => Condition::Ok,
        false => Condition::Degraded,
    }
}

fn describe(
    topology: &Topology,
    shard: ShardId,
    leader: Option<NodeId>,
    led: Option<&Led>,
) -> ShardStatus {
    let ids = |nodes: &aryavarth_cluster::NodeSet| nodes.iter().map(|node| node.0).collect();
    let group = topology.replicas(shard);
    let running = group.and_then(|group| group.running.as_ref());
    let moving = running.map_or_else(Moving::default, |step| Moving {
        add: ids(&step.add),
        remove: ids(&step.remove),
    });
    let slots = topology.shards().slots_of(shard);
    ShardStatus {
        shard: shard.0,
        slots: slots.map(|slots| format!("{}-{}", slots.start(), slots.end())),
        leader: leader.map(|leader| leader.0),
        term: led.map(|led| led.term),
        voters: match led {
            Some(led) => led.voters.iter().copied().collect(),
            None => group.map(|group| ids(&group.voters)).unwrap_or_default(),
        },
        learners: match led {
            Some(led) => led.learners.iter().copied().collect(),
            None => Vec::new(),
        },
        moving,
        pinned: group.and_then(|group| group.pinned).map(|node| node.0),
        last: led.and_then(|led| led.last),
        committed: led.and_then(|led| led.committed),
        applied: led.and_then(|led| led.applied),
        lag: led.map(|led| led.lag.clone()).unwrap_or_default(),
        log_held: led.map(|led| led.held),
        snapshot_bytes: led.map(|led| led.snapshots.clone()).unwrap_or_default(),
    }
}
