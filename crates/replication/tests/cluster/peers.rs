//! Who may talk to whom.

use std::time::Duration;

use aryavarth_replication::testing::SimStore;
use aryavarth_replication::{
    ClusterId, Error, Incarnation, NodeConfig, NodeId, Refusal, Secret, Timing, Tls,
};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};

use crate::harness::{Cluster, Process, SHARD, eventually};

async fn start(config: NodeConfig) -> Process {
    Process::start(config, SimStore::new(SHARD, Duration::ZERO)).await.unwrap()
}

async fn hello(from: &Process, to: &Process) -> Result<aryavarth_replication::Identity, Error> {
    let (node, address) = (from.node(), to.address());
    from.run(async move { node.hello(&address).await }).await
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_are_refused_by_name() {
    let cluster = Cluster::start(1).await;
    let member = &cluster.processes[0];
    let joining = start(cluster.config(2)).await;
    assert_eq!(hello(&joining, member).await.unwrap(), member.node().identity());
    drop(joining);

    type Change = fn(&mut NodeConfig);
    let cases: [(Change, Refusal); 4] = [
        (|config| config.secret = Secret::new("guess"), Refusal::WrongSecret),
        (|config| config.identity.cluster = ClusterId(2), Refusal::AnotherCluster),
        (|config| config.identity.incarnation = Incarnation(77), Refusal::AnotherIncarnation),
        (|config| config.identity.node = NodeId(1), Refusal::AnotherIncarnation),
    ];
    for (place, (change, expected)) in (3..).zip(cases) {
        let mut config = cluster.config(2);
        change(&mut config);
        // An address of its own, so that no earlier connection is in the way.
        config.listen = cluster.config(place).listen;
        let stranger = start(config).await;
        match hello(&stranger, member).await {
            Err(Error::Refused(refusal)) => assert_eq!(refusal, expected),
            other => panic!("{expected:?}: {other:?}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_at_an_address_is_no_refusal() {
    let cluster = Cluster::start(1).await;
    let member = &cluster.processes[0];
    let node = member.node();
    let asked = member.run(async move { node.hello("127.0.0.99:1").await }).await;
    assert!(matches!(asked, Err(Error::Unreachable { .. })), "{asked:?}");
    let node = member.node();
    let asked = member.run(async move { node.hello("no address").await }).await;
    assert!(matches!(asked, Err(Error::Unreachable { .. })), "{asked:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_member_with_a_wrong_secret_takes_no_part() {
    let mut cluster = Cluster::start(3).await;
    cluster.put("k", "1").await;
    cluster.agree().await;
    let leader = cluster.leader().await;
    let (mut config, store) = cluster.kill((leader + 1) % 3);
    config.secret = Secret::new("guess");
    let stranger = Process::start(config.clone(), store.clone()).await.unwrap();
    cluster.put("k", "2").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    let records = stranger.records();
    assert_ne!(records.get(&b"k"[..]).map(Vec::as_slice), Some(&b"2"[..]), "nothing reaches it");
    let term = cluster.processes[cluster.leader().await].group().status().leadership.term;
    assert_eq!(stranger.group().status().leadership.term, term, "it cannot raise a term either");
    drop(stranger);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wiped_node_is_refused_and_does_no_harm_to_the_leader() {
    let mut cluster = Cluster::start(3).await;
    for number in 0..20 {
        cluster.put(&format!("k{number}"), "1").await;
    }
    cluster.agree().await;
    let leader = cluster.leader().await;
    let (mut config, _) = cluster.kill((leader + 1) % 3);
    config.identity.incarnation = Incarnation(4711);
    let wiped = start(config).await;
    let node = wiped.node();
    wiped.run(async move { node.create_group(SHARD).await.unwrap() }).await;
    let member = &cluster.processes[cluster.leader().await];
    assert!(matches!(
        hello(&wiped, member).await,
        Err(Error::Refused(Refusal::AnotherIncarnation))
    ));
    cluster.put("after", "1").await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(cluster.agree().await.len(), 21);
    assert!(wiped.records().is_empty(), "the leader does not talk to it");
    assert!(member.group().is_leader());
}

fn certificates() -> (Tls, Tls) {
    let authority = || {
        let mut params = CertificateParams::new(Vec::<String>::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
    };
    let issue = |authority: &CertifiedIssuer<'_, KeyPair>| {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec!["peer.aryavarth".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, authority).unwrap();
        Tls {
            authority: authority.pem().into_bytes(),
            certificate: certificate.pem().into_bytes(),
            key: key.serialize_pem().into_bytes(),
            peer_name: Some("peer.aryavarth".into()),
        }
    };
    let (ours, theirs) = (authority(), authority());
    let mut foreign = issue(&theirs);
    // It believes our authority, but its own certificate is of another one.
    foreign.authority = ours.pem().into_bytes();
    (issue(&ours), foreign)
}

#[tokio::test(flavor = "multi_thread")]
async fn with_certificates_only_those_who_have_one_get_through() {
    let (ours, foreign) = certificates();
    let cluster = Cluster::start_with(3, Some(ours), Timing::quick()).await;
    cluster.put("k", "1").await;
    cluster.agree().await;
    let member = &cluster.processes[0];
    for (number, tls) in [(4, None), (5, Some(foreign))] {
        let stranger = start(NodeConfig { tls, ..cluster.config(number) }).await;
        let answer = hello(&stranger, member).await;
        let nowhere = matches!(answer, Err(Error::Unreachable { .. } | Error::Unanswered { .. }));
        assert!(nowhere, "{answer:?}");
    }
    let friend = start(cluster.config(6)).await;
    assert!(hello(&friend, member).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_leave_from_the_nodes_own_address() {
    let cluster = Cluster::start(3).await;
    cluster.put("k", "1").await;
    let sockets = || {
        let table = String::from_utf8(
            std::process::Command::new("cat").arg("/proc/net/tcp").output().ok()?.stdout,
        )
        .ok()?;
        let port = format!(":{:04X}", cluster.port);
        let outgoing: Vec<String> = table
            .lines()
            .filter_map(|line| {
                let mut words = line.split_whitespace().skip(1);
                let (local, remote) = (words.next()?, words.next()?);
                (remote.ends_with(&port) && words.next()? == "01").then(|| local.to_owned())
            })
            .collect();
        (!outgoing.is_empty()).then_some(outgoing)
    };
    let outgoing = eventually(sockets).await.expect("there are connections");
    for local in outgoing {
        let from = u32::from_str_radix(&local[..8], 16).unwrap().to_le_bytes();
        assert_eq!(from[..3], [127, 0, 0]);
        assert!((11..=13).contains(&from[3]), "{from:?}");
    }
}
