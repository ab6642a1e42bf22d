//! The stores to be damaged, what they hold and where, and how a damaged one is judged.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};

use aryavarth::disk::sim::{CrashPlan, SimDisk};
use aryavarth::{Durability, Error, KvStore, LogOperation, Options, Sequence, read_log};

use crate::common::model::{Bytes, Contents, Value};
use crate::common::observe;
use crate::common::run::reopen;
use crate::common::workloads::{key, value};
use crate::common::{STORE, logs, options};

/// Where a record stands.
#[derive(Clone, Debug)]
pub struct Place {
    /// The file.
    pub path: PathBuf,
    /// The bytes.
    pub bytes: Range<u64>,
}

/// A store at rest.
pub struct Subject {
    /// The machine.
    pub disk: SimDisk,
    /// What the store holds.
    pub contents: Contents,
    /// What it held before each of its last commits, the very last at the end.
    pub before: Vec<Contents>,
    /// Every key ever used.
    pub keys: Vec<Bytes>,
    /// Where the record of each key is.
    pub places: BTreeMap<Bytes, Place>,
    /// Every record, in the order of the files.
    pub records: Vec<Place>,
    /// Older versions of its files.
    pub older: Vec<(PathBuf, Vec<u8>)>,
}

/// How a store comes to rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// It is closed.
    Closed,
    /// Its process is killed.
    Killed,
}

impl Subject {
    /// A store with survivors, a few segments, a checkpoint, tombstones and a batch.
    pub fn new(rest: Rest) -> Subject {
        let disk = SimDisk::with_seed(1);
        let store = reopen(&disk, Durability::Always).unwrap();
        let mut contents = Contents::default();
        let (mut number, mut older) = (0, Vec::new());
        let mut set = |contents: &mut Contents, key_number: usize, length: usize| {
            number += 1;
            let bytes = value(&format!("value {number}"), length);
            store.set(key(key_number), &bytes).unwrap();
            contents.put(&key(key_number), Some(&bytes));
        };
        for key_number in 0..6 {
            set(&mut contents, key_number, 60);
        }
        set(&mut contents, 0, 30);
        store.compact().unwrap();
        let mut remember = || {
            for (path, _) in disk.files() {
                older.push((path.clone(), disk.contents(&path)));
            }
        };
        store.checkpoint().unwrap();
        remember();
        set(&mut contents, 1, 40);
        store.remove(key(2)).unwrap();
        contents.put(&key(2), None);
        store.backup("/backup-one").unwrap();
        set(&mut contents, 6, 70);
        let mut batch = aryavarth::WriteBatch::new();
        batch.set(key(7), "seven").set(key(8), "eight").remove(key(5));
        store.write(&batch).unwrap();
        contents.put(&key(7), Some(b"seven"));
        contents.put(&key(8), Some(b"eight"));
        contents.put(&key(5), None);
        store.backup("/backup-two").unwrap();
        set(&mut contents, 3, 50);
        store.checkpoint().unwrap();
        remember();
        let mut before = Vec::new();
        for (key_number, length) in [(9, 20), (1, 25), (10, 33)] {
            before.push(contents.clone());
            set(&mut contents, key_number, length);
        }
        let disk = match rest {
            Rest::Closed => {
                store.close().unwrap();
                disk
            }
            Rest::Killed => disk.crashed_image(CrashPlan::KeepAll),
        };
        let copies: Vec<_> = disk.files().into_iter().map(|(path, _)| path).collect();
        copies.iter().filter(|path| path.starts_with("/backup-one")).for_each(|p| disk.delete(p));
        copies.iter().filter(|path| path.starts_with("/backup-two")).for_each(|p| disk.delete(p));
        older.retain(|(path, _)| path.starts_with(STORE));
        let keys = (0..12).map(key).collect();
        let (places, records) = records(&disk);
        Subject { disk, contents, before, keys, places, records, older }
    }

    /// A copy to be damaged.
    pub fn copy(&self) -> SimDisk {
        self.disk.crashed_image(CrashPlan::KillProcess)
    }

    /// Its files, with their lengths.
    pub fn files(&self) -> Vec<(PathBuf, u64)> {
        let mut files = self.disk.files();
        files.retain(|(path, _)| !path.ends_with("lock"));
        files
    }

    /// Its segments, with their lengths.
    pub fn segments(&self) -> Vec<(PathBuf, u64)> {
        let mut files = self.files();
        files.retain(|(path, _)| path.extension().is_some_and(|extension| extension == "log"));
        files
    }

    /// Where the last commit starts: its file, and the offset.
    pub fn last_commit(&self) -> (&Path, u64) {
        let last = &self.places[&key(10)];
        (&last.path, last.bytes.start)
    }

    /// Damaged as `damage` says, the store is opened, verified and salvaged, and must do all three
    /// well. `touched` is what was damaged; nothing else is.
    pub fn judge(&self, damage: impl Fn(&SimDisk), touched: &[Place], tail: Tail) {
        let damaged = self.copy();
        damage(&damaged);
        if self.same_files(&damaged) {
            return;
        }
        self.judge_open(&damaged.crashed_image(CrashPlan::KillProcess), touched, tail);
        self.judge_verify(&damaged.crashed_image(CrashPlan::KillProcess), touched, tail);
        self.judge_salvage(&damaged.crashed_image(CrashPlan::KillProcess), touched);
    }

    fn same_files(&self, other: &SimDisk) -> bool {
        observe::fingerprint(&self.disk) == observe::fingerprint(other)
    }

    fn judge_open(&self, disk: &SimDisk, touched: &[Place], tail: Tail) {
        match reopen(disk, Durability::Always) {
            Ok(store) => self.judge_reads(&store, tail),
            Err(error) => {
                let (path, offset) = place_of(&error);
                let named = touched.iter().filter(|place| place.path == path);
                let furthest = named.map(|place| place.bytes.end).max();
                let furthest = furthest.unwrap_or_else(|| panic!("another file is named: {error}"));
                assert!(offset <= furthest, "{error}: behind the damage {touched:?}");
            }
        }
    }

    /// Every key is right or in error. In a tail that cannot be proven, the last commit may be gone.
    fn judge_reads(&self, store: &KvStore, tail: Tail) {
        let read = |key: &Bytes| store.get_entry(key).map(|entry| entry.map(value_of));
        let right = |contents: &Contents| {
            let fits = |key: &Bytes| read(key).map_or(true, |v| v.as_ref() == contents.0.get(key));
            self.keys.iter().all(fits)
        };
        let lost = match tail {
            Tail::Proven => 0,
            Tail::LastCommit => 1,
            Tail::Reached => self.before.len(),
        };
        if self.before.iter().rev().take(lost).any(right) {
            return;
        }
        for key in &self.keys {
            if let Ok(found) = read(key) {
                assert_eq!(found.as_ref(), self.contents.0.get(key), "{:?}", shown(key));
            }
        }
        for entry in store.iter().flatten() {
            let value = Value { bytes: entry.value, expires_at: entry.expires_at };
            assert_eq!(Some(&value), self.contents.0.get(&entry.key), "{:?}", shown(&entry.key));
        }
    }

    fn judge_verify(&self, disk: &SimDisk, touched: &[Place], tail: Tail) {
        let options: Options = options(disk, Durability::Always);
        let before = observe::fingerprint(disk);
        let report = match aryavarth::verify_directory(STORE, &options, |_| {}) {
            Ok(report) => report,
            Err(error @ Error::NoStore { .. }) => panic!("{error}: the segments are there"),
            Err(error) => panic!("verify gave up: {error}"),
        };
        assert_eq!(before, observe::fingerprint(disk), "verify changed something");
        if tail != Tail::Proven {
            return;
        }
        let hits = report.damage.iter().filter(|error| {
            let (path, offset) = place_of(error);
            touched.iter().any(|place| place.path == path && offset < place.bytes.end.max(1))
        });
        assert!(hits.count() > 0, "{touched:?} is not reported: {:?}", report.damage);
    }

    fn judge_salvage(&self, disk: &SimDisk, touched: &[Place]) {
        let before = observe::fingerprint(disk);
        let store = match KvStore::salvage(STORE, options(disk, Durability::Always)) {
            Ok(store) => store,
            Err(error) => {
                // Without the list of segments nothing is known to belong together.
                let manifest = logs().join("manifest");
                assert!(touched.iter().any(|place| place.path == manifest), "{error}");
                return;
            }
        };
        let is_intact = |key: &Bytes| {
            self.places.get(key).is_some_and(|place| {
                let meets = |other: &Place| {
                    other.path == place.path
                        && other.bytes.start < place.bytes.end
                        && place.bytes.start < other.bytes.end
                };
                !touched.iter().any(meets)
            })
        };
        for key in self.keys.iter().filter(|key| is_intact(key)) {
            let found = store.get_entry(key).unwrap_or_else(|e| panic!("{:?}: {e}", shown(key)));
            let found = found.map(value_of);
            assert_eq!(found.as_ref(), self.contents.0.get(key), "salvaged {:?}", shown(key));
        }
        drop(store);
        assert_eq!(before, observe::fingerprint(disk), "salvage changed something");
    }
}

/// Whether damage may be taken for a torn tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tail {
    /// It may not.
    Proven,
    /// It may: the bytes are those of the last commit or behind it, in a store that was killed.
    LastCommit,
    /// It may: the damage begins before the last commit and reaches into it, and so takes with it
    /// the only proof that what is before it was synced.
    Reached,
}

fn shown(key: &Bytes) -> String {
    String::from_utf8_lossy(key).into_owned()
}

fn value_of(entry: aryavarth::Entry) -> Value {
    Value { bytes: entry.value, expires_at: entry.expires_at }
}

/// The file and the offset that an error names.
fn place_of(error: &Error) -> (PathBuf, u64) {
    match error {
        Error::Damaged { path, offset, .. } => (path.clone(), *offset),
        Error::NewerFormat { path, .. } => (path.clone(), 0),
        other => panic!("damage is told as something else: {other}"),
    }
}

/// Where the newest record of each key that has a value stands, and all records.
fn records(disk: &SimDisk) -> (BTreeMap<Bytes, Place>, Vec<Place>) {
    let copy = disk.crashed_image(CrashPlan::KillProcess);
    let mut newest: BTreeMap<Bytes, (Sequence, Option<Place>)> = BTreeMap::new();
    let mut all = Vec::new();
    read_log(STORE, &options(&copy, Durability::Always), |record| {
        let path = logs().join(format!("{:010}.log", record.position.segment.0));
        let start = record.position.offset;
        let place = Place { path, bytes: start..start + record.length };
        all.push(place.clone());
        let (key, place) = match record.operation {
            LogOperation::Set { key, .. } => (key, Some(place)),
            LogOperation::Remove { key } => (key, None),
            other => panic!("no replicated log is here: {other:?}"),
        };
        let known = newest.entry(key).or_default();
        if record.sequence >= known.0 {
            *known = (record.sequence, place);
        }
        ControlFlow::Continue(())
    })
    .unwrap();
    let places = newest.into_iter().filter_map(|(key, (_, place))| Some((key, place?))).collect();
    (places, all)
}
