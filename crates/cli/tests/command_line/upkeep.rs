//! `verify`, `compact`, `backup`, `restore`, `log`, `bench`, `completions`; KVS1 directories.

use std::fs;

use predicates::prelude::PredicateBooleanExt as _;
use predicates::str::contains;
use serde_json::{Value, json};

use crate::Place;

#[test]
fn an_intact_store_is_verified() {
    let place = Place::new();
    place.text(&["set", "a", "1"]);
    place.text(&["set", "b", "2"]);
    place.run(&["verify"]).success().stdout(contains("all intact"));
    let report = place.json(&["verify"]);
    assert!(report["records"].as_u64().unwrap() >= 2);
    assert_eq!(report["damage"], json!([]));
}

#[test]
fn compaction_keeps_what_is_there() {
    let place = Place::new();
    let text: String =
        (0..200).map(|n| format!("key{}\t{n}{}\n", n % 10, "x".repeat(500))).collect();
    place.write("a.tsv", text);
    place.text(&["import", "a.tsv"]);
    let before = place.text(&["export", "-"]);
    place.run(&["compact"]).success().stdout(contains("compacted"));
    assert_eq!(place.text(&["export", "-"]), before);
    assert!(place.json(&["compact"])["bytes_freed"].is_u64());
    assert_eq!(place.text(&["count"]), "10\n");
}

#[test]
fn a_backup_is_restored() {
    let place = Place::new();
    place.text(&["set", "k", "v"]);
    place.run(&["backup", "copy"]).success().stdout(contains("backed up"));
    place.run(&["backup", "copy"]).code(10);
    place.text(&["set", "k", "later"]);
    place.run(&["restore", "copy"]).code(10);
    assert_eq!(place.text(&["get", "k"]), "later\n");

    let restored = place.path("restored");
    let dir = ["--dir", restored.to_str().unwrap()];
    let restore = [&dir[..], &["--json", "restore", "copy"]].concat();
    let done =
        crate::aryavarth().current_dir(place.directory.path()).args(restore).assert().success();
    let report: Value = serde_json::from_slice(&done.get_output().stdout).unwrap();
    assert!(report["segments"].is_u64() && report["bytes"].is_u64());
    crate::aryavarth().args(dir).args(["get", "k"]).assert().success().stdout("v\n");
    assert!(place.json(&["backup", "second"])["bytes"].as_u64().unwrap() > 0);
}

#[test]
fn the_log_is_printed_as_json_lines() {
    let place = Place::new();
    place.text(&["set", "k", "1"]);
    place.text(&["set", "k", "2"]);
    place.text(&["rm", "k"]);
    place.text(&["set", "--key-base64", "/w==", "v"]);
    let log = concat!(
        r#"{"cmd":"Set","key":"k","value":"1"}"#,
        "\n",
        r#"{"cmd":"Set","key":"k","value":"2"}"#,
        "\n",
        r#"{"cmd":"Remove","key":"k"}"#,
        "\n",
        r#"{"cmd":"Set","key_base64":"/w==","value":"v"}"#,
        "\n",
    );
    assert_eq!(place.text(&["log"]), log);
    assert_eq!(place.text(&["log", "--limit", "1"]).lines().count(), 1);
    assert_eq!(place.text(&["log", "--limit", "0"]), "");

    let other = place.path("other");
    let import = ["--dir", other.to_str().unwrap(), "import", "-"];
    crate::aryavarth().args(import).write_stdin(log).assert().success();
    crate::aryavarth().args(["--dir", other.to_str().unwrap(), "count"]).assert().stdout("1\n");
}

#[test]
fn the_physical_log_shows_the_bytes_on_disk() {
    let place = Place::new();
    place.text(&["set", "k", "value in the log"]);
    let text = place.text(&["log", "--physical", "--limit", "1"]);
    let record: Value = serde_json::from_str(&text).unwrap();
    let field = |name: &str| record[name].as_u64().unwrap();
    let hex = record["hex"].as_str().unwrap();
    assert_eq!(hex.len() as u64, 2 * field("length"));
    let bytes: Vec<u8> = (0..hex.len() / 2)
        .map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).unwrap())
        .collect();
    let segment = place.store().join(format!("logs/{:010}.log", field("segment")));
    let file = fs::read(segment).unwrap();
    let at = field("offset") as usize;
    assert_eq!(file[at..at + bytes.len()], bytes);
    assert_eq!(field("sequence"), 1);
    assert_eq!(record["batch"], "single");
}

#[test]
fn a_kvs1_directory_is_read() {
    let place = Place::new();
    place.write(
        "store/logs/1.log",
        "{\"cmd\":\"Set\",\"key\":\"a\",\"value\":\"1\"}\n\
         {\"Set\":{\"key\":\"b\",\"value\":\"2\"}}\n",
    );
    place.write("store/logs/2.log", "{\"cmd\":\"rm\",\"key\":\"b\"}\n{\"cmd\":\"Set\",\"ke");
    assert_eq!(place.text(&["get", "a"]), "1\n");
    assert_eq!(place.text(&["list"]), "a\n");
    place.text(&["set", "c", "3"]);
    assert_eq!(place.text(&["count"]), "2\n");
}

#[test]
fn the_machine_is_measured_and_left_clean() {
    let place = Place::new();
    fs::create_dir(place.store()).unwrap();
    let quick = ["bench", "--keys", "500", "--time", "20ms", "--threads", "2", "--value", "64"];
    let text = place.text(&quick);
    for row in ["synced sets", "load", "gets", "open"] {
        assert!(text.lines().any(|line| line.starts_with(row)), "{text}");
    }
    let report = place.json(&quick);
    assert!(report["store"]["synced_sets_per_second"].as_f64().unwrap() > 0.0);
    assert!(report["machine"]["syncs_per_second"].as_f64().unwrap() > 0.0);
    assert!(report["ratio"]["load_to_bandwidth"].as_f64().unwrap() > 0.0);
    assert_eq!(place.store().read_dir().unwrap().count(), 0);
}

#[test]
fn shells_are_completed() {
    let place = Place::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        place
            .run(&["completions", shell])
            .success()
            .stdout(contains("aryavarth").and(contains("import")).and(contains("skip-damaged")));
    }
    assert!(!place.store().exists());
}
