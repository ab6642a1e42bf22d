//! The real machine: a Unix file system and its clocks.
//!
//! The only code that names `std::fs` or a clock. A file is mapped into memory as a whole:
//!
//! | opened as | descriptor | mapping | read | write |
//! |---|---|---|---|---|
//! | `ReadOnly` | closed once mapped | its length | borrowed | refused |
//! | `ReadWrite`, `CreateNew` | kept | its capacity | borrowed | copied into the mapping |
//! | any, where mapping fails or is empty | as above | none | copied | `pwrite` |
//!
//! Thousands of sealed segments thus cost no descriptors, and a short write costs no system call.
//! The last row is what is left when the machine's limit on mappings is reached, or on a file
//! system without them: slower, otherwise the same.

// The lint that keeps the rest of the crate from the machine; this is the one place it leads to.
#![allow(clippy::disallowed_methods)]

#[cfg(not(unix))]
compile_error!(
    "the engine maps files and locks them as Unix does; on Windows, build it for WSL (linux-gnu)"
);

use std::fs::{self, File, TryLockError};
use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read, Seek, Write};
use std::path::Path;
use std::process;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{Access, Disk, DiskFile, DiskLock, LockError};
use crate::ids::UnixMillis;

mod courtesy;
mod file;

pub use courtesy::Courtesy;
use file::OsFile;

/// The machine this process runs on.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsDisk {
    _private: (),
}

impl OsDisk {
    /// The machine.
    pub fn new() -> OsDisk {
        OsDisk::default()
    }
}

impl OsDisk {
    /// Whoever made the directory below `parent` may have been killed before syncing its name.
    /// Where `parent` may not even be read, it was made by an administrator, some time ago.
    fn settle(&self, parent: &Path) -> io::Result<()> {
        match self.sync_directory(parent) {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(()),
            result => result,
        }
    }
}

/// How nice the threads are that nobody waits for: of the processor they get a tenth when others want
/// it too.
const NICENESS: i32 = 10;

impl Disk for OsDisk {
    #[cfg(target_os = "linux")]
    fn give_way(&self) {
        // On Linux this is about the calling thread. It is a favour, so a refusal is no failure.
        let _ = rustix::process::setpriority_process(None, NICENESS);
    }

    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>> {
        Ok(Arc::new(OsFile::open(path, access)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::hard_link(from, to)
    }

    /// The names of the directories that had to be made survive a power cut once this returned.
    fn create_directory(&self, path: &Path) -> io::Result<()> {
        if path.as_os_str().is_empty() {
            return Ok(());
        }
        let parent = path.parent().unwrap_or(Path::new(""));
        if path.is_dir() {
            return self.settle(parent);
        }
        self.create_directory(parent)?;
        match fs::create_dir(path) {
            // Somebody else was faster.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => {}
            result => result?,
        }
        self.sync_directory(parent)
    }

    /// Names that are not UTF-8 are left out: the engine never made them.
    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(path)? {
            names.extend(entry?.file_name().into_string());
        }
        names.sort_unstable();
        Ok(names)
    }

    fn sync_directory(&self, path: &Path) -> io::Result<()> {
        // A bare file name has the empty path as its parent, which means the working directory.
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        File::open(path)?.sync_all()
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, LockError> {
        let mut options = File::options();
        let mut file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(LockError::Io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(LockError::Held(read_pid(&mut file))),
            Err(TryLockError::Error(error)) => return Err(LockError::Io(error)),
        }
        write_pid(&mut file).map_err(LockError::Io)?;
        Ok(Box::new(OsLock { file }))
    }

    fn free_space(&self, path: &Path) -> io::Result<u64> {
        let statistics = rustix::fs::statvfs(path)?;
        Ok(statistics.f_bavail.saturating_mul(statistics.f_frsize))
    }

    fn wall_clock(&self) -> UnixMillis {
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        UnixMillis(u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX))
    }

    /// On Linux it also counts while the machine sleeps.
    fn monotonic(&self) -> Duration {
        monotonic()
    }

    /// The standard library keys its hasher from the machine's source of randomness, on every
    /// platform and without a dependency; SipHash of distinct inputs under a secret key cannot be
    /// told from random numbers. The process id keeps a forked child from repeating its parent.
    fn random(&self) -> u64 {
        RandomState::new().hash_one((process::id(), monotonic()))
    }
}

#[cfg(target_os = "linux")]
fn monotonic() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::try_from(now).unwrap_or_default()
}

#[cfg(not(target_os = "linux"))]
fn monotonic() -> Duration {
    use std::sync::OnceLock;
    use std::time::Instant;

    static START: OnceLock<Instant> = OnceLock::new();
    START.get_or_init(Instant::now).elapsed()
}

/// A lock on a file. The file stays: were it removed, a second process could lock the removed file
/// and a third a new one of the same name.
#[derive(Debug)]
struct OsLock {
    file: File,
}

impl DiskLock for OsLock {}

impl Drop for OsLock {
    /// Closing the descriptor would not do: a child that this process is just starting may still
    /// hold a copy of it.
    fn drop(&mut self) {
        let _ = self.file.unlock();
    }
}

fn read_pid(file: &mut File) -> Option<u32> {
    let mut text = String::new();
    file.take(16).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

fn write_pid(file: &mut File) -> io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    writeln!(file, "{}", process::id())
}

#[cfg(test)]
mod tests;
