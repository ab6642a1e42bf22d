//! The time that expiry goes by: the wall clock, but never back, so that what has expired stays so.
//!
//! ```text
//!                now            recorded
//!  ───────────────┼────────────────┼──────▶ time
//!   has expired: everything        what the manifest says: a store that was killed goes on from
//!   that is due by now             there, even if the machine's clock has jumped back meanwhile
//! ```
//!
//! While keys expire, what is recorded is kept ahead of now. So whatever anybody saw expired is due
//! by the time at which the store is opened again. The price: after an unclean stop the clock may
//! stand still for up to [`LEAD`] until the wall's has caught up.
//!
//! Where several stores hold the same keys and take turns in showing them, whoever shows keys as expired
//! must first have told the others: until then a *ceiling* holds its clock, and they *raise* theirs.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::disk::Disk;
use crate::ids::UnixMillis;

/// How far ahead of now the recorded time is set.
pub const LEAD: Duration = Duration::from_secs(2);

/// A wall clock that stands still where the machine's jumps back.
#[derive(Debug)]
pub struct Clock {
    disk: Arc<dyn Disk>,
    latest: AtomicU64,
    /// The time that the manifest is to say, if that is later than now.
    pledged: AtomicU64,
    /// What it does not go beyond by itself.
    ceiling: AtomicU64,
}

impl Clock {
    /// A clock that shows `latest` or later.
    pub fn new(disk: Arc<dyn Disk>, latest: UnixMillis) -> Clock {
        Clock {
            disk,
            latest: AtomicU64::new(latest.0),
            pledged: AtomicU64::new(0),
            ceiling: AtomicU64::new(u64::MAX),
        }
    }

    /// The time.
    pub fn now(&self) -> UnixMillis {
        let wall = self.disk.wall_clock().0.min(self.ceiling.load(Ordering::Relaxed));
        UnixMillis(self.latest.fetch_max(wall, Ordering::Relaxed).max(wall))
    }

    /// What the machine's clock shows, even if that is back.
    pub fn wall(&self) -> UnixMillis {
        self.disk.wall_clock()
    }

    /// From here on the time is `moment` or later.
    pub fn raise(&self, moment: UnixMillis) {
        self.latest.fetch_max(moment.0, Ordering::Relaxed);
    }

    /// From here on it stands still when it comes to `ceiling`, until there is another one; without one it
    /// goes on.
    pub fn set_ceiling(&self, ceiling: Option<UnixMillis>) {
        self.ceiling.store(ceiling.map_or(u64::MAX, |ceiling| ceiling.0), Ordering::Relaxed);
    }

    /// The time for the manifest.
    pub fn to_record(&self) -> UnixMillis {
        UnixMillis(self.now().0.max(self.pledged.load(Ordering::Relaxed)))
    }

    /// Sets the time for the manifest ahead, if it has nearly come; says whether it is to be saved.
    pub fn pledge(&self) -> bool {
        let (now, lead) = (self.now().0, LEAD.as_millis() as u64);
        // Where it stands still already, as after an unclean stop, it is not to get further and further ahead.
        let wall = self.wall().0.min(self.ceiling.load(Ordering::Relaxed));
        let short = self.pledged.load(Ordering::Relaxed) < now.max(wall + lead / 2);
        if short {
            self.pledged.store(now.max(wall + lead), Ordering::Relaxed);
        }
        short
    }

    /// Takes a pledge back, as when the store is closed and the manifest can say the time itself. Says
    /// whether there was one.
    pub fn withdraw_pledge(&self) -> bool {
        self.pledged.swap(0, Ordering::Relaxed) > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::sim::SimDisk;

    #[test]
    fn it_stands_still_at_its_ceiling_and_never_goes_back() {
        let disk = SimDisk::new();
        let wall = disk.wall_clock();
        let clock = Clock::new(Arc::new(disk), UnixMillis(0));
        clock.set_ceiling(Some(UnixMillis(wall.0 - 5)));
        assert_eq!(clock.now().0, wall.0 - 5);
        clock.set_ceiling(Some(UnixMillis(wall.0 - 9)));
        assert_eq!(clock.now().0, wall.0 - 5);
        clock.set_ceiling(None);
        assert!(clock.now() >= wall);
        clock.raise(UnixMillis(wall.0 + 1_000_000));
        assert_eq!(clock.now().0, wall.0 + 1_000_000);
    }

    #[test]
    fn what_is_recorded_is_ahead_of_the_wall_clock_and_not_of_what_was_recorded_before() {
        let disk = SimDisk::new();
        let wall = disk.wall_clock().0;
        let recorded = |latest| {
            let clock = Clock::new(Arc::new(disk.clone()), UnixMillis(latest));
            clock.pledge();
            clock.to_record().0
        };
        let lead = LEAD.as_millis() as u64;
        assert_eq!(recorded(0), wall + lead);
        assert_eq!(recorded(wall + lead), wall + lead);
        assert_eq!(recorded(wall + 2 * lead), wall + 2 * lead);
    }
}
