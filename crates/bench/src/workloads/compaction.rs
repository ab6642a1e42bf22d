//! A reader and a writer, first alone, then with compactions running beside them. Every
//! operation is timed: the longest one is the pause that matters.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::get::checked_get;
use super::phase::{Phase, Plan};
use super::{Bench, Message, Say};
use crate::Result;
use crate::metrics::Figures;
use crate::random::Rng;
use crate::stores::{Durability, Store};

/// Measures how much a compaction takes away from gets and sets.
pub fn run(bench: &Bench<'_>, say: Say<'_>) -> Result<()> {
    let store = bench.open(Durability::Os)?;
    bench.fill(&*store, 0)?;
    bench.overwrite(&*store, 1, 0)?;
    store.sync()?;
    bench.settle()?;
    // One compaction up front tells whether there is such a call, before time is spent on it.
    store.compact()?;
    for run in 0..bench.task.settings.runs {
        bench.overwrite(&*store, run as u32 + 2, 0)?;
        bench.settle()?;
        let mut figures = Figures::new();
        let (gets, sets) = pair(bench, &*store, &AtomicBool::new(true))?;
        record(&mut figures, "quiet", &gets, &sets);
        let (busy, count, spent) = beside_compactions(bench, &*store)?;
        record(&mut figures, "busy", &busy.0, &busy.1);
        figures.insert("get_drop_pct".into(), drop_pct(gets.rate(), busy.0.rate()));
        figures.insert("set_drop_pct".into(), drop_pct(sets.rate(), busy.1.rate()));
        figures.insert("compactions".into(), count as f64);
        figures.insert("compaction_s".into(), spent.as_secs_f64());
        say(&Message::Run { figures, notes: Vec::new() });
    }
    bench.verify(&*store, 0)?;
    store.close()
}

fn drop_pct(quiet: f64, busy: f64) -> f64 {
    (1.0 - busy / quiet) * 100.0
}

fn record(figures: &mut Figures, when: &str, gets: &Phase, sets: &Phase) {
    for (what, phase) in [("get", gets), ("set", sets)] {
        figures.insert(format!("{what}_{when}_per_s"), phase.rate());
        figures.insert(format!("{what}_{when}_p99_us"), phase.latency.micros_at(0.99));
        figures.insert(format!("{what}_{when}_max_us"), phase.latency.max_micros());
    }
}

/// Runs compactions, one after the other, for as long as the reader and the writer are at work.
fn beside_compactions(
    bench: &Bench<'_>,
    store: &dyn Store,
) -> Result<((Phase, Phase), u64, Duration)> {
    let (done, started) = (AtomicBool::new(false), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let compactor = scope.spawn(|| -> Result<(u64, Duration)> {
            let (mut count, begin) = (0, Instant::now());
            while !done.load(Ordering::Relaxed) {
                started.store(true, Ordering::Relaxed);
                store.compact()?;
                count += 1;
                // A store that finds nothing to do must not spin on one of the cores.
                std::thread::sleep(Duration::from_millis(1));
            }
            Ok((count, begin.elapsed()))
        });
        let phases = pair(bench, store, &started);
        done.store(true, Ordering::Relaxed);
        let (count, spent) = compactor.join().map_err(|_| "the compaction panicked")??;
        Ok((phases?, count, spent))
    })
}

/// One reader and one writer, at work for the same time from when `go` is set.
fn pair(bench: &Bench<'_>, store: &dyn Store, go: &AtomicBool) -> Result<(Phase, Phase)> {
    while !go.load(Ordering::Relaxed) {
        std::thread::yield_now();
    }
    let plan = Plan::every_op(1, bench.task.settings.seconds);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| plan.run(|_| reader(bench, store)));
        let sets = plan.run(|_| writer(bench, store));
        let gets = reader.join().map_err(|_| "the reader panicked")??;
        if gets.hits != gets.ops {
            return Err(format!("{} gets found no value", gets.ops - gets.hits).into());
        }
        Ok((gets, sets?))
    })
}

fn reader<'a>(bench: &'a Bench<'_>, store: &'a dyn Store) -> impl FnMut(u64) -> Result<bool> + 'a {
    let (mut rng, mut key) = (Rng::new(3), Vec::new());
    move |_| checked_get(bench, store, rng.below(bench.keys), &mut key)
}

fn writer<'a>(bench: &'a Bench<'_>, store: &'a dyn Store) -> impl FnMut(u64) -> Result<bool> + 'a {
    let (mut rng, mut key, mut value) = (Rng::new(4), Vec::new(), Vec::new());
    move |n| {
        let i = rng.below(bench.keys);
        store.set(bench.data.key(i, &mut key), bench.data.value(i, n as u32, &mut value))?;
        Ok(true)
    }
}
