//! When followers learn what is committed: with the next entry, by itself, or because somebody reads from them.

use std::time::Duration;

use aryavarth_replication::Timing;

use crate::harness::{Cluster, PATIENCE, Process, eventually};

/// A leader that has lived too short to have sent heartbeats. What is committed goes alone at an eighth of that.
fn slow(heartbeat: Duration) -> Timing {
    let heartbeat = u64::try_from(heartbeat.as_millis()).unwrap();
    let (election_min, election_max) = (3 * heartbeat, 4 * heartbeat);
    Timing { heartbeat, election_min, election_max, ..Timing::quick() }
}

/// As long as a test is patient, nothing goes alone.
fn far_apart() -> Timing {
    slow(PATIENCE * 20)
}

fn followers(cluster: &Cluster, leader: usize) -> impl Iterator<Item = &Process> {
    let others = cluster.processes.iter().enumerate().filter(move |(place, _)| *place != leader);
    others.map(|(_, process)| process)
}

#[tokio::test(flavor = "multi_thread")]
async fn the_next_entry_tells_that_the_one_before_is_committed() {
    let cluster = Cluster::start_with(3, None, far_apart()).await;
    cluster.put("first", "1").await;
    cluster.put("second", "2").await;
    let leader = cluster.leader().await;
    for follower in followers(&cluster, leader) {
        let told = || follower.records().contains_key(&b"first"[..]).then_some(());
        eventually(told).await.expect("the second entry tells of the first");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_reads_from_a_follower_does_not_wait_for_it() {
    let cluster = Cluster::start_with(3, None, far_apart()).await;
    cluster.put("key", "1").await;
    let leader = cluster.leader().await;
    let group = cluster.processes[leader].group();
    let read_index = async move { group.read_index().await };
    let index = cluster.processes[leader].run(read_index).await.unwrap();
    for follower in followers(&cluster, leader) {
        follower.group().wait_applied(index, PATIENCE).await.unwrap();
        assert_eq!(follower.records()[&b"key"[..]], b"1");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_alone_if_nothing_follows() {
    let cluster = Cluster::start_with(3, None, slow(PATIENCE * 2)).await;
    cluster.put("key", "1").await;
    assert_eq!(cluster.agree().await.len(), 1);
}
