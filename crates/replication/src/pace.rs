//! How work that nobody waits for gives way: after each piece it rests for some times as long as the piece
//! took.
//!
//! A node that is added needs snapshots of most shards, and those that it relieves have as many replicas to
//! remove. The rests leave the processors and the disk to the clients. They are in proportion, so that an
//! idle machine is soon done and a busy one, where a piece takes longer, is spared more.

use std::time::{Duration, Instant};

/// How many times as long as a piece of work took the rest is.
const REST: u32 = 3;
/// No rest is longer: whoever receives a snapshot gives up on a sender that is silent.
const LONGEST_REST: Duration = Duration::from_millis(500);

/// Work and rests in turn.
pub(crate) struct Pace {
    worked_since: Instant,
}

impl Pace {
    /// Work begins.
    #[expect(clippy::disallowed_methods, reason = "a rest is one of the real machine")]
    pub fn begin() -> Pace {
        Pace { worked_since: Instant::now() }
    }

    /// A piece of work is done. Blocks.
    pub fn rest(&mut self) {
        #[cfg(feature = "simulation")]
        if crate::simulation::Host::current().is_some() {
            return;
        }
        std::thread::sleep((self.worked_since.elapsed() * REST).min(LONGEST_REST));
        *self = Pace::begin();
    }
}
