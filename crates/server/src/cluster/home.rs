//! The directory of a node, on its disk: the store has its own part of it, the files that say who the node is
//! are read and replaced here.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aryavarth::disk::{Disk, OsDisk, read_file, replace_file};

use super::error::NodeError;

/// A directory on a disk.
#[derive(Clone, Debug)]
pub struct Home {
    disk: Arc<dyn Disk>,
    directory: PathBuf,
}

impl Home {
    /// This directory of the machine.
    pub fn new(directory: impl Into<PathBuf>) -> Home {
        Home::on(Arc::new(OsDisk::new()), directory)
    }

    /// This directory of a disk.
    pub fn on(disk: Arc<dyn Disk>, directory: impl Into<PathBuf>) -> Home {
        Home { disk, directory: directory.into() }
    }

    /// Where it is.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Its disk.
    pub fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// What a file has; none if there is no such file.
    ///
    /// # Errors
    /// [`NodeError::Card`].
    pub(super) fn read(&self, file: &str) -> Result<Option<Vec<u8>>, NodeError> {
        let path = self.directory.join(file);
        read_file(&*self.disk, &path).map_err(|error| unusable(path, &error))
    }

    /// Puts a file there, whole and durable. The directory is there, as the store's part of it is.
    ///
    /// # Errors
    /// [`NodeError::Card`]; then the one before is still there.
    pub(super) fn replace(&self, file: &str, bytes: &[u8]) -> Result<(), NodeError> {
        let path = self.directory.join(file);
        replace_file(&*self.disk, &path, bytes).map_err(|error| unusable(path, &error))
    }

    /// A number above 0 that nobody can guess.
    pub(super) fn draw(&self) -> u64 {
        self.disk.random().max(1)
    }
}

fn unusable(path: PathBuf, error: &dyn std::fmt::Display) -> NodeError {
    NodeError::Card { path, detail: error.to_string() }
}
