//! Stops the machine at every call of a workload and tries everything a crash may leave.
//!
//! ```text
//!  run 0:  all the calls, 1 … N
//!  run k:  calls 1 … k-1, then the crash ─▶ image of each plan ─▶ reopened ─▶ one of the allowed
//!                                                    └─ crash again while it is reopened
//! ```
//!
//! An image is reopened once, however many crashes lead to it; what is found is then compared with
//! what each of them allows.

use std::collections::HashMap;
use std::ops::RangeInclusive;

use aryavarth::disk::Disk;
use aryavarth::disk::sim::{Call, CallKind, CrashPlan, SimDisk};
use aryavarth::{Durability, UnixMillis};

use crate::common::model::{Bytes, Contents, History};
use crate::common::observe::Depth;
use crate::common::run::{Progress, run};
use crate::common::{Context, is_exhaustive, observe};

/// What was found in an image.
#[derive(Clone, Debug)]
struct Found {
    contents: Contents,
    backups: Vec<(&'static str, Option<Contents>)>,
}

/// A disk as a workload finds it at its beginning.
pub type MakeDisk = fn() -> SimDisk;

/// An enumeration on its way.
pub struct EveryCall<'a> {
    history: &'a History,
    durability: Durability,
    make_disk: MakeDisk,
    /// One in so many images is crashed again while it is reopened.
    again: u128,
    /// Checks of the raw image, before anybody opens it.
    inspect: fn(&SimDisk),
    keys: Vec<Bytes>,
    found: HashMap<u128, Found>,
    /// Images looked at, counting those seen before.
    pub images: u64,
}

impl<'a> EveryCall<'a> {
    /// All crashes of `history` on a disk that `make_disk` makes.
    pub fn new(history: &'a History, durability: Durability, make_disk: MakeDisk) -> EveryCall<'a> {
        EveryCall {
            history,
            durability,
            make_disk,
            again: if is_exhaustive() { 10 } else { 40 },
            inspect: |_| {},
            keys: history.keys(),
            found: HashMap::new(),
            images: 0,
        }
    }

    /// Has `inspect` look at every image before it is opened, and after.
    pub fn inspect_with(mut self, inspect: fn(&SimDisk)) -> EveryCall<'a> {
        self.inspect = inspect;
        self
    }

    /// Tries them all.
    pub fn run(mut self) {
        let disk = (self.make_disk)();
        let (progress, store) = run(self.history, &disk, self.durability);
        assert_eq!(progress.acknowledged, self.history.steps.len());
        drop(store);
        let trace = disk.trace();
        // A crash before a read leaves what one before the next change leaves, and promises less.
        for call in trace.iter().filter(|call| changes_disk(call)) {
            self.crash_before(call);
            if call.kind == CallKind::Write {
                self.kill_within(call);
            }
        }
        let end = Call { number: disk.calls() + 1, ..trace[trace.len() - 1].clone() };
        for plan in plans(&disk) {
            self.check(&disk, &end, plan, &progress);
        }
        let (images, distinct) = (self.images, self.found.len());
        assert!(images > trace.len() as u64 / 10, "there was something to lose");
        eprintln!("{} calls, {images} images, {distinct} distinct", trace.len());
    }

    /// The crash at `call`, of which nothing is done.
    fn crash_before(&mut self, call: &Call) {
        let disk = (self.make_disk)();
        disk.crash_at(call.number);
        let (progress, store) = run(self.history, &disk, self.durability);
        drop(store);
        assert!(disk.is_crashed());
        for plan in plans(&disk) {
            self.check(&disk, call, plan, &progress);
        }
    }

    /// The process is killed while it writes: the first bytes are with the system.
    fn kill_within(&mut self, call: &Call) {
        for torn in &WRITE_TEARS {
            let disk = (self.make_disk)();
            disk.crash_during_write(call.number, *torn);
            let (progress, store) = run(self.history, &disk, self.durability);
            drop(store);
            assert!(disk.is_crashed());
            self.check(&disk, call, CrashPlan::KillProcess, &progress);
        }
    }

    /// One image: what is found in it must be allowed.
    fn check(&mut self, disk: &SimDisk, call: &Call, plan: CrashPlan, progress: &Progress) {
        let _context = Context(|| format!("crash at {call:?}, {plan:?}, {progress:?}"));
        self.images += 1;
        let image = disk.crashed_image(plan);
        let is_killed = plan == CrashPlan::KillProcess;
        let allowed = if is_killed { progress.after_kill() } else { progress.after_power_cut() };
        let id =
            observe::fingerprint(&image) ^ u128::from(is_killed) ^ (image.unsynced() as u128) << 1;
        if !self.found.contains_key(&id) {
            let is_torn = matches!(plan, CrashPlan::TearLast(_));
            let depth =
                if is_torn && !id.is_multiple_of(8) { Depth::Brief } else { Depth::Thorough };
            let found = self.explore(&image, depth);
            if id.is_multiple_of(self.again) {
                // What nobody has seen since the process was killed, a power cut may still take.
                let steps = if is_killed { progress.after_power_cut() } else { allowed.clone() };
                self.crash_again(&image, steps);
            }
            self.found.insert(id, found);
        }
        let found = &self.found[&id];
        let now = image.wall_clock();
        self.assert_allowed(&found.contents, allowed, now);
        for (directory, contents) in &found.backups {
            let completed = progress.backups.iter().find(|(name, _)| name == directory);
            match (completed, contents) {
                (Some((_, steps)), Some(contents)) => {
                    let expected = self.history.after[*steps].visible(now);
                    assert_eq!(contents.visible(now), expected, "backup {directory}");
                }
                (Some(_), None) => panic!("the backup {directory} does not open"),
                (None, _) => {}
            }
        }
    }

    /// Reopens an image that was not seen before.
    fn explore(&self, image: &SimDisk, depth: Depth) -> Found {
        (self.inspect)(image);
        let backups = ["/first", "/second"].map(|directory| {
            let copy = image.crashed_image(CrashPlan::KillProcess);
            (directory, observe::backup(&copy, directory, &self.keys))
        });
        let copy = image.crashed_image(CrashPlan::KillProcess);
        let contents = observe::recover(&copy, self.durability, &self.keys, depth);
        (self.inspect)(&copy);
        Found { contents, backups: backups.into() }
    }

    /// Crashes at every call of the reopening, and looks what the next one finds.
    fn crash_again(&self, image: &SimDisk, steps: RangeInclusive<usize>) {
        let whole = image.crashed_image(CrashPlan::KillProcess);
        drop(observe::open(&whole, self.durability));
        for call in whole.trace().iter().filter(|call| changes_disk(call)) {
            let disk = image.crashed_image(CrashPlan::KillProcess);
            disk.crash_at(call.number);
            drop(crate::common::run::reopen(&disk, self.durability));
            for plan in plans(&disk) {
                let _context = Context(|| format!("again at {call:?}, {plan:?}"));
                let image = disk.crashed_image(plan);
                (self.inspect)(&image);
                let found = observe::recover(&image, self.durability, &self.keys, Depth::Brief);
                self.assert_allowed(&found, steps.clone(), image.wall_clock());
            }
        }
    }

    fn assert_allowed(&self, found: &Contents, steps: RangeInclusive<usize>, now: UnixMillis) {
        let found = found.visible(now);
        let after = |steps: usize| self.history.after[steps].visible(now);
        assert!(
            steps.clone().any(|steps| after(steps) == found),
            "found    {found:?}\nexpected {:?}\nor       {:?}",
            after(*steps.start()),
            after(*steps.end()),
        );
    }
}

/// Every plan of the simulated disk; of the many ways to tear a long write, a spread.
fn plans(disk: &SimDisk) -> Vec<CrashPlan> {
    let mut plans = disk.plans();
    let is_tear = |plan: &CrashPlan| matches!(plan, CrashPlan::TearLast(_));
    let tears = plans.iter().filter(|plan| is_tear(plan)).count();
    let every = if tears <= FEW_TEARS || is_exhaustive() { 1 } else { tears.div_ceil(SPREAD) };
    let mut tear = 0;
    plans.retain(|plan| {
        tear += usize::from(is_tear(plan));
        !is_tear(plan) || tear % every == 0
    });
    plans
}

/// Up to so many ways to tear a write, all are tried: a short one is torn at every byte.
const FEW_TEARS: usize = 260;
/// Of more, so many.
const SPREAD: usize = 100;
/// Bytes of a write that are done when the process is killed.
const WRITE_TEARS: [usize; 9] = [1, 4, 27, 28, 36, 64, 100, 511, 1000];

/// Whether a call can change what a crash leaves.
fn changes_disk(call: &Call) -> bool {
    !matches!(call.kind, CallKind::Read | CallKind::ReadCopy | CallKind::List)
}
