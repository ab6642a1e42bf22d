//! What is wrong with the settings a server was started with: everything at once, each with its place.
//!
//! ```text
//! /etc/aryavarth.toml:3:14: maxclients: `0` is out of bounds; allowed: whole number, 1 to 1000000
//! /etc/aryavarth.toml:9:1: prot: no such setting; did you mean `port`?
//! ARYAVARTH_TIMEOUT: timeout: `5m` is not a whole number; allowed: ...
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

/// Where a setting was given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// In a file.
    File {
        /// The file.
        path: PathBuf,
        /// The line, the first being 1.
        line: usize,
        /// The character of the line, the first being 1.
        column: usize,
    },
    /// In a file as a whole: it cannot be read.
    Whole(PathBuf),
    /// By an environment variable of this name.
    Variable(String),
    /// By a flag of this name.
    Flag(String),
    /// By `CONFIG SET`.
    Client,
    /// Nowhere: it has its default.
    Default,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::File { path, line, column } => {
                write!(f, "{}:{line}:{column}", path.display())
            }
            Place::Whole(path) => write!(f, "{}", path.display()),
            Place::Variable(name) => f.write_str(name),
            Place::Flag(name) => write!(f, "--{name}"),
            Place::Client => f.write_str("CONFIG SET"),
            Place::Default => f.write_str("by default"),
        }
    }
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// Which setting, if it is about one.
    pub setting: Option<String>,
    /// What is wrong.
    pub what: String,
    /// What is allowed, or may have been meant.
    pub advice: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.place)?;
        if let Some(setting) = &self.setting {
            write!(f, "{setting}: ")?;
        }
        f.write_str(&self.what)?;
        self.advice.as_ref().map_or(Ok(()), |advice| write!(f, "; {advice}"))
    }
}

/// All that is wrong with the settings; at least one problem, in the order of the places.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The problems.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.problems.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Where each setting was given.
#[derive(Clone, Debug, Default)]
pub struct Origins(BTreeMap<&'static str, Place>);

impl Origins {
    /// Notes that a setting was given, in place of what was given before.
    pub fn note(&mut self, name: &'static str, place: Place) {
        self.0.insert(name, place);
    }

    /// Where a setting was given.
    pub fn of(&self, name: &str) -> Place {
        self.0.get(name).cloned().unwrap_or(Place::Default)
    }
}
