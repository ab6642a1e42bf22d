//! What a node knows of its cluster at one moment: enough to answer clients, never waited for.

use std::collections::BTreeMap;
use std::sync::Arc;

use aryavarth_cluster::{NodeId, NodeSight, RedisView, ShardId, Topology};

/// The cluster as one node sees it.
#[derive(Clone, Debug, Default)]
pub struct ClusterView {
    /// This node; none as long as it belongs to no cluster.
    pub myself: Option<NodeId>,
    /// Nodes, shards and replicas; none as long as it has not heard of them.
    pub topology: Option<Arc<Topology>>,
    /// Who leads which group, as far as is known.
    pub leaders: BTreeMap<ShardId, NodeId>,
    /// How other nodes are. Of one that is not listed nothing bad is known.
    pub nodes: BTreeMap<NodeId, NodeSight>,
}

impl ClusterView {
    /// As clients of Redis Cluster see it; none before it is known.
    pub fn for_clients(&self) -> Option<RedisView<'_>> {
        Some(RedisView {
            topology: self.topology.as_deref()?,
            myself: self.myself?,
            leaders: &self.leaders,
            nodes: &self.nodes,
        })
    }
}
