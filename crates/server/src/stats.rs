//! What is known of the commands that ran: by each worker alone, added up when somebody asks.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::command::CommandId;
use crate::metrics::Histogram;

mod rates;

pub use rates::Rates;
use rates::Sampler;

/// Error codes told apart. More of them than a server has are somebody's invention.
const MAX_CODES: usize = 128;

/// What is known of one command.
#[derive(Debug, Default)]
pub struct CommandStats {
    /// Nanoseconds of each run.
    pub nanos: Histogram,
    /// Runs that answered with an error.
    pub failed: AtomicU64,
    /// Requests that were not run.
    pub rejected: AtomicU64,
}

impl CommandStats {
    /// Notes a run. By its worker only.
    #[inline]
    pub fn ran(&self, took: Duration, failed: bool) {
        self.nanos.record_alone(took.as_nanos() as u64);
        if failed {
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes a request that was not run.
    pub fn reject(&self) {
        self.rejected.fetch_add(1, Ordering::Relaxed);
    }
}

/// What one worker knows.
#[derive(Debug)]
pub struct WorkerStats {
    commands: Vec<CommandStats>,
    unknown: AtomicU64,
    errors: Mutex<BTreeMap<String, u64>>,
    ran: AtomicU64,
    hits: AtomicU64,
    misses: AtomicU64,
    received: AtomicU64,
    sent: AtomicU64,
    denied_logins: AtomicU64,
}

/// Counts over all commands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Commands that ran.
    pub commands: u64,
    /// Keys that reads found.
    pub hits: u64,
    /// Keys that reads did not find.
    pub misses: u64,
    /// Bytes that came from clients.
    pub received: u64,
    /// Bytes that were sent to clients.
    pub sent: u64,
    /// Logins that were refused.
    pub denied_logins: u64,
}

/// Adds to a number, where only one thread ever does.
#[inline]
fn add_alone(number: &AtomicU64, more: u64) {
    number.store(number.load(Ordering::Relaxed) + more, Ordering::Relaxed);
}

impl Default for WorkerStats {
    fn default() -> WorkerStats {
        WorkerStats {
            commands: (0..CommandId::COUNT).map(|_| CommandStats::default()).collect(),
            unknown: AtomicU64::new(0),
            errors: Mutex::default(),
            ran: AtomicU64::new(0),
            hits: AtomicU64::new(0),
            misses: AtomicU64::new(0),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            denied_logins: AtomicU64::new(0),
        }
    }
}

impl WorkerStats {
    /// Notes a run of a command. By its worker only, as all that has to do with counts of its own.
    #[inline]
    pub fn ran(&self, id: CommandId, took: Duration, failed: bool) {
        add_alone(&self.ran, 1);
        self.command(id).ran(took, failed);
    }

    /// Notes that a run that seemed to go well failed in the end. By anybody.
    pub fn failed_later(&self, id: CommandId, text: &str) {
        self.command(id).failed.fetch_add(1, Ordering::Relaxed);
        self.error(text);
    }

    /// Notes that a read found its key, or did not.
    #[inline]
    pub fn looked_up(&self, found: bool) {
        add_alone(if found { &self.hits } else { &self.misses }, 1);
    }

    /// Notes bytes that came.
    pub fn received(&self, bytes: u64) {
        add_alone(&self.received, bytes);
    }

    /// Notes bytes that were sent.
    pub fn sent(&self, bytes: u64) {
        add_alone(&self.sent, bytes);
    }

    /// Notes a login that was refused.
    pub fn denied_login(&self) {
        add_alone(&self.denied_logins, 1);
    }

    fn counters(&self) -> [&AtomicU64; 7] {
        let WorkerStats { unknown, ran, hits, misses, received, sent, denied_logins, .. } = self;
        [unknown, ran, hits, misses, received, sent, denied_logins]
    }

    /// What is known of a command.
    #[inline]
    pub fn command(&self, id: CommandId) -> &CommandStats {
        &self.commands[id.index()]
    }

    /// Notes a request for a command that is not known.
    pub fn unknown(&self) {
        self.unknown.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes an error by its code, the first word of its text.
    pub fn error(&self, text: &str) {
        let code = text.split(' ').next().unwrap_or(text);
        let mut errors = self.errors.lock().expect("no panic while held");
        if let Some(count) = errors.get_mut(code) {
            *count += 1;
        } else if errors.len() < MAX_CODES {
            errors.insert(code.to_owned(), 1);
        }
    }
}

/// What all workers know.
#[derive(Debug)]
pub struct Stats {
    workers: Vec<WorkerStats>,
    sampler: Mutex<Sampler>,
}

/// The sums of one command over all workers.
#[derive(Clone, Debug, Default)]
pub struct CommandTotals {
    /// Runs.
    pub calls: u64,
    /// Nanoseconds of all of them.
    pub nanos: u64,
    /// Runs that answered with an error.
    pub failed: u64,
    /// Requests that were not run.
    pub rejected: u64,
    /// How many took how long: the buckets of [`Histogram`], in nanoseconds.
    pub buckets: Vec<u64>,
}

impl Stats {
    /// For so many workers.
    pub fn new(workers: usize) -> Stats {
        let workers = (0..workers).map(|_| WorkerStats::default()).collect();
        Stats { workers, sampler: Mutex::default() }
    }

    /// What a worker knows.
    pub fn worker(&self, number: usize) -> &WorkerStats {
        &self.workers[number]
    }

    /// The sums of one command.
    pub fn totals(&self, id: CommandId) -> CommandTotals {
        let mut totals =
            CommandTotals { buckets: vec![0; crate::metrics::BUCKETS], ..Default::default() };
        for worker in &self.workers {
            let command = worker.command(id);
            for (sum, count) in totals.buckets.iter_mut().zip(command.nanos.counts()) {
                *sum += count;
                totals.calls += count;
            }
            totals.nanos += command.nanos.sum();
            totals.failed += command.failed.load(Ordering::Relaxed);
            totals.rejected += command.rejected.load(Ordering::Relaxed);
        }
        totals
    }

    /// The counts over all commands.
    pub fn counts(&self) -> Counts {
        let sum = |of: fn(&WorkerStats) -> &AtomicU64| {
            self.workers.iter().map(|worker| of(worker).load(Ordering::Relaxed)).sum()
        };
        Counts {
            commands: sum(|worker| &worker.ran),
            hits: sum(|worker| &worker.hits),
            misses: sum(|worker| &worker.misses),
            received: sum(|worker| &worker.received),
            sent: sum(|worker| &worker.sent),
            denied_logins: sum(|worker| &worker.denied_logins),
        }
    }

    /// All runs of all commands.
    pub fn commands_run(&self) -> u64 {
        self.counts().commands
    }

    /// Notes how far the counts have come by `now`. Several times a second.
    pub fn sample(&self, now: Duration) {
        let counts = self.counts();
        self.sampler.lock().expect("no panic while held").add(now, counts);
    }

    /// What was done a second lately.
    pub fn rates(&self) -> Rates {
        self.sampler.lock().expect("no panic while held").rates()
    }

    /// Requests for commands that are not known.
    pub fn unknown(&self) -> u64 {
        self.workers.iter().map(|worker| worker.unknown.load(Ordering::Relaxed)).sum()
    }

    /// How often each error code was answered.
    pub fn errors(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for worker in &self.workers {
            for (code, count) in &*worker.errors.lock().expect("no panic while held") {
                *sums.entry(code.clone()).or_insert(0) += count;
            }
        }
        sums
    }

    /// Forgets all.
    pub fn reset(&self) {
        for worker in &self.workers {
            for command in &worker.commands {
                command.nanos.reset();
                command.failed.store(0, Ordering::Relaxed);
                command.rejected.store(0, Ordering::Relaxed);
            }
            worker.counters().iter().for_each(|number| number.store(0, Ordering::Relaxed));
            worker.errors.lock().expect("no panic while held").clear();
        }
        *self.sampler.lock().expect("no panic while held") = Sampler::default();
    }
}
