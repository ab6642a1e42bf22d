//! `INFO`: the store and what keeps it, and what this server has none of.

use std::sync::atomic::Ordering;

use aryavarth_cluster::NodeSight;

use super::Page;
use super::process::percentile;
use crate::command::following::Following;
use crate::command::scope::Scope;
use crate::server::Server;

/// `# Persistence`
pub(super) fn persistence(page: &mut Page, server: &Server) {
    let (saving, store, log) = (&server.saving, server.store.stats(), &server.log_metrics);
    let status = |ok| if ok { "ok" } else { "err" };
    let last_seconds = saving.last_seconds().map_or(-1, |seconds| seconds as i64);
    let refused = page.refused.clone();
    page.heading("Persistence");
    page.line("loading", 0);
    page.line("async_loading", 0);
    page.line("rdb_changes_since_last_save", 0);
    page.line("rdb_bgsave_in_progress", u8::from(saving.is_under_way()));
    page.line("rdb_last_save_time", server.last_save.load(Ordering::Relaxed));
    page.line("rdb_last_bgsave_status", status(saving.last_succeeded()));
    page.line("rdb_last_bgsave_time_sec", last_seconds);
    page.line("rdb_current_bgsave_time_sec", -1);
    page.line("rdb_saves", saving.count());
    page.line("aof_enabled", 1);
    page.line("aof_rewrite_in_progress", 0);
    page.line("aof_rewrite_scheduled", 0);
    page.line("aof_last_rewrite_time_sec", -1);
    page.line("aof_current_rewrite_time_sec", -1);
    page.line("aof_last_bgrewrite_status", "ok");
    page.line("aof_last_write_status", status(refused.is_none()));
    page.line("aof_current_size", store.log_bytes);
    page.line("aof_base_size", store.live_bytes);
    page.line("aof_pending_bio_fsync", 0);
    page.line("aryavarth_durability", server.durability_text());
    page.line("aryavarth_directory", server.store.directory().display());
    page.line("aryavarth_log_bytes", store.log_bytes);
    page.line("aryavarth_live_bytes", store.live_bytes);
    page.line("aryavarth_stale_bytes", store.stale_bytes);
    page.line("aryavarth_segments", store.segments);
    page.line("aryavarth_quarantined_segments", store.quarantined_segments);
    page.line("aryavarth_compaction_debt_bytes", store.compaction_debt);
    let amplification = store.write_amplification().unwrap_or(0.0);
    page.line("aryavarth_write_amplification", format_args!("{amplification:.2}"));
    page.line("aryavarth_syncs", log.sync_micros.count());
    let failed = log.failed_syncs.load(Ordering::Relaxed);
    page.line("aryavarth_failed_syncs", failed);
    for (name, part) in [("p50", 0.5), ("p99", 0.99)] {
        let micros = percentile(&log.sync_micros.counts(), part);
        page.line(&format!("aryavarth_sync_usec_{name}"), format_args!("{micros:.0}"));
    }
    page.line("aryavarth_batches", log.batch_operations.count());
    page.line("aryavarth_batch_operations", log.batch_operations.sum());
    if let Some(refused) = refused {
        page.line("aryavarth_writes_refused", refused.to_string().replace(['\r', '\n'], " "));
    }
}

/// `# Replication`: in a cluster, who follows in the shards that this node leads.
pub(super) fn replication(page: &mut Page, server: &Server) {
    let following = server.cluster.as_ref().map(Following::of).unwrap_or_default();
    page.heading("Replication");
    page.line("role", "master");
    page.line("connected_slaves", following.followers.len());
    for (number, follower) in following.followers.iter().enumerate() {
        let state = match follower.sight {
            NodeSight::Reachable => "online",
            NodeSight::Unreachable | NodeSight::Lost => "offline",
        };
        let (ip, port) = (follower.address.host(), follower.address.port());
        let (offset, lag) = (follower.offset, follower.silent_for.as_secs());
        page.line(
            &format!("slave{number}"),
            format_args!("ip={ip},port={port},state={state},offset={offset},lag={lag}"),
        );
    }
    page.line("master_failover_state", "no-failover");
    page.line("master_replid", &server.run_id);
    page.line("master_replid2", "0".repeat(40));
    page.line("master_repl_offset", following.offset);
    page.line("second_repl_offset", -1);
    page.line("repl_backlog_active", 0);
    page.line("repl_backlog_size", 0);
    page.line("repl_backlog_first_byte_offset", 0);
    page.line("repl_backlog_histlen", 0);
}

/// `# Cluster`
pub(super) fn cluster(page: &mut Page, server: &Server) {
    page.heading("Cluster");
    page.line("cluster_enabled", u8::from(server.cluster.is_some()));
    let Some(cluster) = &server.cluster else { return };
    let view = cluster.views.newest();
    let (mut led, mut followed, mut leaderless, mut terms) = (0, 0, 0, 0);
    for (_, group) in cluster.seats.groups() {
        let leadership = group.leadership().borrow().clone();
        terms += leadership.term.0;
        match leadership.leader {
            None => leaderless += 1,
            Some(leader) if leader.node == group.node() => led += 1,
            Some(_) => followed += 1,
        }
    }
    if let (Some(node), Some(topology)) = (view.myself, &view.topology) {
        page.line("aryavarth_cluster", topology.cluster());
        page.line("aryavarth_cluster_node", node);
        page.line("aryavarth_cluster_epoch", topology.epoch());
        page.line("aryavarth_cluster_nodes", topology.nodes().len());
        page.line("aryavarth_cluster_shards", topology.shards().count());
    }
    page.line("aryavarth_cluster_led", led);
    page.line("aryavarth_cluster_followed", followed);
    page.line("aryavarth_cluster_leaderless", leaderless);
    // Each change of a leader, tried or done, begins a term.
    page.line("aryavarth_cluster_terms", terms);
}

/// `# Keyspace`. Keys that expire are counted by their records, which may be too many until
/// compaction has passed. In a cluster the keys of all replicas here count, led or not.
pub(super) fn keyspace(page: &mut Page, server: &Server) {
    let store = server.store.stats();
    // The server's own keys are left out, unless the store cannot be asked for them.
    let keys = Scope::held(server).count_at_once(server).ok().flatten().unwrap_or(store.keys);
    page.heading("Keyspace");
    if keys > 0 {
        let expires = store.expiring_records.min(keys);
        page.line("db0", format_args!("keys={keys},expires={expires},avg_ttl=0"));
    }
}
