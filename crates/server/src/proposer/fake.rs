//! Logs for tests, whose batches are settled when the test says so.

use std::sync::Arc;

use super::{Accepted, BatchError, BatchNumber, Log, Proposed, Proposers, Routing};

/// A log that takes every batch and settles none.
struct Patient;

impl Log for Patient {
    fn propose(&self, _: &Arc<Proposed>) -> Result<Accepted, BatchError> {
        Ok(Accepted::InFlight)
    }

    fn settle_after(&self, number: BatchNumber) {
        unreachable!("batch {} was not refused", number.0);
    }
}

/// So many lanes, each with a log that settles nothing by itself.
pub(crate) fn proposers(lanes: u16) -> Proposers {
    let routing = if lanes == 1 { Routing::One } else { Routing::FirstByte { lanes } };
    Proposers::new(routing, (0..lanes).map(|_| Arc::new(Patient) as Arc<dyn Log>))
}
