//! What a key costs.

use std::process::Command;

use super::*;

/// Adds keys until there are `keys`.
fn grow(index: &Index, keys: u64) {
    for number in index.len()..keys {
        index.writer().insert(KeyHash::of(HashSeed(9), &number.to_le_bytes()), location(number));
    }
}

#[test]
fn a_key_costs_eleven_bytes() {
    let index = Index::new();
    for keys in [1_000_000, 1_123_000] {
        grow(&index, keys);
        let bytes_a_key = index.bytes() as f64 / keys as f64;
        assert!((10.0..11.2).contains(&bytes_a_key), "{bytes_a_key} bytes a key");
    }
}

/// Bytes of memory of this process that no file backs.
fn resident() -> u64 {
    let status = format!("/proc/{}/status", std::process::id());
    let output = Command::new("grep").args(["RssAnon", &status]).output();
    let line = String::from_utf8(output.expect("there is a grep").stdout);
    let line = line.expect("the status is text");
    let kibibytes = line.split_whitespace().nth(1).and_then(|number| number.parse::<u64>().ok());
    1024 * kibibytes.expect("the line is `RssAnon: <number> kB`")
}

#[test]
#[ignore = "needs a process of its own and seconds: run it alone, in release"]
fn a_key_costs_less_than_sixteen_bytes_of_resident_memory() {
    let (before, index) = (resident(), Index::new());
    for keys in [1_000_000, 3_000_000, 10_000_000, 13_000_000] {
        grow(&index, keys);
        let bytes_a_key = (resident() - before) as f64 / keys as f64;
        println!("{keys} keys: {bytes_a_key:.2} bytes a key");
        assert!(bytes_a_key < 16.0);
    }
}
