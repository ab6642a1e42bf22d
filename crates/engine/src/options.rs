//! How a store is opened: each setting with its unit, default and bounds.

use std::sync::Arc;
use std::time::Duration;

use crate::disk::{Disk, OsDisk};
use crate::error::{Error, Result};
use crate::limits::{
    MAX_KEY_LENGTH, MAX_SEGMENT_SIZE, MAX_VALUE_LENGTH, MIN_KEY_LENGTH, MIN_SEGMENT_SIZE,
};

/// What an acknowledged write survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Durability {
    /// Synced before it is acknowledged: survives the death of the process, of the system and of the
    /// power. One sync serves all writers that wait (group commit).
    Always,
    /// Synced at most this long after it is acknowledged: survives the death of the process; a power
    /// cut loses at most the writes of this interval. 1 ms to 1 hour.
    Interval(Duration),
    /// Handed to the operating system: survives the death of the process; a power cut loses what
    /// the system had not yet written by itself.
    Os,
}

/// Who runs compaction, checkpoints and the like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Maintenance {
    /// Threads of the store, when there is need.
    Background,
    /// Nobody: only [`compact`](crate::KvStore::compact) and the other explicit calls do it. For
    /// tests that must be repeatable, and for short visits such as the command line's.
    Manual,
}

/// Settings of a store. `Options::default()` suits most.
///
/// ```
/// use aryavarth::{Durability, Options};
/// let options = Options::default().durability(Durability::Os).segment_size(16 << 20);
/// assert!(options.validate().is_ok());
/// assert!(Options::default().segment_size(1).validate().is_err());
/// ```
#[derive(Clone, Debug)]
pub struct Options {
    pub(crate) durability: Durability,
    pub(crate) maintenance: Maintenance,
    pub(crate) segment_size: u64,
    pub(crate) compaction_trigger: u8,
    pub(crate) compaction_budget: u64,
    pub(crate) checkpoint_interval: u64,
    pub(crate) max_key_length: usize,
    pub(crate) max_value_length: usize,
    pub(crate) create: Create,
    pub(crate) disk: Arc<dyn Disk>,
}

/// What to do when the directory holds no store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Create {
    /// Make an empty one.
    IfMissing,
    /// Fail with [`Error::NoStore`].
    Never,
}

impl Default for Options {
    fn default() -> Options {
        Options {
            durability: Durability::Always,
            maintenance: Maintenance::Background,
            segment_size: 64 << 20,
            compaction_trigger: 25,
            compaction_budget: 128 << 20,
            checkpoint_interval: 32 << 20,
            max_key_length: MAX_KEY_LENGTH,
            max_value_length: MAX_VALUE_LENGTH,
            create: Create::IfMissing,
            disk: Arc::new(OsDisk::new()),
        }
    }
}

impl Options {
    /// Small segments and no threads of its own: for tests that must reach every edge.
    pub fn tiny() -> Options {
        Options {
            segment_size: MIN_SEGMENT_SIZE,
            checkpoint_interval: 16 << 10,
            maintenance: Maintenance::Manual,
            ..Options::default()
        }
    }

    // --- behaviour ---

    /// What an acknowledged write survives. Default: [`Durability::Always`].
    pub fn durability(mut self, durability: Durability) -> Options {
        self.durability = durability;
        self
    }

    /// Who runs compaction and checkpoints. Default: [`Maintenance::Background`].
    pub fn maintenance(mut self, maintenance: Maintenance) -> Options {
        self.maintenance = maintenance;
        self
    }

    /// Whether a missing store is made. Default: [`Create::IfMissing`].
    pub fn create(mut self, create: Create) -> Options {
        self.create = create;
        self
    }

    /// Longest key taken, in bytes. Default and most: 64 KiB; least: 1. Longer keys already stored
    /// can still be read and removed.
    pub fn max_key_length(mut self, bytes: usize) -> Options {
        self.max_key_length = bytes;
        self
    }

    /// Longest value taken, in bytes. Default and most: 512 MiB; least: 0.
    pub fn max_value_length(mut self, bytes: usize) -> Options {
        self.max_value_length = bytes;
        self
    }

    /// The machine to run on. Default: the real one.
    pub fn disk(mut self, disk: Arc<dyn Disk>) -> Options {
        self.disk = disk;
        self
    }

    // --- performance ---

    /// Size of a segment, in bytes. Default: 64 MiB; 4 KiB to 128 MiB. A batch that does not fit
    /// gets a segment of its own size.
    pub fn segment_size(mut self, bytes: u64) -> Options {
        self.segment_size = bytes;
        self
    }

    /// Percentage of the log that may be stale before compaction starts while the store is busy, unless
    /// it is less than four segments' worth; an idle store is compacted further. Default: 25; 5 to 90.
    pub fn compaction_trigger(mut self, percent: u8) -> Options {
        self.compaction_trigger = percent;
        self
    }

    /// Bytes a second that background compaction may read and write together. Default: 128 MiB; at
    /// least 64 KiB; `u64::MAX` for no bound. Ignored while more than half of the log is stale, since
    /// the disk would fill up otherwise.
    pub fn compaction_budget(mut self, bytes_a_second: u64) -> Options {
        self.compaction_budget = bytes_a_second;
        self
    }

    /// Bytes appended after which the index is checkpointed, which bounds the work of the next
    /// opening; a large index is checkpointed less often. Default: 32 MiB; at least 4 KiB.
    pub fn checkpoint_interval(mut self, bytes: u64) -> Options {
        self.checkpoint_interval = bytes;
        self
    }

    /// Whether every setting is within its bounds.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] names the first that is not.
    pub fn validate(&self) -> Result<()> {
        fn check<T: PartialOrd + std::fmt::Display>(
            name: &'static str,
            value: T,
            minimum: T,
            maximum: T,
        ) -> Result<()> {
            if value >= minimum && value <= maximum {
                return Ok(());
            }
            let allowed = format!("{minimum} to {maximum}");
            Err(Error::InvalidOption { name, value: value.to_string(), allowed })
        }
        check("segment_size", self.segment_size, MIN_SEGMENT_SIZE, MAX_SEGMENT_SIZE)?;
        check("compaction_trigger", self.compaction_trigger, 5, 90)?;
        check("compaction_budget", self.compaction_budget, 64 << 10, u64::MAX)?;
        check("checkpoint_interval", self.checkpoint_interval, 4 << 10, u64::MAX)?;
        check("max_key_length", self.max_key_length, MIN_KEY_LENGTH, MAX_KEY_LENGTH)?;
        check("max_value_length", self.max_value_length, 0, MAX_VALUE_LENGTH)?;
        if let Durability::Interval(interval) = self.durability {
            let millis = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
            check("durability interval in milliseconds", millis, 1, 3_600_000)?;
        }
        Ok(())
    }
}
