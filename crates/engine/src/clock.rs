//! The time that expiry goes by: the wall clock, but never back, so that what has expired stays so.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::disk::Disk;
use crate::ids::UnixMillis;

/// A wall clock that stands still where the machine's jumps back.
#[derive(Debug)]
pub struct Clock {
    disk: Arc<dyn Disk>,
    latest: AtomicU64,
}

impl Clock {
    /// A clock that shows `latest` or later.
    pub fn new(disk: Arc<dyn Disk>, latest: UnixMillis) -> Clock {
        Clock { disk, latest: AtomicU64::new(latest.0) }
    }

    /// The time.
    pub fn now(&self) -> UnixMillis {
        let wall = self.disk.wall_clock().0;
        UnixMillis(self.latest.fetch_max(wall, Ordering::Relaxed).max(wall))
    }
}
