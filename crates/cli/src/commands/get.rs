//! `get`: prints the value of a key.

use aryavarth::{Create, Entry};
use serde_json::json;

use super::Context;
use crate::arguments::Get;
use crate::failure::{Failure, Result};
use crate::files::{Place, Target};
use crate::output::{Output, Style};
use crate::spelling::{JsonEntry, Values};

/// Runs the command.
///
/// # Errors
/// [`Failure::key_not_found`]; whatever opening and reading give.
pub fn run(arguments: &Get, context: &Context, output: &mut Output) -> Result<()> {
    let key = arguments.spelling.bytes(&arguments.key)?;
    let store = context.visit(Create::Never)?;
    let entry = store.get_entry(key)?.ok_or_else(Failure::key_not_found)?;
    if let Some(path) = &arguments.output {
        let place = Place::File(path.clone());
        return save(&entry, &place, output);
    }
    match output.style() {
        Style::Json => output.json(&JsonEntry::new(&entry, Values::Shown)),
        Style::Text => {
            output.bytes(&entry.value)?;
            if arguments.raw { Ok(()) } else { output.bytes(b"\n") }
        }
    }
}

fn save(entry: &Entry, place: &Place, output: &mut Output) -> Result<()> {
    let mut target = Target::create(place, output)?;
    target.write(&entry.value)?;
    target.finish()?;
    match output.style() {
        Style::Text => Ok(()),
        Style::Json => output.json(&json!({
            "bytes": entry.value.len(),
            "version": entry.version.0,
            "expires_at": entry.expires_at.map(|at| at.0),
        })),
    }
}
