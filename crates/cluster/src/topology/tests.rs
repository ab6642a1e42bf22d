//! Changes: what each does, that it may be repeated, and what is refused.

use proptest::prelude::*;

use super::*;
use crate::node::{Address, Incarnation, Zone};
use crate::testing::{active, alone, new_node, place, put, set};

fn step(add: &[u64], remove: &[u64]) -> Move {
    Move { add: set(add), remove: set(remove) }
}

fn begin(shard: u16, step: &Move) -> Change {
    Change::BeginMove { shard: ShardId(shard), step: step.clone() }
}

fn finish(shard: u16, step: &Move) -> Change {
    Change::FinishMove { shard: ShardId(shard), step: step.clone() }
}

fn abort(shard: u16, step: &Move) -> Change {
    Change::AbortMove { shard: ShardId(shard), step: step.clone() }
}

/// The change is made once; made again it changes nothing.
fn once(topology: &mut Topology, change: Change) {
    let epoch = topology.epoch().0;
    assert_eq!(topology.apply(&change), Ok(Applied::Changed), "{change:?}");
    assert_eq!(topology.epoch().0, epoch + 1);
    let changed = topology.clone();
    assert_eq!(topology.apply(&change), Ok(Applied::Unchanged), "{change:?}");
    assert_eq!(*topology, changed);
    assert_eq!(topology.validate(), Ok(()));
}

#[track_caller]
fn refused(topology: &mut Topology, change: Change, error: Error) {
    let before = topology.clone();
    assert_eq!(topology.apply(&change), Err(error));
    assert_eq!(*topology, before);
}

#[test]
fn a_founded_cluster_is_valid() {
    let topology = alone(16, 3);
    assert_eq!(topology.validate(), Ok(()));
    assert_eq!(topology.epoch(), Epoch(1));
    assert_eq!(topology.next_node(), NodeId(2));
    assert_eq!(topology.groups().len(), 17);
    assert_eq!(topology.groups_of(NodeId(1)).count(), 17);
}

#[test]
fn nodes_join_and_leave() {
    let mut topology = alone(2, 3);
    once(&mut topology, Change::AddNode(new_node(2, Some("a"))));
    assert_eq!(topology.node(NodeId(2)).unwrap().state, NodeState::Joining);
    let node = NodeId(2);
    for state in [NodeState::Active, NodeState::Draining, NodeState::Active, NodeState::Draining] {
        once(&mut topology, Change::SetNodeState { node, state });
    }
    once(&mut topology, Change::RemoveNode { node });
    refused(&mut topology, Change::AddNode(new_node(2, None)), Error::NodeRemoved { node });
    let state = NodeState::Active;
    refused(&mut topology, Change::SetNodeState { node, state }, Error::NodeRemoved { node });
    once(&mut topology, Change::AddNode(new_node(7, None)));
    assert_eq!(topology.next_node(), NodeId(8));
}

#[test]
fn another_directory_with_the_same_id_is_refused() {
    let mut topology = active(2, 3, &[None; 2]);
    let wiped = NewNode { incarnation: Incarnation(1), ..new_node(2, None) };
    let error = Error::WrongIncarnation { node: NodeId(2) };
    refused(&mut topology, Change::AddNode(wiped), error);
}

#[test]
fn two_nodes_do_not_share_an_address() {
    let mut topology = active(2, 3, &[None; 2]);
    let taken = new_node(1, None);
    let error =
        |address: &Address| Error::AddressTaken { address: address.clone(), node: NodeId(1) };
    for new in [
        NewNode { client: taken.client.clone(), ..new_node(3, None) },
        NewNode { peer: taken.peer.clone(), ..new_node(3, None) },
    ] {
        let address = if new.client == taken.client { &taken.client } else { &taken.peer };
        refused(&mut topology, Change::AddNode(new.clone()), error(address));
        let NewNode { client, peer, .. } = new.clone();
        let node = NodeId(2);
        let change = Change::SetAddresses { node, client, peer };
        refused(&mut topology, change, error(address));
    }
    // But a dead node's address may be used again.
    put(&mut topology, 2, NodeState::Gone);
    let heir = NewNode { id: NodeId(3), incarnation: Incarnation(3), ..new_node(2, None) };
    once(&mut topology, Change::AddNode(heir));
}

#[test]
fn addresses_zones_and_settings() {
    let mut topology = active(2, 3, &[None; 2]);
    let node = NodeId(2);
    let NewNode { client, peer, .. } = new_node(20, None);
    once(&mut topology, Change::SetAddresses { node, client, peer });
    once(&mut topology, Change::SetZone { node, zone: Some(Zone::new("b").unwrap()) });
    once(&mut topology, Change::SetReplicationFactor(ReplicationFactor::Five));
    let set = |name: &str, value: Option<&str>| Change::SetSetting {
        name: name.to_owned(),
        value: value.map(str::to_owned),
    };
    once(&mut topology, set("routing", Some("forward")));
    once(&mut topology, set("routing", Some("redirect")));
    once(&mut topology, set("routing", None));
    for name in ["", "UPPER", "a b", &"n".repeat(65)] {
        assert!(matches!(topology.apply(&set(name, None)), Err(Error::Text { .. })), "{name}");
    }
    let long = "v".repeat(MAX_SETTING_VALUE + 1);
    assert!(topology.apply(&set("name", Some(&long))).is_err());
    for index in 0..MAX_SETTINGS {
        once(&mut topology, set(&format!("s{index}"), Some("")));
    }
    let full = Error::TooManySettings { count: MAX_SETTINGS };
    refused(&mut topology, set("one-more", Some("")), full);
    once(&mut topology, set("s0", Some("other")));
}

#[test]
fn there_are_so_many_nodes_and_no_more() {
    let mut topology = alone(1, 3);
    let node = |id: u64| NewNode {
        client: Address::new("host", id as u16).unwrap(),
        peer: Address::new("host", 10_000 + id as u16).unwrap(),
        ..new_node(id, None)
    };
    for id in 2..=MAX_NODES as u64 {
        topology.apply(&Change::AddNode(node(id))).unwrap();
    }
    let error = Error::TooManyNodes { count: MAX_NODES };
    refused(&mut topology, Change::AddNode(node(5000)), error);
    assert_eq!(topology.validate(), Ok(()));
}

#[test]
fn a_move_begins_and_ends() {
    let mut topology = active(2, 3, &[None; 4]);
    let grow = step(&[2, 3], &[]);
    once(&mut topology, begin(1, &grow));
    let group = topology.replicas(ShardId(1)).unwrap();
    assert_eq!(group.voters, set(&[1]));
    assert_eq!(group.learners().collect::<NodeSet>(), set(&[2, 3]));
    assert_eq!(group.outcome(), set(&[1, 2, 3]));
    let node = NodeId(2);
    put(&mut topology, 2, NodeState::Draining);
    let error = Error::NodeInUse { node, shard: ShardId(1) };
    refused(&mut topology, Change::RemoveNode { node }, error);
    put(&mut topology, 2, NodeState::Active);
    once(&mut topology, finish(1, &grow));
    assert_eq!(topology.replicas(ShardId(1)).unwrap().voters, set(&[1, 2, 3]));
    // Whoever did not hear that it was done and begins it again, or gives it up:
    assert_eq!(topology.apply(&begin(1, &grow)), Ok(Applied::Unchanged));
    refused(&mut topology, abort(1, &grow), Error::NoSuchMove { shard: ShardId(1) });

    let swap = step(&[4], &[1]);
    once(&mut topology, begin(1, &swap));
    refused(&mut topology, begin(1, &step(&[4], &[2])), Error::MoveRunning { shard: ShardId(1) });
    refused(&mut topology, finish(1, &step(&[4], &[2])), Error::NoSuchMove { shard: ShardId(1) });
    refused(&mut topology, abort(1, &step(&[4], &[2])), Error::NoSuchMove { shard: ShardId(1) });
    once(&mut topology, abort(1, &swap));
    assert_eq!(topology.replicas(ShardId(1)).unwrap().voters, set(&[1, 2, 3]));
    refused(&mut topology, finish(1, &swap), Error::NoSuchMove { shard: ShardId(1) });
}

#[test]
fn moves_that_are_not_possible() {
    let mut topology = active(2, 3, &[None; 7]);
    place(&mut topology, 1, &[1, 2, 3]);
    put(&mut topology, 7, NodeState::Draining);
    for impossible in [
        step(&[], &[]),
        step(&[4], &[5]),
        step(&[3], &[1]),
        step(&[7], &[1]),
        step(&[9], &[1]),
        step(&[4], &[]),
        step(&[], &[1]),
        step(&[], &[1, 2, 3]),
        step(&[4, 5, 6], &[]),
    ] {
        let refusal = topology.apply(&begin(1, &impossible));
        let as_wanted = matches!(refusal, Err(Error::ImpossibleMove { .. }));
        // What is so already is no error.
        let is_so = impossible == step(&[3], &[]) || refusal == Ok(Applied::Unchanged);
        assert!(as_wanted || is_so, "{impossible:?}: {refusal:?}");
    }
    let error = Error::UnknownShard { shard: ShardId(3) };
    refused(&mut topology, begin(3, &step(&[4], &[1])), error);
}

#[test]
fn who_is_pinned_has_a_vote() {
    let mut topology = active(2, 3, &[None; 4]);
    place(&mut topology, 1, &[1, 2, 3]);
    let pin =
        |node: Option<u64>| Change::SetWantedLeader { shard: ShardId(1), leader: node.map(NodeId) };
    once(&mut topology, pin(Some(2)));
    let error = Error::NotAVoter { shard: ShardId(1), node: NodeId(4) };
    refused(&mut topology, pin(Some(4)), error);
    let swap = step(&[4], &[2]);
    once(&mut topology, begin(1, &swap));
    once(&mut topology, finish(1, &swap));
    assert_eq!(topology.replicas(ShardId(1)).unwrap().pinned, None);
    once(&mut topology, pin(Some(4)));
    once(&mut topology, pin(None));
}

#[test]
fn voters_found_otherwise_are_adopted() {
    let mut topology = active(2, 3, &[None; 3]);
    let adopt = |ids| Change::AdoptVoters { shard: ShardId(2), voters: set(ids) };
    once(&mut topology, adopt(&[2, 3]));
    refused(&mut topology, adopt(&[9]), Error::UnknownNode { node: NodeId(9) });
    assert!(matches!(topology.apply(&adopt(&[])), Err(Error::ImpossibleMove { .. })));
    once(&mut topology, begin(2, &step(&[1], &[])));
    refused(&mut topology, adopt(&[2]), Error::MoveRunning { shard: ShardId(2) });
}

#[test]
fn broken_invariants_are_named() {
    let good = active(2, 3, &[None; 3]);
    type Damage = fn(&mut Topology);
    let broken: [(&str, Damage); 10] = [
        ("epoch", |t| t.epoch = Epoch(0)),
        ("0 nodes", |t| t.nodes.clear()),
        ("yet to be named", |t| t.next_node = NodeId(3)),
        ("a group for each shard", |t| _ = t.groups.remove(&ShardId(2))),
        ("a group for each shard", |t| {
            t.shards = crate::Sharding::Growing(t.shards.most()).first()
        }),
        ("no voter", |t| t.groups.get_mut(&ShardId(1)).unwrap().voters.clear()),
        ("unknown node", |t| t.groups.get_mut(&ShardId(1)).unwrap().voters = set(&[9])),
        ("led by", |t| t.groups.get_mut(&ShardId(1)).unwrap().pinned = Some(NodeId(3))),
        ("moves nothing", |t| {
            t.groups.get_mut(&ShardId(1)).unwrap().running = Some(Move::default())
        }),
        ("peer address", |t| {
            let peer = t.nodes[&NodeId(1)].peer.clone();
            t.nodes.get_mut(&NodeId(2)).unwrap().peer = peer;
        }),
    ];
    for (named, damage) in broken {
        let mut topology = good.clone();
        damage(&mut topology);
        let Err(Error::Invalid { rule }) = topology.validate() else { panic!("{named}") };
        assert!(rule.contains(named), "{rule}");
    }
}

proptest! {
    /// Whatever is logged: a topology stays valid, what is refused changes nothing, what was made may
    /// be made again, and the epoch tells whether something has changed.
    #[test]
    fn any_changes(changes in proptest::collection::vec(crate::testing::any_change(), 0..60)) {
        let mut topology = active(3, 3, &[None; 4]);
        for change in changes {
            let before = topology.clone();
            match topology.apply(&change) {
                Ok(Applied::Changed) => {
                    prop_assert_eq!(topology.epoch().0, before.epoch().0 + 1);
                    let after = topology.clone();
                    prop_assert_eq!(topology.apply(&change), Ok(Applied::Unchanged));
                    prop_assert_eq!(&topology, &after);
                    prop_assert_eq!(Topology::decode(&topology.encode()), Ok(after));
                }
                Ok(Applied::Unchanged) | Err(_) => prop_assert_eq!(&topology, &before),
            }
            prop_assert_eq!(topology.validate(), Ok(()));
        }
    }
}
