//! Reading everything to see whether it is what was written.

use std::ops::ControlFlow;
use std::path::Path;

use crate::checkpoint::Checkpoint;
use crate::compaction::Progress;
use crate::disk::Disk;
use crate::error::{Error, Result};
use crate::kvs1::{self, Kvs1Log};
use crate::log::scan::{BatchTracker, Scanner, Step};
use crate::log::segment::{HEADER_LENGTH, Segment, check_header};
use crate::manifest::Manifest;
use crate::names::Names;
use crate::options::{Create, Options};
use crate::record::Malformed;
use crate::recovery::{self, OnDamage, Trust};
use crate::store::KvStore;
use crate::store::core::Core;

/// Bytes of a KVS1 log after which progress is told.
const PROGRESS_STEP: u64 = 4 << 20;

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
/// opened. Nothing is changed; of a KVS1 store that was not yet converted every line is read, each
/// file counting as a segment.
///
/// # Errors
/// [`Error::NoStore`], [`Error::Locked`], and [`Error::Io`] if the directory cannot be read at all.
pub fn verify_directory(
    directory: impl AsRef<Path>,
    options: &Options,
    mut progress: impl FnMut(Progress),
) -> Result<VerifyReport> {
    let directory = directory.as_ref();
    let names = Names::new(directory);
    let options = options.clone().create(Create::Never);
    let _lock = recovery::lock(&options, directory, &names)?;
    let verified = verify_closed(&options, &names, &mut progress);
    verified.or_else(|error| match error {
        Error::Damaged { .. } | Error::NewerFormat { .. } => {
            Ok(VerifyReport { damage: vec![error], ..VerifyReport::default() })
        }
        other => Err(other),
    })
}

fn verify_closed(
    options: &Options,
    names: &Names,
    progress: &mut dyn FnMut(Progress),
) -> Result<VerifyReport> {
    let disk = &*options.disk;
    let kvs1_logs = kvs1::unconverted(disk, names)?;
    if !kvs1_logs.is_empty() {
        return verify_kvs1(disk, &kvs1_logs, progress);
    }
    let (skip, records_only) = (OnDamage::Skip, Trust::RecordsOnly);
    let found = recovery::recover_with(options, names, skip, records_only, progress)?;
    let segments = found.segments.all();
    let mut report = VerifyReport {
        records: found.report.records_replayed,
        segments: segments.len() as u64,
        bytes: segments.iter().map(|segment| segment.end()).sum(),
        damage: found.damage,
    };
    if let Err(error) = Checkpoint::load(disk, names, found.segments.store) {
        report.damage.push(error);
    }
    Ok(report)
}

fn verify_kvs1(
    disk: &dyn Disk,
    logs: &[Kvs1Log],
    progress: &mut dyn FnMut(Progress),
) -> Result<VerifyReport> {
    let mut report = VerifyReport::default();
    let lengths = logs.iter().map(|log| log.length(disk)).collect::<Result<Vec<_>>>()?;
    let total = lengths.iter().sum();
    for (log, length) in logs.iter().zip(lengths) {
        let (before, mut told) = (report.bytes, 0);
        let read = log.lines(disk, |line| {
            match line.command {
                Ok(_) => report.records += 1,
                Err(error) => report.damage.push(error),
            }
            if line.offset - told >= PROGRESS_STEP {
                told = line.offset;
                progress(Progress { done: before + told, total });
            }
            ControlFlow::Continue(())
        });
        match read {
            Err(error @ Error::Kvs1 { .. }) => report.damage.push(error),
            read => read?,
        }
        report.segments += 1;
        report.bytes += length;
        progress(Progress { done: report.bytes, total });
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
        let next = scanner.behind_damage()?;
        scanner.seek(next);
        tracker = BatchTracker::new(next);
    }
}
