//! Why a command did not do what it was asked, and how that is told.
//!
//! ```text
//! text:  aryavarth: no store in /tmp/x; check the directory
//!        hint: `aryavarth --dir /tmp/x set KEY VALUE` makes one
//! json:  {"error":{"kind":"no_store","message":"no store in /tmp/x; check the directory"}}
//! ```

use std::io::{self, IsTerminal, Write};
use std::path::Path;
use std::process::ExitCode;

use aryavarth::Error;
use serde::Serialize;

use crate::exit::Exit;
use crate::output::Style;

/// What the commands return.
pub type Result<T> = std::result::Result<T, Failure>;

/// Why a command stopped early.
#[derive(Debug)]
pub enum Failure {
    /// It could not do what it was asked.
    Told {
        /// The kind of failure.
        exit: Exit,
        /// What went wrong, in one line.
        message: String,
        /// What the user may do, if the message does not say so.
        hint: Option<String>,
    },
    /// It could not, and the output says why.
    Shown {
        /// The kind of failure.
        exit: Exit,
    },
    /// Whoever read the standard output has closed it, as `head` does: the rest is not wanted.
    ReaderGone,
}

#[derive(Serialize)]
struct Report<'a> {
    error: Body<'a>,
}

#[derive(Serialize)]
struct Body<'a> {
    kind: &'static str,
    message: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'a str>,
}

impl Failure {
    /// A failure of this kind.
    pub fn new(exit: Exit, message: impl Into<String>) -> Failure {
        Failure::Told { exit, message: message.into(), hint: None }
    }

    /// The answer to a missing key.
    pub fn key_not_found() -> Failure {
        Failure::new(Exit::NotFound, "Key not found")
    }

    /// The machine refused `operation` on the user's file.
    pub fn file(operation: &str, path: &Path, source: &io::Error) -> Failure {
        let exit = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Exit::DiskFull,
            _ => Exit::Io,
        };
        Failure::new(exit, format!("cannot {operation} {}: {source}", path.display()))
    }

    /// Whether the program ends with this code because of it.
    pub fn is(&self, kind: Exit) -> bool {
        matches!(self, Failure::Told { exit, .. } | Failure::Shown { exit } if *exit == kind)
    }

    /// The same failure with more to say before its message.
    pub fn prefixed(mut self, prefix: &str) -> Failure {
        if let Failure::Told { message, .. } = &mut self {
            *message = format!("{prefix}: {message}");
        }
        self
    }

    /// The same failure, with a hint if it is of this kind.
    pub fn hinted(mut self, kind: Exit, advice: impl Into<String>) -> Failure {
        if let Failure::Told { exit, hint, .. } = &mut self
            && *exit == kind
        {
            *hint = Some(advice.into());
        }
        self
    }

    /// Tells the failure on standard error; the code to exit with.
    pub fn report(&self, style: Style) -> ExitCode {
        let (exit, message, hint) = match self {
            Failure::Told { exit, message, hint } => (exit, message, hint),
            Failure::Shown { exit } => return ExitCode::from(exit.code()),
            Failure::ReaderGone => return ExitCode::SUCCESS,
        };
        let hint = hint.as_deref();
        let text = match style {
            Style::Json => json(*exit, message, hint),
            // What programs have always matched: exactly this line, without a name in front.
            Style::Text if *exit == Exit::NotFound => message.clone(),
            Style::Text => {
                let hint = hint.map_or_else(String::new, |hint| format!("\nhint: {hint}"));
                format!("aryavarth: {message}{hint}")
            }
        };
        tell(&text);
        ExitCode::from(exit.code())
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        let exit = match &error {
            Error::Damaged { .. } | Error::Kvs1 { .. } => Exit::Damage,
            Error::Locked { .. } => Exit::Locked,
            Error::DiskFull { .. } => Exit::DiskFull,
            Error::OutcomeUnknown { .. } => Exit::OutcomeUnknown,
            Error::NoStore { .. } => Exit::NoStore,
            Error::TooLarge { .. } => Exit::Input,
            Error::InvalidOption { .. } => Exit::Usage,
            Error::NotEmpty { .. } => Exit::NotEmpty,
            Error::NewerFormat { .. } => Exit::NewerFormat,
            Error::Fenced { .. } => Exit::Fenced,
            _ => Exit::Io,
        };
        Failure::new(exit, error.to_string())
    }
}

/// Where damage is and what was found, without what to do about it.
pub fn finding(error: &Error) -> String {
    match error {
        Error::Damaged { path, offset, detail } => {
            format!("{} offset {offset}: {detail}", path.display())
        }
        Error::Kvs1 { path, line, detail } => {
            format!("{} line {line}: not a KVS1 record: {detail}", path.display())
        }
        other => other.to_string(),
    }
}

/// A line on standard error that is not the end of the command.
pub fn warn(style: Style, exit: Exit, message: &str) {
    tell(&match style {
        Style::Json => {
            let body = Body { kind: exit.kind(), message, hint: None };
            serde_json::json!({ "warning": body }).to_string()
        }
        Style::Text => format!("aryavarth: warning: {message}"),
    });
}

/// Tells what is wrong with the command line, or prints the help or the version asked for.
pub fn misused(error: &clap::Error) -> ExitCode {
    let wants_json = std::env::args_os().any(|argument| argument == "--json");
    if error.use_stderr() && wants_json {
        tell(&json(Exit::Usage, &first_paragraph(&error.render().to_string()), None));
    } else {
        // There is nobody left to tell if this fails.
        let _ = error.print();
    }
    ExitCode::from(if error.use_stderr() { Exit::Usage } else { Exit::Done }.code())
}

/// What comes before the usage, as one line.
fn first_paragraph(text: &str) -> String {
    let lines: Vec<&str> =
        text.lines().map(str::trim).take_while(|line| !line.is_empty()).collect();
    lines.join(" ").trim_start_matches("error: ").to_owned()
}

fn json(exit: Exit, message: &str, hint: Option<&str>) -> String {
    let report = Report { error: Body { kind: exit.kind(), message, hint } };
    serde_json::to_string(&report).expect("two strings are always JSON")
}

/// A line on standard error.
pub fn tell(text: &str) {
    let mut stderr = io::stderr().lock();
    // There is nobody left to tell if this fails.
    let _ = writeln!(stderr, "{text}");
}

/// Whether standard error is read by a person, who may like to see progress.
pub fn stderr_is_watched() -> bool {
    io::stderr().is_terminal()
}
