//! Topologies for tests.

use proptest::prelude::*;

use crate::node::{Address, ClusterId, Incarnation, NodeId, NodeSet, NodeState, Zone};
use crate::shards::{ShardCount, ShardId};
use crate::topology::{Change, Move, NewNode, ReplicationFactor, Topology};

/// A node by its number, in a zone if it is named.
pub fn new_node(id: u64, zone: Option<&str>) -> NewNode {
    NewNode {
        id: NodeId(id),
        incarnation: Incarnation(1000 + id),
        client: format!("10.0.0.{id}:6379").parse().unwrap(),
        peer: format!("10.0.0.{id}:16379").parse().unwrap(),
        zone: zone.map(|label| Zone::new(label).unwrap()),
    }
}

/// Some nodes by their numbers.
pub fn set(ids: &[u64]) -> NodeSet {
    ids.iter().copied().map(NodeId).collect()
}

/// A cluster with node 1 alone.
pub fn alone(shards: u16, factor: u8) -> Topology {
    Topology::found(
        ClusterId(7),
        ShardCount::new(shards).unwrap(),
        ReplicationFactor::new(factor).unwrap(),
        new_node(1, None),
    )
}

/// Active nodes, the first being 1, each in its zone; node 1 has everything.
pub fn active(shards: u16, factor: u8, zones: &[Option<&str>]) -> Topology {
    let mut topology = alone(shards, factor);
    for (index, zone) in zones.iter().enumerate() {
        let node = NodeId(index as u64 + 1);
        if index == 0 {
            let zone = new_node(1, *zone).zone;
            topology.apply(&Change::SetZone { node, zone }).unwrap();
        } else {
            topology.apply(&Change::AddNode(new_node(node.0, *zone))).unwrap();
            topology.apply(&Change::SetNodeState { node, state: NodeState::Active }).unwrap();
        }
    }
    topology
}

/// Puts a node into a state.
pub fn put(topology: &mut Topology, node: u64, state: NodeState) {
    topology.apply(&Change::SetNodeState { node: NodeId(node), state }).unwrap();
}

/// Gives a group these voters.
pub fn place(topology: &mut Topology, shard: u16, voters: &[u64]) {
    let voters = set(voters);
    topology.apply(&Change::AdoptVoters { shard: ShardId(shard), voters }).unwrap();
}

/// Any change, of few nodes and shards so that many of them fit a topology.
pub fn any_change() -> impl Strategy<Value = Change> {
    let node = || (1..8_u64).prop_map(NodeId);
    let shard = || (0..5_u16).prop_map(ShardId);
    let nodes = || proptest::collection::btree_set(node(), 0..4);
    let step = || (nodes(), nodes()).prop_map(|(add, remove)| Move { add, remove });
    let address = || {
        let host = prop_oneof!["10\\.0\\.0\\.[1-9]", "[a-z]{1,9}", Just("::1".to_owned())];
        (host, 1..4_u16).prop_map(|(host, port)| Address::new(&host, port).unwrap())
    };
    let zone = || proptest::option::of("[a-c]".prop_map(|label| Zone::new(&label).unwrap()));
    let state = prop_oneof![
        Just(NodeState::Joining),
        Just(NodeState::Active),
        Just(NodeState::Draining),
        Just(NodeState::Gone),
    ];
    let new = (node(), 1000..1010_u64, address(), address(), zone());
    let new = new.prop_map(|(id, drawn, client, peer, zone)| {
        let incarnation = Incarnation(drawn);
        NewNode { id, incarnation, client, peer, zone }
    });
    let factor = prop_oneof![Just(1), Just(3), Just(5)];
    let factor = factor.prop_map(|factor| ReplicationFactor::new(factor).unwrap());
    prop_oneof![
        new.prop_map(Change::AddNode),
        (node(), state).prop_map(|(node, state)| Change::SetNodeState { node, state }),
        node().prop_map(|node| Change::RemoveNode { node }),
        (node(), address(), address()).prop_map(|(node, client, peer)| Change::SetAddresses {
            node,
            client,
            peer
        }),
        (node(), zone()).prop_map(|(node, zone)| Change::SetZone { node, zone }),
        (shard(), step()).prop_map(|(shard, step)| Change::BeginMove { shard, step }),
        (shard(), step()).prop_map(|(shard, step)| Change::FinishMove { shard, step }),
        (shard(), step()).prop_map(|(shard, step)| Change::AbortMove { shard, step }),
        (shard(), nodes()).prop_map(|(shard, voters)| Change::AdoptVoters { shard, voters }),
        (shard(), proptest::option::of(node()))
            .prop_map(|(shard, leader)| Change::SetWantedLeader { shard, leader }),
        factor.prop_map(Change::SetReplicationFactor),
        ("[a-d]", proptest::option::of("\\PC{0,9}"))
            .prop_map(|(name, value)| Change::SetSetting { name, value }),
    ]
}
