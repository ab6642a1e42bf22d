//! The store's two threads and what wakes them.
//!
//! *commit* does what is short and waited for: commits for callers that do not block, syncs at
//! intervals, makes the next segment ahead of need, seals the full ones. *maintenance* does what is
//! long: checkpoints, compaction, the sweep of expired keys. Both stop when the store is closed.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::checkpoint;
use crate::compaction::{self, Effort};
use crate::expiry;
use crate::manifest::Role;
use crate::options::Durability;
use crate::reclaim;
use crate::store::core::Core;
use crate::store::group_commit::Leader;

/// How often the maintenance thread looks around when nobody wakes it.
const TICK: Duration = Duration::from_millis(250);
/// How often the commit thread does.
const COMMIT_TICK: Duration = Duration::from_millis(50);

/// Wakes the threads of a store.
#[derive(Debug, Default)]
pub struct Signals {
    stopping: AtomicBool,
    commit: Bell,
    maintenance: Bell,
    wants_commit: AtomicBool,
    last_sync: AtomicU64,
}

/// Rung by many, heard by one.
#[derive(Debug, Default)]
struct Bell {
    rung: Mutex<bool>,
    rings: Condvar,
}

impl Bell {
    fn ring(&self) {
        *self.rung.lock().expect("no panic while held") = true;
        self.rings.notify_one();
    }

    fn wait(&self, longest: Duration) {
        let rung = self.rung.lock().expect("no panic while held");
        let (mut rung, _) = self
            .rings
            .wait_timeout_while(rung, longest, |rung| !*rung)
            .expect("no panic while held");
        *rung = false;
    }
}

impl Signals {
    /// Has the commit thread commit what is pending.
    pub fn wake_committer(&self) {
        self.wants_commit.store(true, Ordering::Release);
        self.commit.ring();
    }

    /// Whether `interval` has passed since this last said yes.
    pub fn interval_passed(&self, interval: Duration, now: Duration) -> bool {
        let now = now.as_nanos() as u64;
        let last = self.last_sync.load(Ordering::Relaxed);
        let passed = now.saturating_sub(last) >= interval.as_nanos() as u64;
        passed
            && self
                .last_sync
                .compare_exchange(last, now, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Whether the store is being closed.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }

    fn stop(&self) {
        self.stopping.store(true, Ordering::Release);
        self.commit.ring();
        self.maintenance.ring();
    }
}

/// The running threads.
#[derive(Debug, Default)]
pub struct Threads {
    handles: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    /// Starts both.
    ///
    /// # Errors
    /// The system's, if it has no thread to give.
    pub fn start(core: &Arc<Core>) -> std::io::Result<Threads> {
        let spawn = |name: &str, body: fn(&Core)| {
            let core = Arc::clone(core);
            std::thread::Builder::new().name(name.to_owned()).spawn(move || body(&core))
        };
        let commit = spawn("aryavarth-commit", commit_loop)?;
        let threads = Threads { handles: Mutex::new(vec![commit]) };
        match spawn("aryavarth-maint", maintenance_loop) {
            Ok(handle) => threads.handles.lock().expect("no panic while held").push(handle),
            Err(error) => {
                threads.stop(core);
                return Err(error);
            }
        }
        Ok(threads)
    }

    /// Stops both and waits for them.
    pub fn stop(&self, core: &Core) {
        core.signals.stop();
        let handles = std::mem::take(&mut *self.handles.lock().expect("no panic while held"));
        for handle in handles {
            // A completion function may drop the last handle of the store on one of the threads.
            if handle.thread().id() != std::thread::current().id() {
                handle.join().expect("the store's threads do not panic");
            }
        }
    }
}

fn commit_loop(core: &Core) {
    let tick = match core.options.durability {
        Durability::Interval(interval) => interval.min(COMMIT_TICK),
        _ => COMMIT_TICK,
    };
    while !core.signals.is_stopping() {
        core.signals.commit.wait(tick);
        if core.signals.wants_commit.swap(false, Ordering::AcqRel) {
            core.lead(Leader::Free);
        }
        if let Durability::Interval(interval) = core.options.durability
            && core.signals.interval_passed(interval, core.options.disk.monotonic())
        {
            // A failure raises the fence, which the next write reports.
            let _ = core.sync();
        }
        upkeep(core);
    }
    if core.signals.wants_commit.swap(false, Ordering::AcqRel) {
        core.lead(Leader::Free);
    }
}

/// Makes the next segment before it is needed and seals the full ones.
fn upkeep(core: &Core) {
    let wanted = core.appender().wants_next();
    if let Some(prepared) = wanted {
        let mut prepared = prepared.lock().expect("no panic while held");
        if prepared.is_none() {
            // A full disk shows to the writer that needs the segment.
            *prepared = core.segments.create(Role::Log, core.options.segment_size).ok();
        }
    }
    let _ = core.seal_filled();
}

fn maintenance_loop(core: &Core) {
    let mut work = Work::default();
    core.options.disk.give_way();
    while !core.signals.is_stopping() {
        core.signals.maintenance.wait(TICK);
        if core.segments.fence.check().is_ok() {
            work.round(core);
        }
        reclaim::collect();
    }
}

/// What the maintenance thread remembers between its rounds.
#[derive(Debug, Default)]
struct Work {
    appended: u64,
    idle_rounds: u32,
    sweep: expiry::Sweep,
}

impl Work {
    /// One look at what there is to do. Failures are left for the next round: a full disk passes,
    /// damage shows to whoever reads it, and all else raises the fence.
    fn round(&mut self, core: &Core) {
        let appended = core.appender().appended;
        let quiet = appended - self.appended < core.options.compaction_budget / 400;
        self.idle_rounds = if quiet { self.idle_rounds + 1 } else { 0 };
        self.appended = appended;
        let effort = if self.idle_rounds >= 4 { Effort::Idle } else { Effort::Busy };
        expiry::record_clock(core);
        self.sweep.step(core);
        loop {
            // Between any two segments: while compaction has its hands full, the log grows most.
            if checkpoint::is_due(core) {
                let _ = checkpoint::write_slowly(core);
            }
            match compaction::run_background(core, effort) {
                Ok(done) if done.segments > 0 && !core.signals.is_stopping() => {}
                _ => return,
            }
        }
    }
}
