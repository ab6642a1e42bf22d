//! The one table of all settings: name, what it is, default, bounds, unit, and whether it can be
//! changed while the server runs. Everything else that knows settings is made from it.

use std::net::SocketAddr;
use std::path::PathBuf;

use aryavarth::Durability;
use aryavarth::limits::{
    MAX_KEY_LENGTH, MAX_SEGMENT_SIZE, MAX_VALUE_LENGTH, MIN_KEY_LENGTH, MIN_SEGMENT_SIZE,
};
use aryavarth_cluster::{Address, Zone};

use super::declare::{bounds, settings};
use super::error::Origins;
use super::kind::Kind;
use super::setting::{Bounds, Reach, Section, Setting};
use super::types::{
    BindAddress, Bytes, ClientCertificates, FileMode, LogFormat, LogLevel, Microseconds,
    Milliseconds, OnDamage, OutputLimit, Reads, Routing, Seconds, Secret, Span, Switch, TlsVersion,
    UserLine,
};

/// Most seconds and entries that Redis takes.
const MAX_INT: i64 = i32::MAX as i64;

settings! {
    Network {
        /// Addresses to listen on; one with a `-` in front is left out if the machine does not
        /// have it
        "bind" bind: Vec<BindAddress> = BindAddress::loopback(), Restart;
        /// Port of connections without TLS; 0 for none
        "port" port: u16 = 6379, [0, 65_535] "", Restart;
        /// Port of connections with TLS; 0 for none
        "tls-port" tls_port: u16 = 0, [0, 65_535] "", Restart;
        /// Connections that may wait to be accepted; the system may allow fewer
        "tcp-backlog" tcp_backlog: u32 = 511, [1, 65_535] "connections", Restart;
        /// Silence after which a connection is probed for a dead peer; 0 for never
        "tcp-keepalive" tcp_keepalive: Seconds = Seconds(300), [0, 32_767] "seconds", Live;
        /// Silence after which a client is disconnected; 0 for never
        "timeout" timeout: Seconds = Seconds(0), [0, MAX_INT] "seconds", Live;
        /// Most clients connected at once
        "maxclients" maxclients: u32 = 10_000, [1, 1_000_000] "clients", Live;
        /// Threads that serve connections; 0 for as many as suit the machine
        "io-threads" io_threads: u32 = 0, [0, 128] "threads", Restart;
        /// Whether clients from other machines are refused as long as the default user needs no
        /// password
        "protected-mode" protected_mode: Switch = Switch::Yes, Live;
        /// Path of a Unix socket to listen on too
        "unixsocket" unixsocket: Option<PathBuf> = None, Restart;
        /// Permissions of the Unix socket; 0 leaves them as the system makes them
        "unixsocketperm" unixsocketperm: FileMode = FileMode(0), Restart;
    }
    Security {
        /// Password of the default user; nothing for none
        "requirepass" requirepass: Secret = Secret::new(""), Live;
        /// File of the users and what they may do
        "aclfile" aclfile: Option<PathBuf> = None, Restart;
        /// The users and what they may do, as after `ACL SETUSER`, if there is no `aclfile`
        "user" user: Vec<UserLine> = Vec::new(), FileOnly;
        /// Certificate that the server shows, and those between it and the root, in PEM
        "tls-cert-file" tls_cert_file: Option<PathBuf> = None, Live;
        /// Private key of the certificate, in PEM, without a password
        "tls-key-file" tls_key_file: Option<PathBuf> = None, Live;
        /// Certificates that those of clients must come from, in PEM
        "tls-ca-cert-file" tls_ca_cert_file: Option<PathBuf> = None, Live;
        /// Whether clients with TLS must show a certificate
        "tls-auth-clients" tls_auth_clients: ClientCertificates = ClientCertificates::Yes, Live;
        /// Versions of TLS that are spoken
        "tls-protocols" tls_protocols: Vec<TlsVersion> =
            vec![TlsVersion::V12, TlsVersion::V13], Live;
        /// Time a client has to authenticate if it must; 0s for ever
        "auth-timeout" auth_timeout: Span =
            Span(std::time::Duration::from_secs(60)), [0, 86_400_000] "", Live;
        /// Refusals that `ACL LOG` remembers
        "acllog-max-len" acllog_max_len: u32 = 128, [0, 1_000_000] "entries", Live;
    }
    Limits {
        /// Longest argument of a command
        "proto-max-bulk-len" proto_max_bulk_len: Bytes =
            Bytes(512 << 20), [1 << 20, i64::MAX] "", Live;
        /// Most bytes of requests that may be gathered for one client
        "client-query-buffer-limit" client_query_buffer_limit: Bytes =
            Bytes(1 << 30), [1 << 20, i64::MAX] "", Live;
        /// Most arguments of a command, its name included
        "max-arguments" max_arguments: u32 = 1 << 20, [16, MAX_INT] "arguments", Live;
        /// Longest command that is written in a line
        "max-inline-length" max_inline_length: Bytes =
            Bytes(64 << 10), [1 << 10, 64 << 20] "", Live;
        /// Bytes waiting to be sent at which a client is disconnected: at once, and after some
        /// seconds; 0 for never
        "client-output-buffer-limit" client_output_buffer_limit: OutputLimit =
            OutputLimit { hard: 256 << 20, soft: 64 << 20, soft_seconds: 60 }, Live;
        /// Most bytes of the buffers of all clients, those with the most being disconnected; 0 for
        /// no limit
        "maxmemory-clients" maxmemory_clients: Bytes = Bytes(0), [0, i64::MAX] "", Live;
        /// Most commands between `MULTI` and `EXEC`
        "max-multi-commands" max_multi_commands: u32 = 1 << 20, [1, MAX_INT] "commands", Live;
    }
    Store {
        /// Directory of the store; its files are in DIR/logs
        "dir" dir: PathBuf = PathBuf::from("."), Restart;
        /// What an acknowledged write survives: always (power cut), interval:TIME (process death; a
        /// power cut loses at most TIME), os (process death)
        "durability" durability: Durability = Durability::Always, Live;
        /// Size of a file of the log
        "segment-size" segment_size: Bytes =
            Bytes(64 << 20), [MIN_SEGMENT_SIZE as i64, MAX_SEGMENT_SIZE as i64] "", Restart;
        /// Part of the log that may be stale before compaction starts on a busy server
        "compaction-trigger" compaction_trigger: u8 = 25, [5, 90] "percent", Restart;
        /// Bytes a second that compaction may read and write together
        "compaction-budget" compaction_budget: Bytes =
            Bytes(128 << 20), [64 << 10, i64::MAX] "a second", Restart;
        /// Bytes appended after which the index is checkpointed
        "checkpoint-interval" checkpoint_interval: Bytes =
            Bytes(32 << 20), [4 << 10, i64::MAX] "", Restart;
        /// Longest key
        "max-key-length" max_key_length: Bytes =
            Bytes(MAX_KEY_LENGTH as u64),
            [MIN_KEY_LENGTH as i64, MAX_KEY_LENGTH as i64] "", Restart;
        /// Longest value
        "max-value-length" max_value_length: Bytes =
            Bytes(MAX_VALUE_LENGTH as u64), [0, MAX_VALUE_LENGTH as i64] "", Restart;
    }
    Cluster {
        /// Whether the server is a node of a cluster
        "cluster" cluster: Switch = Switch::No, Restart;
        /// Address at which other nodes reach this one, and from which it reaches them; as
        /// `--peer-addr` too
        "peer-address" peer_address: Option<SocketAddr> = None, Restart;
        /// Address at which clients reach this node, if it is not the first of `bind` and `port`
        "announce-address" announce_address: Option<Address> = None, Restart;
        /// What this node shares a fate with, such as a rack: replicas are spread over zones
        "zone" zone: Option<Zone> = None, Restart;
        /// File with the secret that all nodes of the cluster share
        "cluster-secret-file" cluster_secret_file: Option<PathBuf> = None, Restart;
        /// Certificate that this node shows to others, in PEM; with it, nodes talk over TLS
        "peer-tls-cert-file" peer_tls_cert_file: Option<PathBuf> = None, Restart;
        /// Private key of that certificate, in PEM, without a password
        "peer-tls-key-file" peer_tls_key_file: Option<PathBuf> = None, Restart;
        /// Certificates that those of other nodes must come from, in PEM
        "peer-tls-ca-cert-file" peer_tls_ca_cert_file: Option<PathBuf> = None, Restart;
        /// What is done with commands for shards that other nodes lead: redirect (clients of Redis
        /// Cluster follow), forward (for clients that know nothing of clusters)
        "routing" routing: Routing = Routing::Redirect, Live;
        /// How a leader makes sure that it still leads when it answers a read: lease (trusts that
        /// clocks run at about the same rate), read-index (asks a majority)
        "reads" reads: Reads = Reads::Lease, Live;
        /// How old what a `READONLY` client reads from a follower may be, unless it says otherwise
        "replica-max-staleness" replica_max_staleness: Span =
            Span(std::time::Duration::from_secs(1)), [0, 86_400_000] "", Live;
        /// Silence after which a node is taken for dead and its replicas are made anew elsewhere; 0s
        /// for never
        "node-lost-after" node_lost_after: Span =
            Span(std::time::Duration::from_secs(600)), [0, 86_400_000] "", Live;
        /// Entries of a shard's Raft log that are kept for followers that fall behind
        "raft-log-keep" raft_log_keep: u32 = 10_000, [0, 100_000_000] "entries", Live;
        /// Time in which a node reads all its records once to look for damage; 0s for never
        "scrub-period" scrub_period: Span =
            Span(std::time::Duration::from_secs(604_800)), [0, 2_592_000_000] "", Live;
        /// What a node does when its store is damaged and that cannot be mended in place: replace (it is
        /// given up, and its directory becomes a new node, filled by the others), stop
        "on-damage" on_damage: OnDamage = OnDamage::Replace, Live;
    }
    Observation {
        /// Address of the pages for operators: health, metrics, console; nothing for none
        "admin-address" admin_address: Option<SocketAddr> =
            Some(SocketAddr::from(([127, 0, 0, 1], 9121))), Restart;
        /// Least important messages that are logged
        "log-level" log_level: LogLevel = LogLevel::Info, Live;
        /// How messages are logged: for people, or one JSON object a line
        "log-format" log_format: LogFormat = LogFormat::Text, Restart;
        /// Time from which on a command is remembered as slow; -1 for never
        "slowlog-log-slower-than" slowlog_log_slower_than: Microseconds =
            Microseconds(10_000), [-1, i64::MAX] "microseconds", Live;
        /// Slow commands that `SLOWLOG` remembers
        "slowlog-max-len" slowlog_max_len: u32 = 128, [0, 1_000_000] "entries", Live;
        /// Time from which on a delay is remembered for `LATENCY`; 0 for never
        "latency-monitor-threshold" latency_monitor_threshold: Milliseconds =
            Milliseconds(0), [0, i64::MAX] "milliseconds", Live;
    }
}
