//! Each key is set once, by one thread, one set at a time.

use super::phase::Plan;
use super::{Bench, Message, Say};
use crate::Result;
use crate::stores::Durability;

/// Measures a load into an empty store.
pub fn run(bench: &Bench<'_>, say: Say<'_>) -> Result<()> {
    let store = bench.open(Durability::Os)?;
    let plan = Plan { ops: bench.keys, ..Plan::sampled(1, bench.task.settings.limit) };
    let phase = plan.run(|_| {
        let (mut key, mut value) = (Vec::new(), Vec::new());
        let store = &store;
        move |i| {
            store.set(bench.data.key(i, &mut key), bench.data.value(i, 0, &mut value))?;
            Ok(true)
        }
    })?;
    bench.fill(&*store, phase.ops)?;
    store.sync()?;

    let mut figures = phase.figures();
    bench.memory_figures(&mut figures)?;
    bench.disk_figures(&mut figures)?;
    bench.gauge_figures(&*store, &mut figures);
    bench.verify(&*store, 0)?;
    store.close()?;
    say(&Message::Run { figures, notes: phase.note_if_cut(bench.keys) });
    Ok(())
}
