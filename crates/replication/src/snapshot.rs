//! A snapshot on its way: out of this node's store, or into it.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use aryavarth::Result;

use crate::entry_log::{EntryId, ShardId};
use crate::gate::Pass;
use crate::store::{Chunks, ShardData, ShardInstall};

/// What openraft hands from where a snapshot is made to where it is needed.
pub(crate) enum SnapshotData {
    /// To be read from this node's store.
    Local {
        data: Arc<dyn ShardData>,
        shard: ShardId,
        /// What had been split off it when that was said.
        split_off: BTreeSet<ShardId>,
    },
    /// All chunks are in this node's store; what is left is to finish.
    Received(Box<dyn ShardInstall>),
}

impl fmt::Debug for SnapshotData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SnapshotData::Local { shard, .. } => write!(f, "Local({})", shard.0),
            SnapshotData::Received(_) => f.write_str("Received"),
        }
    }
}

impl SnapshotData {
    /// A promise of what this node's store has of a shard now.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn promise(data: &Arc<dyn ShardData>, shard: ShardId) -> Result<SnapshotData> {
        let split_off = data.split_off(shard)?;
        Ok(SnapshotData::Local { data: Arc::clone(data), shard, split_off })
    }

    /// The shards that had been split off it.
    pub fn split_off(&self) -> impl Iterator<Item = ShardId> + '_ {
        let split_off = match self {
            SnapshotData::Local { split_off, .. } => Some(split_off),
            SnapshotData::Received(_) => None,
        };
        split_off.into_iter().flatten().copied()
    }

    /// Asks later whether nothing was split off the shard since this was promised.
    pub fn is_as_begun(&self) -> impl Fn() -> Result<bool> + Send + use<> {
        let then = match self {
            SnapshotData::Local { data, shard, split_off } => {
                Some((Arc::clone(data), *shard, split_off.clone()))
            }
            SnapshotData::Received(_) => None,
        };
        move || match &then {
            Some((data, shard, split_off)) => Ok(data.split_off(*shard)? == *split_off),
            None => Ok(true),
        }
    }

    /// The records, if they are here to be read.
    ///
    /// # Errors
    /// If the store cannot be read.
    pub fn export(&self) -> Result<Option<Chunks>> {
        match self {
            SnapshotData::Local { data, shard, .. } => data.export(*shard).map(Some),
            SnapshotData::Received(_) => Ok(None),
        }
    }

    /// Puts the records in place of those of `shard` in `into`. Blocks.
    ///
    /// # Errors
    /// If a store cannot be read or takes no writes.
    pub fn install(
        self,
        into: &dyn ShardData,
        shard: ShardId,
        base: EntryId,
        config: &[u8],
    ) -> Result<()> {
        let install = match self {
            SnapshotData::Received(install) => install,
            SnapshotData::Local { data, shard: from, .. } => {
                let mut install = into.begin_install(shard)?;
                for chunk in data.export(from)? {
                    install.chunk(&chunk?)?;
                }
                install
            }
        };
        install.finish(base, config)
    }
}

/// A snapshot that is coming in from a peer.
pub(crate) struct Incoming {
    pub install: Box<dyn ShardInstall>,
    pub pass: Pass,
}
