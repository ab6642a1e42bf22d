//! `/status`: what the server is doing, as one JSON object.

use std::sync::atomic::Ordering;

use serde_json::{Map, Value, json};

use super::health::{Health, Trouble};
use super::{Shown, shards};
use crate::clock;
use crate::command::table;
use crate::metrics::Histogram;
use crate::process;
use crate::server::Server;

/// The object. While there is no server to show, only how far it is.
pub fn object(shown: &Shown) -> Value {
    let health = Health::of(shown);
    let mut object = json!({
        "version": env!("CARGO_PKG_VERSION"),
        "phase": health.phase.word(),
        "trouble": health.trouble.as_ref().map(trouble),
        "process": process_object(),
    });
    if let (Some(server), Some(object)) = (shown.server(), object.as_object_mut()) {
        object.append(&mut server_object(&server));
    }
    object
}

fn trouble(trouble: &Trouble) -> Value {
    let (kind, detail) = match trouble {
        Trouble::DiskFull(detail) => ("disk-full", detail),
        Trouble::Fenced(detail) => ("fenced", detail),
    };
    json!({ "kind": kind, "detail": detail })
}

fn process_object() -> Value {
    let usage = process::usage();
    json!({
        "id": std::process::id(),
        "processor_seconds": usage.processor.total().as_secs_f64(),
        "resident_bytes": usage.resident,
        "open_files": usage.open_files,
        "most_files": usage.most_files,
    })
}

fn server_object(server: &Server) -> Map<String, Value> {
    let config = server.config.current();
    let directory = std::path::absolute(&config.dir).unwrap_or_else(|_| config.dir.clone());
    let uptime = clock::monotonic().saturating_sub(server.started);
    let object = json!({
        "run_id": server.run_id,
        "uptime_seconds": uptime.as_secs(),
        "directory": directory.display().to_string(),
        "durability": server.durability_text(),
        "addresses": server.addresses(),
        "tls": { "certificate_expires": server.tls.expires().map(|time| time.as_secs()) },
        "store": store(server),
        "log": log(server),
        "clients": clients(server),
        "commands": commands(server),
        "errors": server.stats.errors(),
    });
    let mut object = match object {
        Value::Object(object) => object,
        _ => Map::new(),
    };
    if let Some(cluster) = &server.cluster {
        object.insert("cluster".to_owned(), shards::object(cluster));
    }
    object
}

fn store(server: &Server) -> Value {
    let stats = server.store.stats();
    json!({
        "keys": stats.keys,
        "live_bytes": stats.live_bytes,
        "stale_bytes": stats.stale_bytes,
        "log_bytes": stats.log_bytes,
        "segments": stats.segments,
        "quarantined_segments": stats.quarantined_segments,
        "index_bytes": stats.index_bytes,
        "user_bytes_written": stats.user_bytes_written,
        "bytes_written": stats.bytes_written,
        "compaction_debt": stats.compaction_debt,
        "last_save": server.last_save.load(Ordering::Relaxed),
    })
}

fn log(server: &Server) -> Value {
    let metrics = &server.log_metrics;
    json!({
        "syncs": metrics.sync_micros.count(),
        "failed_syncs": metrics.failed_syncs.load(Ordering::Relaxed),
        "mean_sync_microseconds": mean(&metrics.sync_micros),
        "batches": metrics.batch_operations.count(),
        "mean_batch_operations": mean(&metrics.batch_operations),
        "mean_batch_bytes": mean(&metrics.batch_bytes),
    })
}

fn mean(histogram: &Histogram) -> Option<f64> {
    let count = histogram.count();
    (count > 0).then(|| histogram.sum() as f64 / count as f64)
}

fn clients(server: &Server) -> Value {
    let traffic = server.clients.traffic();
    json!({
        "connected": server.clients.count(),
        "most": server.config.hot().max_clients(),
        "accepted": server.clients.accepted.load(Ordering::Relaxed),
        "refused": server.clients.refused.load(Ordering::Relaxed),
        "evicted": server.memory.evicted.load(Ordering::Relaxed),
        "over_output_limit": server.clients.over_output_limit.load(Ordering::Relaxed),
        "over_query_limit": server.clients.over_query_limit.load(Ordering::Relaxed),
        "buffer_bytes": server.memory.total(),
        "received_bytes": traffic.received,
        "sent_bytes": traffic.sent,
    })
}

/// Those that were asked for.
fn commands(server: &Server) -> Value {
    let mut commands = Map::new();
    for spec in table::all() {
        let totals = server.stats.totals(spec.id);
        if totals.calls + totals.rejected == 0 {
            continue;
        }
        let mean = (totals.calls > 0).then(|| totals.nanos as f64 / 1e3 / totals.calls as f64);
        let object = json!({
            "calls": totals.calls,
            "failed": totals.failed,
            "rejected": totals.rejected,
            "mean_microseconds": mean,
        });
        commands.insert(spec.full_name.to_owned(), object);
    }
    Value::Object(commands)
}
