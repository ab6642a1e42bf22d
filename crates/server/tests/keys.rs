//! Commands that go over all keys, on stores large enough for it to matter.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::HashSet;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use aryavarth_server::Running;
use aryavarth_server::config::{Config, Sources};
use tempfile::TempDir;

fn start(directory: &Path, durability: &str) -> Running {
    let flag = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let flags = vec![
        flag("port", "0"),
        flag("unixsocket", &directory.join("socket").display().to_string()),
        flag("dir", &directory.display().to_string()),
        flag("durability", durability),
        flag("admin-address", ""),
    ];
    let sources = Sources { flags, ..Sources::default() };
    aryavarth_server::start(Config::load(&sources).unwrap(), &sources).unwrap()
}

fn connect(directory: &Path) -> Client {
    let stream = UnixStream::connect(directory.join("socket")).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
    Client(BufReader::new(stream))
}

/// A client that knows only inline requests and short replies.
struct Client(BufReader<UnixStream>);

impl Client {
    fn send(&mut self, requests: &[u8]) {
        self.0.get_mut().write_all(requests).unwrap();
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    /// The first line of the reply to a command.
    fn call(&mut self, command: &str) -> String {
        self.send(format!("{command}\r\n").as_bytes());
        self.line()
    }

    /// An array of short strings, in whose place a number may stand.
    fn strings(&mut self) -> Vec<String> {
        let header = self.line();
        let count: usize =
            header.strip_prefix('*').unwrap_or_else(|| panic!("{header}")).parse().unwrap();
        (0..count).map(|_| self.string()).collect()
    }

    fn string(&mut self) -> String {
        assert!(self.line().starts_with('$'));
        self.line()
    }

    /// One step of `SCAN`: the next cursor and the keys.
    fn scan(&mut self, cursor: &str, options: &str) -> (String, Vec<String>) {
        assert_eq!(self.call(&format!("SCAN {cursor} {options}")), "*2");
        (self.string(), self.strings())
    }

    /// Sets `key 0` to `key COUNT`, less one.
    fn fill(&mut self, count: usize) {
        const STEP: usize = 1000;
        for first in (0..count).step_by(STEP) {
            let pairs: String =
                (first..count.min(first + STEP)).map(|n| format!(" key:{n} {n}")).collect();
            assert_eq!(self.call(&format!("MSET{pairs}")), "+OK");
        }
    }
}

fn stop(running: Running) {
    running.server().end();
    running.wait().unwrap();
}

#[test]
fn a_million_keys_go_at_once() {
    const KEYS: usize = 1_000_000;
    let directory = TempDir::new().unwrap();
    let running = start(directory.path(), "always");
    let mut client = connect(directory.path());
    client.fill(KEYS);
    assert_eq!(client.call("DBSIZE"), format!(":{KEYS}"));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        // Others go on meanwhile; what they write afterwards stays.
        scope.spawn(|| {
            let mut other = connect(directory.path());
            while !over.load(Ordering::Relaxed) {
                assert_eq!(other.call("SET other:1 x"), "+OK");
                assert_eq!(other.call("PING"), "+PONG");
            }
            assert_eq!(other.call("SET other:2 x"), "+OK");
        });
        assert_eq!(client.call("FLUSHALL"), "+OK");
        assert_eq!(client.call("EXISTS key:0 key:999999"), ":0");
        over.store(true, Ordering::Relaxed);
    });
    assert_eq!(client.call("DEL other:1 other:2"), ":2");
    assert_eq!(client.call("DBSIZE"), ":0");
    client.send(b"KEYS *\r\n");
    assert_eq!(client.strings(), [""; 0]);
    stop(running);
    let running = start(directory.path(), "always");
    assert_eq!(connect(directory.path()).call("DBSIZE"), ":0");
    stop(running);
}

#[test]
fn keys_of_several_batches_go_too() {
    // Keys of 60000 bytes: 1900 of them are more than one batch takes.
    let directory = TempDir::new().unwrap();
    let running = start(directory.path(), "os");
    let mut client = connect(directory.path());
    for number in 0..1900 {
        let key = format!("{number:060000}");
        let request = format!("*3\r\n$3\r\nSET\r\n$60000\r\n{key}\r\n$1\r\nx\r\n");
        client.send(request.as_bytes());
        assert_eq!(client.line(), "+OK");
    }
    client.send(b"MULTI\r\nFLUSHALL\r\nSET a 1\r\nEXEC\r\n");
    let answers: Vec<String> = (0..6).map(|_| client.line()).collect();
    assert_eq!(answers[3], "*2");
    assert!(answers[4].starts_with("-ERR there are more keys"), "{}", answers[4]);
    assert_eq!(answers[5], "+OK");
    assert_eq!(client.call("DBSIZE"), ":1901");
    assert_eq!(client.call("FLUSHALL"), "+OK");
    assert_eq!(client.call("DBSIZE"), ":0");
    stop(running);
}

#[test]
fn a_scan_shows_whatever_stays() {
    let directory = TempDir::new().unwrap();
    let running = start(directory.path(), "os");
    let (mut client, mut other) = (connect(directory.path()), connect(directory.path()));
    client.fill(5000);
    for options in ["", "COUNT 3000", "MATCH key:* COUNT 100"] {
        let (mut seen, mut cursor, mut calls) = (HashSet::new(), "0".to_owned(), 0);
        loop {
            let (next, keys) = client.scan(&cursor, options);
            seen.extend(keys);
            calls += 1;
            // Every other key from 2500 on comes and goes.
            let number = 2500 + calls * 2 % 2500;
            assert!(["+OK", ":0", ":1"].contains(&&*other.call(&format!("DEL key:{number}"))));
            assert_eq!(other.call(&format!("SET new:{calls} x")), "+OK");
            if next == "0" {
                break;
            }
            cursor = next;
        }
        let missed: Vec<usize> =
            (0..2500).filter(|number| !seen.contains(&format!("key:{number}"))).collect();
        assert_eq!(missed, [0; 0], "with {options:?}");
    }
    stop(running);
}

#[test]
fn wait_aof_syncs_what_was_written() {
    for durability in ["os", "interval:1h", "always"] {
        let directory = TempDir::new().unwrap();
        let running = start(directory.path(), durability);
        let mut client = connect(directory.path());
        for _ in 0..20 {
            client.send(b"SET a 1\r\nWAITAOF 1 0 0\r\nWAITAOF 0 0 0\r\n");
            let answers: Vec<String> = (0..7).map(|_| client.line()).collect();
            assert_eq!(answers, ["+OK", "*2", ":1", ":0", "*2", ":1", ":0"], "{durability}");
        }
        stop(running);
    }
}
