//! Sets that are synced before they are acknowledged; every one is timed. How long the disk itself
//! takes for a sync is measured just before, since that may change from minute to minute.

use std::sync::Mutex;
use std::time::Duration;

use super::get::checked_get;
use super::phase::Plan;
use super::{Bench, Message, Say};
use crate::Result;
use crate::machine::synced_append_micros;
use crate::random::Rng;
use crate::stores::Durability;

const PROBE: Duration = Duration::from_millis(500);

/// Measures durable sets by `writers` threads.
pub fn run(bench: &Bench<'_>, writers: usize, say: Say<'_>) -> Result<()> {
    let sync_us = synced_append_micros(&bench.task.dir.join("probe"), PROBE)?;
    let store = bench.open(Durability::Always)?;
    for run in 0..bench.task.settings.runs {
        let acknowledged = Mutex::new(Vec::new());
        let plan = Plan::every_op(writers, bench.task.settings.seconds);
        let phase = plan.run(|thread| {
            let mut rng = Rng::new((run * writers + thread) as u64);
            let (mut key, mut value) = (Vec::new(), Vec::new());
            let (store, acknowledged) = (&store, &acknowledged);
            move |n| {
                let i = rng.below(bench.keys);
                let value = bench.data.value(i, n as u32, &mut value);
                store.set(bench.data.key(i, &mut key), value)?;
                if n % 100 == 0 {
                    acknowledged.lock().map_err(|_| "a thread panicked")?.push(i);
                }
                Ok(true)
            }
        })?;
        let mut key = Vec::new();
        for i in acknowledged.into_inner()? {
            if !checked_get(bench, &*store, i, &mut key)? {
                return Err(format!("key {i} was acknowledged and is lost").into());
            }
        }
        let mut figures = phase.figures();
        figures.insert("disk_sync_us".into(), sync_us);
        say(&Message::Run { figures, notes: Vec::new() });
    }
    store.close()
}
