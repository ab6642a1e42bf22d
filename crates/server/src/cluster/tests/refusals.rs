//! Who is refused, and that the refusal says why.
#![expect(clippy::disallowed_methods, reason = "a test meddles with files")]

use std::fs;

use aryavarth::KvStore;

use super::harness::{Place, eventually, found};
use crate::cluster::card::{Card, FILE};
use crate::cluster::{NodeError, Start};

fn refused(place: &mut Place, start: Start) -> String {
    match place.start(start) {
        Ok(running) => eventually("it is refused", || running.ended()),
        Err(error) => error.to_string(),
    }
}

fn joining(member: &Place) -> Start {
    Start::Join { member: member.peer.to_string() }
}

#[test]
fn who_does_not_belong_is_refused_by_name() {
    let mut first = Place::new();
    first.start(found()).unwrap();

    let mut stranger = Place::new();
    stranger.secret = "open barley";
    let why = refused(&mut stranger, joining(&first));
    assert!(why.contains("secrets differ"), "{why}");

    let mut full = Place::new();
    let store = KvStore::open(full.directory.path()).unwrap();
    store.set("k", "v").unwrap();
    store.close().unwrap();
    let why = refused(&mut full, joining(&first));
    assert!(why.contains("keys"), "{why}");

    let mut same = Place::new();
    same.client = first.client;
    let why = refused(&mut same, joining(&first));
    assert!(why.contains("is the address of node 1"), "{why}");

    // Of another cluster, though the secret is the same: it is not heard.
    let mut other = Place::new();
    other.start(found()).unwrap();
    let address = other.peer.to_string();
    let greeting = first.running().member().node.hello(&address);
    let why = first.running().node.handle().block_on(greeting).unwrap_err().to_string();
    assert!(why.contains("another cluster"), "{why}");
}

#[test]
fn a_directory_that_has_lost_something_is_refused() {
    let mut place = Place::new();
    place.start(found()).unwrap();
    place.kill();

    // Its card without its store.
    let mut wiped = Place::new();
    fs::copy(place.directory.path().join(FILE), wiped.directory.path().join(FILE)).unwrap();
    match wiped.start(Start::Resume) {
        Err(NodeError::LostStore { node, .. }) => assert_eq!(node.0, 1),
        other => panic!("{:?}", other.map(|_| ())),
    }
    // Its store without its card.
    fs::remove_file(place.directory.path().join(FILE)).unwrap();
    for start in [Start::Resume, found(), Start::Join { member: "127.0.0.1:1".into() }] {
        let why = refused(&mut place, start);
        assert!(why.contains(FILE), "{why}");
    }
}

fn copy(from: &Place) -> Place {
    let to = Place::new();
    let mut folders = vec![from.directory.path().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let target =
                to.directory.path().join(path.strip_prefix(from.directory.path()).unwrap());
            if path.is_dir() {
                fs::create_dir_all(&target).unwrap();
                folders.push(path);
            } else {
                fs::copy(&path, &target).unwrap();
            }
        }
    }
    to
}

#[test]
fn two_processes_are_not_one_node() {
    let mut first = Place::new();
    first.start(found()).unwrap();
    let mut second = Place::new();
    second.join(&first);
    let id = second.id();
    second.kill();
    let mut twin = copy(&second);
    second.start(Start::Resume).unwrap();
    // It finds the other where the node is noted.
    let why = refused(&mut twin, Start::Resume);
    assert!(why.contains("runs at") && why.contains("copied"), "{why}");
    // If it did not look there, others find it out.
    fs::remove_file(twin.directory.path().join("cluster.topology")).unwrap();
    let card = Card::read(&twin.home()).unwrap().unwrap();
    assert_eq!(Card::read(&second.home()).unwrap().unwrap(), card);
    let topology = first.running().topology();
    let mut elsewhere = topology.as_ref().clone();
    let (client, peer) = (twin.client.to_string(), twin.peer.to_string());
    let moved = aryavarth_cluster::Change::SetAddresses {
        node: id,
        client: client.parse().unwrap(),
        peer: peer.parse().unwrap(),
    };
    elsewhere.apply(&moved).unwrap();
    crate::cluster::saved::write(&twin.home(), &elsewhere);
    let started = twin.start(Start::Resume).map(drop);
    // Who was there first stays; but on a busy machine it may have been silent for so long that it counts as gone.
    let ended = || [&second, &twin].map(|place| place.running().ended()).into_iter().flatten();
    let why = match started {
        Ok(()) => {
            let why = eventually("one of them is refused", || ended().next());
            assert_eq!(ended().count(), 1, "both are refused");
            why
        }
        Err(error) => error.to_string(),
    };
    assert!(why.contains("another process"), "{why}");
}
