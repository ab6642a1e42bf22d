//! A server with two lanes, whose batches are settled a little later by another thread: commands on
//! keys of either, on all keys, and in transactions.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use aryavarth::KvStore;
use aryavarth::disk::sim::SimDisk;

use super::{Lane, Proposers, Routing};
use crate::cluster::Start;
use crate::config::{Config, Sources};
use crate::net::{ByHand, Standstill};
use crate::proposer::{Accepted, BatchError, BatchNumber, Log, Proposed};
use crate::server::{Server, assemble};
use crate::tls::{self, Tls};

/// How long a batch stays in flight.
const FLIGHT: Duration = Duration::from_millis(2);

/// The batches in flight of all lanes.
type Sky = Arc<Mutex<VecDeque<(Lane, Arc<Proposed>)>>>;

struct SlowLog(Lane, Sky);

impl Log for SlowLog {
    fn propose(&self, batch: &Arc<Proposed>) -> Result<Accepted, BatchError> {
        self.1.lock().unwrap().push_back((self.0, Arc::clone(batch)));
        Ok(Accepted::InFlight)
    }

    fn settle_after(&self, number: BatchNumber) {
        unreachable!("batch {} was not refused", number.0);
    }
}

/// The thread that applies and settles.
struct Ground(Arc<AtomicBool>, JoinHandle<()>);

impl Ground {
    fn start(sky: Sky, store: KvStore, proposers: Proposers) -> Ground {
        let over = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&over);
        let thread = std::thread::spawn(move || {
            while !told.load(Ordering::Acquire) {
                std::thread::sleep(FLIGHT);
                let landed = sky.lock().unwrap().pop_front();
                if let Some((lane, proposed)) = landed {
                    store.write_unsynced(&proposed.batch).unwrap();
                    proposers.of(lane).settled(proposed.number);
                }
            }
        });
        Ground(over, thread)
    }

    fn end(self) {
        self.0.store(true, Ordering::Release);
        self.1.join().unwrap();
    }
}

/// A server without threads, with two lanes: of keys that begin with an even byte, and with an odd one.
fn server(sky: &Sky) -> Arc<Server> {
    let mut config = Config::default();
    config.dir = PathBuf::from("/store");
    config.io_threads = 1;
    let tls = Tls::new(tls::load(&config).unwrap());
    let disk = Arc::new(SimDisk::new());
    let (mut server, _) = assemble(disk, config, &Sources::default(), tls, &Start::Resume).unwrap();
    let slow = |lane| Arc::new(SlowLog(Lane(lane), Arc::clone(sky))) as Arc<dyn Log>;
    Arc::get_mut(&mut server).unwrap().proposers =
        Proposers::new(Routing::FirstByte { lanes: 2 }, [slow(0), slow(1)]);
    server
}

/// What a server with two lanes answers to these lines, all sent at once.
fn answers(lines: &[&str]) -> Vec<String> {
    let sky = Sky::default();
    let server = server(&sky);
    let ground = Ground::start(sky, server.store.clone(), server.proposers.clone());
    let mut connection = ByHand::new(&server).unwrap();
    let script: String = lines.iter().map(|line| format!("{line}\r\n")).collect();
    assert_eq!(connection.send(script.as_bytes()), Standstill::Listening);
    let (output, _) = connection.finish();
    ground.end();
    assert!(server.proposers.lanes().all(|lane| server.proposers.of(lane).hold().is_quiet()));
    let text = String::from_utf8(output).unwrap();
    text.split_terminator("\r\n").map(str::to_owned).collect()
}

#[test]
fn replies_keep_their_order_and_a_pipeline_reads_its_own_writes() {
    let lines = ["SET 0 a", "SET 1 b", "GET 0", "APPEND 1 c", "GET 1", "MGET 0 2", "PING"];
    let expected = ["+OK", "+OK", "$1", "a", ":2", "$2", "bc", "*2", "$1", "a", "$-1", "+PONG"];
    assert_eq!(answers(&lines), expected);
}

#[test]
fn commands_on_all_keys_see_what_was_written_to_every_lane() {
    let lines = ["SET 0 a", "SET 1 b", "DBSIZE", "DEL 0", "KEYS *", "RANDOMKEY", "KEYS 1"];
    let expected = ["+OK", "+OK", ":2", ":1", "*1", "$1", "1", "$1", "1", "*1", "$1", "1"];
    assert_eq!(answers(&lines), expected);
    let lines = ["SET 0 a", "SET 1 b", "SCAN 0 COUNT 100 MATCH 1", "FLUSHALL", "DBSIZE"];
    let expected = ["+OK", "+OK", "*2", "$1", "0", "*1", "$1", "1", "+OK", ":0"];
    assert_eq!(answers(&lines), expected);
}

#[test]
fn a_transaction_keeps_to_its_lane() {
    let lines = ["SET 0 a", "WATCH 1", "MULTI", "INCR 1", "DBSIZE", "INCR 1", "EXEC", "GET 1"];
    let queued = "+QUEUED";
    let (first, rest) = (answers(&lines), ["+OK", "+OK", "+OK", queued, queued, queued, "*3"]);
    assert_eq!(first[..7], rest);
    // Of the other lane it sees what is settled, which may or may not be the case by then.
    assert_eq!((&*first[7], &*first[9], &*first[11]), (":1", ":2", "2"));
    assert!(first[8] == ":1" || first[8] == ":2", "{first:?}");
    let lines = ["SET 1 a", "WATCH 1", "SET 1 b", "MULTI", "SET 1 c", "EXEC", "GET 1"];
    let expected = ["+OK", "+OK", "+OK", "+OK", queued, "*-1", "$1", "b"];
    assert_eq!(answers(&lines), expected);
    let refused = answers(&["MULTI", "SET 1 a", "FLUSHALL", "EXEC"]);
    assert!(refused[5].starts_with("-ERR a transaction removes keys of one shard"), "{refused:?}");
}
