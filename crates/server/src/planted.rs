//! Bugs that are planted, to see whether a simulation finds them. A normal build has none.

#[cfg(feature = "simulation")]
use aryavarth::planted::{Planted, is_planted};

/// Whether what is in flight of a broken chain is taken for the ground of the next.
#[inline]
pub fn overlay_is_stale() -> bool {
    #[cfg(feature = "simulation")]
    return is_planted(Planted::StaleOverlay);
    #[cfg(not(feature = "simulation"))]
    false
}

/// Whether those who watch are not told that others may have led meanwhile.
#[inline]
pub fn watch_outlives_term() -> bool {
    #[cfg(feature = "simulation")]
    return is_planted(Planted::WatchOutlivesTerm);
    #[cfg(not(feature = "simulation"))]
    false
}

/// Whether the lease is not looked at after a read.
#[inline]
pub fn read_is_not_confirmed() -> bool {
    #[cfg(feature = "simulation")]
    return is_planted(Planted::ReadNotConfirmed);
    #[cfg(not(feature = "simulation"))]
    false
}
