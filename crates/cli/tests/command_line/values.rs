//! `set`, `get` and `rm`.

use std::thread::sleep;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::Place;

const EVERY_BYTE: [u8; 256] = {
    let mut bytes = [0; 256];
    let mut i = 0;
    while i < 256 {
        bytes[i] = i as u8;
        i += 1;
    }
    bytes
};

#[test]
fn a_value_is_printed_as_a_line() {
    let place = Place::new();
    assert_eq!(place.text(&["set", "username", "john"]), "");
    assert_eq!(place.text(&["get", "username"]), "john\n");
    assert_eq!(place.text(&["get", "--raw", "username"]), "john");
    assert_eq!(place.text(&["set", "username", ""]), "");
    assert_eq!(place.text(&["get", "username"]), "\n");
    assert_eq!(place.text(&["rm", "username"]), "");
    place.run(&["get", "username"]).code(1).stdout("").stderr("Key not found\n");
    place.run(&["rm", "username"]).code(1).stdout("").stderr("Key not found\n");
}

#[test]
fn the_directory_may_come_from_the_environment_or_be_the_current_one() {
    let place = Place::new();
    let store = place.store();
    place.text(&["set", "k", "v"]);
    crate::aryavarth().env("ARYAVARTH_DIR", &store).args(["get", "k"]).assert().stdout("v\n");
    crate::aryavarth().current_dir(&store).args(["get", "k"]).assert().stdout("v\n");
    assert!(store.join("logs").is_dir());
}

#[test]
fn values_come_from_standard_input_and_files_byte_for_byte() {
    let place = Place::new();
    place.aryavarth(&["set", "in", "-"]).write_stdin(EVERY_BYTE).assert().success();
    let file = place.write("file", EVERY_BYTE);
    place.text(&["set", "file", "--file", file.to_str().unwrap()]);
    for key in ["in", "file"] {
        let raw = place.run(&["get", key, "--raw"]).success();
        assert_eq!(raw.get_output().stdout, EVERY_BYTE);
        assert_eq!(place.text(&["get", key, "--output", "copy"]), "");
        assert_eq!(place.read("copy"), EVERY_BYTE);
    }
    let left: Vec<_> = place.directory.path().read_dir().unwrap().collect();
    assert_eq!(left.len(), 3, "no temporary files: {left:?}");
    place.run(&["set", "k", "--file", "absent"]).code(6);
}

#[test]
fn output_may_be_a_device() {
    let place = Place::new();
    place.text(&["set", "k", "v"]);
    place.run(&["get", "k", "--output", "/dev/stdout"]).success().stdout("v");
}

#[test]
fn keys_may_be_any_bytes() {
    let place = Place::new();
    place.text(&["set", "--key-base64", "AP8K", "v"]);
    assert_eq!(place.text(&["get", "--key-base64", "AP8K"]), "v\n");
    let entry = place.json(&["get", "--key-base64", "AP8K"]);
    assert_eq!(entry["key_base64"], "AP8K");
    assert_eq!(entry["value"], "v");
    assert_eq!(entry.get("key"), None);
    assert_eq!(place.text(&["rm", "--key-base64", "AP8K"]), "");
    place.run(&["get", "--key-base64", "?"]).code(2);
    place.text(&["set", "-5", "-6"]);
    assert_eq!(place.text(&["get", "-5"]), "-6\n");
    place.text(&["set", "--", "--key", "--value"]);
    assert_eq!(place.text(&["get", "--", "--key"]), "--value\n");
}

#[cfg(unix)]
#[test]
fn arguments_need_not_be_utf8() {
    use std::os::unix::ffi::OsStrExt as _;
    let place = Place::new();
    let bytes = std::ffi::OsStr::from_bytes(b"\xff\xfe");
    place.aryavarth(&["set"]).args([bytes, bytes]).assert().success();
    let raw = place.aryavarth(&["get", "--raw"]).arg(bytes).assert().success();
    assert_eq!(raw.get_output().stdout, b"\xff\xfe");
    assert_eq!(place.json(&["get", "--key-base64", "//4="])["value_base64"], "//4=");
}

#[test]
fn a_key_goes_when_its_time_is_over() {
    let place = Place::new();
    place.text(&["set", "short", "v", "--ttl", "1ms"]);
    place.text(&["set", "long", "v", "--ttl", "1h"]);
    place.text(&["set", "ever", "v"]);
    sleep(Duration::from_millis(20));
    place.run(&["get", "short"]).code(1);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_millis() as u64;
    let expires_at = place.json(&["get", "long"])["expires_at"].as_u64().unwrap();
    assert!((now + 3_500_000..=now + 3_600_000).contains(&expires_at), "{expires_at} {now}");
    assert_eq!(place.json(&["get", "ever"])["expires_at"], json!(null));
    place.run(&["set", "k", "v", "--ttl", "10"]).code(2);
}

#[test]
fn conditions_are_kept() {
    let place = Place::new();
    place.run(&["set", "k", "v", "--if-present"]).code(8);
    assert!(!place.store().exists());
    place.text(&["set", "k", "1", "--if-absent"]);
    place.run(&["set", "k", "2", "--if-absent"]).code(1).stderr("Key already there\n");
    assert_eq!(place.text(&["get", "k"]), "1\n");
    place.text(&["set", "k", "3", "--if-present"]);
    assert_eq!(place.text(&["get", "k"]), "3\n");
    place.run(&["set", "x", "v", "--if-present"]).code(1).stderr("Key not found\n");
    place.run(&["set", "k", "v", "--if-present", "--if-absent"]).code(2);
}

#[test]
fn several_keys_are_removed_at_once() {
    let place = Place::new();
    for key in ["a", "b", "c"] {
        place.text(&["set", key, "v"]);
    }
    place.run(&["rm", "a", "x", "b", "y"]).code(1).stderr("Key not found: x, y\n");
    assert_eq!(place.text(&["list"]), "c\n");
}

#[test]
fn json_shows_the_version_of_a_value() {
    let place = Place::new();
    place.text(&["set", "k", "1"]);
    let first = place.json(&["get", "k"]);
    place.text(&["set", "k", "2"]);
    let second = place.json(&["get", "k"]);
    assert_eq!((&first["key"], &first["value"]), (&json!("k"), &json!("1")));
    assert!(second["version"].as_u64() > first["version"].as_u64());
    assert_eq!(place.json(&["get", "k", "--output", "f"])["bytes"], 1);
    for durability in ["always", "os", "interval:5", "interval:1s"] {
        place.text(&["--durability", durability, "set", "k", durability]);
        assert_eq!(place.text(&["get", "k"]), format!("{durability}\n"));
    }
}
