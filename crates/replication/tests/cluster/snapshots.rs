//! Replicas that need more than the log still has.

use std::sync::Arc;
use std::time::Duration;

use aryavarth::WriteBatch;
use aryavarth_replication::{Basis, EntryIndex};

use crate::harness::{Cluster, Process, batch, eventually};

async fn purge_all(process: &Process) -> EntryIndex {
    let group = process.group();
    let applied = group.applied().unwrap().index;
    process.run(async move { group.purge(applied).await }).await.unwrap();
    assert!(process.group().status().purged.unwrap().index >= applied);
    applied
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_node_is_brought_up_by_a_snapshot_while_writes_go_on() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..500 {
        let leader = cluster.processes[cluster.leader().await].group();
        leader.propose(batch(&format!("k{number}"), "1"), Basis::Anything).await.unwrap();
    }
    cluster.agree().await;
    for process in &cluster.processes {
        purge_all(process).await;
        assert!(process.group().status().held() < 10);
    }
    let joining = cluster.add(4).await;
    let (node, address) = (joining.id(), joining.address());
    let place = cluster.leader().await;
    let group = cluster.processes[place].group();
    let writer = {
        let group = group.clone();
        tokio::spawn(async move {
            for number in 0..300 {
                let mut batch = WriteBatch::new();
                batch.set(format!("k{number}"), "2").remove(format!("k{}", 499 - number / 2));
                group.propose(Arc::new(batch), Basis::Anything).await.unwrap();
            }
        })
    };
    let voters = cluster.voters();
    let grown = cluster.processes[place].run(async move {
        group.add_learner(node, &address).await?;
        group.wait_caught_up(node, 0, Duration::from_secs(10)).await?;
        group.set_voters(&voters).await
    });
    grown.await.unwrap();
    writer.await.unwrap();
    let records = cluster.agree().await;
    assert_eq!(records.len(), 350);
    assert_eq!(records[&b"k299"[..]], b"2");
    assert_eq!(records[&b"k300"[..]], b"1");
    let newcomer = cluster.processes.last().unwrap().group().status();
    assert!(newcomer.purged.is_some(), "it came by a snapshot");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_was_away_for_long_loses_what_was_removed_meanwhile() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..50 {
        cluster.put(&format!("old-{number}"), "1").await;
    }
    cluster.agree().await;
    let leader = cluster.leader().await;
    let (config, store) = cluster.kill((leader + 1) % 3);
    for number in 0..50 {
        let mut batch = WriteBatch::new();
        batch.remove(format!("old-{number}")).set(format!("new-{number}"), "1");
        let leader = cluster.processes[cluster.leader().await].group();
        leader.propose(Arc::new(batch), Basis::Anything).await.unwrap();
    }
    cluster.agree().await;
    for process in &cluster.processes {
        purge_all(process).await;
    }
    cluster.processes.push(Process::start(config, store).await.unwrap());
    let records = cluster.agree().await;
    assert_eq!(records.len(), 50);
    assert!(records.keys().all(|key| key.starts_with(b"new-")));
    // It restarts from what it was sent.
    let (config, store) = cluster.kill(2);
    cluster.processes.push(Process::start(config, store).await.unwrap());
    cluster.put("after", "1").await;
    assert_eq!(cluster.agree().await.len(), 51);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_snapshot_brings_the_newest_members_along() {
    let mut cluster = Cluster::start(3).await;
    cluster.put("k", "1").await;
    cluster.agree().await;
    let leader = cluster.leader().await;
    let (config, store) = cluster.kill((leader + 1) % 3);
    // While it is away, a fourth node gets a vote; the change is purged everywhere.
    let joining = cluster.add(4).await;
    let (node, address) = (joining.id(), joining.address());
    let place = cluster.leader().await;
    let group = cluster.processes[place].group();
    let mut voters = cluster.voters();
    voters.insert(config.identity.node);
    let grown = cluster.processes[place].run(async move {
        group.add_learner(node, &address).await?;
        group.wait_caught_up(node, 0, Duration::from_secs(10)).await?;
        group.set_voters(&voters).await
    });
    grown.await.unwrap();
    cluster.put("k", "2").await;
    cluster.agree().await;
    for process in &cluster.processes {
        purge_all(process).await;
    }
    cluster.processes.push(Process::start(config, store).await.unwrap());
    cluster.agree().await;
    let returned = cluster.processes.last().unwrap();
    let knows = || {
        let members = returned.group().status().members;
        (members.len() == 4).then_some(())
    };
    eventually(knows).await.expect("it knows the fourth member");
}

#[tokio::test(flavor = "multi_thread")]
async fn purging_goes_no_further_than_what_is_applied() {
    let cluster = Cluster::start(1).await;
    let process = &cluster.processes[0];
    cluster.put("k", "1").await;
    let group = process.group();
    let purged = process.run(async move { group.purge(EntryIndex(u64::MAX)).await });
    purged.await.unwrap();
    let held = |count| eventually(move || (process.group().status().held() == count).then_some(()));
    held(0).await.expect("all is purged");
    cluster.put("k", "2").await;
    held(1).await.expect("the log goes on");
    assert_eq!(process.records()[&b"k"[..]], b"2");
}
