//! The newest topology that a node knew, beside its store: so that it finds the others after a start, though
//! it has no replica of the meta group. Nothing is decided by it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use aryavarth_cluster::Topology;

/// The name of the file.
const FILE: &str = "cluster.topology";

/// What was kept, if it is there and can be understood.
pub fn read(directory: &Path) -> Option<Topology> {
    let bytes = fs::read(directory.join(FILE)).ok()?;
    match Topology::decode(&bytes) {
        Ok(topology) => Some(topology),
        Err(error) => {
            tracing::warn!(%error, "{FILE} is not understood: others are asked for the topology");
            None
        }
    }
}

/// Keeps a topology: all of it or what was there before.
///
/// # Errors
/// What the machine says.
pub fn write(directory: &Path, topology: &Topology) -> io::Result<()> {
    let temporary = directory.join(format!("{FILE}.new"));
    let mut file = File::create(&temporary)?;
    file.write_all(&topology.encode())?;
    file.sync_all()?;
    fs::rename(&temporary, directory.join(FILE))?;
    File::open(directory)?.sync_all()
}
