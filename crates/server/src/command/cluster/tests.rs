//! The replies of a fixed cluster, and what words mean to `CLUSTER`.

use std::collections::BTreeMap;
use std::sync::Arc;

use aryavarth_cluster::{
    Change, ClusterId, Incarnation, NewNode, NodeSight, ReplicationFactor, ShardCount, Topology,
};

use super::*;
use crate::resp::Protocol;

fn new_node(id: u64, host: &str) -> NewNode {
    NewNode {
        id: NodeId(id),
        incarnation: Incarnation(id),
        client: format!("{host}:700{id}").parse().unwrap(),
        peer: format!("{host}:1700{id}").parse().unwrap(),
        zone: None,
    }
}

/// Three nodes and one shard, which is on node 1 alone. Node 2 is known by a name, and node 3 does not
/// answer.
fn fixed() -> ClusterView {
    let shards = ShardCount::new(1).unwrap();
    let first = new_node(1, "10.0.0.1");
    let mut topology = Topology::found(ClusterId(7), shards, ReplicationFactor::Three, first);
    for (id, host) in [(2, "node-2.example"), (3, "10.0.0.3")] {
        topology.apply(&Change::AddNode(new_node(id, host))).unwrap();
    }
    ClusterView {
        myself: Some(NodeId(2)),
        topology: Some(Arc::new(topology)),
        leaders: BTreeMap::from([(ShardId(0), NodeId(1)), (ShardId(1), NodeId(1))]),
        nodes: BTreeMap::from([(NodeId(3), NodeSight::Unreachable)]),
    }
}

fn shown(protocol: Protocol, write: impl FnOnce(&RedisView<'_>, &mut Reply<'_>)) -> String {
    let (view, mut bytes) = (fixed(), Vec::new());
    write(&view.for_clients().unwrap(), &mut Reply::new(&mut bytes, protocol));
    let name = |node| NodeName::of(ClusterId(7), NodeId(node)).to_string();
    let text = String::from_utf8(bytes).unwrap().replace("\r\n", " ");
    text.replace(&name(1), "NAME1").replace(&name(2), "NAME2").replace(&name(3), "NAME3")
}

#[test]
fn slots_are_arrays_with_the_names_of_nodes() {
    let entry = "*1 *3 :0 :16383 *4 $8 10.0.0.1 :7001 $40 NAME1";
    assert_eq!(shown(Protocol::Two, replies::slots), format!("{entry} *0 "));
    assert_eq!(shown(Protocol::Three, replies::slots), format!("{entry} %0 "));
}

#[test]
fn shards_are_maps() {
    let write = |view: &RedisView<'_>, reply: &mut Reply<'_>| {
        replies::shards(view, |_| replies::Offsets::from([(NodeId(1), 9)]), reply);
    };
    let expected = "*1 %2 $5 slots *2 :0 :16383 $5 nodes *1 %7 $2 id $40 NAME1 $4 port :7001 \
                    $2 ip $8 10.0.0.1 $8 endpoint $8 10.0.0.1 $4 role $6 master \
                    $18 replication-offset :9 $6 health $6 online ";
    assert_eq!(shown(Protocol::Three, write), expected);
    let flat = expected.replace("%2", "*4").replace("%7", "*14");
    assert_eq!(shown(Protocol::Two, write), flat);
}

#[test]
fn links_lead_to_nodes_that_answer() {
    let expected = "*1 %6 $9 direction $2 to $4 node $40 NAME1 $11 create-time :0 $6 events $2 rw \
                    $21 send-buffer-allocated :0 $16 send-buffer-used :0 ";
    assert_eq!(shown(Protocol::Three, replies::links), expected);
}

#[test]
fn a_node_without_a_cluster_is_down() {
    let text = info_text(&ClusterView::default());
    assert!(text.starts_with("cluster_state:fail\r\ncluster_slots_assigned:0\r\n"), "{text}");
    assert!(info_text(&fixed()).starts_with("cluster_state:ok\r\n"));
}

#[test]
fn nodes_are_named_by_id_and_by_name() {
    let view = fixed();
    let view = view.for_clients().unwrap();
    assert_eq!(node(&view, b"2").unwrap(), NodeId(2));
    let name = NodeName::of(ClusterId(7), NodeId(3)).to_string();
    assert_eq!(node(&view, name.to_uppercase().as_bytes()).unwrap(), NodeId(3));
    for unknown in [&b"9"[..], b"", b"02", b"\xff", &[b'a'; 40]] {
        let error = node(&view, unknown).unwrap_err().to_string();
        assert!(error.starts_with("ERR Unknown node "), "{error}");
    }
    assert!(replies::answers(&view, NodeId(1)) && !replies::answers(&view, NodeId(3)));
}

#[test]
fn staleness_is_a_time() {
    assert_eq!(parse_staleness(b"0").unwrap(), Duration::ZERO);
    assert_eq!(parse_staleness(b"1500").unwrap(), Duration::from_millis(1500));
    assert!(parse_staleness(b"-1").is_err() && parse_staleness(b"1s").is_err());
}
