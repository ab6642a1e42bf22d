//! The timed loop: threads that do operations until they have done enough or time is up.

use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::Result;
use crate::latency::Latency;
use crate::metrics::Figures;
use crate::usage::Cpu;

/// How long, and how closely, to look.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Threads that work side by side.
    pub threads: usize,
    /// Operations of each thread, unless time is up before.
    pub ops: u64,
    /// When time is up.
    pub time: Duration,
    /// One operation in this many is timed. Reading the clock twice takes some 50 ns, which would
    /// dominate what is measured if it were done each time.
    pub sample: u64,
}

/// What came of it.
pub struct Phase {
    pub ops: u64,
    pub hits: u64,
    pub elapsed: Duration,
    pub cpu: Cpu,
    pub latency: Latency,
}

struct Share {
    ops: u64,
    hits: u64,
    latency: Latency,
}

impl Plan {
    /// Sampled operations until time is up.
    pub fn sampled(threads: usize, seconds: f64) -> Self {
        Self { threads, ops: u64::MAX, time: Duration::from_secs_f64(seconds), sample: 16 }
    }

    /// Operations that are timed one and all.
    pub fn every_op(threads: usize, seconds: f64) -> Self {
        Self { sample: 1, ..Self::sampled(threads, seconds) }
    }

    /// Runs the operations that `make` returns for each thread. An operation is given its number
    /// in its thread and says whether it found something.
    pub fn run<Op>(self, make: impl Fn(usize) -> Op + Sync) -> Result<Phase>
    where
        Op: FnMut(u64) -> Result<bool>,
    {
        let start = Barrier::new(self.threads + 1);
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..self.threads)
                .map(|thread| {
                    let (make, start, stop) = (&make, &start, &stop);
                    scope.spawn(move || {
                        let op = make(thread);
                        start.wait();
                        let share = self.work(op, stop);
                        if share.is_err() {
                            stop.store(true, Ordering::Relaxed);
                        }
                        share
                    })
                })
                .collect();
            start.wait();
            let (cpu, begin) = (Cpu::now(), Instant::now());
            let shares: Vec<_> = threads.into_iter().map(|thread| thread.join()).collect();
            let (elapsed, cpu) = (begin.elapsed(), Cpu::now() - cpu);
            let mut phase = Phase { ops: 0, hits: 0, elapsed, cpu, latency: Latency::new() };
            for share in shares {
                phase.add(&share.map_err(|_| "a thread panicked")??);
            }
            Ok(phase)
        })
    }

    fn work(self, mut op: impl FnMut(u64) -> Result<bool>, stop: &AtomicBool) -> Result<Share> {
        let mut share = Share { ops: 0, hits: 0, latency: Latency::new() };
        let begin = Instant::now();
        while share.ops < self.ops {
            let hit = if share.ops.is_multiple_of(self.sample) {
                let before = Instant::now();
                if before - begin >= self.time || stop.load(Ordering::Relaxed) {
                    break;
                }
                let hit = op(share.ops)?;
                share.latency.record(before.elapsed());
                hit
            } else {
                op(share.ops)?
            };
            share.hits += u64::from(hit);
            share.ops += 1;
        }
        Ok(share)
    }
}

impl Phase {
    fn add(&mut self, share: &Share) {
        self.ops += share.ops;
        self.hits += share.hits;
        self.latency.merge(&share.latency);
    }

    /// Operations per second.
    pub fn rate(&self) -> f64 {
        self.ops as f64 / self.elapsed.as_secs_f64()
    }

    /// The figures every timed phase has.
    pub fn figures(&self) -> Figures {
        let cpu = self.cpu.total().as_secs_f64() * 1e6 / self.ops.max(1) as f64;
        Figures::from([
            ("ops_per_s".into(), self.rate()),
            ("p50_us".into(), self.latency.micros_at(0.5)),
            ("p99_us".into(), self.latency.micros_at(0.99)),
            ("max_us".into(), self.latency.max_micros()),
            ("cpu_us_per_op".into(), cpu),
        ])
    }

    /// A note that the phase ended before all `wanted` operations were done.
    pub fn note_if_cut(&self, wanted: u64) -> Vec<String> {
        if self.ops >= wanted {
            return Vec::new();
        }
        vec![format!("time was up after {} of {wanted} operations", self.ops)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_threads_do_their_share() {
        let plan = Plan { ops: 1000, ..Plan::sampled(2, 60.0) };
        let phase = plan.run(|_| |n| Ok(n % 2 == 0)).unwrap();
        assert_eq!((phase.ops, phase.hits), (2000, 1000));
        assert!(phase.note_if_cut(2000).is_empty());
    }

    #[test]
    fn an_error_in_one_thread_ends_the_phase() {
        let plan = Plan::every_op(2, 60.0);
        let failing = |thread| move |_| if thread == 0 { Err("broken".into()) } else { Ok(true) };
        assert!(plan.run(failing).is_err());
    }
}
