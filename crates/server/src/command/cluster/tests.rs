//! The replies of a fixed cluster, byte by byte, in both versions of the protocol. They are in
//! `replies.txt`; `UPDATE=1 cargo test` writes it again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use aryavarth_cluster::{
    Change, ClusterId, Incarnation, Move, NewNode, NodeSet, NodeSight, NodeState,
    ReplicationFactor, ShardCount, Topology,
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

/// Three nodes and two shards: node 2, known by a name, leads the first one; nobody leads the second one,
/// which moves from node 3, which does not answer, to node 4.
fn fixed() -> ClusterView {
    let first = new_node(1, "10.0.0.1");
    let shards = ShardCount::new(2).unwrap();
    let mut topology = Topology::found(ClusterId(7), shards, ReplicationFactor::Three, first);
    let mut change = |change| topology.apply(&change).map(drop).unwrap();
    for (id, host) in [(2, "node-2.example"), (3, "10.0.0.3"), (4, "10.0.0.4")] {
        change(Change::AddNode(new_node(id, host)));
        change(Change::SetNodeState { node: NodeId(id), state: NodeState::Active });
    }
    let set = |ids: &[u64]| ids.iter().copied().map(NodeId).collect::<NodeSet>();
    for shard in [ShardId(1), ShardId(2)] {
        let step = Move { add: set(&[2, 3]), remove: set(&[]) };
        change(Change::BeginMove { shard, step: step.clone() });
        change(Change::FinishMove { shard, step });
    }
    let step = Move { add: set(&[4]), remove: set(&[3]) };
    change(Change::BeginMove { shard: ShardId(2), step });
    ClusterView {
        myself: Some(NodeId(1)),
        topology: Some(Arc::new(topology)),
        leaders: BTreeMap::from([(ShardId(0), NodeId(1)), (ShardId(1), NodeId(2))]),
        nodes: BTreeMap::from([(NodeId(3), NodeSight::Unreachable)]),
    }
}

type Write = fn(&ClusterView, &mut Reply<'_>);

/// What each command writes, shown with a line for each line.
fn all_replies() -> String {
    let commands: [(&str, Write); 5] = [
        ("CLUSTER SLOTS", |view, reply| replies::slots(&view.for_clients().unwrap(), reply)),
        ("CLUSTER SHARDS", |view, reply| {
            let offsets = |shard: ShardId| match shard {
                ShardId(1) => replies::Offsets::from([(NodeId(1), 9), (NodeId(2), 10)]),
                _ => replies::Offsets::default(),
            };
            replies::shards(&view.for_clients().unwrap(), offsets, reply);
        }),
        ("CLUSTER NODES", |view, reply| reply.verbatim(&view.for_clients().unwrap().nodes_text())),
        ("CLUSTER LINKS", |view, reply| replies::links(&view.for_clients().unwrap(), reply)),
        ("CLUSTER INFO", |view, reply| reply.verbatim(&info_text(view))),
    ];
    let mut text = String::new();
    for protocol in [Protocol::Two, Protocol::Three] {
        for (name, write) in commands {
            let mut bytes = Vec::new();
            write(&fixed(), &mut Reply::new(&mut bytes, protocol));
            let shown = String::from_utf8(bytes).unwrap().replace("\r\n", "\n");
            text += &format!("--- {name}, RESP{}\n{shown}", protocol.number());
        }
    }
    text
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a file of the repository")]
fn the_replies_of_a_fixed_cluster() {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/command/cluster/tests/replies.txt");
    let replies = all_replies();
    if std::env::var_os("UPDATE").is_some_and(|update| update == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, &replies).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(replies, expected, "review with UPDATE=1 and git diff");
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
    assert!(replies::answers(&view, NodeId(2)) && !replies::answers(&view, NodeId(3)));
}

#[test]
fn staleness_is_a_time() {
    assert_eq!(parse_staleness(b"0").unwrap(), Duration::ZERO);
    assert_eq!(parse_staleness(b"1500").unwrap(), Duration::from_millis(1500));
    assert!(parse_staleness(b"-1").is_err() && parse_staleness(b"1s").is_err());
}
