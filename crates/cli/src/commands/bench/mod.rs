//! `bench`: a quick measure of this store, next to the limits of this machine taken in the same
//! run.
//!
//! | row | the store | the machine |
//! |---|---|---|
//! | synced sets | sets a second, all threads, each synced | appends a second, one thread, synced |
//! | load | bytes a second, in batches, then synced | bytes a second, in large blocks, synced |
//! | gets | reads a second of random keys, all threads | |
//! | open | time to open the loaded store | |
//!
//! Store and machine take turns in short rounds, since the speed of a shared disk changes from one
//! second to the next: the ratio holds where the rates do not. The first is above 1 when threads
//! share syncs; the second is below 1 by what checksums, the index and maintenance cost. All files
//! are in a scratch directory inside `--dir` and removed at the end.

mod machine;
mod rate;
mod workload;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use aryavarth::Durability;
use indicatif::{HumanBytes, HumanCount};
use serde_json::{Value, json};

use super::Context;
use crate::arguments::Bench;
use crate::failure::Result;
use crate::files::Scratch;
use crate::output::Output;
use crate::progress::{Progress, Unit};
use machine::Appender;
use rate::{Rate, Stopwatch};
use workload::Workload;

/// Turns that the store and the machine take.
const ROUNDS: u64 = 8;

/// What was measured.
struct Measured {
    machine_syncs: Rate,
    machine_bytes: Rate,
    synced_sets: Rate,
    load_bytes: Rate,
    load_sets: Rate,
    gets: Rate,
    open: Duration,
}

/// Runs the command.
///
/// # Errors
/// Whatever the machine and the store give.
pub fn run(arguments: &Bench, context: &Context, output: &mut Output) -> Result<()> {
    let measured = measure(arguments, context.directory()?)?;
    output.result(&measured.json(arguments), &measured.text(arguments))
}

fn measure(arguments: &Bench, directory: &Path) -> Result<Measured> {
    let scratch = Scratch::create(directory)?;
    let mut progress = Progress::new("measuring", Unit::Entries);
    let mut part = 0;
    let mut begin_part = || {
        progress.update(part, Some(2 * ROUNDS + 1));
        part += 1;
    };
    let work = Workload::new(arguments);
    let turn = arguments.time / ROUNDS as u32;

    let (mut machine_syncs, mut synced_sets) = (Rate::default(), Rate::default());
    let mut appender = Appender::create(&scratch.join("syncs"))?;
    let store = work.open(&scratch.join("synced"), Durability::Always)?;
    for _ in 0..ROUNDS {
        begin_part();
        machine_syncs += appender.syncs(arguments.value, turn)?;
        synced_sets += work.sets(&store, turn)?;
    }
    store.close()?;

    let (mut machine_bytes, mut load_sets) = (Rate::default(), Rate::default());
    let mut appender = Appender::create(&scratch.join("bandwidth"))?;
    let loaded = scratch.join("loaded");
    let store = work.open(&loaded, Durability::Os)?;
    for round in 0..ROUNDS {
        begin_part();
        machine_bytes += appender.blocks()?;
        load_sets += work.load(&store, round, ROUNDS)?;
    }
    store.close()?;

    begin_part();
    let watch = Stopwatch::start();
    let store = work.open(&loaded, Durability::Os)?;
    let open = watch.elapsed();
    let gets = work.gets(&store, arguments.time)?;
    let load_bytes = load_sets.times(work.set_bytes());
    let measured =
        Measured { machine_syncs, machine_bytes, synced_sets, load_bytes, load_sets, gets, open };
    Ok(measured)
}

impl Measured {
    fn json(&self, arguments: &Bench) -> Value {
        json!({
            "keys": arguments.keys,
            "value_bytes": arguments.value,
            "threads": arguments.threads,
            "machine": {
                "syncs_per_second": self.machine_syncs.a_second(),
                "bytes_per_second": self.machine_bytes.a_second(),
            },
            "store": {
                "synced_sets_per_second": self.synced_sets.a_second(),
                "load_bytes_per_second": self.load_bytes.a_second(),
                "load_sets_per_second": self.load_sets.a_second(),
                "gets_per_second": self.gets.a_second(),
                "open_seconds": self.open.as_secs_f64(),
            },
            "ratio": {
                "synced_sets_to_syncs": self.synced_sets.to(self.machine_syncs),
                "load_to_bandwidth": self.load_bytes.to(self.machine_bytes),
            },
        })
    }

    fn text(&self, arguments: &Bench) -> String {
        let Bench { keys, value, threads, .. } = arguments;
        let mut text = format!("{keys} keys, values of {value} bytes, {threads} threads\n\n");
        let rows = [
            ["", "store", "machine", "ratio"].map(str::to_owned),
            [
                "synced sets".to_owned(),
                a_second(self.synced_sets.a_second(), "sets"),
                a_second(self.machine_syncs.a_second(), "syncs"),
                format!("{:.2}", self.synced_sets.to(self.machine_syncs)),
            ],
            [
                "load".to_owned(),
                bytes_a_second(self.load_bytes.a_second()),
                bytes_a_second(self.machine_bytes.a_second()),
                format!("{:.2}", self.load_bytes.to(self.machine_bytes)),
            ],
            [
                String::new(),
                a_second(self.load_sets.a_second(), "sets"),
                String::new(),
                String::new(),
            ],
            [
                "gets".to_owned(),
                a_second(self.gets.a_second(), "gets"),
                String::new(),
                String::new(),
            ],
            ["open".to_owned(), format!("{:.1?}", self.open), String::new(), String::new()],
        ];
        for [name, store, machine, ratio] in rows {
            let row = format!("{name:<12} {store:>20} {machine:>20} {ratio:>7}");
            writeln!(text, "{}", row.trim_end()).expect("a String takes all text");
        }
        text.truncate(text.trim_end().len());
        text
    }
}

fn a_second(rate: f64, unit: &str) -> String {
    format!("{} {unit}/s", HumanCount(rate as u64))
}

fn bytes_a_second(rate: f64) -> String {
    format!("{}/s", HumanBytes(rate as u64))
}
