//! Lets each call of a workload fail in each way it can, once.

use std::io::ErrorKind;

use aryavarth::disk::Disk;
use aryavarth::disk::sim::{Call, CallKind, CrashPlan, FailedSync, Fault, SimDisk};
use aryavarth::{Durability, Error, KvStore};

use crate::common::model::{Bytes, Contents, History, Step};
use crate::common::observe::{self, Depth};
use crate::common::run::{perform, reopen};
use crate::common::workloads::{Script, maintenance};
use crate::common::{Context, STORE, logs, options};

fn new_disk() -> SimDisk {
    SimDisk::with_seed(1)
}

fn writes() -> Vec<Step> {
    let mut script = Script::new();
    script.set(1, 40).set(2, 300).set(1, 7).remove(2).batch(&[3, 4, 5], &[1], 60);
    script.set_if_absent(6, 20).step(Step::Sync);
    for number in 0..6 {
        script.set(number, 900);
    }
    script.batch(&[0, 1, 2, 3], &[4, 5], 1200).set(9, 5000).remove(3).step(Step::Reopen);
    script.set(2, 100).remove(9).batch(&[1], &[2], 10);
    script.end()
}

/// What a store may hold, as far as its answers tell.
struct Allowed {
    /// Without what is not known to have happened.
    certain: Contents,
    /// With it.
    perhaps: Option<Contents>,
}

impl Allowed {
    fn assert(&self, found: &Contents, what: &str) {
        assert!(
            *found == self.certain || Some(found) == self.perhaps.as_ref(),
            "{what}\nfound    {found:?}\nexpected {:?}\nor       {:?}",
            self.certain,
            self.perhaps,
        );
    }

    /// Now it is known.
    fn settle(&mut self, found: Contents) {
        self.assert(&found, "reopened");
        self.certain = found;
        self.perhaps = None;
    }
}

/// The ways in which a call may fail.
fn faults(kind: CallKind) -> Vec<Fault> {
    let plain = Fault::Error(ErrorKind::Other);
    match kind {
        CallKind::Write => {
            let short = [0, 1, 20, 40, 200].map(Fault::ShortWrite);
            short.into_iter().chain([Fault::DeviceError]).collect()
        }
        CallKind::Sync | CallKind::SyncDirectory => {
            vec![Fault::SyncFails(FailedSync::Dropped), Fault::SyncFails(FailedSync::Kept)]
        }
        CallKind::Allocate => vec![Fault::StorageFull, plain],
        CallKind::Open | CallKind::Rename | CallKind::CreateDirectory => {
            vec![Fault::StorageFull, plain]
        }
        CallKind::HardLink => vec![Fault::Error(ErrorKind::CrossesDevices), plain],
        CallKind::Read | CallKind::ReadCopy => vec![Fault::DeviceError],
        CallKind::Truncate | CallKind::Remove | CallKind::List | CallKind::Lock => vec![plain],
    }
}

/// A run with one fault.
struct Faulty<'a> {
    disk: SimDisk,
    history: &'a History,
    keys: Vec<Bytes>,
    call: &'a Call,
    fault: Fault,
    allowed: Allowed,
    durability: Durability,
    is_rebooted: bool,
}

impl Faulty<'_> {
    fn run(mut self) {
        let store = self.steps();
        self.check_afterwards(store);
    }

    /// Does the steps, and looks at everything after each.
    fn steps(&mut self) -> KvStore {
        let mut store = self.open();
        // Whether the fault fell into the time of the store that is open now.
        let mut is_own = !self.has_failed();
        for (index, step) in self.history.steps.iter().enumerate() {
            let what = format!("step {index}, {step:?}");
            if let Step::Reopen = step {
                let _ = store.close();
                store = self.open();
                is_own = !self.has_failed();
                continue;
            }
            self.step(&store, step, &what);
            self.check_reads(&store, &what);
            if is_own && self.has_failed() {
                self.check_fence(&store, &what);
            }
        }
        store
    }

    fn has_failed(&self) -> bool {
        self.is_rebooted || self.disk.calls() >= self.call.number
    }

    /// Opens the store; if the fault is in the way, a second time.
    ///
    /// A file system whose directory could not be synced has stopped, in its journal: the machine
    /// is started anew, without the names that were dropped.
    fn open(&mut self) -> KvStore {
        let stopped = self.call.kind == CallKind::SyncDirectory
            && self.fault == Fault::SyncFails(FailedSync::Dropped);
        if stopped && self.has_failed() && !self.is_rebooted {
            self.is_rebooted = true;
            self.disk = self.disk.crashed_image(CrashPlan::LoseUnsynced);
        }
        let store = reopen(&self.disk, self.durability).or_else(|_| {
            if stopped {
                self.is_rebooted = true;
                self.disk = self.disk.crashed_image(CrashPlan::LoseUnsynced);
            }
            reopen(&self.disk, self.durability)
        });
        let store = store.expect("the fault was there only once");
        self.allowed.settle(self.read_twice(&store));
        store
    }

    /// Everything, with a second chance for the read that fails.
    fn read_twice(&self, store: &KvStore) -> Contents {
        let mut contents = Contents::default();
        for key in &self.keys {
            let value = store.get(key).or_else(|_| store.get(key));
            contents.put(key, value.expect("the fault was there only once").as_deref());
        }
        contents
    }

    fn step(&mut self, store: &KvStore, step: &Step, what: &str) {
        let mut after = self.allowed.certain.clone();
        let writes = step.apply(&mut after, self.disk.wall_clock());
        match perform(store, &self.disk, step) {
            Ok(wrote) => {
                assert_eq!(wrote, writes, "{what}");
                assert!(!wrote || self.allowed.perhaps.is_none(), "{what}: behind the fence");
                self.allowed.certain = after;
            }
            Err(Error::OutcomeUnknown { .. }) if writes => {
                assert_eq!(self.allowed.perhaps, None, "{what}: unknown behind the fence");
                self.allowed.perhaps = Some(after);
            }
            Err(_) => {}
        }
    }

    /// Reads go on, and tell what was acknowledged. One key may be in error, if a read fails.
    fn check_reads(&self, store: &KvStore, what: &str) {
        let mut errors = 0;
        for key in &self.keys {
            match store.get(key) {
                Ok(value) => {
                    let bytes = self.allowed.certain.0.get(key).map(|value| value.bytes.clone());
                    assert_eq!(value, bytes, "{what}");
                }
                Err(_) => errors += 1,
            }
        }
        assert!(errors <= 1, "{what}: one fault, {errors} keys in error");
    }

    /// After a failed sync of the log nothing more is written; after a full disk, all goes on.
    fn check_fence(&self, store: &KvStore, what: &str) {
        let is_log = self.call.path.extension().is_some_and(|e| e == "log")
            && self.call.path.starts_with(STORE);
        let outcome = store.compare_and_swap("none", aryavarth::Expected::Absent, None);
        match (self.call.kind, self.fault) {
            (CallKind::Sync, _) if is_log => {
                assert!(matches!(outcome, Err(Error::Fenced { .. })), "{what}: {outcome:?}");
            }
            (CallKind::Allocate, Fault::StorageFull) => {
                assert!(outcome.is_ok(), "{what}: {outcome:?}");
            }
            _ => {}
        }
    }

    fn check_afterwards(&mut self, store: KvStore) {
        // The power is cut now …
        for plan in [CrashPlan::LoseUnsynced, CrashPlan::KeepAll, CrashPlan::KillProcess] {
            let image = self.disk.crashed_image(plan);
            let found = observe::recover(&image, self.durability, &self.keys, Depth::Brief);
            self.allowed.assert(&found, &format!("{plan:?}"));
        }
        // … or the store is closed.
        let _ = store.close();
        drop(self.open());
        let found = observe::recover(&self.disk, self.durability, &self.keys, Depth::Thorough);
        self.allowed.assert(&found, "reopened twice");
    }
}

fn faulty<'a>(history: &'a History, call: &'a Call, fault: Fault) -> Faulty<'a> {
    let disk = new_disk();
    disk.fail_at(call.number, fault);
    Faulty {
        disk,
        is_rebooted: false,
        history,
        keys: history.keys(),
        call,
        fault,
        allowed: Allowed { certain: Contents::default(), perhaps: None },
        durability: Durability::Always,
    }
}

fn try_all(history: &History) {
    let never = Call { number: u64::MAX, kind: CallKind::Lock, path: logs().into() };
    let mut whole = faulty(history, &never, Fault::DeviceError);
    drop(whole.steps());
    let mut tried = 0;
    for call in whole.disk.trace() {
        for fault in faults(call.kind) {
            let _context = Context(|| format!("{call:?} fails with {fault:?}"));
            faulty(history, &call, fault).run();
            tried += 1;
        }
    }
    eprintln!("{tried} faults");
    assert!(tried > 300);
}

#[test]
fn each_call_of_writes_fails() {
    try_all(&History::new(Contents::default(), writes(), new_disk().wall_clock()));
}

#[test]
fn each_call_of_maintenance_fails() {
    let mut steps = maintenance();
    // Expiry is the business of other tests; here, time stands still.
    steps.retain(|step| !matches!(step, Step::Advance(_)));
    for step in &mut steps {
        if let Step::SetExpiring(key, value, _) = step {
            *step = Step::Set(key.clone(), value.clone());
        }
    }
    try_all(&History::new(Contents::default(), steps, new_disk().wall_clock()));
}

#[test]
fn a_fence_stays_until_the_store_is_reopened() {
    let disk = new_disk();
    let store = KvStore::open_with(STORE, options(&disk, Durability::Always)).unwrap();
    store.set("a", "1").unwrap();
    disk.fail_next(CallKind::Sync, Fault::SyncFails(FailedSync::Dropped));
    assert!(matches!(store.set("a", "2"), Err(Error::OutcomeUnknown { .. })));
    assert_eq!(store.get("a").unwrap().unwrap(), b"1", "what is not durable is not shown");
    for _ in 0..3 {
        assert!(matches!(store.set("b", "1"), Err(Error::Fenced { .. })));
        assert!(matches!(store.remove("a"), Err(Error::Fenced { .. })));
        assert!(store.compact().is_err() && store.checkpoint().is_err() && store.sync().is_err());
    }
    drop(store);
    let store = reopen(&disk, Durability::Always).unwrap();
    assert!(store.get("a").unwrap().is_some());
    assert_eq!(store.get("b").unwrap(), None);
    store.set("b", "2").unwrap();
}
