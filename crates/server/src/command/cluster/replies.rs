//! The replies that clients of Redis Cluster parse, from what is known of the cluster.
//!
//! ```text
//!  SLOTS   [first slot, last slot, [host, port, name, {}], …]    the leader, then who follows
//!  SHARDS  {slots: [first, last], nodes: [{id, port, ip, endpoint, role, …}, …]}
//! ```

use std::collections::BTreeMap;
use std::net::IpAddr;

use aryavarth_cluster::{
    Endpoint, NodeId, NodeName, NodeSight, NodeState, RedisView, ShardId, ShardMember,
};
use aryavarth_replication::Group;

use crate::resp::Reply;

/// How far the replicas of a shard are, as far as this node knows: entries of its log. A leader knows of
/// all, others of themselves.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Offsets(BTreeMap<NodeId, u64>);

impl Offsets {
    /// Those that a group tells of.
    pub(super) fn of(group: &Group) -> Offsets {
        let status = group.status();
        let members = status.members.iter();
        let matched = members.filter_map(|member| Some((member.node, member.matched?.0)));
        let mut offsets: BTreeMap<NodeId, u64> = matched.collect();
        if let Some(applied) = status.applied {
            offsets.insert(group.node(), applied.index.0);
        }
        Offsets(offsets)
    }

    fn get(&self, node: NodeId) -> u64 {
        self.0.get(&node).copied().unwrap_or(0)
    }
}

#[cfg(test)]
impl<const N: usize> From<[(NodeId, u64); N]> for Offsets {
    fn from(offsets: [(NodeId, u64); N]) -> Offsets {
        Offsets(offsets.into())
    }
}

/// `CLUSTER SLOTS`
pub(super) fn slots(view: &RedisView<'_>, reply: &mut Reply<'_>) {
    let entries = view.slots();
    reply.array(entries.len());
    for entry in entries {
        reply.array(2 + entry.nodes.len());
        reply.integer(i64::from(*entry.slots.start()));
        reply.integer(i64::from(*entry.slots.end()));
        for node in entry.nodes {
            reply.array(4);
            reply.bulk(node.host.as_bytes());
            reply.integer(i64::from(node.port));
            reply.bulk(node.name.to_string().as_bytes());
            // Other ways to reach it: there are none.
            reply.map(0);
        }
    }
}

/// `CLUSTER SHARDS`
pub(super) fn shards(
    view: &RedisView<'_>,
    offsets: impl Fn(ShardId) -> Offsets,
    reply: &mut Reply<'_>,
) {
    let entries = view.shards();
    reply.array(entries.len());
    for entry in entries {
        let offsets = offsets(entry.shard);
        reply.map(2);
        reply.bulk(b"slots");
        reply.array(2);
        reply.integer(i64::from(*entry.slots.start()));
        reply.integer(i64::from(*entry.slots.end()));
        reply.bulk(b"nodes");
        reply.array(entry.nodes.len());
        for member in &entry.nodes {
            shard_member(member, offsets.get(member.endpoint.id), reply);
        }
    }
}

fn shard_member(member: &ShardMember<'_>, offset: u64, reply: &mut Reply<'_>) {
    let Endpoint { name, host, port, .. } = member.endpoint;
    let is_name = host.parse::<IpAddr>().is_err();
    reply.map(if is_name { 8 } else { 7 });
    reply.bulk(b"id");
    reply.bulk(name.to_string().as_bytes());
    reply.bulk(b"port");
    reply.integer(i64::from(port));
    for key in ["ip", "endpoint"].into_iter().chain(is_name.then_some("hostname")) {
        reply.bulk(key.as_bytes());
        reply.bulk(host.as_bytes());
    }
    reply.bulk(b"role");
    reply.bulk(member.role.as_str().as_bytes());
    reply.bulk(b"replication-offset");
    reply.integer(i64::try_from(offset).unwrap_or(i64::MAX));
    reply.bulk(b"health");
    reply.bulk(member.health.as_str().as_bytes());
}

/// `CLUSTER LINKS`: one to each node that answers. Their buffers are not counted.
pub(super) fn links(view: &RedisView<'_>, reply: &mut Reply<'_>) {
    let others = || view.topology.nodes().filter(|node| node.id != view.myself);
    let linked: Vec<_> =
        others().filter(|node| node.state != NodeState::Gone && answers(view, node.id)).collect();
    reply.array(linked.len());
    for node in linked {
        reply.map(6);
        reply.bulk(b"direction");
        reply.bulk(b"to");
        reply.bulk(b"node");
        reply.bulk(NodeName::of(view.topology.cluster(), node.id).to_string().as_bytes());
        reply.bulk(b"create-time");
        reply.integer(0);
        reply.bulk(b"events");
        reply.bulk(b"rw");
        for buffer in ["send-buffer-allocated", "send-buffer-used"] {
            reply.bulk(buffer.as_bytes());
            reply.integer(0);
        }
    }
}

/// Whether nothing bad is known of a node.
pub(super) fn answers(view: &RedisView<'_>, node: NodeId) -> bool {
    node == view.myself || view.nodes.get(&node).is_none_or(|sight| *sight == NodeSight::Reachable)
}

/// `CLUSTER INFO` of a node that belongs to no cluster.
pub(super) fn info_of_none() -> String {
    let zeros = [
        "slots_assigned",
        "slots_ok",
        "slots_pfail",
        "slots_fail",
        "known_nodes",
        "size",
        "current_epoch",
        "my_epoch",
        "stats_messages_sent",
        "stats_messages_received",
    ];
    let lines = zeros.map(|name| match name {
        "known_nodes" => format!("cluster_{name}:1\r\n"),
        _ => format!("cluster_{name}:0\r\n"),
    });
    let limit = "total_cluster_links_buffer_limit_exceeded:0\r\n";
    format!("cluster_state:fail\r\n{}{limit}", lines.concat())
}
