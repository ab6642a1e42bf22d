//! Nodes that die, freeze, stop and come back, under load.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::client::{Client, Connection, Outcome, Reply};
use crate::history::{Answered, Asked, Operation, check};
use crate::nodes::{Cluster, PATIENCE};

const CLIENTS: u64 = 6;
const REGISTERS: u64 = 8;
const COUNTERS: u64 = 4;

/// Clients at work, and what they saw.
struct Load {
    stop: Arc<AtomicBool>,
    seen: Arc<Mutex<Vec<Operation>>>,
    threads: Vec<std::thread::JoinHandle<()>>,
}

impl Load {
    fn start(cluster: &Cluster) -> Load {
        let (stop, seen) = (Arc::new(AtomicBool::new(false)), Arc::default());
        let threads = (0..CLIENTS)
            .map(|number| {
                let client = Client::new(cluster.addresses());
                let (stop, seen) = (Arc::clone(&stop), Arc::clone(&seen));
                std::thread::spawn(move || work(number, client, &stop, &seen))
            })
            .collect();
        Load { stop, seen, threads }
    }

    fn seen(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// Waits until so many more requests were answered.
    fn await_more(&self, more: usize) {
        let (begun, before) = (Instant::now(), self.seen());
        while self.seen() < before + more {
            assert!(begun.elapsed() < PATIENCE, "requests are not answered any more");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn end(self) -> Vec<Operation> {
        self.stop.store(true, Ordering::SeqCst);
        for thread in self.threads {
            thread.join().unwrap();
        }
        Arc::into_inner(self.seen).unwrap().into_inner().unwrap()
    }
}

fn work(number: u64, mut client: Client, stop: &AtomicBool, seen: &Mutex<Vec<Operation>>) {
    let mut turn = number;
    while !stop.load(Ordering::SeqCst) {
        turn += CLIENTS;
        let mixed = turn.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 33;
        let (key, asked) = match mixed % 8 {
            0 | 1 => (format!("register:{}", mixed / 8 % REGISTERS), Asked::Set(turn)),
            2..4 => (format!("register:{}", mixed / 8 % REGISTERS), Asked::Get),
            4 => (format!("register:{}", mixed / 8 % REGISTERS), Asked::Remove),
            5 => (format!("register:{}", mixed / 8 % REGISTERS), Asked::Claim(turn)),
            6 => (format!("counter:{}", mixed / 8 % COUNTERS), Asked::Increment),
            _ => (format!("counter:{}", mixed / 8 % COUNTERS), Asked::Get),
        };
        let text;
        let words: Vec<&str> = match &asked {
            Asked::Get => vec!["GET", &key],
            Asked::Increment => vec!["INCR", &key],
            Asked::Remove => vec!["DEL", &key],
            Asked::Set(value) => {
                text = value.to_string();
                vec!["SET", &key, &text]
            }
            Asked::Claim(value) => {
                text = value.to_string();
                vec!["SET", &key, &text, "NX"]
            }
        };
        let begun = Instant::now();
        let answered = match client.ask(&words) {
            Outcome::NotDone => continue,
            Outcome::Unknown => Answered::Nothing,
            Outcome::Answered(reply) => match (&asked, reply) {
                (Asked::Get | Asked::Increment, reply) => Answered::Value(reply.value()),
                (Asked::Set(_), Reply::Text(_)) => Answered::Done,
                (Asked::Claim(_), reply) => Answered::Whether(reply != Reply::None),
                (Asked::Remove, Reply::Number(count)) => Answered::Whether(count == 1),
                (_, other) => panic!("{words:?}: {other:?}"),
            },
        };
        let ended = (answered != Answered::Nothing).then(Instant::now);
        let operation = Operation { key, asked, answered, begun, ended };
        seen.lock().unwrap().push(operation);
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// No order of what was seen contradicts it; and all replicas have the same in the end.
fn judge(cluster: &Cluster, mut seen: Vec<Operation>) {
    let mut client = Client::new(cluster.addresses());
    let registers = (0..REGISTERS).map(|number| format!("register:{number}"));
    let keys: Vec<String> =
        registers.chain((0..COUNTERS).map(|number| format!("counter:{number}"))).collect();
    for key in &keys {
        let begun = Instant::now();
        let Outcome::Answered(reply) = client.ask(&["GET", key]) else { panic!("{key}") };
        let answered = Answered::Value(reply.value());
        let ended = Some(Instant::now());
        seen.push(Operation { key: key.clone(), asked: Asked::Get, answered, begun, ended });
        for address in cluster.addresses() {
            let Ok(mut replica) = Connection::open(&address) else { continue };
            replica.ask(&["READONLY", "MAXSTALENESS", "0"]).unwrap();
            assert_eq!(replica.ask(&["GET", key]).unwrap(), reply, "{key} at {address}");
        }
    }
    check(&seen).unwrap_or_else(|why| panic!("{why}"));
}

#[test]
fn nodes_that_are_killed_one_after_the_other_lose_nothing() {
    let mut cluster = Cluster::start(3, 4);
    let load = Load::start(&cluster);
    for _ in 0..2 {
        load.await_more(200);
        let chief = cluster.chief();
        cluster.kill(chief);
        load.await_more(300);
        cluster.run(chief);
        cluster.await_whole();
    }
    let seen = load.end();
    judge(&cluster, seen);
}

#[test]
fn a_node_that_freezes_answers_nothing_old_when_it_wakes() {
    let cluster = Cluster::start(3, 4);
    let load = Load::start(&cluster);
    for pause in [700, 2500] {
        load.await_more(200);
        let chief = cluster.chief();
        cluster.signal(chief, "-STOP");
        std::thread::sleep(Duration::from_millis(pause));
        cluster.signal(chief, "-CONT");
        load.await_more(200);
    }
    cluster.await_whole();
    let seen = load.end();
    judge(&cluster, seen);
}

#[test]
fn all_nodes_killed_at_once_keep_what_they_acknowledged() {
    let mut cluster = Cluster::start(3, 4);
    let load = Load::start(&cluster);
    load.await_more(500);
    (0..3).for_each(|node| cluster.kill(node));
    (0..3).for_each(|node| cluster.run(node));
    load.await_more(300);
    cluster.await_whole();
    let seen = load.end();
    judge(&cluster, seen);
}

#[test]
fn a_rolling_restart_shows_no_error_but_closed_connections() {
    let mut cluster = Cluster::start(3, 4);
    let load = Load::start(&cluster);
    for node in 0..3 {
        load.await_more(200);
        assert_eq!(cluster.stop(node), Some(0), "{}", cluster.said(node));
        cluster.run(node);
        cluster.await_whole();
    }
    let seen = load.end();
    judge(&cluster, seen);
}
