//! The machine, as a small trait: files, directories, locks and clocks.
//!
//! Everything the engine asks of the world goes through [`Disk`] and [`DiskFile`]; `os` is the real
//! machine and the only code that names `std::fs` or a clock, `sim` a simulated one that knows
//! which bytes were synced, forgets the others on a crash, and fails where it is told to.
//!
//! What the engine assumes of a disk:
//! - bytes written to a file are read back until the process or the machine dies;
//! - after [`DiskFile::sync`] returned, the file's bytes and length survive a power cut;
//! - after [`Disk::sync_directory`] returned, so do the names in that directory;
//! - anything not synced may be lost, kept or torn, in any combination and order;
//! - [`Disk::rename`] is atomic: afterwards the name is the old file or the new, never neither.

use std::borrow::Cow;
use std::fmt::Debug;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::ids::UnixMillis;

mod map;
mod os;
#[cfg(any(test, feature = "simulation"))]
pub mod sim;
mod whole;

pub use os::{Courtesy, OsDisk};
pub use whole::{read_file, replace_file};

/// How a file is opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// To be read only; writes to it fail.
    ReadOnly,
    /// To be read and written, up to `capacity` bytes (the file may be shorter, never longer).
    ReadWrite {
        /// The most bytes the file will ever have.
        capacity: u64,
    },
    /// As `ReadWrite`, but the file must not exist yet and is created empty.
    CreateNew {
        /// The most bytes the file will ever have.
        capacity: u64,
    },
}

/// The files and clocks of one machine.
pub trait Disk: Send + Sync + Debug {
    /// Opens a file.
    ///
    /// # Errors
    /// `NotFound`, or `AlreadyExists` for [`Access::CreateNew`], or the machine's own.
    fn open(&self, path: &Path, access: Access) -> io::Result<Arc<dyn DiskFile>>;
    /// Gives `from` the name `to`, replacing what had it. A directory replaces only an empty one.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Removes a file's name.
    fn remove(&self, path: &Path) -> io::Result<()>;
    /// Gives a file a second name. `CrossesDevices` if the two are on different file systems.
    fn hard_link(&self, from: &Path, to: &Path) -> io::Result<()>;
    /// Creates a directory and those above it; content if it exists.
    fn create_directory(&self, path: &Path) -> io::Result<()>;
    /// The names in a directory, sorted. `NotFound` if there is none.
    fn list(&self, path: &Path) -> io::Result<Vec<String>>;
    /// Makes the names in a directory survive a power cut.
    fn sync_directory(&self, path: &Path) -> io::Result<()>;
    /// Takes the lock on a file (created when missing) and writes this process's id to it.
    ///
    /// # Errors
    /// [`LockError::Held`] if another process or another open store holds it.
    fn lock(&self, path: &Path) -> Result<Box<dyn DiskLock>, LockError>;
    /// Free bytes on the file system of `path`.
    fn free_space(&self, path: &Path) -> io::Result<u64>;
    /// The wall clock. May jump.
    fn wall_clock(&self) -> UnixMillis;
    /// A clock that only goes forward, from an arbitrary start.
    fn monotonic(&self) -> Duration;
    /// Lets the calling thread give way to others, as it does what nobody waits for.
    fn give_way(&self) {}
    /// A number nobody can guess, for ids and hash seeds.
    fn random(&self) -> u64;
}

/// Held while this value lives; let go when it is dropped or the process dies.
pub trait DiskLock: Send + Sync + Debug {}

/// Why a lock was not given.
#[derive(Debug)]
pub enum LockError {
    /// Somebody has it: the process of this id, if it could be read.
    Held(Option<u32>),
    /// The machine refused.
    Io(io::Error),
}

/// One open file.
///
/// Writers and readers of different bytes may run at the same time; nobody reads bytes that are
/// being written.
pub trait DiskFile: Send + Sync + Debug {
    /// The `length` bytes at `offset`, borrowed from a mapping where there is one.
    ///
    /// After using borrowed bytes, ask [`has_faulted`](DiskFile::has_faulted): if so, they may have
    /// turned to zeros and [`read_copy`](DiskFile::read_copy) tells the truth.
    ///
    /// # Errors
    /// `UnexpectedEof` past the end of the file; whatever the machine says.
    fn read(&self, offset: u64, length: usize) -> io::Result<Cow<'_, [u8]>>;
    /// The same bytes, copied by the machine and never through a mapping.
    fn read_copy(&self, offset: u64, length: usize) -> io::Result<Vec<u8>>;
    /// Whether the machine failed to bring in some page of the mapping since the file was opened.
    fn has_faulted(&self) -> bool {
        false
    }
    /// Whether reading the range waits for no device, as far as the machine can tell.
    fn is_resident(&self, _offset: u64, _length: usize) -> bool {
        true
    }
    /// Writes all of `bytes` at `offset`, below the allocated length. On an error any part of them
    /// may have been written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()>;
    /// Lets the file grow to `length` bytes; the new ones are zeros and have their space on disk, so
    /// that later writes below `length` do not run out of it. Never shrinks.
    ///
    /// # Errors
    /// `StorageFull` when there is no room; then the file is as it was.
    fn allocate(&self, length: u64) -> io::Result<()>;
    /// Cuts the file to `length` bytes and gives back the space.
    fn truncate(&self, length: u64) -> io::Result<()>;
    /// The file's length in bytes.
    fn length(&self) -> u64;
    /// Makes the bytes and the length survive a power cut. After an error nothing is known.
    fn sync(&self) -> io::Result<()>;
}
