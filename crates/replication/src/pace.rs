//! How sending, installing and removing replicas gives way to clients.
//!
//! A node that is added needs snapshots of most shards, and those that it relieves have as many replicas to
//! remove. The rests leave the processors and the disk to the clients.

use aryavarth::disk::Courtesy;

/// Work and rests in turn.
pub(crate) struct Pace(Courtesy);

impl Pace {
    /// Work begins.
    pub fn begin() -> Pace {
        Pace(Courtesy::begin())
    }

    /// A piece of work is done. Blocks.
    pub fn rest(&mut self) {
        #[cfg(feature = "simulation")]
        if crate::simulation::Host::current().is_some() {
            return;
        }
        self.0.rest();
    }
}
