//! How far snapshots have come that a shard's leader sends.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::identity::NodeId;

/// Snapshots being sent, by receiver.
#[derive(Clone, Debug, Default)]
pub(crate) struct Transfers(Arc<Mutex<HashMap<NodeId, Arc<AtomicU64>>>>);

impl Transfers {
    /// A snapshot is sent to `to`, until what is returned is dropped.
    pub fn begin(&self, to: NodeId) -> Progress {
        let bytes = Arc::new(AtomicU64::new(0));
        let mut transfers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        transfers.insert(to, Arc::clone(&bytes));
        Progress { transfers: self.clone(), to, bytes }
    }

    /// Bytes sent so far to each receiver.
    pub fn snapshot(&self) -> Vec<(NodeId, u64)> {
        let transfers = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        transfers.iter().map(|(to, bytes)| (*to, bytes.load(Ordering::Relaxed))).collect()
    }
}

/// One snapshot being sent.
#[derive(Debug)]
pub(crate) struct Progress {
    transfers: Transfers,
    to: NodeId,
    bytes: Arc<AtomicU64>,
}

impl Progress {
    /// Bytes of keys and values were sent.
    pub fn add(&self, bytes: u64) {
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        let mut transfers = self.transfers.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A newer transfer to the same node may have taken the place.
        if transfers.get(&self.to).is_some_and(|bytes| Arc::ptr_eq(bytes, &self.bytes)) {
            transfers.remove(&self.to);
        }
    }
}
