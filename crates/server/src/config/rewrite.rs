//! `CONFIG REWRITE`: what clients changed, written into the file among what stands there.
//!
//! Comments, order and spelling stay. What came from the environment or from flags is not written: it
//! comes from there again, and a secret in a variable is not meant for a file.

use std::fmt;
use std::io;
use std::sync::PoisonError;

use toml_edit::{DocumentMut, Item, RawString, Value};

use super::disk;
use super::file::Source;
use super::kind::list;
use super::live::LiveConfig;
use super::setting::Setting;
use super::table::Config;

/// What stands before the first setting that is added.
const HEADING: &str = "# Written by CONFIG REWRITE";

/// What to do with the users in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Users {
    /// They stay: they are kept in an `aclfile`, or did not change.
    Keep,
    /// These take their place, each as after `ACL SETUSER`.
    Replace(Vec<String>),
}

/// Why the file was not rewritten; it is as it was. Shown, it is the error reply of Redis 7.2, without
/// the `-`.
#[derive(Debug)]
pub enum RewriteError {
    /// The server was started without a file.
    NoFile,
    /// The machine refused.
    Io(io::Error),
    /// The file is not what it was at the start: it cannot be read any more.
    Syntax(String),
}

impl fmt::Display for RewriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RewriteError::NoFile => f.write_str("ERR The server is running without a config file"),
            RewriteError::Io(error) => write!(f, "ERR Rewriting config file: {error}"),
            RewriteError::Syntax(what) => write!(f, "ERR Rewriting config file: {what}"),
        }
    }
}

impl std::error::Error for RewriteError {}

impl LiveConfig {
    /// Writes what clients changed into the file, all of it or, whatever happens, nothing.
    ///
    /// # Errors
    /// Why the file is as it was.
    pub fn rewrite(&self, users: &Users) -> Result<(), RewriteError> {
        let path = self.file.as_ref().ok_or(RewriteError::NoFile)?;
        // Held to the end: two rewrites at once would undo one another.
        let changed = self.changed.lock().unwrap_or_else(PoisonError::into_inner);
        let text = disk::read_text(path).map_err(RewriteError::Io)?;
        let stands = standing(path, &text)?;
        let mut document: DocumentMut = text.parse().map_err(|error: toml_edit::TomlError| {
            RewriteError::Syntax(error.message().to_owned())
        })?;
        let current = self.current();
        for name in changed.iter() {
            let setting = Setting::find(name).expect("only settings are noted as changed");
            if !(setting.same)(&stands, &current) {
                put(&mut document, name, &(setting.literal)(&current));
            }
        }
        put_users(&mut document, &stands, users);
        let rewritten = document.to_string();
        if rewritten == text {
            return Ok(());
        }
        disk::replace(path, &rewritten).map_err(RewriteError::Io)
    }
}

/// The settings that the file gives now.
fn standing(path: &std::path::Path, text: &str) -> Result<Config, RewriteError> {
    let mut config = Config::default();
    let problems = Source::new(path.to_owned(), text.to_owned()).read_into(&mut config);
    match problems.first() {
        None => Ok(config),
        Some(problem) => Err(RewriteError::Syntax(problem.to_string())),
    }
}

fn put_users(document: &mut DocumentMut, stands: &Config, users: &Users) {
    let Users::Replace(lines) = users else { return };
    let same = stands.user.iter().map(|user| &user.line).eq(lines.iter());
    if !same {
        put(document, "user", &list(lines.iter().map(String::as_str)));
    }
}

/// Writes one setting: in its place if it has one, else at the end.
fn put(document: &mut DocumentMut, name: &str, literal: &str) {
    let mut value: Value = literal.parse().expect("the literal of a setting is TOML");
    if let Some(Item::Value(old)) = document.get_mut(name) {
        // What surrounds the value is a space and a comment.
        *value.decor_mut() = old.decor().clone();
        *old = value;
        return;
    }
    let heading = heading(document);
    document.insert(name, Item::Value(value));
    if let (Some(heading), Some(mut key)) = (heading, document.key_mut(name)) {
        key.leaf_decor_mut().set_prefix(heading);
    }
}

/// What stands before a setting that is added at the end: the comments that end the file, which would
/// come after it otherwise, and a heading the first time.
fn heading(document: &mut DocumentMut) -> Option<String> {
    let trailing = document.trailing().as_str().unwrap_or_default().to_owned();
    let empty = document.is_empty() && trailing.is_empty();
    document.set_trailing(RawString::from(""));
    if document.to_string().contains(HEADING) || trailing.contains(HEADING) {
        return Some(trailing).filter(|trailing| !trailing.is_empty());
    }
    let newline = if trailing.is_empty() || trailing.ends_with('\n') { "" } else { "\n" };
    let gap = if empty { "" } else { "\n" };
    Some(format!("{trailing}{newline}{gap}{HEADING}\n"))
}
