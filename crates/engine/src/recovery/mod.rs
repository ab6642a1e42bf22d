//! Opening a store: from files to an index, whatever the last process left behind.
//!
//! ```text
//!  lock ─▶ manifest ─▶ segments ─▶ newest good checkpoint ─▶ replay what it does not cover ─▶ open
//!            │            │               │                        │
//!          none: new    missing,       not perfect:            no record here:
//!          or KVS1      not its own:   as if none              see [`judge`]
//!                       damage
//! ```
//!
//! # Invariants
//! - What was synced is there afterwards, or an error names where it is missing.
//! - The log that is kept is a prefix of what was written: where one segment is cut, none of the
//!   later ones keeps a record.
//! - What recovery keeps is synced before anybody can read it.

pub mod judge;
mod replay;

use std::collections::HashMap;
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;

use crate::checkpoint::{Checkpoint, SegmentRecord};
use crate::compaction::Progress;
use crate::disk::{Access, Disk, DiskLock, LockError};
use crate::error::{Error, Result};
use crate::ids::{SegmentId, Sequence};
use crate::index::Index;
use crate::kvs1;
use crate::log::Segments;
use crate::log::segment::{HEADER_LENGTH, Segment, check_header};
use crate::manifest::{Manifest, Origin, Role, State};
use crate::names::{Names, SEGMENT_MAGIC, is_temporary, log_number};
use crate::options::{Create, Options};
use crate::record;
use crate::replicated::replay::Replayed;
use crate::replicated::tables::Replicas;

/// What to do about damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDamage {
    /// Refuse to open.
    Refuse,
    /// Note it, keep what is intact, change nothing on disk.
    Skip,
}

/// Whether the checkpoint is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// Yes, if it is perfect.
    Checkpoint,
    /// No: every record is read and checked.
    RecordsOnly,
}

/// A store as found.
#[derive(Debug)]
pub struct Recovered {
    /// Its files.
    pub segments: Arc<Segments>,
    /// Where its keys are.
    pub index: Index,
    /// Its replicated logs.
    pub replicas: Replicas,
    /// The segment to go on with.
    pub active: Option<Arc<Segment>>,
    /// Open segments that nobody goes on with; to be sealed.
    pub filled: Vec<Arc<Segment>>,
    /// Damage that was skipped.
    pub damage: Vec<Error>,
    /// Whether KVS1 files wait to be converted into it.
    pub conversion: Option<Vec<kvs1::Kvs1Log>>,
    /// What the opening took.
    pub report: RecoveryReport,
}

/// What the opening took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RecoveryReport {
    /// Keys that came out of the checkpoint.
    pub keys_from_checkpoint: u64,
    /// Records read from the log.
    pub records_replayed: u64,
    /// Bytes of a torn tail that were cut.
    pub bytes_cut: u64,
}

/// Takes the store's lock, making its directory if it may.
///
/// # Errors
/// [`Error::Locked`], [`Error::NoStore`], [`Error::Io`].
pub fn lock(options: &Options, directory: &Path, names: &Names) -> Result<Box<dyn DiskLock>> {
    let disk = &*options.disk;
    if !has_store(disk, names)? {
        if options.create == Create::Never {
            return Err(Error::NoStore { path: directory.to_owned() });
        }
        let logs = names.logs();
        disk.create_directory(logs).map_err(|e| Error::io("create", logs, e))?;
        disk.sync_directory(directory).map_err(|e| Error::io("sync", directory, e))?;
    }
    let path = names.lock();
    disk.lock(&path).map_err(|error| match error {
        LockError::Held(pid) => Error::Locked { path: directory.to_owned(), pid },
        LockError::Io(source) => Error::io("lock", &path, source),
    })
}

/// Whether there is a store, of this format or of KVS1.
fn has_store(disk: &dyn Disk, names: &Names) -> Result<bool> {
    match disk.list(names.logs()) {
        Ok(files) => {
            let manifest = names.manifest();
            let manifest = manifest.file_name().and_then(|name| name.to_str());
            Ok(files.iter().any(|f| Some(f.as_str()) == manifest || log_number(f).is_some()))
        }
        Err(error) if matches!(error.kind(), ErrorKind::NotFound) => Ok(false),
        Err(error) => Err(Error::io("list", names.logs(), error)),
    }
}

/// Brings the store under `names` back; the lock is held.
///
/// # Errors
/// [`Error::Damaged`] unless damage is to be skipped, [`Error::NewerFormat`], [`Error::Io`].
pub fn recover(
    options: &Options,
    names: &Names,
    on_damage: OnDamage,
    trust: Trust,
) -> Result<Recovered> {
    recover_with(options, names, on_damage, trust, &mut |_| {})
}

/// As [`recover`], and tells after each segment how far the replay is.
///
/// # Errors
/// As [`recover`].
pub fn recover_with(
    options: &Options,
    names: &Names,
    on_damage: OnDamage,
    trust: Trust,
    progress: &mut dyn FnMut(Progress),
) -> Result<Recovered> {
    let disk = &*options.disk;
    if on_damage == OnDamage::Refuse {
        // The last process may have been killed between giving a file its name and making the name
        // durable: what is relied on from here on must not be undone by a power cut.
        disk.sync_directory(names.logs()).map_err(|e| Error::io("sync", names.logs(), e))?;
    }
    let files = disk.list(names.logs()).map_err(|e| Error::io("list", names.logs(), e))?;
    let mut kvs1_logs = kvs1::logs(disk, names)?;
    let mut manifest = match Manifest::load(disk, names)? {
        Some(manifest) => {
            kvs1_logs = left_to_convert(disk, &manifest, kvs1_logs)?;
            manifest
        }
        None => first_manifest(options, names, &files, &kvs1_logs, on_damage)?,
    };
    if manifest.origin == Origin::Kvs1Converting {
        // What was converted so far is not whole: it is converted anew.
        manifest.segments.clear();
    }
    let outdated = check_newest(disk, names, &files, &manifest);
    if on_damage == OnDamage::Refuse {
        outdated.clone()?;
        tidy(disk, names, &files, &manifest, &kvs1_logs)?;
    }
    let segments = Arc::new(Segments::new(Arc::clone(&options.disk), names.clone(), &manifest));
    let mut recovery = Recovery {
        options,
        on_damage,
        segments: Arc::clone(&segments),
        index: Index::new(),
        checkpoint: HashMap::new(),
        damage: Vec::new(),
        report: RecoveryReport::default(),
        newest: Sequence(manifest.next_sequence.0 - 1),
        checkpointed: None,
        last_in_log: None,
        replicated: Replayed::default(),
        tombstones: Vec::new(),
    };
    recovery.damage.extend(outdated.err());
    recovery.adopt(&manifest)?;
    if trust == Trust::Checkpoint {
        recovery.load_checkpoint(names);
    }
    recovery.replay_all(progress)?;
    let conversion = (manifest.origin == Origin::Kvs1Converting).then_some(kvs1_logs);
    recovery.finish(conversion)
}

/// Which of what looks like KVS1 logs truly are, beside a manifest: an empty file may as well be a
/// segment whose making was cut.
fn left_to_convert(
    disk: &dyn Disk,
    manifest: &Manifest,
    logs: Vec<kvs1::Kvs1Log>,
) -> Result<Vec<kvs1::Kvs1Log>> {
    let mut left = Vec::new();
    for log in logs {
        if manifest.origin != Origin::Native && !log.is_empty(disk)? {
            left.push(log);
        }
    }
    Ok(left)
}

/// The manifest of a store that has none yet.
fn first_manifest(
    options: &Options,
    names: &Names,
    files: &[String],
    kvs1_logs: &[kvs1::Kvs1Log],
    on_damage: OnDamage,
) -> Result<Manifest> {
    for file in files.iter().filter(|file| log_number(file).is_some()) {
        if starts_with_magic(&*options.disk, &names.logs().join(file))? {
            let detail = "the manifest is missing while segments are there";
            return Err(Error::damaged(&names.manifest(), 0, detail));
        }
    }
    // Above every number in use, even by files that are none of ours.
    let newest = files.iter().filter_map(|file| log_number(file)).max().unwrap_or(0);
    let converting = !kvs1_logs.is_empty();
    let manifest = Manifest {
        store: options.disk.random(),
        hash_seed: options.disk.random(),
        next_segment: SegmentId(newest + 1),
        next_sequence: Sequence(1),
        origin: if converting { Origin::Kvs1Converting } else { Origin::Native },
        clock: options.disk.wall_clock(),
        segments: Vec::new(),
    };
    if on_damage == OnDamage::Refuse {
        manifest.save(&*options.disk, names)?;
    }
    Ok(manifest)
}

/// Refuses a manifest that is older than the segments: a segment gets its first record only once
/// the manifest that names it is durable.
fn check_newest(
    disk: &dyn Disk,
    names: &Names,
    files: &[String],
    manifest: &Manifest,
) -> Result<()> {
    for number in files.iter().filter_map(|file| log_number(file)) {
        let path = names.segment(SegmentId(number));
        if SegmentId(number) < manifest.next_segment || !has_records(disk, &path)? {
            continue;
        }
        let detail = format!("this manifest is older than segment {number}");
        return Err(Error::damaged(&names.manifest(), 0, detail));
    }
    Ok(())
}

/// Whether a file is a segment with something behind its header.
fn has_records(disk: &dyn Disk, path: &Path) -> Result<bool> {
    let file = match disk.open(path, Access::ReadOnly) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(Error::io("open", path, error)),
    };
    let length = file.length().min(HEADER_LENGTH + record::HEADER_LENGTH as u64) as usize;
    let start = file.read_copy(0, length).map_err(|e| Error::io("read", path, e))?;
    let records = start.get(HEADER_LENGTH as usize..).unwrap_or_default();
    Ok(start.starts_with(&SEGMENT_MAGIC) && records.iter().any(|byte| *byte != 0))
}

/// Removes what a cut-off operation left and puts the files of a converted KVS1 store aside.
fn tidy(
    disk: &dyn Disk,
    names: &Names,
    files: &[String],
    manifest: &Manifest,
    kvs1_logs: &[kvs1::Kvs1Log],
) -> Result<()> {
    let remove = |path: &Path| match disk.remove(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(Error::io("remove", path, error)),
        _ => Ok(()),
    };
    for file in files {
        let path = names.logs().join(file);
        if is_temporary(file) {
            remove(&path)?;
        }
        let Some(number) = log_number(file) else { continue };
        let known = manifest.segments.iter().any(|segment| segment.id.0 == number);
        let kvs1 = kvs1_logs.iter().any(|log| log.number() == number);
        if !known && !kvs1 && is_ours(disk, &path)? {
            remove(&path)?;
        }
    }
    if manifest.origin == Origin::Kvs1Converted && !kvs1_logs.is_empty() {
        kvs1::put_aside(disk, names, kvs1_logs)?;
    }
    Ok(())
}

fn first_bytes(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>> {
    let file = disk.open(path, Access::ReadOnly).map_err(|e| Error::io("open", path, e))?;
    let length = file.length().min(SEGMENT_MAGIC.len() as u64) as usize;
    file.read_copy(0, length).map_err(|e| Error::io("read", path, e))
}

fn starts_with_magic(disk: &dyn Disk, path: &Path) -> Result<bool> {
    Ok(first_bytes(disk, path)? == SEGMENT_MAGIC)
}

/// Whether a file is a segment, or the torn beginning of one. Others are left alone.
fn is_ours(disk: &dyn Disk, path: &Path) -> Result<bool> {
    let start = first_bytes(disk, path)?;
    let written = start.iter().zip(SEGMENT_MAGIC).take_while(|(byte, magic)| **byte == *magic);
    let written = written.count();
    Ok(start[written..].iter().all(|byte| *byte == 0))
}

/// A recovery on its way.
struct Recovery<'a> {
    options: &'a Options,
    on_damage: OnDamage,
    segments: Arc<Segments>,
    index: Index,
    /// What the checkpoint knows of each segment.
    checkpoint: HashMap<SegmentId, SegmentRecord>,
    damage: Vec<Error>,
    report: RecoveryReport,
    newest: Sequence,
    /// The newest sequence the checkpoint knows of.
    checkpointed: Option<Sequence>,
    /// The last record of the log that was replayed.
    last_in_log: Option<(SegmentId, Sequence)>,
    /// Replicated logs.
    replicated: Replayed,
    /// Tombstones in the index, for the time of the replay: they hide older records that come later.
    tombstones: Vec<(crate::index::KeyHash, crate::ids::Location)>,
}

impl Recovery<'_> {
    /// Passes damage on, or notes it.
    fn damaged(&mut self, error: Error) -> Result<()> {
        if self.on_damage == OnDamage::Refuse {
            return Err(error);
        }
        self.damage.push(error);
        Ok(())
    }

    fn adopt(&mut self, manifest: &Manifest) -> Result<()> {
        for entry in &manifest.segments {
            let mut entry = *entry;
            if self.on_damage == OnDamage::Skip {
                // Sealed files are opened to be read only; so must these be now.
                entry.state = State::Sealed;
            }
            let adopted = self.segments.adopt(&entry, self.options.segment_size);
            let checked = adopted.and_then(|segment| {
                let file = segment.file();
                let length = file.length().min(HEADER_LENGTH) as usize;
                let header = file.read_copy(0, length);
                let header = header.map_err(|error| segment.read_error(0, error))?;
                check_header(&header, &segment.path, self.segments.store, &entry)
            });
            if let Err(error) = checked {
                self.damaged(error)?;
            }
        }
        Ok(())
    }

    /// Loads the checkpoint if it is perfect. It is a cache: no failure matters.
    fn load_checkpoint(&mut self, names: &Names) {
        let loaded = Checkpoint::load(&*self.options.disk, names, self.segments.store);
        let Ok(Some(checkpoint)) = loaded else { return };
        let known: HashMap<_, _> =
            self.segments.all().iter().map(|segment| (segment.id, segment.slot)).collect();
        let path = names.checkpoint();
        if checkpoint.restore(&self.index, |id| known.get(&id).copied(), &path).is_err() {
            self.index = Index::new();
            return;
        }
        self.report.keys_from_checkpoint = self.index.len();
        let checkpointed = Sequence(checkpoint.next_sequence.0.saturating_sub(1));
        self.checkpointed = Some(checkpointed);
        self.newest = self.newest.max(checkpointed);
        for record in checkpoint.segments {
            let Some(segment) = self.segments.by_id(record.id) else { continue };
            segment.add_usage(&record.usage);
            segment.set_spared(record.spared());
            // The index points here already, whatever is replayed before it.
            segment.set_end(record.synced.max(HEADER_LENGTH).min(segment.file().length()));
            self.checkpoint.insert(record.id, record);
        }
    }

    /// Whether the last record of `segment` has the newest sequence of all that is known of. If not,
    /// a power cut took what was written after it.
    fn ends_log(&self, segment: &Segment) -> Result<bool> {
        match self.last_in_log {
            Some((id, last)) if id == segment.id => Ok(last == self.newest),
            // Whatever the checkpoint knew of was synced with it.
            _ if self.checkpointed == Some(self.newest) => Ok(true),
            _ => match replay::last_sequence(segment) {
                Err(error) if error.is_damage() => Ok(false),
                last => Ok(last? == Some(self.newest)),
            },
        }
    }

    fn finish(mut self, conversion: Option<Vec<kvs1::Kvs1Log>>) -> Result<Recovered> {
        let aside = self.replicated.take_aside();
        self.replay_entries(&aside)?;
        let mut writer = self.index.writer();
        for (hash, location) in std::mem::take(&mut self.tombstones) {
            writer.remove(hash, location);
        }
        drop(writer);
        self.segments.set_next_sequence(self.newest.next());
        self.segments.set_applied(self.replicated.reflected(self.newest));
        let (replicas, missing) = std::mem::take(&mut self.replicated).finish();
        if let Some(missing) = missing {
            self.damaged(missing)?;
        }
        for segment in self.segments.all() {
            segment.set_applied(replicas.reflected_end(&segment));
        }
        let (mut active, mut filled) = (None, Vec::new());
        let mut unused = Vec::new();
        for segment in self.segments.all() {
            if segment.is_sealed() {
                continue;
            }
            match (segment.role, segment.records_length()) {
                (Role::Log, _) if active.is_none() => active = Some(segment),
                (_, 0) => unused.push(segment),
                (Role::Survivors, _) => filled.push(segment),
                (Role::Log, _) => filled.extend(active.replace(segment)),
            }
        }
        if self.on_damage == OnDamage::Refuse
            && let Some(last) = active.take_if(|segment| segment.records_length() > 0)
        {
            if self.ends_log(&last)? {
                active = Some(last);
            } else {
                // The next segment goes on with a gap, which must not look like a loss.
                last.set_synced(last.end());
                self.segments.seal(&[last])?;
            }
        }
        if !unused.is_empty() && self.on_damage == OnDamage::Refuse {
            self.segments.retire(&unused)?;
        }
        Ok(Recovered {
            segments: self.segments,
            index: self.index,
            replicas,
            active,
            filled,
            damage: self.damage,
            conversion,
            report: self.report,
        })
    }
}

#[cfg(test)]
mod tests;
