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

/// How long this process has waited. While it was stopped itself, so were its clients: that does not count.
struct Waited {
    last: Instant,
    sum: Duration,
}

impl Waited {
    fn begin() -> Waited {
        Waited { last: Instant::now(), sum: Duration::ZERO }
    }

    /// Asked often, the time since the beginning.
    fn so_far(&mut self) -> Duration {
        self.sum += self.last.elapsed().min(Duration::from_millis(200));
        self.last = Instant::now();
        self.sum
    }
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
        let (mut waited, before) = (Waited::begin(), self.answered());
        while self.answered() < before + more {
            assert!(waited.so_far() < PATIENCE, "requests are not answered any more");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until each key was written once more: all shards serve.
    pub fn await_all_written(&self, within: Duration) {
        let (mut waited, since) = (Waited::begin(), now());
        loop {
            let missing = self.not_written_since(since);
            if missing.is_empty() {
                return;
            }
            assert!(waited.so_far() < within, "not written within {within:?}: {missing:?}");
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
        for key in keys() {
            compare(cluster, &key, &mut seen);
        }
        check(&seen).unwrap_or_else(|why| panic!("{why}"));
    }
}

/// All replicas of a key come to have the same value. What is read of it on the way was seen too: from a
/// follower that may not be behind as from a leader.
fn compare(cluster: &Cluster, key: &str, seen: &mut Vec<Call<String>>) {
    let mut client = Client::new(cluster.addresses());
    let mut replicas = 0;
    for address in cluster.running() {
        let mut replica = Connection::open(&address).unwrap();
        replica.ask(&["READONLY", "MAXSTALENESS", "0"]).unwrap();
        let mut read = |ask: &mut dyn FnMut() -> Reply| {
            let begun = now();
            let reply = ask();
            if !matches!(reply, Reply::Error(_)) {
                let end = Some((answer(Request::Read, &reply), now()));
                let (client, key, request) = (u64::MAX, key.to_owned(), Request::Read);
                seen.push(Call { client, key, request, begun, end });
            }
            reply
        };
        let mut waited = Waited::begin();
        loop {
            let led = read(&mut || match client.ask(&["GET", key]) {
                Outcome::Answered(reply) => reply,
                other => panic!("{key}: {other:?}"),
            });
            match read(&mut || replica.ask(&["GET", key]).unwrap()) {
                Reply::Error(error) if error.starts_with("MOVED") => break,
                has if has == led => {
                    replicas += 1;
                    break;
                }
                // It has not heard from its leader just now, or what nobody waits for any more was done
                // between the two.
                has => {
                    assert!(waited.so_far() < PATIENCE, "{key} at {address}: {has:?}, not {led:?}")
                }
            }
            std::thread::sleep(Duration::from_millis(50));
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
            Request::Replace(_) | Request::Expire(_) => unreachable!("nothing here expires"),
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
