//! The last topology that a node heard of, in a file: for a node that has no replica of the meta group,
//! and has to find the others when it starts. It may be old, or missing; nothing is decided from it.

use aryavarth_cluster::Topology;

use super::home::Home;

/// The name of the file.
const FILE: &str = "cluster.topology";

/// The topology in a directory, if there is one that is understood.
pub(super) fn read(home: &Home) -> Option<Topology> {
    let bytes = home.read(FILE).ok()??;
    Topology::decode(&bytes)
        .inspect_err(|error| tracing::warn!(%error, "{FILE} is not understood, and not needed"))
        .ok()
}

/// Puts a topology into a directory. What fails is tried again with the next one.
pub(super) fn write(home: &Home, topology: &Topology) {
    if let Err(error) = home.replace(FILE, &topology.encode()) {
        tracing::warn!(%error, "{FILE} cannot be written");
    }
}
