//! Copies of a whole store.
//!
//! A backup ends the segments being written, so that all are sealed, and gives each a second name in
//! another directory: sealed files never change, so a name is as good as a copy, and takes the same
//! moment whatever the size. What compaction removes later stays in the backup. On another file
//! system, where a file cannot have a second name, the bytes are copied.

use std::io::ErrorKind;
use std::path::Path;

use crate::compaction::Progress;
use crate::disk::{Access, Disk};
use crate::error::{Error, Result};
use crate::log::segment::HEADER_LENGTH;
use crate::manifest::State;
use crate::names::Names;
use crate::options::{Maintenance, Options};
use crate::store::KvStore;

/// Bytes copied at once.
const CHUNK: u64 = 1 << 20;

/// What was put into a backup, or taken out of one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct BackupReport {
    /// Files with records.
    pub segments: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl KvStore {
    /// Makes `directory`, which must be empty or missing, a store that holds what this one holds now.
    /// Writers go on. A backup can be opened, verified and restored like any store.
    ///
    /// # Errors
    /// [`Error::NotEmpty`]; as [`sync`](KvStore::sync); [`Error::Io`].
    pub fn backup(&self, directory: impl AsRef<Path>) -> Result<BackupReport> {
        let core = self.core();
        core.check_open()?;
        let disk = &*core.segments.disk;
        let names = make_directory(disk, directory.as_ref())?;
        let mut survivors = core.maintenance.lock().expect("no panic during maintenance");
        survivors.seal(core)?;
        core.appender().retire_active_if_used();
        core.seal_filled()?;
        let mut manifest = core.segments.manifest();
        // What was begun since holds only what was written after this moment.
        manifest.segments.retain(|segment| segment.state == State::Sealed);
        let mut report = BackupReport::default();
        for segment in &manifest.segments {
            let (from, to) = (core.segments.names.segment(segment.id), names.segment(segment.id));
            link_or_copy(disk, &from, &to, segment.synced)?;
            report.segments += 1;
            report.bytes += segment.synced;
        }
        // Only a cache, and only perfect if no segment it names is missing: so it is optional.
        let _ = disk.hard_link(&core.segments.names.checkpoint(), &names.checkpoint());
        sync_directory(disk, names.logs())?;
        manifest.save(disk, &names)?;
        sync_directory(disk, directory.as_ref())?;
        Ok(report)
    }
}

/// Makes `to`, which must be empty or missing, a store with what the backup (or closed store) in
/// `from` holds, after reading and checking all of it. The two share no files afterwards.
///
/// # Errors
/// [`Error::NoStore`], [`Error::NotEmpty`], [`Error::Damaged`] if the backup is not intact,
/// [`Error::Locked`] if it is open, [`Error::DiskFull`], [`Error::Io`].
pub fn restore(
    from: impl AsRef<Path>,
    to: impl AsRef<Path>,
    options: &Options,
    mut progress: impl FnMut(Progress),
) -> Result<BackupReport> {
    let (from, to) = (from.as_ref(), to.as_ref());
    let disk = &*options.disk;
    let verified = crate::store::verify::verify_directory(from, options, |_| {})?;
    if let Some(damage) = verified.damage.into_iter().next() {
        return Err(damage);
    }
    let options = options.clone().create(crate::Create::Never).maintenance(Maintenance::Manual);
    let source = KvStore::open_with(from, options)?;
    // Nothing is written to the source while it is held open and nobody else has it.
    let mut manifest = source.core().segments.manifest();
    let names = make_directory(disk, to)?;
    let mut report = BackupReport::default();
    let total = source.core().segments.all().iter().map(|segment| segment.end()).sum();
    for entry in &mut manifest.segments {
        let Some(segment) = source.core().segments.by_id(entry.id) else { continue };
        entry.synced = segment.end().max(HEADER_LENGTH);
        copy(disk, &segment.path, &names.segment(entry.id), entry.synced)?;
        report.segments += 1;
        report.bytes += entry.synced;
        progress(Progress { done: report.bytes, total });
    }
    sync_directory(disk, names.logs())?;
    manifest.save(disk, &names)?;
    sync_directory(disk, to)?;
    source.close()?;
    Ok(report)
}

/// Makes the folders of a new store; refuses a directory with something in it.
fn make_directory(disk: &dyn Disk, directory: &Path) -> Result<Names> {
    match disk.list(directory) {
        Ok(files) if !files.is_empty() => {
            return Err(Error::NotEmpty { path: directory.to_owned() });
        }
        Err(error) if error.kind() != ErrorKind::NotFound => {
            return Err(Error::io("list", directory, error));
        }
        _ => {}
    }
    let names = Names::new(directory);
    let logs = names.logs();
    disk.create_directory(logs).map_err(|e| Error::io("create", logs, e))?;
    Ok(names)
}

fn sync_directory(disk: &dyn Disk, path: &Path) -> Result<()> {
    disk.sync_directory(path).map_err(|e| Error::io("sync", path, e))
}

fn link_or_copy(disk: &dyn Disk, from: &Path, to: &Path, length: u64) -> Result<()> {
    match disk.hard_link(from, to) {
        Ok(()) => Ok(()),
        Err(error)
            if matches!(error.kind(), ErrorKind::CrossesDevices | ErrorKind::Unsupported) =>
        {
            copy(disk, from, to, length)
        }
        Err(error) => Err(Error::io("link", to, error)),
    }
}

fn copy(disk: &dyn Disk, from: &Path, to: &Path, length: u64) -> Result<()> {
    let source = disk.open(from, Access::ReadOnly).map_err(|e| Error::io("open", from, e))?;
    let access = Access::CreateNew { capacity: length };
    let target = disk.open(to, access).map_err(|e| Error::io("create", to, e))?;
    target.allocate(length).map_err(|e| Error::io("extend", to, e))?;
    let mut offset = 0;
    while offset < length {
        let size = CHUNK.min(length - offset) as usize;
        let bytes = source.read_copy(offset, size).map_err(|e| Error::io("read", from, e))?;
        target.write_at(offset, &bytes).map_err(|e| Error::io("write", to, e))?;
        offset += size as u64;
    }
    target.sync().map_err(|e| Error::io("sync", to, e))
}
