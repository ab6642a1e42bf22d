//! Exit codes, and how failures are told.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::{Child, Command, Stdio};

use predicates::str::contains;
use serde_json::json;

use crate::{Place, error};

#[test]
fn the_help_has_the_exit_codes() {
    let place = Place::new();
    place.run(&["--help"]).success().stdout(contains("Exit codes")).stdout(contains("not_found"));
    place.run(&["--version"]).success().stdout(contains("aryavarth 0."));
    place.run(&["set", "--help"]).success().stdout(contains("--if-absent"));
}

#[test]
fn a_wrong_command_line_is_code_2() {
    let place = Place::new();
    let wrong: [&[&str]; 8] = [
        &[],
        &["frobnicate"],
        &["set", "k"],
        &["set", "k", "v", "--file", "f"],
        &["get"],
        &["rm"],
        &["--durability", "sometimes", "get", "k"],
        &["get", "k", "--raw", "--json"],
    ];
    for arguments in wrong {
        place.run(arguments).code(2).stdout("");
    }
    let told = place.run(&["--json", "set", "k"]).code(2).stdout("");
    assert_eq!(error(&told)["kind"], "usage");
    place.text(&["set", "k", "v"]);
    place.run(&["--durability", "interval:0", "get", "k"]).code(2);
}

#[test]
fn without_a_store_nothing_is_made() {
    let place = Place::new();
    let reading: [&[&str]; 12] = [
        &["get", "k"],
        &["rm", "k"],
        &["list"],
        &["count"],
        &["stats"],
        &["verify"],
        &["compact"],
        &["backup", "copy"],
        &["export", "out.jsonl"],
        &["log"],
        &["set", "k", "v", "--if-present"],
        &["export", "-", "--skip-damaged"],
    ];
    let empty = place.path("empty");
    fs::create_dir(&empty).unwrap();
    for dir in [place.store(), empty.clone()] {
        for arguments in reading {
            let dir = dir.to_str().unwrap();
            let mut command = crate::aryavarth();
            command.current_dir(place.directory.path()).args(["--dir", dir]).args(arguments);
            let no_store = command.assert();
            no_store.code(8).stdout("").stderr(contains(format!("no store in {dir}")));
        }
    }
    assert!(!place.store().exists());
    assert_eq!(empty.read_dir().unwrap().count(), 0);
    assert_eq!(place.directory.path().read_dir().unwrap().count(), 1);
    place.run(&["restore", "absent"]).code(8);
    assert!(!place.store().exists());
}

#[test]
fn errors_are_told_for_people_or_as_json() {
    let place = Place::new();
    let told = place.run(&["get", "k"]);
    let dir = place.store().display().to_string();
    told.stderr(format!(
        "aryavarth: no store in {dir}; check the directory\n\
         hint: `aryavarth --dir {dir} set KEY VALUE` makes one\n"
    ));
    let told = place.run(&["get", "k", "--json"]);
    let expected = json!({
        "kind": "no_store",
        "message": format!("no store in {dir}; check the directory"),
        "hint": format!("`aryavarth --dir {dir} set KEY VALUE` makes one"),
    });
    assert_eq!(error(&told), expected);
    place.text(&["set", "k", "v"]);
    let told = place.run(&["--json", "get", "x"]).code(1);
    assert_eq!(error(&told), json!({ "kind": "not_found", "message": "Key not found" }));
}

/// A process that has the store open until it is dropped.
struct Holder(Child);

impl Holder {
    fn of(place: &Place) -> Holder {
        let mut child = Command::new(crate::program())
            .arg("--dir")
            .arg(place.store())
            .args(["import", "-", "--batch", "1", "--acknowledge"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let line = b"{\"cmd\":\"Set\",\"key\":\"k\",\"value\":\"v\"}\n";
        child.stdin.as_mut().unwrap().write_all(line).unwrap();
        let mut acknowledged = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut acknowledged).unwrap();
        assert_eq!(acknowledged, "1\n");
        Holder(child)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        self.0.wait().unwrap();
    }
}

#[test]
fn a_store_in_use_names_the_process() {
    let place = Place::new();
    let holder = Holder::of(&place);
    let pid = format!("process {}", holder.0.id());
    for arguments in [&["get", "k"][..], &["set", "k", "w"], &["verify"], &["import", "/dev/null"]]
    {
        place.run(arguments).code(4).stdout("").stderr(contains(&pid));
    }
    assert_eq!(error(&place.run(&["--json", "list"]).code(4))["kind"], "locked");
    drop(holder);
    assert_eq!(place.text(&["get", "k"]), "v\n");
}

/// Changes one byte of the first record that holds `bytes`.
fn damage(place: &Place, bytes: &[u8]) {
    for entry in place.store().join("logs").read_dir().unwrap() {
        let path = entry.unwrap().path();
        let mut file = fs::read(&path).unwrap();
        if let Some(at) = file.windows(bytes.len()).position(|window| window == bytes) {
            file[at] ^= 1;
            fs::write(&path, file).unwrap();
            return;
        }
    }
    panic!("not found in any file");
}

#[test]
fn damage_is_code_3_and_the_rest_can_be_saved() {
    // Every record is read when the store is opened, so it cannot be.
    damage_is_told_and_the_rest_saved(0, Checkpoint::Absent);
    // Records are read only when they are asked for.
    damage_is_told_and_the_rest_saved(100_000, Checkpoint::Present);
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Checkpoint {
    Present,
    Absent,
}

fn damage_is_told_and_the_rest_saved(padding: usize, checkpoint: Checkpoint) {
    let place = Place::new();
    let padding = "x".repeat(padding);
    let line = |n: usize| format!("key{n}\tvalue-of-{n}-end{padding}\n");
    place.write("a.tsv", (0..100).map(line).collect::<String>());
    place.text(&["import", "a.tsv", "--batch", "1"]);
    let present = place.store().join("logs/checkpoint").exists();
    assert_eq!(present, checkpoint == Checkpoint::Present);
    damage(&place, b"value-of-50-end");

    place.run(&["verify"]).code(3).stdout(contains("offset")).stderr(contains("1 place"));
    let told = place.run(&["--json", "verify"]).code(3);
    let report: serde_json::Value = serde_json::from_slice(&told.get_output().stdout).unwrap();
    assert_eq!(report["damage"].as_array().unwrap().len(), 1);
    assert!(report["damage"][0]["offset"].is_u64());
    assert_eq!(error(&told)["kind"], "damage");
    match checkpoint {
        Checkpoint::Present => place.run(&["get", "key1"]).success(),
        Checkpoint::Absent => place.run(&["get", "key1"]).code(3),
    };
    place.run(&["get", "key50"]).code(3).stdout("");

    place.run(&["export", "all.tsv"]).code(3).stderr(contains("--skip-damaged"));
    assert!(!place.path("all.tsv").exists());
    place.run(&["export", "rest.tsv", "--skip-damaged"]).code(3).stderr(contains("warning"));
    let rest: String = (0..100).filter(|n| *n != 50).map(line).collect();
    assert!(place.read("rest.tsv") == rest.as_bytes());
    let saved = place.run(&["--json", "export", "more.tsv", "--skip-damaged"]).code(3);
    assert_eq!(saved.get_output().stdout, b"{\"damaged\":1,\"records\":99}\n");
}
