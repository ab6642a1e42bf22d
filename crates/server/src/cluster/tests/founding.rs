//! A founding that is cut off anywhere is finished by the next start.

use std::sync::Arc;

use aryavarth::KvStore;
use aryavarth_cluster::{ClusterId, NewNode, ReplicationFactor, ShardCount, Sharding, Topology};
use aryavarth_replication::Identity;

use super::harness::{FakeHost, Place, SHARDS, found, replicated, settled};
use crate::cluster::card::{Card, Holding, Phase};
use crate::cluster::founding::FIRST;
use crate::cluster::member::Member;
use crate::cluster::node::Surroundings;
use crate::cluster::{Host, Start, runtime};

/// How far the founding had come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum CutOff {
    CardWritten,
    GroupsMade,
    GroupsInitialized,
    SomePurged,
    AllPurged,
    TopologyWritten,
}

const CLUSTER: ClusterId = ClusterId(0xF00D);

/// Founds as far as that, and ends without a word.
fn begin(place: &Place, until: CutOff) {
    let shards = ShardCount::new(SHARDS).unwrap();
    let groups = shards.groups();
    let shards = Sharding::Fixed(shards);
    let phase = Phase::Founding { cluster: CLUSTER, shards, factor: ReplicationFactor::Three };
    let card = Card::draw(&place.home(), phase);
    card.write(&place.home()).unwrap();
    if until == CutOff::CardWritten {
        return;
    }
    let store = KvStore::open(place.directory.path()).unwrap();
    let host: Arc<dyn Host> = Arc::new(FakeHost { lost_after: None, ended: Default::default() });
    let options = Arc::new(place.options());
    let around = Surroundings {
        options,
        store: store.clone(),
        seats: Arc::default(),
        views: Arc::default(),
        host,
    };
    around.seats.slots().set_sharding(shards);
    let identity = Identity { cluster: CLUSTER, node: FIRST, incarnation: card.incarnation };
    let phase =
        Phase::Member { cluster: CLUSTER, node: FIRST, shards, replicas: Holding::Replicas };
    let noted = Card { phase, ..card };
    let running = runtime().unwrap();
    let address = place.peer.to_string();
    let peer = place.peer.to_string().parse().unwrap();
    let client = place.client.to_string().parse().unwrap();
    running.block_on(async {
        let member = Member::assemble(around, noted, identity, None).await.unwrap();
        let half = groups.clone().take(2);
        match until {
            CutOff::CardWritten | CutOff::GroupsMade | CutOff::GroupsInitialized => {
                for shard in half {
                    let group = member.node.create_group(shard).await.unwrap();
                    if until == CutOff::GroupsInitialized {
                        group.initialize(&[(FIRST, address.clone())]).await.unwrap();
                    }
                }
            }
            CutOff::SomePurged => {
                for shard in half {
                    member.found_group(shard).await.unwrap();
                }
            }
            CutOff::AllPurged | CutOff::TopologyWritten => {
                for shard in groups {
                    member.found_group(shard).await.unwrap();
                }
            }
        }
        if until == CutOff::TopologyWritten {
            let incarnation = card.incarnation;
            let first = NewNode { id: FIRST, incarnation, client, peer, zone: None };
            let factor = ReplicationFactor::Three;
            let topology = Topology::found(CLUSTER, shards, factor, first);
            member.write_first(topology).await.unwrap();
        }
    });
    running.shutdown_timeout(std::time::Duration::from_secs(10));
    store.close().unwrap();
}

#[test]
fn a_founding_that_was_cut_off_is_finished() {
    let steps = [
        CutOff::CardWritten,
        CutOff::GroupsMade,
        CutOff::GroupsInitialized,
        CutOff::SomePurged,
        CutOff::AllPurged,
        CutOff::TopologyWritten,
    ];
    for (number, until) in steps.into_iter().enumerate() {
        let mut place = Place::new();
        let standalone = KvStore::open(place.directory.path()).unwrap();
        standalone.set("old", "1").unwrap();
        standalone.close().unwrap();
        begin(&place, until);
        // Whether it is told again to found or not.
        let start = if number.is_multiple_of(2) { Start::Resume } else { found() };
        place.start(start).unwrap_or_else(|error| panic!("{until:?}: {error}"));
        settled(&[&place], 1, 1);
        assert_eq!(place.running().topology().cluster(), CLUSTER, "{until:?}");
        let card = Card::read(&place.home()).unwrap().unwrap();
        assert!(matches!(card.phase, Phase::Member { .. }), "{until:?}");
        for (shard, group) in place.running().seats.groups() {
            assert!(group.status().purged.is_some(), "{until:?} {shard}");
        }
        replicated(&[&place], "old", "1");
    }
}

#[test]
fn what_was_there_before_reaches_others_though_the_founding_was_cut_off() {
    let mut place = Place::new();
    let standalone = KvStore::open(place.directory.path()).unwrap();
    for number in 0..20 {
        standalone.set(format!("old-{number}"), "1").unwrap();
    }
    standalone.close().unwrap();
    begin(&place, CutOff::SomePurged);
    place.start(Start::Resume).unwrap();
    let (mut second, mut third) = (Place::new(), Place::new());
    second.join(&place);
    third.join(&place);
    settled(&[&place, &second, &third], 3, 3);
    for number in 0..20 {
        replicated(&[&place, &second, &third], &format!("old-{number}"), "1");
    }
}
