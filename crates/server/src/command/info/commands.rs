//! `INFO`: what clients asked for, how long it took, and what they were told instead.

use std::sync::atomic::{AtomicU64, Ordering};

use super::Page;
use super::process::percentile;
use crate::command::table;
use crate::server::Server;
use crate::stats::CommandTotals;

/// The parts that are told of each command's times.
const PERCENTILES: [(&str, f64); 3] = [("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999)];

/// `# Stats`
pub(super) fn stats(page: &mut Page, server: &Server) {
    let (stats, store) = (&server.stats, server.store.stats());
    let rates = stats.rates();
    let counts = stats.counts();
    let load = |number: &AtomicU64| number.load(Ordering::Relaxed);
    let errors: u64 = stats.errors().values().sum();
    page.heading("Stats");
    page.line("total_connections_received", load(&server.clients.accepted));
    page.line("total_commands_processed", counts.commands);
    page.line("instantaneous_ops_per_sec", rates.commands.round());
    page.line("total_net_input_bytes", counts.received);
    page.line("total_net_output_bytes", counts.sent);
    page.line("total_net_repl_input_bytes", 0);
    page.line("total_net_repl_output_bytes", 0);
    page.line("instantaneous_input_kbps", format_args!("{:.2}", rates.received / 1024.0));
    page.line("instantaneous_output_kbps", format_args!("{:.2}", rates.sent / 1024.0));
    page.line("rejected_connections", load(&server.clients.refused));
    page.line("sync_full", 0);
    page.line("sync_partial_ok", 0);
    page.line("sync_partial_err", 0);
    page.line("expired_keys", store.expired_keys);
    page.line("evicted_keys", 0);
    page.line("evicted_clients", load(&server.memory.evicted));
    page.line("keyspace_hits", counts.hits);
    page.line("keyspace_misses", counts.misses);
    page.line("pubsub_channels", 0);
    page.line("pubsub_patterns", 0);
    page.line("latest_fork_usec", 0);
    page.line("total_forks", 0);
    page.line("migrate_cached_sockets", 0);
    page.line("tracking_total_keys", 0);
    page.line("unexpected_error_replies", 0);
    page.line("total_error_replies", errors);
    page.line("client_query_buffer_limit_disconnections", load(&server.clients.over_query_limit));
    page.line("client_output_buffer_limit_disconnections", load(&server.clients.over_output_limit));
    page.line("acl_access_denied_auth", counts.denied_logins);
    page.line("aryavarth_unknown_commands", stats.unknown());
}

/// The commands that somebody asked for, each with its sums.
fn asked_for(server: &Server) -> impl Iterator<Item = (&'static str, CommandTotals)> {
    let all = table::all().map(|spec| (spec.full_name, server.stats.totals(spec.id)));
    all.filter(|(_, totals)| totals.calls > 0 || totals.rejected > 0)
}

/// `# Commandstats`
pub(super) fn command_stats(page: &mut Page, server: &Server) {
    page.heading("Commandstats");
    for (name, totals) in asked_for(server) {
        let micros = totals.nanos / 1000;
        let each = totals.nanos as f64 / 1000.0 / totals.calls.max(1) as f64;
        page.line(
            &format!("cmdstat_{name}"),
            format_args!(
                "calls={},usec={micros},usec_per_call={each:.2},rejected_calls={},failed_calls={}",
                totals.calls, totals.rejected, totals.failed
            ),
        );
    }
}

/// `# Errorstats`
pub(super) fn error_stats(page: &mut Page, server: &Server) {
    page.heading("Errorstats");
    for (code, count) in server.stats.errors() {
        page.line(&format!("errorstat_{code}"), format_args!("count={count}"));
    }
}

/// `# Latencystats`
pub(super) fn latency_stats(page: &mut Page, server: &Server) {
    page.heading("Latencystats");
    for (name, totals) in asked_for(server).filter(|(_, totals)| totals.calls > 0) {
        let parts = PERCENTILES.map(|(part, number)| {
            format!("{part}={:.3}", percentile(&totals.buckets, number) / 1000.0)
        });
        page.line(&format!("latency_percentiles_usec_{name}"), parts.join(","));
    }
}
