//! Reading without copying: a visit to the store in which values are looked at where they stand.

use crate::error::Result;
use crate::expiry;
use crate::ids::{Sequence, UnixMillis};
use crate::reclaim::{Guard, pin};
use crate::record::encoded_length;
use crate::store::KvStore;

/// A visit to the store. While it lasts, nothing that it could still see is freed, so it should be
/// short: some microseconds, or as long as one answer takes.
pub struct Reader<'s> {
    store: &'s KvStore,
    guard: Guard,
}

/// A key's value where it stands in the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EntryRef<'a> {
    /// The key.
    pub key: &'a [u8],
    /// The value.
    pub value: &'a [u8],
    /// The version of the value: the place of its write in the order of all writes.
    pub version: Sequence,
    /// When it expires, if it does.
    pub expires_at: Option<UnixMillis>,
}

impl EntryRef<'_> {
    /// Bytes of its record in the log.
    pub fn stored_bytes(&self) -> u64 {
        encoded_length(self.key.len(), self.value.len(), self.expires_at)
    }
}

impl KvStore {
    /// Begins a visit. Reads in it take no lock and copy nothing.
    ///
    /// ```
    /// # let directory = tempfile::tempdir().unwrap();
    /// # let store = aryavarth::KvStore::open(directory.path())?;
    /// store.set("name", "john")?;
    /// let reader = store.reader();
    /// assert_eq!(reader.read(b"name", |entry| entry.value.len())?, Some(4));
    /// assert_eq!(reader.read(b"nobody", |entry| entry.value.len())?, None);
    /// # Ok::<(), aryavarth::Error>(())
    /// ```
    pub fn reader(&self) -> Reader<'_> {
        Reader { store: self, guard: pin() }
    }

    /// The time by which keys expire: the wall clock's, but never back.
    pub fn now(&self) -> UnixMillis {
        self.core().segments.clock.now()
    }

    /// What the machine's clock shows, even if that is back.
    pub fn wall_clock(&self) -> UnixMillis {
        self.core().segments.clock.wall()
    }

    /// Has the time be `moment` or later from here on, as where another store has shown keys as expired by
    /// then.
    pub fn raise_clock(&self, moment: UnixMillis) {
        self.core().segments.clock.raise(moment);
    }

    /// Has the time stand still when it comes to `ceiling`, until another one is set; none for no ceiling.
    pub fn set_clock_ceiling(&self, ceiling: Option<UnixMillis>) {
        self.core().segments.clock.set_ceiling(ceiling);
    }

    /// Whether there may be keys that expire.
    pub fn may_expire(&self) -> bool {
        expiry::anything_expires(self.core())
    }
}

impl Reader<'_> {
    /// Keys warmed at once.
    pub const WARMED: usize = 16;

    /// Hands the entry of `key` to `take`; none if it has none. (`take` may be called twice; the last
    /// answer counts.)
    ///
    /// # Errors
    /// As [`KvStore::get`].
    #[inline]
    pub fn read<R>(
        &self,
        key: &[u8],
        mut take: impl FnMut(EntryRef<'_>) -> R,
    ) -> Result<Option<R>> {
        self.store.core().read(key, |record| {
            take(EntryRef {
                key: record.key,
                value: record.value,
                version: record.sequence,
                expires_at: record.expires_at,
            })
        })
    }

    /// Whether reading `key` waits for no device, as far as the machine can tell. Costs a call to it.
    pub fn is_resident(&self, key: &[u8]) -> bool {
        let core = self.store.core();
        core.is_resident(core.hash(key), &self.guard)
    }

    /// Brings what reading these keys will need nearer to the processor, for all of them at once
    /// rather than one after the other. For the first [`WARMED`](Reader::WARMED) of them.
    pub fn warm<'k>(&self, keys: impl Iterator<Item = &'k [u8]>) {
        let core = self.store.core();
        let mut hashes = [None; Self::WARMED];
        for (hash, key) in hashes.iter_mut().zip(keys) {
            *hash = Some(core.hash(key));
        }
        core.warm(hashes.iter().copied().flatten(), &self.guard);
    }

    /// Lets go of what was seen so far and goes on, as between the answers of a long visit.
    pub fn refresh(&mut self) {
        self.guard.repin();
    }
}
