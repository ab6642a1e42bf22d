//! Many clients, and what they take.

use std::io::{Read, Write};
use std::sync::atomic::Ordering;

use super::service::{Service, ask, eventually, is_closed};

const PING: &str = "*1\r\n$4\r\nPING\r\n";
const PONG: &str = "+PONG\r\n";

#[test]
fn many_clients_are_served() {
    let service = Service::start(&[]);
    let mut streams: Vec<_> = (0..2000).map(|_| service.connect()).collect();
    for stream in &mut streams {
        ask(stream, PING, PONG);
    }
    assert_eq!(service.server().clients.count(), 2000);
    assert_eq!(service.server().memory.total() / 2000 / 1024, 0, "an idle client is nearly free");
    drop(streams);
    eventually("all have gone", || service.server().clients.count() == 0);
    assert_eq!(service.server().memory.total(), 0);
}

#[test]
fn there_are_no_more_clients_than_there_may_be() {
    let service = Service::start(&[("maxclients", "2")]);
    let (mut first, mut second) = (service.connect(), service.connect());
    ask(&mut first, PING, PONG);
    ask(&mut second, PING, PONG);
    let mut told = String::new();
    service.connect().read_to_string(&mut told).unwrap();
    assert_eq!(told, "-ERR max number of clients reached\r\n");
    drop(first);
    eventually("one has gone", || service.server().clients.count() == 1);
    ask(&mut service.connect(), PING, PONG);
    let refused = service.set("maxclients", "1000000");
    if let Err(error) = refused {
        assert!(error.to_string().contains("not able to handle the specified number of clients"));
    }
}

#[test]
fn a_request_that_makes_buffers_too_large_costs_its_client_the_connection() {
    let service = Service::start(&[("maxmemory-clients", "4mb")]);
    let mut small = service.connect();
    ask(&mut small, PING, PONG);
    let mut large = service.connect();
    large.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$16777216\r\n").unwrap();
    let part = vec![b'x'; 1 << 20];
    let sent = (0..15).try_for_each(|_| large.write_all(&part));
    assert!(sent.is_err() || is_closed(&mut large));
    ask(&mut small, PING, PONG);
    assert_eq!(service.server().memory.evicted.load(Ordering::Relaxed), 1);
    eventually("it has gone", || service.server().clients.count() == 1);
    assert!(service.server().memory.total() < 1 << 20);
}

#[test]
fn replies_that_nobody_takes_cost_the_connection_within_the_round() {
    let service = Service::start(&[("maxmemory-clients", "8mb"), ("io-threads", "2")]);
    let mut protected = service.connect();
    ask(&mut protected, PING, PONG);
    for client in service.server().clients.all() {
        client.no_evict.store(true, Ordering::Relaxed);
    }
    let value = "x".repeat(1 << 20);
    let set = format!("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n${}\r\n{value}\r\n", value.len());
    ask(&mut protected, &set, "+OK\r\n");
    let requests = "*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".repeat(40);
    let mut greedy: Vec<_> = (0..4).map(|_| service.connect()).collect();
    for stream in &mut greedy {
        stream.write_all(requests.as_bytes()).unwrap();
    }
    let evicted = || service.server().memory.evicted.load(Ordering::Relaxed);
    eventually("they have gone", || evicted() == 4 && service.server().clients.count() == 1);
    ask(&mut protected, PING, PONG);
}

#[test]
fn a_lower_limit_is_heeded_without_anything_new() {
    let service = Service::start(&[]);
    let mut stream = service.connect();
    stream.write_all(b"*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$8388608\r\n").unwrap();
    stream.write_all(&vec![b'x'; 2 << 20]).unwrap();
    eventually("it has been read", || service.server().memory.total() > 1 << 20);
    service.set("maxmemory-clients", "1mb").unwrap();
    assert!(is_closed(&mut stream));
}
