//! The fuzz targets with random bytes, in every run of the tests: the same code that `fuzz/` feeds, only
//! less of it and without a guide.
//!
//! The bytes come from fixed seeds, so that a failure is there again the next time.

use aryavarth::fuzzing::{self, feed};

#[test]
fn bytes_that_are_no_record() {
    feed(20_000, 200, |bytes| assert!(!fuzzing::record(bytes)));
}

#[test]
fn bytes_that_are_no_manifest() {
    feed(20_000, 300, |bytes| assert!(!fuzzing::manifest(bytes)));
}

#[test]
fn bytes_as_a_kvs1_line() {
    feed(20_000, 100, |bytes| assert!(!fuzzing::kvs1_line(bytes)));
}

#[test]
fn parts_of_kvs1_lines_in_any_order() {
    const PARTS: [&str; 16] = [
        "{",
        "}",
        "\"cmd\":",
        "\"Set\"",
        "\"Set\":",
        "\"key\":",
        "\"a\"",
        "\"\"",
        ",",
        "\n",
        "\"value\":",
        "\"Remove\"",
        "null",
        "\\u0000",
        "{\"cmd\":\"Set\",\"key\":\"a\",\"value\":\"b\"}\n",
        "{\"Remove\":{\"key\":\"\"}}\n",
    ];
    feed(3000, 40, |bytes| {
        let text: String = bytes.iter().map(|byte| PARTS[usize::from(byte % 16)]).collect();
        fuzzing::kvs1_line(text.as_bytes());
        fuzzing::kvs1_log(text.as_bytes());
    });
}

#[test]
fn bytes_anywhere_in_the_files_of_a_store() {
    feed(400, 16, fuzzing::damaged_store);
}

#[test]
fn bytes_behind_the_last_record() {
    feed(400, 600, fuzzing::segment_tail);
}

#[test]
fn a_manifest_of_lies_with_the_right_checksum() {
    feed(1000, 12, fuzzing::manifest_file);
}

#[test]
fn a_checkpoint_with_an_entry_in_a_segment_s_header() {
    // Found by the fuzzer: the location's offset becomes 0.
    fuzzing::checkpoint_file(&[68, 1, 0]);
}

#[test]
fn a_checkpoint_of_lies_with_the_right_checksums() {
    feed(600, 60, fuzzing::checkpoint_file);
}

#[test]
fn operations_of_any_kind() {
    feed(150, 900, fuzzing::operations);
}
