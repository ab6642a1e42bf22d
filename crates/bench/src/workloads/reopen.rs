//! How long it takes to open a store whose process was killed in the middle of writing.

use std::time::Instant;

use super::get::checked_get;
use super::overwrite::ROUNDS;
use super::{Bench, Message, Say};
use crate::Result;
use crate::random::Rng;
use crate::stores::Durability;
use crate::usage::{Cpu, evict};

/// Fills the store, overwrites it, syncs it, says so, and writes until it is killed.
pub fn prepare(bench: &Bench<'_>, say: Say<'_>) -> Result<()> {
    let store = bench.open(Durability::Os)?;
    bench.fill(&*store, 0)?;
    for version in 1..=ROUNDS {
        bench.overwrite(&*store, version, 0)?;
    }
    store.sync()?;
    say(&Message::Ready);
    let mut rng = Rng::new(1);
    let (mut key, mut value) = (Vec::new(), Vec::new());
    loop {
        let i = rng.below(bench.keys);
        let value = bench.data.value(i, ROUNDS + 1, &mut value);
        store.set(bench.data.key(i, &mut key), value)?;
    }
}

/// Opens the store and gets one key; then checks that nothing that was synced is lost.
pub fn measure(bench: &Bench<'_>, say: Say<'_>) -> Result<()> {
    if bench.task.settings.cold {
        evict(&bench.task.dir)?;
    }
    let (cpu, begin) = (Cpu::now(), Instant::now());
    let store = bench.open(Durability::Os)?;
    let found = checked_get(bench, &*store, bench.keys / 2, &mut Vec::new())?;
    let (elapsed, cpu) = (begin.elapsed(), Cpu::now() - cpu);
    if !found {
        return Err("the first key asked for was synced and is lost".into());
    }
    let millis = |time: std::time::Duration| time.as_secs_f64() * 1e3;
    let mut figures = [
        ("open_wall_ms".to_owned(), millis(elapsed)),
        ("open_user_ms".to_owned(), millis(cpu.user)),
        ("open_sys_ms".to_owned(), millis(cpu.sys)),
    ]
    .into();
    bench.memory_figures(&mut figures)?;
    bench.disk_figures(&mut figures)?;
    bench.gauge_figures(&*store, &mut figures);
    bench.verify(&*store, ROUNDS)?;
    store.close()?;
    say(&Message::Run { figures, notes: Vec::new() });
    Ok(())
}
