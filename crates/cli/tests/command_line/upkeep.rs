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

const KVS1_FIRST: &str = "{\"cmd\":\"Set\",\"key\":\"a\",\"value\":\"1\"}\n\
                          {\"Set\":{\"key\":\"b\",\"value\":\"2\"}}\n";
const KVS1_SECOND: &str = "\n{\"cmd\":\"rm\",\"key\":\"b\"}\n{\"cmd\":\"Set\",\"ke";

#[test]
fn a_kvs1_directory_is_looked_at_without_converting_it() {
    let place = Place::new();
    let first = place.write("store/logs/1.log", KVS1_FIRST);
    place.write("store/logs/2.log", KVS1_SECOND);
    let lines = concat!(
        r#"{"cmd":"Set","key":"a","value":"1"}"#,
        "\n",
        r#"{"cmd":"Set","key":"b","value":"2"}"#,
        "\n",
        r#"{"cmd":"Remove","key":"b"}"#,
        "\n",
    );
    assert_eq!(place.text(&["log"]), lines);
    assert_eq!(place.text(&["log", "--limit", "2"]).lines().count(), 2);
    let physical = place.text(&["log", "--physical"]);
    let last: Value = serde_json::from_str(physical.lines().last().unwrap()).unwrap();
    let text = "{\"cmd\":\"rm\",\"key\":\"b\"}";
    assert_eq!((&last["segment"], &last["offset"]), (&json!(2), &json!(1)));
    assert_eq!((&last["sequence"], &last["length"]), (&json!(3), &json!(text.len())));
    let hex: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    assert_eq!(last["hex"], hex);
    let report = place.json(&["verify"]);
    let bytes = KVS1_FIRST.len() + KVS1_SECOND.len();
    let expected = json!({ "records": 3, "segments": 2, "bytes": bytes, "damage": [] });
    assert_eq!(report, expected);
    assert_eq!(fs::read(first).unwrap(), KVS1_FIRST.as_bytes());
    assert!(!place.path("store/kvs1-originals").exists());
    assert!(!place.path("store/logs/manifest").exists());
    assert_eq!(place.text(&["count"]), "1\n");
    assert!(place.path("store/kvs1-originals/1.log").exists());
}

#[test]
fn a_bad_kvs1_line_is_named_and_nothing_is_converted() {
    let place = Place::new();
    let text = format!("{KVS1_FIRST}{{\"cmd\":\"Set\",\"key\":\"\",\"value\":\"\"}}\nnot json\n");
    let log = place.write("store/logs/1.log", &text);
    let told = place.run(&["log"]).code(3).stderr(contains("1.log line 3"));
    assert_eq!(told.get_output().stdout.iter().filter(|byte| **byte == b'\n').count(), 2);
    let verified = place.run(&["verify"]).code(3);
    verified
        .stdout(contains("1.log line 3").and(contains("1.log line 4")))
        .stderr(contains("damage in 2 places").and(contains("mend or remove")));
    let reported = place.run(&["--json", "verify"]).code(3);
    let report: Value = serde_json::from_slice(&reported.get_output().stdout).unwrap();
    assert_eq!(
        (&report["damage"][0]["line"], &report["damage"][1]["line"]),
        (&json!(3), &json!(4))
    );
    for arguments in [&["get", "a"][..], &["export", "-"], &["export", "-", "--skip-damaged"]] {
        place.run(arguments).code(3).stdout("").stderr(contains("1.log line 3"));
    }
    assert_eq!(fs::read(&log).unwrap(), text.as_bytes());
    fs::write(&log, KVS1_FIRST).unwrap();
    assert_eq!(place.text(&["get", "b"]), "2\n");
}

#[test]
fn expired_keys_do_not_count() {
    let place = Place::new();
    place.text(&["set", "stays", "v"]);
    place.text(&["set", "later", "v", "--ttl", "1h"]);
    place.text(&["set", "gone", "v", "--ttl", "1ms"]);
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(place.text(&["count"]), "2\n");
    assert_eq!(place.text(&["count", "--prefix", ""]), "2\n");
    assert_eq!(place.json(&["stats"])["keys"], 2);
}

#[test]
fn compaction_keeps_to_a_budget() {
    let place = Place::new();
    place.write("a.tsv", format!("k\t{}\n", "v".repeat(60_000)).repeat(100));
    place.text(&["import", "a.tsv"]);
    let started = std::time::Instant::now();
    let done = place.json(&["compact", "--budget", "4MB"]);
    assert_eq!(done["segments"], 1);
    assert!(done["bytes_freed"].as_u64().unwrap() > 5_900_000, "{done}");
    // It reads 6 MB.
    assert!(started.elapsed() > std::time::Duration::from_secs(1), "{:?}", started.elapsed());
    assert_eq!(place.text(&["get", "k"]).len(), 60_001);
    place.run(&["compact", "--budget", "1kB"]).code(2).stderr(contains("at least 64KiB"));
    place.run(&["compact", "--budget", "fast"]).code(2).stderr(contains("64MiB"));
}

#[test]
fn compaction_tells_of_the_damage_it_left_alone() {
    let place = Place::new();
    place.text(&["set", "a", "1"]);
    place.text(&["set", "b", "a value that will be damaged"]);
    place.text(&["set", "a", "2"]);
    // So that opening does not read the log again.
    place.text(&["compact"]);
    place.text(&["set", "a", "3"]);
    let logs = place.path("store/logs");
    let mut damaged = 0;
    for entry in logs.read_dir().unwrap() {
        let path = entry.unwrap().path();
        let mut bytes = fs::read(&path).unwrap();
        if let Some(at) = bytes.windows(7).position(|window| window == b"damaged") {
            bytes[at] ^= 1;
            fs::write(path, bytes).unwrap();
            damaged += 1;
        }
    }
    assert_eq!(damaged, 1);
    let told = place.run(&["compact"]).code(3).stdout(contains("compacted"));
    told.stderr(contains("damage in 1 segment").and(contains("aryavarth verify")));
    assert_eq!(place.text(&["get", "a"]), "3\n");
    place.run(&["get", "b"]).code(3);
}
