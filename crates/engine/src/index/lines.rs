//! Memory in cache lines, from an allocator that was not asked for alignment.
//!
//! ```text
//!   ┌─────────┬──────────┬──────────┬─────┬──────────┬───────────┐
//!   │ padding │ bucket 0 │ bucket 1 │  …  │          │ padding   │   7 slots of padding in all
//!   └─────────┴──────────┴──────────┴─────┴──────────┴───────────┘
//!             ▲ the first address that is a multiple of 64
//! ```
//!
//! An array of `#[repr(align(64))]` would say it better, but to serve it the C library (glibc before
//! 2.38) looks for a hole larger by the alignment, and so never uses a hole of just the right size:
//! a growing index would need a tenth more memory. Alignment is for speed alone; nothing breaks
//! where it cannot be had.

use super::bucket::{EMPTY, SLOTS};
use super::sync::AtomicU64;

/// Bytes in a cache line.
const LINE: usize = 64;
/// Slots by which an allocation must be larger to hold its lines wherever it starts.
const PADDING: usize = if cfg!(loom) { 0 } else { LINE / size_of::<u64>() - 1 };

const _: () = assert!(PADDING < SLOTS, "the padding must not count as a bucket");

/// The slots of a number of buckets, each bucket a cache line.
pub struct Lines {
    slots: Box<[AtomicU64]>,
    start: usize,
}

impl Lines {
    /// `buckets` buckets of EMPTY slots.
    pub fn new(buckets: usize) -> Lines {
        let count = buckets * SLOTS + PADDING;
        let slots: Box<[AtomicU64]> = (0..count).map(|_| AtomicU64::new(EMPTY)).collect();
        let to_line = slots.as_ptr().align_offset(LINE);
        let start = if to_line <= PADDING { to_line } else { 0 };
        Lines { slots, start }
    }

    /// The number of buckets.
    #[inline]
    pub fn len(&self) -> usize {
        self.slots.len() / SLOTS
    }

    /// The slots, bucket by bucket.
    #[inline]
    pub fn as_slice(&self) -> &[[AtomicU64; SLOTS]] {
        &self.slots[self.start..].as_chunks().0[..self.len()]
    }

    /// Bytes on the heap.
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.slots)
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn buckets_are_as_many_as_asked_for_and_start_at_a_line() {
        for buckets in 1..100 {
            let lines = Lines::new(buckets);
            assert_eq!(lines.len(), buckets);
            assert_eq!(lines.as_slice().len(), buckets);
            assert!(cfg!(miri) || lines.as_slice().as_ptr().addr().is_multiple_of(LINE));
            assert_eq!(size_of_val(lines.as_slice()), buckets * LINE);
        }
    }
}
