//! Runs seeds of the simulation.
//!
//! ```text
//!  aryavarth-sim --seeds 0..1000        each seed of the range; a failing one prints how to run it again
//!  aryavarth-sim --seed 17 --print      one seed, with all that happens
//!  aryavarth-sim --seeds 0..100 --bug StaleOverlay
//! ```
//!
//! It exits with 0 if no seed failed, 1 if one did, be it by a panic, and 2 if it was asked wrongly.

use std::ops::Range;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use aryavarth::planted::Planted;
use aryavarth_sim::simulation::{Events, Outcome, run};
use clap::Parser;

/// Runs whole clusters in one process under one seed, lets things go wrong, and checks what must hold.
#[derive(Debug, Parser)]
#[command(name = "aryavarth-sim")]
struct Arguments {
    /// The seeds to run, as FIRST..END.
    #[arg(long, value_parser = range, default_value = "0..100", conflicts_with = "seed")]
    seeds: Range<u64>,
    /// One seed.
    #[arg(long)]
    seed: Option<u64>,
    /// Print all that happens, and what nodes write to their logs.
    #[arg(long)]
    print: bool,
    /// A bug to be planted.
    #[arg(long, value_parser = bug)]
    bug: Option<Planted>,
    /// Threads.
    #[arg(long, default_value_t = std::thread::available_parallelism().map_or(1, usize::from))]
    threads: usize,
}

fn range(text: &str) -> Result<Range<u64>, String> {
    let parsed = text.split_once("..").and_then(|(first, end)| {
        let range = first.parse().ok()?..end.parse().ok()?;
        (range.start < range.end).then_some(range)
    });
    parsed.ok_or_else(|| "not a range, such as 0..1000".into())
}

fn bug(text: &str) -> Result<Planted, String> {
    let found = Planted::ALL.into_iter().find(|bug| format!("{bug:?}").eq_ignore_ascii_case(text));
    found.ok_or_else(|| {
        let names: Vec<String> = Planted::ALL.iter().map(|bug| format!("{bug:?}")).collect();
        format!("not one of {}", names.join(", "))
    })
}

#[expect(clippy::print_stdout, reason = "this is what the program is for")]
fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let seeds = arguments.seed.map_or(arguments.seeds.clone(), |seed| seed..seed + 1);
    let events = if arguments.print { Events::Printed } else { Events::Hashed };
    if arguments.print {
        let nodes = tracing_subscriber::fmt().with_target(false).without_time();
        nodes.with_ansi(false).with_writer(std::io::stderr).init();
    }
    let next = AtomicU64::new(seeds.start);
    let outcomes: Mutex<Vec<Outcome>> = Mutex::default();
    std::thread::scope(|scope| {
        for _ in 0..arguments.threads.max(1) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::SeqCst);
                    if seed >= seeds.end {
                        return;
                    }
                    let outcome = run(seed, arguments.bug, events);
                    tell(&outcome, arguments.bug);
                    outcomes.lock().unwrap_or_else(PoisonError::into_inner).push(outcome);
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().unwrap_or_else(PoisonError::into_inner);
    let sum = |of: fn(&Outcome) -> u64| outcomes.iter().map(of).sum::<u64>();
    let failed = outcomes.iter().filter(|outcome| outcome.violation.is_some()).count();
    let calls: usize = outcomes.iter().map(|outcome| outcome.calls.0).sum();
    let answered: usize = outcomes.iter().map(|outcome| outcome.calls.1).sum();
    println!(
        "{} seeds, {failed} failed; {} events, {} entries committed, {} leaders, {calls} calls, {answered} answered",
        outcomes.len(),
        sum(|outcome| outcome.events),
        sum(|outcome| outcome.committed),
        sum(|outcome| outcome.leaders),
    );
    if arguments.seed.is_some() {
        outcomes.iter().for_each(|outcome| println!("trace {:016x}", outcome.trace));
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

#[expect(clippy::print_stdout, reason = "this is what the program is for")]
fn tell(outcome: &Outcome, bug: Option<Planted>) {
    let Some(violation) = &outcome.violation else { return };
    let bug = bug.map_or_else(String::new, |bug| format!(" --bug {bug:?}"));
    println!("seed {} FAILED {violation}", outcome.seed);
    let again = format!("cargo run -p aryavarth-sim --release -- --seed {}{bug}", outcome.seed);
    println!("    again: {again}");
}
