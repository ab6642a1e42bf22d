//! Nodes stop, die, come back, and come back elsewhere.

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::time::Duration;

use aryavarth::{EntryIndex, KvStore, LOGS, UnixMillis, WriteBatch};
use aryavarth_cluster::{META_GROUP, ShardId};
use aryavarth_replication::Basis;

use super::harness::{Place, eventually, found, free, replicated, settled, write};
use crate::cluster::Start;
use crate::cluster::messages::{Action, Order};
use crate::cluster::reserved::{TOPOLOGY, group_of};

fn three() -> Vec<Place> {
    let mut places: Vec<Place> = (0..3).map(|_| Place::new()).collect();
    places[0].start(found()).unwrap();
    for joiner in 1..3 {
        let (members, joiners) = places.split_at_mut(joiner);
        joiners[0].join(&members[0]);
    }
    settled(&places.iter().collect::<Vec<_>>(), 3, 3);
    places
}

fn all(places: &[Place]) -> Vec<&Place> {
    places.iter().collect()
}

#[test]
fn all_nodes_die_and_come_back() {
    let mut places = three();
    write(&all(&places), "k", "1");
    places.iter_mut().for_each(Place::kill);
    for place in &mut places {
        place.start(Start::Resume).unwrap();
    }
    settled(&all(&places), 3, 3);
    write(&all(&places), "again", "2");
    replicated(&all(&places), "k", "1");
    replicated(&all(&places), "again", "2");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "what rots is below the store")]
fn a_node_of_which_the_record_of_the_topology_is_damaged_comes_back_and_asks_to_be_replaced() {
    let mut places = three();
    let running = places[2].running();
    let topology = running.topology();
    // As an entry it is not needed any more.
    let group = running.seats.seat(META_GROUP).group().unwrap();
    let applied = group.applied().unwrap().index;
    running.node.handle().block_on(group.purge(applied)).unwrap();
    places[2].stop();
    let store = KvStore::open(places[2].directory.path()).unwrap();
    // In place, as the store has it mapped.
    for file in std::fs::read_dir(places[2].directory.path().join(LOGS)).unwrap() {
        let path = file.unwrap().path();
        let bytes = std::fs::read(&path).unwrap();
        let found = bytes.windows(TOPOLOGY.len()).enumerate();
        let file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
        for (place, _) in found.filter(|(_, window)| *window == TOPOLOGY) {
            let value = place + TOPOLOGY.len();
            file.write_all_at(&[!bytes[value]], value as u64).unwrap();
        }
    }
    assert!(store.get(TOPOLOGY).unwrap_err().is_damage());
    let running = places[2].start_on(store, Start::Resume).unwrap();
    assert_eq!(running.topology().nodes().len(), topology.nodes().len());
    running.member().mending.look();
    eventually("it may go", || places[2].running().ended());
}

#[test]
fn a_leader_that_does_not_hear_from_a_majority_for_long_takes_over_anew() {
    let mut places = three();
    let shard = group_of(places[0].running().seats.slots(), b"k");
    let leader = eventually("the shard is led", || {
        (0..3).find(|place| places[*place].running().leads(shard))
    });
    let running = places[leader].running();
    let group = running.seats.seat(shard).group().unwrap();
    let mut batch = WriteBatch::new();
    let deadline = UnixMillis(running.store.now().0 + 3_600_000);
    batch.set_expiring("k", "v", deadline);
    running.node.handle().block_on(group.propose(Arc::new(batch), Basis::Anything)).unwrap();
    assert!(running.seats.seat(shard).is_ready());
    let others: Vec<usize> = (0..3).filter(|place| *place != leader).collect();
    others.iter().for_each(|place| places[*place].kill());
    let seat = places[leader].running().seats.seat(shard);
    let term = group.leadership().borrow().term;
    eventually("it would have to take over", || (!seat.is_ready()).then_some(()));
    assert_eq!(group.leadership().borrow().term, term, "it is another term");
    for place in others {
        places[place].start(Start::Resume).unwrap();
    }
    settled(&all(&places), 3, 3);
    replicated(&all(&places), "k", "v");
}

#[test]
fn a_node_comes_back_at_another_address() {
    let mut places = three();
    let id = places[1].id();
    places[1].kill();
    places[1].peer = free();
    places[1].client = free();
    write(&[&places[0], &places[2]], "meanwhile", "1");
    places[1].start(Start::Resume).unwrap();
    let peer = places[1].peer.to_string();
    eventually("the topology says so", || {
        let topology = places[0].running().topology();
        (topology.node(id)?.peer.to_string() == peer).then_some(())
    });
    settled(&all(&places), 3, 3);
    replicated(&all(&places), "meanwhile", "1");
}

#[test]
fn a_node_that_stops_hands_over_first_and_gets_nothing_back() {
    let mut places = three();
    let groups: Vec<ShardId> =
        places[0].running().topology().groups().map(|(shard, _)| shard).collect();
    let place = &places[1];
    place.running().node.hand_over();
    let led = groups.iter().filter(|shard| {
        let group = place.running().seats.seat(**shard).group().unwrap();
        group.is_leader()
    });
    assert_eq!(led.count(), 0, "it leads nothing when that returns");
    for other in [&places[0], &places[2]] {
        let member = other.running().member();
        let now = tokio::time::Instant::now();
        let leaves = member.known().heard.is_leaving(place.id(), now, Duration::from_secs(2));
        assert!(leaves, "who has others lead knows it by then");
        for shard in &groups {
            let asked =
                other.running().node.handle().block_on(member.hand_over(*shard, place.id()));
            assert!(asked.is_err(), "it is not asked to lead");
        }
    }
    let led =
        |shard: &ShardId| places[0].running().leads(*shard) || places[2].running().leads(*shard);
    eventually("others lead", || groups.iter().all(led).then_some(()));
    assert!(groups.iter().all(|shard| !place.running().leads(*shard)), "nothing was given back");
    assert!(groups.iter().all(|shard| !place.running().seats.seat(*shard).is_closed()));
    places[1].stop();
    write(&[&places[0], &places[2]], "without", "1");
    places[1].start(Start::Resume).unwrap();
    settled(&all(&places), 3, 3);
    replicated(&all(&places), "without", "1");
}

#[test]
fn an_order_of_the_past_does_nothing() {
    let places = three();
    let shard = ShardId(1);
    let leader =
        eventually("it is led", || places.iter().find(|place| place.running().leads(shard)));
    let member = Arc::clone(leader.running().member());
    let led = member.led(shard).unwrap();
    let (meta_term, _) = *member.known().leaders.get(&META_GROUP).unwrap();
    let other = *led.voters.iter().find(|node| **node != leader.id().0).unwrap();
    let fewer: BTreeSet<u64> = [leader.id().0].into();
    let action = Action::ChangeVoters { shard: shard.0, voters: fewer };
    let good = Order { meta_term, epoch: 1, term: led.term, config: led.config, action };
    let deposed = Order { meta_term: meta_term - 1, ..good.clone() };
    let earlier = Order { term: led.term - 1, ..good.clone() };
    let before = Order { config: led.config.map(|config| config - 1), ..good.clone() };
    let obey = |order: Order| {
        let member = Arc::clone(&member);
        leader.running().node.handle().block_on(async move { member.obey(order).await })
    };
    for order in [deposed, earlier, before] {
        assert!(obey(order.clone()).is_err(), "{order:?}");
        assert_eq!(member.led(shard).unwrap().voters, led.voters);
    }
    let late = Action::Transfer { shard: shard.0, to: other };
    obey(Order { action: late.clone(), ..good.clone() }).unwrap();
    let again = obey(Order { action: late, ..good });
    assert!(again.is_err(), "it leads no longer");
}

#[test]
fn a_follower_that_was_away_too_long_is_sent_a_snapshot() {
    let mut places = three();
    places[2].kill();
    let two = [&places[0], &places[1]];
    // More than is kept for those who fall behind.
    for number in 0..400 {
        write(&two, "{same}", &number.to_string());
    }
    let shard = group_of(places[0].running().seats.slots(), b"{same}");
    for place in two {
        let member = Arc::clone(place.running().member());
        eventually("the log is purged", || {
            let purging = Arc::clone(&member);
            place.running().node.handle().block_on(async move { purging.purge_once().await });
            let purged = member.node.group(shard).ok()?.status().purged?;
            (purged.index >= EntryIndex(200)).then_some(())
        });
    }
    places[2].start(Start::Resume).unwrap();
    settled(&all(&places), 3, 3);
    replicated(&all(&places), "{same}", "399");
}
