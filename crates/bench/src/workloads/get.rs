//! Gets over a filled store that has come to rest.

use super::phase::{Phase, Plan};
use super::{Bench, Message, Say};
use crate::Result;
use crate::random::{Rng, Zipf};
use crate::rows::Pick;
use crate::stores::{Durability, Store};

/// Zipfian numbers are drawn before the clock starts: a draw costs as much as a fast get.
const DRAWN: usize = 1 << 21;
/// First of the keys that are never set.
const ABSENT: u64 = 1 << 40;

/// Measures gets, after a pass that warms caches up.
pub fn run(bench: &Bench<'_>, pick: Pick, threads: usize, say: Say<'_>) -> Result<()> {
    let store = bench.open(Durability::Os)?;
    bench.fill(&*store, 0)?;
    store.sync()?;
    bench.settle()?;
    let seconds = bench.task.settings.seconds;
    phase(bench, &*store, pick, Plan::sampled(threads, seconds / 2.0), 0)?;
    for run in 1..=bench.task.settings.runs {
        let phase = phase(bench, &*store, pick, Plan::sampled(threads, seconds), run)?;
        let mut figures = phase.figures();
        figures.insert("hits".into(), phase.hits as f64);
        figures.insert("misses".into(), (phase.ops - phase.hits) as f64);
        say(&Message::Run { figures, notes: Vec::new() });
    }
    store.close()
}

fn phase(
    bench: &Bench<'_>,
    store: &dyn Store,
    pick: Pick,
    plan: Plan,
    run: usize,
) -> Result<Phase> {
    let phase = plan.run(|thread| {
        let mut next = chooser(pick, bench.keys, (run * plan.threads + thread) as u64);
        let mut key = Vec::new();
        move |n| checked_get(bench, store, next(n), &mut key)
    })?;
    let expected = if pick == Pick::Missing { 0 } else { phase.ops };
    if phase.hits != expected {
        return Err(format!("{} of {} gets found a value", phase.hits, phase.ops).into());
    }
    Ok(phase)
}

/// Gets key `i`; an error if its value is another's.
pub fn checked_get(
    bench: &Bench<'_>,
    store: &dyn Store,
    i: u64,
    key: &mut Vec<u8>,
) -> Result<bool> {
    let mut good = false;
    let found = store.get(bench.data.key(i, key), &mut |value| {
        good = bench.data.matches(i, value);
    })?;
    if found && !good {
        return Err(format!("key {i} has a wrong value").into());
    }
    Ok(found)
}

fn chooser(pick: Pick, keys: u64, seed: u64) -> Box<dyn FnMut(u64) -> u64> {
    let mut rng = Rng::new(seed);
    match pick {
        Pick::Uniform => Box::new(move |_| rng.below(keys)),
        Pick::Missing => Box::new(move |_| ABSENT + rng.below(keys)),
        Pick::Zipf => {
            let drawn = zipf_numbers(keys, seed);
            Box::new(move |n| u64::from(drawn[n as usize % DRAWN]))
        }
    }
}

/// As many Zipfian key numbers as a phase cycles through.
pub fn zipf_numbers(keys: u64, seed: u64) -> Vec<u32> {
    let mut zipf = Zipf::new(keys, seed);
    (0..DRAWN).map(|_| zipf.draw() as u32).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_keys_are_no_keys() {
        let mut next = chooser(Pick::Missing, 1000, 1);
        assert!((0..1000).all(|n| next(n) >= ABSENT));
    }
}
