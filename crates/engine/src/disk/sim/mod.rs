//! A simulated machine: it knows what was synced, crashes and fails where it is told to.
//!
//! It is the judge of "no acknowledged write is lost", so here is what it does and what not.
//!
//! # What a crash may leave
//! ```text
//!  live      what calls see now            names ──▶ files ──▶ bytes
//!  unsynced  changes since, in order       write 1, name 2, write 3, resize 4, ...
//!  durable   what was synced               names ──▶ files ──▶ bytes
//!
//!  after a power cut:     durable + any part of unsynced         (CrashPlan says which)
//!  after a killed process: live, and unsynced is still unsynced
//! ```
//!
//! - [`DiskFile::sync`] makes the bytes and the length of that file
//!   durable, and nothing else: not its name, not another file. A file whose name was never synced
//!   may be gone with all its synced bytes.
//! - [`Disk::sync_directory`] makes the creations, removals, renames and links in that directory
//!   durable, and no file's bytes. A rename between two directories is one change, durable once
//!   both were synced; until then a crash undoes or keeps all of it. So is that of a directory, with all names below it.
//! - Unsynced changes survive or vanish one by one, in any combination: a later write may survive
//!   an earlier one, a name the bytes it was meant for, a removal the rename that preceded it.
//! - An unsynced write may be torn: cut short at any byte, or kept in some of its 512-byte sectors
//!   and not in others. Each byte is old or new, never garbage, and those synced before are never
//!   harmed.
//! - A write that survives beyond the length that survives is invisible, as on a real file system.
//! - Two names of one file share its bytes, before and after.
//! - Directories are durable once [`Disk::create_directory`] returned, as on the real disk of this
//!   crate.
//!
//! # What may fail
//! Each call that reaches the device has a number, from 1; [`SimDisk::trace`] lists them. At a
//! chosen number the machine stops ([`SimDisk::crash_at`]) or the call fails
//! ([`SimDisk::fail_at`]). A failed sync makes nothing durable. With [`FailedSync::Dropped`] it
//! also takes the changes for clean, as Linux does: a later sync that succeeds does not save them,
//! though until then a crash may. Space can be limited ([`SimDisk::set_capacity`]), parts of a
//! file made unreadable ([`SimDisk::break_media`]) or silently changed ([`SimDisk::flip_bit`] and
//! its like).
//!
//! # What it does not do
//! It does not lose what was synced (a disk that lies) unless told to by a corrupting call, evicts
//! no clean page, and keeps no time but what [`SimDisk::advance`] adds. A reader that races a
//! writer for the same bytes is not found out here.
//!
//! Runs are deterministic as far as the caller is: the same calls in the same order give the same
//! trace, the same random numbers and the same images.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Access, Disk, DiskFile, DiskLock, LockError};
use crate::ids::UnixMillis;

mod corrupt;
mod crash;
mod fault;
mod file;
mod names;
mod random;
mod state;

pub use crash::CrashPlan;
pub use fault::{Call, CallKind, FailedSync, Fault};

use fault::{Calls, Verdict, crashed};
use file::SimFile;
use random::Random;
use state::{Change, State};

/// The process id found in every lock file here.
const PROCESS: u32 = 1;

/// How a read hands out its bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Reads {
    /// Borrowed where they can be: from files opened read-only and not changed since.
    #[default]
    Borrowed,
    /// Always copied, as from a file system without mappings.
    Copied,
}

/// A simulated machine. Clones are the same machine.
#[derive(Clone, Debug, Default)]
pub struct SimDisk {
    machine: Arc<Mutex<Machine>>,
}

#[derive(Debug, Default)]
struct Machine {
    state: State,
    calls: Calls,
    reads: Reads,
    random: Random,
    monotonic: Duration,
    wall_clock: WallClock,
}

#[derive(Clone, Copy, Debug)]
struct WallClock(UnixMillis);

impl Default for WallClock {
    /// Some moment in 2023: late enough that earlier ones exist.
    fn default() -> WallClock {
        WallClock(UnixMillis(1_700_000_000_000))
    }
}

impl SimDisk {
    /// An empty machine without faults, with a terabyte of space.
    pub fn new() -> SimDisk {
        SimDisk::default()
    }

    /// The same with other random numbers.
    pub fn with_seed(seed: u64) -> SimDisk {
        let disk = SimDisk::new();
        disk.lock_machine().random = Random::new(seed);
        disk
    }

    /// How many calls have reached the device.
    pub fn calls(&self) -> u64 {
        self.lock_machine().calls.count()
    }

    /// All of them, in order.
    pub fn trace(&self) -> Vec<Call> {
        self.lock_machine().calls.trace().to_vec()
    }

    /// Stops the machine at call `call`: it and all later ones fail and do nothing.
    pub fn crash_at(&self, call: u64) {
        self.crash_during_write(call, 0);
    }

    /// Stops the machine at call `call`. If that is a write, its first `bytes` bytes are done, not
    /// synced.
    pub fn crash_during_write(&self, call: u64, bytes: usize) {
        self.lock_machine().calls.crash_at(call, bytes);
    }

    /// Whether the machine has stopped.
    pub fn is_crashed(&self) -> bool {
        self.lock_machine().calls.is_crashed()
    }

    /// Makes call `call` fail. A fault that does not suit the kind of the call is a plain error.
    pub fn fail_at(&self, call: u64, fault: Fault) {
        self.lock_machine().calls.fail_at(call, fault);
    }

    /// Makes the next call of this kind fail, whatever its number.
    pub fn fail_next(&self, kind: CallKind, fault: Fault) {
        self.lock_machine().calls.fail_next(kind, fault);
    }

    /// Limits the bytes of all files together, including removed ones that are still open.
    pub fn set_capacity(&self, bytes: u64) {
        self.lock_machine().state.capacity = bytes;
    }

    /// Sets how reads hand out their bytes.
    pub fn set_reads(&self, reads: Reads) {
        self.lock_machine().reads = reads;
    }

    /// Moves both clocks forward.
    pub fn advance(&self, by: Duration) {
        let mut machine = self.lock_machine();
        machine.monotonic += by;
        machine.wall_clock.0.0 += u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
    }

    /// Sets the wall clock, forward or back. The monotonic one stays.
    pub fn set_wall_clock(&self, now: UnixMillis) {
        self.lock_machine().wall_clock = WallClock(now);
    }

    /// How many changes a power cut could undo now.
    pub fn unsynced(&self) -> usize {
        self.lock_machine().state.unsynced().len()
    }

    /// How many of those would take bytes away that were written, or names: all but changes of a file's
    /// length.
    pub fn unsynced_writes(&self) -> usize {
        let machine = self.lock_machine();
        let changes = machine.state.unsynced().iter().map(|unsynced| &unsynced.change);
        changes.filter(|change| !matches!(change, Change::Resize { .. })).count()
    }

    /// The crashes worth trying at this point: see [`CrashPlan`].
    pub fn plans(&self) -> Vec<CrashPlan> {
        crash::plans(self.lock_machine().state.unsynced())
    }

    /// The machine as found after a crash: same files as far as `plan` kept them, same clocks,
    /// settings and broken media; no faults planned, no locks, no calls counted. This one is not
    /// changed.
    pub fn crashed_image(&self, plan: CrashPlan) -> SimDisk {
        let machine = self.lock_machine();
        let image = Machine {
            state: machine.state.after(plan),
            calls: Calls::default(),
            reads: machine.reads,
            random: machine.random.clone(),
            monotonic: machine.monotonic,
            wall_clock: machine.wall_clock,
        };
        SimDisk { machine: Arc::new(Mutex::new(image)) }
    }

    fn lock_machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a call and does it, unless it is to fail.
    fn call<T>(
        &self,
        kind: CallKind,
        path: &Path,
        action: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        let mut machine = self.lock_machine();
        match machine.calls.begin(kind, path) {
            Verdict::Proceed => action(&mut machine.state),
            Verdict::Fail(fault) => Err(fault.error()),
            Verdict::Crash { .. } => Err(crashed()),
        }
    }
}

impl Disk for SimDisk {
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        let path = normal(path);
        let opened = self.call(CallKind::Open, &path, |state| state.open(&path, access))?;
        Ok(Arc::new(SimFile::new(self.clone(), &path, access, opened)))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (normal(from), normal(to));
        self.call(CallKind::Rename, &from, |state| state.rename(&from, &to))
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        self.call(CallKind::Remove, &path, |state| state.remove(&path))
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let (from, to) = (normal(from), normal(to));
        self.call(CallKind::HardLink, &from, |state| state.hard_link(&from, &to))
    }

    fn create_directory(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        self.call(CallKind::CreateDirectory, &path, |state| state.create_directory(&path))
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let path = normal(path);
        self.call(CallKind::List, &path, |state| state.list(&path))
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        let path = normal(path);
        let mut machine = self.lock_machine();
        match machine.calls.begin(CallKind::SyncDirectory, &path) {
            Verdict::Proceed => machine.state.sync_directory(&path),
            Verdict::Fail(fault) => {
                if fault == Fault::SyncFails(FailedSync::Dropped) {
                    machine.state.abandon_names(&path);
                }
                Err(fault.error())
            }
            Verdict::Crash { .. } => Err(crashed()),
        }
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, LockError> {
        let path = normal(path);
        let taken = self.call(CallKind::Lock, &path, |state| state.lock(&path));
        if !taken.map_err(LockError::Io)? {
            return Err(LockError::Held(Some(PROCESS)));
        }
        Ok(Box::new(SimLock { disk: self.clone(), path }))
    }

    fn free_space(&self, _path: &Path) -> io::Result<u64> {
        Ok(self.lock_machine().state.free_space())
    }

    fn wall_clock(&self) -> UnixMillis {
        self.lock_machine().wall_clock.0
    }

    fn monotonic(&self) -> Duration {
        self.lock_machine().monotonic
    }

    fn random(&self) -> u64 {
        self.lock_machine().random.next()
    }
}

#[derive(Debug)]
struct SimLock {
    disk: SimDisk,
    path: PathBuf,
}

impl DiskLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        self.disk.lock_machine().state.unlock(&self.path);
    }
}

/// One spelling for each path.
fn normal(path: &Path) -> PathBuf {
    path.components().collect()
}

#[cfg(test)]
mod tests;
