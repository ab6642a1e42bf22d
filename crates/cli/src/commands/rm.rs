//! `rm`: removes keys, all in one batch.

use std::ffi::OsString;

use aryavarth::{Create, WriteBatch};

use super::Context;
use crate::arguments::Rm;
use crate::exit::Exit;
use crate::failure::{Failure, Result};

/// Runs the command.
///
/// # Errors
/// [`Exit::NotFound`] if any key was not there; whatever opening and writing give.
pub fn run(arguments: &Rm, context: &Context) -> Result<()> {
    let store = context.visit(Create::Never)?;
    let mut batch = WriteBatch::new();
    let mut missing = Vec::new();
    for text in &arguments.keys {
        let key = arguments.spelling.bytes(text)?;
        // The store is ours alone until we close it, so nobody takes the key in between.
        if store.contains(&key)? {
            batch.remove(key);
        } else {
            missing.push(text);
        }
    }
    if !batch.is_empty() {
        store.write(&batch)?;
    }
    store.close()?;
    if missing.is_empty() { Ok(()) } else { Err(not_found(&missing, arguments.keys.len())) }
}

fn not_found(missing: &[&OsString], asked: usize) -> Failure {
    if asked == 1 {
        return Failure::key_not_found();
    }
    let keys: Vec<String> = missing.iter().map(|key| key.display().to_string()).collect();
    Failure::new(Exit::NotFound, format!("Key not found: {}", keys.join(", ")))
}
