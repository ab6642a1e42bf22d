//! How a node's server asks another node: over the same network as everything else.

use std::fmt;

use aryavarth_replication::entry_log::EntryIndex;
use aryavarth_replication::{NodeId, ShardId};
use aryavarth_server::cluster::Later;
use aryavarth_server::simulation::Peers;

use super::clients::Directory;
use super::weather::Air;

/// The line of a node to all others.
#[derive(Clone)]
pub struct Line {
    /// Whose it is.
    pub node: NodeId,
    /// What is between them.
    pub air: Air,
    /// Where they are.
    pub directory: Directory,
}

impl fmt::Debug for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Line").field("node", &self.node).finish_non_exhaustive()
    }
}

impl Line {
    async fn ask(self, leader: NodeId, shard: ShardId) -> Option<EntryIndex> {
        tokio::time::sleep(self.air.passage(self.node, leader)?).await;
        let running = self.directory.get(leader)?;
        let group = running.group(shard)?;
        let answering = running.host.spawn(async move { group.read_index().await });
        let index = answering.await.ok()?.ok()?;
        tokio::time::sleep(self.air.passage(leader, self.node)?).await;
        Some(index)
    }
}

impl Peers for Line {
    fn read_index(&self, leader: NodeId, shard: ShardId) -> Later<Option<EntryIndex>> {
        Box::pin(self.clone().ask(leader, shard))
    }
}
