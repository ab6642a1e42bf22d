//! Bits that turn over on the disks of nodes: never answered, and mended from the other nodes.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::client::{Client, Connection, Outcome, Reply};
use crate::load::Load;
use crate::nodes::{Cluster, PATIENCE};

const KEYS: usize = 60;
/// The exit codes of a node that may not run, and of a store that is damaged.
const REFUSED: Option<i32> = Some(14);
const DAMAGED: Option<i32> = Some(3);
/// What a node says once its next start is not to read a damaged place.
const SPARED: &str = "the next start does not read what is damaged there";

fn key(number: usize) -> String {
    format!("key <{number}>")
}

fn value(number: usize) -> String {
    format!("value <{number}> {}", "x".repeat(100))
}

fn set(client: &mut Client, number: usize, value: &str) {
    await_that("a key is not written", || {
        let outcome = client.ask(&["SET", &key(number), value]);
        matches!(outcome, Outcome::Answered(Reply::Text(_)))
    });
}

fn write(cluster: &Cluster) {
    let mut client = Client::new(cluster.addresses());
    (0..KEYS).for_each(|number| set(&mut client, number, &value(number)));
    // All replicas have them.
    for node in 0..3 {
        await_read(cluster, node);
    }
}

fn await_that(what: &str, mut is: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is() {
        assert!(begun.elapsed() < PATIENCE, "{what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// What a node itself has of a key.
fn read(cluster: &Cluster, node: usize, number: usize) -> Option<Reply> {
    let mut connection = Connection::open(cluster.address(node)).ok()?;
    connection.ask(&["READONLY"]).ok()?;
    connection.ask(&["GET", &key(number)]).ok()
}

/// Waits until a node itself has all keys, and never has another value.
fn await_read(cluster: &Cluster, node: usize) {
    await_keys(cluster, node, 0..KEYS);
}

fn await_keys(cluster: &Cluster, node: usize, numbers: Range<usize>) {
    for number in numbers {
        await_that(&format!("node {node} does not have {}", key(number)), || {
            match read(cluster, node, number) {
                Some(Reply::Bytes(bytes)) => {
                    assert_eq!(bytes, value(number).as_bytes());
                    true
                }
                _ => false,
            }
        });
    }
}

/// Turns over a bit of these bytes in the log of a node.
fn rot(cluster: &Cluster, node: usize, bytes: &str) {
    let (path, place) = find(&cluster.store(node).join("logs"), bytes);
    let file = File::options().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, place).unwrap();
    file.write_all_at(&[byte[0] ^ 1], place).unwrap();
}

fn find(folder: &Path, bytes: &str) -> (PathBuf, u64) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let contents = std::fs::read(&path).unwrap();
        let place = contents.windows(bytes.len()).position(|part| part == bytes.as_bytes());
        if let Some(place) = place {
            return (path, place as u64);
        }
    }
    panic!("{bytes} is not in {}", folder.display());
}

/// The id of a node.
/// Has a node lead all shards, now and whatever the balance.
fn let_lead(cluster: &Cluster, node: usize) {
    let id = cluster.id(node).to_string();
    await_that("it does not lead", || {
        let mut connection = Connection::open(cluster.address(node)).unwrap();
        matches!(connection.ask(&["CLUSTER", "TRANSFER", "ALL", &id]), Ok(Reply::Text(_)))
    });
}

#[test]
fn the_scrub_finds_what_rots_and_has_it_mended() {
    let mut cluster = Cluster::plan(3, 4).with(&["--scrub-period", "1s"]).begun();
    write(&cluster);
    let load = Load::start(&cluster);
    load.await_more(200);
    // On every node, so that leaders and followers are among them.
    for number in 0..12 {
        rot(&cluster, number % 3, &value(number));
    }
    for node in 0..3 {
        await_that(&format!("node {node} does not mend: {}", cluster.said(node)), || {
            cluster.has_said(node, "was mended from another replica") >= 4
        });
        await_read(&cluster, node);
    }
    load.await_more(200);
    // What rotted is not in the way of the next start.
    for node in 0..3 {
        cluster.kill(node);
        cluster.run(node);
        cluster.await_whole();
        assert_eq!(cluster.has_said(node, "the store is damaged"), 0, "{}", cluster.said(node));
    }
    load.judge(&cluster);
}

#[test]
fn what_rots_and_nobody_needs_is_not_in_the_way_of_the_next_start() {
    let mut cluster = Cluster::plan(3, 4).with(&["--scrub-period", "1s"]).begun();
    write(&cluster);
    let load = Load::start(&cluster);
    load.await_more(200);
    let mut client = Client::new(cluster.addresses());
    let ids: Vec<u64> = (0..3).map(|node| cluster.id(node)).collect();
    // Overwritten, and removed: what stood there, and what says that it is gone.
    (0..3).for_each(|number| set(&mut client, number, "another"));
    (3..6).for_each(|number| {
        let words = ["DEL", &key(number)];
        await_that("a key is not removed", || matches!(client.ask(&words), Outcome::Answered(_)));
    });
    load.await_more(200);
    for node in 0..3 {
        rot(&cluster, node, &value(node));
        rot(&cluster, node, &value(3 + node));
        await_that(&format!("node {node} is not spared: {}", cluster.said(node)), || {
            // They are in one segment: what spares the next start one of them spares it both.
            cluster.has_said(node, SPARED) > 0
        });
    }
    for (node, id) in ids.into_iter().enumerate() {
        cluster.kill(node);
        cluster.run(node);
        cluster.await_whole();
        assert_eq!(cluster.id(node), id, "{}", cluster.said(node));
        await_keys(&cluster, node, 6..KEYS);
        for (number, is) in (0..3).map(|n| (n, true)).chain((3..6).map(|n| (n, false))) {
            await_that("a node does not have what was written", || {
                match read(&cluster, node, number) {
                    Some(Reply::Bytes(bytes)) => {
                        assert!(is && bytes == b"another", "{number}: {bytes:?}");
                        true
                    }
                    Some(Reply::None) => !is,
                    _ => false,
                }
            });
        }
    }
    load.judge(&cluster);
}

#[test]
fn a_read_that_meets_damage_is_told_and_the_next_one_is_answered() {
    let cluster = Cluster::plan(3, 4).with(&["--scrub-period", "0s"]).begun();
    write(&cluster);
    let leader = 1;
    let_lead(&cluster, leader);
    rot(&cluster, leader, &value(7));
    let mut connection = Connection::open(cluster.address(leader)).unwrap();
    // A handover that was decided on before it was made to lead may still come.
    await_that("the damage is not told", || match connection.ask(&["GET", &key(7)]).unwrap() {
        Reply::Error(error) => error.starts_with("IOERR "),
        // It came while the answer was on its way, which then told where to go instead.
        Reply::Bytes(bytes) if cluster.has_said(leader, "that was read is damaged") > 0 => {
            assert_eq!(bytes, value(7).as_bytes());
            true
        }
        other => panic!("{other:?}"),
    });
    let mut client = Client::new(cluster.addresses());
    await_that("the key is not mended", || match client.ask(&["GET", &key(7)]) {
        Outcome::Answered(Reply::Bytes(bytes)) => {
            assert_eq!(bytes, value(7).as_bytes());
            true
        }
        _ => false,
    });
    await_read(&cluster, leader);
}

#[test]
fn a_node_that_cannot_open_its_store_is_replaced_once_the_others_allow_it() {
    let mut cluster = Cluster::start(3, 4);
    write(&cluster);
    let load = Load::start(&cluster);
    load.await_more(200);
    let id = cluster.id(1);
    cluster.kill(1);
    rot(&cluster, 1, &value(20));
    // Two of three are away: nobody may give up anything.
    cluster.kill(2);
    cluster.run(1);
    await_that("it does not ask the others", || cluster.has_said(1, "not let in yet") > 0);
    assert!(cluster.store(1).join("logs").exists());
    cluster.run(2);
    cluster.await_whole();
    let aside = aside(&cluster, 1, id);
    assert!(aside.join("logs").exists() && aside.join("cluster.toml").exists());
    cluster.await_status(0, "the old node is not forgotten", |status| {
        let nodes = status["nodes"].as_array().unwrap();
        nodes.len() == 3 && nodes.iter().all(|node| node["id"] != id)
    });
    await_read(&cluster, 1);
    load.await_more(200);
    load.judge(&cluster);
    // It is a node like any other from here on.
    cluster.kill(1);
    cluster.run(1);
    cluster.await_whole();
}

#[test]
fn damage_that_hides_a_key_ends_the_node_and_its_next_start_replaces_it() {
    let mut cluster = Cluster::plan(3, 4).with(&["--scrub-period", "1s"]).begun();
    write(&cluster);
    let load = Load::start(&cluster);
    load.await_more(200);
    rot(&cluster, 2, &key(33));
    assert_eq!(cluster.await_end(2), REFUSED, "{}", cluster.said(2));
    assert!(cluster.has_said(2, "cannot be mended in place") > 0, "{}", cluster.said(2));
    // Told not to be replaced, it is what it was again, and its store is.
    let mut command = cluster.serve(&cluster.store(2), cluster.address(2), cluster.peer(2));
    let mut stopped = command.args(["--on-damage", "stop"]).stderr(Stdio::null()).spawn().unwrap();
    let mut opens = false;
    await_that("it neither serves nor ends", || {
        let reply = read(&cluster, 2, 33);
        opens = matches!(&reply, Some(Reply::Error(error)) if error.starts_with("IOERR "));
        assert!(matches!(reply, None | Some(Reply::Error(_))), "{reply:?}");
        // It ends if it ended before its next start was spared the damage.
        opens || stopped.try_wait().unwrap().is_some_and(|status| status.code() == DAMAGED)
    });
    let _ = stopped.kill();
    stopped.wait().unwrap();
    let card = std::fs::read_to_string(cluster.store(2).join("cluster.toml")).unwrap();
    assert!(card.contains("phase = \"member\""), "{card}");
    cluster.run(2);
    if opens {
        // Allowed to be replaced again, it is.
        assert_eq!(cluster.await_end(2), REFUSED, "{}", cluster.said(2));
        cluster.run(2);
    }
    cluster.await_whole();
    await_read(&cluster, 2);
    load.await_more(200);
    load.judge(&cluster);
}

/// Where a node keeps the damaged store that it had under an id.
fn aside(cluster: &Cluster, node: usize, id: u64) -> PathBuf {
    cluster.store(node).join(format!("damaged-node-{id}"))
}

#[test]
fn of_two_nodes_whose_damage_hides_keys_of_a_shard_one_is_replaced_after_the_other() {
    let mut cluster = Cluster::plan(3, 1).with(&["--scrub-period", "1s"]).begun();
    write(&cluster);
    let load = Load::start(&cluster);
    load.await_more(200);
    let damaged = [(1, cluster.id(1)), (2, cluster.id(2))];
    rot(&cluster, 1, &key(33));
    rot(&cluster, 2, &key(44));
    await_that("they are not replaced", || {
        let ended: Vec<usize> = (0..3).filter(|node| cluster.has_ended(*node)).collect();
        assert!(ended.len() <= 1, "at once: {ended:?}");
        if let Some(node) = ended.first() {
            // All shards serve without it.
            load.await_all_written(PATIENCE);
            assert_eq!(cluster.await_end(*node), REFUSED, "{}", cluster.said(*node));
            cluster.run(*node);
        }
        damaged.iter().all(|(node, id)| aside(&cluster, *node, *id).exists())
    });
    cluster.await_whole();
    (0..3).for_each(|node| await_read(&cluster, node));
    load.await_more(200);
    load.judge(&cluster);
}

#[test]
fn a_node_whose_damage_hides_a_key_serves_until_the_others_can_do_without_it() {
    let mut cluster = Cluster::plan(3, 1).with(&["--scrub-period", "1s"]).begun();
    write(&cluster);
    let load = Load::start(&cluster);
    load.await_more(200);
    let id = cluster.id(1);
    let away = cluster.id(2);
    cluster.kill(2);
    cluster.await_status(1, "it is not missed", |status| {
        let nodes = status["nodes"].as_array().unwrap();
        nodes.iter().any(|node| node["id"] == away && node["sight"] != "reachable")
    });
    rot(&cluster, 1, &key(33));
    let waits = "the node waits to be replaced, and serves on";
    await_that("it does not wait", || cluster.has_said(1, waits) > 0);
    // It is one of two that the shard cannot do without; what is damaged there is no value, and not nothing.
    load.await_all_written(PATIENCE);
    await_keys(&cluster, 1, 0..33);
    await_keys(&cluster, 1, 34..KEYS);
    for _ in 0..20 {
        let reply = read(&cluster, 1, 33);
        assert!(matches!(&reply, Some(Reply::Error(e)) if e.starts_with("IOERR ")), "{reply:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!cluster.has_ended(1), "{}", cluster.said(1));
    // Killed, it is the same again: its store opens, as nothing there has to be read.
    await_that("it is not spared", || cluster.has_said(1, SPARED) > 0);
    cluster.kill(1);
    cluster.run(1);
    load.await_all_written(PATIENCE);
    await_keys(&cluster, 1, 34..KEYS);
    let reply = read(&cluster, 1, 33);
    assert!(matches!(&reply, Some(Reply::Error(e)) if e.starts_with("IOERR ")), "{reply:?}");
    assert_eq!(cluster.has_said(1, "not let in yet"), 0, "{}", cluster.said(1));
    // What it cannot apply it keeps, and votes on: all other keys are written as before.
    let mut client = Client::new(cluster.addresses());
    set(&mut client, 33, &value(33));
    await_that("it is not met", || cluster.has_said(1, "it is not applied") > 0);
    load.await_all_written(PATIENCE);
    cluster.run(2);
    assert_eq!(cluster.await_end(1), REFUSED, "{}", cluster.said(1));
    cluster.run(1);
    cluster.await_whole();
    assert!(aside(&cluster, 1, id).exists());
    (0..3).for_each(|node| await_read(&cluster, node));
    load.judge(&cluster);
}

#[test]
fn what_nobody_else_has_is_not_given_up() {
    for settings in [&["--on-damage", "replace"], &["--on-damage", "stop"]] {
        let mut cluster = Cluster::plan(1, 2).with(settings).begun();
        let mut client = Client::new(cluster.addresses());
        for number in 0..KEYS {
            client.ask(&["SET", &key(number), &value(number)]);
        }
        cluster.kill(0);
        let card = std::fs::read(cluster.store(0).join("cluster.toml")).unwrap();
        rot(&cluster, 0, &value(20));
        let (client, peer) = (cluster.address(0).to_owned(), cluster.peer(0).to_owned());
        let mut command = cluster.serve(&cluster.store(0), &client, &peer);
        let output = command.stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), DAMAGED, "{said}");
        assert!(said.contains("damage in "), "{said}");
        assert_eq!(said.contains("has the only replica"), settings[1] == "replace", "{said}");
        assert_eq!(std::fs::read(cluster.store(0).join("cluster.toml")).unwrap(), card);
        assert!(cluster.store(0).join("logs").exists());
    }
}

/// Values that nobody reads any more, and that a node which was away has to be sent all the same.
#[test]
fn entries_that_rotted_where_they_are_sent_from_are_sent_from_another_replica() {
    let mut cluster = Cluster::plan(3, 4).with(&["--scrub-period", "0s"]).begun();
    write(&cluster);
    cluster.kill(2);
    let mut client = Client::new(cluster.addresses());
    let earlier = |number: usize| format!("earlier <{number}>");
    (0..KEYS).for_each(|number| set(&mut client, number, &earlier(number)));
    (0..KEYS).for_each(|number| set(&mut client, number, &value(number)));
    // They forget what they have of it in memory.
    for node in 0..2 {
        cluster.stop(node);
        cluster.run(node);
    }
    (20..30).for_each(|number| rot(&cluster, 0, &earlier(number)));
    let_lead(&cluster, 0);
    cluster.run(2);
    cluster.await_whole();
    (0..3).for_each(|node| await_read(&cluster, node));
    let met = "entries that a follower needs are damaged here";
    assert!(cluster.has_said(0, met) > 0, "{}", cluster.said(0));
    // No replica has stopped: each takes what is written from here on.
    let later = KEYS..2 * KEYS;
    later.clone().for_each(|number| set(&mut client, number, &value(number)));
    (0..3).for_each(|node| await_keys(&cluster, node, later.clone()));
}
