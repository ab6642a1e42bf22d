//! Performs operations on a store and on the reference, and compares.

use std::path::{Path, PathBuf};
use std::sync::{Arc, mpsc};
use std::time::Duration;

use aryavarth::disk::sim::{CrashPlan, Reads, SimDisk};
use aryavarth::disk::{Disk, OsDisk};
use aryavarth::{
    Durability, Entry, Expected, KvStore, Maintenance, Options, SetOptions, SetOutcome, Swap,
    UnixMillis, WriteBatch,
};

use crate::operation::{Condition, Expiry, Guess, Key, Operation, Part, Value};
use crate::reference::Reference;

/// How the store of a run is opened.
#[derive(Clone, Copy, Debug)]
pub struct Setup {
    pub durability: Durability,
    pub maintenance: Maintenance,
    pub reads: Reads,
    pub segment_size: u64,
}

/// What the store runs on.
pub enum Machine {
    Simulated(SimDisk),
    Real(tempfile::TempDir),
}

impl Machine {
    /// A simulated machine.
    pub fn simulated(reads: Reads) -> Machine {
        let disk = SimDisk::with_seed(7);
        disk.set_reads(reads);
        Machine::Simulated(disk)
    }

    /// A directory of this one.
    pub fn real() -> Machine {
        Machine::Real(tempfile::tempdir().expect("there is room for temporary files"))
    }

    fn disk(&self) -> Arc<dyn Disk> {
        match self {
            Machine::Simulated(disk) => Arc::new(disk.clone()),
            Machine::Real(_) => Arc::new(OsDisk::new()),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        match self {
            Machine::Simulated(_) => Path::new("/simulated").join(name),
            Machine::Real(directory) => directory.path().join(name),
        }
    }
}

/// A store, the reference, and what they run on.
pub struct Harness {
    machine: Machine,
    setup: Setup,
    store: KvStore,
    reference: Reference,
    /// How many directories were used so far.
    directories: u32,
    now: UnixMillis,
}

impl Harness {
    /// Opens an empty store.
    pub fn open(machine: Machine, setup: Setup) -> Harness {
        let store = open(&machine, setup, &machine.path("0"));
        let now = machine.disk().wall_clock();
        Harness { machine, setup, store, reference: Reference::default(), directories: 1, now }
    }

    /// Performs an operation and compares.
    pub fn perform(&mut self, operation: &Operation) {
        self.now = self.machine.disk().wall_clock();
        match operation {
            Operation::Set(key, value) => {
                self.store.set(key.bytes(), value.bytes()).unwrap();
                self.reference.set(key.bytes(), value.bytes(), None);
                self.compare_key(*key);
            }
            Operation::SetWith(key, value, condition, expiry) => {
                self.set_with(*key, *value, *condition, *expiry);
                self.compare_key(*key);
            }
            Operation::Remove(key) => {
                let was_there = self.reference.get(&key.bytes(), self.now).is_some();
                assert_eq!(self.store.remove(key.bytes()).unwrap(), was_there);
                if was_there {
                    self.reference.remove(&key.bytes());
                }
                self.compare_key(*key);
            }
            Operation::Swap(key, guess, value) => {
                self.swap(*key, *guess, *value);
                self.compare_key(*key);
            }
            Operation::Batch(parts) => {
                let outcome = self.store.write(&self.batch(parts)).unwrap();
                self.apply(parts);
                assert_eq!(outcome, self.reference.newest());
                self.compare();
            }
            Operation::Submit(parts) => {
                let (sender, receiver) = mpsc::channel();
                let done = move |outcome| sender.send(outcome).expect("somebody waits for it");
                self.store.submit(&self.batch(parts), done);
                let outcome = receiver.recv().unwrap().unwrap();
                self.apply(parts);
                assert_eq!(outcome, self.reference.newest());
                self.compare();
            }
            Operation::Get(key) => self.compare_key(*key),
            Operation::Iterate => self.compare(),
            Operation::IteratePrefix => self.compare_prefix(),
            Operation::Export => self.compare_export(),
            Operation::Checkpoint => self.store.checkpoint().unwrap(),
            Operation::Compact => {
                self.store.compact().unwrap();
                let live = self.reference.live(self.now).len() as u64;
                assert_eq!(self.store.len(), live, "compaction notices all that has expired");
                self.compare();
            }
            Operation::Backup => self.backup(),
            Operation::Sync => self.store.sync().unwrap(),
            Operation::Verify => self.verify(),
            Operation::Wait(millis) => self.wait(*millis),
            Operation::Reopen => self.reopen(),
            Operation::Kill => self.kill(),
            Operation::PowerCut => self.power_cut(),
        }
    }

    // --- writing ---

    fn expires_at(&self, expiry: Expiry) -> Option<UnixMillis> {
        match expiry {
            Expiry::Never => None,
            Expiry::AfterMillis(millis) => Some(UnixMillis(self.now.0 + self.whole(millis))),
            Expiry::AlreadyPast => Some(UnixMillis(1)),
            Expiry::InTheFarFuture => Some(UnixMillis(u64::MAX)),
        }
    }

    /// The real clock does not stand still: there, what does not expire at once does so in an hour.
    fn whole(&self, millis: u64) -> u64 {
        match self.machine {
            Machine::Simulated(_) => millis,
            Machine::Real(_) => millis.min(1) * 3_600_000,
        }
    }

    fn set_with(&mut self, key: Key, value: Value, condition: Condition, expiry: Expiry) {
        let options = SetOptions::new();
        let (options, expires_at) = match (expiry, &self.machine) {
            // Through the duration where the clock stands still, so that the sum is known.
            (Expiry::AfterMillis(millis), Machine::Simulated(_)) => {
                (options.expire_in(Duration::from_millis(millis)), self.expires_at(expiry))
            }
            _ => match self.expires_at(expiry) {
                Some(at) => (options.expire_at(at), Some(at)),
                None => (options, None),
            },
        };
        let is_there = self.reference.get(&key.bytes(), self.now).is_some();
        let (options, holds) = match condition {
            Condition::Always => (options, true),
            Condition::IfAbsent => (options.only_if_absent(), !is_there),
            Condition::IfPresent => (options.only_if_present(), is_there),
        };
        let outcome = self.store.set_with(key.bytes(), value.bytes(), options).unwrap();
        let expected = if holds {
            SetOutcome::Written(self.reference.set(key.bytes(), value.bytes(), expires_at))
        } else {
            SetOutcome::Declined
        };
        assert_eq!(outcome, expected);
    }

    fn swap(&mut self, key: Key, guess: Guess, new: Option<Value>) {
        let bytes = key.bytes();
        let current = self.reference.get(&bytes, self.now).cloned();
        let value = current.as_ref().map_or_else(Vec::new, |entry| entry.value.clone());
        let version = current.as_ref().map_or(self.reference.newest(), |entry| entry.version);
        let other = [&value[..], b"?"].concat();
        let (expected, holds) = match guess {
            Guess::Absent => (Expected::Absent, current.is_none()),
            Guess::CurrentValue => (Expected::Value(&value), current.is_some()),
            Guess::OtherValue => (Expected::Value(&other), false),
            Guess::CurrentVersion => (Expected::Version(version), current.is_some()),
            Guess::OtherVersion => (Expected::Version(version.next()), false),
        };
        let new = new.map(Value::bytes);
        let outcome = self.store.compare_and_swap(&bytes, expected, new.as_deref()).unwrap();
        let expected = match (holds, new) {
            (false, _) => Swap::Mismatch,
            (true, Some(value)) => Swap::Swapped(self.reference.set(bytes, value, None)),
            (true, None) => Swap::Swapped(self.reference.remove(&bytes)),
        };
        assert_eq!(outcome, expected);
    }

    fn batch(&self, parts: &[Part]) -> WriteBatch {
        let mut batch = WriteBatch::new();
        for part in parts {
            match part {
                Part::Set(key, value, expiry) => match self.expires_at(*expiry) {
                    Some(at) => batch.set_expiring(key.bytes(), value.bytes(), at),
                    None => batch.set(key.bytes(), value.bytes()),
                },
                Part::Remove(key) => batch.remove(key.bytes()),
            };
        }
        batch
    }

    fn apply(&mut self, parts: &[Part]) {
        for part in parts {
            match part {
                Part::Set(key, value, expiry) => {
                    let expires_at = self.expires_at(*expiry);
                    self.reference.set(key.bytes(), value.bytes(), expires_at);
                }
                Part::Remove(key) => {
                    self.reference.remove(&key.bytes());
                }
            }
        }
    }

    fn wait(&mut self, millis: u64) {
        if let Machine::Simulated(disk) = &self.machine {
            disk.advance(Duration::from_millis(millis));
            self.now = disk.wall_clock();
            self.compare();
        }
    }

    // --- closing and crashing ---

    fn reopen(&mut self) {
        let directory = self.store.directory().to_owned();
        self.store.clone().close().unwrap();
        self.store = open(&self.machine, self.setup, &directory);
        self.compare_all();
    }

    /// The process dies: what it had written stays.
    fn kill(&mut self) {
        if let Machine::Simulated(disk) = &self.machine {
            let image = disk.crashed_image(CrashPlan::KillProcess);
            return self.continue_on(image);
        }
        if self.setup.maintenance == Maintenance::Background {
            // Its threads go on, so a copy of its files would be of no single moment.
            return self.reopen();
        }
        // What a killed process leaves is what others see of its files.
        let (from, to) = (self.store.directory().to_owned(), self.new_directory());
        copy_directory(&from, &to);
        self.store = open(&self.machine, self.setup, &to);
        self.compare_all();
    }

    /// The power is cut: what was synced stays.
    fn power_cut(&mut self) {
        if self.setup.durability != Durability::Always {
            self.store.sync().unwrap();
        }
        if let Machine::Simulated(disk) = &self.machine {
            let image = disk.crashed_image(CrashPlan::LoseUnsynced);
            self.continue_on(image);
        }
    }

    fn continue_on(&mut self, image: SimDisk) {
        let directory = self.store.directory().to_owned();
        self.machine = Machine::Simulated(image);
        self.store = open(&self.machine, self.setup, &directory);
        self.compare_all();
    }

    fn new_directory(&mut self) -> PathBuf {
        self.directories += 1;
        self.machine.path(&self.directories.to_string())
    }

    fn backup(&mut self) {
        let directory = self.new_directory();
        self.store.backup(&directory).unwrap();
        self.compare();
        let backup = open(&self.machine, self.setup, &directory);
        assert_eq!(contents(&backup), self.reference.live(self.now));
        // Neither is part of the other.
        backup.set("only in the backup", "1").unwrap();
        backup.compact().unwrap();
        backup.close().unwrap();
        self.compare_all();
    }

    // --- comparing ---

    fn compare_key(&self, key: Key) {
        let bytes = key.bytes();
        let expected = self.reference.get(&bytes, self.now);
        assert_eq!(self.store.get_entry(&bytes).unwrap().as_ref(), expected, "{key:?}");
        let value = expected.map(|entry| entry.value.clone());
        assert_eq!(self.store.contains(&bytes).unwrap(), value.is_some());
        assert_eq!(self.store.get(&bytes).unwrap(), value);
    }

    fn compare(&self) {
        let live = self.reference.live(self.now);
        assert_eq!(contents(&self.store), live);
        let keys = live.len() as u64..=self.reference.most_keys();
        assert!(keys.contains(&self.store.len()), "{} is not in {keys:?}", self.store.len());
        let stats = self.store.stats();
        assert!(stats.stale_bytes <= stats.log_bytes, "{stats:?}");
        if let (Some(bytes), Maintenance::Manual) =
            (self.reference.record_bytes(), self.setup.maintenance)
        {
            assert_eq!(stats.live_bytes, bytes, "{stats:?}");
        }
    }

    fn compare_prefix(&self) {
        let keys = self.store.iter_prefix("even/").map(|entry| entry.unwrap().key);
        let mut keys: Vec<_> = keys.collect();
        keys.sort();
        let expected = self.reference.live(self.now).into_iter().map(|entry| entry.key);
        let expected: Vec<_> = expected.filter(|key| key.starts_with(b"even/")).collect();
        assert_eq!(keys, expected);
    }

    fn compare_export(&self) {
        let exported = self.store.export().unwrap().map(|entry| entry.unwrap());
        assert_eq!(exported.collect::<Vec<_>>(), self.reference.by_version(self.now));
    }

    fn verify(&self) {
        let report = self.store.verify(|_| {}).unwrap();
        assert!(report.is_intact(), "{report:?}");
    }

    fn compare_all(&self) {
        self.compare();
        self.compare_export();
        self.verify();
    }
}

fn open(machine: &Machine, setup: Setup, directory: &Path) -> KvStore {
    let options = Options::tiny()
        .durability(setup.durability)
        .maintenance(setup.maintenance)
        .segment_size(setup.segment_size)
        .disk(machine.disk());
    KvStore::open_with(directory, options).unwrap()
}

fn contents(store: &KvStore) -> Vec<Entry> {
    let mut entries: Vec<_> = store.iter().map(|entry| entry.unwrap()).collect();
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    entries
}

fn copy_directory(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let (source, target) = {
            let entry = entry.unwrap();
            (entry.path(), to.join(entry.file_name()))
        };
        if source.is_dir() {
            copy_directory(&source, &target);
        } else {
            std::fs::copy(&source, &target).unwrap();
        }
    }
}
