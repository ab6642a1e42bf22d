//! Commands about the cluster.

use super::keys::{NONE, UPDATE_SECOND};
use super::{CommandSpec, Id, row};

/// Those for operators wait for other nodes, so they have no place in a transaction.
const OPERATOR: &str = "admin noscript stale no_multi";

const CLUSTER: &[CommandSpec] = &[
    row(Id::ClusterSlots, "cluster|slots", 2, "loading stale", "", NONE),
    row(Id::ClusterShards, "cluster|shards", 2, "loading stale", "", NONE),
    row(Id::ClusterNodes, "cluster|nodes", 2, "stale", "", NONE),
    row(Id::ClusterInfo, "cluster|info", 2, "stale", "", NONE),
    row(Id::ClusterMyId, "cluster|myid", 2, "stale", "", NONE),
    row(Id::ClusterMyShardId, "cluster|myshardid", 2, "stale", "", NONE),
    row(Id::ClusterKeySlot, "cluster|keyslot", 3, "stale", "", NONE),
    row(Id::ClusterCountKeysInSlot, "cluster|countkeysinslot", 3, "stale", "", NONE),
    row(Id::ClusterGetKeysInSlot, "cluster|getkeysinslot", 4, "stale", "", NONE),
    row(Id::ClusterLinks, "cluster|links", 2, "stale", "", NONE),
    row(
        Id::ClusterCountFailureReports,
        "cluster|count-failure-reports",
        3,
        "admin stale",
        "",
        NONE,
    ),
    row(Id::ClusterReplicas, "cluster|replicas", 3, "admin stale", "", NONE),
    row(Id::ClusterSlaves, "cluster|slaves", 3, "admin stale", "", NONE),
    row(Id::ClusterRepair, "cluster|repair", 3, "write admin noscript", "", UPDATE_SECOND),
    row(Id::ClusterStatus, "cluster|status", 2, "admin stale", "", NONE),
    row(Id::ClusterDrain, "cluster|drain", -3, OPERATOR, "", NONE),
    row(Id::ClusterUndrain, "cluster|undrain", 3, OPERATOR, "", NONE),
    row(Id::ClusterRemove, "cluster|remove", -3, OPERATOR, "", NONE),
    row(Id::ClusterRebalance, "cluster|rebalance", 2, OPERATOR, "", NONE),
    row(Id::ClusterTransfer, "cluster|transfer", 4, OPERATOR, "", NONE),
    row(Id::ClusterMeet, "cluster|meet", 4, OPERATOR, "", NONE),
    row(Id::ClusterReplicationFactor, "cluster|replication-factor", 3, OPERATOR, "", NONE),
    row(Id::ClusterHelp, "cluster|help", 2, "loading stale", "", NONE),
];

/// The rows.
pub const ROWS: &[CommandSpec] = &[
    row(Id::Cluster, "cluster", -2, "", "", NONE).with(CLUSTER),
    row(Id::ReadOnly, "readonly", -1, "loading stale fast", "connection", NONE),
    row(Id::ReadWrite, "readwrite", 1, "loading stale fast", "connection", NONE),
    row(Id::Asking, "asking", 1, "fast", "connection", NONE),
];
