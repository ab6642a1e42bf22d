//! `log`: prints the log as it is, one JSON object a record, readable like a KVS1 log.

use std::fmt::Write as _;
use std::ops::ControlFlow;

use aryavarth::{BatchPlace, EntryId, LogOperation, LogRecord, read_log};
use serde::Serialize;

use super::Context;
use crate::arguments::Log;
use crate::failure::Result;
use crate::formats::JsonRecord;
use crate::output::Output;

/// One line.
#[derive(Serialize)]
struct Line<'a> {
    #[serde(flatten)]
    record: Shown<'a>,
    #[serde(flatten)]
    physical: Option<Physical>,
}

/// What a record does.
#[derive(Serialize)]
#[serde(untagged)]
enum Shown<'a> {
    Key(JsonRecord<'a>),
    Replicated(JsonReplicated),
}

/// A record of a replicated log, which is of no key.
#[derive(Serialize)]
struct JsonReplicated {
    cmd: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    shard: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    term: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    committed: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    purged: Option<u64>,
}

impl JsonReplicated {
    fn of(operation: &LogOperation) -> JsonReplicated {
        let (cmd, shard, id, committed, purged) = match operation {
            LogOperation::Entry { shard, id, committed, config } => {
                let cmd = if config.is_some() { "Config" } else { "Entry" };
                (cmd, Some(*shard), Some(*id), *committed, None)
            }
            LogOperation::State { shard, is_here, purged, committed, .. } => {
                let cmd = if *is_here { "State" } else { "Gone" };
                let index = |id: &Option<EntryId>| id.map(|id| id.index);
                (cmd, Some(*shard), None, index(committed), index(purged))
            }
            _ => ("Unclear", None, None, None, None),
        };
        JsonReplicated {
            cmd,
            shard: shard.map(|shard| shard.0),
            term: id.map(|id| id.term.0),
            index: id.map(|id| id.index.0),
            committed: committed.map(|index| index.0),
            purged: purged.map(|index| index.0),
        }
    }
}

/// Where a record is, and its bytes.
#[derive(Serialize)]
struct Physical {
    segment: u64,
    offset: u64,
    length: u64,
    sequence: u64,
    batch: &'static str,
    hex: String,
}

/// What is printed of each record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum View {
    /// What it does.
    Logical,
    /// That, where it is, and its bytes.
    Physical,
}

/// Runs the command.
///
/// # Errors
/// Whatever reading gives, after all records before it are printed.
pub fn run(arguments: &Log, context: &Context, output: &mut Output) -> Result<()> {
    let view = if arguments.physical { View::Physical } else { View::Logical };
    let mut left = arguments.limit.unwrap_or(usize::MAX);
    let mut printed = Ok(());
    if left == 0 {
        return Ok(());
    }
    read_log(context.directory()?, &context.reading(), |record| {
        printed = output.json(&line(&record, view));
        left -= 1;
        if printed.is_err() || left == 0 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    })?;
    printed
}

fn line(record: &LogRecord, view: View) -> Line<'_> {
    let shown = match &record.operation {
        LogOperation::Set { key, value } => {
            Shown::Key(JsonRecord::set(key, value, record.expires_at))
        }
        LogOperation::Remove { key } => Shown::Key(JsonRecord::remove(key)),
        operation => Shown::Replicated(JsonReplicated::of(operation)),
    };
    let physical = (view == View::Physical).then(|| Physical {
        segment: record.position.segment.0,
        offset: record.position.offset,
        length: record.length,
        sequence: record.sequence.0,
        batch: match record.batch {
            BatchPlace::Single => "single",
            BatchPlace::Continues => "continues",
            BatchPlace::Last => "last",
        },
        hex: hex(&record.raw),
    });
    Line { record: shown, physical }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut hex, byte| {
        write!(hex, "{byte:02x}").expect("a String takes all text");
        hex
    })
}
