//! What a node knows of its cluster at one moment: enough to answer clients, never waited for.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use aryavarth_cluster::{Address, NodeId, NodeSight, RedisView, ShardId, Topology};

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

impl ClusterView {
    /// Where clients reach a node, if it is known.
    pub fn client_address(&self, node: NodeId) -> Option<&Address> {
        Some(&self.topology.as_deref()?.node(node)?.client)
    }
}

/// The newest view.
#[derive(Debug, Default)]
pub struct Views(RwLock<Arc<ClusterView>>);

impl Views {
    /// The newest.
    pub fn newest(&self) -> Arc<ClusterView> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on this is the newest.
    pub fn publish(&self, view: ClusterView) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(view);
    }
}
