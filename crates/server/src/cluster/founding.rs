//! Founding a cluster: this node alone, with all groups, and what its store already has.
//!
//! ```text
//!  groups with this node as the only voter ─▶ what was there before goes behind each log's beginning
//!      ─▶ the topology ─▶ the card says member
//! ```
//!
//! The keys of a store that stood alone are in no group's log. So each log is purged right at its
//! beginning: whoever becomes a replica then needs a snapshot, and that has them.
//!
//! Each step can be done twice; a crash between two of them is made good at the next start, as the card
//! says *founding* until all is done.

use std::sync::Arc;
use std::time::Duration;

use aryavarth::WriteBatch;
use aryavarth_cluster::{META_GROUP, NewNode, NodeId, ShardId, Topology};
use aryavarth_replication::{Basis, Identity};

use super::card::{Card, Holding, Phase};
use super::error::NodeError;
use super::member::{Member, stored_topology};
use super::node::Surroundings;
use super::reserved;
use crate::tasks::spawn;

/// The id of the node that founds a cluster.
pub(super) const FIRST: NodeId = NodeId(1);
/// How long a lone voter may take to elect itself.
const ELECTION: Duration = Duration::from_secs(30);

impl Member {
    /// Founds what the card says; returns the card of the member that it is then.
    pub(super) async fn found(
        around: Surroundings,
        card: Card,
    ) -> Result<(Card, Arc<Member>), NodeError> {
        let Phase::Founding { cluster, shards, factor } = card.phase else {
            return Err(NodeError::NoCluster);
        };
        around.seats.slots().set_sharding(shards);
        let identity = Identity { cluster, node: FIRST, incarnation: card.incarnation };
        let phase = Phase::Member { cluster, node: FIRST, shards, replicas: Holding::Replicas };
        let member_card = Card { phase, ..card };
        let member = Member::assemble(around, member_card, identity, None).await?;
        let found = |shard| {
            let member = Arc::clone(&member);
            spawn(async move { member.found_group(shard).await })
        };
        let founding: Vec<_> = shards.first().groups().map(found).collect();
        for founded in founding {
            founded.await.map_err(|error| NodeError::System {
                operation: "found a shard",
                detail: error.to_string(),
            })??;
        }
        if stored_topology(&member.around.store)?.is_none() {
            let options = &member.around.options;
            let first = NewNode {
                id: FIRST,
                incarnation: card.incarnation,
                client: options.client.clone(),
                peer: options.peer.to_string().parse()?,
                zone: options.zone.clone(),
            };
            let topology = Topology::found(cluster, shards, factor, first);
            member.write_first(topology).await?;
        }
        tracing::info!(%cluster, ?shards, "founded a cluster");
        Ok((member_card, member))
    }

    pub(super) async fn found_group(self: &Arc<Self>, shard: ShardId) -> Result<(), NodeError> {
        let group = match self.node.group(shard) {
            Ok(group) => group,
            Err(_) => self.node.create_group(shard).await?,
        };
        // The log is asked, not the group: one that was just opened has yet to say who is in it.
        if group.is_new() {
            let address = self.around.options.peer.to_string();
            group.initialize(&[(self.id(), address)]).await?;
        }
        let mut leadership = group.leadership();
        let leads = leadership.wait_for(|leadership| leadership.ready);
        let leads = tokio::time::timeout(ELECTION, leads).await;
        let cannot = |detail: &str| NodeError::System {
            operation: "lead a shard alone",
            detail: detail.to_owned(),
        };
        leads.map_err(|_| cannot("it takes too long"))?.map_err(|_| cannot("its group stopped"))?;
        if let Some(applied) = group.applied()
            && group.status().purged.is_none()
        {
            group.purge(applied.index).await?;
        }
        self.seat(&group);
        Ok(())
    }

    pub(super) async fn write_first(&self, topology: Topology) -> Result<(), NodeError> {
        let group = self.node.group(META_GROUP)?;
        let mut batch = WriteBatch::new();
        batch.set(reserved::TOPOLOGY, topology.encode());
        group.propose(Arc::new(batch), Basis::Anything).await?;
        self.note_topology(topology);
        Ok(())
    }
}
