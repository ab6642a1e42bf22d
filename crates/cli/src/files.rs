//! The user's own files: what `import` and `set --file` read, what `export` and `get --output`
//! write.
//!
//! The store's files are reached through the engine alone. A file is written under a temporary
//! name, synced and then renamed, so that an export that was cut never passes for a whole one, nor
//! takes the place of an older one. Pipes and devices are written as they are.
#![allow(
    clippy::disallowed_methods,
    reason = "the ban keeps the store's files behind the engine's disk; these are not the store's"
)]

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use aryavarth::limits::MAX_VALUE_LENGTH;

use crate::exit::Exit;
use crate::failure::{Failure, Result};
use crate::output::Output;

/// A file, or with `-` a standard stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// Standard input or output.
    Standard,
    /// A file.
    File(PathBuf),
}

impl From<OsString> for Place {
    fn from(text: OsString) -> Place {
        if text == "-" { Place::Standard } else { Place::File(text.into()) }
    }
}

impl Place {
    /// How messages call it when it is read.
    pub fn input_name(&self) -> String {
        match self {
            Place::Standard => "<stdin>".to_owned(),
            Place::File(path) => path.display().to_string(),
        }
    }
}

// --- reading ---

/// A file open for reading.
pub struct Source {
    place: Place,
    /// Its length in bytes, where that is known.
    pub length: Option<u64>,
    reader: BufReader<Box<dyn Read>>,
}

impl Source {
    /// Opens a file, or standard input.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(place: &Place) -> Result<Source> {
        let (length, reader): (_, Box<dyn Read>) = match place {
            Place::Standard => (None, Box::new(io::stdin())),
            Place::File(path) => {
                let open = || {
                    let file = File::open(path)?;
                    let metadata = file.metadata()?;
                    Ok((metadata.is_file().then_some(metadata.len()), file))
                };
                let (length, file) = open().map_err(|error| Failure::file("open", path, &error))?;
                (length, Box::new(file))
            }
        };
        let reader = BufReader::with_capacity(256 << 10, reader);
        Ok(Source { place: place.clone(), length, reader })
    }

    /// Reads the next line with its newline, if it has one, into `line`; at most `limit` bytes of
    /// it. False at the end of the file.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read_line(&mut self, line: &mut Vec<u8>, limit: usize) -> Result<bool> {
        use io::BufRead as _;
        line.clear();
        let mut limited = self.reader.by_ref().take(limit as u64);
        let read = limited.read_until(b'\n', line);
        read.map(|bytes| bytes > 0).map_err(|error| self.broken(&error))
    }

    /// The whole file as a value.
    ///
    /// # Errors
    /// If it cannot be read, or is longer than a value may be.
    pub fn read_value(mut self) -> Result<Vec<u8>> {
        let mut value = Vec::new();
        let limited =
            self.reader.by_ref().take(MAX_VALUE_LENGTH as u64 + 1).read_to_end(&mut value);
        limited.map_err(|error| self.broken(&error))?;
        if value.len() > MAX_VALUE_LENGTH {
            let name = self.place.input_name();
            let message = format!("{name} is longer than a value may be, {MAX_VALUE_LENGTH} bytes");
            return Err(Failure::new(Exit::Input, message));
        }
        Ok(value)
    }

    fn broken(&self, error: &io::Error) -> Failure {
        Failure::file("read", Path::new(&self.place.input_name()), error)
    }
}

// --- writing ---

/// A file open for writing, or standard output. Without [`finish`](Target::finish) a regular file
/// stays as it was.
pub enum Target<'a> {
    /// Standard output.
    Standard(&'a mut Output),
    /// A file.
    File(FileTarget),
}

/// A file that is being written.
pub struct FileTarget {
    path: PathBuf,
    /// Where the bytes are until they are whole; none for pipes and devices.
    temporary: Option<PathBuf>,
    writer: BufWriter<File>,
}

impl<'a> Target<'a> {
    /// Begins a file, or takes `output`.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn create(place: &Place, output: &'a mut Output) -> Result<Target<'a>> {
        match place {
            Place::Standard => Ok(Target::Standard(output)),
            Place::File(path) => FileTarget::create(path)
                .map(Target::File)
                .map_err(|error| Failure::file("create", path, &error)),
        }
    }

    /// Appends `bytes`.
    ///
    /// # Errors
    /// If they cannot be written.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        match self {
            Target::Standard(output) => output.bytes(bytes),
            Target::File(file) => file
                .writer
                .write_all(bytes)
                .map_err(|error| Failure::file("write", &file.path, &error)),
        }
    }

    /// Makes the file whole: synced, and under its own name.
    ///
    /// # Errors
    /// If that cannot be done.
    pub fn finish(self) -> Result<()> {
        match self {
            Target::Standard(output) => output.flush(),
            Target::File(mut file) => {
                file.publish().map_err(|error| Failure::file("write", &file.path, &error))
            }
        }
    }
}

impl FileTarget {
    fn create(path: &Path) -> io::Result<FileTarget> {
        // A link is written through, as by any other program.
        let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let special = fs::metadata(&path).is_ok_and(|metadata| !metadata.is_file());
        let temporary = (!special).then(|| {
            let mut name = path.clone().into_os_string();
            name.push(format!(".{}.tmp", std::process::id()));
            PathBuf::from(name)
        });
        let file = match &temporary {
            Some(temporary) => File::create(temporary)?,
            None => File::options().write(true).open(&path)?,
        };
        Ok(FileTarget { path, temporary, writer: BufWriter::with_capacity(256 << 10, file) })
    }

    fn publish(&mut self) -> io::Result<()> {
        self.writer.flush()?;
        if let Some(temporary) = &self.temporary {
            self.writer.get_ref().sync_all()?;
            fs::rename(temporary, &self.path)?;
            self.temporary = None;
        }
        Ok(())
    }
}

impl Drop for FileTarget {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // Only rubbish is left behind if this fails.
            let _ = fs::remove_file(temporary);
        }
    }
}

/// Makes a directory, and those it is in, which others may not look into.
///
/// # Errors
/// If it cannot be made.
pub fn make_private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

// --- scratch space ---

/// A new directory that is removed, with all that is in it, when this is dropped.
pub struct Scratch {
    path: PathBuf,
}

impl Scratch {
    /// Makes one inside `parent`, so that it is on the same disk.
    ///
    /// # Errors
    /// If it cannot be made.
    pub fn create(parent: &Path) -> Result<Scratch> {
        let path = parent.join(format!("aryavarth-bench-{}", std::process::id()));
        fs::create_dir(&path).map_err(|error| Failure::file("create", &path, &error))?;
        Ok(Scratch { path })
    }

    /// A name inside it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // Only rubbish is left behind if this fails.
        let _ = fs::remove_dir_all(&self.path);
    }
}
