//! All keys in the order in which their values were written: what came in as a file goes out as the
//! same file.
//!
//! The places of all records are gathered and sorted by version: 24 bytes a key, for the time of the
//! export. Compaction waits until it is over, so that every gathered place stays readable; a key that
//! was overwritten meanwhile is returned at its old turn with its new value.

use crate::error::{Error, Result};
use crate::ids::{Location, Sequence};
use crate::index::TableNumber;
use crate::reclaim::pin;
use crate::store::core::Core;
use crate::store::{Entry, KvStore};

/// Goes over all keys in order of writing. Made by [`KvStore::export`]. Compaction waits while it
/// lives.
#[derive(Debug)]
pub struct Export<'a> {
    core: &'a Core,
    places: std::vec::IntoIter<Place>,
    total: u64,
    failed: Vec<Error>,
    _keep: std::sync::MutexGuard<'a, crate::compaction::Survivors>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    sequence: Sequence,
    location: Location,
}

impl KvStore {
    /// Goes over all keys in the order of their versions. Keys written while it runs may be missing.
    ///
    /// # Errors
    /// [`Error::Closed`]. Records that cannot be read are errors of the iterator.
    pub fn export(&self) -> Result<Export<'_>> {
        let core = self.core();
        core.check_open()?;
        let keep = core.maintenance.lock().expect("no panic during maintenance");
        let (mut places, mut failed) = (Vec::new(), Vec::new());
        let guard = pin();
        for table in TableNumber::all() {
            for slot in core.index.entries(table) {
                let location = slot.location();
                let segment = core.segment(location, &guard);
                let read = segment.record(&guard, location.offset(), |_, r| r.sequence);
                match read {
                    Ok(sequence) => places.push(Place { sequence, location }),
                    Err(error) => failed.push(error),
                }
            }
        }
        drop(guard);
        places.sort_unstable_by_key(|place| place.sequence);
        let total = places.len() as u64;
        Ok(Export { core, places: places.into_iter(), total, failed, _keep: keep })
    }
}

impl Export<'_> {
    /// How many keys there are to go over.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// The key at `place`, as it is now.
    fn read(&self, place: Place) -> Result<Option<Entry>> {
        let guard = pin();
        let segment = self.core.segment(place.location, &guard);
        let entry = segment.record(&guard, place.location.offset(), |_, r| Entry::of(r))?;
        let hash = self.core.hash(&entry.key);
        if self.core.index.contains(&guard, hash, place.location) {
            return Ok((!self.core.is_expired(entry.expires_at)).then_some(entry));
        }
        drop(guard);
        self.core.read(&entry.key, Entry::of)
    }
}

impl Iterator for Export<'_> {
    type Item = Result<Entry>;

    /// The next key. An error stands for one key that cannot be read; the others follow.
    fn next(&mut self) -> Option<Result<Entry>> {
        if let Some(error) = self.failed.pop() {
            return Some(Err(error));
        }
        loop {
            let place = self.places.next()?;
            if let Some(entry) = self.read(place).transpose() {
                return Some(entry);
            }
        }
    }
}
