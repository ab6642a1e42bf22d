//! How many buckets a table gets.
//!
//! Each table takes its sizes from a series of its own. All grow by a quarter from step to step, but
//! table 1024 is a quarter of a step ahead of table 0, and so on:
//!
//! ```text
//! table    0   100   125   156   195   244 …
//! table 1024    106   132   165   206   258 …
//! table 2048     112   140   175   218   273 …
//! table 3072      118   148   185   231   289 …
//! ```
//!
//! Keys spread evenly over the tables. With one series for all they would all grow at nearly the
//! same number of keys, and just after that a fifth of the memory would be newly empty. So the
//! index as a whole is always as full as a table is on average: about three quarters.

use super::bucket::SLOTS;
use super::hash::TableNumber;

/// Each size of a series is this many times the one before.
const FACTOR: f64 = 1.25;

/// How many entries and DELETED slots an array of `buckets` buckets may hold: 85 of 100 slots, and
/// so always fewer than there are slots.
pub const fn capacity(buckets: usize) -> usize {
    buckets * SLOTS * 17 / 20
}

/// Whether so few of the slots of `buckets` buckets hold an entry, less than 40 of 100, that fewer
/// buckets should be tried.
pub fn is_sparse(buckets: usize, entries: usize) -> bool {
    buckets > 1 && entries < buckets * SLOTS * 2 / 5
}

/// The sizes of one table.
#[derive(Clone, Copy)]
pub struct Sizing {
    /// How far into a step the series starts: 0 to 1.
    phase: f64,
}

impl Sizing {
    /// The sizes of table `number`.
    pub fn of(number: TableNumber) -> Sizing {
        Sizing { phase: number.get() as f64 / TableNumber::COUNT as f64 }
    }

    /// The least number of buckets in the series that holds `entries`.
    pub fn to_hold(self, entries: usize) -> usize {
        // One too small at most, as a capacity is rounded down.
        let mut least = (entries * 20).div_ceil(SLOTS * 17).max(1);
        while capacity(least) < entries {
            least += 1;
        }
        if least == 1 {
            return 1;
        }
        // The first step of the series that, rounded up, is no less.
        let step = (((least - 1) as f64).ln() / FACTOR.ln() - self.phase).floor() + 1.0;
        let buckets = FACTOR.powf(step + self.phase).ceil() as usize;
        buckets.max(least)
    }

    /// As [`to_hold`](Self::to_hold), with room for a sixteenth more, since whoever has just paid for
    /// a rebuild should not pay for the next one soon.
    pub fn to_hold_and_grow(self, entries: usize) -> usize {
        self.to_hold(entries + entries / 16 + 1)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    fn some_tables() -> impl Iterator<Item = Sizing> {
        TableNumber::all().step_by(97).map(Sizing::of)
    }

    #[test]
    fn some_slot_is_always_empty() {
        for buckets in 1..10_000 {
            assert!(capacity(buckets) < buckets * SLOTS);
        }
    }

    #[test]
    fn a_size_holds_what_was_asked_for_and_is_not_wasteful() {
        for sizing in some_tables() {
            for entries in (0..2_000).chain([10_000, 1_000_000, 1 << 30]) {
                let buckets = sizing.to_hold(entries);
                assert!(capacity(buckets) >= entries);
                let least = (entries * 20).div_ceil(SLOTS * 17).max(1);
                assert!(buckets <= least * 5 / 4 + 2, "{buckets} for {entries}");
            }
        }
    }

    #[test]
    fn a_full_table_grows_and_a_sparse_one_shrinks() {
        for sizing in some_tables() {
            for entries in 1..5_000 {
                let buckets = sizing.to_hold(entries);
                assert!(sizing.to_hold_and_grow(capacity(buckets) + 1) > buckets);
                let few = (0..entries).rev().find(|few| is_sparse(buckets, *few)).unwrap_or(0);
                let shrunk = sizing.to_hold_and_grow(few);
                assert!(shrunk < buckets || buckets < 4, "{buckets} stay {shrunk}");
                assert!(!is_sparse(shrunk, few) || shrunk < 4, "{buckets} become {shrunk}");
            }
        }
    }

    #[test]
    fn the_tables_together_are_three_quarters_full_at_any_number_of_keys() {
        for keys in [250, 271, 300, 333, 1_000, 1_111, 3_000, 3_333] {
            let all: usize = TableNumber::all().map(|n| Sizing::of(n).to_hold(keys)).sum();
            let bytes_a_key = (all * 64) as f64 / (keys * TableNumber::COUNT) as f64;
            assert!((10.3..10.9).contains(&bytes_a_key), "{bytes_a_key} at {keys} a table");
        }
    }
}
