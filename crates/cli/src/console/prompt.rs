//! The prompt: lines are edited, completed and hinted, sent, and their replies shown.

use std::borrow::Cow;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use rustyline::completion::Completer;
use rustyline::error::ReadlineError;
use rustyline::highlight::Highlighter;
use rustyline::hint::{Hint, Hinter};
use rustyline::history::FileHistory;
use rustyline::validate::Validator;
use rustyline::{CompletionType, Config, Context, Editor, Helper};

use super::complete::{Commands, is_help};
use super::session::{End, Session, Stage};
use super::words::split;
use super::{Voice, history};
use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::files::make_private_directory;

/// Grey, and back.
const FAINT: [&str; 2] = ["\x1b[90m", "\x1b[0m"];

const HELP: &str = "\
help COMMAND or ?   what a command does and takes
TAB                 complete the name of a command
N COMMAND           send a command N times
clear               clear the screen
exit, quit, Ctrl-D  leave; Ctrl-C drops the line, or stops waiting for a reply";

/// What the line editor asks while a line is typed.
struct Assistant {
    commands: Commands,
}

/// Text after the cursor that is not part of the line.
struct Greyed(String);

impl Hint for Greyed {
    fn display(&self) -> &str {
        &self.0
    }

    fn completion(&self) -> Option<&str> {
        None
    }
}

impl Helper for Assistant {}
impl Validator for Assistant {}

impl Completer for Assistant {
    type Candidate = String;

    fn complete(
        &self,
        line: &str,
        position: usize,
        _: &Context<'_>,
    ) -> rustyline::Result<(usize, Vec<String>)> {
        let (start, mut candidates) = self.commands.complete(&line[..position]);
        // Ready for the arguments.
        if let [only] = &mut candidates[..] {
            only.push(' ');
        }
        Ok((start, candidates))
    }
}

impl Hinter for Assistant {
    type Hint = Greyed;

    fn hint(&self, line: &str, position: usize, _: &Context<'_>) -> Option<Greyed> {
        if position < line.len() {
            return None;
        }
        self.commands.hint(line).map(Greyed)
    }
}

impl Highlighter for Assistant {
    fn highlight_hint<'h>(&self, hint: &'h str) -> Cow<'h, str> {
        Cow::Owned(format!("{}{hint}{}", FAINT[0], FAINT[1]))
    }
}

/// What the prompt does after a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    Line,
    Leave,
}

/// Ctrl-C ends a wait, not the program.
fn catch_interrupts(interrupted: &Arc<AtomicBool>) -> Result<()> {
    signal_hook::flag::register(signal_hook::consts::SIGINT, Arc::clone(interrupted))
        .map(drop)
        .map_err(|error| Failure::new(Exit::Io, format!("cannot catch Ctrl-C: {error}")))
}

/// Reads lines until the user leaves. `interrupted` is what the session looks at.
///
/// # Errors
/// If the terminal or the output cannot be used.
pub fn run(
    session: &mut Session,
    interrupted: &Arc<AtomicBool>,
    voice: &mut Voice<'_>,
) -> Result<()> {
    let config = Config::builder()
        .completion_type(CompletionType::List)
        .max_history_size(history::LENGTH)
        .and_then(|config| config.history_ignore_dups(true))
        .map_err(|error| broken(&error))?
        .build();
    let mut editor: Editor<Assistant, FileHistory> =
        Editor::with_config(config).map_err(|error| broken(&error))?;
    // After the editor, which takes the signal for itself when it is made.
    catch_interrupts(interrupted)?;
    let place = history_file();
    if let Some(place) = &place {
        // The first time there is none.
        let _ = editor.load_history(place);
    }
    let first = session.connect();
    settle(session, first, voice)?;
    editor.set_helper(Some(Assistant { commands: Commands::default() }));
    let mut is_known = false;
    loop {
        if !is_known && let Some(commands) = session.commands() {
            editor.set_helper(Some(Assistant { commands }));
            is_known = true;
        }
        let line = match editor.readline(&session.prompt()) {
            Ok(line) => line,
            Err(ReadlineError::Interrupted) => continue,
            Err(ReadlineError::Eof) => return Ok(()),
            Err(error) => return Err(broken(&error)),
        };
        if !line.trim().is_empty() && !history::is_secret(&line) {
            remember(&mut editor, &line, place.as_ref());
        }
        let commands = editor.helper().map(|assistant| &assistant.commands);
        // Who has just logged in may be told more than before.
        is_known &= !(is_login(&line) && commands.is_some_and(Commands::is_empty));
        let next = obey(&line, commands, session, voice)?;
        if next == Next::Leave {
            return Ok(());
        }
        if line.trim().eq_ignore_ascii_case("clear") {
            editor.clear_screen().map_err(|error| broken(&error))?;
        }
    }
}

fn history_file() -> Option<PathBuf> {
    let place = history::path(|name| std::env::var_os(name))?;
    make_private_directory(place.parent()?).ok().map(|()| place)
}

fn remember(editor: &mut Editor<Assistant, FileHistory>, line: &str, place: Option<&PathBuf>) {
    let is_new = editor.add_history_entry(line).unwrap_or(false);
    if let Some(place) = place.filter(|_| is_new) {
        // At once, as the terminal may be closed at any time. A history is not worth a complaint.
        let _ = editor.append_history(place);
    }
}

fn is_login(line: &str) -> bool {
    let name = line.split_whitespace().next().unwrap_or_default();
    name.eq_ignore_ascii_case("auth") || name.eq_ignore_ascii_case("hello")
}

/// Does what a line says.
fn obey(
    line: &str,
    commands: Option<&Commands>,
    session: &mut Session,
    voice: &mut Voice<'_>,
) -> Result<Next> {
    let Some(mut words) = split(line) else {
        voice.remark("Invalid argument(s): a quote is not closed, or not followed by a space")?;
        return Ok(Next::Line);
    };
    let own = words.first().map(|word| String::from_utf8_lossy(word).to_ascii_lowercase());
    match own.as_deref() {
        None | Some("clear") => return Ok(Next::Line),
        Some("exit" | "quit") => return Ok(Next::Leave),
        Some(word) if is_help(word) => {
            voice.remark(&help(&words[1..], commands))?;
            return Ok(Next::Line);
        }
        Some(_) => {}
    }
    let times = repetitions(&mut words);
    for _ in 0..times {
        if !is_ready(session, voice)? {
            break;
        }
        let asked = session.ask(&words, &mut |value, stage| {
            voice.reply(value, &words)?;
            if stage == Stage::Stream { voice.flush() } else { Ok(()) }
        });
        match asked {
            Ok(End::Answered) => voice.flush()?,
            Ok(End::Interrupted) => {
                // Off the line with the ^C.
                voice.remark("")?;
                break;
            }
            Err(failure) => {
                complain(failure, voice)?;
                break;
            }
        }
    }
    Ok(Next::Line)
}

/// How often a command is sent: `3 PING`.
fn repetitions(words: &mut Vec<Vec<u8>>) -> u64 {
    let number = words
        .first()
        .filter(|_| words.len() > 1)
        .and_then(|word| std::str::from_utf8(word).ok()?.parse::<u64>().ok());
    match number {
        Some(times) if times > 0 => {
            words.remove(0);
            times
        }
        _ => 1,
    }
}

fn help(words: &[Vec<u8>], commands: Option<&Commands>) -> String {
    if words.is_empty() {
        return HELP.to_owned();
    }
    let words: Vec<_> = words.iter().map(|word| String::from_utf8_lossy(word)).collect();
    let words: Vec<&str> = words.iter().map(AsRef::as_ref).collect();
    let found = commands.and_then(|commands| commands.help(&words));
    found.unwrap_or_else(|| format!("The server tells nothing about {}", words.join(" ")))
}

/// Sees to it that there is a connection.
fn is_ready(session: &mut Session, voice: &mut Voice<'_>) -> Result<bool> {
    let was_in_transaction = session.is_in_transaction();
    if session.is_connected() {
        return Ok(true);
    }
    let connected = session.connect();
    let is_connected = settle(session, connected, voice)?;
    if is_connected {
        voice.remark(&format!("Connected to {} again.", session.name()))?;
    }
    if was_in_transaction {
        voice.remark("The transaction is lost with the old connection; nothing was sent.")?;
    }
    // What was meant for the transaction is not done outside it.
    Ok(is_connected && !was_in_transaction)
}

/// Tells why there is no connection, or none as the user wanted it.
fn settle(session: &mut Session, connected: Result<()>, voice: &mut Voice<'_>) -> Result<bool> {
    match connected {
        Ok(()) => Ok(true),
        Err(failure) if failure.is(Exit::Refused) => {
            complain(failure, voice)?;
            // Whoever types AUTH next needs a connection for it.
            Ok(session.connect_as_nobody().is_ok())
        }
        Err(failure) => {
            complain(failure, voice)?;
            Ok(false)
        }
    }
}

/// Shows a failure that does not end the prompt.
fn complain(failure: Failure, voice: &mut Voice<'_>) -> Result<()> {
    match failure {
        Failure::Told { message, .. } => {
            let begins = message.chars().next().map(|first| first.to_uppercase().to_string());
            let rest: String = message.chars().skip(1).collect();
            voice.remark(&format!("{}{rest}", begins.unwrap_or_default()))
        }
        other => Err(other),
    }
}

fn broken(error: &ReadlineError) -> Failure {
    Failure::new(Exit::Io, format!("cannot use the terminal: {error}"))
}
