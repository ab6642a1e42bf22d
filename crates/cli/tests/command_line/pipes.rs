//! Readers that leave early, as `head` does, end the program quietly.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Command, Stdio};

use crate::Place;

/// A store whose listing is longer than any pipe buffers.
fn large() -> Place {
    let place = Place::new();
    let text: String = (0..20_000).map(|n| format!("{n} {}\n", "x".repeat(40))).collect();
    place.write("words.txt", text);
    place.text(&["--durability", "os", "import", "words.txt"]);
    place
}

#[test]
fn a_reader_may_leave_after_one_line() {
    let place = large();
    for arguments in [&["list", "--values"][..], &["export", "-"], &["log"], &["--json", "list"]] {
        let mut child = Command::new(crate::program())
            .arg("--dir")
            .arg(place.store())
            .args(arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::with_capacity(64, child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        assert!(!line.is_empty());
        let mut complaints = String::new();
        child.stderr.take().unwrap().read_to_string(&mut complaints).unwrap();
        assert!(child.wait().unwrap().success(), "{arguments:?}");
        assert_eq!(complaints, "", "{arguments:?}");
    }
}

#[test]
fn an_import_goes_on_when_nobody_listens() {
    let place = Place::new();
    let mut child = Command::new(crate::program())
        .arg("--dir")
        .arg(place.store())
        .args(["import", "-", "--format", "lines", "--batch", "1", "--acknowledge"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    child.stdin.take().unwrap().write_all(b"1\n2\n3\n").unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(place.text(&["count"]), "3\n");
}
