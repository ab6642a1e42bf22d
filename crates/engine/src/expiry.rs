//! The sweep: keys whose time has passed leave the index, so that they no longer count.
//!
//! Nothing is written: the expired record is its own tombstone until compaction drops it. A read
//! does not wait for the sweep, it looks at the record's expiry itself. A pass over all tables is
//! spread over many rounds, and skipped while no segment holds a record with an expiry.

use std::sync::atomic::Ordering;

use crate::index::TableNumber;
use crate::reclaim::pin;
use crate::store::core::Core;

/// Tables looked through in a round; a pass takes `TableNumber::COUNT / TABLES_A_ROUND` rounds.
const TABLES_A_ROUND: usize = 64;

/// Where the sweep is.
#[derive(Debug, Default)]
pub struct Sweep {
    next: usize,
}

impl Sweep {
    /// Does one round.
    pub fn step(&mut self, core: &Core) {
        if !anything_expires(core) {
            return;
        }
        for _ in 0..TABLES_A_ROUND {
            let table = TableNumber::new(self.next).expect("the number wraps before it is past");
            self.next = (self.next + 1) % TableNumber::COUNT;
            sweep_table(core, table);
        }
    }
}

/// Takes the expired keys of every table out of the index; returns how many they were.
pub fn sweep_all(core: &Core) -> u64 {
    if !anything_expires(core) {
        return 0;
    }
    TableNumber::all().map(|table| sweep_table(core, table)).sum()
}

/// Sees to it that what expires now stays expired if the store is killed and the clock jumps back.
pub fn record_clock(core: &Core) {
    if anything_expires(core) && core.segments.clock.pledge() {
        // A full disk passes; anything else raises the fence, which the next write reports.
        let _ = core.segments.save_manifest();
    }
}

/// Whether any record with an expiry may be live.
pub fn anything_expires(core: &Core) -> bool {
    core.segments.all().iter().any(|segment| segment.usage().expiring > 0)
}

fn sweep_table(core: &Core, table: TableNumber) -> u64 {
    let guard = pin();
    let mut removed = 0;
    for entry in core.index.entries(table) {
        let location = entry.location();
        let Some(segment) = core.segments.get(location, &guard) else { continue };
        if segment.usage().expiring == 0 {
            continue;
        }
        // Damage shows to whoever asks for the key.
        let read = segment.record(&guard, location.offset(), |header, record| {
            (header.record_length(), record.expires_at)
        });
        let Ok((length, expires_at)) = read else { continue };
        if core.is_expired(expires_at) && core.index.writer().remove_entry(table, entry) {
            segment.add_stale(length);
            removed += 1;
        }
    }
    core.counters.expired_keys.fetch_add(removed, Ordering::Relaxed);
    removed
}
