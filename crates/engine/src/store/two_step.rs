//! The two steps of a write as two calls, for a caller that itself knows when a batch may take
//! effect: when it is synced, or when a majority of some cluster has it.
//!
//! ```text
//!  append(a)   append(b)   sync()   apply(a)   apply(b)
//!     │           │          │         │          │
//!  bytes in the log, nothing visible   │   visible, and may be acknowledged
//!                                      ▼
//!                           in the order of the appends
//! ```
//!
//! # Invariants
//! - Whoever uses these calls is the store's only writer meanwhile: a write by other calls between an
//!   append and its apply would be applied out of order.

use crate::error::Result;
use crate::ids::Sequence;
use crate::log::commit::Change;
use crate::reclaim::pin;
use crate::store::KvStore;
use crate::store::batch::WriteBatch;
use crate::store::core::Core;

/// A batch that stands in the log and is not yet applied. Dropping it leaves the batch unapplied
/// until the store is opened anew.
#[derive(Debug)]
#[must_use = "what was appended is to be applied"]
pub struct Appended {
    changes: Vec<Change>,
    last: Sequence,
    /// How often segments had been retired before the keys were looked up.
    retirements: u64,
}

impl Appended {
    /// The version of the batch's last operation.
    pub fn version(&self) -> Sequence {
        self.last
    }
}

impl KvStore {
    /// Appends a batch, which is not empty, to the log: the first of two steps. Nothing is synced, and
    /// no reader sees it before [`apply`](KvStore::apply). The caller is the only writer of the store
    /// until then.
    ///
    /// # Errors
    /// As [`write`](KvStore::write), but for [`OutcomeUnknown`](crate::Error::OutcomeUnknown).
    pub fn append(&self, batch: &WriteBatch) -> Result<Appended> {
        self.core().append_only(batch)
    }

    /// Makes the index reflect a batch: the second step. Batches are applied in the order of their
    /// appends.
    ///
    /// # Errors
    /// [`OutcomeUnknown`](crate::Error::OutcomeUnknown), and the store takes no more writes: the log has what the index
    /// could not take.
    ///
    /// # Panics
    /// If `appended` is not that of `batch`.
    pub fn apply(&self, batch: &WriteBatch, appended: Appended) -> Result<Sequence> {
        self.core().apply_appended(batch, &appended)?;
        Ok(appended.last)
    }

    /// Writes a batch without waiting for the disk, whatever durability the store was opened with:
    /// both steps at once. [`sync`](KvStore::sync) makes it durable.
    ///
    /// # Errors
    /// As [`write`](KvStore::write).
    pub fn write_unsynced(&self, batch: &WriteBatch) -> Result<Sequence> {
        if batch.is_empty() {
            return self.write(batch);
        }
        self.core().write_unsynced(&batch.operations())
    }
}

impl Core {
    fn append_only(&self, batch: &WriteBatch) -> Result<Appended> {
        let operations = batch.operations();
        self.check_operations(&operations)?;
        assert!(!self.replicas.in_use(), "replicated logs have the store for themselves");
        let guard = pin();
        let retirements = self.segments.retirements();
        let seen = self.look_up(&guard, &operations)?;
        let mut appender = self.appender();
        let last = self.append(&mut appender, &operations, &seen)?;
        Ok(Appended { changes: appender.changes.clone(), last, retirements })
    }

    fn apply_appended(&self, batch: &WriteBatch, appended: &Appended) -> Result<()> {
        let changes = &appended.changes;
        assert_eq!(changes.len(), batch.len(), "a batch is applied with its own append");
        let guard = pin();
        // Nobody stayed pinned since the keys were looked up. What was seen means the same only if no
        // segment has gone meanwhile.
        let valid = self.segments.retirements() == appended.retirements;
        let strip = |change: &Change| Change { old: change.old.filter(|_| valid), ..*change };
        let keys = (0..batch.len()).map(|number| batch.operation(number).key);
        self.apply(keys.zip(changes.iter().map(strip)), &guard)?;
        // While the appender is held, so that a checkpoint sees the batch of all segments or of none.
        let _appender = self.appender();
        if let Some(change) = changes.last() {
            let end = change.location.offset() + change.length;
            self.segment(change.location, &guard).set_applied(end);
            self.segments.set_applied(self.replicas.reflected(appended.last));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::sim::SimDisk;
    use crate::error::Error;
    use crate::options::Options;

    fn store() -> KvStore {
        let options = Options::tiny().disk(Arc::new(SimDisk::new()));
        KvStore::open_with("/store", options).unwrap()
    }

    #[test]
    fn what_is_appended_shows_when_it_is_applied() {
        let store = store();
        let (mut first, mut second) = (WriteBatch::new(), WriteBatch::new());
        first.set("a", "1").set("b", "1");
        second.set("a", "2").remove("b");
        let one = store.append(&first).unwrap();
        let two = store.append(&second).unwrap();
        assert_eq!(store.get("a").unwrap(), None);
        store.sync().unwrap();
        store.apply(&first, one).unwrap();
        assert_eq!(store.get("b").unwrap().as_deref(), Some(&b"1"[..]));
        store.apply(&second, two).unwrap();
        assert_eq!(store.get("a").unwrap().as_deref(), Some(&b"2"[..]));
        assert_eq!(store.len(), 1);
    }

    #[test]
    fn what_was_not_applied_is_found_after_reopening() {
        let disk = Arc::new(SimDisk::new());
        let options = Options::tiny().disk(disk);
        let store = KvStore::open_with("/store", options.clone()).unwrap();
        let mut batch = WriteBatch::new();
        batch.set("a", "1");
        let appended = store.append(&batch).unwrap();
        store.sync().unwrap();
        drop(appended);
        store.close().unwrap();
        let store = KvStore::open_with("/store", options).unwrap();
        assert_eq!(store.get("a").unwrap().as_deref(), Some(&b"1"[..]));
    }

    #[test]
    fn a_refused_append_leaves_no_trace() {
        let store = store();
        let mut batch = WriteBatch::new();
        batch.set("", "no key is empty");
        assert!(matches!(store.append(&batch), Err(Error::TooLarge { .. })));
        assert!(matches!(store.write_unsynced(&batch), Err(Error::TooLarge { .. })));
        assert_eq!(store.len(), 0);
    }
}
