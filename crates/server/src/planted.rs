//! Bugs that are planted, to see whether a simulation finds them. A normal build has none.

#[cfg(not(feature = "simulation"))]
pub use absent::{
    clock_is_not_taken_over, follower_does_not_wait, overlay_is_stale, split_is_not_barred,
    split_is_not_heard,
};
#[cfg(feature = "simulation")]
pub use present::{
    clock_is_not_taken_over, follower_does_not_wait, overlay_is_stale, split_is_not_barred,
    split_is_not_heard,
};

#[cfg(feature = "simulation")]
mod present {
    use aryavarth::planted::{Planted, is_planted};

    /// Whether effects of batches that failed are still taken for what will be.
    pub fn overlay_is_stale() -> bool {
        is_planted(Planted::StaleOverlay)
    }

    /// Whether a new leader goes by its own clock alone.
    pub fn clock_is_not_taken_over() -> bool {
        is_planted(Planted::ClockNotTakenOver)
    }

    /// Whether a follower answers before it has applied what its leader has acknowledged.
    pub fn follower_does_not_wait() -> bool {
        is_planted(Planted::FollowerDoesNotWait)
    }

    /// Whether a leader goes on while its shard is split.
    pub fn split_is_not_barred() -> bool {
        is_planted(Planted::SplitNotBarred)
    }

    /// Whether splits are heard of from the topology alone.
    pub fn split_is_not_heard() -> bool {
        is_planted(Planted::SplitNotHeard)
    }
}

#[cfg(not(feature = "simulation"))]
mod absent {
    /// Whether effects of batches that failed are still taken for what will be: they are not.
    pub const fn overlay_is_stale() -> bool {
        false
    }

    /// Whether a new leader goes by its own clock alone: it does not.
    pub const fn clock_is_not_taken_over() -> bool {
        false
    }

    /// Whether a follower answers before it has applied what its leader has acknowledged: it does not.
    pub const fn follower_does_not_wait() -> bool {
        false
    }

    /// Whether a leader goes on while its shard is split: it does not.
    pub const fn split_is_not_barred() -> bool {
        false
    }

    /// Whether splits are heard of from the topology alone: they are not.
    pub const fn split_is_not_heard() -> bool {
        false
    }
}
