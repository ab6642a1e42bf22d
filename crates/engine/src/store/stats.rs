//! What a store can tell of itself.

use std::sync::atomic::Ordering;

use crate::store::KvStore;

/// Figures of one moment. Bytes unless said otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Number of keys, counting the expired ones not yet noticed.
    pub keys: u64,
    /// Records that are current.
    pub live_bytes: u64,
    /// Records that are not, tombstones among them. After an unclean stop it may be too low by what
    /// was overwritten while the last checkpoint was written.
    pub stale_bytes: u64,
    /// All records, current or not.
    pub log_bytes: u64,
    /// Number of segments.
    pub segments: u64,
    /// Number of segments in which compaction found damage, and which it leaves alone.
    pub quarantined_segments: u64,
    /// Memory of the index.
    pub index_bytes: u64,
    /// Keys and values written by callers since the store was opened.
    pub user_bytes_written: u64,
    /// Records and checkpoints written since the store was opened.
    pub bytes_written: u64,
    /// Stale bytes beyond what the options allow: what compaction has yet to do.
    pub compaction_debt: u64,
    /// Number of records that expire, current or not, and those that have expired.
    pub expiring_records: u64,
    /// Number of expired keys that the sweep found since the store was opened.
    pub expired_keys: u64,
}

impl Stats {
    /// Bytes written for each byte callers wrote; none if they wrote nothing.
    pub fn write_amplification(&self) -> Option<f64> {
        let user = self.user_bytes_written;
        (user > 0).then(|| self.bytes_written as f64 / user as f64)
    }

    /// Bytes of the log for each byte of current records; none if there are none.
    pub fn space_amplification(&self) -> Option<f64> {
        (self.live_bytes > 0).then(|| self.log_bytes as f64 / self.live_bytes as f64)
    }

    /// Bytes of the index for each key; none if there are none.
    pub fn index_bytes_per_key(&self) -> Option<f64> {
        (self.keys > 0).then(|| self.index_bytes as f64 / self.keys as f64)
    }
}

impl KvStore {
    /// The store's figures. Cheap enough to be asked every second.
    pub fn stats(&self) -> Stats {
        let core = self.core();
        let segments = core.segments.all();
        let sum = |of: fn(&crate::log::Segment) -> u64| segments.iter().map(|s| of(s)).sum::<u64>();
        let log_bytes = sum(crate::log::Segment::records_length);
        let stale_bytes = sum(|s| s.usage().stale + s.usage().tombstones);
        let allowed = log_bytes * u64::from(core.options.compaction_trigger) / 100;
        let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &core.counters;
        Stats {
            keys: core.index.len(),
            live_bytes: log_bytes.saturating_sub(stale_bytes),
            stale_bytes,
            log_bytes,
            segments: segments.len() as u64,
            quarantined_segments: sum(|s| u64::from(s.is_quarantined())),
            index_bytes: core.index.bytes(),
            user_bytes_written: load(&counters.user_bytes),
            bytes_written: core.appender().appended
                + load(&counters.compacted)
                + load(&counters.checkpointed),
            compaction_debt: stale_bytes.saturating_sub(allowed),
            expiring_records: sum(|s| s.usage().expiring),
            expired_keys: load(&counters.expired_keys),
        }
    }
}
