//! `rm`: removes keys, all in one batch.

use std::ffi::OsString;

use aryavarth::Create;

use super::Context;
use crate::arguments::Rm;
use crate::exit::Exit;
use crate::failure::{Failure, Result};

/// Runs the command.
///
/// # Errors
/// [`Exit::NotFound`] if any key was not there; whatever opening and writing give.
pub fn run(arguments: &Rm, context: &Context) -> Result<()> {
    let keys = arguments.keys.iter().map(|text| arguments.spelling.bytes(text));
    let keys: Vec<Vec<u8>> = keys.collect::<Result<_>>()?;
    let mut store = context.visit(Create::Never)?;
    let found = store.remove(&keys)?;
    store.close()?;
    let asked = arguments.keys.iter().zip(found);
    let missing: Vec<&OsString> = asked.filter(|(_, found)| !found).map(|(text, _)| text).collect();
    if missing.is_empty() { Ok(()) } else { Err(not_found(&missing, arguments.keys.len())) }
}

fn not_found(missing: &[&OsString], asked: usize) -> Failure {
    if asked == 1 {
        return Failure::key_not_found();
    }
    let keys: Vec<String> = missing.iter().map(|key| key.display().to_string()).collect();
    Failure::new(Exit::NotFound, format!("Key not found: {}", keys.join(", ")))
}
