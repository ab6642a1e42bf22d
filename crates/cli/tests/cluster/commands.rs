//! The command line, as a client of a cluster: any node's address will do.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Stdio};
use std::time::Duration;

use crate::nodes::Cluster;

/// What a command prints, if it succeeds.
fn print(cluster: &Cluster, node: usize, words: &[&str]) -> String {
    let output = cluster.command(node, words).output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{words:?}: {errors}");
    String::from_utf8(output.stdout).unwrap()
}

/// What the prompt prints for lines that are piped into it.
fn converse(cluster: &Cluster, node: usize, lines: &str) -> String {
    let mut command = cluster.command(node, &["cli"]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(lines.as_bytes()).unwrap();
    String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap()
}

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

#[test]
fn a_command_finds_its_keys_whichever_node_it_is_sent_to() {
    let cluster = Cluster::start(3, 3);
    cluster.await_spread();
    let names = || (0..12).map(|number| format!("key:{number}"));
    for (number, name) in names().enumerate() {
        print(&cluster, number % 3, &["set", &name, &number.to_string()]);
    }
    for (number, name) in names().enumerate() {
        let value = print(&cluster, (number + 1) % 3, &["get", &name]);
        assert_eq!(value.trim(), number.to_string());
    }
    print(&cluster, 1, &["set", "soon", "gone", "--ttl", "1h"]);
    assert_eq!(print(&cluster, 0, &["count"]).trim(), "13");
    assert_eq!(print(&cluster, 0, &["count", "--prefix", "key:"]).trim(), "12");
    let mut all: Vec<String> = names().collect();
    all.sort_unstable();
    for node in 0..3 {
        assert_eq!(
            sorted(&print(&cluster, node, &["list", "--prefix", "key:"])),
            all,
            "node {node}"
        );
    }
    let some: Vec<String> = names().take(6).collect();
    let words: Vec<&str> = ["rm"].into_iter().chain(some.iter().map(String::as_str)).collect();
    print(&cluster, 2, &words);
    assert_eq!(print(&cluster, 1, &["count"]).trim(), "7");
    // One of them is not there any more, the other goes.
    let output = cluster.command(0, &["rm", "key:0", "key:6"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("key:0"));
    let said = converse(&cluster, 0, "SET a 1\nINCR b\nINCR b\nGET a\nGET key:7\nDEL a\n");
    assert_eq!(said.lines().collect::<Vec<_>>(), ["OK", "1", "2", "1", "7", "1"]);
}

fn import(cluster: &Cluster, node: usize, file: &Path) -> Child {
    let words = ["import", "--batch", "200", file.to_str().unwrap()];
    cluster.command(node, &words).stderr(Stdio::piped()).spawn().unwrap()
}

#[test]
fn a_file_is_imported_into_all_shards_while_their_leaders_change() {
    const RECORDS: usize = 40_000;
    let cluster = Cluster::start(3, 4);
    let directory = tempfile::tempdir().unwrap();
    let (file, copy) = (directory.path().join("in.tsv"), directory.path().join("out.tsv"));
    // Some keys come twice: the later value is to stay.
    let line = |number: usize| format!("key:{}\tvalue {number}\n", number % (RECORDS - 500));
    std::fs::write(&file, (0..RECORDS).map(line).collect::<String>()).unwrap();
    let ids: Vec<String> = (0..3).map(|node| cluster.id(node).to_string()).collect();
    let mut importing = import(&cluster, 1, &file);
    let mut transfers = 0;
    for id in ids.iter().cycle() {
        if importing.try_wait().unwrap().is_some() {
            break;
        }
        // On a busy machine one may take too long.
        let (code, _) = cluster.operate(0, &["transfer", "all", id]);
        transfers += usize::from(code == Some(0));
        std::thread::sleep(Duration::from_millis(500));
    }
    let output = importing.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "after {transfers} transfers: {said}");
    assert!(transfers > 0, "it was over before anything changed");
    print(&cluster, 2, &["export", copy.to_str().unwrap()]);
    let exported = std::fs::read_to_string(&copy).unwrap();
    let expected: String = (500..RECORDS).map(line).collect();
    assert_eq!(sorted(&exported), sorted(&expected));
}
