//! The part of `/status` that only a node of a cluster has: itself and its replicas. Nobody else is asked;
//! the cluster as a whole is what `CLUSTER STATUS` tells.

use std::collections::BTreeMap;

use aryavarth_replication::{GroupStatus, Role};
use serde_json::{Value, json};

use super::figures::behind;
use crate::cluster::Clustered;

/// The object.
pub(super) fn object(cluster: &Clustered) -> Value {
    let view = cluster.views.newest();
    let topology = view.topology.as_deref();
    let replicas: Vec<GroupStatus> =
        cluster.seats.groups().map(|(_, group)| group.status()).collect();
    let led = replicas.iter().filter(|of| of.leadership.role == Role::Leader).count();
    json!({
        "cluster": topology.map(|topology| topology.cluster().to_string()),
        "epoch": topology.map(|topology| topology.epoch().0),
        "node": view.myself.map(|node| node.0),
        "held": replicas.len(),
        "led": led,
        "replicas": replicas.iter().map(replica).collect::<Vec<Value>>(),
    })
}

fn replica(status: &GroupStatus) -> Value {
    let leadership = &status.leadership;
    let leader = leadership.leader.as_ref().map(|leader| leader.node);
    let is_leader = leadership.role == Role::Leader;
    let others = || status.members.iter().filter(|member| Some(member.node) != leader);
    let lag: BTreeMap<String, u64> = others()
        .filter(|_| is_leader)
        .map(|member| (member.node.to_string(), behind(status.last, member.matched)))
        .collect();
    let sent = |member: &aryavarth_replication::MemberStatus| {
        Some((member.node.to_string(), member.snapshot_bytes?))
    };
    let snapshots: BTreeMap<String, u64> = others().filter_map(sent).collect();
    json!({
        "shard": status.shard.0,
        "role": role(leadership.role),
        "leader": leader.map(|node| node.0),
        "term": leadership.term.0,
        "last": status.last.map(|last| last.0),
        "committed": status.committed.map(|id| id.index.0),
        "applied": status.applied.map(|id| id.index.0),
        "unapplied": status.lag(),
        "log_entries": status.held(),
        "follower_lag": lag,
        "snapshot_bytes": snapshots,
    })
}

fn role(role: Role) -> &'static str {
    match role {
        Role::Learner => "learner",
        Role::Follower => "follower",
        Role::Candidate => "candidate",
        Role::Leader => "leader",
        Role::Stopped => "stopped",
    }
}
