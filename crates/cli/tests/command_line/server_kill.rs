//! A server that is killed under load, again and again on the same directory: what was acknowledged is
//! there, nothing was done twice, no value is one that nobody wrote, transactions are whole.
//!
//! ```text
//!  clients ── INCR, SET, DEL, MULTI … EXEC, one by one and many at once ──▶ aryavarth serve
//!     │ replies counted                                                        ▲
//!     └──▶ so many? ── kill -9 ────────────────────────────────────────────────┘
//!  start again, ask for every key, compare with what the clients know; and again
//! ```
//!
//! After how many replies it is killed is fixed for each round; which requests that hits is up to the
//! threads. `ARYAVARTH_EXHAUSTIVE=1` kills it a hundred times.

use std::collections::VecDeque;
use std::io::{self, BufRead, BufReader, ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::Place;

/// Requests that each client has under way at once.
const DEPTHS: [usize; 5] = [1, 1, 8, 64, 300];
const COUNTERS: u64 = 3;
const SLOTS: u64 = 20;
/// How long what should come at once may take.
const PATIENCE: Duration = Duration::from_secs(60);

// --- the server ---

struct Server {
    child: Child,
    socket: PathBuf,
}

impl Server {
    /// Starts a server on the store of `place` and waits until it takes connections.
    fn start(place: &Place, settings: &[&str]) -> Server {
        let socket = place.path("socket");
        let child = Command::new(crate::program())
            .arg("serve")
            .arg("--dir")
            .arg(place.store())
            .arg("--unixsocket")
            .arg(&socket)
            .args(["--port", "0", "--admin-address", "", "--io-threads", "2"])
            .args(["--log-level", "warn", "--log-format", "json"])
            .args(settings)
            .env_remove("ARYAVARTH_EXHAUSTIVE")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Server { child, socket };
        let begun = Instant::now();
        while UnixStream::connect(&server.socket).is_err() {
            assert_eq!(server.child.try_wait().unwrap(), None, "the server ended by itself");
            assert!(begun.elapsed() < PATIENCE, "the server does not listen");
            std::thread::sleep(Duration::from_millis(2));
        }
        server
    }

    fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Asks it to end, as an operator would; its exit code.
    fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args(["-TERM", &pid]).status().unwrap().success());
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(begun.elapsed() < PATIENCE, "the server does not end");
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // A test that failed leaves no server behind.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

// --- a connection ---

#[derive(Debug, PartialEq, Eq)]
enum Reply {
    Line(String),
    Bulk(Option<Vec<u8>>),
    Array(Vec<Reply>),
}

struct Connection {
    stream: UnixStream,
    reader: BufReader<UnixStream>,
}

impl Connection {
    fn open(socket: &Path) -> io::Result<Connection> {
        let stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Connection { reader: BufReader::new(stream.try_clone()?), stream })
    }

    fn reply(&mut self) -> io::Result<Reply> {
        let mut line = String::new();
        self.reader.read_line(&mut line)?;
        // A line that is cut was not said.
        let Some(line) = line.strip_suffix("\r\n") else {
            return Err(ErrorKind::UnexpectedEof.into());
        };
        let number = || line[1..].parse::<usize>().unwrap();
        Ok(match &line[..1] {
            "$" if line == "$-1" => Reply::Bulk(None),
            "$" => {
                let mut bytes = vec![0; number() + 2];
                self.reader.read_exact(&mut bytes)?;
                bytes.truncate(number());
                Reply::Bulk(Some(bytes))
            }
            "*" => Reply::Array((0..number()).map(|_| self.reply()).collect::<io::Result<_>>()?),
            "+" | ":" => Reply::Line(line.to_owned()),
            _ => panic!("{line}"),
        })
    }

    fn get(&mut self, key: &str) -> Option<Vec<u8>> {
        let mut request = Vec::new();
        write_request(&mut request, &[b"GET", key.as_bytes()]);
        self.stream.write_all(&request).unwrap();
        match self.reply().unwrap() {
            Reply::Bulk(value) => value,
            other => panic!("{other:?}"),
        }
    }
}

fn write_request(into: &mut Vec<u8>, words: &[&[u8]]) {
    into.extend_from_slice(format!("*{}\r\n", words.len()).as_bytes());
    for word in words {
        into.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        into.extend_from_slice(word);
        into.extend_from_slice(b"\r\n");
    }
}

// --- what is written ---

/// How far something got: the last number acknowledged, and the last that was sent.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    acknowledged: u64,
    tried: u64,
}

impl Progress {
    /// Takes over what was found, if it can be.
    fn settle(&mut self, found: u64, what: &str) {
        let possible = self.acknowledged..=self.tried;
        assert!(possible.contains(&found), "{what} is {found}, possible is {possible:?}");
        *self = Progress { acknowledged: found, tried: found };
    }
}

/// What a client knows of its own keys, which nobody else writes.
#[derive(Clone, Debug, Default)]
struct Known {
    steps: u64,
    counters: [Progress; COUNTERS as usize],
    slots: [Progress; SLOTS as usize],
    pair: Progress,
}

/// A request under way.
#[derive(Clone, Copy, Debug)]
enum Sent {
    Counter(u64),
    Slot(u64, u64),
    Pair(u64),
}

fn counter(client: usize, number: u64) -> String {
    format!("counter:{client}:{number}")
}

fn slot(client: usize, number: u64) -> String {
    format!("slot:{client}:{number}")
}

/// The value that is set under a key with a number: both, and bytes that follow from them.
fn value(key: &str, number: u64) -> Vec<u8> {
    let mut value = format!("{key} {number} ").into_bytes();
    let mut state = key.bytes().fold(number + 1, |state, byte| state * 31 + u64::from(byte));
    for _ in 0..number * 37 % 900 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        value.push(state as u8);
    }
    value
}

/// Whether the write with this number removes the key instead.
fn removes(number: u64) -> bool {
    number % 5 == 4
}

impl Known {
    /// Writes the next request and notes that it was tried. A transaction is four.
    fn next(&mut self, client: usize, into: &mut Vec<u8>) -> Sent {
        self.steps += 1;
        let step = self.steps;
        match step % 4 {
            0 | 1 => {
                let number = step % COUNTERS;
                self.counters[number as usize].tried += 1;
                write_request(into, &[b"INCR", counter(client, number).as_bytes()]);
                Sent::Counter(number)
            }
            2 => {
                let at = step / 4 % SLOTS;
                let progress = &mut self.slots[at as usize];
                progress.tried += 1;
                let (key, number) = (slot(client, at), progress.tried);
                if removes(number) {
                    write_request(into, &[b"DEL", key.as_bytes()]);
                } else {
                    write_request(into, &[b"SET", key.as_bytes(), &value(&key, number)]);
                }
                Sent::Slot(at, number)
            }
            _ => {
                self.pair.tried += 1;
                let number = self.pair.tried.to_string();
                write_request(into, &[b"MULTI"]);
                for side in ["left", "right"] {
                    let key = format!("{side}:{client}");
                    write_request(into, &[b"SET", key.as_bytes(), number.as_bytes()]);
                }
                write_request(into, &[b"EXEC"]);
                Sent::Pair(self.pair.tried)
            }
        }
    }

    /// Reads the reply to a request and notes that it was acknowledged.
    fn hear(&mut self, sent: Sent, connection: &mut Connection) -> io::Result<()> {
        let line = |text: &str| Reply::Line(text.to_owned());
        match sent {
            Sent::Counter(number) => {
                let progress = &mut self.counters[number as usize];
                let expected = progress.acknowledged + 1;
                assert_eq!(connection.reply()?, line(&format!(":{expected}")), "{sent:?}");
                progress.acknowledged = expected;
            }
            Sent::Slot(at, number) => {
                let expected = if removes(number) { ":1" } else { "+OK" };
                assert_eq!(connection.reply()?, line(expected), "{sent:?}");
                self.slots[at as usize].acknowledged = number;
            }
            Sent::Pair(number) => {
                for expected in ["+OK", "+QUEUED", "+QUEUED"] {
                    assert_eq!(connection.reply()?, line(expected), "{sent:?}");
                }
                let done = Reply::Array(vec![line("+OK"), line("+OK")]);
                assert_eq!(connection.reply()?, done, "{sent:?}");
                self.pair.acknowledged = number;
            }
        }
        Ok(())
    }

    /// Writes until the connection breaks.
    fn work(&mut self, client: usize, socket: &Path, replies: &AtomicU64) {
        let Ok(mut connection) = Connection::open(socket) else { return };
        let depth = DEPTHS[client];
        let (mut sent, mut request) = (VecDeque::new(), Vec::new());
        loop {
            // What is under way is at times all answered before more is sent, at times half of it.
            while sent.len() < depth {
                sent.push_back(self.next(client, &mut request));
            }
            let broken = connection.stream.write_all(&request).is_err();
            request.clear();
            let left = if self.steps.is_multiple_of(3) { depth / 2 } else { 0 };
            while sent.len() > left {
                let next = sent.pop_front().expect("there are more than some");
                if self.hear(next, &mut connection).is_err() {
                    return;
                }
                replies.fetch_add(1, Ordering::Relaxed);
            }
            if broken {
                return;
            }
        }
    }

    /// Compares with what is there, which is known from then on.
    fn check(&mut self, client: usize, connection: &mut Connection) {
        let number = |bytes: Option<Vec<u8>>| {
            bytes.map_or(0, |bytes| String::from_utf8(bytes).unwrap().parse().unwrap())
        };
        for (at, progress) in self.counters.iter_mut().enumerate() {
            let key = counter(client, at as u64);
            progress.settle(number(connection.get(&key)), &key);
        }
        let left = number(connection.get(&format!("left:{client}")));
        let right = number(connection.get(&format!("right:{client}")));
        assert_eq!(left, right, "client {client}: half of a transaction");
        self.pair.settle(left, "a pair");
        for (at, progress) in self.slots.iter_mut().enumerate() {
            let key = slot(client, at as u64);
            let found = connection.get(&key);
            let possible = (progress.acknowledged..=progress.tried).find(|number| {
                let is_absent = *number == 0 || removes(*number);
                found == (!is_absent).then(|| value(&key, *number))
            });
            let found = possible.unwrap_or_else(|| {
                let shown = found.map(|bytes| bytes.escape_ascii().to_string());
                panic!("{key}: {shown:?}, known {progress:?}")
            });
            progress.settle(found, &key);
        }
    }
}

// --- the rounds ---

/// Has clients work on a server until they have had so many replies, and `end` it then.
fn load<R>(server: Server, known: &mut [Known], enough: u64, end: impl FnOnce(Server) -> R) -> R {
    let replies = AtomicU64::new(0);
    let socket = server.socket.clone();
    std::thread::scope(|scope| {
        for (client, known) in known.iter_mut().enumerate() {
            let (socket, replies) = (&socket, &replies);
            scope.spawn(move || known.work(client, socket, replies));
        }
        let begun = Instant::now();
        while replies.load(Ordering::Relaxed) < enough {
            assert!(begun.elapsed() < PATIENCE, "only {replies:?} replies");
            std::thread::sleep(Duration::from_micros(100));
        }
        end(server)
    })
}

fn check(server: &Server, known: &mut [Known]) {
    let mut connection = Connection::open(&server.socket).unwrap();
    for (client, known) in known.iter_mut().enumerate() {
        known.check(client, &mut connection);
    }
}

#[test]
fn what_was_acknowledged_survives_kill_9_under_load() {
    let rounds = if std::env::var_os("ARYAVARTH_EXHAUSTIVE").is_some() { 100 } else { 10 };
    let place = Place::new();
    let mut known = vec![Known::default(); DEPTHS.len()];
    // Small files, so that there are checkpoints and compactions to be killed in.
    let small = ["--segment-size", "256KiB", "--checkpoint-interval", "64KiB"];
    for round in 0..rounds {
        let durability = if round % 3 == 2 { "os" } else { "always" };
        let settings = [&small[..], &["--durability", durability]].concat();
        let server = Server::start(&place, &settings);
        check(&server, &mut known);
        // Now and then before much can have happened.
        let enough = if round % 10 == 9 { 0 } else { 1 + round * 1733 % 6000 };
        load(server, &mut known, enough, Server::kill);
    }
    let server = Server::start(&place, &small);
    check(&server, &mut known);
    assert_eq!(server.terminate(), Some(0));
    assert!(known.iter().all(|known| known.pair.acknowledged > 0), "{known:?}");
    place.run(&["verify"]).success();
}

#[test]
fn a_server_asked_to_end_under_load_ends_well() {
    let place = Place::new();
    let mut known = vec![Known::default(); DEPTHS.len()];
    for round in 0..3 {
        let server = Server::start(&place, &[]);
        check(&server, &mut known);
        let checkpoint = place.store().join("logs").join("checkpoint");
        let _ = std::fs::remove_file(&checkpoint);
        let code = load(server, &mut known, 2000 + 1000 * round, Server::terminate);
        assert_eq!(code, Some(0));
        assert!(checkpoint.exists(), "the next start has all to read");
        place.run(&["verify"]).success();
    }
    let server = Server::start(&place, &[]);
    check(&server, &mut known);
}
