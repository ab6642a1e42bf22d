//! Reads a segment's records one after the other, in large windows and by copy: a scan visits each
//! byte once, so a mapping would gain nothing and could fault.

use std::path::Path;

use crate::disk::DiskFile;
use crate::error::{Error, Result};
use crate::ids::ALIGNMENT;
use crate::log::segment::Segment;
use crate::record::{self, Batch, Header, Malformed, Record, Salt};

/// Bytes fetched at once.
const WINDOW: usize = 256 << 10;
/// A page as it is before it is written.
const PAGE: [u8; 4096] = [0; 4096];
/// How many times its own size a search may checksum before it gives up.
const SEARCH_EFFORT: u64 = 64;

/// What stands at the scanner's place.
#[derive(Debug)]
pub enum Step<'a> {
    /// A record, proven; the scanner has moved behind it.
    Record {
        /// Where it starts.
        offset: u64,
        /// Bytes it takes.
        length: u64,
        /// The record.
        record: Record<'a>,
    },
    /// The end that was asked for.
    End,
    /// No record; the scanner stays.
    Bad(Malformed),
}

/// What a search beyond a bad place found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// A whole record, which says that all below `synced_to` was synced when it was written.
    Record {
        /// Where it starts.
        offset: u64,
        /// Its claim.
        synced_to: u64,
    },
    /// Something else than zeros, but no whole record.
    Rubbish,
    /// Zeros only.
    Zeros,
    /// The search was given up: too much looks like a record and is none.
    Unclear,
}

/// A place in a segment that moves from record to record.
#[derive(Debug)]
pub struct Scanner<'a> {
    file: &'a dyn DiskFile,
    path: &'a Path,
    salt: Salt,
    offset: u64,
    end: u64,
    window: Vec<u8>,
    window_start: u64,
    proven: u64,
}

impl<'a> Scanner<'a> {
    /// A scanner over the records of `segment` from `offset` to `end`, read through `file`.
    pub fn new(segment: &'a Segment, file: &'a dyn DiskFile, offset: u64, end: u64) -> Scanner<'a> {
        Scanner {
            file,
            path: &segment.path,
            salt: segment.salt,
            offset,
            end,
            window: Vec::new(),
            window_start: 0,
            proven: 0,
        }
    }

    /// Where the scanner stands.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Below where all was synced, as the records passed so far say.
    pub fn proven(&self) -> u64 {
        self.proven
    }

    /// Moves the scanner.
    pub fn seek(&mut self, offset: u64) {
        self.offset = offset;
    }

    /// What stands here; moves on if it is a record.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read.
    pub fn step(&mut self) -> Result<Step<'_>> {
        if self.offset >= self.end {
            return Ok(Step::End);
        }
        let offset = self.offset;
        let header = match self.header(offset)? {
            Ok(header) => header,
            Err(why) => return Ok(Step::Bad(why)),
        };
        let length = header.record_length();
        if offset + length > self.end {
            return Ok(Step::Bad(Malformed::Short));
        }
        let salt = self.salt;
        if let Err(why) = header.check(self.bytes(offset, length as usize)?, salt, offset) {
            return Ok(Step::Bad(why));
        }
        self.offset += length;
        self.proven = self.proven.max(header.synced_to(offset));
        let bytes = self.bytes(offset, length as usize)?;
        let record = header.view(bytes);
        Ok(Step::Record { offset, length, record })
    }

    /// Looks behind the bad place where the scanner stands, without moving it, for the first
    /// record that `wanted` says yes to (given its offset and what it claims to be synced).
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read.
    pub fn search_beyond(&mut self, wanted: impl Fn(u64, u64) -> bool) -> Result<Beyond> {
        let (start, mut at) = (self.offset, self.offset);
        let mut effort = SEARCH_EFFORT * (self.end - start).max(WINDOW as u64);
        let mut found = Beyond::Zeros;
        while at < self.end {
            if let Some(next) = self.skip_zeros(at)? {
                at = next;
                continue;
            }
            if at < self.end {
                found = Beyond::Rubbish;
            }
            if at == start {
                at += ALIGNMENT;
                continue;
            }
            let mut length = ALIGNMENT;
            if let Ok(header) = self.header(at)?
                && at + header.record_length() <= self.end
            {
                let size = header.record_length();
                effort = effort.saturating_sub(size);
                let salt = self.salt;
                if header.check(self.bytes(at, size as usize)?, salt, at).is_ok() {
                    let synced_to = header.synced_to(at);
                    if wanted(at, synced_to) {
                        return Ok(Beyond::Record { offset: at, synced_to });
                    }
                    length = size;
                }
            }
            if effort == 0 {
                return Ok(Beyond::Unclear);
            }
            at += length;
        }
        Ok(found)
    }

    /// Where the next whole record begins behind the bad place where the scanner stands, or the end.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be read.
    pub fn behind_damage(&mut self) -> Result<u64> {
        Ok(match self.search_beyond(|_, _| true)? {
            Beyond::Record { offset, .. } => offset,
            Beyond::Rubbish | Beyond::Zeros | Beyond::Unclear => self.end,
        })
    }

    /// If `at` starts with zeros: where they end, at a multiple of 8 (or at the end).
    fn skip_zeros(&mut self, at: u64) -> Result<Option<u64>> {
        let length = (self.end - at).min(PAGE.len() as u64) as usize;
        let bytes = self.bytes(at, length)?;
        // Whole pages of zeros are the rule behind a torn tail; word by word would be slow.
        if bytes.len() == PAGE.len() && *bytes == PAGE {
            return Ok(Some(at + PAGE.len() as u64));
        }
        let zeros = bytes.chunks(ALIGNMENT as usize).take_while(|c| c.iter().all(|b| *b == 0));
        let zeros = zeros.count() as u64 * ALIGNMENT;
        Ok((zeros > 0).then(|| (at + zeros).min(self.end)))
    }

    fn header(&mut self, offset: u64) -> Result<std::result::Result<Header, Malformed>> {
        let length = (self.end - offset).min(record::HEADER_LENGTH as u64) as usize;
        Ok(Header::decode(self.bytes(offset, length)?))
    }

    fn bytes(&mut self, offset: u64, length: usize) -> Result<&[u8]> {
        let have = self.window_start..self.window_start + self.window.len() as u64;
        if !(have.contains(&offset) && offset + length as u64 <= have.end) {
            let wanted = (WINDOW.max(length) as u64).min(self.end - offset) as usize;
            let fetched = self.file.read_copy(offset, wanted);
            self.window = fetched.map_err(|error| {
                if error.kind() == std::io::ErrorKind::UnexpectedEof {
                    let detail = "the file ends before its data does";
                    return Error::damaged(self.path, offset, detail);
                }
                Error::io("read", self.path, error)
            })?;
            self.window_start = offset;
        }
        let start = (offset - self.window_start) as usize;
        Ok(&self.window[start..start + length])
    }
}

/// Follows a scan to know where whole batches end.
#[derive(Debug)]
pub struct BatchTracker {
    start: u64,
}

impl BatchTracker {
    /// A tracker for a scan that begins at `offset`, where a batch begins.
    pub fn new(offset: u64) -> BatchTracker {
        BatchTracker { start: offset }
    }

    /// Takes note of a record that ends at `end`; says whether its batch is whole with it.
    pub fn follow(&mut self, record: &Record<'_>, end: u64) -> bool {
        if record.batch == Batch::Ends {
            self.start = end;
        }
        record.batch == Batch::Ends
    }

    /// Where the batch that is not yet whole begins (or the next one would).
    pub fn start(&self) -> u64 {
        self.start
    }
}
