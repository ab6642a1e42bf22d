//! What is known of the commands that ran: by each worker alone, added up when somebody asks.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::command::CommandId;
use crate::metrics::Histogram;

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
}

impl Default for WorkerStats {
    fn default() -> WorkerStats {
        WorkerStats {
            commands: (0..CommandId::COUNT).map(|_| CommandStats::default()).collect(),
            unknown: AtomicU64::new(0),
            errors: Mutex::default(),
        }
    }
}

impl WorkerStats {
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
        Stats { workers: (0..workers).map(|_| WorkerStats::default()).collect() }
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

    /// All runs of all commands.
    pub fn commands_run(&self) -> u64 {
        let counts = self.workers.iter().flat_map(|worker| &worker.commands);
        counts.map(|command| command.nanos.count()).sum()
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
            worker.unknown.store(0, Ordering::Relaxed);
            worker.errors.lock().expect("no panic while held").clear();
        }
    }
}
