//! Whole nodes in one process under one seed.
//!
//! ```text
//!  seed ─▶ World ─▶ machines: disk · clock · node, server ◀─▶ Air: late, lost, cut
//!            │           │ what groups do to logs
//!            │           ▼
//!            │         Ledger: Raft's promises, at each step
//!            ├─▶ clients ─▶ History ─▶ linearizable?
//!            └─▶ nemesis: crashes, pauses, partitions, clocks, disks, rot, purges, moves
//! ```
//!
//! One thread, and tokio's time, which stands still while anything can be done; so a seed determines all
//! that happens, which the hash of its [trace](Outcome::trace) shows. See
//! `docs/decisions/0017-simulation.md`.

mod clients;
mod expiry;
mod history;
mod judge;
mod ledger;
mod machine;
mod nemesis;
mod operator;
mod random;
mod rot;
mod stage;
mod talk;
mod trace;
mod upkeep;
mod watch;
mod weather;
mod world;

use std::cell::RefCell;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

use aryavarth::planted::{Planted, plant};

pub use machine::MachineId;
pub use stage::{Nothing, Plan, Stage};
pub use trace::Events;
use world::World;

/// What came of a seed.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The seed.
    pub seed: u64,
    /// A hash over all that happened.
    pub trace: u64,
    /// How many events that were.
    pub events: u64,
    /// Entries that were committed, over all shards.
    pub committed: u64,
    /// Terms that had a leader, over all shards.
    pub leaders: u64,
    /// Calls of clients, and how many were answered.
    pub calls: (usize, usize),
    /// What must not happen and did.
    pub violation: Option<String>,
}

thread_local! {
    static PANICS: RefCell<Vec<String>> = const { RefCell::new(Vec::new()) };
}

/// Has panics remembered, those of tasks too, which the runtime swallows.
fn watch_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        panic::set_hook(Box::new(|panic| {
            let trace = std::backtrace::Backtrace::capture();
            let told = format!("{panic}\n{trace}");
            PANICS.with_borrow_mut(|panics| {
                // One while another unwinds ends the process: nobody would be told of either.
                if let Some(first) = panics.first() {
                    eprintln!("{first}\n{told}");
                }
                panics.push(told);
            });
        }));
    });
}

/// Does something, whether it panics or not; the hook remembers that.
fn caught<T>(act: impl FnOnce() -> T) -> Result<T, String> {
    panic::catch_unwind(AssertUnwindSafe(act)).map_err(|_| "a panic".into())
}

/// Runs a seed, with a bug planted if one is given.
///
/// # Panics
/// If there is no runtime to be had.
pub fn run(seed: u64, bug: Option<Planted>, events: Events) -> Outcome {
    watch_panics();
    PANICS.take();
    plant(bug);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("the machine gives what a runtime needs");
    let mut world = runtime.block_on(async { World::new(seed, events) });
    let judged = caught(|| runtime.block_on(world.run())).flatten();
    let ended = caught(|| drop(runtime));
    let (count, hash) = world.trace.sum();
    let mut outcome = Outcome {
        seed,
        trace: hash,
        events: count,
        committed: world.shards.iter().map(|shard| world.ledger.chosen(*shard)).sum(),
        leaders: world.ledger.leaders(),
        calls: world.history.counts(),
        violation: None,
    };
    let trace = world.trace.clone();
    let dropped = caught(|| drop(world)).and(trace.end());
    plant(None);
    let panicked = PANICS.take().into_iter().next().map(|panic| format!("panic: {panic}"));
    outcome.violation = panicked.or(judged.and(ended).and(dropped).err());
    outcome
}
