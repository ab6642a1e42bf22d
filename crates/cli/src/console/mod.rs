//! `aryavarth cli`: a prompt for a server in the manner of redis-cli.
//!
//! ```text
//! line ─▶ words ─▶ session ─▶ reply ─▶ render ─▶ standard output
//!   ▲                 ▲
//! prompt (complete, syntax: what the server says of its commands; history)
//! ```
//!
//! Without a terminal, the lines of standard input are commands, and replies are printed as they are
//! unless another form is asked for. An error reply is a reply: it is printed like others, but the
//! exit code is 1.

mod complete;
mod history;
mod prompt;
mod render;
mod session;
mod syntax;
mod words;

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use redis::Value;

use crate::arguments::{Cli, Repeat};
use crate::exit::Exit;
use crate::failure::{Failure, Result, warn};
use crate::files::{Place, Source};
use crate::output::{Output, Style};
use crate::remote::Endpoint;
use render::Form;
use session::{Protocol, Session, Stage};

/// Longest line taken from standard input, in bytes: one value as long as may be, all of it escaped.
const MAX_LINE_LENGTH: usize = 4 * aryavarth::limits::MAX_VALUE_LENGTH + (1 << 20);

/// Where replies go, and in which form.
pub struct Voice<'a> {
    output: &'a mut Output,
    form: Form,
    /// Whether any reply was an error.
    has_complained: bool,
}

impl Voice<'_> {
    fn reply(&mut self, value: &Value, words: &[Vec<u8>]) -> Result<()> {
        self.has_complained |= matches!(value, Value::ServerError(_));
        self.output.bytes(&render::reply(value, words, self.form))
    }

    fn remark(&mut self, text: &str) -> Result<()> {
        self.output.line(text)?;
        self.flush()
    }

    fn flush(&mut self) -> Result<()> {
        self.output.flush()
    }

    fn verdict(&self) -> Result<()> {
        if self.has_complained { Err(Failure::Shown { exit: Exit::NotFound }) } else { Ok(()) }
    }
}

/// Runs the prompt, or the command, or those on standard input.
///
/// # Errors
/// [`Exit::NotFound`], shown already, if a reply was an error; [`Exit::Unreachable`],
/// [`Exit::OutcomeUnknown`] and [`Exit::Refused`] if there is no connection (any more). The prompt
/// tells these and goes on.
pub fn run(arguments: &Cli, endpoint: &Endpoint, output: &mut Output) -> Result<()> {
    let form = form(arguments, output.style());
    let style = output.style();
    let protocol = if arguments.resp3 { Protocol::Resp3 } else { Protocol::Resp2 };
    let interrupted = Arc::new(AtomicBool::new(false));
    let mut session = Session::new(endpoint.clone(), protocol, Arc::clone(&interrupted));
    let mut voice = Voice { output, form, has_complained: false };
    if !arguments.command.is_empty() {
        session.connect()?;
        one_command(arguments, &mut session, &mut voice)?;
    } else if io::stdin().is_terminal() {
        return prompt::run(&mut session, &interrupted, &mut voice);
    } else {
        session.connect()?;
        lines(&mut session, &mut voice, style)?;
    }
    voice.verdict()
}

fn form(arguments: &Cli, style: Style) -> Form {
    match style {
        Style::Json => Form::Json,
        Style::Text if arguments.formatted => Form::Formatted,
        Style::Text if arguments.raw || !io::stdout().is_terminal() => Form::Raw,
        Style::Text => Form::Formatted,
    }
}

fn one_command(arguments: &Cli, session: &mut Session, voice: &mut Voice<'_>) -> Result<()> {
    let mut words: Vec<Vec<u8>> =
        arguments.command.iter().cloned().map(OsString::into_encoded_bytes).collect();
    if arguments.stdin_argument {
        words.push(Source::open(&Place::Standard)?.read_value()?);
    }
    let mut left = arguments.repeat;
    loop {
        ask(session, &words, voice)?;
        left = match left {
            Repeat::Times(1) => return Ok(()),
            Repeat::Times(times) => Repeat::Times(times - 1),
            Repeat::Forever => Repeat::Forever,
        };
        if let Some(interval) = arguments.interval {
            std::thread::sleep(interval);
        }
    }
}

fn lines(session: &mut Session, voice: &mut Voice<'_>, style: Style) -> Result<()> {
    let mut source = Source::open(&Place::Standard)?;
    let (mut line, mut number) = (Vec::new(), 0_u64);
    while source.read_line(&mut line, MAX_LINE_LENGTH)? {
        number += 1;
        match words::split_bytes(&line) {
            Some(words) if words.is_empty() => {}
            Some(words) if is_farewell(&words) => break,
            Some(words) => ask(session, &words, voice)?,
            None => {
                let message = format!("<stdin>:{number}: a quote is not closed; line left out");
                warn(style, Exit::Input, &message);
                voice.has_complained = true;
            }
        }
    }
    Ok(())
}

fn is_farewell(words: &[Vec<u8>]) -> bool {
    let is = |name: &str| words[0].eq_ignore_ascii_case(name.as_bytes());
    words.len() == 1 && (is("exit") || is("quit"))
}

fn ask(session: &mut Session, words: &[Vec<u8>], voice: &mut Voice<'_>) -> Result<()> {
    session.ask(words, &mut |value, stage| {
        voice.reply(value, words)?;
        if stage == Stage::Stream { voice.flush() } else { Ok(()) }
    })?;
    voice.flush()
}
