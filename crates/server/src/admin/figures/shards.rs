//! The figures of a node of a cluster: its place in it, and each of its replicas.
//!
//! | figure | told by |
//! |---|---|
//! | `aryavarth_shard_*{shard}` | every node that has a replica, of that replica |
//! | `aryavarth_shard_follower_*{shard,node}` | the leader, of each follower |

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use aryavarth_replication::{EntryId, EntryIndex, GroupStatus, Role};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::Page;
use crate::cluster::Clustered;

/// Writes them.
pub(super) fn of_cluster(page: &mut Page<'_>, cluster: &Clustered) -> fmt::Result {
    let statuses: Vec<GroupStatus> =
        cluster.seats.groups().map(|(_, group)| group.status()).collect();
    of_node(page, cluster, &statuses)?;
    of_replicas(page, &statuses)?;
    of_followers(page, &statuses)
}

fn of_node(page: &mut Page<'_>, cluster: &Clustered, statuses: &[GroupStatus]) -> fmt::Result {
    let led = statuses.iter().filter(|status| leads(status)).count() as u64;
    let leaderless =
        statuses.iter().filter(|status| status.leadership.leader.is_none()).count() as u64;
    page.gauge("aryavarth_cluster_replicas", "Shards held here", None, statuses.len() as u64)?;
    page.gauge("aryavarth_cluster_led", "Shards led from here", None, led)?;
    page.gauge(
        "aryavarth_cluster_leaderless",
        "Shards held here of which no leader is known",
        None,
        leaderless,
    )?;
    of_damage(page, cluster)?;
    let view = cluster.views.newest();
    let (Some(topology), Some(node)) = (&view.topology, view.myself) else { return Ok(()) };
    page.gauge("aryavarth_cluster_node", "The number of this node", None, node.0)?;
    page.gauge("aryavarth_cluster_nodes", "Nodes known", None, topology.nodes().len() as u64)?;
    page.gauge(
        "aryavarth_cluster_epoch",
        "Changes of the topology known here",
        None,
        topology.epoch().0,
    )
}

fn of_damage(page: &mut Page<'_>, cluster: &Clustered) -> fmt::Result {
    let Some(counts) = cluster.member().map(|member| member.mending_counts()) else {
        return Ok(());
    };
    let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
    page.counter(
        "aryavarth_scrubbed_bytes",
        "Bytes of the log that were read to look for damage",
        None,
        get(&counts.scrubbed),
    )?;
    page.counter(
        "aryavarth_damaged_records",
        "Damaged records that were found",
        None,
        get(&counts.found),
    )?;
    page.counter(
        "aryavarth_mended_records",
        "Damaged records that were mended from other replicas",
        None,
        get(&counts.mended),
    )
}

fn leads(status: &GroupStatus) -> bool {
    status.leadership.role == Role::Leader
}

fn of_replicas(page: &mut Page<'_>, statuses: &[GroupStatus]) -> fmt::Result {
    let of_id = |id: Option<EntryId>| id.map_or(0, |id| id.index.0);
    let mut each = |name, help, value: &dyn Fn(&GroupStatus) -> u64| {
        let mut family = page.describe(name, help, None, MetricType::Gauge)?;
        for status in statuses {
            let labels = [("shard", status.shard.to_string())];
            family.encode_family(&labels)?.encode_gauge(&value(status))?;
        }
        Ok(())
    };
    each("aryavarth_shard_leader", "1 on the node that leads", &|of| u64::from(leads(of)))?;
    each("aryavarth_shard_leader_node", "Who leads; 0 if that is not known", &|of| {
        of.leadership.leader.as_ref().map_or(0, |leader| leader.node.0)
    })?;
    each("aryavarth_shard_term", "The newest term", &|of| of.leadership.term.0)?;
    each("aryavarth_shard_last", "The last entry of the log", &|of| {
        of.last.map_or(0, |last| last.0)
    })?;
    each("aryavarth_shard_committed", "The last entry that a majority has", &|of| {
        of_id(of.committed)
    })?;
    each("aryavarth_shard_applied", "The last entry that reads see", &|of| of_id(of.applied))?;
    each("aryavarth_shard_unapplied", "Entries that a majority has and reads do not see", &|of| {
        of.lag()
    })?;
    each("aryavarth_shard_log_entries", "Entries held for followers", &GroupStatus::held)
}

fn of_followers(page: &mut Page<'_>, statuses: &[GroupStatus]) -> fmt::Result {
    let mut family = page.describe(
        "aryavarth_shard_follower_lag",
        "Entries that a follower is behind its leader",
        None,
        MetricType::Gauge,
    )?;
    for status in statuses.iter().filter(|status| leads(status)) {
        let me = status.leadership.leader.as_ref().map(|leader| leader.node);
        for member in status.members.iter().filter(|member| Some(member.node) != me) {
            let labels = [("shard", status.shard.to_string()), ("node", member.node.to_string())];
            let lag = behind(status.last, member.matched);
            family.encode_family(&labels)?.encode_gauge(&lag)?;
        }
    }
    let mut family = page.describe(
        "aryavarth_shard_snapshot_sent",
        "Keys and values that a follower was sent of the snapshot under way",
        Some(&Unit::Bytes),
        MetricType::Gauge,
    )?;
    for status in statuses {
        for member in &status.members {
            let Some(bytes) = member.snapshot_bytes else { continue };
            let labels = [("shard", status.shard.to_string()), ("node", member.node.to_string())];
            family.encode_family(&labels)?.encode_gauge(&bytes)?;
        }
    }
    Ok(())
}

/// Entries between what a leader and a follower have.
pub(in crate::admin) fn behind(last: Option<EntryIndex>, matched: Option<EntryIndex>) -> u64 {
    let next = |index: Option<EntryIndex>| index.map_or(0, |index| index.0 + 1);
    next(last).saturating_sub(next(matched))
}
