//! The rows of the course of a move, and the other steps, each by example.

use super::*;
use crate::testing::{active, new_node, place, put, set};
use crate::topology::Damage;

const SHARD: ShardId = ShardId(1);

/// Four nodes; shard 1 on 1, 2 and 3, moving from 2 to 4, and the meta group at rest on 1, 2 and 3.
fn moving(add: &[u64], remove: &[u64]) -> Topology {
    let mut topology = active(1, 3, &[None; 4]);
    place(&mut topology, 0, &[1, 2, 3]);
    place(&mut topology, 1, &[1, 2, 3]);
    let step = Move { add: set(add), remove: set(remove) };
    topology.apply(&Change::BeginMove { shard: SHARD, step }).unwrap();
    topology
}

fn sight(leader: u64, voters: &[u64], learners: &[u64], behind: &[u64]) -> ShardSight {
    let members = &set(voters) | &set(learners);
    ShardSight {
        leader: NodeId(leader),
        voters: set(voters),
        learners: set(learners),
        caught_up: &members - &set(behind),
        membership: Membership::Settled,
        split_off: BTreeSet::new(),
    }
}

/// All nodes but `unreachable` answer; the group is as `sight` says.
fn seen(topology: &Topology, sight: ShardSight, unreachable: &[u64]) -> Observed {
    let node = |id| match unreachable.contains(&id) {
        true => (NodeId(id), NodeSight::Unreachable),
        false => (NodeId(id), NodeSight::Reachable),
    };
    let nodes = topology.nodes().map(|other| node(other.id.0)).collect();
    Observed { nodes, shards: BTreeMap::from([(SHARD, sight)]) }
}

fn next(topology: &Topology, sight: ShardSight, unreachable: &[u64]) -> Option<Step> {
    next_step(topology, &seen(topology, sight, unreachable), Limits::default())
}

fn voters(ids: &[u64]) -> Option<Step> {
    Some(Step::ChangeVoters { shard: SHARD, voters: set(ids) })
}

#[test]
fn the_course_of_a_swap() {
    let topology = moving(&[4], &[2]);
    let node = NodeId(4);
    let step = Move { add: set(&[4]), remove: set(&[2]) };
    let add = Some(Step::AddLearner { shard: SHARD, node });
    let transfer = Some(Step::TransferLeader { shard: SHARD, to: NodeId(1) });
    let finish = Some(Step::Log(Change::FinishMove { shard: SHARD, step }));
    let forget = Some(Step::RemoveLearner { shard: SHARD, node: NodeId(2) });
    for (sight, expected) in [
        (sight(1, &[1, 2, 3], &[], &[]), add),
        (sight(1, &[1, 2, 3], &[4], &[4]), None),
        (sight(2, &[1, 2, 3], &[4], &[]), transfer),
        (sight(1, &[1, 2, 3], &[4], &[]), voters(&[1, 3, 4])),
        (sight(1, &[1, 3, 4], &[2], &[]), forget),
        (sight(1, &[1, 3, 4], &[], &[]), finish),
    ] {
        let changing = ShardSight { membership: Membership::Changing, ..sight.clone() };
        assert_eq!(next(&topology, changing, &[]), None);
        assert_eq!(next(&topology, sight.clone(), &[]), expected, "{sight:?}");
    }
}

#[test]
fn who_can_not_be_reached_is_waited_for() {
    let topology = moving(&[4], &[2]);
    assert_eq!(next(&topology, sight(1, &[1, 2, 3], &[], &[]), &[4]), None);
    assert_eq!(next(&topology, sight(1, &[1, 2, 3], &[4], &[]), &[4]), None);
    // A new set of voters of which two of three are there is good enough.
    assert_eq!(next(&topology, sight(1, &[1, 2, 3], &[4], &[]), &[3]), voters(&[1, 3, 4]));
    let lone = moving(&[], &[2, 3]);
    assert_eq!(next(&lone, sight(2, &[1, 2, 3], &[], &[]), &[1]), None);
}

#[test]
fn a_leader_hands_over_to_one_that_has_all() {
    let topology = moving(&[4], &[2]);
    let to = |node| Some(Step::TransferLeader { shard: SHARD, to: NodeId(node) });
    assert_eq!(next(&topology, sight(2, &[1, 2, 3], &[4], &[1]), &[]), to(3));
    assert_eq!(next(&topology, sight(2, &[1, 2, 3], &[4], &[]), &[1]), to(3));
    assert_eq!(next(&topology, sight(2, &[1, 2, 3], &[4], &[1, 3]), &[]), None);
}

#[test]
fn the_only_voter_hands_over_to_its_heir() {
    let mut topology = active(1, 1, &[None; 2]);
    let step = Move { add: set(&[2]), remove: set(&[1]) };
    topology.apply(&Change::BeginMove { shard: SHARD, step }).unwrap();
    let to = Some(Step::TransferLeader { shard: SHARD, to: NodeId(2) });
    assert_eq!(next(&topology, sight(1, &[1], &[2], &[]), &[]), voters(&[1, 2]));
    assert_eq!(next(&topology, sight(1, &[1, 2], &[], &[]), &[]), to);
    assert_eq!(next(&topology, sight(2, &[1, 2], &[], &[]), &[]), voters(&[2]));
}

#[test]
fn a_move_to_a_node_that_leaves_is_given_up() {
    let mut topology = moving(&[4], &[2]);
    put(&mut topology, 4, NodeState::Draining);
    let step = Move { add: set(&[4]), remove: set(&[2]) };
    let forget = Some(Step::RemoveLearner { shard: SHARD, node: NodeId(4) });
    let abort = Some(Step::Log(Change::AbortMove { shard: SHARD, step }));
    assert_eq!(next(&topology, sight(1, &[1, 2, 3], &[4], &[4]), &[]), forget);
    assert_eq!(next(&topology, sight(1, &[1, 2, 3], &[], &[]), &[]), abort);
    // With a vote already, it goes forward, and away by a move of its own.
    let voted = next(&topology, sight(1, &[1, 2, 3, 4], &[], &[]), &[]);
    assert_eq!(voted, voters(&[1, 3, 4]));
}

/// It was begun on what the group was before: its outcome has a voter that the group has taken leave of.
#[test]
fn a_move_of_a_group_that_is_not_what_the_topology_says_is_given_up() {
    let mut topology = moving(&[4], &[3]);
    let step = Move { add: set(&[4]), remove: set(&[3]) };
    let forget = Some(Step::RemoveLearner { shard: SHARD, node: NodeId(2) });
    assert_eq!(next(&topology, sight(1, &[1, 3, 4], &[2], &[]), &[]), forget);
    let abort = Change::AbortMove { shard: SHARD, step };
    let seen = || sight(1, &[1, 3, 4], &[], &[]);
    assert_eq!(next(&topology, seen(), &[]), Some(Step::Log(abort.clone())));
    topology.apply(&abort).unwrap();
    let adopt = Change::AdoptVoters { shard: SHARD, voters: set(&[1, 3, 4]) };
    assert_eq!(next(&topology, seen(), &[]), Some(Step::Log(adopt)));
}

#[test]
fn what_the_group_says_of_its_voters_is_right() {
    let mut topology = active(1, 3, &[None; 3]);
    place(&mut topology, 1, &[1, 2, 3]);
    let adopt = Change::AdoptVoters { shard: SHARD, voters: set(&[1]) };
    assert_eq!(next(&topology, sight(1, &[1], &[], &[]), &[]), Some(Step::Log(adopt)));
    let stray = Some(Step::RemoveLearner { shard: SHARD, node: NodeId(9) });
    assert_eq!(next(&topology, sight(1, &[1, 2, 3], &[9], &[]), &[]), stray);
}

#[test]
fn a_group_that_is_not_seen_is_left_alone() {
    let topology = moving(&[4], &[2]);
    let mut observed = seen(&topology, sight(1, &[1, 2, 3], &[], &[]), &[]);
    observed.shards.clear();
    assert_eq!(next_step(&topology, &observed, Limits::default()), None);
}

#[test]
fn nodes_are_welcomed_and_mourned() {
    let mut topology = active(1, 1, &[None; 1]);
    topology.apply(&Change::AddNode(new_node(2, None))).unwrap();
    let state = |state| Some(Step::Log(Change::SetNodeState { node: NodeId(2), state }));
    let sight = sight(1, &[1], &[], &[]);
    assert_eq!(next(&topology, sight.clone(), &[2]), None);
    assert_eq!(next(&topology, sight.clone(), &[]), state(NodeState::Active));
    let mut observed = seen(&topology, sight.clone(), &[]);
    observed.nodes.insert(NodeId(2), NodeSight::Lost);
    assert_eq!(next_step(&topology, &observed, Limits::default()), state(NodeState::Gone));
    put(&mut topology, 2, NodeState::Gone);
    let remove = Some(Step::Log(Change::RemoveNode { node: NodeId(2) }));
    assert_eq!(next(&topology, sight, &[2]), remove);
}

#[test]
fn a_silent_node_is_given_up_only_if_its_groups_go_on_without_it() {
    let mut topology = active(1, 3, &[None; 5]);
    place(&mut topology, 0, &[1, 2, 3, 4, 5]);
    place(&mut topology, 1, &[3, 4, 5]);
    let gone =
        |node| Some(Step::Log(Change::SetNodeState { node: NodeId(node), state: NodeState::Gone }));
    // Nodes that are lost, and what follows. Shard 1 is not seen if it has no majority.
    let after = |topology: &Topology, lost: &[u64], is_seen: bool| {
        let mut observed = seen(topology, sight(3, &[3, 4, 5], &[], &[]), &[]);
        observed.nodes.extend(lost.iter().map(|id| (NodeId(*id), NodeSight::Lost)));
        observed.shards.retain(|_, _| is_seen);
        next_step(topology, &observed, Limits::default())
    };
    assert_eq!(after(&topology, &[5], true), gone(5));
    // Two of five are silent, which the meta group can do without: both may come back with what only they have.
    assert_eq!(after(&topology, &[4, 5], false), None);
    assert_eq!(after(&topology, &[2, 5], true), gone(2), "shard 1 is not on it");
    topology.apply(&Change::note_damage(NodeId(4), Some(Damage::Goes))).unwrap();
    assert_eq!(after(&topology, &[5], true), None, "another one was let go");
    topology.apply(&Change::note_damage(NodeId(4), None)).unwrap();
    // The group has other voters than noted.
    let mut observed = seen(&topology, sight(3, &[2, 3, 4], &[], &[]), &[4]);
    observed.nodes.insert(NodeId(2), NodeSight::Lost);
    let adopt = Change::AdoptVoters { shard: SHARD, voters: set(&[2, 3, 4]) };
    assert_eq!(next_step(&topology, &observed, Limits::default()), Some(Step::Log(adopt)));
}

#[test]
fn the_group_with_the_least_to_spare_moves_first() {
    let mut topology = active(3, 3, &[None; 5]);
    (0..=3).for_each(|shard| place(&mut topology, shard, &[1, 2, 3]));
    place(&mut topology, 2, &[1, 2, 5]);
    put(&mut topology, 5, NodeState::Gone);
    let mut observed = seen(&topology, sight(1, &[1, 2, 3], &[], &[]), &[5]);
    for shard in 0..=3 {
        let voters = if shard == 2 { [1, 2, 5] } else { [1, 2, 3] };
        observed.shards.insert(ShardId(shard), sight(1, &voters, &[], &[]));
    }
    let step = next_step(&topology, &observed, Limits::default());
    let Some(Step::Log(Change::BeginMove { shard, step })) = step else { panic!("{step:?}") };
    assert_eq!((shard, step.remove), (ShardId(2), set(&[5])));
}

#[test]
fn a_node_that_a_group_still_lists_is_not_removed() {
    let mut topology = active(1, 1, &[None; 2]);
    put(&mut topology, 2, NodeState::Draining);
    let listed = ShardSight { membership: Membership::Changing, ..sight(1, &[1, 2], &[], &[]) };
    assert_eq!(next(&topology, listed, &[]), None);
    let remove = Some(Step::Log(Change::RemoveNode { node: NodeId(2) }));
    assert_eq!(next(&topology, sight(1, &[1], &[], &[]), &[]), remove);
}

#[test]
fn a_damaged_node_leads_only_if_nobody_else_can() {
    let mut topology = active(1, 3, &[None; 3]);
    (0..=1).for_each(|shard| place(&mut topology, shard, &[1, 2, 3]));
    let at_rest = |topology: &Topology, leader, behind: &[u64], away: &[u64]| {
        next(topology, sight(leader, &[1, 2, 3], &[], behind), away)
    };
    let to = |node| Some(Step::TransferLeader { shard: SHARD, to: NodeId(node) });
    assert_eq!(at_rest(&topology, 2, &[], &[]), None);
    topology.apply(&Change::note_damage(NodeId(2), Some(Damage::Waits))).unwrap();
    assert_eq!(at_rest(&topology, 2, &[], &[]), to(1));
    assert_eq!(at_rest(&topology, 2, &[1], &[]), to(3));
    assert_eq!(at_rest(&topology, 2, &[1], &[3]), None);
    assert_eq!(at_rest(&topology, 1, &[], &[]), None);
}
