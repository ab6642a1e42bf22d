//! `get`: prints the value of a key.

use aryavarth::Create;
use serde_json::json;

use super::Context;
use crate::arguments::Get;
use crate::failure::{Failure, Result};
use crate::files::{Place, Target};
use crate::output::{Output, Style};
use crate::spelling::{JsonEntry, Values};
use crate::store::{Detail, Record};

/// Runs the command.
///
/// # Errors
/// [`Failure::key_not_found`]; whatever opening and reading give.
pub fn run(arguments: &Get, context: &Context, output: &mut Output) -> Result<()> {
    let key = arguments.spelling.bytes(&arguments.key)?;
    let detail = match output.style() {
        Style::Text => Detail::Value,
        Style::Json => Detail::Everything,
    };
    let record = context.visit(Create::Never)?.entry(&key, detail)?;
    let record = record.ok_or_else(Failure::key_not_found)?;
    if let Some(path) = &arguments.output {
        let place = Place::File(path.clone());
        return save(&record, &place, output);
    }
    match output.style() {
        Style::Json => output.json(&JsonEntry::new(&record, Values::Shown)),
        Style::Text => {
            output.bytes(&record.value)?;
            if arguments.raw { Ok(()) } else { output.bytes(b"\n") }
        }
    }
}

fn save(record: &Record, place: &Place, output: &mut Output) -> Result<()> {
    let mut target = Target::create(place, output)?;
    target.write(&record.value)?;
    target.finish()?;
    match output.style() {
        Style::Text => Ok(()),
        Style::Json => output.json(&json!({
            "bytes": record.value.len(),
            "version": record.version,
            "expires_at": record.expires_at.map(|at| at.0),
        })),
    }
}
