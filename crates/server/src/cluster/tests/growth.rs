//! A cluster grows by joins alone, and shrinks as operators want.

use std::time::Duration;

use aryavarth::KvStore;
use aryavarth_cluster::{
    META_GROUP, NodeId, NodeState, ReplicationFactor, ShardCount, ShardId, Sharding,
};

use super::harness::{Place, eventually, found, replicated, settled, write};
use crate::cluster::Start;
use crate::cluster::messages::Wish;
use crate::cluster::status::Condition;

#[test]
fn a_standalone_store_grows_to_five_nodes_and_shrinks_again() {
    let mut first = Place::new();
    let standalone = KvStore::open(first.directory.path()).unwrap();
    for number in 0..50 {
        standalone.set(format!("old-{number}"), number.to_string()).unwrap();
    }
    standalone.close().unwrap();
    first.start(found()).unwrap();
    settled(&[&first], 1, 1);
    write(&[&first], "alone", "1");

    let (mut second, mut third) = (Place::new(), Place::new());
    second.join(&first);
    third.join(&second);
    settled(&[&first, &second, &third], 3, 3);
    write(&[&first, &second, &third], "three", "3");
    for number in 0..50 {
        replicated(&[&first, &second, &third], &format!("old-{number}"), &number.to_string());
    }
    replicated(&[&first, &second, &third], "alone", "1");

    let (mut fourth, mut fifth) = (Place::new(), Place::new());
    fourth.join(&third);
    fifth.join(&first);
    let all = [&first, &second, &third, &fourth, &fifth];
    settled(&all, 3, 5);
    for (key, value) in [("old-7", "7"), ("alone", "1"), ("three", "3")] {
        replicated(&all, key, value);
    }
    eventually("all is well", || {
        let status = fourth.running().node.status().unwrap();
        ((status.nodes.len(), status.state) == (5, Condition::Ok)).then_some(())
    });

    // Drained, it stays, and holds nothing.
    let drained = second.id();
    fifth.running().node.wish(Wish::Drain(drained.0)).unwrap();
    eventually("a drained node is empty", || {
        let topology = first.running().topology();
        let empty = topology.groups_of(drained).next().is_none();
        (empty && second.running().seats.groups().next().is_none()).then_some(())
    });
    let keys = || second.running().store.len();
    eventually("it holds no keys", || (keys() == 0).then_some(()));
    assert_eq!(
        first.running().topology().node(drained).unwrap().state,
        NodeState::Draining,
        "nobody wanted it removed"
    );
    // Once more, that is as good as done: nothing is logged.
    let epoch = first.running().topology().epoch();
    first.running().node.wish(Wish::Drain(drained.0)).unwrap();
    assert_eq!(first.running().topology().epoch(), epoch);
    // Killed and started again it is the same node, and not one that has lost its log.
    second.kill();
    second.start(Start::Resume).unwrap();
    // Removed, it goes, and is told so.
    third.running().node.wish(Wish::Remove(drained.0)).unwrap();
    eventually("it is removed", || {
        first.running().topology().node(drained).is_none().then_some(())
    });
    let why = eventually("it is told", || second.running().ended());
    assert!(why.contains("removed"), "{why}");
    let rest = [&first, &third, &fourth, &fifth];
    settled(&rest, 3, 3);
    replicated(&rest, "old-7", "7");
}

#[test]
fn a_node_that_is_lost_is_replaced() {
    let mut places: Vec<Place> = (0..4).map(|_| Place::new()).collect();
    places.iter_mut().for_each(|place| place.lost_after = Some(Duration::from_secs(4)));
    places[0].start(found()).unwrap();
    for joiner in 1..4 {
        let (members, joiners) = places.split_at_mut(joiner);
        joiners[0].join(&members[0]);
    }
    settled(&places.iter().collect::<Vec<_>>(), 3, 3);
    write(&places.iter().collect::<Vec<_>>(), "k", "v");
    let mut dead = places.remove(0);
    let id = dead.id();
    dead.kill();
    let rest: Vec<&Place> = places.iter().collect();
    eventually("it is given up and removed", || {
        rest[0].running().topology().node(id).is_none().then_some(())
    });
    settled(&rest, 3, 3);
    replicated(&rest, "k", "v");
    // It comes back too late.
    dead.start(Start::Resume).unwrap();
    let why = eventually("it is told", || dead.running().ended());
    assert!(why.contains("join anew"), "{why}");
}

#[test]
fn of_two_orders_at_once_the_later_sees_the_earlier() {
    let mut places: Vec<Place> = (0..4).map(|_| Place::new()).collect();
    places[0].start(found()).unwrap();
    for joiner in 1..4 {
        let (members, joiners) = places.split_at_mut(joiner);
        joiners[0].join(&members[0]);
    }
    let all: Vec<&Place> = places.iter().collect();
    settled(&all, 3, 3);
    // Either of them can be spared, and not both.
    let (one, other) = (all[2].id().0, all[3].id().0);
    let drain = |asked: &Place, node| asked.running().node.wish(Wish::Drain(node));
    let (first, second) = std::thread::scope(|scope| {
        let first = scope.spawn(|| drain(all[0], one));
        let second = scope.spawn(|| drain(all[1], other));
        (first.join().unwrap(), second.join().unwrap())
    });
    let (refused, kept) = match (first, second) {
        (Ok(()), Err(error)) => (error.to_string(), other),
        (Err(error), Ok(())) => (error.to_string(), one),
        both => panic!("{both:?}"),
    };
    assert!(refused.contains("each shard would have 1 copy instead of 3"), "{refused}");
    let state = |node| all[0].running().topology().node(NodeId(node)).unwrap().state;
    assert_eq!(state(kept), NodeState::Active);
    // By force it goes, too.
    all[1].running().node.wish(Wish::DrainForced(kept)).unwrap();
    eventually("both are empty", || {
        let topology = all[0].running().topology();
        let empty = |node| topology.groups_of(NodeId(node)).next().is_none();
        (empty(one) && empty(other)).then_some(())
    });
}

#[test]
fn a_node_waits_to_be_met_and_operators_move_leaders() {
    let mut places: Vec<Place> = (0..3).map(|_| Place::new()).collect();
    places[0].start(found()).unwrap();
    let member = places[0].peer.to_string();
    for place in &mut places[1..] {
        let waiting = place.start(Start::Resume).unwrap();
        assert!(waiting.node.member().is_none());
        waiting.node.meet(member.clone()).unwrap();
        eventually("it is met", || waiting.node.member().map(|_| ()));
    }
    let all: Vec<&Place> = places.iter().collect();
    settled(&all, 3, 3);
    let to = all[2].id();
    all[1].running().node.wish(Wish::Transfer { shard: None, to: to.0 }).unwrap();
    let shards = all[0].running().topology().shards();
    eventually("it leads all", || {
        shards.shards().all(|shard| all[2].running().leads(shard)).then_some(())
    });
    all[0].running().node.wish(Wish::Rebalance).unwrap();
    settled(&all, 3, 3);
}

/// The shards with data, as a node knows them.
fn shards(place: &Place) -> Vec<ShardId> {
    let topology = place.running().topology();
    topology.groups().map(|(shard, _)| shard).filter(|shard| *shard != META_GROUP).collect()
}

#[test]
fn a_shard_is_split_for_each_node_and_stays_so() {
    let mut first = Place::new();
    let sharding = Sharding::Growing(ShardCount::new(8).unwrap());
    first.start(Start::Found { shards: sharding, factor: ReplicationFactor::Three }).unwrap();
    settled(&[&first], 1, 1);
    let keys = || (0..60).map(|number| format!("key-{number}"));
    keys().for_each(|key| write(&[&first], &key, "old"));
    let (mut second, mut third) = (Place::new(), Place::new());
    second.join(&first);
    third.join(&first);
    let all = [&first, &second, &third];
    eventually("there are three shards", || {
        all.iter().all(|place| shards(place) == [1, 4, 7].map(ShardId)).then_some(())
    });
    settled(&all, 3, 3);
    keys().for_each(|key| replicated(&all, &key, "old"));
    eventually(
        "each node says that it has the clients' keys, and not how many are its own",
        || {
            let status = first.running().node.status().ok()?;
            status.nodes.iter().all(|node| node.keys == Some(60)).then_some(())
        },
    );
    keys().step_by(2).for_each(|key| write(&all, &key, "new"));

    [&mut first, &mut second, &mut third].into_iter().for_each(Place::kill);
    [&mut first, &mut second, &mut third].into_iter().for_each(|place| {
        place.start(Start::Resume).unwrap();
    });
    let mut fourth = Place::new();
    fourth.join(&second);
    let all = [&first, &second, &third, &fourth];
    eventually("there are four shards", || {
        all.iter().all(|place| shards(place).len() == 4).then_some(())
    });
    settled(&all, 3, 3);
    for (number, key) in keys().enumerate() {
        replicated(&all, &key, if number % 2 == 0 { "new" } else { "old" });
    }
}
