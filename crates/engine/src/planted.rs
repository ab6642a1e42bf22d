//! Bugs that can be planted, to see whether the checks of a simulation find them.
//!
//! The places where they would be made ask [`is_planted`]. They are compiled with the feature `simulation`
//! only, and there is no bug on a thread on which none was [planted](plant).

use std::cell::Cell;

/// A bug.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Planted {
    /// What was appended is said to be durable before it was synced.
    AckBeforeSync,
    /// A follower that did not answer is taken for one that has the entries.
    CommitMiscounted,
    /// Entries are applied as soon as they are in the log.
    AppliedBeforeCommitted,
    /// An opening takes no note of truncations.
    TruncationForgotten,
    /// The clock of leases stands still while the machine is suspended.
    LeaseOnStoppingClock,
    /// A leader begins to answer reads before it has applied what earlier leaders acknowledged.
    ReadBeforeReady,
    /// What was in flight in an earlier term, and failed, is still taken for what will be.
    StaleOverlay,
    /// The last records of a snapshot are not sent.
    SnapshotWithoutTail,
    /// What is purged is everything, applied or not.
    PurgeTooEarly,
    /// A checkpoint panics, on the thread of whoever asked for it.
    CheckpointPanics,
    /// A new leader goes by its own clock, whatever earlier leaders have shown as expired.
    ClockNotTakenOver,
    /// A follower answers before it has applied what its leader has acknowledged.
    FollowerDoesNotWait,
    /// What a shard has in entries of the one that it was split off is not sent with its snapshots.
    SplitKeysNotCopied,
    /// A leader goes on while its shard is split.
    SplitNotBarred,
    /// A node hears of splits from the topology alone.
    SplitNotHeard,
}

impl Planted {
    /// All of them.
    pub const ALL: [Planted; 15] = [
        Planted::AckBeforeSync,
        Planted::CommitMiscounted,
        Planted::AppliedBeforeCommitted,
        Planted::TruncationForgotten,
        Planted::LeaseOnStoppingClock,
        Planted::ReadBeforeReady,
        Planted::StaleOverlay,
        Planted::SnapshotWithoutTail,
        Planted::PurgeTooEarly,
        Planted::CheckpointPanics,
        Planted::ClockNotTakenOver,
        Planted::FollowerDoesNotWait,
        Planted::SplitKeysNotCopied,
        Planted::SplitNotBarred,
        Planted::SplitNotHeard,
    ];
}

thread_local! {
    static BUG: Cell<Option<Planted>> = const { Cell::new(None) };
}

/// Plants a bug on this thread in place of the one that was there.
pub fn plant(bug: Option<Planted>) {
    BUG.set(bug);
}

/// Whether this is the bug planted on this thread.
pub fn is_planted(bug: Planted) -> bool {
    BUG.get() == Some(bug)
}
