//! Lines that are cut, some or all.

use std::time::Duration;

use aryavarth_replication::Basis;
use tokio::time::Instant;

use crate::harness::{Cluster, PATIENCE, Process, batch, cut, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn two_of_five_are_no_majority() {
    let mut cluster = Cluster::start(5).await;
    cluster.put("k", "1").await;
    cluster.agree().await;
    let leader = cluster.leader().await;
    let keep = cluster.processes.remove(leader);
    for _ in 0..3 {
        cluster.kill(0);
    }
    let committed = keep.group().committed();
    let proposal = keep.group().propose(batch("k", "2"), Basis::Anything);
    let outcome = tokio::time::timeout(Duration::from_secs(2), proposal).await;
    assert!(!matches!(outcome, Ok(Ok(_))), "acknowledged by two of five");
    assert_eq!(keep.group().committed(), committed);
    assert_eq!(keep.records()[&b"k"[..]], b"1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_reaches_one_follower_only_does_not_hold_up_the_majority() {
    // Of five, one is gone. The leader reaches only one other, which the remaining two need.
    let mut cluster = Cluster::start(5).await;
    cluster.put("k", "1").await;
    let leader = cluster.leader().await;
    cluster.kill((leader + 1) % 5);
    let leader = cluster.leader().await;
    let old = cluster.processes[leader].id();
    let far = [&cluster.processes[(leader + 2) % 4], &cluster.processes[(leader + 3) % 4]];
    cut(&cluster.processes[leader], &far);
    let other = || {
        let leads = |process: &&Process| process.group().is_leader() && process.id() != old;
        cluster.processes.iter().find(leads)
    };
    let next = eventually(other).await.expect("another one is elected");
    next.group().propose(batch("k", "2"), Basis::Anything).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_cut_off_returns_and_deposes_nobody() {
    let cluster = Cluster::start(3).await;
    cluster.put("k", "1").await;
    let place = cluster.leader().await;
    let old = &cluster.processes[place];
    let others = [&cluster.processes[(place + 1) % 3], &cluster.processes[(place + 2) % 3]];
    cut(old, &others);
    // It may still take a write, and can never acknowledge it.
    let lost = old.group().propose(batch("k", "lost"), Basis::Anything);
    let next = eventually(|| others.iter().find(|other| other.group().is_leader()));
    let next = next.await.expect("the others elect a leader");
    next.group().propose(batch("k", "2"), Basis::Anything).await.unwrap();
    let term = next.group().status().leadership.term;
    tokio::time::sleep(Duration::from_secs(1)).await;
    old.node().sever(&[]);
    others.iter().for_each(|other| other.node().sever(&[]));
    assert_eq!(cluster.agree().await[&b"k"[..]], b"2");
    let lost = tokio::time::timeout(PATIENCE, lost).await.expect("it is answered");
    assert!(lost.is_err(), "{lost:?}");
    assert_eq!(next.group().status().leadership.term, term);
    assert!(next.group().is_leader());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restarted_follower_keeps_the_word_it_gave() {
    let mut cluster = Cluster::start(3).await;
    for _ in 0..3 {
        cluster.put("k", "1").await;
        let leader = cluster.leader().await;
        let (first, second) = ((leader + 1) % 3, (leader + 2) % 3);
        cut(&cluster.processes[leader], &[&cluster.processes[first]]);
        let (lead, rival) = (cluster.processes[leader].group(), cluster.processes[first].group());
        tokio::time::sleep(Duration::from_millis(600)).await;
        let (config, store) = cluster.kill(second);
        cluster.processes.push(Process::start(config, store).await.unwrap());
        let until = Instant::now() + Duration::from_secs(1);
        while Instant::now() < until {
            if rival.is_leader() {
                assert!(lead.lease().is_none(), "two nodes would answer reads");
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        cluster.processes.iter().for_each(|process| process.node().sever(&[]));
    }
}
