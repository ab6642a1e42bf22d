//! The count of calls, and what is planned for which of them.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// A call that reached the device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its place among all calls, from 1.
    pub number: u64,
    /// What it was.
    pub kind: CallKind,
    /// The file or directory it was made on; of two, the first.
    pub path: Arc<Path>,
}

/// The calls that reach the device: those of [`Disk`](crate::disk::Disk) and
/// [`DiskFile`](crate::disk::DiskFile) of the same names. Clocks, lengths and free space do not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "named like the calls")]
pub enum CallKind {
    Open,
    Read,
    ReadCopy,
    Write,
    Allocate,
    Truncate,
    Sync,
    Rename,
    Remove,
    HardLink,
    CreateDirectory,
    List,
    SyncDirectory,
    Lock,
}

/// How a call fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// With this error, and nothing done.
    Error(io::ErrorKind),
    /// With the error of a broken device (`EIO`), and nothing done.
    DeviceError,
    /// A write does only its first bytes, this many, then fails.
    ShortWrite(usize),
    /// No space left; nothing done.
    StorageFull,
    /// A sync makes nothing durable and fails.
    SyncFails(FailedSync),
}

/// What becomes of the changes that a failed sync was to save.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailedSync {
    /// They are taken for clean, as Linux does: no later sync saves them.
    Dropped,
    /// They are still to be synced; the next sync saves them.
    Kept,
}

impl Fault {
    /// What the caller sees.
    pub(super) fn error(self) -> io::Error {
        match self {
            Fault::Error(kind) => io::Error::new(kind, "simulated failure"),
            Fault::DeviceError | Fault::SyncFails(_) => device_error(),
            Fault::ShortWrite(_) => io::Error::other("simulated short write"),
            Fault::StorageFull => storage_full(),
        }
    }
}

/// The error of a broken device.
pub(super) fn device_error() -> io::Error {
    io::Error::from_raw_os_error(libc::EIO)
}

/// The error of a full one.
pub(super) fn storage_full() -> io::Error {
    io::Error::from_raw_os_error(libc::ENOSPC)
}

/// The error of every call from the crash on.
pub(super) fn crashed() -> io::Error {
    io::Error::other("the simulated machine has crashed")
}

/// What becomes of a call.
pub(super) enum Verdict {
    Proceed,
    Fail(Fault),
    /// Nothing is done; of a write, the first `torn` bytes.
    Crash {
        torn: usize,
    },
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    trace: Vec<Call>,
    /// At which call the machine stops, and how much of it is done if it is a write.
    crash: Option<(u64, usize)>,
    is_crashed: bool,
    by_number: BTreeMap<u64, Fault>,
    by_kind: BTreeMap<CallKind, VecDeque<Fault>>,
}

impl Calls {
    pub(super) fn count(&self) -> u64 {
        self.trace.len() as u64
    }

    pub(super) fn trace(&self) -> &[Call] {
        &self.trace
    }

    pub(super) fn is_crashed(&self) -> bool {
        self.is_crashed
    }

    pub(super) fn crash_at(&mut self, call: u64, torn: usize) {
        self.crash = Some((call, torn));
    }

    pub(super) fn fail_at(&mut self, call: u64, fault: Fault) {
        self.by_number.insert(call, fault);
    }

    pub(super) fn fail_next(&mut self, kind: CallKind, fault: Fault) {
        self.by_kind.entry(kind).or_default().push_back(fault);
    }

    /// Counts a call and says what becomes of it.
    pub(super) fn begin(&mut self, kind: CallKind, path: &Path) -> Verdict {
        let number = self.count() + 1;
        self.trace.push(Call { number, kind, path: path.into() });
        if self.is_crashed {
            return Verdict::Crash { torn: 0 };
        }
        if let Some((call, torn)) = self.crash
            && number >= call
        {
            self.is_crashed = true;
            return Verdict::Crash { torn };
        }
        let planned = self.by_number.remove(&number);
        match planned.or_else(|| self.by_kind.get_mut(&kind)?.pop_front()) {
            Some(fault) => Verdict::Fail(fault),
            None => Verdict::Proceed,
        }
    }
}
