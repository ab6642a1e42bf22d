//! `import`: stores the records of a file, batch by batch.
//!
//! ```text
//! lines ─▶ records ─▶ batch of N ─▶ submit ─▶ … in flight … ─▶ stored
//!                                                                └▶ (--acknowledge) the count so far
//! ```
//!
//! Batches are submitted without waiting for those before them, so that one sync serves many of them
//! and lines are read while the disk works.
//!
//! Invariants:
//! - A batch is stored as a whole or, after a crash, not at all; batches are stored in the file's
//!   order. So what a crash leaves is a beginning of the file.
//! - A count is printed only after all records it counts are as durable as `--durability` says.
//! - At a bad line, all records before it are stored, and the message says how many.

use std::sync::mpsc::{self, Receiver, Sender};

use aryavarth::limits::{MAX_KEY_LENGTH, MAX_VALUE_LENGTH, MIN_KEY_LENGTH};
use aryavarth::{Create, KvStore, WriteBatch};
use serde_json::json;

use super::Context;
use crate::arguments::Import;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::files::Source;
use crate::formats::{Format, Operation};
use crate::output::{Output, Style, counted};
use crate::progress::{Progress, Unit};

/// Bytes of keys and values that end a batch, however few records they are.
const BATCH_BYTES: u64 = 4 << 20;
/// Most batches submitted and not yet stored.
const IN_FLIGHT: usize = 64;
/// Bytes submitted and not yet stored after which no batch is added.
const IN_FLIGHT_BYTES: u64 = 16 << 20;
/// Longest line taken, in bytes: the longest key and value with every byte spelled `\u00xx`, and
/// names.
const MAX_LINE_LENGTH: usize = 6 * (MAX_KEY_LENGTH + MAX_VALUE_LENGTH) + 1024;

/// Runs the command.
///
/// # Errors
/// [`Exit::Input`] names the line that cannot be taken; whatever reading and writing give.
pub fn run(arguments: &Import, context: &Context, output: &mut Output) -> Result<()> {
    let format = arguments.format.unwrap_or_else(|| Format::of(&arguments.file));
    let source = Source::open(&arguments.file)?;
    let store = context.work(Create::IfMissing)?;
    let acknowledge =
        if arguments.acknowledge { Acknowledge::EachBatch } else { Acknowledge::Nothing };
    let mut import = Importer {
        store: &store,
        output: &mut *output,
        progress: Progress::new("importing", Unit::Bytes),
        acknowledge,
        batch_length: arguments.batch.get(),
        batch: WriteBatch::new(),
        outcomes: mpsc::channel(),
        in_flight: 0,
        in_flight_bytes: 0,
        stored: 0,
        batches: 0,
    };
    let read = import.lines(source, format, &arguments.file.input_name());
    let result = import.finish(read);
    let (records, batches) = (import.stored, import.batches);
    let closed = store.close();
    result?;
    closed?;
    if output.style() == Style::Text && acknowledge == Acknowledge::EachBatch {
        return Ok(());
    }
    let json = json!({ "records": records, "batches": batches });
    output.result(&json, &format!("imported {}", counted(records, "record")))
}

/// Whether batches are told when they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Acknowledge {
    EachBatch,
    Nothing,
}

/// How a submitted batch ended.
struct Outcome {
    records: u64,
    bytes: u64,
    result: aryavarth::Result<()>,
}

/// Why no more lines are read.
enum Stop {
    /// This line cannot be taken.
    BadLine(String),
    /// A batch was not stored, or the file cannot be read, or the count not be told.
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

struct Importer<'a> {
    store: &'a KvStore,
    output: &'a mut Output,
    progress: Progress,
    acknowledge: Acknowledge,
    batch_length: usize,
    /// Records read and not yet submitted.
    batch: WriteBatch,
    outcomes: (Sender<Outcome>, Receiver<Outcome>),
    /// Batches submitted and not yet stored.
    in_flight: usize,
    /// Their keys and values, in bytes.
    in_flight_bytes: u64,
    /// Records stored.
    stored: u64,
    /// Batches stored.
    batches: u64,
}

impl Importer<'_> {
    /// Reads all lines and submits them in batches; the last one may be left over.
    fn lines(
        &mut self,
        mut source: Source,
        format: Format,
        name: &str,
    ) -> std::result::Result<(), Stop> {
        let mut line = Vec::new();
        let (mut number, mut read) = (0, 0);
        while source.read_line(&mut line, MAX_LINE_LENGTH)? {
            number += 1;
            read += line.len() as u64;
            self.add(&line, format, number)
                .map_err(|detail| Stop::BadLine(format!("{name}:{number}: {detail}")))?;
            if self.batch.len() >= self.batch_length || self.batch.bytes() >= BATCH_BYTES {
                self.submit()?;
                self.progress.update(read, source.length);
            }
        }
        Ok(())
    }

    /// Waits until all that was submitted is stored, and what was read before a bad line too.
    fn finish(&mut self, read: std::result::Result<(), Stop>) -> Result<()> {
        let read = match read {
            Ok(()) => self.submit().map_err(Stop::Failed),
            Err(Stop::BadLine(message)) => match self.submit() {
                Ok(()) => Err(Stop::BadLine(message)),
                Err(failure) => Err(Stop::Failed(failure)),
            },
            failed => failed,
        };
        let mut settled = Ok(());
        while self.in_flight > 0 {
            settled = settled.and(self.await_one());
        }
        let stored = counted(self.stored, "record");
        match read {
            Err(Stop::Failed(failure)) => Err(failure.prefixed(&format!("after {stored}"))),
            read => {
                settled.map_err(|failure| failure.prefixed(&format!("after {stored}")))?;
                let Err(Stop::BadLine(message)) = read else { return Ok(()) };
                let message = format!("{message}; stored what is before it: {stored}");
                Err(Failure::new(Exit::Input, message))
            }
        }
    }

    /// Adds one line to the batch.
    fn add(&mut self, line: &[u8], format: Format, number: u64) -> std::result::Result<(), String> {
        let line = match line.strip_suffix(b"\n") {
            Some(line) => line,
            None if line.len() == MAX_LINE_LENGTH => return Err("line too long".to_owned()),
            None => line,
        };
        match format.parse(line, number)? {
            None => {}
            Some(Operation::Remove { key }) => {
                check("key", key.len(), MIN_KEY_LENGTH, MAX_KEY_LENGTH)?;
                self.batch.remove(key);
            }
            Some(Operation::Set { key, value, expires_at }) => {
                check("key", key.len(), MIN_KEY_LENGTH, MAX_KEY_LENGTH)?;
                check("value", value.len(), 0, MAX_VALUE_LENGTH)?;
                match expires_at {
                    Some(at) => self.batch.set_expiring(key, value, at),
                    None => self.batch.set(key, value),
                };
            }
        }
        Ok(())
    }

    /// Submits what was read, and waits while too much is under way.
    fn submit(&mut self) -> Result<()> {
        if !self.batch.is_empty() {
            let (records, bytes) = (self.batch.len() as u64, self.batch.bytes());
            let outcomes = self.outcomes.0.clone();
            self.store.submit(&self.batch, move |result| {
                // The import waits for all outcomes, so somebody receives it.
                let _ = outcomes.send(Outcome { records, bytes, result: result.map(|_| ()) });
            });
            self.batch.clear();
            self.in_flight += 1;
            self.in_flight_bytes += bytes;
        }
        while let Ok(outcome) = self.outcomes.1.try_recv() {
            self.settle(outcome)?;
        }
        while self.is_too_much_in_flight() {
            self.await_one()?;
        }
        Ok(())
    }

    fn is_too_much_in_flight(&self) -> bool {
        let most = match self.acknowledge {
            // Whoever waits for the count may send the next line only then.
            Acknowledge::EachBatch => 1,
            Acknowledge::Nothing => IN_FLIGHT,
        };
        self.in_flight >= most || self.in_flight_bytes >= IN_FLIGHT_BYTES
    }

    fn await_one(&mut self) -> Result<()> {
        let outcome = self.outcomes.1.recv().expect("a sender is held right here");
        self.settle(outcome)
    }

    fn settle(&mut self, outcome: Outcome) -> Result<()> {
        self.in_flight -= 1;
        self.in_flight_bytes -= outcome.bytes;
        outcome.result?;
        self.stored += outcome.records;
        self.batches += 1;
        self.tell_stored()
    }

    fn tell_stored(&mut self) -> Result<()> {
        if self.acknowledge == Acknowledge::Nothing {
            return Ok(());
        }
        let stored = self.stored;
        let json = json!({ "acknowledged": stored });
        let told =
            self.output.result(&json, &stored.to_string()).and_then(|()| self.output.flush());
        // Nobody listens any more; but the import was asked for, not only the telling.
        if let Err(Failure::ReaderGone) = told {
            self.acknowledge = Acknowledge::Nothing;
            return Ok(());
        }
        told
    }
}

fn check(
    what: &str,
    length: usize,
    minimum: usize,
    maximum: usize,
) -> std::result::Result<(), String> {
    if (minimum..=maximum).contains(&length) {
        return Ok(());
    }
    Err(format!("the {what} is {length} bytes; allowed: {minimum} to {maximum}"))
}
