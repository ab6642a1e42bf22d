//! `import`: stores the records of a file, batch by batch. With `--from`, see [`copy`](super::copy).
//!
//! At a bad line, all records before it are stored, and the message says how many.

use aryavarth::limits::{MAX_KEY_LENGTH, MAX_VALUE_LENGTH};
use serde_json::json;

use super::fill::{Acknowledge, Filler, Unfit};
use super::{Context, copy};
use crate::arguments::Import;
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::files::{Place, Source};
use crate::formats::Format;
use crate::output::{Output, Style, counted};
use crate::progress::{Progress, Unit};

/// Longest line taken, in bytes: the longest key and value with every byte spelled `\u00xx`, and
/// names.
const MAX_LINE_LENGTH: usize = 6 * (MAX_KEY_LENGTH + MAX_VALUE_LENGTH) + 1024;

/// Runs the command.
///
/// # Errors
/// [`Exit::Input`] names the line that cannot be taken; whatever reading and writing give.
pub fn run(arguments: Import, context: &Context, output: &mut Output) -> Result<()> {
    match (&arguments.from, &arguments.file) {
        (Some(url), _) => copy::run(url, &arguments, context, output),
        (None, Some(place)) => from_file(place, &arguments, context, output),
        (None, None) => Err(Failure::new(Exit::Usage, "name a file, or a server with --from")),
    }
}

fn from_file(
    place: &Place,
    arguments: &Import,
    context: &Context,
    output: &mut Output,
) -> Result<()> {
    let format = arguments.format.unwrap_or_else(|| Format::of(place));
    let source = Source::open(place)?;
    let ingest = context.fill()?;
    let acknowledge =
        if arguments.acknowledge { Acknowledge::EachBatch } else { Acknowledge::Nothing };
    let mut filler = Filler::new(ingest, arguments.batch, acknowledge, output);
    let read = lines(&mut filler, source, format, &place.input_name());
    let result = finish(&mut filler, read);
    let (records, batches) = (filler.stored, filler.batches);
    let closed = filler.close();
    result?;
    closed?;
    if output.style() == Style::Text && acknowledge == Acknowledge::EachBatch {
        return Ok(());
    }
    let json = json!({ "records": records, "batches": batches });
    output.result(&json, &format!("imported {}", counted(records, "record")))
}

/// Why no more lines are read.
enum Stop {
    /// This line cannot be taken.
    BadLine(String),
    /// A batch was not stored, or the file cannot be read, or the count not be told.
    Failed(Failure),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failed(failure)
    }
}

/// Reads all lines and submits them in batches; the last one may be left over.
fn lines(
    filler: &mut Filler<'_>,
    mut source: Source,
    format: Format,
    name: &str,
) -> std::result::Result<(), Stop> {
    let mut progress = Progress::new("importing", Unit::Bytes);
    let mut line = Vec::new();
    let (mut number, mut read) = (0, 0);
    while source.read_line(&mut line, MAX_LINE_LENGTH)? {
        number += 1;
        read += line.len() as u64;
        add(filler, &line, format, number)
            .map_err(|detail| Stop::BadLine(format!("{name}:{number}: {detail}")))?;
        if filler.is_full() {
            filler.submit()?;
            progress.update(read, source.length);
        }
    }
    Ok(())
}

/// Adds one line to the batch.
fn add(
    filler: &mut Filler<'_>,
    line: &[u8],
    format: Format,
    number: u64,
) -> std::result::Result<(), String> {
    let line = match line.strip_suffix(b"\n") {
        Some(line) => line,
        None if line.len() == MAX_LINE_LENGTH => return Err("line too long".to_owned()),
        None => line,
    };
    let Some(operation) = format.parse(line, number)? else { return Ok(()) };
    if let Some(unfit) = Unfit::of(&operation) {
        return Err(unfit.detail());
    }
    filler.add(operation);
    Ok(())
}

/// Waits until all that was submitted is stored, and what was read before a bad line too.
fn finish(filler: &mut Filler<'_>, read: std::result::Result<(), Stop>) -> Result<()> {
    let read = match read {
        Ok(()) => filler.submit().map_err(Stop::Failed),
        Err(Stop::BadLine(message)) => match filler.submit() {
            Ok(()) => Err(Stop::BadLine(message)),
            Err(failure) => Err(Stop::Failed(failure)),
        },
        failed => failed,
    };
    let settled = filler.settle_all();
    let stored = counted(filler.stored, "record");
    match read {
        Err(Stop::Failed(failure)) => Err(failure.prefixed(&format!("after {stored}"))),
        read => {
            settled.map_err(|failure| failure.prefixed(&format!("after {stored}")))?;
            let Err(Stop::BadLine(message)) = read else { return Ok(()) };
            let message = format!("{message}; stored what is before it: {stored}");
            Err(Failure::new(Exit::Input, message))
        }
    }
}
