//! What became of a lane's batches: asked by workers before they let replies go.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::sync::RwLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

/// How many batches after its failure a batch is remembered. A worker asks for each within its next
/// round, and a round never takes that long.
const REMEMBERED: u64 = 1 << 24;

/// The number of a batch, from 1, in the order of its lane's batches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchNumber(pub u64);

impl BatchNumber {
    /// The first.
    pub const FIRST: BatchNumber = BatchNumber(1);

    /// The one after.
    pub fn next(self) -> BatchNumber {
        BatchNumber(self.0 + 1)
    }
}

/// Why a batch was not acknowledged.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BatchError {
    /// There is no room. Nothing of it was written; retry when there is.
    #[error(
        "MISCONF The disk is full: nothing was written. Free some space; reads and deletes go on, \
         and writes resume by themselves"
    )]
    DiskFull,
    /// It was refused for what it is, and nothing was written. Change the request.
    #[error("ERR {0}")]
    Refused(String),
    /// The machine refused an operation on a file. Nothing was written; mend what the text names.
    #[error("IOERR {0}")]
    Io(String),
    /// It may or may not be found after a restart.
    #[error("UNKNOWN Outcome unknown: {0}; the write may or may not be found after a restart")]
    Unknown(String),
    /// An earlier batch failed so that the log takes no more. Nothing of this one was written; mend the
    /// disk and restart the server.
    #[error(
        "READONLY The store takes no writes since an earlier failure ({0}); mend the disk and \
         restart the server"
    )]
    Fenced(String),
    /// This node lost the leadership of the shard before the write was logged. Nothing of it was
    /// written; ask the new leader.
    #[error("TRYAGAIN This node leads the shard no more; nothing was written")]
    NotLed,
    /// The leadership changed before a majority had it, or the like. Read before doing it again.
    #[error("UNKNOWN Outcome unknown: {0}; read before doing it again")]
    Undecided(String),
}

impl BatchError {
    /// The same as the reason to refuse whatever comes after.
    pub fn as_earlier(self) -> BatchError {
        match self {
            BatchError::Unknown(cause) => BatchError::Fenced(cause),
            other => other,
        }
    }
}

impl From<aryavarth::Error> for BatchError {
    fn from(error: aryavarth::Error) -> BatchError {
        use aryavarth::Error;
        match error {
            Error::DiskFull { .. } => BatchError::DiskFull,
            Error::OutcomeUnknown { cause } => BatchError::Unknown(cause),
            Error::Fenced { cause } => BatchError::Fenced(cause),
            Error::Closed => BatchError::Fenced("the server is shutting down".to_owned()),
            error @ (Error::Io { .. } | Error::Damaged { .. }) => BatchError::Io(error.to_string()),
            other => BatchError::Refused(other.to_string()),
        }
    }
}

impl From<aryavarth_replication::Error> for BatchError {
    fn from(error: aryavarth_replication::Error) -> BatchError {
        use aryavarth_replication::Error;
        match error {
            Error::NotLeader { .. }
            | Error::QuorumLost
            | Error::NoSuchShard { .. }
            | Error::Stopped => BatchError::NotLed,
            Error::Store(error) => error.into(),
            other => BatchError::Undecided(match other {
                Error::Unknown { cause } => cause.to_owned(),
                other => other.to_string(),
            }),
        }
    }
}

/// Which batches are settled, and which of them failed.
#[derive(Debug, Default)]
pub struct Outcomes {
    settled: AtomicU64,
    any_failed: AtomicBool,
    /// By the last number of each range; with the first.
    failures: RwLock<BTreeMap<BatchNumber, (BatchNumber, BatchError)>>,
}

impl Outcomes {
    /// The last settled batch: it and all before it are.
    #[inline]
    pub fn settled(&self) -> BatchNumber {
        BatchNumber(self.settled.load(Ordering::Acquire))
    }

    /// Notes that all up to `number` are settled.
    pub fn settle(&self, number: BatchNumber) {
        self.settled.fetch_max(number.0, Ordering::AcqRel);
    }

    /// Notes that these failed. They are settled afterwards.
    pub fn fail(&self, numbers: RangeInclusive<BatchNumber>, error: BatchError) {
        let mut failures = self.failures.write().expect("no panic while held");
        let (first, last) = numbers.into_inner();
        let forgotten = BatchNumber(last.0.saturating_sub(REMEMBERED));
        *failures = failures.split_off(&forgotten);
        failures.insert(last, (first, error));
        self.any_failed.store(true, Ordering::Release);
    }

    /// Why `number`, which is settled, failed; none if it did not.
    #[inline]
    pub fn failure(&self, number: BatchNumber) -> Option<BatchError> {
        if !self.any_failed.load(Ordering::Acquire) {
            return None;
        }
        let failures = self.failures.read().expect("no panic while held");
        let (_, (first, error)) = failures.range(number..).next()?;
        (*first <= number).then(|| error.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_that_of_its_batches_alone() {
        let outcomes = Outcomes::default();
        outcomes.settle(BatchNumber(4));
        assert_eq!(outcomes.failure(BatchNumber(4)), None);
        outcomes.fail(BatchNumber(5)..=BatchNumber(7), BatchError::DiskFull);
        outcomes.settle(BatchNumber(9));
        let failed: Vec<u64> =
            (1..10).filter(|n| outcomes.failure(BatchNumber(*n)).is_some()).collect();
        assert_eq!(failed, [5, 6, 7]);
        assert_eq!(outcomes.settled(), BatchNumber(9));
        outcomes.settle(BatchNumber(3));
        assert_eq!(outcomes.settled(), BatchNumber(9));
    }
}
