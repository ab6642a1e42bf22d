//! Leaders: one is elected, writes go through it, and nothing acknowledged is lost when it goes.

use std::time::Duration;

use aryavarth_replication::{Basis, Error, ReadPolicy, Role, Term};
use tokio::time::Instant;

use crate::harness::{Cluster, PATIENCE, Process, SHARD, batch, eventually, role};

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_batches_from_several_tasks_reach_all_replicas() {
    let cluster = Cluster::start(3).await;
    let leader = &cluster.processes[cluster.leader().await];
    let syncs = leader.store.syncs();
    let tasks: Vec<_> = (0..8)
        .map(|task| {
            let group = leader.group();
            tokio::spawn(async move {
                let waiting: Vec<_> = (0..125)
                    .map(|number| {
                        let key = format!("{task}-{number}");
                        group.propose(batch(&key, "value"), Basis::Anything)
                    })
                    .collect();
                let mut last = None;
                for outcome in waiting {
                    let index = outcome.await.unwrap();
                    assert!(Some(index) > last, "proposals keep their order");
                    last = Some(index);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    let records = cluster.agree().await;
    assert_eq!(records.len(), 1000);
    let settled = || Some(leader.group().status()).filter(|status| status.lag() == 0);
    let status = eventually(settled).await.expect("all that is committed is applied");
    assert!(status.held() >= 1000);
    assert_eq!(status.members.len(), 3);
    assert!(leader.store.syncs() - syncs < 500, "many entries share a sync");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_leader_is_replaced_and_nothing_acknowledged_is_lost() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..50 {
        cluster.put(&format!("before-{number}"), "1").await;
    }
    let leader = cluster.leader().await;
    let group = cluster.processes[leader].group();
    // Some in flight, whose outcome the dying node cannot tell any more.
    let in_flight: Vec<_> = (0..50)
        .map(|number| group.propose(batch(&format!("flight-{number}"), "1"), Basis::Anything))
        .collect();
    let mut acknowledged = Vec::new();
    for (number, outcome) in in_flight.into_iter().enumerate() {
        match tokio::time::timeout(Duration::from_millis(3), outcome).await {
            Ok(Ok(_)) => acknowledged.push(format!("flight-{number}").into_bytes()),
            Ok(Err(error)) => assert!(error.is_outcome_unknown(), "{error}"),
            Err(_) => break,
        }
    }
    let killed = Instant::now();
    let (config, store) = cluster.kill(leader);
    cluster.put("after", "1").await;
    assert!(killed.elapsed() < Duration::from_secs(3), "{:?}", killed.elapsed());
    let records = cluster.agree().await;
    for number in 0..50 {
        assert!(records.contains_key(format!("before-{number}").as_bytes()), "{number}");
    }
    for key in acknowledged {
        assert!(records.contains_key(&key), "{}", String::from_utf8_lossy(&key));
    }
    // It comes back without what it had not synced, and is like the others.
    cluster.processes.push(Process::start(config, store).await.unwrap());
    cluster.put("again", "1").await;
    let records = cluster.agree().await;
    assert!(records.contains_key(&b"again"[..]));
}

#[tokio::test(flavor = "multi_thread")]
async fn all_nodes_may_lose_power_at_once() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..20 {
        cluster.put(&format!("k{number}"), "1").await;
    }
    let lives: Vec<_> = (0..3).map(|_| cluster.kill(0)).collect();
    for (config, store) in lives {
        cluster.processes.push(Process::start(config, store).await.unwrap());
    }
    cluster.put("after", "1").await;
    let records = cluster.agree().await;
    assert_eq!(records.len(), 21);
}

#[tokio::test(flavor = "multi_thread")]
async fn leadership_is_handed_over_without_a_gap() {
    let cluster = Cluster::start(3).await;
    cluster.put("k", "1").await;
    let leader = cluster.leader().await;
    let old = cluster.processes[leader].group();
    let next = &cluster.processes[(leader + 1) % 3];
    let before = Instant::now();
    let (transferring, to) = (old.clone(), next.id());
    cluster.processes[leader].run(async move { transferring.transfer(to).await }).await.unwrap();
    eventually(|| next.group().is_leader().then_some(())).await.expect("it leads");
    assert!(before.elapsed() < Duration::from_secs(1), "no election timeout passes");
    assert!(old.lease().is_none());
    let refused = old.propose(batch("k", "2"), Basis::Anything).await;
    assert!(
        matches!(refused, Err(Error::NotLeader { leader: Some(ref l) }) if l.node == next.id())
    );
    cluster.put("k", "3").await;
    assert_eq!(cluster.agree().await[&b"k"[..]], b"3");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clean_stop_hands_over_first() {
    let mut cluster = Cluster::start(3).await;
    cluster.put("k", "1").await;
    let leader = cluster.leader().await;
    let stopping = cluster.processes.remove(leader);
    let node = stopping.node();
    let term = stopping.group().status().leadership.term;
    stopping.run(async move { node.shutdown().await }).await;
    let next = cluster.leader().await;
    let now = cluster.processes[next].group().status().leadership;
    assert_eq!(now.term, Term(term.0 + 1), "one election, and no lost time");
    assert_eq!(role(&stopping), Role::Stopped);
    let lost = stopping.group().propose(batch("k", "2"), Basis::Anything).await;
    assert!(lost.is_err());
    cluster.put("k", "3").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proposal_of_an_earlier_term_is_refused() {
    let cluster = Cluster::start(1).await;
    let leader = cluster.processes[cluster.leader().await].group();
    let term = leader.status().leadership.term;
    assert!(leader.propose(batch("k", "1"), Basis::Term(term)).await.is_ok());
    let earlier = Basis::Term(Term(term.0 - 1));
    let refused = leader.propose(batch("k", "2"), earlier).await;
    assert!(matches!(refused, Err(Error::NotLeader { .. })), "{refused:?}");
    assert_eq!(cluster.processes[0].records()[&b"k"[..]], b"1");
}

#[tokio::test(flavor = "multi_thread")]
async fn reads_are_answered_by_lease_and_by_read_index() {
    let cluster = Cluster::start(3).await;
    let written = cluster.put("k", "1").await;
    let leader = cluster.leader().await;
    let group = cluster.processes[leader].group();
    let lease = eventually(|| group.lease()).await.expect("a leader has a lease");
    assert!(lease.is_valid());
    for policy in [ReadPolicy::Lease, ReadPolicy::ReadIndex] {
        let group = group.clone();
        let seen = cluster.processes[leader].run(async move { group.read_barrier(policy).await });
        seen.await.unwrap();
        let follower = cluster.processes[(leader + 1) % 3].group();
        let refused = follower.read_barrier(policy).await;
        assert!(matches!(refused, Err(Error::NotLeader { leader: Some(_) })), "{refused:?}");
    }
    let follower = &cluster.processes[(leader + 1) % 3];
    assert!(follower.group().lease().is_none());
    // A follower that has applied what the leader names is as good.
    let index =
        cluster.processes[leader].run(async move { group.read_index().await }).await.unwrap();
    assert!(index >= written);
    follower.group().wait_applied(index, PATIENCE).await.unwrap();
    assert_eq!(follower.records()[&b"k"[..]], b"1");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_was_restarted_does_not_go_on_in_its_old_term() {
    // It may have lost entries that it had sent: their names must not be given to others.
    let mut cluster = Cluster::start(1).await;
    cluster.put("k", "1").await;
    let before = cluster.processes[0].group().status().leadership.term;
    let (config, store) = cluster.kill(0);
    cluster.processes.push(Process::start(config, store).await.unwrap());
    cluster.put("k", "2").await;
    assert!(cluster.processes[0].group().status().leadership.term > before);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_without_a_majority_refuses_and_says_so() {
    let mut cluster = Cluster::start(3).await;
    cluster.put("k", "1").await;
    let leader = cluster.leader().await;
    let keep = cluster.processes.remove(leader);
    cluster.kill(0);
    cluster.kill(0);
    let group = keep.group();
    eventually(|| group.lease().is_none().then_some(())).await.expect("the lease ends");
    let read = group.read_barrier(ReadPolicy::ReadIndex).await;
    assert!(matches!(read, Err(Error::Timeout | Error::NotLeader { .. })), "{read:?}");
    let deadline = Instant::now() + PATIENCE;
    loop {
        let proposal = group.propose(batch("k", "2"), Basis::Anything);
        match tokio::time::timeout(Duration::from_millis(500), proposal).await {
            Ok(Err(Error::QuorumLost | Error::NotLeader { .. })) => break,
            Ok(Ok(_)) => panic!("acknowledged by a minority"),
            _ => assert!(Instant::now() < deadline),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_whose_sync_fails_stops_and_the_others_go_on() {
    let mut cluster = Cluster::start(3).await;
    cluster.put("k", "1").await;
    let leader = cluster.leader().await;
    let failing = cluster.processes.remove(leader);
    failing.store.fail_syncs();
    let outcome = failing.group().propose(batch("k", "2"), Basis::Anything);
    // The two others are a majority without it: it may even be acknowledged, and is there then.
    let outcome = tokio::time::timeout(Duration::from_secs(2), outcome).await;
    let acknowledged = matches!(outcome, Ok(Ok(_)));
    eventually(|| failing.node().failure()).await.expect("the failure is known");
    eventually(|| (role(&failing) == Role::Stopped).then_some(())).await.expect("it stops");
    let refused = failing.group().propose(batch("k", "3"), Basis::Anything).await;
    assert!(refused.is_err());
    cluster.put("after", "1").await;
    let records = cluster.agree().await;
    assert!(!acknowledged || records[&b"k"[..]] == b"2");
    assert_ne!(records[&b"k"[..]], b"3");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_node_serves_several_shards_with_one_sync() {
    let cluster = Cluster::start(1).await;
    let process = &cluster.processes[0];
    let mut groups = vec![process.group()];
    for shard in 2..=8 {
        let node = process.node();
        let members = [(process.id(), process.address())];
        let made = process.run(async move {
            let group = node.create_group(aryavarth_replication::ShardId(shard)).await?;
            group.initialize(&members).await?;
            Ok::<_, Error>(group)
        });
        groups.push(made.await.unwrap());
    }
    for group in &groups {
        eventually(|| group.is_leader().then_some(())).await.expect("it leads");
    }
    let before = process.store.syncs();
    let waiting: Vec<_> = (0..50)
        .flat_map(|number| {
            groups
                .iter()
                .map(move |group| group.propose(batch(&format!("k{number}"), "1"), Basis::Anything))
        })
        .collect();
    for outcome in waiting {
        outcome.await.unwrap();
    }
    assert!(process.store.syncs() - before < 100, "400 entries of 8 shards share syncs");
    assert_eq!(process.node().groups().len(), 8);
    assert!(matches!(
        process.node().create_group(SHARD).await,
        Err(Error::ShardExists { shard: SHARD })
    ));
    let node = process.node();
    process.run(async move { node.remove_group(SHARD).await }).await.unwrap();
    assert!(matches!(process.node().group(SHARD), Err(Error::NoSuchShard { shard: SHARD })));
}
