//! `backup` and `restore`: a copy of the store, and a store from a copy.

use aryavarth::{BackupReport, KvStore, restore};
use indicatif::HumanBytes;
use serde_json::json;

use super::Context;
use crate::arguments::{Backup, Restore};
use crate::failure::Result;
use crate::output::{Output, counted};
use crate::progress::{Progress, Unit};

/// Runs `backup`.
///
/// # Errors
/// Whatever opening and copying give.
pub fn run(arguments: &Backup, context: &Context, output: &mut Output) -> Result<()> {
    let report =
        KvStore::open_with(context.directory()?, context.reading())?.backup(&arguments.to)?;
    tell("backed up", &report, output)
}

/// Runs `restore`.
///
/// # Errors
/// Whatever checking and copying give.
pub fn run_restore(arguments: &Restore, context: &Context, output: &mut Output) -> Result<()> {
    let mut progress = Progress::new("restoring", Unit::Bytes);
    let (from, to) = (&arguments.backup, context.directory()?);
    let report = restore(from, to, &context.reading(), |step| {
        progress.update(step.done, Some(step.total));
    })?;
    drop(progress);
    tell("restored", &report, output)
}

fn tell(done: &str, report: &BackupReport, output: &mut Output) -> Result<()> {
    let json = json!({ "segments": report.segments, "bytes": report.bytes });
    let (segments, bytes) = (counted(report.segments, "segment"), HumanBytes(report.bytes));
    output.result(&json, &format!("{done} {segments}, {bytes}"))
}
