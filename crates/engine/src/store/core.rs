//! What all handles of one open store share, and reading. Writing is in `write` and `group_commit`.
//!
//! Locks, in the order they may be taken: `maintenance`, `syncing`, `appender`, the tables of
//! the replicated logs, the index's writer (and, inside the log, the registry of segments).

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::error::{Error, Result};
use crate::ids::{Location, UnixMillis};
use crate::index::{Index, KeyHash};
use crate::log::commit::Gathering;
use crate::log::segment::Found;
use crate::log::{Appender, Segment, Segments};
use crate::options::Options;
use crate::reclaim::{Guard, pin};
use crate::record::Record;
use crate::replicated::tables::Replicas;
use crate::store::background::Signals;

/// How often a writer looks whether the appender is free before it sleeps.
const SPINS: u32 = 200;

/// Bytes and counts since the store was opened.
#[derive(Debug, Default)]
pub struct Counters {
    /// Bytes of keys and values that callers wrote.
    pub user_bytes: AtomicU64,
    /// Bytes of records that compaction wrote.
    pub compacted: AtomicU64,
    /// Expired keys that the sweep found.
    pub expired_keys: AtomicU64,
    /// Bytes of checkpoints.
    pub checkpointed: AtomicU64,
    /// Bytes appended and compacted when the last checkpoint was begun.
    pub checkpointed_at: AtomicU64,
}

/// One open store.
#[derive(Debug)]
pub struct Core {
    /// How it was opened.
    pub options: Options,
    /// Its files.
    pub segments: Arc<Segments>,
    /// Where its keys are.
    pub index: Index,
    /// Its replicated logs.
    pub replicas: Replicas,
    /// The end of its log.
    appender: Mutex<Appender>,
    /// How the last commits went.
    pub(super) gathering: Gathering,
    /// Held by whoever syncs the log.
    pub(super) syncing: Mutex<()>,
    /// Held by compaction, checkpoint, backup and export: one of them at a time.
    pub maintenance: Mutex<crate::compaction::Survivors>,
    /// Wakes the store's own threads.
    pub signals: Signals,
    /// What was done so far.
    pub counters: Counters,
    /// Whether damage was found of which nobody can tell whose record it is.
    pub hides_keys: AtomicBool,
    closed: AtomicBool,
}

impl Core {
    /// A store over what recovery found.
    pub fn new(
        options: Options,
        segments: Arc<Segments>,
        index: Index,
        active: Option<Arc<Segment>>,
        replicas: Replicas,
    ) -> Core {
        let appender = Appender::new(Arc::clone(&segments), active, options.segment_size);
        Core {
            options,
            segments,
            index,
            replicas,
            appender: Mutex::new(appender),
            gathering: Gathering::default(),
            syncing: Mutex::new(()),
            maintenance: Mutex::default(),
            signals: Signals::default(),
            counters: Counters::default(),
            hides_keys: AtomicBool::new(false),
            closed: AtomicBool::new(false),
        }
    }

    /// The end of the log.
    pub fn appender(&self) -> MutexGuard<'_, Appender> {
        // It is held for well under a microsecond: to sleep would take longer than to wait.
        for _ in 0..SPINS {
            if let Ok(appender) = self.appender.try_lock() {
                return appender;
            }
            std::hint::spin_loop();
        }
        self.appender.lock().expect("no panic while the appender is held")
    }

    /// Refuses everything once the store was closed.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn check_open(&self) -> Result<()> {
        if self.closed.load(Ordering::Acquire) { Err(Error::Closed) } else { Ok(()) }
    }

    /// Marks the store as closed; says whether it was open. Nothing is appended from here on.
    pub fn mark_closed(&self) -> bool {
        let _appender = self.appender();
        !self.closed.swap(true, Ordering::AcqRel)
    }

    /// The hash of a key.
    pub fn hash(&self, key: &[u8]) -> KeyHash {
        KeyHash::of(self.segments.hash_seed, key)
    }

    // --- reading ---

    /// Finds the record of `key` and hands it to `take`; none if there is none or it has expired.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Io`], [`Error::Closed`].
    pub fn read<R>(&self, key: &[u8], mut take: impl FnMut(&Record<'_>) -> R) -> Result<Option<R>> {
        self.check_open()?;
        let guard = pin();
        let mut answer = None;
        self.index.find(&guard, self.hash(key), |location| {
            self.segment(location, &guard).record(&guard, location.offset(), |_, record| {
                if record.key != key {
                    return false;
                }
                answer = (!self.is_expired(record.expires_at)).then(|| take(record));
                true
            })
        })?;
        Ok(answer)
    }

    /// Whether reading the records that may be of a key with `hash` waits for no device.
    pub fn is_resident(&self, hash: KeyHash, guard: &Guard) -> bool {
        let mut resident = true;
        let look = |location: Location| {
            resident &= self.segment(location, guard).is_resident(guard, location.offset());
            Ok::<_, std::convert::Infallible>(false)
        };
        let Ok(_) = self.index.find(guard, hash, look);
        resident
    }

    /// Brings what looking up keys with these hashes will need nearer to the processor: their buckets, then the
    /// beginnings of the records that may be theirs, for all of them at once rather than one after the other.
    pub fn warm(&self, hashes: impl Iterator<Item = KeyHash> + Clone, guard: &Guard) {
        hashes.clone().for_each(|hash| self.index.touch(guard, hash));
        for hash in hashes {
            let touch = |location: Location| {
                self.segment(location, guard).touch(guard, location.offset());
                Ok::<_, std::convert::Infallible>(false)
            };
            let Ok(_) = self.index.find(guard, hash, touch);
        }
    }

    /// The segment of a location that the index gave while `guard` was held.
    pub fn segment<'g>(&'g self, location: Location, guard: &'g Guard) -> &'g Arc<Segment> {
        self.segments.get(location, guard).expect("segments outlive the readers of their locations")
    }

    /// Whether a record with this expiry is past it.
    pub fn is_expired(&self, expires_at: Option<UnixMillis>) -> bool {
        expires_at.is_some_and(|at| at <= self.segments.clock.now())
    }

    /// What the record at `location` is, if `key` is its key.
    pub(crate) fn match_key(
        &self,
        location: Location,
        key: &[u8],
        guard: &Guard,
    ) -> Result<Option<Found>> {
        self.segment(location, guard).match_key(guard, location.offset(), key)
    }
}
