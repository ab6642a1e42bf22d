//! What is encoded is decoded; no bytes make the decoder panic.

use proptest::prelude::*;

use super::*;
use crate::node::{NodeId, NodeState};
use crate::shards::ShardId;
use crate::testing::{active, alone, any_change, new_node, put};

/// A topology after any changes.
fn any_topology() -> impl Strategy<Value = Topology> {
    proptest::collection::vec(any_change(), 0..40).prop_map(|changes| {
        let mut topology = active(3, 3, &[Some("a"), None, Some("b")]);
        for change in &changes {
            let _ = topology.apply(change); // what is refused changes nothing
        }
        topology
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// These bytes stand in logs: they may only change with the version.
#[test]
fn the_bytes_of_a_topology() {
    let mut topology = alone(1, 3);
    let leader = Some(NodeId(1));
    topology.apply(&Change::SetWantedLeader { shard: ShardId(1), leader }).unwrap();
    let (name, value) = ("a".to_owned(), Some("b".to_owned()));
    topology.apply(&Change::SetSetting { name, value }).unwrap();
    let fields = [
        "0154",                         // version, kind
        "0300000000000000",             // epoch
        "0700000000000000",             // cluster
        "0100",                         // shards
        "03",                           // factor
        "0200000000000000",             // next node
        "01000000",                     // nodes
        "0100000000000000",             // its id
        "e903000000000000",             // its incarnation
        "0800000031302e302e302e31eb18", // 10.0.0.1, 6379
        "0800000031302e302e302e31fb3f", // 10.0.0.1, 16379
        "0200",                         // active, no zone
        "0100000001000000000000000000", // the meta group: voters, no move, not pinned
        "010000000100000000000000",     // shard 1: voters
        "00010100000000000000",         // no move, pinned
        "0100000001000000610100000062", // settings
    ];
    assert_eq!(hex(&topology.encode()), fields.concat());
}

#[test]
fn the_bytes_of_changes() {
    let node = NodeId(2);
    for (change, bytes) in [
        (
            Change::AddNode(new_node(2, Some("z"))),
            "014301\
             0200000000000000ea03000000000000\
             0800000031302e302e302e32eb18\
             0800000031302e302e302e32fb3f\
             01010000007a",
        ),
        (Change::SetNodeState { node, state: NodeState::Gone }, "014302020000000000000004"),
        (Change::RemoveNode { node }, "0143030200000000000000"),
        (Change::SetWantedLeader { shard: ShardId(258), leader: None }, "01430a020100"),
    ] {
        assert_eq!(hex(&change.encode()), bytes, "{change:?}");
    }
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let bytes = alone(1, 1).encode();
    let mut newer = bytes.clone();
    newer[0] = VERSION + 1;
    let what = "a topology";
    assert_eq!(Topology::decode(&newer), Err(Error::NewerVersion { what, found: VERSION + 1 }));
    let mut longer = bytes.clone();
    longer.push(0);
    assert!(matches!(Topology::decode(&longer), Err(Error::Malformed { .. })));
    assert!(matches!(Change::decode(&bytes), Err(Error::Malformed { .. })));
    for length in 0..bytes.len() {
        let cut = Topology::decode(&bytes[..length]);
        assert!(matches!(cut, Err(Error::Malformed { .. })), "cut at {length}: {cut:?}");
    }
}

#[test]
fn a_topology_that_contradicts_itself_is_refused() {
    let mut topology = active(2, 3, &[None; 2]);
    topology.groups.get_mut(&ShardId(1)).unwrap().pinned = Some(NodeId(2));
    assert!(matches!(Topology::decode(&topology.encode()), Err(Error::Invalid { .. })));
}

#[test]
fn a_count_that_lies_is_found_out_at_the_end() {
    let mut bytes = vec![VERSION, CHANGE, 9, 0, 0];
    bytes.extend(u32::MAX.to_le_bytes());
    assert!(matches!(Change::decode(&bytes), Err(Error::Malformed { offset: 9, .. })));
}

#[test]
fn a_large_topology() {
    let mut topology = active(1024, 5, &[Some("a"); 9]);
    put(&mut topology, 9, NodeState::Draining);
    assert_eq!(Topology::decode(&topology.encode()), Ok(topology));
}

proptest! {
    #[test]
    fn topologies_there_and_back(topology in any_topology()) {
        prop_assert_eq!(Topology::decode(&topology.encode()), Ok(topology));
    }

    #[test]
    fn changes_there_and_back(change in any_change()) {
        prop_assert_eq!(Change::decode(&change.encode()), Ok(change));
    }

    #[test]
    fn any_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let _ = Topology::decode(&bytes);
        let _ = Change::decode(&bytes);
    }

    /// Bytes that are nearly right come further. What they decode to is valid, and is the only thing
    /// that encodes to them.
    #[test]
    fn nearly_right_bytes(
        topology in any_topology(),
        change in any_change(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let (mut one, mut other) = (topology.encode(), change.encode());
        for (place, byte) in damage {
            let (here, there) = (place.index(one.len()), place.index(other.len()));
            one[here] = byte;
            other[there] = byte;
        }
        if let Ok(topology) = Topology::decode(&one) {
            prop_assert_eq!(topology.validate(), Ok(()));
            prop_assert_eq!(topology.encode(), one);
        }
        if let Ok(change) = Change::decode(&other) {
            prop_assert_eq!(change.encode(), other);
        }
    }
}
