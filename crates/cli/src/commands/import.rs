//! `import`: stores the records of a file, batch by batch.
//!
//! ```text
//! lines ─▶ records ─▶ batch of N ─▶ write ─▶ (--acknowledge) the count so far, on standard output
//! ```
//!
//! Invariants:
//! - A batch is stored as a whole or, after a crash, not at all; batches are stored in the file's
//!   order. So what a crash leaves is a beginning of the file.
//! - A count is printed only after all records it counts are as durable as `--durability` says.
//! - At a bad line, all records before it are stored, and the message says how many.

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
        acknowledge,
        batch_length: arguments.batch.get(),
        batch: WriteBatch::new(),
        stored: 0,
        batches: 0,
    };
    let result = import.lines(source, format, &arguments.file.input_name());
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

struct Importer<'a> {
    store: &'a KvStore,
    output: &'a mut Output,
    acknowledge: Acknowledge,
    batch_length: usize,
    /// Records read and not yet stored.
    batch: WriteBatch,
    /// Records stored.
    stored: u64,
    /// Batches stored.
    batches: u64,
}

impl Importer<'_> {
    fn lines(&mut self, mut source: Source, format: Format, name: &str) -> Result<()> {
        let mut progress = Progress::new("importing", Unit::Bytes);
        let mut line = Vec::new();
        let (mut number, mut read) = (0, 0);
        while source.read_line(&mut line, MAX_LINE_LENGTH)? {
            number += 1;
            read += line.len() as u64;
            let added = match self.add(&line, format, number) {
                Ok(()) => self.store_if_full(),
                Err(detail) => Err(self.refuse(name, number, &detail)),
            };
            added?;
            progress.update(read, source.length);
        }
        self.store_batch()
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

    /// Stores what was read before a bad line, and says so.
    fn refuse(&mut self, name: &str, number: u64, detail: &str) -> Failure {
        if let Err(failure) = self.store_batch() {
            return failure;
        }
        let stored = counted(self.stored, "record");
        let message = format!("{name}:{number}: {detail}; stored what is before it: {stored}");
        Failure::new(Exit::Input, message)
    }

    fn store_if_full(&mut self) -> Result<()> {
        if self.batch.len() < self.batch_length && self.batch.bytes() < BATCH_BYTES {
            return Ok(());
        }
        self.store_batch()
    }

    fn store_batch(&mut self) -> Result<()> {
        let records = self.batch.len() as u64;
        if records == 0 {
            return Ok(());
        }
        self.store.write(&self.batch).map_err(|error| {
            let stored = counted(self.stored, "record");
            Failure::from(error).prefixed(&format!("after {stored}"))
        })?;
        self.batch.clear();
        self.stored += records;
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
