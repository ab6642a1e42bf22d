//! `verify`: checks every byte of the store, without opening it, so that nothing is changed and a
//! store too damaged to open can be looked at.

use aryavarth::{Error, verify_directory};
use indicatif::HumanBytes;
use serde_json::{Value, json};

use super::Context;
use crate::exit::Exit;
use crate::failure::{Failure, Result, finding};
use crate::output::{Output, Style, counted};
use crate::progress::{Progress, Unit};

/// Runs the command.
///
/// # Errors
/// [`Exit::Damage`] if there is any, after all of it is printed.
pub fn run(context: &Context, output: &mut Output) -> Result<()> {
    let mut progress = Progress::new("verifying", Unit::Bytes);
    let report = verify_directory(context.directory()?, &context.reading(), |step| {
        progress.update(step.done, Some(step.total));
    })?;
    drop(progress);
    let damage = &report.damage;
    match output.style() {
        Style::Json => output.json(&json!({
            "records": report.records,
            "segments": report.segments,
            "bytes": report.bytes,
            "damage": damage.iter().map(place).collect::<Vec<_>>(),
        }))?,
        Style::Text => {
            for error in damage {
                output.line(&finding(error))?;
            }
            output.line(&format!(
                "checked {} in {}, {}: {}",
                counted(report.records, "record"),
                counted(report.segments, "segment"),
                HumanBytes(report.bytes),
                if damage.is_empty() { "all intact" } else { "damaged" },
            ))?;
        }
    }
    match damage.len() as u64 {
        0 => Ok(()),
        places => {
            let failure =
                Failure::new(Exit::Damage, format!("damage in {}", counted(places, "place")));
            Err(failure.hinted(Exit::Damage, advice(damage)))
        }
    }
}

fn advice(damage: &[Error]) -> &'static str {
    if damage.iter().all(|error| matches!(error, Error::Kvs1 { .. })) {
        return "the store is in the old format, one JSON object a line; mend or remove the named \
                lines with an editor";
    }
    "restore the named files from a backup, or save the rest with `aryavarth export --skip-damaged`"
}

fn place(error: &Error) -> Value {
    match error {
        Error::Damaged { path, offset, detail } => {
            json!({ "path": path.to_string_lossy(), "offset": offset, "detail": detail })
        }
        Error::Kvs1 { path, line, detail } => {
            json!({ "path": path.to_string_lossy(), "line": line, "detail": detail })
        }
        other => json!({ "detail": other.to_string() }),
    }
}
