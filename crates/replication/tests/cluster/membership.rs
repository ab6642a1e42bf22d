//! Groups that grow and shrink.

use std::collections::BTreeSet;
use std::time::Duration;

use aryavarth_replication::{Error, NodeId, Removed, Role, Standing};

use crate::harness::{Cluster, eventually, role};

async fn grow(cluster: &mut Cluster, number: u8) {
    let joining = cluster.add(number).await;
    let (node, address) = (joining.id(), joining.address());
    let leader = &cluster.processes[cluster.leader().await];
    let group = leader.group();
    let voters = cluster.voters();
    let changed = leader.run(async move {
        group.add_learner(node, &address).await?;
        group.wait_caught_up(node, 0, Duration::from_secs(10)).await?;
        group.set_voters(&voters, Removed::Leave).await
    });
    changed.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fourth_node_catches_up_and_gets_a_vote() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..100 {
        cluster.put(&format!("k{number}"), "1").await;
    }
    grow(&mut cluster, 4).await;
    assert_eq!(cluster.agree().await.len(), 100);
    let status = cluster.processes[cluster.leader().await].group().status();
    assert_eq!(status.members.len(), 4);
    assert!(!status.changing);
    assert!(status.members.iter().all(|member| member.standing == Standing::Voter));
    // Three of four are a majority, two are not.
    let leader = cluster.leader().await;
    let other = (leader + 1) % 4;
    cluster.kill(other);
    cluster.put("with three", "1").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_one_grows_to_three_and_loses_its_first_node() {
    let mut cluster = Cluster::start(1).await;
    cluster.put("k", "1").await;
    grow(&mut cluster, 2).await;
    grow(&mut cluster, 3).await;
    assert_eq!(cluster.agree().await.len(), 1);
    let leader = cluster.leader().await;
    let removed = cluster.processes[leader].id();
    let left: BTreeSet<NodeId> = cluster.voters().into_iter().filter(|id| *id != removed).collect();
    let group = cluster.processes[leader].group();
    let change =
        cluster.processes[leader].run(async move { group.set_voters(&left, Removed::Leave).await });
    change.await.unwrap();
    let gone = cluster.processes.remove(leader);
    // It leads until its removal is known, and not for long after.
    eventually(|| (role(&gone) != Role::Leader).then_some(())).await.expect("it steps down");
    cluster.put("k", "2").await;
    assert_eq!(cluster.agree().await[&b"k"[..]], b"2");
    assert!(gone.group().lease().is_none());
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_no_member_cannot_vote_and_a_follower_cannot_change_members() {
    let cluster = Cluster::start(3).await;
    let leader = cluster.leader().await;
    let (lead, follow) =
        (cluster.processes[leader].group(), cluster.processes[(leader + 1) % 3].group());
    let stranger = [NodeId(1), NodeId(9)].into();
    let refused = lead.set_voters(&stranger, Removed::Leave).await;
    assert!(matches!(refused, Err(Error::Change { .. })), "{refused:?}");
    let refused = lead.set_voters(&BTreeSet::new(), Removed::Leave).await;
    assert!(matches!(refused, Err(Error::Change { .. })), "{refused:?}");
    let refused = follow.set_voters(&cluster.voters(), Removed::Leave).await;
    assert!(matches!(refused, Err(Error::NotLeader { leader: Some(_) })), "{refused:?}");
    let members = [(NodeId(1), cluster.processes[0].address())];
    assert!(matches!(lead.initialize(&members).await, Err(Error::Change { .. })));
}
