//! The server as the clients that people have see it: the `redis` crate over RESP2 and RESP3.

#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

use std::collections::{HashMap, HashSet};

use aryavarth_server::Running;
use aryavarth_server::config::{Config, Sources};
use redis::{
    Commands, Connection, ErrorKind, ExistenceCheck, RedisResult, SetExpiry, SetOptions, Value,
};
use tempfile::TempDir;

const PROTOCOLS: [&str; 2] = ["resp2", "resp3"];

/// A server of its own, on a Unix socket.
struct Served {
    running: Option<Running>,
    directory: TempDir,
}

impl Served {
    fn start() -> Served {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path();
        let flags = [
            ("port", "0".to_owned()),
            ("unixsocket", path.join("socket").display().to_string()),
            ("dir", path.display().to_string()),
            ("durability", "interval:1s".to_owned()),
            ("admin-address", String::new()),
        ];
        let flags = flags.map(|(name, value)| (name.to_owned(), value)).to_vec();
        let sources = Sources { flags, ..Sources::default() };
        let running = aryavarth_server::start(Config::load(&sources).unwrap(), &sources).unwrap();
        Served { running: Some(running), directory }
    }

    fn login(&self, protocol: &str, login: &str) -> RedisResult<Connection> {
        let socket = self.directory.path().join("socket");
        let url = format!("redis+unix://{}?protocol={protocol}{login}", socket.display());
        redis::Client::open(url).unwrap().get_connection()
    }

    fn connect(&self, protocol: &str) -> Connection {
        self.login(protocol, "").unwrap()
    }
}

impl Drop for Served {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.server().end();
            let _ = running.wait();
        }
    }
}

/// Runs a test once with each protocol, each time on an empty server.
fn with_both(test: impl Fn(&Served, &str)) {
    for protocol in PROTOCOLS {
        test(&Served::start(), protocol);
    }
}

fn code(error: &redis::RedisError) -> &str {
    error.code().unwrap_or_else(|| panic!("no code: {error}"))
}

#[test]
fn strings_go_in_and_out() {
    with_both(|served, protocol| {
        let mut client = served.connect(protocol);
        let () = client.set("username", "john").unwrap();
        assert_eq!(client.get::<_, String>("username").unwrap(), "john");
        assert_eq!(client.get::<_, Option<String>>("nobody").unwrap(), None);
        let once = SetOptions::default()
            .conditional_set(ExistenceCheck::NX)
            .with_expiration(SetExpiry::EX(100));
        let refused: Value = client.set_options("username", "jane", once.clone()).unwrap();
        assert_eq!(refused, Value::Nil);
        assert_eq!(client.set_options::<_, _, Value>("other", "x", once).unwrap(), Value::Okay);
        assert!((99..=100).contains(&client.ttl::<_, i64>("other").unwrap()));
        assert_eq!(client.incr::<_, _, i64>("count", 41).unwrap(), 41);
        let sum: f64 = client.incr("count", 0.5).unwrap();
        assert!((sum - 41.5).abs() < f64::EPSILON);
        let bytes: Vec<u8> = (0..=255).cycle().take(1 << 20).collect();
        let () = client.set("bytes", &bytes).unwrap();
        assert_eq!(client.get::<_, Vec<u8>>("bytes").unwrap(), bytes);
        let () = client.mset(&[("a", "1"), ("b", "2")]).unwrap();
        let found: Vec<Option<i64>> = client.mget(&["a", "none", "b"]).unwrap();
        assert_eq!(found, [Some(1), None, Some(2)]);
        let refused = client.incr::<_, _, i64>("username", 1).unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::Server(redis::ServerErrorKind::ResponseError));
    });
}

#[test]
fn a_pipeline_of_ten_thousand() {
    with_both(|served, protocol| {
        let mut client = served.connect(protocol);
        let mut pipeline = redis::pipe();
        for number in 0..10_000 {
            pipeline.set(format!("key:{number}"), number).ignore();
            pipeline.get(format!("key:{number}"));
        }
        let replies: Vec<usize> = pipeline.query(&mut client).unwrap();
        assert_eq!(replies, (0..10_000).collect::<Vec<_>>());
    });
}

#[test]
fn an_atomic_pipeline_sees_itself_and_nothing_between() {
    with_both(|served, protocol| {
        let mut client = served.connect(protocol);
        let mut pipeline = redis::pipe();
        pipeline.atomic();
        (0..10_000).for_each(|_| {
            pipeline.incr("count", 1);
        });
        let replies: Vec<u32> = pipeline.query(&mut client).unwrap();
        assert_eq!(replies, (1..=10_000).collect::<Vec<_>>());
    });
}

#[test]
fn a_transaction_is_tried_again_when_a_watched_key_changes() {
    with_both(|served, protocol| {
        let (mut client, mut other) = (served.connect(protocol), served.connect(protocol));
        let () = client.set("balance", 100).unwrap();
        let mut tries = 0;
        let (balance,): (i64,) = redis::transaction(&mut client, &["balance"], |client, pipe| {
            tries += 1;
            let seen: i64 = client.get("balance")?;
            if tries == 1 {
                let () = other.set("balance", 50)?;
            }
            pipe.set("balance", seen - 10).ignore().get("balance").query(client)
        })
        .unwrap();
        assert_eq!((balance, tries), (40, 2));
    });
}

#[test]
fn counters_of_many_clients_lose_nothing() {
    const CLIENTS: usize = 4;
    const EACH: usize = 250;
    with_both(|served, protocol| {
        std::thread::scope(|scope| {
            for _ in 0..CLIENTS {
                scope.spawn(|| {
                    let mut client = served.connect(protocol);
                    for _ in 0..EACH {
                        let _: i64 = client.incr("count", 1).unwrap();
                    }
                });
            }
        });
        let count: usize = served.connect(protocol).get("count").unwrap();
        assert_eq!(count, CLIENTS * EACH);
    });
}

#[test]
fn scanning_finds_every_key() {
    with_both(|served, protocol| {
        let mut client = served.connect(protocol);
        let pairs: Vec<(String, usize)> = (0..3000).map(|n| (format!("key:{n}"), n)).collect();
        let () = client.mset(&pairs).unwrap();
        let () = client.set("other", 1).unwrap();
        let found: RedisResult<HashSet<String>> = client.scan_match("key:*").unwrap().collect();
        assert_eq!(found.unwrap(), pairs.into_iter().map(|(key, _)| key).collect());
        let all: RedisResult<Vec<String>> = client.scan().unwrap().collect();
        assert!(all.unwrap().len() >= 3001);
    });
}

#[test]
fn maps_are_maps_in_either_protocol() {
    with_both(|served, protocol| {
        let mut client = served.connect(protocol);
        let config: HashMap<String, String> =
            redis::cmd("CONFIG").arg("GET").arg("append*").query(&mut client).unwrap();
        assert_eq!(config["appendonly"], "yes");
        let hello: HashMap<String, Value> = redis::cmd("HELLO").query(&mut client).unwrap();
        assert_eq!(hello["proto"], Value::Int(if protocol == "resp3" { 3 } else { 2 }));
        let info: redis::InfoDict = redis::cmd("INFO").query(&mut client).unwrap();
        assert!(info.get::<String>("redis_version").is_some());
        assert_eq!(info.get::<u64>("connected_clients"), Some(1));
    });
}

#[test]
fn users_may_do_what_they_may() {
    with_both(|served, protocol| {
        let mut client = served.connect(protocol);
        let rules = ["on", ">secret", "~mine:*", "+get", "+client|setinfo"];
        let () =
            redis::cmd("ACL").arg("SETUSER").arg("joe").arg(&rules).query(&mut client).unwrap();
        let mut joe = served.login(protocol, "&user=joe&pass=secret").unwrap();
        assert_eq!(joe.get::<_, Option<String>>("mine:a").unwrap(), None);
        assert_eq!(code(&joe.get::<_, Value>("yours").unwrap_err()), "NOPERM");
        assert_eq!(code(&joe.set::<_, _, Value>("mine:a", 1).unwrap_err()), "NOPERM");
        let wrong = served.login(protocol, "&user=joe&pass=wrong").err().unwrap();
        // The crate has two ways to log in, and says it differently.
        let known = wrong.kind() == ErrorKind::AuthenticationFailed || code(&wrong) == "WRONGPASS";
        assert!(known, "{wrong}");
    });
}

#[test]
fn a_killed_client_can_come_back() {
    with_both(|served, protocol| {
        let (mut client, mut other) = (served.connect(protocol), served.connect(protocol));
        let id: u64 = redis::cmd("CLIENT").arg("ID").query(&mut other).unwrap();
        let kill = |client: &mut Connection| -> usize {
            redis::cmd("CLIENT").arg("KILL").arg("ID").arg(id).query(client).unwrap()
        };
        assert_eq!((kill(&mut client), kill(&mut client)), (1, 0));
        assert!(other.get::<_, Value>("a").unwrap_err().is_connection_dropped());
        let mut again = served.connect(protocol);
        assert_eq!(again.get::<_, Value>("a").unwrap(), Value::Nil);
    });
}

#[test]
fn what_is_missing_is_refused_and_the_connection_goes_on() {
    with_both(|served, protocol| {
        let mut client = served.connect(protocol);
        for command in ["LPUSH", "HSET", "PUBLISH", "EVAL"] {
            let refused = redis::cmd(command).arg("a").arg("b").query::<Value>(&mut client);
            assert!(refused.unwrap_err().to_string().contains("does not support"), "{command}");
        }
        let () = client.set("a", 1).unwrap();
    });
}
