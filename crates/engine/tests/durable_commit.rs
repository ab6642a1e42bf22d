//! Group commit: one sync for all who wait, and nobody is told anything before it.
//!
//! The store runs on the simulated disk behind a gate: syncs of the log are counted, and while the
//! gate is shut they wait. So the tests see the moment at which everything is written and nothing
//! synced, without measuring time.

// Also in what the tests share.
#![allow(clippy::unwrap_used)]

use std::borrow::Cow;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, mpsc};
use std::time::Duration;

use aryavarth::disk::sim::{CallKind, CrashPlan, FailedSync, Fault, SimDisk};
use aryavarth::disk::{Access, Disk, DiskFile, DiskLock, LockError};
use aryavarth::{
    Error, KvStore, Maintenance, Options, SetOptions, SetOutcome, UnixMillis, WriteBatch,
};

const THREADS: u64 = 8;

// --- the disk ---

/// Where syncs of the log wait while it is shut.
#[derive(Debug, Default)]
struct Gate {
    is_shut: Mutex<bool>,
    opened: Condvar,
    syncs: AtomicU64,
}

impl Gate {
    fn set(&self, is_shut: bool) {
        *self.is_shut.lock().unwrap() = is_shut;
        self.opened.notify_all();
    }

    fn pass(&self) {
        let is_shut = self.is_shut.lock().unwrap();
        drop(self.opened.wait_while(is_shut, |is_shut| *is_shut).unwrap());
        self.syncs.fetch_add(1, Ordering::SeqCst);
    }

    fn syncs(&self) -> u64 {
        self.syncs.load(Ordering::SeqCst)
    }
}

#[derive(Clone, Debug)]
struct GatedDisk {
    inner: SimDisk,
    gate: Arc<Gate>,
}

#[derive(Debug)]
struct GatedFile {
    inner: Arc<dyn DiskFile>,
    /// None if it is no file of the log.
    gate: Option<Arc<Gate>>,
}

impl Disk for GatedDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let is_log = path.extension().is_some_and(|extension| extension == "log");
        let gate = is_log.then(|| Arc::clone(&self.gate));
        Ok(Arc::new(GatedFile { inner: self.inner.open(path, access)?, gate }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.inner.remove(path)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.inner.hard_link(from, to)
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        self.inner.create_directory(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.inner.list(path)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        self.inner.sync_directory(path)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, LockError> {
        self.inner.lock(path)
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        self.inner.free_space(path)
    }

    fn wall_clock(&self) -> UnixMillis {
        self.inner.wall_clock()
    }

    fn monotonic(&self) -> Duration {
        self.inner.monotonic()
    }

    fn random(&self) -> u64 {
        self.inner.random()
    }
}

impl DiskFile for GatedFile {
    fn read(&self, offset: u64, length: usize) -> io::Result<Cow<'_, [u8]>> {
        self.inner.read(offset, length)
    }

    fn read_copy(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.inner.read_copy(offset, length)
    }

    fn has_faulted(&self) -> bool {
        self.inner.has_faulted()
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.inner.write_at(offset, bytes)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.inner.allocate(length)
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.inner.truncate(length)
    }

    fn length(&self) -> u64 {
        self.inner.length()
    }

    fn sync(&self) -> io::Result<()> {
        if let Some(gate) = &self.gate {
            gate.pass();
        }
        self.inner.sync()
    }
}

// --- the store on it ---

struct Bench {
    disk: GatedDisk,
    store: KvStore,
}

impl Bench {
    fn new(maintenance: Maintenance) -> Bench {
        let disk = GatedDisk { inner: SimDisk::new(), gate: Arc::default() };
        let options = Options::default().maintenance(maintenance).disk(Arc::new(disk.clone()));
        let store = KvStore::open_with("/store", options).unwrap();
        // The first write makes the segment; what follows is the usual case.
        store.set("first", "1").unwrap();
        Bench { disk, store }
    }

    fn gate(&self) -> &Gate {
        &self.disk.gate
    }

    /// Waits until callers have written so many bytes of keys and values in all.
    fn wait_for_bytes(&self, bytes: u64) {
        while self.store.stats().user_bytes_written < bytes {
            std::thread::yield_now();
        }
    }

    fn bytes(&self) -> u64 {
        self.store.stats().user_bytes_written
    }

    /// What a power cut would leave.
    fn after_power_cut(&self) -> KvStore {
        survivors_of(&self.disk)
    }
}

fn survivors_of(disk: &GatedDisk) -> KvStore {
    let image = disk.inner.crashed_image(CrashPlan::LoseUnsynced);
    KvStore::open_with("/store", Options::tiny().disk(Arc::new(image))).unwrap()
}

/// Long enough for a thread that does not wait to be done; too short only makes a test see less.
fn give_time() {
    std::thread::sleep(Duration::from_millis(30));
}

#[test]
fn writers_that_wait_share_one_sync() {
    const ROUNDS: u64 = 20;
    for maintenance in [Maintenance::Background, Maintenance::Manual] {
        let bench = Bench::new(maintenance);
        let before = bench.gate().syncs();
        for round in 0..ROUNDS {
            bench.gate().set(true);
            let start = bench.bytes();
            std::thread::scope(|scope| {
                for thread in 0..THREADS {
                    let store = &bench.store;
                    scope.spawn(move || store.set([thread as u8], [round as u8]).unwrap());
                }
                bench.wait_for_bytes(start + 2 * THREADS);
                bench.gate().set(false);
            });
        }
        // The sync of the first writer, and one for all who came while it waited.
        let syncs = bench.gate().syncs() - before;
        assert!(syncs <= 2 * ROUNDS, "{syncs} syncs for {} writes", ROUNDS * THREADS);
        let store = bench.after_power_cut();
        for thread in 0..THREADS {
            assert_eq!(store.get([thread as u8]).unwrap().unwrap(), [ROUNDS as u8 - 1]);
        }
    }
}

#[test]
fn a_write_is_neither_acknowledged_nor_seen_before_its_sync() {
    let bench = Bench::new(Maintenance::Background);
    bench.gate().set(true);
    let start = bench.bytes();
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            bench.store.set("k", "v").unwrap();
            done.store(true, Ordering::SeqCst);
        });
        bench.wait_for_bytes(start + 2);
        give_time();
        assert!(!done.load(Ordering::SeqCst), "acknowledged before it was synced");
        assert_eq!(bench.store.get("k").unwrap(), None, "read before it was synced");
        assert_eq!(bench.after_power_cut().get("k").unwrap(), None);
        bench.gate().set(false);
    });
    assert_eq!(bench.store.get("k").unwrap().unwrap(), b"v");
    assert_eq!(bench.after_power_cut().get("k").unwrap().unwrap(), b"v");
}

#[test]
fn a_submitted_batch_is_told_only_after_a_sync_that_covers_it() {
    for maintenance in [Maintenance::Background, Maintenance::Manual] {
        let bench = Bench::new(maintenance);
        let (sender, receiver) = mpsc::channel();
        if maintenance == Maintenance::Background {
            bench.gate().set(true);
        }
        for number in 0..50u64 {
            let mut batch = WriteBatch::new();
            batch.set("newest", number.to_string()).set(format!("k{number}"), "v");
            let (sender, disk, store) = (sender.clone(), bench.disk.clone(), bench.store.clone());
            bench.store.submit(&batch, move |outcome| {
                let key = format!("k{number}");
                let applied = store.contains(&key).unwrap();
                let durable = survivors_of(&disk).contains(&key).unwrap();
                sender.send((outcome.unwrap(), applied, durable)).unwrap();
            });
        }
        drop(sender);
        if maintenance == Maintenance::Background {
            give_time();
            assert!(receiver.try_recv().is_err(), "told before anything was synced");
            bench.gate().set(false);
        }
        let told: Vec<_> = receiver.iter().collect();
        assert_eq!(told.len(), 50);
        assert!(told.iter().all(|(_, applied, _)| *applied), "told before it was applied");
        assert!(told.iter().all(|(_, _, durable)| *durable), "told before it was durable");
        assert!(told.is_sorted_by_key(|(version, ..)| *version), "told out of order");
        assert_eq!(bench.store.get("newest").unwrap().unwrap(), b"49");
    }
}

#[test]
fn a_refusal_waits_for_the_write_it_rests_on() {
    let bench = Bench::new(Maintenance::Background);
    bench.gate().set(true);
    let start = bench.bytes();
    let refused = AtomicBool::new(false);
    let once = SetOptions::new().only_if_absent();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let outcome = bench.store.set_with("k", "1", once).unwrap();
            assert!(matches!(outcome, SetOutcome::Written(_)));
        });
        bench.wait_for_bytes(start + 2);
        scope.spawn(|| {
            assert_eq!(bench.store.set_with("k", "2", once).unwrap(), SetOutcome::Declined);
            refused.store(true, Ordering::SeqCst);
            assert_eq!(bench.after_power_cut().get("k").unwrap().unwrap(), b"1");
        });
        give_time();
        assert!(!refused.load(Ordering::SeqCst), "refused on the word of a write not yet durable");
        bench.gate().set(false);
    });
    assert!(refused.load(Ordering::SeqCst));
    // A removal not yet durable is as good a reason.
    bench.gate().set(true);
    let start = bench.bytes();
    std::thread::scope(|scope| {
        scope.spawn(|| assert!(bench.store.remove("k").unwrap()));
        bench.wait_for_bytes(start + 1);
        scope.spawn(|| {
            assert!(!bench.store.remove("k").unwrap());
            assert_eq!(bench.after_power_cut().get("k").unwrap(), None);
        });
        give_time();
        bench.gate().set(false);
    });
}

#[test]
fn when_the_sync_fails_nobody_of_its_group_is_told_yes_or_no() {
    let bench = Bench::new(Maintenance::Background);
    bench.gate().set(true);
    bench.disk.inner.fail_next(CallKind::Sync, Fault::SyncFails(FailedSync::Dropped));
    let start = bench.bytes();
    let once = SetOptions::new().only_if_absent();
    std::thread::scope(|scope| {
        let written = scope.spawn(|| bench.store.set_with("k", "1", once));
        bench.wait_for_bytes(start + 2);
        let refused = scope.spawn(|| bench.store.set_with("k", "2", once));
        let other = scope.spawn(|| bench.store.set("other", "3"));
        bench.wait_for_bytes(start + 2 + 6);
        give_time();
        bench.gate().set(false);
        for outcome in [written.join().unwrap(), refused.join().unwrap()] {
            assert!(matches!(outcome, Err(Error::OutcomeUnknown { .. })), "{outcome:?}");
        }
        assert!(other.join().unwrap().unwrap_err().is_outcome_unknown());
    });
    assert_eq!(bench.store.get("k").unwrap(), None);
    assert!(matches!(bench.store.set("k", "4"), Err(Error::Fenced { .. })));
    assert_eq!(bench.after_power_cut().len(), 1);
}

#[test]
fn the_order_of_the_log_is_the_order_of_effects() {
    const ROUNDS: u64 = 30;
    let bench = Bench::new(Maintenance::Background);
    let newest = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for thread in 0..THREADS {
            let (store, newest) = (&bench.store, &newest);
            scope.spawn(move || {
                for round in 0..ROUNDS {
                    let value = format!("{thread} {round}");
                    let mut batch = WriteBatch::new();
                    batch.set("shared", value.as_str());
                    let version = store.write(&batch).unwrap();
                    // Acknowledged means applied: whoever looks now sees it or a later one.
                    assert!(store.get_entry("shared").unwrap().unwrap().version >= version);
                    newest.lock().unwrap().push((version, value));
                }
            });
        }
    });
    let newest = newest.into_inner().unwrap().into_iter().max().unwrap();
    for store in [bench.store.clone(), bench.after_power_cut()] {
        let entry = store.get_entry("shared").unwrap().unwrap();
        assert_eq!((entry.version, entry.value), (newest.0, newest.1.clone().into_bytes()));
    }
}
