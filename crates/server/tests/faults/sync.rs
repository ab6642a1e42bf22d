//! A sync that fails: those who waited for it learn that the outcome is unknown, those who come later
//! that no writes are taken; reads go on.

use aryavarth::Durability;
use aryavarth::disk::sim::{CallKind, FailedSync, Fault, SimDisk};
use aryavarth_server::proposer::Lane;
use redis::Value;

use crate::machine::{Machine, code, run};

#[test]
fn a_failed_sync_is_told_to_those_who_waited_and_fences_the_rest() {
    for kept in [FailedSync::Dropped, FailedSync::Kept] {
        let disk = SimDisk::new();
        let machine = Machine::start(&disk, Durability::Always);
        let mut client = machine.client();
        run(&mut client, "SET before 1").unwrap();
        disk.fail_next(CallKind::Sync, Fault::SyncFails(kept));
        let error = run(&mut client, "INCR before").unwrap_err();
        assert_eq!(code(&error), "UNKNOWN", "{error}");
        for line in ["SET later 1", "DEL before", "EXPIRE before 100", "INCR before"] {
            let error = run(&mut client, line).unwrap_err();
            assert_eq!(code(&error), "READONLY", "{line}: {error}");
        }
        assert_eq!(run(&mut client, "GET before").unwrap(), Value::BulkString(b"1".to_vec()));
        assert_eq!(run(&mut client, "GET later").unwrap(), Value::Nil);
        let running = machine.running.as_ref().unwrap();
        let proposers = &running.server().proposers;
        assert!(proposers.of(Lane::FIRST).hold().fence().is_some(), "health tells of it");
    }
}

#[test]
fn replies_behind_a_failed_write_are_errors_and_those_of_others_are_not() {
    let disk = SimDisk::new();
    let machine = Machine::start(&disk, Durability::Always);
    let mut client = machine.client();
    run(&mut client, "SET a 1").unwrap();
    disk.fail_next(CallKind::Sync, Fault::SyncFails(FailedSync::Dropped));
    let mut pipeline = redis::pipe();
    pipeline.cmd("GET").arg("a").cmd("SET").arg("a").arg("2").cmd("GET").arg("a");
    pipeline.cmd("GET").arg("b").cmd("PING");
    let packed = pipeline.get_packed_pipeline();
    let replies = raw(&machine, &packed, 5);
    assert_eq!(replies[0], "$1\r\n1\r\n");
    assert!(replies[1].starts_with("-UNKNOWN "), "{replies:?}");
    // It had seen what may never have been.
    assert!(replies[2].starts_with("-UNKNOWN "), "{replies:?}");
    assert_eq!(replies[3..], ["$-1\r\n", "+PONG\r\n"]);
}

#[test]
fn with_an_interval_a_failed_sync_fences_too() {
    let disk = SimDisk::new();
    let interval = std::time::Duration::from_millis(1);
    let machine = Machine::start(&disk, Durability::Interval(interval));
    let mut client = machine.client();
    // The first write makes a segment, with syncs of its own.
    run(&mut client, "SET a 0").unwrap();
    disk.fail_next(CallKind::Sync, Fault::SyncFails(FailedSync::Dropped));
    run(&mut client, "SET a 1").unwrap();
    let refused = (0..1000).find_map(|_| {
        std::thread::sleep(interval);
        run(&mut client, "SET a 2").err()
    });
    assert_eq!(code(&refused.expect("the sync fails in its own time")), "READONLY");
    assert!(matches!(run(&mut client, "GET a").unwrap(), Value::BulkString(_)));
}

/// Sends bytes and reads so many replies, as they came.
fn raw(machine: &Machine, request: &[u8], replies: usize) -> Vec<String> {
    use std::io::{BufRead, BufReader, Read, Write};
    let mut socket = std::os::unix::net::UnixStream::connect(machine.socket()).unwrap();
    socket.write_all(request).unwrap();
    let mut reader = BufReader::new(socket);
    let mut read = || {
        let mut reply = String::new();
        reader.read_line(&mut reply).unwrap();
        if let Some(length) = reply.strip_prefix('$').and_then(|l| l.trim().parse::<usize>().ok()) {
            let mut value = vec![0; length + 2];
            reader.read_exact(&mut value).unwrap();
            reply.push_str(&String::from_utf8(value).unwrap());
        }
        reply
    };
    (0..replies).map(|_| read()).collect()
}
