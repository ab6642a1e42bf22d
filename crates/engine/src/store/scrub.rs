//! Looking for rot: reading all records again, in many short calls while everything goes on, so that
//! damage is found while there is still another copy to mend it from.
//!
//! ```text
//!  [██████][██░░██][███│  ]     all that was there when the scrub began; of damage, what lives in it
//!           └┬┘
//!            └ which keys? the bytes where the key stands are that key if its hash leads here
//! ```
//!
//! A record whose key can still be read is replaced by writing the key anew. One whose key cannot be
//! told is in the way of any key that might be its own: only a store made anew gets rid of it.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use crate::disk::Access;
use crate::error::{Error, Result};
use crate::ids::SegmentId;
use crate::log::Segment;
use crate::log::scan::{Scanner, Step};
use crate::log::segment::{HEADER_LENGTH, check_header, encode_header};
use crate::reclaim::{Guard, pin};
use crate::record::{self, Header};
use crate::store::KvStore;
use crate::store::core::Core;
use crate::store::walk::Walked;

/// Where a scrub stands. Made by [`KvStore::begin_scrub`].
#[derive(Clone, Debug)]
pub struct Scrub {
    /// What is still to be read of each segment: from where, and to where.
    left: BTreeMap<SegmentId, (u64, u64)>,
}

/// A place that is not what was written.
#[derive(Clone, Debug)]
pub struct Rotten {
    /// Where it is, and what is wrong: an [`Error::Damaged`].
    pub error: Error,
    /// What stands there.
    pub lives: Lives,
}

/// What stands in a damaged place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lives {
    /// The record of this key: writing the key replaces it.
    Key(Vec<u8>),
    /// The record of a key that cannot be told any more.
    Hidden,
    /// Nothing that a key needs. [`KvStore::spare`] keeps it from the next opening.
    Nothing,
    /// The head of a segment, without which the store would not be opened. All of it is known, and it was put right.
    Head,
}

/// Whether a damaged record was put right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// It is what was written.
    Yes,
    /// It had another value, or more than its key and its value is damaged.
    No,
}

/// How the record of a key is.
#[derive(Clone, Debug)]
pub enum Condition {
    /// As it was written; or there is none.
    Intact,
    /// Damaged, but it is the key's: writing the key replaces it.
    Replaceable(Error),
    /// So damaged that it may be another key's: the key cannot be written either.
    Unreadable(Error),
}

impl Scrub {
    /// Bytes that are still to be read.
    pub fn left(&self) -> u64 {
        self.left.values().map(|(from, to)| to - from).sum()
    }
}

impl KvStore {
    /// Begins to look through all records that there are now.
    ///
    /// # Errors
    /// [`Error::Closed`].
    pub fn begin_scrub(&self) -> Result<Scrub> {
        let core = self.core();
        core.check_open()?;
        let segments = core.segments.all().into_iter();
        let left = segments.map(|segment| (segment.id, (HEADER_LENGTH, segment.end())));
        Ok(Scrub { left: left.filter(|(_, (from, to))| from < to).collect() })
    }

    /// Goes on with `scrub` over about `bytes` of the log, and shows what is damaged: each live record, and
    /// each place where nothing lives.
    ///
    /// # Errors
    /// [`Error::Closed`]; [`Error::Io`] or [`Error::Damaged`] if a segment cannot be read at all: the next
    /// call goes on with the next one.
    pub fn scrub(
        &self,
        scrub: &mut Scrub,
        bytes: u64,
        found: impl FnMut(Rotten),
    ) -> Result<Walked> {
        let core = self.core();
        core.check_open()?;
        let Some((id, (from, end))) = scrub.left.pop_first() else { return Ok(Walked::Whole) };
        // Of a segment that is gone by now, what lived has been copied, and proven then.
        if let Some(segment) = core.segments.by_id(id) {
            let until = end.min(from + bytes.max(1));
            let reached = core.scrub(&segment, (from, until, end), found)?;
            if reached < end {
                scrub.left.insert(id, (reached, end));
            }
        }
        Ok(Walked::Partly)
    }

    /// Puts the bytes of a damaged record right, which had this key and this value; says whether it could:
    /// the checksum that was written with the record proves it. Durable on return.
    ///
    /// A record that was replaced meanwhile is put right, too. Else its bytes would be in the way of the next
    /// opening, if that reads them.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Io`].
    pub fn restore(&self, damage: &Error, key: &[u8], value: &[u8]) -> Result<Restored> {
        let core = self.core();
        core.check_open()?;
        let Error::Damaged { path, offset, .. } = damage else { return Ok(Restored::No) };
        let segment = core.segments.all().into_iter().find(|segment| segment.path == *path);
        // Of a segment that is gone nothing is left to be put right.
        segment.map_or(Ok(Restored::Yes), |segment| core.restore(&segment, *offset, key, value))
    }

    /// Whether damage was found since the store was opened of which nobody can tell whose record it is.
    pub fn hides_keys(&self) -> bool {
        self.core().hides_keys.load(Ordering::Acquire)
    }

    /// Notes what was found before the store was opened: that there is damage of which nobody can tell whose record
    /// it is.
    pub fn note_hidden_keys(&self) {
        self.core().hides_keys.store(true, Ordering::Release);
    }

    /// How the record of `key` is.
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Io`].
    pub fn condition(&self, key: impl AsRef<[u8]>) -> Result<Condition> {
        let (core, key) = (self.core(), key.as_ref());
        let damage = match core.read(key, |_| ()) {
            Ok(_) => return Ok(Condition::Intact),
            Err(error @ Error::Damaged { .. }) => error,
            Err(error) => return Err(error),
        };
        let guard = pin();
        let found = core.index.find(&guard, core.hash(key), |location| {
            Ok::<_, Error>(core.match_key(location, key, &guard)?.is_some())
        });
        Ok(match found {
            Ok(Some(_)) => Condition::Replaceable(damage),
            // What was there a moment ago was written anew.
            Ok(None) => Condition::Intact,
            Err(_) => {
                self.note_hidden_keys();
                Condition::Unreadable(damage)
            }
        })
    }
}

impl Core {
    /// Reads a segment from `from` to the end of the record at `until`, or to `end`; returns how far
    /// it came.
    fn scrub(
        &self,
        segment: &Segment,
        (from, until, end): (u64, u64, u64),
        mut found: impl FnMut(Rotten),
    ) -> Result<u64> {
        let file = segment.file();
        if from == HEADER_LENGTH
            && let Some(error) = self.restore_head(segment)?
        {
            found(Rotten { error, lives: Lives::Head });
        }
        let mut scanner = Scanner::new(segment, &*file, from, end);
        while scanner.offset() < until {
            let why = match scanner.step()? {
                Step::End => break,
                Step::Record { .. } => continue,
                Step::Bad(why) => why,
            };
            let part = scanner.offset()..scanner.behind_damage()?;
            scanner.seek(part.end);
            let guard = pin();
            let (start, mut lives) = (part.start, false);
            for offset in self.alive_within(segment, part) {
                let error = Error::damaged(&segment.path, offset, why.describe());
                let key = self.key_at(segment, offset, &guard);
                // It may have been replaced, or moved, since it was looked for.
                if segment.record(&guard, offset, |_, _| ()).is_err() {
                    lives = true;
                    self.hides_keys.fetch_or(key.is_none(), Ordering::AcqRel);
                    found(Rotten { error, lives: key.map_or(Lives::Hidden, Lives::Key) });
                }
            }
            if !lives {
                let error = Error::damaged(&segment.path, start, why.describe());
                found(Rotten { error, lives: Lives::Nothing });
            }
        }
        Ok(scanner.offset())
    }

    fn restore(
        &self,
        segment: &Segment,
        offset: u64,
        key: &[u8],
        value: &[u8],
    ) -> Result<Restored> {
        let (file, path) = (segment.file(), &segment.path);
        let read = |length: u64| {
            let length = length.min(segment.end().saturating_sub(offset)) as usize;
            file.read_copy(offset, length).map_err(|error| Error::io("read", path, error))
        };
        let Ok(header) = Header::decode(&read(record::HEADER_LENGTH as u64)?) else {
            return Ok(Restored::No);
        };
        let bytes = read(header.record_length())?;
        let Some(restored) = header.restored(bytes, (key, value), segment.salt, offset) else {
            return Ok(Restored::No);
        };
        self.rewrite(segment, offset, &restored)?;
        segment.end_quarantine();
        Ok(Restored::Yes)
    }

    /// Puts the head of a segment right, if it is not what was written.
    fn restore_head(&self, segment: &Segment) -> Result<Option<Error>> {
        let read = segment.file().read_copy(0, HEADER_LENGTH as usize);
        let head = read.map_err(|error| Error::io("read", &segment.path, error))?;
        let checked = check_header(&head, &segment.path, self.segments.store, &segment.entry());
        let Err(error) = checked else { return Ok(None) };
        let head = encode_header(self.segments.store, segment.id, segment.born, segment.role);
        self.rewrite(segment, 0, &head)?;
        Ok(Some(error))
    }

    /// Writes what has to stand in a segment, durably.
    fn rewrite(&self, segment: &Segment, offset: u64, bytes: &[u8]) -> Result<()> {
        let (file, path) = (segment.file(), &segment.path);
        // A sealed segment is mapped for reading only.
        let access = Access::ReadWrite { capacity: file.length() };
        let written = file.write_at(offset, bytes).and_then(|()| file.sync()).or_else(|_| {
            let file = self.segments.disk.open(path, access)?;
            file.write_at(offset, bytes)?;
            file.sync()
        });
        written.map_err(|error| Error::io("write", path, error))
    }

    /// The key of a damaged record, if its bytes are proven by the way that the index takes to it.
    fn key_at(&self, segment: &Segment, offset: u64, guard: &Guard) -> Option<Vec<u8>> {
        let file = segment.file();
        let header = file.read_copy(offset, record::HEADER_LENGTH).ok()?;
        let key = Header::decode(&header).ok()?.key_range();
        let key = file.read_copy(offset + key.start as u64, key.len()).ok()?;
        let leads_here = self.index.contains(guard, self.hash(&key), segment.location(offset));
        let is_matched = || segment.match_key(guard, offset, &key).is_ok_and(|f| f.is_some());
        (leads_here && is_matched()).then_some(key)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::disk::sim::{CrashPlan, SimDisk};
    use crate::options::Options;

    fn open(disk: &SimDisk) -> KvStore {
        KvStore::open_with("/store", Options::tiny().disk(Arc::new(disk.clone()))).unwrap()
    }

    /// Turns over a bit of the only place where `bytes` stand.
    fn damage(disk: &SimDisk, bytes: &[u8]) {
        let find = |contents: &[u8]| contents.windows(bytes.len()).position(|part| part == bytes);
        let places: Vec<_> = disk
            .files()
            .into_iter()
            .filter_map(|(path, _)| Some((find(&disk.contents(&path))?, path)))
            .collect();
        let [(place, path)] = &places[..] else { panic!("{places:?}") };
        disk.flip_bit(path, *place as u64, 0);
    }

    fn scrub(store: &KvStore) -> Vec<Rotten> {
        let (mut scrub, mut found) = (store.begin_scrub().unwrap(), Vec::new());
        while store.scrub(&mut scrub, 1, |rotten| found.push(rotten)).unwrap() == Walked::Partly {}
        assert_eq!(scrub.left(), 0);
        found
    }

    #[test]
    fn rot_is_found_where_something_lives_and_writing_the_key_mends_it() {
        let disk = SimDisk::new();
        let store = open(&disk);
        for number in 0..50 {
            store.set(format!("key {number}"), format!("value <{number}>")).unwrap();
        }
        assert!(scrub(&store).is_empty());
        damage(&disk, b"value <30>");
        let found = scrub(&store);
        assert_eq!(found.len(), 1);
        assert!(matches!(found[0].error, Error::Damaged { .. }));
        assert_eq!(found[0].lives, Lives::Key(b"key 30".to_vec()));
        assert!(matches!(store.condition("key 30").unwrap(), Condition::Replaceable(_)));
        assert!(matches!(store.condition("key 31").unwrap(), Condition::Intact));
        store.set("key 30", "again").unwrap();
        assert_eq!(scrub(&store)[0].lives, Lives::Nothing);
        assert!(matches!(store.condition("key 30").unwrap(), Condition::Intact));
    }

    #[test]
    fn what_rotted_is_put_right_if_its_value_is_known() {
        let disk = SimDisk::new();
        let store = open(&disk);
        // In a segment that is sealed by now, and in the one that is written.
        for number in 0..400 {
            store.set(format!("key {number}"), format!("value <{number}>")).unwrap();
        }
        for (key, value) in [("key 3", "value <3>"), ("key 399", "value <399>")] {
            damage(&disk, value.as_bytes());
            let Condition::Replaceable(error) = store.condition(key).unwrap() else { panic!() };
            let (key, value) = (key.as_bytes(), value.as_bytes());
            assert_eq!(store.restore(&error, key, b"value <?>").unwrap(), Restored::No);
            assert_eq!(store.restore(&error, key, b"longer value").unwrap(), Restored::No);
            assert_eq!(scrub(&store).len(), 1);
            assert_eq!(store.restore(&error, key, value).unwrap(), Restored::Yes);
            assert!(scrub(&store).is_empty());
            assert_eq!(store.get(key).unwrap().as_deref(), Some(value));
        }
        assert!(store.core().segments.all().len() > 1);
        // It is on the disk, and the next opening reads it.
        let disk = disk.crashed_image(CrashPlan::LoseUnsynced);
        assert_eq!(open(&disk).get("key 3").unwrap().as_deref(), Some(&b"value <3>"[..]));
    }

    #[test]
    fn the_head_of_a_segment_is_put_right() {
        let disk = SimDisk::new();
        let store = open(&disk);
        (0..400).for_each(|number| store.set(format!("key {number}"), "value").unwrap());
        store.checkpoint().unwrap();
        let segments = store.core().segments.all();
        assert!(segments.len() > 1);
        for segment in [segments.first().unwrap(), segments.last().unwrap()] {
            disk.flip_bit(&segment.path, 33, 0);
            let killed = disk.crashed_image(CrashPlan::LoseUnsynced);
            let options = Options::tiny().disk(Arc::new(killed));
            assert!(matches!(KvStore::open_with("/store", options), Err(Error::Damaged { .. })));
            let found = scrub(&store);
            assert_eq!((found.len(), &found[0].lives), (1, &Lives::Head));
            assert!(scrub(&store).is_empty());
            assert_eq!(open(&disk.crashed_image(CrashPlan::LoseUnsynced)).len(), 400);
        }
    }

    #[test]
    fn a_key_that_rotted_is_not_taken_for_another() {
        let disk = SimDisk::new();
        let store = open(&disk);
        store.set("first", "1").unwrap();
        store.set("second", "2").unwrap();
        store.set("third", "3").unwrap();
        damage(&disk, b"second");
        let found = scrub(&store);
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].lives, Lives::Hidden);
        assert!(matches!(store.condition("second").unwrap(), Condition::Unreadable(_)));
        assert!(matches!(store.condition("third").unwrap(), Condition::Intact));
    }
}
