//! The fuzz targets with random bytes, in every run of the tests: the same code that `fuzz/` feeds, only
//! less of it and without a guide.
//!
//! The bytes come from fixed seeds, so that a failure is there again the next time.
//! `ARYAVARTH_EXHAUSTIVE=1` feeds fifty times as many.

#![allow(missing_docs)]

use aryavarth_server::fuzzing;

/// A generator small enough to be seen through: xorshift.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, most: usize) -> Vec<u8> {
        let length = self.next() as usize % (most + 1);
        (0..length).map(|_| (self.next() >> 32) as u8).collect()
    }
}

/// Feeds a target; panics with the seed of what it could not stand.
fn feed(times: u64, most: usize, target: impl Fn(&[u8])) {
    let factor = if std::env::var_os("ARYAVARTH_EXHAUSTIVE").is_some() { 50 } else { 1 };
    for seed in 1..=times * factor {
        let bytes = Random(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15)).bytes(most);
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| target(&bytes)));
        assert!(outcome.is_ok(), "seed {seed}: {} bytes {}", bytes.len(), bytes.escape_ascii());
    }
}

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
