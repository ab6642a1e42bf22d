//! Why a server could not start or did not end well. Each variant tells the operator's next move.

use std::io;
use std::path::PathBuf;

use crate::acl::FileError;
use crate::cluster::NodeError;
use crate::config::{ConfigError, Place};

/// What starting and running a server returns.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a server could not start or did not end well.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A setting is wrong. Mend it where the text says.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store could not be opened, or not closed. See its own text.
    #[error(transparent)]
    Store(#[from] aryavarth::Error),
    /// An address could not be listened on. Choose another, or stop who has it.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// There is nothing to listen on. Set a port or a path.
    #[error("nothing to listen on: set `port`, `tls-port` or `unixsocket`")]
    NoListener,
    /// A certificate or key could not be used. Mend the file.
    #[error("{path}: {detail}")]
    Tls {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The users' file could not be used. Mend it where the text says.
    #[error(transparent)]
    Users(#[from] FileError),
    /// A rule of a user in the settings is wrong. Mend it.
    #[error("{place}: user \"{user}\": {detail}")]
    User {
        /// Where it stands.
        place: Place,
        /// The user.
        user: String,
        /// What is wrong.
        detail: String,
    },
    /// The server could not be a node of its cluster. See its own text.
    #[error(transparent)]
    Cluster(#[from] NodeError),
    /// The system refused something else.
    #[error("cannot {operation}: {source}")]
    Io {
        /// What was tried.
        operation: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl Error {
    pub(crate) fn io(operation: &'static str) -> impl FnOnce(io::Error) -> Error {
        move |source| Error::Io { operation, source }
    }
}
