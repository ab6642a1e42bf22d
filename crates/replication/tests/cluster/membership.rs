//! Groups that grow and shrink.

use std::collections::BTreeSet;
use std::time::Duration;

use aryavarth_replication::{Basis, Error, NodeId, Role, Standing};

use crate::harness::{Cluster, SHARD, batch, cut, eventually, role};

async fn grow(cluster: &mut Cluster, number: u8) {
    let joining = cluster.add(number).await;
    let (node, address) = (joining.id(), joining.address());
    let leader = &cluster.processes[cluster.leader().await];
    let group = leader.group();
    let voters = cluster.voters();
    let changed = leader.run(async move {
        group.add_learner(node, &address).await?;
        group.wait_caught_up(node, 0, Duration::from_secs(10)).await?;
        group.set_voters(&voters).await
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
    let change = cluster.processes[leader].run(async move { group.set_voters(&left).await });
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
    let refused = lead.set_voters(&stranger).await;
    assert!(matches!(refused, Err(Error::Change { .. })), "{refused:?}");
    let refused = lead.set_voters(&BTreeSet::new()).await;
    assert!(matches!(refused, Err(Error::Change { .. })), "{refused:?}");
    let refused = follow.set_voters(&cluster.voters()).await;
    assert!(matches!(refused, Err(Error::NotLeader { leader: Some(_) })), "{refused:?}");
    let members = [(NodeId(1), cluster.processes[0].address())];
    assert!(matches!(lead.initialize(&members).await, Err(Error::Change { .. })));
}

/// For a follower that was cut off before a removal, the node that was removed is the voter it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_comes_back_empty_lets_nobody_undo_what_was_committed_without_it() {
    let mut cluster = Cluster::start(3).await;
    cluster.put("k", "1").await;
    cluster.agree().await;
    let first = cluster.leader().await;
    cluster.processes.rotate_left(first);
    cluster.add(4).await;
    let [leader, behind, back, fourth] = &cluster.processes[..] else { unreachable!() };
    cut(behind, &[leader, fourth]);
    let (group, node, address) = (leader.group(), fourth.id(), fourth.address());
    let voters: BTreeSet<NodeId> = [leader.id(), behind.id(), fourth.id()].into();
    let moved = leader.run(async move {
        group.add_learner(node, &address).await?;
        group.wait_caught_up(node, 0, Duration::from_secs(10)).await?;
        group.set_voters(&voters).await
    });
    moved.await.unwrap();
    leader.group().propose(batch("k", "2"), Basis::Anything).await.unwrap();
    let node = back.node();
    back.run(async move {
        node.remove_group(SHARD).await.unwrap();
        node.create_group(SHARD).await.unwrap();
    })
    .await;
    let (here, there) = ([behind, back], [leader, fourth]);
    for (ours, theirs) in [(here, there), (there, here)] {
        ours.iter().for_each(|one| one.node().sever(&theirs.map(|other| other.id())));
    }
    let led = async {
        while !behind.group().is_leader() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let led = tokio::time::timeout(Duration::from_secs(3), led).await;
    assert!(led.is_err(), "it leads without what was committed");
    for process in &cluster.processes {
        process.node().sever(&[]);
    }
    cluster.processes.remove(2);
    assert_eq!(cluster.agree().await[&b"k"[..]], b"2");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_a_leader_left_half_done_is_finished_by_the_next_one() {
    let mut cluster = Cluster::start(3).await;
    cluster.put("k", "1").await;
    let first = cluster.leader().await;
    cluster.processes.rotate_left(first);
    cluster.add(4).await;
    let [old, next, leaving, joining] = &cluster.processes[..] else { unreachable!() };
    let (group, node, address) = (old.group(), joining.id(), joining.address());
    let voters: BTreeSet<NodeId> = [old.id(), next.id(), joining.id()].into();
    let wanted = voters.clone();
    let begun = old.run(async move {
        group.add_learner(node, &address).await?;
        group.wait_caught_up(node, 0, Duration::from_secs(10)).await?;
        // Its first half is on its way once this was polled; nobody is left for the second.
        let mut change = group.set_voters(&wanted);
        let polled = tokio::time::timeout(Duration::ZERO, &mut change).await;
        Ok::<_, Error>(polled.is_err())
    });
    assert!(begun.await.unwrap(), "the change takes longer than no time");
    let (to, group) = (next.id(), old.group());
    old.run(async move { group.transfer(to).await }).await.unwrap();
    eventually(|| next.group().is_leader().then_some(())).await.expect("it leads");
    let standing = || {
        let status = next.group().status();
        let members = status.members.iter().map(|member| member.node).collect::<BTreeSet<_>>();
        (status.changing, members)
    };
    let half_done: BTreeSet<NodeId> = voters.iter().copied().chain([leaving.id()]).collect();
    let is_half_done = || (standing() == (true, half_done.clone())).then_some(());
    eventually(is_half_done).await.unwrap_or_else(|| panic!("{:?}", standing()));
    let group = next.group();
    next.run(async move { group.finish_change().await }).await.unwrap();
    // What is shown of a group follows what it does.
    let is_whole = || (standing() == (false, voters.clone())).then_some(());
    eventually(is_whole).await.unwrap_or_else(|| panic!("{:?}", standing()));
    let group = next.group();
    next.run(async move { group.finish_change().await }).await.expect("nothing is left to do");
}
