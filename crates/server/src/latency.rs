//! Delays worth remembering: slow commands, and what `LATENCY` tells of events.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock;

/// Delays remembered of each event, as in Redis.
const SAMPLES: usize = 160;

/// One delay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sample {
    /// Seconds since 1970.
    pub at: u64,
    /// Milliseconds it took.
    pub millis: u64,
}

/// The delays of one event.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// The newest ones, oldest first; one a second at most.
    pub samples: VecDeque<Sample>,
    /// The longest ever, in milliseconds.
    pub longest: u64,
}

/// The delays of all events.
#[derive(Debug, Default)]
pub struct Latency {
    events: Mutex<BTreeMap<&'static str, Series>>,
}

impl Latency {
    /// Notes that `event` took long. Of one second only the longest is kept.
    pub fn note(&self, event: &'static str, took: Duration) {
        let sample = Sample { at: clock::wall().as_secs(), millis: took.as_millis() as u64 };
        let mut events = self.events.lock().expect("no panic while held");
        let series = events.entry(event).or_default();
        series.longest = series.longest.max(sample.millis);
        match series.samples.back_mut() {
            Some(last) if last.at == sample.at => last.millis = last.millis.max(sample.millis),
            _ => series.samples.push_back(sample),
        }
        if series.samples.len() > SAMPLES {
            series.samples.pop_front();
        }
    }

    /// All events with their delays.
    pub fn all(&self) -> BTreeMap<&'static str, Series> {
        self.events.lock().expect("no panic while held").clone()
    }

    /// Forgets events, all if none is named; says how many.
    pub fn reset(&self, names: &[&[u8]]) -> usize {
        let mut events = self.events.lock().expect("no panic while held");
        let before = events.len();
        events.retain(|event, _| !names.is_empty() && !names.contains(&event.as_bytes()));
        before - events.len()
    }
}

/// A command that was slow.
#[derive(Clone, Debug)]
pub struct SlowCommand {
    /// Its number, from 0.
    pub id: u64,
    /// When, in seconds since 1970.
    pub at: u64,
    /// How long it took.
    pub took: Duration,
    /// Its words, shortened.
    pub args: Vec<Vec<u8>>,
    /// The client's address.
    pub peer: String,
    /// The client's name.
    pub name: String,
}

/// The newest slow commands.
#[derive(Debug, Default)]
pub struct SlowLog {
    next: AtomicU64,
    commands: Mutex<VecDeque<SlowCommand>>,
}

impl SlowLog {
    /// Remembers a command, and of all no more than `most`.
    pub fn note(&self, mut command: SlowCommand, most: usize) {
        command.id = self.next.fetch_add(1, Ordering::Relaxed);
        let mut commands = self.commands.lock().expect("no panic while held");
        commands.push_front(command);
        commands.truncate(most);
    }

    /// The newest `count`, newest first.
    pub fn newest(&self, count: usize) -> Vec<SlowCommand> {
        let commands = self.commands.lock().expect("no panic while held");
        commands.iter().take(count).cloned().collect()
    }

    /// How many are remembered.
    pub fn len(&self) -> usize {
        self.commands.lock().expect("no panic while held").len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets all.
    pub fn reset(&self) {
        self.commands.lock().expect("no panic while held").clear();
    }
}
