//! The file of the settings on the machine's disk: read whole, replaced whole.
//!
//! ```text
//!  read ─▶ change ─▶ write beside it ─▶ sync ─▶ rename over it ─▶ sync the directory
//! ```
//!
//! Whoever reads the file, at whatever moment, finds the old text or the new one.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::error::{Place, Problem};

/// The bytes of a file.
///
/// # Errors
/// The machine does not give them.
#[expect(clippy::disallowed_methods, reason = "the settings are read before there is a store")]
pub fn read(path: &Path) -> Result<Vec<u8>, Problem> {
    fs::read(path).map_err(|error| Problem {
        place: Place::Whole(path.to_owned()),
        setting: None,
        what: format!("cannot be read: {error}"),
        advice: None,
    })
}

/// The text of a file.
///
/// # Errors
/// The machine does not give it, or it is not UTF-8.
#[expect(clippy::disallowed_methods, reason = "the file is no part of the store")]
pub fn read_text(path: &Path) -> io::Result<String> {
    let bytes = fs::read(path)?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Replaces the text of a file that is there. Its permissions stay; if it is a link, what it leads to
/// is replaced.
///
/// # Errors
/// The machine refuses; the file is as it was.
#[expect(clippy::disallowed_methods, reason = "the file is no part of the store")]
pub fn replace(path: &Path, text: &str) -> io::Result<()> {
    let path = fs::canonicalize(path)?;
    let permissions = fs::metadata(&path)?.permissions();
    let beside = beside(&path);
    // A file left behind by a crash is nobody's: this process writes one at a time.
    match fs::remove_file(&beside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    // It may hold a password: nobody else may read it before it has its permissions.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&beside)?;
    let written = write(file, text, permissions).and_then(|()| fs::rename(&beside, &path));
    if let Err(error) = written {
        // What is left is of no use; that it could not be removed would not be news.
        let _ = fs::remove_file(&beside);
        return Err(error);
    }
    let directory = path.parent().unwrap_or(Path::new("/"));
    File::open(directory)?.sync_all()
}

fn write(mut file: File, text: &str, permissions: fs::Permissions) -> io::Result<()> {
    file.write_all(text.as_bytes())?;
    file.set_permissions(permissions)?;
    file.sync_all()
}

/// Where the new text is written before it takes the place of the old one.
fn beside(path: &Path) -> PathBuf {
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}.new", std::process::id()));
    path.with_file_name(name)
}
