//! Storing records batch by batch, as `import` does, whatever they come from.
//!
//! ```text
//! records ─▶ batch of N ─▶ submit ─▶ … in flight … ─▶ stored
//!                                                       └▶ (--acknowledge) the count so far
//! ```
//!
//! Batches are submitted without waiting for those before them, so that one sync serves many of them
//! and records are read while the disk works, or the network.
//!
//! Invariants:
//! - A batch is stored as a whole or, after a crash, not at all; batches are stored in the order of
//!   their records. So what a crash leaves is a beginning of them.
//!   (A server may refuse one batch and take those that were under way behind it; in a cluster nothing holds
//!   a batch together.)
//! - A count is printed only after all records it counts are as durable as `--durability` says, or
//!   as the server promises.

use std::num::NonZeroUsize;

use aryavarth::limits::{MAX_KEY_LENGTH, MAX_VALUE_LENGTH, MIN_KEY_LENGTH};
use serde_json::json;

use crate::failure::{Failure, Result};
use crate::formats::Operation;
use crate::output::Output;
use crate::store::{Batch, Ingest, Outcome};

/// Bytes of keys and values that end a batch, however few records they are.
const BATCH_BYTES: u64 = 4 << 20;
/// Bytes submitted and not yet stored after which no batch is added.
const IN_FLIGHT_BYTES: u64 = 16 << 20;

/// Whether batches are told when they are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Acknowledge {
    /// They are.
    EachBatch,
    /// They are not.
    Nothing,
}

/// A store that is being filled with batches of a certain length.
pub struct Filler<'a> {
    ingest: Ingest,
    output: &'a mut Output,
    acknowledge: Acknowledge,
    batch_length: usize,
    /// Records read and not yet submitted.
    batch: Batch,
    /// Batches submitted and not yet stored.
    in_flight: usize,
    /// Their keys and values, in bytes.
    in_flight_bytes: u64,
    /// Records stored.
    pub stored: u64,
    /// Batches stored.
    pub batches: u64,
}

impl<'a> Filler<'a> {
    /// Fills a store; `output` gets the acknowledgements.
    pub fn new(
        ingest: Ingest,
        batch: NonZeroUsize,
        acknowledge: Acknowledge,
        output: &'a mut Output,
    ) -> Filler<'a> {
        Filler {
            ingest,
            output,
            acknowledge,
            batch_length: batch.get(),
            batch: Batch::default(),
            in_flight: 0,
            in_flight_bytes: 0,
            stored: 0,
            batches: 0,
        }
    }

    /// Adds a write to the batch.
    pub fn add(&mut self, operation: Operation) {
        self.batch.add(operation);
    }

    /// Whether the batch is as large as one should be.
    pub fn is_full(&self) -> bool {
        self.batch.len() >= self.batch_length || self.batch.bytes() >= BATCH_BYTES
    }

    /// Submits what was added, and waits while too much is under way.
    ///
    /// # Errors
    /// Of a batch that was not stored, this one or one before it; here and below.
    pub fn submit(&mut self) -> Result<()> {
        if !self.batch.is_empty() {
            let batch = std::mem::take(&mut self.batch);
            self.in_flight += 1;
            self.in_flight_bytes += batch.bytes();
            self.ingest.submit(batch);
        }
        while let Some(outcome) = self.ingest.poll() {
            self.settle(outcome)?;
        }
        while self.is_too_much_in_flight() {
            let outcome = self.ingest.wait();
            self.settle(outcome)?;
        }
        Ok(())
    }

    /// Waits until all that was submitted is stored.
    pub fn settle_all(&mut self) -> Result<()> {
        let mut settled = Ok(());
        while self.in_flight > 0 {
            let outcome = self.ingest.wait();
            settled = settled.and(self.settle(outcome));
        }
        settled
    }

    /// Closes the store, of which all must be settled.
    pub fn close(self) -> Result<()> {
        self.ingest.close()
    }

    fn is_too_much_in_flight(&self) -> bool {
        let most = match self.acknowledge {
            // Whoever waits for the count may send the next line only then.
            Acknowledge::EachBatch => 1,
            Acknowledge::Nothing => self.ingest.window(),
        };
        self.in_flight >= most || self.in_flight_bytes >= IN_FLIGHT_BYTES
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

/// Why a record cannot be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// The key has no bytes, or too many: this many.
    Key(usize),
    /// The value has too many: this many.
    Value(usize),
}

impl Unfit {
    /// What is wrong with the write, if anything.
    pub fn of(operation: &Operation) -> Option<Unfit> {
        let (key, value) = (operation.key().len(), operation.value().len());
        if !(MIN_KEY_LENGTH..=MAX_KEY_LENGTH).contains(&key) {
            Some(Unfit::Key(key))
        } else {
            (value > MAX_VALUE_LENGTH).then_some(Unfit::Value(value))
        }
    }

    /// That, in words.
    pub fn detail(self) -> String {
        let (what, length, minimum, maximum) = match self {
            Unfit::Key(length) => ("key", length, MIN_KEY_LENGTH, MAX_KEY_LENGTH),
            Unfit::Value(length) => ("value", length, 0, MAX_VALUE_LENGTH),
        };
        format!("the {what} is {length} bytes; allowed: {minimum} to {maximum}")
    }
}
