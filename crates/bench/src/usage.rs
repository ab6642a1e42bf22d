//! What this process has used: memory, CPU time, bytes on disk.

use std::fs::{self, File};
use std::io;
use std::ops::Sub;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Duration;

use crate::Result;

/// Resident memory in bytes.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// All resident pages, pages of mapped files among them (`VmRSS`).
    pub resident: u64,
    /// Resident pages that belong to no file (`RssAnon`): the kernel cannot drop them.
    pub anonymous: u64,
}

impl Memory {
    /// Of this process, now.
    pub fn now() -> Result<Self> {
        let status = fs::read_to_string("/proc/self/status")?;
        Ok(Self { resident: field(&status, "VmRSS:")?, anonymous: field(&status, "RssAnon:")? })
    }
}

impl Sub for Memory {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self {
            resident: self.resident.saturating_sub(earlier.resident),
            anonymous: self.anonymous.saturating_sub(earlier.anonymous),
        }
    }
}

fn field(status: &str, name: &str) -> Result<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|rest| rest.split_whitespace().next());
    Ok(kib.ok_or("no such field in /proc/self/status")?.parse::<u64>()? * 1024)
}

/// CPU time of all threads of this process.
#[derive(Clone, Copy, Debug)]
pub struct Cpu {
    /// In user mode.
    pub user: Duration,
    /// In the kernel on behalf of the process.
    pub sys: Duration,
}

impl Cpu {
    /// Of this process, since it began.
    pub fn now() -> Self {
        // SAFETY: all-zero bytes are a valid `rusage`.
        let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
        // SAFETY: `usage` is a valid place to write to; RUSAGE_SELF always succeeds.
        unsafe { libc::getrusage(libc::RUSAGE_SELF, &mut usage) };
        Self { user: duration(usage.ru_utime), sys: duration(usage.ru_stime) }
    }

    /// User and kernel together.
    pub fn total(self) -> Duration {
        self.user + self.sys
    }
}

impl Sub for Cpu {
    type Output = Self;

    fn sub(self, earlier: Self) -> Self {
        Self { user: self.user - earlier.user, sys: self.sys - earlier.sys }
    }
}

fn duration(time: libc::timeval) -> Duration {
    Duration::from_micros(time.tv_sec as u64 * 1_000_000 + time.tv_usec as u64)
}

/// Bytes this process caused to be sent to the device (`write_bytes` of `/proc/self/io`).
pub fn device_bytes_written() -> Result<u64> {
    let io = fs::read_to_string("/proc/self/io")?;
    let line = io.lines().find_map(|line| line.strip_prefix("write_bytes:"));
    Ok(line.ok_or("no write_bytes in /proc/self/io")?.trim().parse()?)
}

/// Bytes of the files under a directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Disk {
    /// Blocks that are really allocated.
    pub allocated: u64,
    /// Lengths of the files; holes count.
    pub apparent: u64,
}

impl Disk {
    /// Of all files under `dir`.
    pub fn of(dir: &Path) -> Result<Self> {
        let mut sum = Self::default();
        for_each_file(dir, &mut |path| {
            // A background job may delete a file between listing and asking.
            if let Ok(meta) = fs::symlink_metadata(path) {
                sum.allocated += meta.blocks() * 512;
                sum.apparent += meta.len();
            }
        })?;
        Ok(sum)
    }
}

fn for_each_file(dir: &Path, see: &mut dyn FnMut(&Path)) -> Result<()> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            for_each_file(&entry.path(), see)?;
        } else {
            see(&entry.path());
        }
    }
    Ok(())
}

/// Writes all files under `dir` back and drops them from the page cache.
pub fn evict(dir: &Path) -> Result<()> {
    for_each_file(dir, &mut |path| {
        if let Ok(file) = File::open(path) {
            let _ = file.sync_all();
            // SAFETY: the descriptor is open; the call only gives advice about it.
            unsafe { libc::posix_fadvise(file.as_raw_fd(), 0, 0, libc::POSIX_FADV_DONTNEED) };
        }
    })
}
