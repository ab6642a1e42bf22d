//! The users in a file: a line `user NAME rules...` for each.
//!
//! ```text
//!  save: users ─▶ FILE.tmp-PID ─▶ sync ─▶ rename to FILE ─▶ sync its directory
//! ```
//!
//! A file is taken whole or not at all. The file is written anew each time, so it has no comments:
//! they would be lost.

use std::fmt;
use std::io::{self, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use super::error::SetUserError;
use super::selector::has_spaces;
use super::store::{AclStore, UserSet};
use super::user::{User, UserId, lossy};

/// The permissions of a file that was not there before: digests of passwords are nobody else's.
const NEW_FILE_MODE: u32 = 0o600;

/// Why a file cannot be read, taken or written. Nothing has changed.
#[derive(Debug)]
pub enum FileError {
    /// The machine refused to read or write the file.
    Io(PathBuf, io::Error),
    /// Lines of it make no sense: correct them.
    Lines(PathBuf, Vec<LineError>),
}

/// What is wrong with a line of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineError {
    /// Which, from one.
    pub line: usize,
    /// What is wrong.
    pub message: String,
}

impl fmt::Display for FileError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            FileError::Io(path, error) => {
                write!(f, "Error loading or saving ACLs, file '{}': {error}", path.display())
            }
            FileError::Lines(path, errors) => {
                for LineError { line, message } in errors {
                    write!(f, "{}:{line}: {message}. ", path.display())?;
                }
                f.write_str(
                    "WARNING: ACL errors detected, no change to the previously active ACL rules \
                     was performed",
                )
            }
        }
    }
}

impl std::error::Error for FileError {}

impl AclStore {
    /// Takes the users of a file in the place of all: `ACL LOAD`, and at the start.
    pub fn load(&self, path: &Path) -> Result<(), FileError> {
        self.load_protected(path, None)
    }

    /// As [`load`](AclStore::load), but a password that is given is the one of `default`, whatever the
    /// file says: at no moment is it another, or none.
    pub fn load_protected(&self, path: &Path, password: Option<&[u8]>) -> Result<(), FileError> {
        let text = read(path).map_err(|error| FileError::Io(path.to_owned(), error))?;
        let mut users = parse(&text).map_err(|errors| FileError::Lines(path.to_owned(), errors))?;
        if let Some(password) = password {
            users.protect_default(password);
        }
        self.replace(users);
        Ok(())
    }

    /// Writes all users to a file: `ACL SAVE`. After an error the file is as it was.
    pub fn save(&self, path: &Path) -> Result<(), FileError> {
        let mut text = self.lines().join(&b'\n');
        text.push(b'\n');
        write(path, &text).map_err(|error| FileError::Io(path.to_owned(), error))
    }
}

/// The users of a file's text, or all that is wrong with it.
pub fn parse(text: &[u8]) -> Result<UserSet, Vec<LineError>> {
    let (mut users, mut errors) = (UserSet::empty(), Vec::new());
    for (index, line) in text.split(|byte| *byte == b'\n').enumerate() {
        match parse_line(line, &users) {
            Ok(Some(user)) => users.insert(user),
            Ok(None) => {}
            Err(message) => errors.push(LineError { line: index + 1, message }),
        }
    }
    if errors.is_empty() { Ok(users) } else { Err(errors) }
}

/// The user of a line; none if it is empty.
fn parse_line(line: &[u8], users: &UserSet) -> Result<Option<User>, String> {
    let line = line.trim_ascii();
    if line.is_empty() {
        return Ok(None);
    }
    let mut words = line.split(|byte| *byte == b' ').map(<[u8]>::trim_ascii);
    let (Some(b"user"), Some(name)) = (words.next(), words.next()) else {
        return Err("should start with user keyword followed by the username".to_owned());
    };
    if has_spaces(name) {
        return Err(format!("username '{}' contains invalid characters", lossy(name)));
    }
    if users.contains(name) {
        return Err(format!("duplicate user '{}'", lossy(name)));
    }
    // Whose it is is settled when the set takes the place of the users.
    let mut user = User::new(UserId(0), name);
    let rules: Vec<&[u8]> = words.collect();
    user.apply_all(&rules).map_err(|error| match error {
        SetUserError::Rule(rule, error) => format!("'{rule}': {error}"),
        SetUserError::Parenthesis(start) => {
            format!("unmatched parenthesis in selector definition starting at '{start}'")
        }
        SetUserError::Name => error.to_string(),
    })?;
    Ok(Some(user))
}

#[expect(clippy::disallowed_methods, reason = "the file of users is not part of the store")]
fn read(path: &Path) -> io::Result<Vec<u8>> {
    std::fs::read(path)
}

#[expect(clippy::disallowed_methods, reason = "the file of users is not part of the store")]
fn write(path: &Path, text: &[u8]) -> io::Result<()> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".tmp-{}", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let outcome = write_synced(&temporary, text, mode_of(path))
        .and_then(|()| std::fs::rename(&temporary, path));
    if outcome.is_err() {
        // The first error is the one that says what to do.
        let _ = std::fs::remove_file(&temporary);
        return outcome;
    }
    sync_directory_of(path)
}

#[expect(clippy::disallowed_methods, reason = "the file of users is not part of the store")]
fn write_synced(path: &Path, text: &[u8], mode: u32) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    let mut file = options.write(true).create(true).truncate(true).mode(mode).open(path)?;
    file.write_all(text)?;
    file.sync_all()
}

#[expect(clippy::disallowed_methods, reason = "the file of users is not part of the store")]
fn mode_of(path: &Path) -> u32 {
    std::fs::metadata(path).map_or(NEW_FILE_MODE, |known| known.permissions().mode() & 0o777)
}

#[expect(clippy::disallowed_methods, reason = "the file of users is not part of the store")]
fn sync_directory_of(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    std::fs::File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}
