//! A full disk: what grows is refused with the reason, reads and deletes go on, and writes resume by
//! themselves once there is space.

use std::time::Duration;

use aryavarth::Durability;
use aryavarth::disk::sim::SimDisk;
use redis::{Connection, Value};

use crate::machine::{Machine, code, run};

fn fill(client: &mut Connection) -> u32 {
    let value = "x".repeat(1000);
    for number in 0..100_000 {
        if let Err(error) = run(client, &format!("SET filler:{number} {value}")) {
            assert_eq!(code(&error), "MISCONF", "{error}");
            return number;
        }
    }
    panic!("the disk never got full");
}

#[test]
fn reads_and_deletes_go_on_and_writes_resume() {
    for durability in [Durability::Always, Durability::Os] {
        let disk = SimDisk::new();
        disk.set_capacity(600 << 10);
        let mut machine = Machine::start(&disk, durability);
        let mut client = machine.client();
        run(&mut client, "SET kept 1").unwrap();
        let stored = fill(&mut client);
        assert!(stored > 100, "only {stored} fitted");
        assert_eq!(code(&run(&mut client, "SET filler:0 y").unwrap_err()), "MISCONF");
        assert_eq!(run(&mut client, "GET kept").unwrap(), Value::BulkString(b"1".to_vec()));
        assert_eq!(run(&mut client, "DEL filler:1").unwrap(), Value::Int(1));
        assert_eq!(run(&mut client, "EXISTS filler:1 filler:2").unwrap(), Value::Int(1));
        // A transaction that grows is refused as a whole.
        run(&mut client, "MULTI").unwrap();
        for line in ["DEL kept".to_owned(), format!("SET more {}", "x".repeat(50_000))] {
            let queued = Value::SimpleString("QUEUED".to_owned());
            assert_eq!(run(&mut client, &line).unwrap(), queued);
        }
        let refused = run(&mut client, "EXEC").unwrap_err();
        // Before it is run, if the disk was full a moment ago; otherwise when the log refuses it.
        assert!(["EXECABORT", "MISCONF"].contains(&code(&refused).as_str()), "{refused}");
        assert!(refused.to_string().contains("MISCONF"), "{refused}");
        assert_eq!(run(&mut client, "EXISTS kept").unwrap(), Value::Int(1));
        disk.set_capacity(100 << 20);
        std::thread::sleep(Duration::from_millis(150));
        run(&mut client, "SET filler:0 y").unwrap();
        assert_eq!(run(&mut client, "GET filler:0").unwrap(), Value::BulkString(b"y".to_vec()));
        machine.stop();
    }
}
