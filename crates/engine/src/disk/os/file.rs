//! One open file of the real machine.
//!
//! # Invariants
//! - `length` never exceeds the file's own length (unless somebody else cuts the file), nor the
//!   length of the mapping.
//! - Only bytes below `length` are touched through the mapping.
//! - `length` grows after the file did and shrinks before it does.

use std::borrow::Cow;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use rustix::fs::FallocateFlags;
use rustix::io::Errno;

use crate::disk::map::Mapping;
use crate::disk::{Access, DiskFile};

/// Bytes written at a time where space can only be had by writing zeros.
static ZEROS: [u8; 64 << 10] = [0; 64 << 10];

/// Writes of this many bytes go through a call rather than the mapping: the first touch of each page
/// of a mapping interrupts the thread, which costs more than one call for all of them.
const WRITTEN_BY_CALL: usize = 4 << 10;

/// So do this many writes after a sync: it has the system watch each page it wrote, so that the next touch
/// interrupts the thread, and others that use the mapping have to be told. Whoever syncs each write never pays that.
const CALLS_AFTER_SYNC: u32 = 8;

#[derive(Debug)]
pub(super) struct OsFile {
    path: PathBuf,
    handle: Handle,
    mapping: Option<Mapping>,
    length: AtomicU64,
}

#[derive(Debug)]
enum Handle {
    /// Nothing is kept open; `path` is opened again when the file itself is needed.
    ReadOnly { identity: Identity },
    Writable {
        file: File,
        capacity: u64,
        /// Held while the length changes.
        resizing: Mutex<()>,
        /// Writes since the last sync began, about.
        writes: AtomicU32,
    },
}

/// Tells a file from another that has got its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(metadata: &Metadata) -> Identity {
        Identity { device: metadata.dev(), inode: metadata.ino() }
    }
}

impl OsFile {
    pub(super) fn open(path: &Path, access: Access) -> io::Result<OsFile> {
        let mut options = File::options();
        options.read(true);
        match access {
            Access::ReadOnly => OsFile::read_only(path, &options.open(path)?),
            Access::ReadWrite { capacity } => {
                OsFile::writable(path, options.write(true).open(path)?, capacity)
            }
            Access::CreateNew { capacity } => {
                OsFile::writable(path, options.write(true).create_new(true).open(path)?, capacity)
            }
        }
    }

    fn read_only(path: &Path, file: &File) -> io::Result<OsFile> {
        let metadata = file_metadata(file)?;
        let length = metadata.len();
        Ok(OsFile {
            path: path.to_owned(),
            handle: Handle::ReadOnly { identity: Identity::of(&metadata) },
            mapping: map(length, |length| Mapping::read_only(file, length)),
            length: AtomicU64::new(length),
        })
    }

    fn writable(path: &Path, file: File, capacity: u64) -> io::Result<OsFile> {
        let length = file_metadata(&file)?.len();
        if length > capacity {
            return Err(invalid(format!("the file has {length} bytes; expected up to {capacity}")));
        }
        Ok(OsFile {
            path: path.to_owned(),
            mapping: map(capacity, |length| Mapping::writable(&file, length)),
            handle: Handle::Writable {
                file,
                capacity,
                resizing: Mutex::new(()),
                writes: AtomicU32::new(0),
            },
            length: AtomicU64::new(length),
        })
    }

    /// The file behind a read-only handle, opened again.
    fn reopen(&self, identity: Identity) -> io::Result<File> {
        let file = File::open(&self.path)?;
        if Identity::of(&file.metadata()?) == identity {
            return Ok(file);
        }
        Err(io::Error::new(io::ErrorKind::NotFound, "the file's name has gone to another file"))
    }

    /// The range as the mapping counts it, if it is below the length.
    fn range(&self, offset: u64, length: usize) -> Option<usize> {
        let end = offset.checked_add(length as u64)?;
        if end > self.length() { None } else { usize::try_from(offset).ok() }
    }
}

impl DiskFile for OsFile {
    fn read(&self, offset: u64, length: usize) -> io::Result<Cow<'_, [u8]>> {
        let start = self.range(offset, length).ok_or(io::ErrorKind::UnexpectedEof)?;
        match &self.mapping {
            Some(mapping) if !mapping.has_faulted() => {
                Ok(Cow::Borrowed(mapping.slice(start, length)))
            }
            _ => self.read_copy(offset, length).map(Cow::Owned),
        }
    }

    /// A read-only file is opened again by its name, so the name must still be the file's.
    fn read_copy(&self, offset: u64, length: usize) -> io::Result<Vec<u8>> {
        self.range(offset, length).ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut bytes = vec![0; length];
        match &self.handle {
            Handle::ReadOnly { identity } => {
                self.reopen(*identity)?.read_exact_at(&mut bytes, offset)?;
            }
            Handle::Writable { file, .. } => file.read_exact_at(&mut bytes, offset)?,
        }
        Ok(bytes)
    }

    fn has_faulted(&self) -> bool {
        self.mapping.as_ref().is_some_and(Mapping::has_faulted)
    }

    fn is_resident(&self, offset: u64, length: usize) -> bool {
        match (&self.mapping, self.range(offset, length)) {
            (Some(mapping), Some(start)) => mapping.is_resident(start, length),
            _ => false,
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let Handle::Writable { file, writes, .. } = &self.handle else {
            return Err(read_only());
        };
        let start = self
            .range(offset, bytes.len())
            .ok_or_else(|| invalid("a write past the allocated length".to_owned()))?;
        let Some(mapping) = &self.mapping else { return file.write_all_at(bytes, offset) };
        let is_soon = writes.load(Ordering::Relaxed) < CALLS_AFTER_SYNC;
        if !is_soon && bytes.len() < WRITTEN_BY_CALL {
            return mapping.write(start, bytes);
        }
        // A call would make a file that somebody has cut longer again, and nobody would notice what is gone.
        if mapping.has_faulted() || is_shorter(file, offset + bytes.len() as u64)? {
            return mapping.write(start, bytes);
        }
        if is_soon {
            writes.fetch_add(1, Ordering::Relaxed);
        }
        file.write_all_at(bytes, offset)
    }

    fn allocate(&self, length: u64) -> io::Result<()> {
        let Handle::Writable { file, capacity, resizing, .. } = &self.handle else {
            return Err(read_only());
        };
        if length > *capacity {
            return Err(invalid(format!("{length} bytes are past the capacity of {capacity}")));
        }
        let _resizing = resizing.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.length();
        if length <= current {
            return Ok(());
        }
        if let Err(error) = extend(file, current, length) {
            // Some of the space may have been given. If it cannot be given back, zeros past the
            // length we go by are left behind: harmless.
            let _ = file.set_len(current);
            return Err(error);
        }
        self.length.store(length, Ordering::Release);
        Ok(())
    }

    fn truncate(&self, length: u64) -> io::Result<()> {
        let Handle::Writable { file, resizing, .. } = &self.handle else {
            return Err(read_only());
        };
        let _resizing = resizing.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.length();
        if length > current {
            return Err(invalid(format!("cannot cut {current} bytes to {length}")));
        }
        self.length.store(length, Ordering::Release);
        file.set_len(length).inspect_err(|_| self.length.store(current, Ordering::Release))
    }

    fn length(&self) -> u64 {
        self.length.load(Ordering::Acquire)
    }

    fn sync(&self) -> io::Result<()> {
        match &self.handle {
            Handle::ReadOnly { identity } => self.reopen(*identity)?.sync_all(),
            Handle::Writable { file, writes, .. } => {
                writes.store(0, Ordering::Relaxed);
                self.sync_writable(file)
            }
        }
    }
}

impl OsFile {
    /// Linux keeps mappings and files in the same pages, and a data sync includes the length.
    #[cfg(target_os = "linux")]
    fn sync_writable(&self, file: &File) -> io::Result<()> {
        file.sync_data()
    }

    #[cfg(not(target_os = "linux"))]
    fn sync_writable(&self, file: &File) -> io::Result<()> {
        if let (Some(mapping), Ok(length)) = (&self.mapping, usize::try_from(self.length())) {
            mapping.flush(length)?;
        }
        file.sync_all()
    }
}

fn file_metadata(file: &File) -> io::Result<Metadata> {
    let metadata = file.metadata()?;
    if metadata.is_file() { Ok(metadata) } else { Err(invalid("not a file".to_owned())) }
}

/// Whether `file` ends before `end`.
fn is_shorter(file: &File, end: u64) -> io::Result<bool> {
    let length = rustix::fs::fstat(file)?.st_size;
    Ok(u64::try_from(length).is_ok_and(|length| length < end))
}

/// A mapping of `length` bytes if there can be one; the file is read and written without otherwise.
fn map(length: u64, map: impl FnOnce(usize) -> io::Result<Mapping>) -> Option<Mapping> {
    match usize::try_from(length) {
        Ok(0) | Err(_) => None,
        Ok(length) => map(length).ok(),
    }
}

/// Makes `file` longer, with space on disk for the new bytes, which are zeros.
fn extend(file: &File, current: u64, length: u64) -> io::Result<()> {
    loop {
        match rustix::fs::fallocate(file, FallocateFlags::empty(), current, length - current) {
            Ok(()) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => return write_zeros(file, current, length),
            // A quota that is used up is a full disk to whom it applies.
            Err(error @ Errno::DQUOT) => {
                return Err(io::Error::new(io::ErrorKind::StorageFull, error));
            }
            Err(error) => return Err(error.into()),
        }
    }
}

/// For file systems that cannot reserve space: takes it.
fn write_zeros(file: &File, mut offset: u64, end: u64) -> io::Result<()> {
    while offset < end {
        let step = (end - offset).min(ZEROS.len() as u64);
        file.write_all_at(&ZEROS[..step as usize], offset)?;
        offset += step;
    }
    Ok(())
}

fn read_only() -> io::Error {
    io::Error::new(io::ErrorKind::PermissionDenied, "the file was opened to be read only")
}

fn invalid(detail: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, detail)
}
