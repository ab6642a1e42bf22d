//! One open file of the simulated machine. It behaves as the real one does: a read-only handle
//! keeps the length it was opened with, and a page that cannot be had reads as zeros and leaves a
//! mark.

use std::borrow::Cow;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::fault::{CallKind, FailedSync, Fault, Verdict, crashed, device_error};
use super::state::{Contents, FileId, Opened, State};
use super::{Reads, SimDisk};
use crate::disk::{Access, DiskFile};

#[derive(Debug)]
pub(super) struct SimFile {
    disk: SimDisk,
    path: PathBuf,
    file: FileId,
    mode: Mode,
    faulted: AtomicBool,
}

#[derive(Debug)]
enum Mode {
    /// With the bytes as they were when the file was opened.
    ReadOnly {
        opened: Arc<Vec<u8>>,
    },
    Writable {
        capacity: u64,
    },
}

impl SimFile {
    pub(super) fn new(disk: SimDisk, path: &Path, access: Access, opened: Opened) -> SimFile {
        let mode = match access {
            Access::ReadOnly => Mode::ReadOnly { opened: opened.live },
            Access::ReadWrite { capacity } | Access::CreateNew { capacity } => {
                Mode::Writable { capacity }
            }
        };
        let faulted = AtomicBool::new(false);
        SimFile { disk, path: path.to_owned(), file: opened.file, mode, faulted }
    }

    fn call<T>(
        &self,
        kind: CallKind,
        action: impl FnOnce(&mut State) -> io::Result<T>,
    ) -> io::Result<T> {
        self.disk.call(kind, &self.path, action)
    }

    /// The most bytes the file may have, if it may be written.
    fn capacity(&self) -> io::Result<u64> {
        match &self.mode {
            Mode::ReadOnly { .. } => Err(io::ErrorKind::PermissionDenied.into()),
            Mode::Writable { capacity } => Ok(*capacity),
        }
    }

    fn length_in(&self, contents: &Contents) -> u64 {
        match &self.mode {
            Mode::ReadOnly { opened } => opened.len() as u64,
            Mode::Writable { .. } => contents.live.len() as u64,
        }
    }

    fn check_readable(&self, contents: &Contents, offset: u64, length: usize) -> io::Result<()> {
        let end = offset.checked_add(length as u64);
        if end.is_none_or(|end| end > self.length_in(contents)) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// Whether the range can be borrowed from what was opened: nobody has changed the file since.
    fn lent(&self, contents: &Contents, offset: u64, length: usize) -> Option<&[u8]> {
        match &self.mode {
            Mode::ReadOnly { opened } if Arc::ptr_eq(opened, &contents.live) => {
                Some(&opened[offset as usize..][..length])
            }
            _ => None,
        }
    }

    /// As through a mapping: what the device cannot read, or what has been cut off, is zeros, and
    /// marks the handle.
    fn mapped(&self, contents: &Contents, offset: u64, length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        let start = (offset as usize).min(contents.live.len());
        let end = (offset as usize + length).min(contents.live.len());
        bytes[..end - start].copy_from_slice(&contents.live[start..end]);
        for (byte, place) in bytes.iter_mut().zip(offset..) {
            if contents.broken.iter().any(|range| range.contains(&place)) {
                *byte = 0;
            }
        }
        self.faulted.store(true, Ordering::SeqCst);
        bytes
    }

    /// As by the machine.
    fn copied(&self, contents: &Contents, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.check_readable(contents, offset, length)?;
        if contents.is_broken(offset, length) {
            return Err(device_error());
        }
        let bytes = contents.live.get(offset as usize..offset as usize + length);
        Ok(bytes.ok_or(io::ErrorKind::UnexpectedEof)?.to_vec())
    }

    fn read_mapped(
        &self,
        contents: &Contents,
        reads: Reads,
        offset: u64,
        length: usize,
    ) -> io::Result<Cow<'_, [u8]>> {
        self.check_readable(contents, offset, length)?;
        if self.has_faulted() {
            return self.copied(contents, offset, length).map(Cow::Owned);
        }
        let is_whole = offset as usize + length <= contents.live.len();
        if !is_whole || contents.is_broken(offset, length) {
            return Ok(Cow::Owned(self.mapped(contents, offset, length)));
        }
        match self.lent(contents, offset, length) {
            Some(bytes) if reads == Reads::Borrowed => Ok(Cow::Borrowed(bytes)),
            _ => self.copied(contents, offset, length).map(Cow::Owned),
        }
    }

    fn check_writable(&self, state: &State, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.capacity()?;
        let contents = state.contents(self.file);
        let end = offset.checked_add(bytes.len() as u64);
        if end.is_none_or(|end| end > contents.live.len() as u64) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        if contents.is_broken(offset, bytes.len()) {
            self.faulted.store(true, Ordering::SeqCst);
        }
        if self.has_faulted() { Err(device_error()) } else { Ok(()) }
    }
}

impl Contents {
    /// Whether the device cannot read some byte of the range.
    fn is_broken(&self, offset: u64, length: usize) -> bool {
        let end = offset + length as u64;
        self.broken.iter().any(|range| range.start < end && offset < range.end)
    }
}

impl DiskFile for SimFile {
    fn read(&self, offset: u64, length: usize) -> io::Result<Cow<'_, [u8]>> {
        let reads = self.disk.lock_machine().reads;
        self.call(CallKind::Read, |state| {
            self.read_mapped(state.contents(self.file), reads, offset, length)
        })
    }

    fn read_copy(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.call(CallKind::ReadCopy, |state| {
            self.copied(state.contents(self.file), offset, length)
        })
    }

    fn has_faulted(&self) -> bool {
        self.faulted.load(Ordering::SeqCst)
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let mut machine = self.disk.lock_machine();
        let verdict = machine.calls.begin(CallKind::Write, &self.path);
        self.check_writable(&machine.state, offset, bytes)?;
        let (done, result) = match verdict {
            Verdict::Proceed => (bytes.len(), Ok(())),
            Verdict::Fail(fault @ Fault::ShortWrite(done)) => (done, Err(fault.error())),
            Verdict::Fail(fault) => (0, Err(fault.error())),
            Verdict::Crash { torn } => (torn, Err(crashed())),
        };
        if done > 0 {
            machine.state.write(self.file, offset, &bytes[..done.min(bytes.len())]);
        }
        result
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        self.call(CallKind::Allocate, |state| {
            if length > self.capacity()? {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            state.allocate(self.file, length)
        })
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        self.call(CallKind::Truncate, |state| {
            self.capacity()?;
            if length > state.contents(self.file).live.len() as u64 {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            state.truncate(self.file, length);
            Ok(())
        })
    }

    fn length(&self) -> u64 {
        self.length_in(self.disk.lock_machine().state.contents(self.file))
    }

    fn sync(&self) -> io::Result<()> {
        let mut machine = self.disk.lock_machine();
        match machine.calls.begin(CallKind::Sync, &self.path) {
            Verdict::Proceed => {
                machine.state.sync(self.file);
                Ok(())
            }
            Verdict::Fail(fault) => {
                if fault == Fault::SyncFails(FailedSync::Dropped) {
                    machine.state.abandon_bytes(self.file);
                }
                Err(fault.error())
            }
            Verdict::Crash { .. } => Err(crashed()),
        }
    }
}

impl Drop for SimFile {
    fn drop(&mut self) {
        self.disk.lock_machine().state.close(self.file);
    }
}
