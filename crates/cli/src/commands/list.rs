//! `list`: prints the keys, one a line, in no particular order.

use aryavarth::Create;

use super::Context;
use crate::arguments::List;
use crate::exit::Exit;
use crate::failure::{Result, warn};
use crate::formats::escape;
use crate::output::{Output, Style, counted};
use crate::spelling::{JsonEntry, Values};
use crate::store::{Detail, Flow, Query, Record};

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
    let detail = match (values, output.style()) {
        (Values::Hidden, Style::Text) => Detail::Key,
        (Values::Hidden, Style::Json) => Detail::Expiry,
        (Values::Shown, Style::Text) => Detail::Value,
        (Values::Shown, Style::Json) => Detail::Everything,
    };
    let mut store = context.visit(Create::Never)?;
    let mut left = arguments.limit.unwrap_or(usize::MAX);
    if left == 0 {
        return Ok(());
    }
    let left_out = store.list(&Query { prefix: &prefix, detail }, &mut |record| {
        match output.style() {
            Style::Json => output.json(&JsonEntry::new(&record, values))?,
            Style::Text => output.bytes(&text(&record, values))?,
        }
        left -= 1;
        Ok(if left == 0 { Flow::Stop } else { Flow::Continue })
    })?;
    if left_out > 0 {
        let keys = counted(left_out, "key");
        let message = format!("left out {keys} of other types than strings");
        warn(output.style(), Exit::Input, &message);
    }
    Ok(())
}

fn text(record: &Record, values: Values) -> Vec<u8> {
    let mut line = Vec::new();
    escape(&record.key, &mut line);
    if values == Values::Shown {
        line.push(b'\t');
        escape(&record.value, &mut line);
    }
    line.push(b'\n');
    line
}
