//! Writes that come in the middle of compaction and checkpoints, before each of their reads and writes.
//!
//! A disk that stands between the store and the simulated one lets a writer in just before a call is
//! done: the one moment at which a copy is made and not yet pointed at, for example.

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aryavarth::disk::sim::{CallKind, CrashPlan, Fault, SimDisk};
use aryavarth::disk::{Access, Disk, DiskFile, DiskLock, LockError};
use aryavarth::{Durability, KvStore, Options, UnixMillis};

use crate::common::model::{Bytes, Contents};
use crate::common::workloads::{key, value};
use crate::common::{Context, STORE, observe};

type Meddler = Box<dyn FnOnce() + Send>;

/// Lets a writer in before one of the calls that copy records or write a checkpoint.
#[derive(Clone, Default)]
struct Gate {
    disk: SimDisk,
    waiting: Arc<Mutex<Option<(usize, Meddler)>>>,
}

impl std::fmt::Debug for Gate {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Gate")
    }
}

impl Gate {
    /// Has `meddler` run before the call after the next `count`.
    fn let_in(&self, count: usize, meddler: impl FnOnce() + Send + 'static) {
        *self.waiting.lock().unwrap() = Some((count, Box::new(meddler)));
    }

    /// Whether it did not run, and now never will.
    fn close(&self) -> bool {
        self.waiting.lock().unwrap().take().is_some()
    }

    fn pass(&self) {
        let mut waiting = self.waiting.lock().unwrap();
        match waiting.take() {
            Some((0, meddler)) => {
                drop(waiting);
                meddler();
            }
            other => *waiting = other.map(|(count, meddler)| (count - 1, meddler)),
        }
    }
}

#[derive(Debug)]
struct GatedFile {
    gate: Gate,
    file: Arc<dyn DiskFile>,
    /// From which offset on nothing that a writer needs is locked while this file is read or written.
    open_from: u64,
}

impl GatedFile {
    fn pass(&self, offset: u64) {
        if offset >= self.open_from {
            self.gate.pass();
        }
    }
}

impl DiskFile for GatedFile {
    fn read(&self, offset: u64, length: usize) -> io::Result<Cow<'_, [u8]>> {
        self.file.read(offset, length)
    }
    fn read_copy(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.pass(offset);
        self.file.read_copy(offset, length)
    }
    fn has_faulted(&self) -> bool {
        self.file.has_faulted()
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.pass(offset);
        self.file.write_at(offset, bytes)
    }
    fn allocate(&self, length: u64) -> io::Result<()> {
        self.file.allocate(length)
    }
    fn truncate(&self, length: u64) -> io::Result<()> {
        self.file.truncate(length)
    }
    fn length(&self) -> u64 {
        self.file.length()
    }
    fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

impl Disk for Gate {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let file = self.disk.open(path, access)?;
        let name = path.to_string_lossy();
        let open_from = match () {
            () if name.contains("checkpoint") => 0,
            // The first bytes are written while the list of segments is held, and so is the manifest.
            () if name.ends_with(".log") => 1,
            () => u64::MAX,
        };
        Ok(Arc::new(GatedFile { gate: self.clone(), file, open_from }))
    }
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }
    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.hard_link(from, to)
    }
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.create_directory(path)
    }
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.disk.list(path)
    }
    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_directory(path)
    }
    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, LockError> {
        self.disk.lock(path)
    }
    fn free_space(&self, path: &Path) -> io::Result<u64> {
        self.disk.free_space(path)
    }
    fn wall_clock(&self) -> UnixMillis {
        self.disk.wall_clock()
    }
    fn monotonic(&self) -> Duration {
        self.disk.monotonic()
    }
    fn random(&self) -> u64 {
        self.disk.random()
    }
}

const KEYS: usize = 6;

/// A store with something stale in each of its segments.
fn stale_store(gate: &Gate) -> (KvStore, Contents) {
    let options = Options::tiny().disk(Arc::new(gate.clone()));
    let store = KvStore::open_with(STORE, options).unwrap();
    let mut contents = Contents::default();
    for round in 0..3 {
        for number in round..KEYS {
            let bytes = value(&format!("{round} {number}"), 600);
            store.set(key(number), &bytes).unwrap();
            contents.put(&key(number), Some(&bytes));
        }
    }
    store.remove(key(5)).unwrap();
    contents.put(&key(5), None);
    (store, contents)
}

/// Does `work` on a store with `meddler` let in before its call `count`. False if there are fewer
/// calls.
fn meddle(count: usize, write: &[(Bytes, Option<Bytes>)], work: fn(&KvStore)) -> bool {
    let gate = Gate::default();
    let (store, mut contents) = stale_store(&gate);
    let (inside, written) = (store.clone(), write.to_vec());
    gate.let_in(count, move || {
        for (key, value) in &written {
            match value {
                Some(value) => inside.set(key, value).unwrap(),
                None => drop(inside.remove(key).unwrap()),
            }
        }
    });
    work(&store);
    if gate.close() {
        return false;
    }
    for (key, value) in write {
        contents.put(key, value.as_deref());
    }
    let keys: Vec<_> = (0..KEYS).map(key).collect();
    let _context = Context(|| format!("let in before call {count}: {write:?}"));
    assert_eq!(observe::contents(&store, &keys), contents);
    for plan in gate.disk.plans() {
        let image = gate.disk.crashed_image(plan);
        let found = observe::recover(&image, Durability::Always, &keys, observe::Depth::Brief);
        assert_eq!(found, contents, "{plan:?}");
    }
    store.compact().unwrap();
    assert_eq!(observe::contents(&store, &keys), contents, "compacted once more");
    store.close().unwrap();
    let image = gate.disk.crashed_image(CrashPlan::LoseUnsynced);
    let found = observe::recover(&image, Durability::Always, &keys, observe::Depth::Thorough);
    assert_eq!(found, contents, "closed");
    true
}

fn meddle_everywhere(least: usize, work: fn(&KvStore)) {
    let all = |value: Option<&[u8]>| -> Vec<(Bytes, Option<Bytes>)> {
        (0..KEYS).map(|number| (key(number), value.map(<[u8]>::to_vec))).collect()
    };
    for write in [all(Some(b"new")), all(None)] {
        let calls = (0..).take_while(|count| meddle(*count, &write, work)).count();
        assert!(calls >= least, "{calls} calls");
    }
}

#[test]
fn writes_in_the_middle_of_compaction() {
    meddle_everywhere(4, |store| {
        store.compact().unwrap();
    });
}

#[test]
fn writes_in_the_middle_of_a_checkpoint() {
    meddle_everywhere(1, |store| store.checkpoint().unwrap());
}

#[test]
fn compaction_after_a_checkpoint_with_writes_in_its_middle() {
    meddle_everywhere(4, |store| {
        store.checkpoint().unwrap();
        store.compact().unwrap();
        store.checkpoint().unwrap();
    });
}

/// A power cut took writes that the list of segments had counted already, so that the log goes on
/// with a gap in its versions. The gap must not be taken for a loss later on.
#[test]
fn a_log_with_a_gap_in_its_versions_goes_on() {
    let gate = Gate::default();
    let options = Options::tiny().durability(Durability::Os).disk(Arc::new(gate.clone()));
    let (store, _) = stale_store(&gate);
    store.close().unwrap();
    let store = KvStore::open_with(STORE, options).unwrap();
    let inside = store.clone();
    gate.let_in(0, move || {
        inside.set("kept", "1").unwrap();
        inside.sync().unwrap();
        for number in 0..3 {
            inside.set("lost", [number]).unwrap();
        }
    });
    store.compact().unwrap();
    assert!(!gate.close(), "it was let in");
    let cut = gate.disk.crashed_image(CrashPlan::LoseUnsynced);
    drop(store);
    let open = |disk: &SimDisk| observe::open(disk, Durability::Always);
    let large = value("large", 5000);
    let whole = cut.crashed_image(CrashPlan::KillProcess);
    let store = open(&whole);
    assert_eq!((store.get("kept").unwrap().is_some(), store.get("lost").unwrap()), (true, None));
    let before = whole.calls();
    store.set("large", &large).unwrap();
    // A new segment was begun. The old one is not sealed if there is no space to note it.
    let calls = whole.trace();
    let allocations = calls.iter().filter(|call| call.kind == CallKind::Allocate);
    let mut acknowledged = 0;
    for call in allocations.filter(|call| call.number > before) {
        let disk = cut.crashed_image(CrashPlan::KillProcess);
        let store = open(&disk);
        store.get("kept").unwrap();
        store.get("lost").unwrap();
        disk.fail_at(call.number, Fault::StorageFull);
        let is_set = store.set("large", &large).is_ok();
        acknowledged += u32::from(is_set);
        let _context = Context(|| format!("{call:?} failed"));
        let again = open(&disk.crashed_image(CrashPlan::LoseUnsynced));
        assert_eq!(again.get("large").unwrap().is_some(), is_set);
        assert!(again.get("kept").unwrap().is_some());
    }
    assert!(acknowledged > 0, "noting that a segment is sealed can wait");
}
