//! The last topology that a node heard of, in a file: for a node that has no replica of the meta group,
//! and has to find the others when it starts. It may be old, or missing; nothing is decided from it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use aryavarth_cluster::Topology;

/// The name of the file.
const FILE: &str = "cluster.topology";

/// The topology in a directory, if there is one that is understood.
#[expect(clippy::disallowed_methods, reason = "the file is no part of the store")]
pub(super) fn read(directory: &Path) -> Option<Topology> {
    let bytes = fs::read(directory.join(FILE)).ok()?;
    Topology::decode(&bytes)
        .inspect_err(|error| tracing::warn!(%error, "{FILE} is not understood, and not needed"))
        .ok()
}

/// Puts a topology into a directory. What fails is tried again with the next one.
#[expect(clippy::disallowed_methods, reason = "the file is no part of the store")]
pub(super) fn write(directory: &Path, topology: &Topology) {
    let temporary = directory.join(format!("{FILE}.new"));
    let write = || -> io::Result<()> {
        let mut file = File::create(&temporary)?;
        file.write_all(&topology.encode())?;
        file.sync_all()?;
        fs::rename(&temporary, directory.join(FILE))
    };
    let written = write();
    if let Err(error) = written {
        tracing::warn!(%error, "{FILE} cannot be written");
    }
}
