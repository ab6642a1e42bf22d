//! What the machine itself can do, through the same calls that the engine makes.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aryavarth::disk::{Access, Disk, DiskFile, OsDisk};

use super::rate::{Rate, Stopwatch};
use crate::failure::{Failure, Result};

/// Bytes of a record besides its value, about.
const OVERHEAD: usize = 40;
/// Length of the file, in bytes; its beginning is written again after its end.
const LENGTH: u64 = 64 << 20;
/// Bytes written at a time when only bandwidth counts.
const BLOCK: usize = 1 << 20;
/// Blocks written between two syncs when only bandwidth counts.
const BLOCKS: u64 = 32;

/// A file whose space is already there, as in a segment, written from beginning to end.
pub struct Appender {
    path: PathBuf,
    file: Arc<dyn DiskFile>,
    end: u64,
}

impl Appender {
    /// A new file.
    ///
    /// # Errors
    /// If the machine refuses.
    pub fn create(path: &Path) -> Result<Appender> {
        let create = || {
            let file = OsDisk::new().open(path, Access::CreateNew { capacity: LENGTH })?;
            file.allocate(LENGTH)?;
            file.sync()?;
            Ok(file)
        };
        let file = create().map_err(|error| Failure::file("create", path, &error))?;
        Ok(Appender { path: path.to_owned(), file, end: 0 })
    }

    /// Appends of a record with a value of `value` bytes (or, of a longer one, its end), each
    /// synced.
    ///
    /// # Errors
    /// If the machine refuses.
    pub fn syncs(&mut self, value: usize, time: Duration) -> Result<Rate> {
        let record = vec![b'r'; (value + OVERHEAD).min(LENGTH as usize)];
        let watch = Stopwatch::start();
        let mut amount = 0;
        while amount == 0 || watch.elapsed() < time {
            self.append(&record)?;
            self.sync()?;
            amount += 1;
        }
        Ok(Rate { amount, time: watch.elapsed() })
    }

    /// Bytes appended in large blocks and synced once.
    ///
    /// # Errors
    /// If the machine refuses.
    pub fn blocks(&mut self) -> Result<Rate> {
        let block = vec![b'b'; BLOCK];
        let watch = Stopwatch::start();
        for _ in 0..BLOCKS {
            self.append(&block)?;
        }
        self.sync()?;
        Ok(Rate { amount: BLOCKS * BLOCK as u64, time: watch.elapsed() })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        if self.end + bytes.len() as u64 > LENGTH {
            self.end = 0;
        }
        let written = self.file.write_at(self.end, bytes);
        self.end += bytes.len() as u64;
        self.check("write", written)
    }

    fn sync(&self) -> Result<()> {
        self.check("sync", self.file.sync())
    }

    fn check(&self, operation: &str, done: io::Result<()>) -> Result<()> {
        done.map_err(|error| Failure::file(operation, &self.path, &error))
    }
}
