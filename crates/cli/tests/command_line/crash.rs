//! An import that is killed, again and again: every acknowledged record is there, and what is there
//! is a beginning of the file, in whole batches.

use std::fs::File;
use std::hash::{BuildHasher, RandomState};
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use crate::Place;

const ROUNDS: u64 = 12;
const BATCH: usize = 20;

fn line(number: usize) -> String {
    format!("key {number}\tvalue of {number} {}\n", "x".repeat(number % 100))
}

fn import(place: &Place, file: &str) -> Child {
    Command::new(crate::program())
        .arg("--dir")
        .arg(place.store())
        .args(["import", "-", "--format", "tsv", "--acknowledge", "--batch", &BATCH.to_string()])
        .stdin(File::open(place.path(file)).unwrap())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Kills `child` a while after its first acknowledgement, or before it; the last count it printed.
fn kill(mut child: Child, delay: Duration, wait_for_first: bool) -> usize {
    let mut counts = BufReader::new(child.stdout.take().unwrap()).lines();
    let first = if wait_for_first { counts.next().map(Result::unwrap) } else { None };
    let killer = thread::spawn(move || {
        thread::sleep(delay);
        child.kill().unwrap();
        child.wait().unwrap();
    });
    let last = counts.map_while(Result::ok).last().or(first);
    killer.join().unwrap();
    last.map_or(0, |count| count.parse().unwrap())
}

#[test]
fn what_was_acknowledged_survives_kill_9() {
    let place = Place::new();
    let whole: Vec<String> = (0..400_000).map(line).collect();
    let seed = RandomState::new().hash_one(0);
    let mut stored = 0;
    for round in 0..ROUNDS {
        if stored == whole.len() {
            break;
        }
        place.write("rest.tsv", whole[stored..whole.len().min(stored + 100_000)].concat());
        let random = seed.rotate_left(5 * round as u32) % 200;
        let wait_for_first = round % 4 != 0;
        let acknowledged =
            kill(import(&place, "rest.tsv"), Duration::from_millis(random), wait_for_first);
        assert!(acknowledged > 0 || !wait_for_first);

        if stored + acknowledged == 0 && !place.store().join("logs").exists() {
            continue;
        }
        let exported = place.aryavarth(&["export", "-", "--format", "tsv"]).assert();
        let output = exported.get_output();
        if stored + acknowledged == 0 && output.status.code() == Some(8) {
            continue;
        }
        assert!(output.status.success(), "round {round} seed {seed}: {output:?}");
        let found = output.stdout.iter().filter(|byte| **byte == b'\n').count();
        assert!(found >= stored + acknowledged, "round {round} seed {seed}: {found}");
        assert!(output.stdout == whole[..found].concat().as_bytes(), "round {round} seed {seed}");
        assert_eq!((found - stored) % BATCH, 0, "round {round} seed {seed}: a torn batch");
        stored = found;
    }
    assert!(stored > 0);
    place.run(&["verify"]).success();
}
