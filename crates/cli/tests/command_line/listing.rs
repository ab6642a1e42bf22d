//! `list`, `count` and `stats`.

use serde_json::Value;

use crate::Place;

fn sorted(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}

fn three() -> Place {
    let place = Place::new();
    place.text(&["set", "a:1", "one"]);
    place.text(&["set", "a:2", "two\tlines\n"]);
    place.text(&["set", "b", "three"]);
    place
}

#[test]
fn keys_are_listed() {
    let place = three();
    assert_eq!(sorted(&place.text(&["list"])), ["a:1", "a:2", "b"]);
    assert_eq!(sorted(&place.text(&["list", "--prefix", "a:"])), ["a:1", "a:2"]);
    assert_eq!(place.text(&["list", "--prefix", "b", "--values"]), "b\tthree\n");
    assert_eq!(place.text(&["list", "--prefix", "a:2", "--values"]), "a:2\ttwo\\tlines\\n\n");
    assert_eq!(place.text(&["list", "--limit", "2"]).lines().count(), 2);
    assert_eq!(place.text(&["list", "--limit", "0"]), "");
    assert_eq!(place.text(&["list", "--prefix", "YQ==", "--key-base64", "--limit", "9"]).len(), 8);
}

#[test]
fn keys_are_listed_as_json_lines() {
    let place = three();
    let text = place.text(&["--json", "list", "--values"]);
    let entries: Vec<Value> =
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(entries.len(), 3);
    let two = entries.iter().find(|entry| entry["key"] == "a:2").unwrap();
    assert_eq!(two["value"], "two\tlines\n");
    assert_eq!(place.json(&["list", "--prefix", "b"]).get("value"), None);
}

#[test]
fn keys_are_counted() {
    let place = three();
    assert_eq!(place.text(&["count"]), "3\n");
    assert_eq!(place.text(&["count", "--prefix", "a:"]), "2\n");
    assert_eq!(place.text(&["count", "--prefix", "z"]), "0\n");
    assert_eq!(place.json(&["count"])["count"], 3);
    place.text(&["rm", "b"]);
    assert_eq!(place.text(&["count"]), "2\n");
}

#[test]
fn stats_are_told() {
    let place = three();
    let stats = place.json(&["stats"]);
    assert_eq!(stats["keys"], 3);
    assert!(stats["segments"].as_u64().unwrap() >= 1);
    assert!(stats["log_bytes"].as_u64().unwrap() > 0);
    let text = place.text(&["stats"]);
    assert!(text.starts_with("keys"), "{text}");
}
