//! YCSB's mixes of gets and sets over popular keys. A set writes the whole value.

use super::get::{checked_get, zipf_numbers};
use super::phase::{Phase, Plan};
use super::{Bench, Message, Say};
use crate::Result;
use crate::random::Rng;
use crate::stores::{Durability, Store};

/// Measures a mix in which `reads` of a hundred operations are gets.
pub fn run(bench: &Bench<'_>, reads: u64, threads: usize, say: Say<'_>) -> Result<()> {
    let store = bench.open(Durability::Os)?;
    bench.fill(&*store, 0)?;
    store.sync()?;
    bench.settle()?;
    let seconds = bench.task.settings.seconds;
    phase(bench, &*store, reads, Plan::sampled(threads, seconds / 2.0), 0)?;
    for run in 1..=bench.task.settings.runs {
        let phase = phase(bench, &*store, reads, Plan::sampled(threads, seconds), run)?;
        say(&Message::Run { figures: phase.figures(), notes: Vec::new() });
    }
    bench.verify(&*store, 0)?;
    store.close()
}

fn phase(
    bench: &Bench<'_>,
    store: &dyn Store,
    reads: u64,
    plan: Plan,
    run: usize,
) -> Result<Phase> {
    let phase = plan.run(|thread| {
        let seed = (run * plan.threads + thread) as u64;
        let drawn = zipf_numbers(bench.keys, seed);
        let mut rng = Rng::new(!seed);
        let (mut key, mut value) = (Vec::new(), Vec::new());
        move |n| {
            let i = u64::from(drawn[n as usize % drawn.len()]);
            if rng.below(100) < reads {
                return checked_get(bench, store, i, &mut key);
            }
            let value = bench.data.value(i, n as u32, &mut value);
            store.set(bench.data.key(i, &mut key), value)?;
            Ok(true)
        }
    })?;
    if phase.hits != phase.ops {
        return Err(format!("{} gets found no value", phase.ops - phase.hits).into());
    }
    Ok(phase)
}
