//! The old format: KVS1 logs, read so that their directories can be converted in place.
//!
//! A KVS1 store is `logs/1.log`, `logs/2.log`, …, replayed in the order of their numbers. Each line
//! is one JSON object, in either of two spellings and with the command's name in any case:
//!
//! ```text
//! {"cmd":"Set","key":"name","value":"john"}      {"Set":{"key":"name","value":"john"}}
//! {"cmd":"Remove","key":"name"}                  {"Remove":{"key":"name"}}      (or "rm")
//! ```
//!
//! Invariants:
//! - Nothing is skipped silently: a line that is not a command is [`Error::Kvs1`] with its number.
//!   Only what a crash leaves behind is dropped: an unfinished line at the very end of the *last*
//!   log.
//! - A file is read in chunks of 1 MiB; no more than one line and one chunk is held in memory.
//! - Nothing is written.

use std::io;
use std::ops::{ControlFlow, Range};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Map, Value};

use crate::disk::{Access, Disk, DiskFile};
use crate::error::{Error, Result};
use crate::limits::{MAX_KEY_LENGTH, MAX_VALUE_LENGTH};
use crate::manifest::{Manifest, Origin};
use crate::names::{self, Names};

/// Bytes asked of the disk at a time.
const CHUNK: usize = 1 << 20;
/// Bytes of a file that tell whether it is a KVS1 log.
const HEAD: usize = 4 << 10;
/// Longest line, in bytes: a key and a value of which each byte is spelled `\u00xx`, and the names.
const MAX_LINE_LENGTH: usize = 6 * (MAX_KEY_LENGTH + MAX_VALUE_LENGTH) + 1024;

/// What one line of a KVS1 log does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// Gives a key a value.
    Set {
        /// The key.
        key: String,
        /// Its new value.
        value: String,
    },
    /// Takes a key away.
    Remove {
        /// The key.
        key: String,
    },
}

/// The command on one line, given without its newline.
///
/// # Errors
/// What is wrong with the line, in words that can follow "line 7: ".
///
/// ```
/// use aryavarth::kvs1::{Command, parse_line};
/// let remove = Command::Remove { key: "a".to_owned() };
/// assert_eq!(parse_line(br#"{"cmd":"Remove","key":"a"}"#), Ok(remove.clone()));
/// assert_eq!(parse_line(br#"{"rm":{"key":"a"}}"#), Ok(remove));
/// assert!(parse_line(br#"{"cmd":"Set","key":"a","value":1}"#).is_err());
/// ```
pub fn parse_line(line: &[u8]) -> std::result::Result<Command, String> {
    parse(line).map_err(|malformed| match malformed {
        Malformed::NotJson(detail) | Malformed::NotACommand(detail) => detail,
    })
}

/// One KVS1 log of a directory.
#[derive(Clone, Debug)]
pub(crate) struct Kvs1Log {
    number: u64,
    path: PathBuf,
    end: End,
}

/// A line of a log that is not blank.
pub(crate) struct Line<'a> {
    /// Where it starts, in bytes.
    pub(crate) offset: u64,
    /// Its bytes, without the newline.
    pub(crate) bytes: &'a [u8],
    /// What it does, or [`Error::Kvs1`].
    pub(crate) command: Result<Command>,
}

/// What may stand at the end of a log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The last log: a crash may have cut its last line.
    MayBeTorn,
    /// An earlier log: it was finished before the next was begun.
    Whole,
}

/// The KVS1 logs of a store, in the order in which they are replayed; empty if there are none.
///
/// These are the files named `<number>.log` that are not segments and begin, after blank space,
/// with a `{`, or hold nothing but blank space.
///
/// # Errors
/// [`Error::Io`] if the directory or a file cannot be read.
pub(crate) fn logs(disk: &dyn Disk, names: &Names) -> Result<Vec<Kvs1Log>> {
    let entries = match disk.list(names.logs()) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io("list", names.logs(), error)),
    };
    let mut logs = Vec::new();
    for name in entries {
        let Some(number) = names::log_number(&name) else { continue };
        let path = names.logs().join(name);
        if is_kvs1(disk, &path)? {
            logs.push(Kvs1Log { number, path, end: End::Whole });
        }
    }
    logs.sort_by(|a, b| (a.number, &a.path).cmp(&(b.number, &b.path)));
    // An empty log ends nothing: it may be a segment whose making was cut.
    for log in logs.iter_mut().rev() {
        log.end = End::MayBeTorn;
        if !log.is_empty(disk)? {
            break;
        }
    }
    Ok(logs)
}

/// The logs of a store that was not yet converted, or not to its end. Empty if there is none.
///
/// # Errors
/// As [`logs`], and of the manifest.
pub(crate) fn unconverted(disk: &dyn Disk, names: &Names) -> Result<Vec<Kvs1Log>> {
    let mut logs = logs(disk, names)?;
    if logs.is_empty() {
        return Ok(logs);
    }
    match Manifest::load(disk, names)? {
        Some(manifest) if manifest.origin == Origin::Kvs1Converting => {
            // An empty file may as well be a segment whose making was cut.
            logs.retain(|log| !log.is_empty(disk).is_ok_and(|empty| empty));
            Ok(logs)
        }
        None if !has_segments(disk, names)? => Ok(logs),
        _ => Ok(Vec::new()),
    }
}

fn has_segments(disk: &dyn Disk, names: &Names) -> Result<bool> {
    let entries = disk.list(names.logs()).map_err(|e| Error::io("list", names.logs(), e))?;
    for name in entries.iter().filter(|name| names::log_number(name).is_some()) {
        if head(disk, &names.logs().join(name))?.starts_with(&names::SEGMENT_MAGIC) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_kvs1(disk: &dyn Disk, path: &Path) -> Result<bool> {
    let head = head(disk, path)?;
    let first = head.iter().find(|byte| !byte.is_ascii_whitespace());
    Ok(!head.starts_with(&names::SEGMENT_MAGIC) && first.is_none_or(|byte| *byte == b'{'))
}

fn head(disk: &dyn Disk, path: &Path) -> Result<Vec<u8>> {
    let file = open(disk, path)?;
    let length = usize::try_from(file.length()).map_or(HEAD, |length| length.min(HEAD));
    file.read_copy(0, length).map_err(|source| Error::io("read", path, source))
}

fn open(disk: &dyn Disk, path: &Path) -> Result<Arc<dyn DiskFile>> {
    disk.open(path, Access::ReadOnly).map_err(|source| Error::io("open", path, source))
}

impl Kvs1Log {
    /// The number in its name.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether there is nothing in it.
    pub(crate) fn is_empty(&self, disk: &dyn Disk) -> Result<bool> {
        Ok(open(disk, &self.path)?.length() == 0)
    }

    /// Its size in bytes.
    pub(crate) fn length(&self, disk: &dyn Disk) -> Result<u64> {
        Ok(open(disk, &self.path)?.length())
    }

    /// Calls `visit` with each command, first to last. Blank lines are passed over; a last line
    /// without a newline counts if it is whole.
    ///
    /// # Errors
    /// [`Error::Kvs1`] for a line that is not a command, [`Error::Io`], or the first error of
    /// `visit`.
    pub(crate) fn commands(
        &self,
        disk: &dyn Disk,
        mut visit: impl FnMut(Command) -> Result<()>,
    ) -> Result<()> {
        let mut outcome = Ok(());
        self.lines(disk, |line| {
            outcome = line.command.and_then(&mut visit);
            if outcome.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })?;
        outcome
    }

    /// Calls `visit` with each line that is not blank, until it breaks off; a line that is no
    /// command among them, but not a torn last one.
    ///
    /// # Errors
    /// [`Error::Kvs1`] for a line longer than any record, [`Error::Io`].
    pub(crate) fn lines(
        &self,
        disk: &dyn Disk,
        mut visit: impl FnMut(Line<'_>) -> ControlFlow<()>,
    ) -> Result<()> {
        let mut lines = Lines::open(disk, &self.path)?;
        while let Some((range, ending)) = lines.next()? {
            let bytes = &lines.buffer[range.clone()];
            if bytes.iter().all(u8::is_ascii_whitespace) {
                continue;
            }
            let torn = ending == Ending::EndOfFile && self.end == End::MayBeTorn;
            let command = match parse(bytes) {
                Ok(command) => Ok(command),
                Err(Malformed::NotJson(_)) if torn => break,
                Err(Malformed::NotJson(detail) | Malformed::NotACommand(detail)) => {
                    Err(lines.malformed(detail))
                }
            };
            let offset = lines.buffer_start() + range.start as u64;
            if visit(Line { offset, bytes, command }).is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// Moves the files of a store that was converted out of the way, to where its owner finds them.
///
/// # Errors
/// [`Error::Io`]; calling again goes on where it stopped.
pub(crate) fn put_aside(disk: &dyn Disk, names: &Names, logs: &[Kvs1Log]) -> Result<()> {
    let aside = names.kvs1_originals();
    disk.create_directory(aside).map_err(|e| Error::io("create", aside, e))?;
    for log in logs {
        let Some(name) = log.path.file_name() else { continue };
        let to = aside.join(name);
        disk.rename(&log.path, &to).map_err(|e| Error::io("rename", &log.path, e))?;
    }
    for directory in aside.parent().into_iter().chain([aside, names.logs()]) {
        disk.sync_directory(directory).map_err(|e| Error::io("sync", directory, e))?;
    }
    Ok(())
}

// --- one file as lines ---

/// What a line ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Newline,
    EndOfFile,
}

/// A file cut into lines as it is read.
///
/// Invariants: `start <= searched <= buffer.len()`; `buffer[start..searched]` has no newline;
/// `buffer` ends at byte `read` of the file.
struct Lines {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    read: u64,
    buffer: Vec<u8>,
    start: usize,
    searched: usize,
    /// The number of the line last returned, from 1.
    number: u64,
}

impl Lines {
    fn open(disk: &dyn Disk, path: &Path) -> Result<Lines> {
        let (file, path) = (open(disk, path)?, path.to_owned());
        Ok(Lines { path, file, read: 0, buffer: Vec::new(), start: 0, searched: 0, number: 0 })
    }

    /// Where the next line without its newline is in the buffer, and what it ended with.
    fn next(&mut self) -> Result<Option<(Range<usize>, Ending)>> {
        let (end, ending) = loop {
            let unsearched = &self.buffer[self.searched..];
            if let Some(length) = unsearched.iter().position(|byte| *byte == b'\n') {
                break (self.searched + length, Ending::Newline);
            }
            self.searched = self.buffer.len();
            if self.searched - self.start > MAX_LINE_LENGTH {
                self.number += 1;
                return Err(self.malformed("longer than any record".to_owned()));
            }
            if !self.read_chunk()? {
                break (self.searched, Ending::EndOfFile);
            }
        };
        let start = self.start;
        if ending == Ending::EndOfFile && start == end {
            return Ok(None);
        }
        self.start = end + usize::from(ending == Ending::Newline);
        self.searched = self.start;
        self.number += 1;
        Ok(Some((start..end, ending)))
    }

    /// Where in the file the buffer begins.
    fn buffer_start(&self) -> u64 {
        self.read - self.buffer.len() as u64
    }

    /// Appends the next chunk to the buffer, after dropping the lines already returned. False at
    /// the end of the file.
    fn read_chunk(&mut self) -> Result<bool> {
        let rest = usize::try_from(self.file.length() - self.read).unwrap_or(usize::MAX);
        if rest == 0 {
            return Ok(false);
        }
        self.buffer.drain(..self.start);
        self.searched -= self.start;
        self.start = 0;
        let chunk = self
            .file
            .read_copy(self.read, rest.min(CHUNK))
            .map_err(|source| Error::io("read", &self.path, source))?;
        self.buffer.extend_from_slice(&chunk);
        self.read += chunk.len() as u64;
        Ok(true)
    }

    /// The error that the line last returned is not a record.
    fn malformed(&self, detail: String) -> Error {
        Error::Kvs1 { path: self.path.clone(), line: self.number, detail }
    }
}

// --- one line ---

/// Why a line is not a command.
enum Malformed {
    /// It is not JSON at all, as after a torn write.
    NotJson(String),
    /// It is JSON, but no command.
    NotACommand(String),
}

fn parse(line: &[u8]) -> std::result::Result<Command, Malformed> {
    let value = serde_json::from_slice(line).map_err(|e| Malformed::NotJson(not_json(&e)))?;
    command(value).map_err(Malformed::NotACommand)
}

/// The parser's complaint without its "at line 1", which here would mislead.
fn not_json(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let complaint = text.rsplit_once(" at line ").map_or(text.as_str(), |(complaint, _)| complaint);
    format!("not valid JSON at column {}: {complaint}", error.column())
}

fn command(value: Value) -> std::result::Result<Command, String> {
    let Value::Object(fields) = value else {
        return Err(format!("{} where an object was expected", kind(&value)));
    };
    let (name, mut fields) = split_name(fields)?;
    let command = match name.to_ascii_lowercase().as_str() {
        "set" => Command::Set { key: take_key(&mut fields)?, value: take_value(&mut fields)? },
        "remove" | "rm" => {
            let key = take_key(&mut fields)?;
            // Written by stores whose record has one optional value for all commands.
            if fields.get("value") == Some(&Value::Null) {
                fields.remove("value");
            }
            Command::Remove { key }
        }
        _ => return Err(format!("unknown command {name:?}; known: Set, Remove")),
    };
    match fields.keys().next() {
        None => Ok(command),
        Some(field) => Err(format!("unknown field {field:?} in a {name}")),
    }
}

/// The command's name and its fields, from either spelling.
fn split_name(
    mut fields: Map<String, Value>,
) -> std::result::Result<(String, Map<String, Value>), String> {
    if let Some(name) = fields.remove("cmd") {
        return match name {
            Value::String(name) => Ok((name, fields)),
            other => Err(format!("\"cmd\" is {}, not a string", kind(&other))),
        };
    }
    if fields.len() == 1
        && let Some((name, Value::Object(inner))) = fields.into_iter().next()
    {
        return Ok((name, inner));
    }
    Err("neither {\"cmd\":\"Set\",…} nor {\"Set\":{…}}".to_owned())
}

/// A key that a store of today can hold.
fn take_key(fields: &mut Map<String, Value>) -> std::result::Result<String, String> {
    let key = take_string(fields, "key")?;
    match key.len() {
        0 => Err("the key is empty; a key has at least one byte".to_owned()),
        1..=MAX_KEY_LENGTH => Ok(key),
        length => Err(format!("the key has {length} bytes; at most {MAX_KEY_LENGTH} are allowed")),
    }
}

/// A value that a store of today can hold.
fn take_value(fields: &mut Map<String, Value>) -> std::result::Result<String, String> {
    let value = take_string(fields, "value")?;
    match value.len() {
        0..=MAX_VALUE_LENGTH => Ok(value),
        length => {
            Err(format!("the value has {length} bytes; at most {MAX_VALUE_LENGTH} are allowed"))
        }
    }
}

fn take_string(fields: &mut Map<String, Value>, name: &str) -> std::result::Result<String, String> {
    match fields.remove(name) {
        Some(Value::String(text)) => Ok(text),
        Some(other) => {
            Err(format!("{name:?} is {}; only strings are stored: quote it", kind(&other)))
        }
        None => Err(format!("{name:?} is missing")),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::OsDisk;

    struct Store {
        disk: OsDisk,
        names: Names,
        _directory: tempfile::TempDir,
    }

    impl Store {
        fn new(files: &[(&str, &[u8])]) -> Store {
            let directory = tempfile::tempdir().unwrap();
            let store = Store {
                disk: OsDisk::new(),
                names: Names::new(directory.path()),
                _directory: directory,
            };
            store.disk.create_directory(store.names.logs()).unwrap();
            for (name, bytes) in files {
                let path = store.names.logs().join(name);
                let capacity = bytes.len() as u64;
                let file = store.disk.open(&path, Access::CreateNew { capacity }).unwrap();
                file.allocate(capacity).unwrap();
                file.write_at(0, bytes).unwrap();
                file.sync().unwrap();
            }
            store
        }

        fn numbers(&self) -> Vec<u64> {
            logs(&self.disk, &self.names).unwrap().iter().map(|log| log.number).collect()
        }

        fn replay(&self) -> Result<Vec<Command>> {
            let mut commands = Vec::new();
            for log in logs(&self.disk, &self.names)? {
                log.commands(&self.disk, |command| {
                    commands.push(command);
                    Ok(())
                })?;
            }
            Ok(commands)
        }
    }

    fn set(key: &str, value: &str) -> Command {
        Command::Set { key: key.to_owned(), value: value.to_owned() }
    }

    fn remove(key: &str) -> Command {
        Command::Remove { key: key.to_owned() }
    }

    fn bad_line(result: Result<Vec<Command>>) -> (String, u64, String) {
        match result {
            Err(Error::Kvs1 { path, line, detail }) => {
                (path.file_name().unwrap().to_str().unwrap().to_owned(), line, detail)
            }
            other => panic!("expected a bad line, got {other:?}"),
        }
    }

    #[test]
    fn every_spelling_is_understood() {
        for name in ["Set", "set", "SET", "sEt"] {
            let tagged = format!(r#"{{"cmd":"{name}","key":"k","value":"v"}}"#);
            let wrapped = format!(r#"{{"{name}":{{"key":"k","value":"v"}}}}"#);
            assert_eq!(parse_line(tagged.as_bytes()), Ok(set("k", "v")));
            assert_eq!(parse_line(wrapped.as_bytes()), Ok(set("k", "v")));
        }
        for name in ["Remove", "remove", "REMOVE", "rm", "Rm", "RM"] {
            let tagged = format!(r#"{{"key":"k","cmd":"{name}"}}"#);
            let wrapped = format!(r#" {{ "{name}" : {{"key":"k"}} }} "#);
            assert_eq!(parse_line(tagged.as_bytes()), Ok(remove("k")));
            assert_eq!(parse_line(wrapped.as_bytes()), Ok(remove("k")));
        }
        assert_eq!(parse_line(br#"{"cmd":"Remove","key":"k","value":null}"#), Ok(remove("k")));
        assert_eq!(
            parse_line(br#"{"cmd":"Set","key":"k","value":"\n\u00e9"}"#),
            Ok(set("k", "\né"))
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let complaints = [
            (r#"{"cmd":"Set","key":"k","value":7}"#, "\"value\" is a number"),
            (r#"{"cmd":"Set","key":"","value":"v"}"#, "the key is empty"),
            (r#"{"cmd":"Set","key":["k"],"value":""}"#, "\"key\" is an array"),
            (r#"{"cmd":"Set","key":"k"}"#, "\"value\" is missing"),
            (r#"{"cmd":"Remove","key":"k","value":"v"}"#, "unknown field \"value\""),
            (r#"{"cmd":"Set","key":"k","value":"v","ttl":1}"#, "unknown field \"ttl\""),
            (r#"{"cmd":"Get","key":"k"}"#, "unknown command \"Get\""),
            (r#"{"cmd":1,"key":"k"}"#, "\"cmd\" is a number"),
            (r#"{"Set":{"key":"k","value":"v"},"x":1}"#, "neither"),
            ("[]", "an array where an object"),
            (r#"{"cmd":"Set","#, "not valid JSON at column 13"),
            ("", "not valid JSON"),
        ];
        for (line, complaint) in complaints {
            let detail = parse_line(line.as_bytes()).unwrap_err();
            assert!(detail.contains(complaint), "{line}: {detail}");
        }
        assert!(parse_line(b"{\"cmd\":\"Set\",\"key\":\"\xff\",\"value\":\"\"}").is_err());
    }

    #[test]
    fn logs_are_replayed_by_number_and_other_files_left_alone() {
        let store = Store::new(&[
            ("10.log", br#"{"cmd":"rm","key":"a"}"#),
            ("2.log", b"{\"cmd\":\"set\",\"key\":\"a\",\"value\":\"2\"}\r\n\n"),
            ("1.log", b"\n  \n{\"Set\":{\"key\":\"a\",\"value\":\"1\"}}\n"),
            ("3.log", b""),
            ("0000000004.log", b"ARYALOG\0{"),
            ("0000000005.log", &[0; 64]),
            ("notes.log", b"{}"),
            ("6.log.tmp", b"{}"),
        ]);
        assert_eq!(store.numbers(), [1, 2, 3, 10]);
        assert_eq!(store.replay().unwrap(), [set("a", "1"), set("a", "2"), remove("a")]);
    }

    #[test]
    fn a_directory_without_logs_has_none() {
        let directory = tempfile::tempdir().unwrap();
        let names = Names::new(&directory.path().join("absent"));
        assert!(logs(&OsDisk::new(), &names).unwrap().is_empty());
    }

    #[test]
    fn only_the_end_of_the_last_log_may_be_torn() {
        let whole: &[u8] = b"{\"cmd\":\"Set\",\"key\":\"a\",\"value\":\"1\"}\n";
        let last = [whole, br#"{"cmd":"Remove","key":"a"}"#].concat();
        for cut in whole.len()..last.len() {
            let torn = Store::new(&[("1.log", whole), ("2.log", &last[..cut])]);
            assert_eq!(torn.replay().unwrap(), [set("a", "1"), set("a", "1")], "cut at {cut}");

            let earlier = Store::new(&[("1.log", &last[..cut]), ("2.log", whole)]);
            if cut > whole.len() {
                let (name, line, _) = bad_line(earlier.replay());
                assert_eq!((name.as_str(), line), ("1.log", 2), "cut at {cut}");
            }
        }
        let uncut = Store::new(&[("1.log", &last)]);
        assert_eq!(uncut.replay().unwrap(), [set("a", "1"), remove("a")]);
    }

    #[test]
    fn a_bad_line_is_named_even_at_the_end() {
        let with_newline = Store::new(&[("1.log", b"{\"rm\":{\"key\":\"a\"}}\n\n{\"cmd\":\n")]);
        let (name, line, detail) = bad_line(with_newline.replay());
        assert_eq!((name.as_str(), line), ("1.log", 3));
        assert!(detail.contains("not valid JSON"), "{detail}");

        let whole_but_wrong = Store::new(&[("1.log", br#"{"cmd":"Set","key":"a","value":1}"#)]);
        let (_, line, detail) = bad_line(whole_but_wrong.replay());
        assert_eq!(line, 1);
        assert!(detail.contains("quote it"), "{detail}");
    }

    #[test]
    fn lines_may_cross_chunks_and_be_longer_than_one() {
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (i, length) in [CHUNK - 100, 3 * CHUNK, 10, 0, CHUNK, 7].into_iter().enumerate() {
            let (key, value) = (i.to_string(), "v".repeat(length));
            let fields = serde_json::json!({ "cmd": "Set", "key": key, "value": value });
            serde_json::to_writer(&mut bytes, &fields).unwrap();
            bytes.push(b'\n');
            expected.push(set(&key, &value));
        }
        for i in 0..40_000 {
            let key = format!("key {i}");
            bytes.extend_from_slice(format!("{{\"Remove\":{{\"key\":\"{key}\"}}}}\n").as_bytes());
            expected.push(remove(&key));
        }
        let store = Store::new(&[("7.log", &bytes)]);
        assert!(store.replay().unwrap() == expected);
    }

    #[test]
    fn the_first_error_of_the_visitor_stops_the_replay() {
        let store =
            Store::new(&[("1.log", b"{\"rm\":{\"key\":\"a\"}}\n{\"rm\":{\"key\":\"b\"}}\n")]);
        let log = &logs(&store.disk, &store.names).unwrap()[0];
        let mut visited = 0;
        let result = log.commands(&store.disk, |_| {
            visited += 1;
            Err(Error::Closed)
        });
        assert!(matches!(result, Err(Error::Closed)));
        assert_eq!(visited, 1);
        assert!(log.path.ends_with("logs/1.log"));
    }
}
