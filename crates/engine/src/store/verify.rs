//! Reading everything to see whether it is what was written.

use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::compaction::Progress;
use crate::error::{Error, Result};
use crate::log::scan::{BatchTracker, Beyond, Scanner, Step};
use crate::log::segment::{HEADER_LENGTH, Segment, check_header};
use crate::manifest::Manifest;
use crate::names::Names;
use crate::options::{Create, Options};
use crate::record::Malformed;
use crate::recovery::{self, OnDamage, Trust};
use crate::store::KvStore;
use crate::store::core::Core;

/// What a verification has found.
#[derive(Clone, Debug, Default)]
pub struct VerifyReport {
    /// Whole records.
    pub records: u64,
    /// Segments looked through.
    pub segments: u64,
    /// Bytes looked through.
    pub bytes: u64,
    /// Everything that is not as it was written, with its file and offset. Empty: all is well.
    pub damage: Vec<Error>,
}

impl VerifyReport {
    /// Whether all is as it was written.
    pub fn is_intact(&self) -> bool {
        self.damage.is_empty()
    }
}

impl KvStore {
    /// Reads every record of the log, the manifest and the checkpoint, and proves them by their
    /// checksums. Writers go on; what they write meanwhile is not looked at.
    ///
    /// # Errors
    /// [`Error::Closed`]. What is found is in the report.
    pub fn verify(&self, progress: impl FnMut(Progress)) -> Result<VerifyReport> {
        let core = self.core();
        core.check_open()?;
        // Segments must not be retired under our hands.
        let _survivors = core.maintenance.lock().expect("no panic during maintenance");
        let mut report = VerifyReport::default();
        verify_lists(core, &mut report);
        verify_segments(core, &mut report, progress);
        Ok(report)
    }
}

/// Verifies the store in `directory` without opening it for use: also one that is too damaged to be
/// opened. Nothing is changed.
///
/// # Errors
/// [`Error::NoStore`], [`Error::Locked`], and [`Error::Io`] if the directory cannot be read at all.
pub fn verify_directory(
    directory: impl AsRef<Path>,
    options: &Options,
    progress: impl FnMut(Progress),
) -> Result<VerifyReport> {
    let directory = directory.as_ref();
    let names = Names::new(directory);
    let options = options.clone().create(Create::Never);
    let _lock = recovery::lock(&options, directory, &names)?;
    let mut report = VerifyReport::default();
    let found = recovery::recover(&options, &names, OnDamage::Skip, Trust::RecordsOnly);
    let found = match found {
        Ok(found) => found,
        Err(error @ (Error::Damaged { .. } | Error::NewerFormat { .. })) => {
            report.damage.push(error);
            return Ok(report);
        }
        Err(error) => return Err(error),
    };
    report.damage = found.damage;
    report.records = found.report.records_replayed;
    let segments = found.segments.all();
    report.segments = segments.len() as u64;
    report.bytes = segments.iter().map(|segment| segment.end()).sum();
    let mut progress = progress;
    progress(Progress { done: report.bytes, total: report.bytes });
    let store = found.segments.store;
    if let Err(error) = Checkpoint::load(&*options.disk, &names, store) {
        report.damage.push(error);
    }
    Ok(report)
}

fn verify_lists(core: &Core, report: &mut VerifyReport) {
    let (disk, names) = (&*core.segments.disk, &core.segments.names);
    match Manifest::load(disk, names) {
        Ok(Some(_)) => {}
        Ok(None) => {
            report.damage.push(Error::damaged(&names.manifest(), 0, "the manifest is missing"));
        }
        Err(error) => report.damage.push(error),
    }
    if let Err(error) = Checkpoint::load(disk, names, core.segments.store) {
        report.damage.push(error);
    }
}

fn verify_segments(core: &Core, report: &mut VerifyReport, mut progress: impl FnMut(Progress)) {
    let segments: Vec<_> = core.segments.all().into_iter().map(|s| (s.end(), s)).collect();
    let total = segments.iter().map(|(end, _)| end).sum();
    for (end, segment) in &segments {
        if let Err(error) = verify_segment(core, segment, *end, report) {
            report.damage.push(error);
        }
        report.segments += 1;
        report.bytes += end;
        progress(Progress { done: report.bytes, total });
    }
}

fn verify_segment(
    core: &Core,
    segment: &Segment,
    end: u64,
    report: &mut VerifyReport,
) -> Result<()> {
    let path = &segment.path;
    let disk = &core.segments.disk;
    let file = disk.open(path, crate::disk::Access::ReadOnly);
    let file = file.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => Error::damaged(path, 0, "the file is missing"),
        _ => Error::io("open", path, error),
    })?;
    if file.length() < end {
        let detail = format!("the file has {} bytes of {end}", file.length());
        report.damage.push(Error::damaged(path, file.length(), detail));
    }
    let header = file.read_copy(0, HEADER_LENGTH.min(file.length()) as usize);
    let header = header.map_err(|error| segment.read_error(0, error))?;
    if let Err(error) = check_header(&header, path, core.segments.store, &segment.entry()) {
        report.damage.push(error);
    }
    let end = end.min(file.length());
    let mut scanner = Scanner::new(segment, &*file, HEADER_LENGTH, end);
    let mut tracker = BatchTracker::new(HEADER_LENGTH);
    loop {
        let offset = scanner.offset();
        let why = match scanner.step()? {
            Step::Record { offset, length, record } => {
                report.records += 1;
                tracker.follow(&record, offset + length);
                continue;
            }
            Step::End if tracker.start() == offset => return Ok(()),
            Step::End => {
                let short = Malformed::Short.describe();
                return Err(Error::damaged(path, tracker.start(), short));
            }
            Step::Bad(why) => why,
        };
        report.damage.push(Error::damaged(path, offset, why.describe()));
        let Beyond::Record { offset, .. } = scanner.search_beyond(|_, _| true)? else {
            return Ok(());
        };
        scanner.seek(offset);
        tracker = BatchTracker::new(offset);
    }
}
