//! Clients that mean no good, or know no better: what they can make the server keep is bounded, what
//! they cannot have is refused in words, and others do not notice.

#![allow(missing_docs, clippy::unwrap_used)]
// The clients are impatient by the real clock.
#![allow(clippy::disallowed_methods)]

use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use aryavarth::disk::sim::SimDisk;
use aryavarth_server::config::{Config, Sources};
use aryavarth_server::{Running, Server, start_on};

/// How long a test waits for what should come at once.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long others may have to wait because of a hostile client, on a busy machine.
const UNDISTURBED: Duration = Duration::from_secs(2);

// --- a server and its clients ---

struct Host {
    running: Option<Running>,
    socket: PathBuf,
    _directory: tempfile::TempDir,
}

impl Host {
    fn start(settings: &[(&str, &str)]) -> Host {
        let directory = tempfile::tempdir().unwrap();
        let socket = directory.path().join("socket");
        let path = socket.display().to_string();
        let own = [
            ("port", "0"),
            ("unixsocket", path.as_str()),
            ("dir", "/store"),
            ("durability", "os"),
            ("admin-address", ""),
        ];
        let flags = own.iter().chain(settings);
        let flags = flags.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let sources = Sources { flags, ..Sources::default() };
        let config = Config::load(&sources).unwrap();
        let running = start_on(Arc::new(SimDisk::new()), config, &sources).unwrap();
        Host { running: Some(running), socket, _directory: directory }
    }

    fn server(&self) -> &Arc<Server> {
        self.running.as_ref().unwrap().server()
    }

    fn client(&self) -> Client {
        let stream = UnixStream::connect(&self.socket).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Client { stream }
    }

    /// Waits until something is so.
    fn wait_until(&self, what: &str, is_so: impl Fn(&Server) -> bool) {
        let begun = Instant::now();
        while !is_so(self.server()) {
            assert!(begun.elapsed() < PATIENCE, "{what} does not come about");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Somebody else is served as if nothing were the matter.
    fn assert_undisturbed(&self) {
        let begun = Instant::now();
        let mut client = self.client();
        assert_eq!(client.ask(b"SET other 1\r\nGET other\r\n", 12), "+OK\r\n$1\r\n1\r\n");
        assert!(begun.elapsed() < UNDISTURBED, "others wait");
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let running = self.running.take().unwrap();
        running.server().end();
        let ended = running.wait();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

struct Client {
    stream: UnixStream,
}

impl Client {
    fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    fn read(&mut self, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).unwrap();
        bytes
    }

    /// Sends bytes and reads so many.
    fn ask(&mut self, bytes: &[u8], length: usize) -> String {
        self.send(bytes);
        String::from_utf8(self.read(length)).unwrap()
    }

    /// What comes until the server closes the connection.
    fn rest(&mut self) -> String {
        let mut bytes = Vec::new();
        match self.stream.read_to_end(&mut bytes) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}"),
        }
        String::from_utf8(bytes).unwrap()
    }

    /// Sends the same again and again until that is not taken for a second.
    fn send_for_ever(&mut self, bytes: &[u8]) -> ErrorKind {
        self.stream.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
        loop {
            if let Err(error) = self.stream.write_all(bytes) {
                return error.kind();
            }
        }
    }
}

fn request(words: &[&[u8]]) -> Vec<u8> {
    let mut bytes = format!("*{}\r\n", words.len()).into_bytes();
    for word in words {
        bytes.extend(format!("${}\r\n", word.len()).bytes());
        bytes.extend(*word);
        bytes.extend(b"\r\n");
    }
    bytes
}

// --- replies that nobody reads ---

#[test]
fn who_never_reads_is_no_longer_read_from() {
    let host = Host::start(&[("client-output-buffer-limit", "normal 16mb 4mb 60")]);
    let mut client = host.client();
    client.send(&request(&[b"SET", b"large", &[b'x'; 64 << 10]]));
    client.read(5);
    let gets = request(&[b"GET", b"large"]).repeat(100);
    let kind = client.send_for_ever(&gets);
    assert!(matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut), "{kind}");
    let taken = host.server().memory.total();
    assert!((3 << 20..10 << 20).contains(&taken), "{taken} bytes are kept for it");
    host.assert_undisturbed();
    drop(client);
    host.wait_until("its end", |server| server.clients.count() == 0);
    host.wait_until("its memory given back", |server| server.memory.total() == 0);
}

#[test]
fn who_reads_after_all_gets_everything() {
    let host = Host::start(&[("client-output-buffer-limit", "normal 16mb 4mb 60")]);
    let mut client = host.client();
    client.send(&request(&[b"SET", b"large", &[b'x'; 64 << 10]]));
    client.read(5);
    let mut writer = client.stream.try_clone().unwrap();
    let gets = request(&[b"GET", b"large"]).repeat(400);
    let sender = std::thread::spawn(move || writer.write_all(&gets).unwrap());
    host.wait_until("a stall", |server| server.memory.total() > 4 << 20);
    std::thread::sleep(Duration::from_millis(300));
    assert!(host.server().memory.total() < 10 << 20);
    let reply = [&b"$65536\r\n"[..], &[b'x'; 64 << 10], b"\r\n"].concat();
    for number in 0..400 {
        assert!(client.read(reply.len()) == reply, "reply {number}");
    }
    sender.join().unwrap();
}

#[test]
fn who_takes_nothing_for_too_long_is_closed() {
    // The requests wait before the soft limit is reached: that alone closes nobody.
    let host = Host::start(&[("client-output-buffer-limit", "normal 4mb 3mb 1")]);
    let stall = || {
        let mut client = host.client();
        client.send(&request(&[b"SET", b"large", &[b'x'; 64 << 10]]));
        client.read(5);
        client.send(&request(&[b"GET", b"large"]).repeat(400));
        client
    };
    let (silent, mut slow) = (stall(), stall());
    host.wait_until("a stall", |server| server.memory.total() > 4 << 20);
    let begun = Instant::now();
    // Somebody who takes a little now and then stays.
    while begun.elapsed() < Duration::from_millis(2500) {
        slow.read(256 << 10);
        std::thread::sleep(Duration::from_millis(200));
    }
    host.wait_until("the end of the silent one", |server| server.clients.count() == 1);
    assert_eq!(host.server().clients.over_output_limit.load(Ordering::Relaxed), 1);
    let reply = 9 + (64 << 10) + 2;
    let mut rest = Vec::new();
    slow.send(b"QUIT\r\n");
    slow.stream.read_to_end(&mut rest).unwrap();
    assert!(rest.ends_with(b"x\r\n+OK\r\n") && rest.len() > 100 * reply);
    drop(silent);
    let mut other = host.client();
    other.send(b"INFO stats\r\nQUIT\r\n");
    let figures = other.rest();
    assert!(figures.contains("client_output_buffer_limit_disconnections:1\r\n"), "{figures}");
}

#[test]
fn a_reply_beyond_the_hard_limit_ends_the_connection() {
    let host = Host::start(&[("client-output-buffer-limit", "normal 4mb 2mb 60")]);
    let mut client = host.client();
    client.send(&request(&[b"SET", b"large", &[b'x'; 64 << 10]]));
    client.read(5);
    let words: Vec<&[u8]> = [&b"MGET"[..]].into_iter().chain([&b"large"[..]; 500]).collect();
    client.send(&request(&words));
    assert!(client.rest().len() < 32 << 20);
    assert_eq!(host.server().clients.over_output_limit.load(Ordering::Relaxed), 1);
    host.assert_undisturbed();
}

#[test]
fn deep_pipelines_are_answered_in_full() {
    const DEPTH: usize = 200_000;
    for durability in ["os", "always"] {
        let host = Host::start(&[("durability", durability)]);
        let mut client = host.client();
        client.send(&request(&[b"INCR", b"counter"]).repeat(DEPTH));
        let expected: String = (1..=DEPTH).map(|number| format!(":{number}\r\n")).collect();
        let got = client.read(expected.len());
        assert!(got == expected.as_bytes(), "{durability}");
    }
}

#[test]
fn figures_may_be_asked_for_behind_writes() {
    let host = Host::start(&[]);
    for bytes in [
        &b"SET key 1\r\nINFO everything\r\nPING\r\nQUIT\r\n"[..],
        b"MULTI\r\nSET key 1\r\nINFO\r\nEXEC\r\nPING\r\nQUIT\r\n",
    ] {
        let mut client = host.client();
        client.send(bytes);
        let said = client.rest();
        assert!(said.contains("# Persistence\r\n") && said.ends_with("+PONG\r\n+OK\r\n"), "{said}");
    }
}

// --- requests that are not whole ---

#[test]
fn half_a_request_is_none() {
    let host = Host::start(&[]);
    let whole = request(&[b"SET", b"key", b"value"]);
    for length in 1..whole.len() {
        host.client().send(&whole[..length]);
    }
    host.wait_until("their end", |server| server.clients.count() == 0);
    assert_eq!(host.server().store.len(), 0);
    assert_eq!(host.server().memory.total(), 0);
}

#[test]
fn bytes_may_come_one_by_one() {
    let host = Host::start(&[]);
    let mut client = host.client();
    let bytes = [&request(&[b"SET", b"key", b"a\r\nb"])[..], b"GET key\r\n", b"PING\r\n"].concat();
    for byte in bytes {
        client.send(&[byte]);
        std::thread::sleep(Duration::from_micros(200));
    }
    assert_eq!(client.read(22), b"+OK\r\n$4\r\na\r\nb\r\n+PONG\r\n"[..22]);
}

#[test]
fn what_is_only_announced_takes_no_memory() {
    let host = Host::start(&[]);
    let announced: [&[u8]; 3] =
        [b"*1048576\r\n", b"*2\r\n$3\r\nGET\r\n$536870912\r\n", b"*3\r\n$536870912\r\nabc"];
    let mut clients: Vec<Client> = (0..60).map(|_| host.client()).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(announced[number % announced.len()]);
    }
    host.wait_until("their bytes", |server| server.clients.traffic().received >= 60 * 10);
    std::thread::sleep(Duration::from_millis(100));
    let taken = host.server().memory.total();
    assert!(taken < 60 * (2 << 20), "{taken}");
    host.assert_undisturbed();
}

#[test]
fn what_is_too_much_is_refused_when_it_is_announced() {
    let host = Host::start(&[]);
    for (bytes, refusal) in [
        (&b"*1048577\r\n"[..], "invalid multibulk length"),
        (b"*99999999999999999999\r\n", "invalid multibulk length"),
        (b"*1\r\n$536870913\r\n", "invalid bulk length"),
        (b"*1\r\n$-7\r\n", "invalid bulk length"),
        (b"*1\r\n:1\r\n", "expected '$', got ':'"),
        (b"GET \"a\r\n", "unbalanced quotes in request"),
    ] {
        let mut client = host.client();
        client.send(bytes);
        let said = client.rest();
        assert_eq!(said, format!("-ERR Protocol error: {refusal}\r\n"), "{}", bytes.escape_ascii());
    }
    let mut client = host.client();
    // It may be refused before all of it is sent.
    let _ = client.stream.write_all(&[b'x'; (64 << 10) + 1]);
    assert_eq!(client.rest(), "-ERR Protocol error: too big inline request\r\n");
    host.assert_undisturbed();
}

#[test]
fn a_million_words_are_a_request() {
    let host = Host::start(&[]);
    let mut client = host.client();
    let words = |count: usize| {
        let head: [&[u8]; 2] = [b"DEL", b"other"];
        let words: Vec<&[u8]> = head.into_iter().chain((2..count).map(|_| &b"x"[..])).collect();
        request(&words)
    };
    host.assert_undisturbed();
    assert_eq!(client.ask(&words(1_000_000), 4), ":1\r\n");
    assert_eq!(client.ask(&words(1 << 20), 4), ":0\r\n");
    assert_eq!(client.ask(b"PING\r\n", 7), "+PONG\r\n");
    let taken = host.server().memory.total();
    assert!(taken < 4 << 20, "{taken} bytes are kept after it");
}

#[test]
fn requests_beyond_the_query_buffer_limit_end_the_connection() {
    let host = Host::start(&[("client-query-buffer-limit", "1mb")]);
    let mut client = host.client();
    let large = request(&[b"SET", b"large", &[b'x'; 8 << 20]]);
    assert!(client.stream.write_all(&large).is_err());
    assert_eq!(client.rest(), "");
    host.wait_until("its end", |server| server.clients.count() == 0);
    assert_eq!(host.server().clients.over_query_limit.load(Ordering::Relaxed), 1);
    assert_eq!(host.server().store.len(), 0);
    host.assert_undisturbed();
}

// --- many, and silent ones ---

#[test]
fn one_client_too_many_is_told_so() {
    let host = Host::start(&[("maxclients", "10")]);
    let mut clients: Vec<Client> = (0..10).map(|_| host.client()).collect();
    for client in &mut clients {
        assert_eq!(client.ask(b"PING\r\n", 7), "+PONG\r\n");
    }
    assert_eq!(host.client().rest(), "-ERR max number of clients reached\r\n");
    assert_eq!(clients[0].ask(b"PING\r\n", 7), "+PONG\r\n");
    clients.pop();
    host.wait_until("room", |server| server.clients.count() == 9);
    assert_eq!(host.client().ask(b"PING\r\n", 7), "+PONG\r\n");
}

#[test]
fn two_thousand_idle_clients_take_no_buffers() {
    let host = Host::start(&[]);
    let mut clients: Vec<Client> = Vec::new();
    for number in 0..2000 {
        clients.push(host.client());
        // No more at once than wait in line.
        if number % 100 == 0 {
            host.wait_until("them", |server| server.clients.count() > number);
        }
    }
    host.wait_until("all of them", |server| server.clients.count() == 2000);
    for client in &mut clients {
        assert_eq!(client.ask(b"PING\r\n", 7), "+PONG\r\n");
    }
    let taken = host.server().memory.total();
    assert!(taken < 2000 * 512, "{taken} bytes are kept for them");
    host.assert_undisturbed();
    drop(clients);
    host.wait_until("their end", |server| server.clients.count() == 0);
}

#[test]
fn who_does_not_log_in_is_closed() {
    let host = Host::start(&[("requirepass", "secret"), ("auth-timeout", "300ms")]);
    let mut known = host.client();
    assert_eq!(known.ask(b"AUTH secret\r\n", 5), "+OK\r\n");
    let mut silent = host.client();
    let mut chatty = host.client();
    let begun = Instant::now();
    let mut refused = 0;
    while chatty.stream.write_all(b"PING\r\n").is_ok() {
        refused += 1;
        assert!(begun.elapsed() < PATIENCE, "talking keeps it in");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(chatty.rest().starts_with("-NOAUTH Authentication required.\r\n") && refused > 5);
    assert_eq!(silent.rest(), "");
    // It may announce nothing large either.
    let mut greedy = host.client();
    greedy.send(b"*1\r\n$16385\r\n");
    assert_eq!(greedy.rest(), "-ERR Protocol error: unauthenticated bulk length\r\n");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(known.ask(b"PING\r\n", 7), "+PONG\r\n");
}
