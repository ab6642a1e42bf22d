//! `compact`: rewrites the log without what is stale, as fast as the disk allows.
//!
//! Nobody else has the store meanwhile, so there is nobody to spare: the budget that keeps background
//! compaction out of the way is off unless `--budget` sets one. A checkpoint follows, as most of the
//! old one points to segments that are gone.

use aryavarth::{Create, KvStore};
use indicatif::HumanBytes;
use serde_json::json;

use super::Context;
use crate::arguments::Compact;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::output::{Output, counted};
use crate::progress::{Progress, Unit};

/// Runs the command.
///
/// # Errors
/// [`Exit::Damage`] if segments were left alone because of it, after all else is done; whatever
/// opening and rewriting give.
pub fn run(arguments: &Compact, context: &Context, output: &mut Output) -> Result<()> {
    let budget = arguments.budget.unwrap_or(u64::MAX);
    let options = context.reading().create(Create::Never).compaction_budget(budget);
    let store = KvStore::open_with(context.directory()?, options)?;
    let mut progress = Progress::new("compacting", Unit::Bytes);
    let done = store.compact_with(|step| progress.update(step.done, Some(step.total)))?;
    if done.segments > 0 {
        store.checkpoint()?;
    }
    let damaged = store.stats().quarantined_segments;
    store.close()?;
    drop(progress);
    let json = json!({ "segments": done.segments, "bytes_freed": done.bytes_freed });
    let (segments, freed) = (counted(done.segments, "segment"), HumanBytes(done.bytes_freed));
    output.result(&json, &format!("compacted {segments}, freed {freed}"))?;
    if damaged == 0 {
        return Ok(());
    }
    let message = format!("left alone what has damage in {}", counted(damaged, "segment"));
    Err(Failure::new(Exit::Damage, message).hinted(Exit::Damage, "`aryavarth verify` names it"))
}
