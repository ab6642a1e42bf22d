//! `import` and `export`.

use predicates::str::contains;
use serde_json::{Value, json};

use crate::{Place, error};

/// A file that is imported into an empty store comes back byte for byte.
fn comes_back(name: &str, bytes: &[u8], more: &[&str]) {
    let place = Place::new();
    place.write(name, bytes);
    place.run(&[&["import", name, "--batch", "3"], more].concat()).success().stderr("");
    let back = format!("back-{name}");
    place.run(&[&["export", &back], more].concat()).success().stderr("");
    assert!(place.read(&back) == bytes, "{name} came back changed");
}

#[test]
fn jsonl_comes_back() {
    let text = concat!(
        r#"{"cmd":"Set","key":"k","value":"v"}"#,
        "\n",
        r#"{"cmd":"Set","key":"a","value":""}"#,
        "\n",
        r#"{"cmd":"Set","key_base64":"/w==","value_base64":"AP8="}"#,
        "\n",
        r#"{"cmd":"Set","key":"clé","value":"tab\tquote\"\n","expires_at":4102444800000}"#,
        "\n",
        r#"{"cmd":"Set","key":"0","value":"\u0000"}"#,
        "\n",
    );
    comes_back("file.jsonl", text.as_bytes(), &[]);
    comes_back("file.json", text.as_bytes(), &[]);
    comes_back("file.txt", text.as_bytes(), &["--format", "jsonl"]);
}

#[test]
fn tsv_comes_back() {
    comes_back("file.tsv", b"k\tv\nempty\t\n\\t\\n\t\\r\\\\\nbytes\t\xff\x00\x01\n", &[]);
}

#[test]
fn lines_come_back() {
    let mut text = b"first\n\n\xff\xfe not text\n  spaces \r\n".to_vec();
    text.extend_from_slice(&b"x".repeat(3 << 20));
    text.push(b'\n');
    for number in 0..2000 {
        text.extend_from_slice(format!("line {number}\n").as_bytes());
    }
    comes_back("words.txt", &text, &[]);
    comes_back("words.jsonl", &text, &["--format", "lines"]);
}

#[test]
fn a_missing_last_newline_is_added() {
    let place = Place::new();
    place.write("a.txt", "one\ntwo");
    assert_eq!(place.text(&["import", "a.txt"]), "imported 2 records\n");
    assert_eq!(place.text(&["get", "2"]), "two\n");
    assert_eq!(place.text(&["export", "b.txt"]), "exported 2 records\n");
    assert_eq!(place.read("b.txt"), b"one\ntwo\n");
}

#[test]
fn standard_streams_are_jsonl() {
    let place = Place::new();
    let text = "{\"set\":{\"key\":\"a\",\"value\":\"1\"}}\n\n\
                {\"cmd\":\"SET\",\"key\":\"b\",\"value\":\"2\"}\n{\"cmd\":\"rm\",\"key\":\"a\"}\n";
    place.aryavarth(&["import", "-"]).write_stdin(text).assert().success();
    assert_eq!(place.text(&["export", "-"]), "{\"cmd\":\"Set\",\"key\":\"b\",\"value\":\"2\"}\n");
    assert_eq!(place.text(&["export", "-", "--format", "tsv"]), "b\t2\n");
    let both = place.run(&["--json", "export", "-"]).success();
    let report: Value = serde_json::from_slice(&both.get_output().stderr).unwrap();
    assert_eq!(report, json!({ "records": 1, "damaged": 0 }));
}

#[test]
fn everything_moves_to_another_store() {
    let place = Place::new();
    place.text(&["set", "--key-base64", "/wA=", "binary key"]);
    place.text(&["set", "soon", "gone", "--ttl", "1h"]);
    place.aryavarth(&["set", "bytes", "-"]).write_stdin([0, 255, 10, 13]).assert().success();
    place.text(&["export", "all.jsonl"]);
    let other = place.path("other");
    let import = ["--dir", other.to_str().unwrap(), "import", "all.jsonl"];
    crate::aryavarth().current_dir(place.directory.path()).args(import).assert().success();
    let export = ["--dir", other.to_str().unwrap(), "export", "-"];
    let out = crate::aryavarth().args(export).assert().success();
    assert_eq!(out.get_output().stdout, place.read("all.jsonl"));
}

#[test]
fn batches_are_acknowledged() {
    let place = Place::new();
    place.write("a.txt", "1\n2\n3\n4\n5\n");
    let import = ["import", "a.txt", "--batch", "2", "--acknowledge"];
    assert_eq!(place.text(&import), "2\n4\n5\n");
    let lines = place.text(&[&["--json"], &import[..]].concat());
    let objects: Vec<Value> = lines.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    assert_eq!(objects[0], json!({ "acknowledged": 2 }));
    assert_eq!(objects[3], json!({ "records": 5, "batches": 3 }));
    place.run(&["import", "a.txt", "--batch", "0"]).code(2);
}

#[test]
fn a_bad_line_is_named_and_what_is_before_it_is_stored() {
    let place = Place::new();
    place.write("a.tsv", "a\t1\nb\t2\nc 3\nd\t4\n");
    let refused = "a.tsv:3: expected a key, one tab and a value";
    place.run(&["import", "a.tsv"]).code(9).stdout("").stderr(contains(refused));
    assert_eq!(place.text(&["count"]), "2\n");
    place.write("a.jsonl", "{\"cmd\":\"Set\",\"key\":\"a\",\"value\":1}\n");
    let refused = place.run(&["--json", "import", "a.jsonl"]).code(9);
    let error = error(&refused);
    assert_eq!(error["kind"], "input");
    let message = error["message"].as_str().unwrap();
    assert!(message.contains("a.jsonl:1: \"value\" is a number"), "{message}");
    assert!(message.ends_with("stored what is before it: 0 records"), "{message}");
}

#[test]
fn keys_out_of_bounds_are_bad_lines() {
    let place = Place::new();
    place.write("empty.tsv", "\tv\n");
    place.run(&["import", "empty.tsv"]).code(9).stderr(contains("empty.tsv:1: the key is 0 bytes"));
    place.write("long.tsv", format!("{}\tv\n", "k".repeat(70_000)));
    place.run(&["import", "long.tsv"]).code(9).stderr(contains("the key is 70000 bytes"));
    place.run(&["set", "", "v"]).code(9);
}

#[test]
fn a_failed_import_or_export_leaves_files_alone() {
    let place = Place::new();
    place.run(&["import", "absent.txt"]).code(6).stderr(contains("cannot open absent.txt"));
    assert!(!place.store().exists());
    place.text(&["set", "k", "two\nlines"]);
    place.write("out.txt", "precious");
    place.run(&["export", "out.txt"]).code(9).stderr(contains("use jsonl or tsv"));
    assert_eq!(place.read("out.txt"), b"precious");
    place.run(&["export", "absent/out.tsv"]).code(6);
}
