//! The texts and data, whole.

use super::*;
use crate::testing::{active, place, put, set};
use crate::topology::{Change, Move};

struct Cluster {
    topology: Topology,
    leaders: BTreeMap<ShardId, NodeId>,
    nodes: BTreeMap<NodeId, NodeSight>,
}

/// Four shards on nodes 1, 2 and 3; node 4 gets a copy of shard 4, which nobody leads.
fn cluster() -> Cluster {
    let mut topology = active(4, 3, &[None; 4]);
    (0..=4).for_each(|shard| place(&mut topology, shard, &[1, 2, 3]));
    let step = Move { add: set(&[4]), remove: set(&[3]) };
    topology.apply(&Change::BeginMove { shard: ShardId(4), step }).unwrap();
    let leaders = [(0, 3), (1, 1), (2, 1), (3, 2)];
    Cluster {
        topology,
        leaders: leaders.map(|(shard, node)| (ShardId(shard), NodeId(node))).into(),
        nodes: BTreeMap::from([(NodeId(3), NodeSight::Unreachable)]),
    }
}

impl Cluster {
    fn view(&self) -> RedisView<'_> {
        RedisView {
            topology: &self.topology,
            leaders: &self.leaders,
            nodes: &self.nodes,
            myself: NodeId(1),
        }
    }
}

#[test]
fn cluster_nodes() {
    let cluster = cluster();
    let expected = "\
NAME1 10.0.0.1:6379@16379 myself,master - 0 0 13 connected 0-8191
NAME2 10.0.0.2:6379@16379 master - 0 0 13 connected 8192-12287
NAME3 10.0.0.3:6379@16379 master,fail? - 0 0 13 disconnected
NAME4 10.0.0.4:6379@16379 master - 0 0 13 connected
";
    let name = |node| NodeName::of(cluster.topology.cluster(), NodeId(node)).to_string();
    let expected = (1..=4)
        .fold(expected.to_owned(), |text, node| text.replace(&format!("NAME{node}"), &name(node)));
    assert_eq!(cluster.view().nodes_text(), expected);
}

#[test]
fn nodes_of_every_kind() {
    let mut cluster = cluster();
    let node = NodeId(2);
    let client = "node-2.example:7000".parse().unwrap();
    let peer = "node-2.example:7001".parse().unwrap();
    cluster.topology.apply(&Change::SetAddresses { node, client, peer }).unwrap();
    put(&mut cluster.topology, 4, NodeState::Gone);
    let epoch = cluster.topology.epoch();
    let line = |node| cluster.view().node_line(NodeId(node)).unwrap()[41..].to_owned();
    assert_eq!(
        line(2),
        format!(
            "node-2.example:7000@7001,node-2.example master - 0 0 {epoch} connected 8192-12287"
        ),
    );
    let gone = format!("10.0.0.4:6379@16379 master,fail - 0 0 {epoch} disconnected");
    assert_eq!(line(4), gone);
    assert_eq!(cluster.view().node_line(NodeId(9)), None);
}

#[test]
fn ranges_that_touch_are_one_and_others_are_not() {
    let mut cluster = cluster();
    cluster.leaders.insert(ShardId(4), NodeId(1));
    let line = cluster.view().node_line(NodeId(1)).unwrap();
    assert!(line.ends_with("connected 0-8191 12288-16383"), "{line}");
}

#[test]
fn cluster_info() {
    let mut cluster = cluster();
    let expected = "\
        cluster_state:fail\r\n\
        cluster_slots_assigned:16384\r\n\
        cluster_slots_ok:12288\r\n\
        cluster_slots_pfail:0\r\n\
        cluster_slots_fail:4096\r\n\
        cluster_known_nodes:4\r\n\
        cluster_size:2\r\n\
        cluster_current_epoch:13\r\n\
        cluster_my_epoch:13\r\n\
        cluster_stats_messages_sent:0\r\n\
        cluster_stats_messages_received:0\r\n\
        total_cluster_links_buffer_limit_exceeded:0\r\n";
    assert_eq!(cluster.view().info_text(), expected);
    cluster.leaders.insert(ShardId(4), NodeId(3));
    assert_eq!(slots_ok(&cluster), (false, 12_288), "its leader is out of reach");
    cluster.leaders.insert(ShardId(4), NodeId(2));
    assert_eq!(slots_ok(&cluster), (true, 16_384));
}

#[test]
fn a_node_that_sees_no_majority_says_so() {
    let mut cluster = cluster();
    cluster.leaders.insert(ShardId(4), NodeId(1));
    assert_eq!(slots_ok(&cluster), (true, 16_384));
    cluster.nodes.insert(NodeId(2), NodeSight::Unreachable);
    assert_eq!(slots_ok(&cluster), (false, 0));
}

fn slots_ok(cluster: &Cluster) -> (bool, usize) {
    let info = cluster.view().info_text();
    let field = |name: &str| info.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    (field("cluster_state:") == "ok", field("cluster_slots_ok:").parse().unwrap())
}

#[test]
fn cluster_slots() {
    let cluster = cluster();
    let entries = cluster.view().slots();
    let seen: Vec<_> = entries
        .iter()
        .map(|entry| (entry.slots.clone(), entry.nodes.iter().map(|n| n.id.0).collect::<Vec<_>>()))
        .collect();
    // Node 3 does not answer, node 4 has no vote yet, and nobody leads the last shard.
    assert_eq!(
        seen,
        [
            (0..=4095, vec![1, 2]),
            (4096..=8191, vec![1, 2]),
            (8192..=12287, vec![2, 1]),
            (12288..=16383, vec![1, 2]),
        ]
    );
    let first = entries[0].nodes[0];
    assert_eq!((first.host, first.port), ("10.0.0.1", 6379));
    assert_eq!(first.name, NodeName::of(cluster.topology.cluster(), NodeId(1)));
}

#[test]
fn cluster_shards() {
    let cluster = cluster();
    let shards = cluster.view().shards();
    assert_eq!(shards.len(), 4);
    let members = |index: usize| {
        let members = shards[index].nodes.iter();
        members
            .map(|m| format!("{} {} {}", m.endpoint.id, m.role.as_str(), m.health.as_str()))
            .collect::<Vec<_>>()
    };
    assert_eq!(shards[2].slots, 8192..=12287);
    assert_eq!(members(2), ["2 master online", "1 replica online", "3 replica fail"]);
    assert_eq!(
        members(3),
        ["1 replica online", "2 replica online", "3 replica fail", "4 replica loading"],
    );
}

#[test]
fn cluster_replicas() {
    let cluster = cluster();
    let master = NodeName::of(cluster.topology.cluster(), NodeId(2));
    let lines = cluster.view().replicas_lines(NodeId(2)).unwrap();
    let lines: Vec<_> = lines.iter().map(|line| &line[41..]).collect();
    assert_eq!(
        lines,
        [
            format!("10.0.0.1:6379@16379 myself,slave {master} 0 0 13 connected"),
            format!("10.0.0.3:6379@16379 slave,fail? {master} 0 0 13 disconnected"),
        ]
    );
    assert_eq!(cluster.view().replicas_lines(NodeId(9)), None);
    assert_eq!(
        cluster.view().replicas_lines(NodeId(3)),
        Some(vec![]),
        "it leads only the meta group"
    );
}
