//! Standard output: results, as text for people or as JSON for programs.
//!
//! With `--json` each result is one JSON object on one line. Text is for reading; only the output
//! of `get`, `list`, `count`, `log` and `export` as text is promised to stay as it is.

use std::io::{self, BufWriter, StdoutLock, Write};

use indicatif::HumanCount;
use serde::Serialize;

use crate::arguments::Arguments;
use crate::exit::Exit;
use crate::failure::{Failure, Result};

/// For whom results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// For people.
    Text,
    /// For programs.
    Json,
}

impl Style {
    /// The style asked for.
    pub fn of(arguments: &Arguments) -> Style {
        if arguments.json { Style::Json } else { Style::Text }
    }
}

/// Standard output, buffered.
pub struct Output {
    style: Style,
    out: BufWriter<StdoutLock<'static>>,
}

impl Output {
    /// Takes standard output for the rest of the program.
    pub fn new(style: Style) -> Output {
        Output { style, out: BufWriter::with_capacity(64 << 10, io::stdout().lock()) }
    }

    /// For whom results are printed.
    pub fn style(&self) -> Style {
        self.style
    }

    /// Prints bytes as they are.
    ///
    /// # Errors
    /// [`Failure::ReaderGone`] if nobody reads any more, here and below.
    pub fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(|error| broken(&error))
    }

    /// Prints a line of text.
    pub fn line(&mut self, text: &str) -> Result<()> {
        self.bytes(text.as_bytes())?;
        self.bytes(b"\n")
    }

    /// Prints `value` as one line of JSON.
    pub fn json(&mut self, value: &impl Serialize) -> Result<()> {
        self.line(&to_json(value))
    }

    /// Prints a result in the style asked for.
    pub fn result(&mut self, json: &impl Serialize, text: &str) -> Result<()> {
        match self.style {
            Style::Json => self.json(json),
            Style::Text => self.line(text),
        }
    }

    /// Hands on what is buffered.
    pub fn flush(&mut self) -> Result<()> {
        self.out.flush().map_err(|error| broken(&error))
    }
}

/// `value` as one line of JSON, without the newline.
pub fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("our own types are always JSON")
}

/// A number of things, named in the singular: "1 record", "2,000 records".
pub fn counted(number: u64, thing: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{} {thing}{plural}", HumanCount(number))
}

fn broken(error: &io::Error) -> Failure {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Failure::ReaderGone,
        io::ErrorKind::StorageFull => {
            Failure::new(Exit::DiskFull, format!("cannot write the output: {error}"))
        }
        _ => Failure::new(Exit::Io, format!("cannot write the output: {error}")),
    }
}
