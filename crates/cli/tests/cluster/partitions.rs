//! Nodes on machines of their own, cut off from one another under load. Clients reach all of them all the
//! time, and some ask one node only: an old leader that answers what is old is found out.

use std::time::Duration;

use crate::client::{Connection, Reply};
use crate::load::Load;
use crate::network::Network;
use crate::nodes::Cluster;

/// In how much time all shards serve again. A leader that is lost is replaced within two seconds where the
/// machine has nothing else to do; here several clusters and their clients share it.
const BOUND: Duration = Duration::from_secs(15);

/// How long a leader may answer reads when it hears nobody, and some more.
const LEASE: Duration = Duration::from_millis(1500);

/// A node answers nothing any more: neither what it leads, nor, to those who want it fresh, what it has.
fn assert_silent(cluster: &Cluster, node: usize) {
    let connections = (0..8).map(|number| {
        let mut connection = Connection::open(cluster.address(node)).unwrap();
        connection.send(&["GET", &format!("register:{number}")]).unwrap();
        connection
    });
    for mut connection in connections.collect::<Vec<_>>() {
        let reply = connection.reply().unwrap();
        let Reply::Error(error) = &reply else { panic!("cut off, node {node} says {reply:?}") };
        let refusals = ["CLUSTERDOWN", "TRYAGAIN", "MOVED"];
        assert!(refusals.iter().any(|refusal| error.starts_with(refusal)), "{error}");
    }
}

#[test]
fn a_leader_that_is_cut_off_answers_nothing_and_the_others_go_on() {
    let Some(network) = Network::new(3) else { return };
    let cluster = Cluster::plan(3, 4).on(network).begun();
    let load = Load::start(&cluster);
    load.await_all_written(BOUND);
    let chief = cluster.chief();
    let pairs: Vec<_> =
        (0..3).filter(|other| *other != chief).map(|other| (chief, other)).collect();
    cluster.network().part(&pairs);
    load.await_all_written(BOUND);
    std::thread::sleep(LEASE);
    assert_silent(&cluster, chief);
    cluster.network().join(&pairs);
    cluster.await_whole();
    load.await_all_written(BOUND);
    // Its cable is pulled, so that clients do not reach it either.
    let chief = cluster.chief();
    cluster.network().unplug(chief);
    load.await_all_written(BOUND);
    cluster.network().plug(chief);
    load.judge(&cluster);
}

#[test]
fn a_leader_that_is_cut_off_in_one_direction_stops_nobody() {
    let Some(network) = Network::new(3) else { return };
    let cluster = Cluster::plan(3, 4).on(network).begun();
    let load = Load::start(&cluster);
    load.await_all_written(BOUND);
    // It is not heard, and hears the others.
    let chief = cluster.chief();
    let others: Vec<usize> = (0..3).filter(|other| *other != chief).collect();
    others.iter().for_each(|other| cluster.network().cut(chief, *other));
    load.await_all_written(BOUND);
    others.iter().for_each(|other| cluster.network().mend(chief, *other));
    cluster.await_whole();
    // It hears nobody, and is heard.
    let chief = cluster.chief();
    let others: Vec<usize> = (0..3).filter(|other| *other != chief).collect();
    others.iter().for_each(|other| cluster.network().cut(*other, chief));
    load.await_all_written(BOUND);
    others.iter().for_each(|other| cluster.network().mend(*other, chief));
    load.judge(&cluster);
}

#[test]
fn whoever_can_be_heard_by_a_majority_leads() {
    let Some(network) = Network::new(5) else { return };
    let cluster = Cluster::plan(5, 2).on(network).begun();
    let reply =
        Connection::open(cluster.address(0)).unwrap().ask(&["CLUSTER", "REPLICATION-FACTOR", "5"]);
    assert_eq!(reply.unwrap(), Reply::Text("OK".to_owned()));
    cluster.await_status(0, "not every shard is on five nodes", |status| {
        let mut shards = status["shards"].as_array().unwrap().iter();
        status["state"] == "ok"
            && shards.all(|shard| shard["voters"].as_array().unwrap().len() == 5)
    });
    let load = Load::start(&cluster);
    load.await_all_written(BOUND);
    // A bridge: two halves that do not hear one another, and one node that hears both.
    let bridge = [(0, 3), (0, 4), (1, 3), (1, 4)];
    cluster.network().part(&bridge);
    load.await_all_written(BOUND);
    cluster.network().join(&bridge);
    cluster.await_whole();
    load.await_all_written(BOUND);
    // The leader hears one node, which hears two more; they are a majority, and have to come to lead though
    // that one still hears the old leader. The fifth hears nobody.
    let leader = cluster.chief();
    let others: Vec<usize> = (0..5).filter(|other| *other != leader).collect();
    let [alone, between, one, other] = others[..] else { panic!("{others:?}") };
    let line = [
        (leader, one),
        (leader, other),
        (leader, alone),
        (between, alone),
        (one, alone),
        (other, alone),
    ];
    cluster.network().part(&line);
    load.await_all_written(BOUND);
    std::thread::sleep(LEASE);
    assert_silent(&cluster, alone);
    cluster.network().join(&line);
    load.judge(&cluster);
}
