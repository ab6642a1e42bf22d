//! The only owner of file names, magic numbers and format versions.

use std::path::{Path, PathBuf};

use crate::ids::SegmentId;

/// The folder of a store's files, inside the store's directory.
pub const LOGS: &str = "logs";
/// Ends the name of a segment (and of a KVS1 log).
const SEGMENT_SUFFIX: &str = ".log";
/// Names the segments that make up the store.
const MANIFEST: &str = "manifest";
/// The newest checkpoint of the index.
const CHECKPOINT: &str = "checkpoint";
/// Held while a process has the store open; carries its pid.
const LOCK: &str = "lock";
/// Ends the name of a file that is being written and will be renamed when it is whole.
const TEMPORARY_SUFFIX: &str = ".tmp";
/// Where the files of a converted KVS1 store are kept, inside the store's directory.
const KVS1_ORIGINALS: &str = "kvs1-originals";

/// First bytes of a segment.
pub const SEGMENT_MAGIC: [u8; 8] = *b"ARYALOG\0";
/// First bytes of a manifest.
pub const MANIFEST_MAGIC: [u8; 8] = *b"ARYAMAN\0";
/// First bytes of a checkpoint.
pub const CHECKPOINT_MAGIC: [u8; 8] = *b"ARYACKP\0";
/// The format this build writes, in all three.
pub const FORMAT_VERSION: u32 = 1;

/// The files of one store.
#[derive(Clone, Debug)]
pub struct Names {
    logs: PathBuf,
    originals: PathBuf,
}

impl Names {
    /// The names inside the store at `directory`.
    pub fn new(directory: &Path) -> Names {
        Names { logs: directory.join(LOGS), originals: directory.join(KVS1_ORIGINALS) }
    }

    /// The folder of all files below.
    pub fn logs(&self) -> &Path {
        &self.logs
    }

    /// The file of segment `id`.
    pub fn segment(&self, id: SegmentId) -> PathBuf {
        self.logs.join(format!("{:010}{SEGMENT_SUFFIX}", id.0))
    }

    /// The manifest.
    pub fn manifest(&self) -> PathBuf {
        self.logs.join(MANIFEST)
    }

    /// The checkpoint.
    pub fn checkpoint(&self) -> PathBuf {
        self.logs.join(CHECKPOINT)
    }

    /// The lock.
    pub fn lock(&self) -> PathBuf {
        self.logs.join(LOCK)
    }

    /// Where a converted KVS1 store's own files are kept.
    pub fn kvs1_originals(&self) -> &Path {
        &self.originals
    }
}

/// The name under which `path` is written before it is whole.
pub fn temporary(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(TEMPORARY_SUFFIX);
    PathBuf::from(name)
}

/// Whether `name` is left over from a write that was cut.
pub fn is_temporary(name: &str) -> bool {
    name.ends_with(TEMPORARY_SUFFIX)
}

/// The number in `name`, if it is `<number>.log`, as segments and KVS1 logs are named.
pub fn log_number(name: &str) -> Option<u64> {
    name.strip_suffix(SEGMENT_SUFFIX)
        .filter(|n| n.bytes().all(|b| b.is_ascii_digit()))?
        .parse()
        .ok()
}
