//! `/metrics`: the atomics of the server, read when somebody asks.
//!
//! ```text
//!  Histogram: counts of what was below 1, 2, 4, 8, …, 2^39     nanoseconds, say
//!  shown:     a cumulated count at every power of two from `Shape::first` to `Shape::last`, in the
//!             unit of the figure; what is beyond is in +Inf alone
//! ```
//!
//! # Invariant
//! A figure's name and the meaning of its labels never change; what is counted never falls, but for
//! `CONFIG RESETSTAT` and a new start.

mod shards;

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeMetric, MetricEncoder, NoLabelSet, text::encode,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::{Registry, Unit};

use super::Shown;
use super::health::Health;
use crate::clock;
use crate::command::table;
use crate::metrics::Histogram;
use crate::process;
use crate::server::Server;
use crate::stats::CommandTotals;

pub(super) use shards::behind;

/// All figures of this moment.
///
/// # Errors
/// None that memory would not cause.
pub fn text(shown: &Shown) -> Result<String, fmt::Error> {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Figures { shown: shown.clone() }));
    let mut text = String::new();
    encode(&mut text, &registry)?;
    Ok(text)
}

/// What is read when somebody asks.
#[derive(Debug)]
struct Figures {
    shown: Shown,
}

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page { encoder };
        of_process(&mut page)?;
        of_health(&mut page, &Health::of(&self.shown))?;
        let Some(server) = self.shown.server() else { return Ok(()) };
        of_commands(&mut page, &server)?;
        of_log(&mut page, &server)?;
        of_store(&mut page, &server)?;
        of_clients(&mut page, &server)?;
        match &server.cluster {
            Some(cluster) => shards::of_cluster(&mut page, cluster),
            None => Ok(()),
        }
    }
}

/// How the buckets of a [`Histogram`] are shown.
struct Shape {
    /// The powers of two that are shown.
    powers: RangeInclusive<usize>,
    /// What one counted unit is in the unit shown.
    scale: f64,
}

/// From a microsecond to 17 seconds.
const NANOSECONDS: Shape = Shape { powers: 10..=34, scale: 1e-9 };
/// From 16 microseconds to 17 seconds.
const MICROSECONDS: Shape = Shape { powers: 4..=24, scale: 1e-6 };
/// From 1 to 65536.
const OPERATIONS: Shape = Shape { powers: 0..=16, scale: 1.0 };
/// From 64 bytes to a gibibyte.
const BYTES: Shape = Shape { powers: 6..=30, scale: 1.0 };

impl Shape {
    /// Upper bounds with what is between each and the one before; the last one is without bound.
    fn buckets(&self, counts: &[u64]) -> Vec<(f64, u64)> {
        let (first, last) = (*self.powers.start(), *self.powers.end());
        let mut shown: Vec<(f64, u64)> = Vec::with_capacity(last - first + 2);
        // Counted is what is below a power of two; shown, what is not above it. For whole numbers
        // larger than 1 that is the same to the thousandth.
        shown.push((self.bound(first), counts[..=first].iter().sum()));
        shown.extend((first + 1..=last).map(|power| (self.bound(power), counts[power])));
        shown.push((f64::MAX, counts[last + 1..].iter().sum()));
        shown
    }

    fn bound(&self, power: usize) -> f64 {
        (1u64 << power) as f64 * self.scale
    }
}

/// The page being written.
struct Page<'a> {
    encoder: DescriptorEncoder<'a>,
}

impl Page<'_> {
    fn describe(
        &mut self,
        name: &'static str,
        help: &'static str,
        unit: Option<&'static Unit>,
        kind: MetricType,
    ) -> Result<MetricEncoder<'_>, fmt::Error> {
        self.encoder.encode_descriptor(name, help, unit, kind)
    }

    fn counter<N>(
        &mut self,
        name: &'static str,
        help: &'static str,
        unit: Option<&'static Unit>,
        value: N,
    ) -> fmt::Result
    where
        ConstCounter<N>: EncodeMetric,
    {
        let counter = ConstCounter::new(value);
        counter.encode(self.describe(name, help, unit, MetricType::Counter)?)
    }

    fn gauge<N>(
        &mut self,
        name: &'static str,
        help: &'static str,
        unit: Option<&'static Unit>,
        value: N,
    ) -> fmt::Result
    where
        ConstGauge<N>: EncodeMetric,
    {
        let gauge = ConstGauge::new(value);
        gauge.encode(self.describe(name, help, unit, MetricType::Gauge)?)
    }

    /// A counter for each value of a label.
    fn counters<'v>(
        &mut self,
        name: &'static str,
        help: &'static str,
        label: &'static str,
        values: impl Iterator<Item = (&'v str, u64)>,
    ) -> fmt::Result {
        let mut family = self.describe(name, help, None, MetricType::Counter)?;
        for (of, value) in values {
            let labels = [(label, of)];
            let mut one = family.encode_family(&labels)?;
            one.encode_counter::<NoLabelSet, _, u64>(&value, None)?;
        }
        Ok(())
    }

    fn histogram(
        &mut self,
        name: &'static str,
        help: &'static str,
        unit: Option<&'static Unit>,
        shape: &Shape,
        histogram: &Histogram,
    ) -> fmt::Result {
        let counts = histogram.counts();
        let sum = histogram.sum() as f64 * shape.scale;
        let mut encoder = self.describe(name, help, unit, MetricType::Histogram)?;
        let count = counts.iter().sum();
        encoder.encode_histogram::<NoLabelSet>(sum, count, &shape.buckets(&counts), None)
    }
}

fn of_process(page: &mut Page<'_>) -> fmt::Result {
    let usage = process::usage();
    let build = [("version", env!("CARGO_PKG_VERSION")), ("architecture", std::env::consts::ARCH)];
    page.describe("aryavarth_build", "What this is", None, MetricType::Info)?
        .encode_info(&build)?;
    page.counter(
        "process_cpu",
        "Processor time that the process has used",
        Some(&Unit::Seconds),
        usage.processor.total().as_secs_f64(),
    )?;
    page.gauge(
        "process_resident_memory",
        "Memory of the process that is in memory",
        Some(&Unit::Bytes),
        usage.resident,
    )?;
    page.gauge(
        "process_virtual_memory",
        "Memory of the process that is addressed",
        Some(&Unit::Bytes),
        usage.virtual_memory,
    )?;
    page.gauge("process_open_fds", "Open files", None, usage.open_files)?;
    page.gauge("process_max_fds", "Most files that may be open", None, usage.most_files)
}

fn of_health(page: &mut Page<'_>, health: &Health) -> fmt::Result {
    let flag = |yes: bool| u64::from(yes);
    let full = matches!(health.trouble, Some(super::health::Trouble::DiskFull(_)));
    page.gauge(
        "aryavarth_healthy",
        "1 while /healthz says 200",
        None,
        flag(health.is_well().is_ok()),
    )?;
    page.gauge(
        "aryavarth_ready",
        "1 while /readyz says 200",
        None,
        flag(health.is_ready().is_ok()),
    )?;
    page.gauge(
        "aryavarth_disk_full",
        "1 while writes are refused for want of room",
        None,
        flag(full),
    )
}

fn of_commands(page: &mut Page<'_>, server: &Server) -> fmt::Result {
    let totals = table::all().map(|spec| (spec.full_name, server.stats.totals(spec.id)));
    let asked: Vec<(&str, CommandTotals)> =
        totals.filter(|(_, totals)| totals.calls + totals.rejected > 0).collect();
    let ran = || asked.iter().filter(|(_, totals)| totals.calls > 0);
    page.counters(
        "aryavarth_commands",
        "Commands that ran",
        "command",
        ran().map(|(name, totals)| (*name, totals.calls)),
    )?;
    page.counters(
        "aryavarth_commands_failed",
        "Commands that ran and answered with an error",
        "command",
        ran().map(|(name, totals)| (*name, totals.failed)),
    )?;
    page.counters(
        "aryavarth_commands_rejected",
        "Commands that were not run: wrong, denied, or not to be had at the time",
        "command",
        asked.iter().map(|(name, totals)| (*name, totals.rejected)),
    )?;
    page.counter(
        "aryavarth_commands_unknown",
        "Requests for commands that there are not",
        None,
        server.stats.unknown(),
    )?;
    let errors = server.stats.errors();
    page.counters(
        "aryavarth_errors",
        "Errors that were answered, by the first word of their text",
        "code",
        errors.iter().filter(|(code, _)| is_plain(code)).map(|(code, n)| (code.as_str(), *n)),
    )?;
    let mut family = page.describe(
        "aryavarth_command_duration",
        "Time that commands took to run, without the wait for the disk",
        Some(&Unit::Seconds),
        MetricType::Histogram,
    )?;
    for (name, totals) in ran() {
        let labels = [("command", *name)];
        let sum = totals.nanos as f64 * NANOSECONDS.scale;
        let buckets = NANOSECONDS.buckets(&totals.buckets);
        let mut one = family.encode_family(&labels)?;
        one.encode_histogram::<NoLabelSet>(sum, totals.calls, &buckets, None)?;
    }
    Ok(())
}

/// Whether a text may stand in a label as it is.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

fn of_log(page: &mut Page<'_>, server: &Server) -> fmt::Result {
    let log = &server.log_metrics;
    page.histogram(
        "aryavarth_sync_duration",
        "Time that syncs of the log took",
        Some(&Unit::Seconds),
        &MICROSECONDS,
        &log.sync_micros,
    )?;
    page.counter(
        "aryavarth_syncs_failed",
        "Syncs of the log that failed",
        None,
        log.failed_syncs.load(Ordering::Relaxed),
    )?;
    page.histogram(
        "aryavarth_batch_operations",
        "Operations written together",
        None,
        &OPERATIONS,
        &log.batch_operations,
    )?;
    page.histogram(
        "aryavarth_batch_size",
        "Bytes written together",
        Some(&Unit::Bytes),
        &BYTES,
        &log.batch_bytes,
    )
}

fn of_store(page: &mut Page<'_>, server: &Server) -> fmt::Result {
    let stats = server.store.stats();
    let bytes = Some(&Unit::Bytes);
    let mut bytes_of = |name, help, value: u64| page.gauge(name, help, bytes, value);
    bytes_of("aryavarth_index", "Memory of the index", stats.index_bytes)?;
    bytes_of("aryavarth_log", "Records of the log", stats.log_bytes)?;
    bytes_of("aryavarth_log_live", "Records that are current", stats.live_bytes)?;
    bytes_of("aryavarth_log_stale", "Records that are not current", stats.stale_bytes)?;
    bytes_of(
        "aryavarth_compaction_debt",
        "Stale records beyond what is allowed: what compaction has yet to do",
        stats.compaction_debt,
    )?;
    page.gauge("aryavarth_keys", "Keys, counting expired ones not yet noticed", None, stats.keys)?;
    page.gauge("aryavarth_log_segments", "Files of the log", None, stats.segments)?;
    page.gauge(
        "aryavarth_log_quarantined_segments",
        "Files of the log that are damaged and left alone",
        None,
        stats.quarantined_segments,
    )?;
    page.counter("aryavarth_written", "Records and checkpoints", bytes, stats.bytes_written)?;
    page.counter(
        "aryavarth_user_written",
        "Keys and values as clients gave them",
        bytes,
        stats.user_bytes_written,
    )?;
    let saved = Duration::from_secs(server.last_save.load(Ordering::Relaxed));
    page.gauge(
        "aryavarth_checkpoint_age",
        "Time since the last checkpoint that was asked for, or since the start",
        Some(&Unit::Seconds),
        clock::wall().saturating_sub(saved).as_secs(),
    )
}

fn of_clients(page: &mut Page<'_>, server: &Arc<Server>) -> fmt::Result {
    let (clients, seconds, bytes) = (&server.clients, Some(&Unit::Seconds), Some(&Unit::Bytes));
    let traffic = clients.traffic();
    let load = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    page.gauge("aryavarth_connections", "Clients connected", None, clients.count() as u64)?;
    page.gauge(
        "aryavarth_connections_most",
        "Most clients that may be connected",
        None,
        server.config.hot().max_clients() as u64,
    )?;
    page.counter(
        "aryavarth_connections_accepted",
        "Connections accepted",
        None,
        load(&clients.accepted),
    )?;
    page.counter(
        "aryavarth_connections_refused",
        "Connections refused",
        None,
        load(&clients.refused),
    )?;
    page.counter(
        "aryavarth_connections_evicted",
        "Clients disconnected because of maxmemory-clients",
        None,
        load(&server.memory.evicted),
    )?;
    page.counter(
        "aryavarth_connections_over_output_limit",
        "Clients disconnected because of client-output-buffer-limit",
        None,
        load(&clients.over_output_limit),
    )?;
    page.counter(
        "aryavarth_connections_over_query_limit",
        "Clients disconnected because of client-query-buffer-limit",
        None,
        load(&clients.over_query_limit),
    )?;
    let buffers = server.memory.total() as u64;
    page.gauge("aryavarth_client_buffers", "Buffers of all clients", bytes, buffers)?;
    page.counter("aryavarth_network_received", "From clients", bytes, traffic.received)?;
    page.counter("aryavarth_network_sent", "To clients", bytes, traffic.sent)?;
    let uptime = clock::monotonic().saturating_sub(server.started);
    page.gauge("aryavarth_uptime", "Time since the start", seconds, uptime.as_secs_f64())?;
    if let Some(expires) = server.tls.expires() {
        page.gauge(
            "aryavarth_tls_certificate_expiry",
            "When the certificate shown to clients runs out, since 1970",
            seconds,
            expires.as_secs(),
        )?;
    }
    Ok(())
}
