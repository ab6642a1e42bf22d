//! `compact`: rewrites the log without what is stale.

use aryavarth::Create;
use indicatif::HumanBytes;
use serde_json::json;

use super::Context;
use crate::failure::Result;
use crate::output::{Output, counted};
use crate::progress::{Progress, Unit};

/// Runs the command.
///
/// # Errors
/// Whatever opening and rewriting give.
pub fn run(context: &Context, output: &mut Output) -> Result<()> {
    let store = context.work(Create::Never)?;
    let mut progress = Progress::new("compacting", Unit::Bytes);
    let done = store.compact_with(|step| progress.update(step.done, Some(step.total)))?;
    store.close()?;
    drop(progress);
    let json = json!({ "segments": done.segments, "bytes_freed": done.bytes_freed });
    let (segments, freed) = (counted(done.segments, "segment"), HumanBytes(done.bytes_freed));
    output.result(&json, &format!("compacted {segments}, freed {freed}"))
}
