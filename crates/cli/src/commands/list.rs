//! `list`: prints the keys, one a line, in no particular order.

use aryavarth::{Create, Entry};

use super::Context;
use crate::arguments::List;
use crate::failure::Result;
use crate::formats::escape;
use crate::output::{Output, Style};
use crate::spelling::{JsonEntry, Values};

/// Runs the command.
///
/// # Errors
/// Whatever opening and reading give.
pub fn run(arguments: &List, context: &Context, output: &mut Output) -> Result<()> {
    let prefix = match &arguments.prefix {
        Some(text) => arguments.spelling.bytes(text)?,
        None => Vec::new(),
    };
    let values = if arguments.values { Values::Shown } else { Values::Hidden };
    let store = context.visit(Create::Never)?;
    for entry in store.iter_prefix(prefix).take(arguments.limit.unwrap_or(usize::MAX)) {
        let entry = entry?;
        match output.style() {
            Style::Json => output.json(&JsonEntry::new(&entry, values))?,
            Style::Text => output.bytes(&text(&entry, values))?,
        }
    }
    Ok(())
}

fn text(entry: &Entry, values: Values) -> Vec<u8> {
    let mut line = Vec::new();
    escape(&entry.key, &mut line);
    if values == Values::Shown {
        line.push(b'\t');
        escape(&entry.value, &mut line);
    }
    line.push(b'\n');
    line
}
