//! The settings that are read with every request or every connection: plain atomics.
//!
//! They follow the settings at every change. None guards other memory, so no order between them is
//! kept: a reader may see one change before another made at the same time.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::table::Config;
use super::types::{Microseconds, Milliseconds, OutputLimit, Reads, Routing, Seconds};

/// The settings that are read often.
#[derive(Debug, Default)]
pub struct Hot {
    max_clients: AtomicU64,
    timeout: AtomicI64,
    keepalive: AtomicI64,
    max_argument_length: AtomicU64,
    query_buffer_limit: AtomicU64,
    max_arguments: AtomicU64,
    max_inline_length: AtomicU64,
    output_hard: AtomicU64,
    output_soft: AtomicU64,
    output_soft_seconds: AtomicU64,
    clients_memory: AtomicU64,
    max_queued_commands: AtomicU64,
    max_key_length: AtomicU64,
    max_value_length: AtomicU64,
    slow_from: AtomicI64,
    slow_commands: AtomicU64,
    delay_from: AtomicI64,
    reads_ask: AtomicBool,
    forwards: AtomicBool,
}

/// A length in memory.
fn length(number: &AtomicU64) -> usize {
    usize::try_from(number.load(Ordering::Relaxed)).unwrap_or(usize::MAX)
}

impl Hot {
    /// Takes over what the settings say now.
    pub(super) fn follow(&self, config: &Config) {
        self.reads_ask.store(config.reads == Reads::ReadIndex, Ordering::Relaxed);
        self.forwards.store(config.routing == Routing::Forward, Ordering::Relaxed);
        let limit = config.client_output_buffer_limit;
        for (number, value) in [
            (&self.max_clients, u64::from(config.maxclients)),
            (&self.max_argument_length, config.proto_max_bulk_len.0),
            (&self.query_buffer_limit, config.client_query_buffer_limit.0),
            (&self.max_arguments, u64::from(config.max_arguments)),
            (&self.max_inline_length, config.max_inline_length.0),
            (&self.output_hard, limit.hard),
            (&self.output_soft, limit.soft),
            (&self.output_soft_seconds, limit.soft_seconds),
            (&self.clients_memory, config.maxmemory_clients.0),
            (&self.max_queued_commands, u64::from(config.max_multi_commands)),
            (&self.slow_commands, u64::from(config.slowlog_max_len)),
            (&self.max_key_length, config.max_key_length.0),
            (&self.max_value_length, config.max_value_length.0),
        ] {
            number.store(value, Ordering::Relaxed);
        }
        for (number, value) in [
            (&self.timeout, config.timeout.0),
            (&self.keepalive, config.tcp_keepalive.0),
            (&self.slow_from, config.slowlog_log_slower_than.0),
            (&self.delay_from, config.latency_monitor_threshold.0),
        ] {
            number.store(value, Ordering::Relaxed);
        }
    }

    /// `reads`.
    pub fn reads(&self) -> Reads {
        match self.reads_ask.load(Ordering::Relaxed) {
            true => Reads::ReadIndex,
            false => Reads::Lease,
        }
    }

    /// `routing`.
    pub fn routing(&self) -> Routing {
        match self.forwards.load(Ordering::Relaxed) {
            true => Routing::Forward,
            false => Routing::Redirect,
        }
    }

    /// `maxclients`.
    pub fn max_clients(&self) -> usize {
        length(&self.max_clients)
    }

    /// `timeout`; none if silent clients stay.
    pub fn timeout(&self) -> Option<Duration> {
        Seconds(self.timeout.load(Ordering::Relaxed)).above_zero()
    }

    /// `tcp-keepalive`; none if connections are not probed.
    pub fn keepalive(&self) -> Option<Duration> {
        Seconds(self.keepalive.load(Ordering::Relaxed)).above_zero()
    }

    /// `proto-max-bulk-len`, in bytes.
    pub fn max_argument_length(&self) -> usize {
        length(&self.max_argument_length)
    }

    /// `client-query-buffer-limit`, in bytes.
    pub fn query_buffer_limit(&self) -> usize {
        length(&self.query_buffer_limit)
    }

    /// `max-arguments`.
    pub fn max_arguments(&self) -> usize {
        length(&self.max_arguments)
    }

    /// `max-inline-length`, in bytes.
    pub fn max_inline_length(&self) -> usize {
        length(&self.max_inline_length)
    }

    /// `client-output-buffer-limit`; while it changes, parts of the old one and the new one.
    pub fn output_limit(&self) -> OutputLimit {
        OutputLimit {
            hard: self.output_hard.load(Ordering::Relaxed),
            soft: self.output_soft.load(Ordering::Relaxed),
            soft_seconds: self.output_soft_seconds.load(Ordering::Relaxed),
        }
    }

    /// `maxmemory-clients`, in bytes; none for no limit.
    pub fn clients_memory(&self) -> Option<usize> {
        Some(length(&self.clients_memory)).filter(|bytes| *bytes != 0)
    }

    /// `max-multi-commands`.
    pub fn max_queued_commands(&self) -> usize {
        length(&self.max_queued_commands)
    }

    /// `max-key-length`, in bytes.
    pub fn max_key_length(&self) -> usize {
        length(&self.max_key_length)
    }

    /// `max-value-length`, in bytes.
    pub fn max_value_length(&self) -> usize {
        length(&self.max_value_length)
    }

    /// `slowlog-log-slower-than`; none if no command is remembered.
    pub fn slow_from(&self) -> Option<Duration> {
        Microseconds(self.slow_from.load(Ordering::Relaxed)).from_zero()
    }

    /// `slowlog-max-len`, in commands.
    pub fn slow_commands(&self) -> usize {
        length(&self.slow_commands)
    }

    /// `latency-monitor-threshold`; none if no delay is remembered.
    pub fn delay_from(&self) -> Option<Duration> {
        Milliseconds(self.delay_from.load(Ordering::Relaxed)).above_zero()
    }
}
