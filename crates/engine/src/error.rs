//! The one error of the engine. Each variant tells the caller's next move.

use std::io;
use std::path::{Path, PathBuf};

/// What the methods of a store return.
pub type Result<T> = std::result::Result<T, Error>;

/// Why the store did not do what it was asked.
///
/// Unless [`is_outcome_unknown`](Error::is_outcome_unknown), a write that returned an error did not
/// happen and will not be found later.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The machine refused an operation on a file. Retry after mending what `source` names.
    #[error("cannot {operation} {path}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the machine said.
        source: SharedIoError,
    },
    /// Bytes are not what was written there. Restore the file from a backup, or save what is
    /// intact with `aryavarth export --skip-damaged`; `aryavarth verify` lists all damage.
    #[error(
        "damage in {path} at offset {offset}: {detail}; run `aryavarth verify` for the full list, \
         restore the file from a backup, or save the rest with `aryavarth export --skip-damaged`"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Where in it, in bytes.
        offset: u64,
        /// What was found.
        detail: String,
    },
    /// Another process has the store open. Stop it, or use another directory.
    #[error("{path} is in use by {}; stop it, or use another directory", holder(*.pid))]
    Locked {
        /// The store's directory.
        path: PathBuf,
        /// Its process id, if it could be read.
        pid: Option<u32>,
    },
    /// The directory has no store (and the call was not to make one).
    #[error("no store in {path}; check the directory")]
    NoStore {
        /// The directory.
        path: PathBuf,
    },
    /// The directory already holds something that would be overwritten.
    #[error("{path} is not empty; choose a new directory")]
    NotEmpty {
        /// The directory.
        path: PathBuf,
    },
    /// A newer release wrote this file. Use that release.
    #[error("{path} has format version {version}, newer than this build's; use a newer release")]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: u32,
    },
    /// A key, value, batch or time-to-live is outside the bounds. Change the request.
    #[error("{what} is {actual} bytes; allowed: {minimum} to {maximum}")]
    TooLarge {
        /// "key", "value" or "batch".
        what: &'static str,
        /// Its size in bytes.
        actual: u64,
        /// The least allowed.
        minimum: u64,
        /// The most allowed.
        maximum: u64,
    },
    /// A setting is outside its bounds. Change the setting.
    #[error("option {name} is {value}; allowed: {allowed}")]
    InvalidOption {
        /// The option.
        name: &'static str,
        /// What it was set to.
        value: String,
        /// What it may be.
        allowed: String,
    },
    /// The disk is full. Reads and removes go on; writes resume by themselves once space is back.
    #[error(
        "the disk of {path} is full: the write was refused, nothing was lost; \
         free some space and try again (reads and removes go on)"
    )]
    DiskFull {
        /// The file that could not grow.
        path: PathBuf,
    },
    /// An earlier write or sync failed, so the store takes no more writes. Mend the disk and open
    /// the store anew; reads go on meanwhile.
    #[error("the store takes no writes since an earlier failure ({cause}); mend it and reopen")]
    Fenced {
        /// What failed first.
        cause: String,
    },
    /// Whether this write is durable is not known. Open the store anew and look.
    #[error("outcome unknown: the write was appended but {cause}; reopen the store and look")]
    OutcomeUnknown {
        /// What failed.
        cause: String,
    },
    /// There is no replica of the shard here (any more). Ask a node that has one.
    #[error("this node has no replica of shard {shard}")]
    NoReplica {
        /// The shard.
        shard: crate::ids::ShardId,
    },
    /// The store was closed by [`close`](crate::KvStore::close). Open it again.
    #[error("the store is closed")]
    Closed,
    /// A line of a KVS1 log could not be understood. Mend or remove the line.
    #[error("{path} line {line} is not a KVS1 record: {detail}; mend or remove the line")]
    Kvs1 {
        /// The file.
        path: PathBuf,
        /// Its number, from 1.
        line: u64,
        /// What is wrong.
        detail: String,
    },
}

fn holder(pid: Option<u32>) -> String {
    pid.map_or_else(|| "another process".to_owned(), |pid| format!("process {pid}"))
}

/// An [`io::Error`] that can be handed to several waiters.
#[derive(Clone, Debug, thiserror::Error)]
#[error(transparent)]
pub struct SharedIoError(std::sync::Arc<io::Error>);

impl SharedIoError {
    /// The kind of the error inside.
    pub fn kind(&self) -> io::ErrorKind {
        self.0.kind()
    }
}

impl Error {
    pub(crate) fn io(operation: &'static str, path: &Path, source: io::Error) -> Error {
        if matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) {
            return Error::DiskFull { path: path.to_owned() };
        }
        let source = SharedIoError(std::sync::Arc::new(source));
        Error::Io { operation, path: path.to_owned(), source }
    }

    pub(crate) fn damaged(path: &Path, offset: u64, detail: impl Into<String>) -> Error {
        Error::Damaged { path: path.to_owned(), offset, detail: detail.into() }
    }

    /// What is wrong and where, without what to do about it.
    pub fn place(&self) -> String {
        match self {
            Error::Damaged { path, offset, detail } => {
                format!("damage in {} at offset {offset}: {detail}", path.display())
            }
            other => other.to_string(),
        }
    }

    /// Whether bytes on disk are not what was written.
    pub fn is_damage(&self) -> bool {
        matches!(self, Error::Damaged { .. } | Error::Kvs1 { .. })
    }

    /// Whether the device could not give back what it was given to keep: a sector went bad, or it fails as a whole.
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Error::Io { operation: "read", source, .. }
            if source.0.raw_os_error() == Some(libc::EIO))
    }

    /// Whether the write may or may not be found later; any other error means it will not be.
    pub fn is_outcome_unknown(&self) -> bool {
        matches!(self, Error::OutcomeUnknown { .. })
    }

    /// Whether the same call may succeed later on the same open store.
    pub fn is_retryable(&self) -> bool {
        matches!(self, Error::DiskFull { .. } | Error::Locked { .. } | Error::Io { .. })
    }
}
