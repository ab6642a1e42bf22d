//! Directories that have lost something, were copied or belong elsewhere: each is refused by the process
//! that is started with it, with a text that names the reason, and nobody who is in comes to harm.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::client::{Connection, Reply};
use crate::load::Load;
use crate::nodes::{Cluster, PATIENCE};

/// The exit code of a node that may not run.
const REFUSED: Option<i32> = Some(14);
/// That of a command that has waited long enough.
const LATE: Option<i32> = Some(6);

/// Runs a process to its end: its exit code, and what it said.
fn end(command: &mut Command) -> (Option<i32>, String) {
    let mut process = command.stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while process.try_wait().unwrap().is_none() && begun.elapsed() < PATIENCE {
        std::thread::sleep(Duration::from_millis(20));
    }
    // If it did not end by itself, it has no exit code.
    let _ = process.kill();
    let output = process.wait_with_output().unwrap();
    (output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

fn assert_refused(command: &mut Command, why: &[&str]) {
    let (code, said) = end(command);
    assert!(why.iter().all(|why| said.contains(why)), "{why:?}: {said}");
    assert_eq!(code, REFUSED, "{said}");
}

fn copy(from: &Path, to: &Path) {
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}

#[test]
fn a_node_whose_disk_was_wiped_does_not_go_on_under_its_id() {
    let mut cluster = Cluster::start(3, 4);
    let load = Load::start(&cluster);
    load.await_more(300);
    cluster.kill(1);
    let store = cluster.store(1);
    let (client, peer) = (cluster.address(1).to_owned(), cluster.peer(1).to_owned());
    // Its log is lost, and who it is is not.
    std::fs::remove_dir_all(store.join("logs")).unwrap();
    assert_refused(&mut cluster.serve(&store, &client, &peer), &["its log was lost", "--lost"]);
    // All is lost: it would be another node at the same address.
    std::fs::remove_dir_all(&store).unwrap();
    let mut command = cluster.serve(&store, &client, &peer);
    assert_refused(command.args(["--join", cluster.peer(0)]), &["is the address of node"]);
    // What the texts advise.
    let status = cluster.status(0).unwrap();
    let nodes = status["nodes"].as_array().unwrap();
    let wiped = nodes.iter().find(|node| node["client"] == client.as_str()).unwrap();
    let words = ["CLUSTER", "REMOVE", &wiped["id"].to_string(), "LOST"];
    let begun = Instant::now();
    loop {
        match Connection::open(cluster.address(0)).unwrap().ask(&words).unwrap() {
            Reply::Text(_) => break,
            // It was heard a moment ago.
            Reply::Error(error) => assert!(error.contains("so it is not lost"), "{error}"),
            other => panic!("{other:?}"),
        }
        assert!(begun.elapsed() < PATIENCE, "a node that is gone is not taken for lost");
        std::thread::sleep(Duration::from_millis(100));
    }
    cluster.await_status(0, "a lost node is not given up", |status| {
        status["nodes"].as_array().unwrap().iter().any(|node| node["state"] == "gone")
    });
    let _ = std::fs::remove_dir_all(&store);
    cluster.run(1);
    load.judge(&cluster);
}

#[test]
fn two_processes_are_not_one_node() {
    let mut cluster = Cluster::start(3, 4);
    let load = Load::start(&cluster);
    load.await_more(300);
    assert_eq!(cluster.stop(2), Some(0), "{}", cluster.said(2));
    let twin = cluster.store(2).with_extension("twin");
    copy(&cluster.store(2), &twin);
    cluster.run(2);
    load.await_more(300);
    // Elsewhere, under the same id, with a log that ends before.
    let elsewhere = Cluster::plan(1, 4);
    let mut command = cluster.serve(&twin, elsewhere.address(0), elsewhere.peer(0));
    assert_refused(&mut command, &["runs at", "copied"]);
    load.await_more(300);
    load.judge(&cluster);
}

#[test]
fn a_node_of_another_cluster_is_not_heard() {
    let mut cluster = Cluster::start(3, 4);
    let mut other = Cluster::start(1, 4);
    let load = Load::start(&cluster);
    load.await_more(300);
    // One of another cluster comes to be where others look for one of this cluster.
    cluster.kill(2);
    assert_eq!(other.stop(0), Some(0), "{}", other.said(0));
    let mut command = cluster.serve(&other.store(0), other.address(0), cluster.peer(2));
    let mut stranger = command.stderr(Stdio::null()).spawn().unwrap();
    load.await_more(300);
    let begun = Instant::now();
    while cluster.has_said(0, "another cluster") == 0 {
        assert!(begun.elapsed() < PATIENCE, "{}", cluster.said(0));
        std::thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(stranger.try_wait().unwrap(), None, "it goes on by itself");
    stranger.kill().unwrap();
    stranger.wait().unwrap();
    cluster.run(2);
    load.judge(&cluster);
}

/// A node of no cluster, at a place of `elsewhere`, whose secret nobody shares.
fn without_the_secret(elsewhere: &Cluster) -> Command {
    let store = elsewhere.store(0);
    let secret = store.with_extension("secret");
    std::fs::write(&secret, "open barley, which nobody else says").unwrap();
    let mut command = elsewhere.serve(&store, elsewhere.address(0), elsewhere.peer(0));
    command.arg("--cluster-secret-file").arg(&secret);
    command
}

#[test]
fn a_node_without_the_secret_gets_nowhere() {
    let cluster = Cluster::start(1, 4);
    let elsewhere = Cluster::plan(1, 4);
    let mut command = without_the_secret(&elsewhere);
    command.args(["--join", cluster.peer(0)]);
    assert_refused(&mut command, &["secrets differ"]);
}

#[test]
fn whoever_adds_a_node_without_the_secret_is_told_that_it_was_refused() {
    let cluster = Cluster::start(1, 4);
    let elsewhere = Cluster::plan(1, 4);
    let address = elsewhere.address(0);
    let waiting = without_the_secret(&elsewhere).stderr(Stdio::piped()).spawn().unwrap();
    let begun = Instant::now();
    while Connection::open(address).is_err() {
        assert!(begun.elapsed() < PATIENCE, "it does not wait to be added");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (code, said) = cluster.operate(0, &["add", address]);
    assert_eq!(code, REFUSED, "{said}");
    let reason = format!("{address} has ended, or was refused: see what it logs");
    assert!(said.contains(&reason), "{said}");
    // And there it is.
    let output = waiting.wait_with_output().unwrap();
    let logged = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), REFUSED, "{logged}");
    assert!(logged.contains("secrets differ"), "{logged}");
    assert_eq!(cluster.status(0).unwrap()["nodes"].as_array().unwrap().len(), 1);
}

#[test]
fn whoever_adds_a_node_that_is_not_let_in_in_time_is_told_so_and_it_joins_later() {
    let mut cluster = Cluster::start(3, 4);
    // Nobody can let anybody in.
    (1..3).for_each(|node| cluster.kill(node));
    let elsewhere = Cluster::plan(1, 4);
    let address = elsewhere.address(0);
    let mut command = elsewhere.serve(&elsewhere.store(0), address, elsewhere.peer(0));
    let mut waiting = command.stderr(Stdio::null()).spawn().unwrap();
    let begun = Instant::now();
    while Connection::open(address).is_err() {
        assert!(begun.elapsed() < PATIENCE, "it does not wait to be added");
        std::thread::sleep(Duration::from_millis(20));
    }
    let (code, said) = cluster.operate(0, &["add", address, "--within", "1s"]);
    assert_eq!(code, LATE, "{said}");
    assert!(said.contains(&format!("{address} has not joined within 1s")), "{said}");
    (1..3).for_each(|node| cluster.run(node));
    cluster.await_status(0, "it does not go on trying", |status| {
        let mut nodes = status["nodes"].as_array().unwrap().iter();
        nodes.any(|node| node["client"] == address && node["state"] == "active")
    });
    waiting.kill().unwrap();
    waiting.wait().unwrap();
}
