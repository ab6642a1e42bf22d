//! Clients at work on a cluster, and what they saw.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use aryavarth_check::{Answer, Call, Request, check};

use crate::client::{Client, Connection, Outcome, Reply};
use crate::nodes::{Cluster, PATIENCE};

/// Clients that go where they are told. Beside them, each node has one that stays with it.
const CLIENTS: u64 = 6;
/// Keys that are set, removed and claimed.
const REGISTERS: u64 = 8;
/// Keys that are only counted up.
const COUNTERS: u64 = 4;

/// Nanoseconds since the first call of this.
fn now() -> u64 {
    static ZERO: LazyLock<Instant> = LazyLock::new(Instant::now);
    u64::try_from(ZERO.elapsed().as_nanos()).unwrap()
}

fn register(number: u64) -> String {
    format!("register:{}", number % REGISTERS)
}

fn counter(number: u64) -> String {
    format!("counter:{}", number % COUNTERS)
}

fn keys() -> impl Iterator<Item = String> {
    (0..REGISTERS).map(register).chain((0..COUNTERS).map(counter))
}

/// Clients at work.
pub struct Load {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Call<String>>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    pub fn start(cluster: &Cluster) -> Load {
        let mut clients: Vec<Client> =
            (0..CLIENTS).map(|_| Client::new(cluster.addresses())).collect();
        clients.extend(cluster.addresses().into_iter().map(Client::of));
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let threads = (0..).zip(clients).map(|(number, client)| {
            let worker =
                Worker { number, client, stop: Arc::clone(&stop), seen: Arc::clone(&seen) };
            cluster.spawn(move || worker.run())
        });
        let threads = threads.collect();
        Load { stop, seen, threads }
    }

    fn answered(&self) -> usize {
        self.seen.lock().unwrap().iter().filter(|call| call.end.is_some()).count()
    }

    /// Waits until so many more requests were answered.
    pub fn await_more(&self, more: usize) {
        let (begun, before) = (Instant::now(), self.answered());
        while self.answered() < before + more {
            assert!(begun.elapsed() < PATIENCE, "requests are not answered any more");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until each key was written once more: all shards serve.
    pub fn await_all_written(&self, within: Duration) -> Duration {
        let (begun, since) = (Instant::now(), now());
        loop {
            let missing = self.not_written_since(since);
            if missing.is_empty() {
                return begun.elapsed();
            }
            assert!(begun.elapsed() < within, "not written within {within:?}: {missing:?}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    fn not_written_since(&self, since: u64) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        let written = seen.iter().filter(|call| {
            call.begun > since && call.end.is_some() && call.request != Request::Read
        });
        let written: BTreeSet<&str> = written.map(|call| call.key.as_str()).collect();
        keys().filter(|key| !written.contains(key.as_str())).collect()
    }

    /// Ends it: what was seen.
    pub fn end(self) -> Vec<Call<String>> {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().unwrap();
        }
        Arc::into_inner(self.seen).unwrap().into_inner().unwrap()
    }

    /// Ends it, when the cluster is whole again, and judges: no order of what was seen contradicts it, and
    /// all replicas have the same in the end.
    pub fn judge(self, cluster: &Cluster) {
        cluster.await_whole();
        let mut seen = self.end();
        let mut client = Client::new(cluster.addresses());
        for key in keys() {
            let begun = now();
            let Outcome::Answered(reply) = client.ask(&["GET", &key]) else { panic!("{key}") };
            let end = Some((Answer::Value(reply.value()), now()));
            compare(cluster, &key, &reply);
            seen.push(Call { client: u64::MAX, key, request: Request::Read, begun, end });
        }
        check(&seen).unwrap_or_else(|why| panic!("{why}"));
    }
}

/// All replicas of a key have this value.
fn compare(cluster: &Cluster, key: &str, expected: &Reply) {
    let mut replicas = 0;
    for address in cluster.running() {
        let begun = Instant::now();
        let mut replica = Connection::open(&address).unwrap();
        replica.ask(&["READONLY", "MAXSTALENESS", "0"]).unwrap();
        loop {
            match replica.ask(&["GET", key]).unwrap() {
                Reply::Error(error) if error.starts_with("MOVED") => break,
                // It has not heard from its leader just now.
                Reply::Error(error) => {
                    assert!(begun.elapsed() < PATIENCE, "{key} at {address}: {error}");
                    std::thread::sleep(Duration::from_millis(50));
                }
                reply => {
                    assert_eq!(reply, *expected, "{key} at {address}");
                    replicas += 1;
                    break;
                }
            }
        }
    }
    assert!(replicas >= cluster.running().len().min(3), "{key} has {replicas} replicas");
}

struct Worker {
    number: u64,
    client: Client,
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Call<String>>>>,
}

impl Worker {
    fn run(mut self) {
        let mut turn = self.number;
        while !self.stop.load(Ordering::SeqCst) {
            // No two clients ever write the same value.
            turn += 1000;
            let mixed = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
            let (key, request) = match mixed % 8 {
                0 | 1 => (register(mixed / 8), Request::Set(turn)),
                2..4 => (register(mixed / 8), Request::Read),
                4 => (register(mixed / 8), Request::Remove),
                5 => (register(mixed / 8), Request::Claim(turn)),
                6 => (counter(mixed / 8), Request::Add(1)),
                _ => (counter(mixed / 8), Request::Read),
            };
            self.ask(key, request);
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    fn ask(&mut self, key: String, request: Request) {
        let text = match request {
            Request::Set(value) | Request::Claim(value) => value.to_string(),
            _ => String::new(),
        };
        let words: &[&str] = match request {
            Request::Read => &["GET", &key],
            Request::Add(_) => &["INCR", &key],
            Request::Remove => &["DEL", &key],
            Request::Set(_) => &["SET", &key, &text],
            Request::Claim(_) => &["SET", &key, &text, "NX"],
        };
        let begun = now();
        let end = match self.client.ask(words) {
            Outcome::NotDone => return,
            Outcome::Unknown => None,
            Outcome::Answered(reply) => Some((answer(request, &reply), now())),
        };
        let call = Call { client: self.number, key, request, begun, end };
        self.seen.lock().unwrap().push(call);
    }
}

fn answer(request: Request, reply: &Reply) -> Answer {
    match (request, reply) {
        (Request::Read, Reply::None) => Answer::Value(None),
        (Request::Read, Reply::Bytes(_)) => Answer::Value(Some(reply.value().unwrap())),
        (Request::Add(_), Reply::Number(_)) => Answer::Sum(reply.value().unwrap()),
        (Request::Remove, Reply::Number(count)) => Answer::Removed(*count == 1),
        (Request::Set(_), Reply::Text(_)) => Answer::Done,
        (Request::Claim(_), Reply::Text(_)) => Answer::Claimed(true),
        (Request::Claim(_), Reply::None) => Answer::Claimed(false),
        (_, other) => panic!("{request:?}: {other:?}"),
    }
}
