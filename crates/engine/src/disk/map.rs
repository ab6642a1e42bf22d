//! A file seen as memory, and what keeps a failing disk from killing the process through it.
//!
//! ```text
//!             slice(offset, length)            write(offset, bytes)
//!                     |                                |
//!   mapping   |-------v--------------------------------v---------|.................|
//!   file      |--------------------------------------------------|
//!             0                                          file's length        mapped length
//! ```
//!
//! A mapping may be longer than its file, so that a file can grow without being mapped anew. The
//! machine answers a touch of a page it cannot bring in (past the file's end, cut from outside, or
//! a media error) with the signal `SIGBUS`, which kills. [`fault`] catches it, puts a page of
//! zeros there and marks the mapping, so that the touch is merely wrong, and known to be so.
//!
//! # Invariants
//! - The memory is registered with [`fault`] before anybody can touch it and until nobody can.
//! - Once a page of zeros stands in, [`Mapping::has_faulted`] is true, for good.
//! - A write that returned `Ok` went to the file's own pages.

use std::io;
use std::os::fd::AsRawFd;
use std::ptr;
use std::slice;
use std::sync::atomic::{Ordering, fence};

use memmap2::{Advice, MmapOptions, MmapRaw};

mod fault;

use fault::{Protection, Registration};

/// Pages whose residence is asked for at once: those behind them are read ahead by then.
const MOST_PAGES_ASKED: usize = 16;

/// A file's bytes as shared memory.
#[derive(Debug)]
pub(super) struct Mapping {
    // Dropped in this order: the address range must be forgotten before it can become another's.
    registration: Registration,
    memory: MmapRaw,
    protection: Protection,
}

impl Mapping {
    /// Maps the first `length` bytes of `file`, to be read in no particular order.
    ///
    /// # Errors
    /// What the machine says, or `OutOfMemory` when too many mappings exist.
    pub(super) fn read_only(file: &impl AsRawFd, length: usize) -> io::Result<Mapping> {
        let memory = MmapOptions::new().len(length).map_raw_read_only(file.as_raw_fd())?;
        // Read-ahead around a record brings in strangers; it is advice, so a refusal is no failure.
        let _ = memory.advise(Advice::Random);
        Mapping::register(memory, Protection::Read)
    }

    /// Maps `length` bytes of `file`, which may be shorter, to be read and written.
    ///
    /// # Errors
    /// As [`read_only`](Mapping::read_only).
    pub(super) fn writable(file: &impl AsRawFd, length: usize) -> io::Result<Mapping> {
        let memory = MmapOptions::new().len(length).map_raw(file.as_raw_fd())?;
        Mapping::register(memory, Protection::ReadWrite)
    }

    fn register(memory: MmapRaw, protection: Protection) -> io::Result<Mapping> {
        // SAFETY: the range is the whole of a mapping just made, which only `memory` can unmap;
        // `registration` is dropped before it.
        let registration =
            unsafe { Registration::new(memory.as_ptr() as usize, memory.len(), protection) }?;
        Ok(Mapping { registration, memory, protection })
    }

    /// The `length` bytes at `offset`. They turn to zeros where the machine cannot bring them in;
    /// ask [`has_faulted`](Mapping::has_faulted) after having used them.
    ///
    /// Nobody may write these bytes while they are borrowed, in this process or another: such is
    /// the contract of [`DiskFile`](super::DiskFile).
    ///
    /// # Panics
    /// If the range is not inside the mapping.
    pub(super) fn slice(&self, offset: usize, length: usize) -> &[u8] {
        let start = self.at(offset, length).cast_const();
        // SAFETY: `at` proved `start..start + length` to lie inside the mapping, which lives as
        // long as `self`. Every page of it can be read: the file's, or zeros by `fault`. Nobody
        // writes the range while it is borrowed, by the contract above.
        unsafe { slice::from_raw_parts(start, length) }
    }

    /// Whether the pages of the range are in memory, as far as the machine tells. By the time the
    /// caller looks at them they may not be any more.
    ///
    /// # Panics
    /// If the range is not inside the mapping.
    #[cfg(target_os = "linux")]
    pub(super) fn is_resident(&self, offset: usize, length: usize) -> bool {
        let page = rustix::param::page_size();
        let start = self.at(offset, length);
        let before = start.addr() % page;
        let pages = (before + length).div_ceil(page);
        let mut resident = [0_u8; MOST_PAGES_ASKED];
        let asked = pages.min(MOST_PAGES_ASKED);
        let first = start.wrapping_sub(before);
        // SAFETY: `first` is the start of a page of the mapping, which begins at one itself; the pages
        // asked for begin inside the range that `at` proved to be in it; `resident` has a byte for
        // each. The call touches none of the pages.
        let answer = unsafe { libc::mincore(first.cast(), asked * page, resident.as_mut_ptr()) };
        // What cannot be told is left to be found out.
        answer != 0 || resident[..asked].iter().all(|byte| byte & 1 == 1)
    }

    /// Elsewhere nobody tells.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn is_resident(&self, _offset: usize, _length: usize) -> bool {
        true
    }

    /// Copies `bytes` to `offset`.
    ///
    /// # Errors
    /// If the mapping has faulted, now or before: then the bytes may not have reached the file.
    ///
    /// # Panics
    /// If the range is not inside the mapping, or the mapping is read-only.
    pub(super) fn write(&self, offset: usize, bytes: &[u8]) -> io::Result<()> {
        assert_eq!(self.protection, Protection::ReadWrite, "the mapping is read-only");
        let target = self.at(offset, bytes.len());
        // SAFETY: `at` proved the target to lie inside the mapping, which is writable; `bytes` is a
        // live slice. Nobody reads or writes the target meanwhile, by the contract of `DiskFile`.
        unsafe { ptr::copy(bytes.as_ptr(), target, bytes.len()) };
        // The handler marks first and puts the page of zeros after. With the copy ordered before
        // the look at the mark, a copy that went to such a page cannot miss the mark, not even if
        // another thread's touch caused it.
        fence(Ordering::SeqCst);
        if self.has_faulted() {
            return Err(io::Error::other("the machine failed to map a page of the file"));
        }
        Ok(())
    }

    /// Whether some page has been replaced by zeros.
    pub(super) fn has_faulted(&self) -> bool {
        // What the caller read before must have been read before the mark is.
        fence(Ordering::Acquire);
        self.registration.has_faulted()
    }

    /// Hands written pages to the file system, where syncing the file does not include that.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn flush(&self, length: usize) -> io::Result<()> {
        self.memory.flush_range(0, length)
    }

    fn at(&self, offset: usize, length: usize) -> *mut u8 {
        let end = offset.checked_add(length).expect("a range inside a mapping has an end");
        assert!(end <= self.memory.len(), "a range past the end of the mapping");
        // SAFETY: `offset` is at most the mapping's length, so the result is in it or just past it.
        unsafe { self.memory.as_mut_ptr().add(offset) }
    }
}

#[cfg(test)]
mod tests;
