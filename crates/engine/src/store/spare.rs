//! Sparing the next opening a place that is damaged and that nobody needs any more.
//!
//! ```text
//!  [ sealed, all of it in the checkpoint, no entry of a replicated log ]  ─▶ an opening reads nothing of it
//!  [ written to: its states and entries are read whole                  ]  ─▶ ended; states go to the next one
//!  [ with entries that a log may have to read                           ]  ─▶ to be purged, by whoever has the log
//! ```
//!
//! The damage stays where it is, and whoever reads it is told: `verify`, or an opening that has no perfect
//! checkpoint.

use crate::checkpoint;
use crate::error::{Error, Result};
use crate::ids::{EntryIndex, ShardId};
use crate::log::Segment;
use crate::store::KvStore;
use crate::store::core::Core;

/// Whether the next opening is spared a damaged place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Spared {
    /// It reads nothing there, as long as the checkpoint is perfect.
    Yes,
    /// It would have to read entries there: purge each of these logs up to the entry, and ask again.
    Needed(Vec<(ShardId, EntryIndex)>),
    /// Something there is still under way: ask again later.
    NotYet,
}

impl KvStore {
    /// Whether the next opening reads nothing where this damage is.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn is_spared(&self, damage: &Error) -> Result<bool> {
        let core = self.core();
        core.check_open()?;
        Ok(core.place_of(damage).is_none_or(|(segment, offset)| offset < segment.spared()))
    }

    /// Sees to it that the next opening reads nothing where this damage is, if nothing there is needed: a new
    /// checkpoint has all that the index reflects of it.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::DiskFull`], [`Error::Fenced`], [`Error::Io`].
    pub fn spare(&self, damage: &Error) -> Result<Spared> {
        let core = self.core();
        core.check_open()?;
        match core.place_of(damage) {
            Some((segment, offset)) => core.spare(&segment, offset),
            // What is gone is not read.
            None => Ok(Spared::Yes),
        }
    }
}

impl Core {
    fn place_of(&self, damage: &Error) -> Option<(std::sync::Arc<Segment>, u64)> {
        let Error::Damaged { path, offset, .. } = damage else { return None };
        let segment = self.segments.all().into_iter().find(|segment| segment.path == *path)?;
        Some((segment, *offset))
    }

    fn spare(&self, segment: &Segment, offset: u64) -> Result<Spared> {
        if offset < segment.spared() {
            return Ok(Spared::Yes);
        }
        let mut appender = self.appender();
        if appender.active().is_some_and(|active| active.id == segment.id) {
            appender.retire_active_if_used();
        }
        drop(appender);
        self.seal_filled()?;
        self.save_states();
        let needed = self.replicas.entries_in(segment.id);
        if !needed.is_empty() {
            return Ok(Spared::Needed(needed));
        }
        checkpoint::write(self)?;
        segment.end_quarantine();
        Ok(if offset < segment.spared() { Spared::Yes } else { Spared::NotYet })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::sim::{CrashPlan, SimDisk};
    use crate::ids::{EntryId, Term};
    use crate::options::{Maintenance, Options};
    use crate::replicated::{NewEntry, Payload};
    use crate::store::batch::WriteBatch;
    use crate::store::scrub::{Lives, Rotten};
    use crate::store::walk::Walked;

    fn open(disk: &SimDisk) -> Result<KvStore> {
        let options = Options::tiny().maintenance(Maintenance::Manual);
        KvStore::open_with("/store", options.disk(Arc::new(disk.clone())))
    }

    fn killed(disk: &SimDisk) -> SimDisk {
        disk.crashed_image(CrashPlan::LoseUnsynced)
    }

    /// Turns over a bit where `bytes` stand first.
    fn damage(disk: &SimDisk, bytes: &[u8]) {
        let find = |contents: &[u8]| contents.windows(bytes.len()).position(|part| part == bytes);
        let files = disk.files().into_iter().map(|(path, _)| path);
        let mut places = files.filter_map(|path| Some((find(&disk.contents(&path))?, path)));
        let (place, path) = places.next().unwrap();
        disk.flip_bit(&path, place as u64, 0);
    }

    fn scrub(store: &KvStore) -> Rotten {
        let (mut scrub, mut found) = (store.begin_scrub().unwrap(), Vec::new());
        while store.scrub(&mut scrub, 1 << 20, |rotten| found.push(rotten)).unwrap()
            == Walked::Partly
        {}
        assert_eq!(found.len(), 1, "{found:?}");
        found.remove(0)
    }

    /// What is in the way of an opening is not any more once it was spared, wherever the damage is.
    fn is_spared(store: &KvStore, disk: &SimDisk, lives: &Lives) {
        assert!(matches!(open(&killed(disk)), Err(Error::Damaged { .. })));
        let rotten = scrub(store);
        assert_eq!(rotten.lives, *lives);
        assert!(!store.is_spared(&rotten.error).unwrap());
        assert_eq!(store.spare(&rotten.error).unwrap(), Spared::Yes);
        assert!(store.is_spared(&rotten.error).unwrap());
        // Another checkpoint does not undo it, and what is written behind it is there.
        store.checkpoint().unwrap();
        store.set("later", "<later>").unwrap();
        let again = open(&killed(disk)).unwrap();
        assert!(again.is_spared(&rotten.error).unwrap());
        assert_eq!(again.get("later").unwrap().as_deref(), Some(&b"<later>"[..]));
        assert_eq!(again.len(), store.len());
        // It is named to whoever looks.
        assert_eq!(again.verify(|_| ()).unwrap().damage.len(), 1);
    }

    fn written(disk: &SimDisk, keys: usize) -> KvStore {
        let store = open(disk).unwrap();
        for number in 0..keys {
            store.set(format!("key {number}"), format!("value <{number}>")).unwrap();
        }
        store
    }

    #[test]
    fn what_nothing_lives_in_is_not_read_at_the_next_opening() {
        for (keys, number) in [(400, 3), (400, 399), (20, 7)] {
            let disk = SimDisk::new();
            let store = written(&disk, keys);
            store.set(format!("key {number}"), "another").unwrap();
            damage(&disk, format!("value <{number}>").as_bytes());
            is_spared(&store, &disk, &Lives::Nothing);
        }
    }

    #[test]
    fn a_removed_key_stays_removed_though_its_tombstone_rotted() {
        let disk = SimDisk::new();
        let store = written(&disk, 50);
        store.remove("key 7").unwrap();
        store.set("key 8", "behind").unwrap();
        // Its only other place is the tombstone's.
        let bytes = b"key 7";
        let path = disk.files().into_iter().map(|(path, _)| path);
        let (path, place) = path
            .filter_map(|path| {
                let contents = disk.contents(&path);
                let place = contents.windows(bytes.len()).rposition(|part| part == bytes)?;
                Some((path, place))
            })
            .next_back()
            .unwrap();
        disk.flip_bit(&path, place as u64, 0);
        is_spared(&store, &disk, &Lives::Nothing);
        assert_eq!(open(&killed(&disk)).unwrap().get("key 7").unwrap(), None);
    }

    #[test]
    fn a_place_that_hides_a_key_is_not_read_and_never_answered() {
        let disk = SimDisk::new();
        let store = written(&disk, 50);
        damage(&disk, b"key 30");
        is_spared(&store, &disk, &Lives::Hidden);
        let again = open(&killed(&disk)).unwrap();
        assert!(matches!(again.get("key 30"), Err(Error::Damaged { .. })));
        assert!(matches!(again.set("key 30", "new"), Err(Error::Damaged { .. })));
        assert_eq!(again.get("key 31").unwrap().as_deref(), Some(&b"value <31>"[..]));
    }

    #[test]
    fn an_entry_that_writes_a_hidden_key_is_not_applied_and_nothing_else_suffers() {
        let disk = SimDisk::new();
        let store = open(&disk).unwrap();
        let (log, other) =
            (store.replicated(ShardId(3)).unwrap(), store.replicated(ShardId(4)).unwrap());
        let write = |log: &crate::ReplicatedLog, index, keys: &[&str]| {
            let mut batch = WriteBatch::new();
            keys.iter().for_each(|key| _ = batch.set(key, format!("value {index}")));
            let id = EntryId { term: Term(1), index: EntryIndex(index) };
            log.append(&[NewEntry { id, payload: Payload::Effects(&batch) }]).unwrap();
            log.apply(EntryIndex(index))
        };
        for (index, key) in (0..).zip(["first", "hidden", "third"]) {
            write(&log, index, &[key]).unwrap();
        }
        damage(&disk, b"hidden");
        assert_eq!(scrub(&store).lives, Lives::Hidden);
        write(&log, 3, &["first"]).unwrap();
        // Not even the part of it that could be.
        for index in [4, 5] {
            let applied = write(&log, index, &["third", "hidden"]);
            assert!(matches!(applied, Err(Error::Damaged { .. })), "{applied:?}");
        }
        let value = |key: &str| String::from_utf8(store.get(key).unwrap().unwrap()).unwrap();
        assert_eq!((value("first"), value("third")), ("value 3".into(), "value 2".into()));
        assert_eq!(log.state().unwrap().applied.unwrap().index, EntryIndex(3));
        assert!(matches!(store.get("hidden"), Err(Error::Damaged { .. })));
        write(&other, 0, &["other"]).unwrap();
        assert_eq!(value("other"), "value 0");
    }

    #[test]
    fn entries_of_a_log_are_asked_for_before_they_go() {
        let disk = SimDisk::new();
        let store = open(&disk).unwrap();
        let log = store.replicated(ShardId(3)).unwrap();
        for index in 0..40 {
            let mut batch = WriteBatch::new();
            batch.set(format!("key {}", index % 20), format!("value <{index}>"));
            let id = EntryId { term: Term(1), index: EntryIndex(index) };
            log.append(&[NewEntry { id, payload: Payload::Effects(&batch) }]).unwrap();
            log.apply(EntryIndex(index)).unwrap();
        }
        store.sync().unwrap();
        damage(&disk, b"value <7>");
        let rotten = scrub(&store);
        assert_eq!(rotten.lives, Lives::Nothing);
        let Spared::Needed(entries) = store.spare(&rotten.error).unwrap() else { panic!() };
        let [(ShardId(3), last)] = entries[..] else { panic!("{entries:?}") };
        assert!((7..40).contains(&last.0));
        log.purge(EntryId { term: Term(1), index: last }).unwrap();
        is_spared(&store, &disk, &Lives::Nothing);
    }
}
