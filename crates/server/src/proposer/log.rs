//! What the proposer needs of a log: that it takes batches in order and says when they are settled.

use std::sync::Arc;

use aryavarth::WriteBatch;
use aryavarth_replication::Chain;

use super::{BatchError, BatchNumber};

/// A batch as it was handed to the log.
pub struct Proposed {
    /// Its place in the order of its lane's batches.
    pub number: BatchNumber,
    /// Its effects. Not empty.
    pub batch: Arc<WriteBatch>,
    /// The batches that it was computed from, if it is for a log that can refuse them.
    pub chain: Chain,
}

/// How a log took a batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accepted {
    /// It is as durable as it has to be, and applied.
    Settled,
    /// That will be told later, by [`Proposer::settled`](super::Proposer::settled) or
    /// [`Proposer::failed`](super::Proposer::failed).
    InFlight,
}

/// How a log settles batches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Each that it has, after those it had before. It need not have every number.
    WithGaps,
    /// One number after the other: it has to hear of each.
    WithoutGaps,
}

/// Where the batches of a lane become durable and are applied.
///
/// Called while the proposer is held, so it does not call it back before it has returned.
pub trait Log: Send + Sync {
    /// Takes the next batch. If others are in flight, it may not be settled before they are.
    ///
    /// # Errors
    /// Why it was not taken; then nothing of it will be found later, unless the error says that this
    /// is not known.
    fn propose(&self, batch: &Arc<Proposed>) -> Result<Accepted, BatchError>;

    /// Settles `number`, a batch that was not taken, once those in flight before it are settled.
    fn settle_after(&self, number: BatchNumber);

    /// How it settles batches.
    fn order(&self) -> Order {
        Order::WithGaps
    }

    /// How many batches may be in flight before effects are gathered instead, until one is settled. None
    /// for any number.
    fn window(&self) -> Option<usize> {
        None
    }
}
