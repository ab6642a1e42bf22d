//! Small files that are read and replaced as a whole.

use std::io;
use std::path::Path;

use super::{Access, Disk};
use crate::error::{Error, Result};
use crate::names::temporary;

/// The bytes of a file; none if there is no such file.
///
/// # Errors
/// The machine's own, as [`Error::Io`].
pub fn read_file(disk: &dyn Disk, path: &Path) -> Result<Option<Vec<u8>>> {
    let file = match disk.open(path, Access::ReadOnly) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::io("open", path, error)),
    };
    let bytes = file.read_copy(0, file.length() as usize);
    bytes.map(Some).map_err(|error| Error::io("read", path, error))
}

/// Writes `bytes` to `path` in one step: under another name, synced, renamed, and the directory synced.
/// Durable when this returns.
///
/// # Errors
/// The machine's own, as [`Error::Io`]. Then the old file or the new one is there, and which is not known.
pub fn replace_file(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> Result<()> {
    let temporary = temporary(path);
    match disk.remove(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Error::io("remove", &temporary, error));
        }
        _ => {}
    }
    let length = bytes.len() as u64;
    let file = disk
        .open(&temporary, Access::CreateNew { capacity: length })
        .map_err(|e| Error::io("create", &temporary, e))?;
    file.allocate(length).map_err(|e| Error::io("extend", &temporary, e))?;
    file.write_at(0, bytes).map_err(|e| Error::io("write", &temporary, e))?;
    file.sync().map_err(|e| Error::io("sync", &temporary, e))?;
    disk.rename(&temporary, path).map_err(|e| Error::io("rename", &temporary, e))?;
    let directory = path.parent().unwrap_or(Path::new(""));
    disk.sync_directory(directory).map_err(|e| Error::io("sync", directory, e))
}
