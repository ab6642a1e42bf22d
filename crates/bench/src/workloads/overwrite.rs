//! Every key is set three more times in random order; then the store is left alone until its
//! bytes on disk come to rest.

use super::phase::Plan;
use super::{Bench, Message, Say};
use crate::Result;
use crate::stores::{Durability, Store};
use crate::usage::{Cpu, device_bytes_written};

/// How often each key is overwritten.
pub const ROUNDS: u32 = 3;

/// Measures the overwrites, and the space they leave behind.
pub fn run(bench: &Bench<'_>, say: Say<'_>) -> Result<()> {
    let store = bench.open(Durability::Os)?;
    bench.fill(&*store, 0)?;
    store.sync()?;

    let before = Cpu::now();
    let wanted = bench.keys * u64::from(ROUNDS);
    let plan = Plan { ops: wanted, ..Plan::sampled(1, bench.task.settings.limit) };
    let phase = plan.run(|_| overwriter(bench, &*store))?;
    finish(bench, &*store, phase.ops)?;
    store.sync()?;
    let settled = bench.settle()?;

    let mut figures = phase.figures();
    let cpu = (Cpu::now() - before).total().as_secs_f64() * 1e6 / wanted as f64;
    figures.insert("cpu_at_rest_us_per_op".into(), cpu);
    figures.insert("settle_s".into(), settled.as_secs_f64());
    let written = device_bytes_written()? as f64 / bench.live_bytes();
    figures.insert("write_amplification".into(), written / f64::from(ROUNDS + 1));
    bench.memory_figures(&mut figures)?;
    bench.disk_figures(&mut figures)?;
    bench.gauge_figures(&*store, &mut figures);
    bench.verify(&*store, ROUNDS)?;
    store.close()?;
    say(&Message::Run { figures, notes: phase.note_if_cut(wanted) });
    Ok(())
}

fn overwriter<'a>(
    bench: &'a Bench<'_>,
    store: &'a dyn Store,
) -> impl FnMut(u64) -> Result<bool> + 'a {
    let (mut key, mut value) = (Vec::new(), Vec::new());
    let orders: Vec<_> = (1..=ROUNDS).map(|version| bench.order(version)).collect();
    move |n| {
        let round = (n / bench.keys) as usize;
        let i = orders[round].at(n % bench.keys);
        let version = round as u32 + 1;
        store.set(bench.data.key(i, &mut key), bench.data.value(i, version, &mut value))?;
        Ok(true)
    }
}

/// Does, in batches, what the timed phase had no time for.
fn finish(bench: &Bench<'_>, store: &dyn Store, done: u64) -> Result<()> {
    for round in done / bench.keys..u64::from(ROUNDS) {
        let from = done.saturating_sub(round * bench.keys);
        bench.overwrite(store, round as u32 + 1, from)?;
    }
    Ok(())
}
