//! What happened in a run, as a hash over all of it; and the first thing that must not happen.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

/// What becomes of events.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Events {
    /// They are hashed.
    #[default]
    Hashed,
    /// They are also printed.
    Printed,
}

/// The events of a run. Clones are the same.
#[derive(Clone, Debug)]
pub struct Trace(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    events: Events,
    begun: Instant,
    count: u64,
    hash: Fnv,
    violation: Option<String>,
}

/// FNV-1a: simple, and the same on every machine.
#[derive(Clone, Copy, Debug)]
pub struct Fnv(u64);

impl Default for Fnv {
    fn default() -> Fnv {
        Fnv(0xcbf2_9ce4_8422_2325)
    }
}

impl Fnv {
    /// Takes in bytes.
    pub fn add(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    /// The hash of all bytes so far.
    pub fn value(self) -> u64 {
        self.0
    }
}

impl fmt::Write for Fnv {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.add(text.as_bytes());
        Ok(())
    }
}

impl Trace {
    /// An empty one, from now on.
    pub fn new(events: Events) -> Trace {
        let (begun, hash) = (Instant::now(), Fnv::default());
        Trace(Arc::new(Mutex::new(State { events, begun, count: 0, hash, violation: None })))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Microseconds since the beginning.
    pub fn now(&self) -> u64 {
        u64::try_from(self.state().begun.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Something happened.
    pub fn note(&self, event: fmt::Arguments<'_>) {
        let mut state = self.state();
        state.count += 1;
        let at = state.begun.elapsed().as_micros();
        // Hashing cannot fail.
        let _ = fmt::write(&mut state.hash, format_args!("{at} {event}\n"));
        if state.events == Events::Printed {
            eprintln!("{:>12.6} {event}", at as f64 / 1e6);
        }
    }

    /// Something happened that must not. The first counts.
    pub fn violation(&self, what: fmt::Arguments<'_>) {
        self.note(format_args!("VIOLATION {what}"));
        let mut state = self.state();
        let at = state.begun.elapsed().as_millis();
        state.violation.get_or_insert_with(|| format!("at {at} ms: {what}"));
    }

    /// What must not happen and did.
    pub fn found(&self) -> Option<String> {
        self.state().violation.clone()
    }

    /// Ends it. All parts of a run have a clone, so this tells whether the run is gone from memory.
    ///
    /// # Errors
    /// If something is left of it: a cycle of references, for which many seeds in one process need more and more.
    pub fn end(self) -> Result<(), String> {
        match Arc::strong_count(&self.0) {
            1 => Ok(()),
            count => Err(format!("the run is over, and {} parts of it are still there", count - 1)),
        }
    }

    /// The number of events and their hash.
    pub fn sum(&self) -> (u64, u64) {
        let state = self.state();
        (state.count, state.hash.value())
    }
}
