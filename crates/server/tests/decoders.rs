//! The fuzz targets with random bytes, in every run of the tests: the same code that `fuzz/` feeds, only
//! less of it and without a guide.
//!
//! The bytes come from fixed seeds, so that a failure is there again the next time.
//! `ARYAVARTH_EXHAUSTIVE=1` feeds fifty times as many.

#![allow(missing_docs)]

use aryavarth::fuzzing::feed;
use aryavarth_server::fuzzing;

#[test]
fn bytes_as_requests() {
    feed(5000, 200, |bytes| _ = fuzzing::requests(bytes));
}

#[test]
fn parts_of_requests_in_any_order() {
    const PARTS: [&str; 16] = [
        "*1\r\n",
        "*2\r\n",
        "*-1\r\n",
        "*0\r\n",
        "*41\r\n",
        "$3\r\nGET\r\n",
        "$0\r\n\r\n",
        "$301\r\n",
        "$-1\r\n",
        "$1\r\n*\r\n",
        "PING\r\n",
        "a \"b\\x00\" 'c'\n",
        "\"",
        "\r",
        "\n",
        "$4\r\n",
    ];
    feed(20_000, 30, |bytes| {
        let text: String = bytes.iter().map(|byte| PARTS[usize::from(byte % 16)]).collect();
        fuzzing::requests(text.as_bytes());
    });
}

#[test]
fn conversations_of_any_kind() {
    feed(400, 600, fuzzing::conversation);
}
