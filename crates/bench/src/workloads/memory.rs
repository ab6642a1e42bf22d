//! Memory a key: what a filled store that has come to rest holds, its caches and write buffers
//! among it.

use super::{Bench, Message, Say};
use crate::Result;
use crate::metrics::Figures;
use crate::stores::Durability;

/// Measures the memory of a store filled with tiny values.
pub fn run(bench: &Bench<'_>, say: Say<'_>) -> Result<()> {
    let store = bench.open(Durability::Os)?;
    bench.fill(&*store, 0)?;
    store.sync()?;
    bench.settle()?;
    let mut figures = Figures::new();
    bench.memory_figures(&mut figures)?;
    bench.disk_figures(&mut figures)?;
    bench.gauge_figures(&*store, &mut figures);
    bench.verify(&*store, 0)?;
    store.close()?;
    say(&Message::Run { figures, notes: Vec::new() });
    Ok(())
}
