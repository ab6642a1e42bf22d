//! A record that was damaged on the disk: whoever reads it is told, a transaction is not half done, and
//! writing the key anew mends it.

use aryavarth::Durability;
use aryavarth::disk::sim::SimDisk;
use redis::Value;

use crate::machine::{Machine, code, run};

/// Turns over a bit of `value` wherever it stands in the log.
fn damage(disk: &SimDisk, value: &[u8]) {
    let mut found = 0;
    for (path, _) in disk.files() {
        let contents = disk.contents(&path);
        for place in 0..contents.len().saturating_sub(value.len()) {
            if contents[place..].starts_with(value) {
                disk.flip_bit(&path, place as u64, 0);
                found += 1;
            }
        }
    }
    assert!(found > 0, "the value is in the log");
}

#[test]
fn a_transaction_on_a_damaged_key_is_refused_whole() {
    let disk = SimDisk::new();
    let machine = Machine::start(&disk, Durability::Always);
    let mut client = machine.client();
    run(&mut client, "SET from 100").unwrap();
    run(&mut client, "SET to 7300412").unwrap();
    damage(&disk, b"7300412");
    assert_eq!(code(&run(&mut client, "GET to").unwrap_err()), "IOERR");

    let mut pay = || {
        for line in ["MULTI", "DECRBY from 30", "INCRBY to 30"] {
            run(&mut client, line).unwrap();
        }
        run(&mut client, "EXEC")
    };
    let error = pay().unwrap_err();
    assert_eq!(code(&error), "EXECABORT", "{error}");
    assert!(error.to_string().contains("IOERR damage in "), "{error}");
    let mut other = machine.client();
    assert_eq!(run(&mut other, "GET from").unwrap(), Value::BulkString(b"100".to_vec()));

    run(&mut other, "SET to 50").unwrap();
    assert_eq!(pay().unwrap(), Value::Array(vec![Value::Int(70), Value::Int(80)]));
}

#[test]
fn several_keys_are_removed_or_none() {
    let disk = SimDisk::new();
    let machine = Machine::start(&disk, Durability::Always);
    let mut client = machine.client();
    run(&mut client, "SET whole 100").unwrap();
    run(&mut client, "SET damaged 7300412").unwrap();
    damage(&disk, b"7300412");
    assert_eq!(code(&run(&mut client, "DEL whole damaged").unwrap_err()), "IOERR");
    assert_eq!(run(&mut client, "GET whole").unwrap(), Value::BulkString(b"100".to_vec()));
    assert_eq!(run(&mut client, "DEL whole whole").unwrap(), Value::Int(1));
}
