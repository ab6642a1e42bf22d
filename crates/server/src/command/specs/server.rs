//! Commands about the server.

use super::keys::{LOOK_SECOND, NONE};
use super::{CommandSpec, Id, row};

const COMMAND: &[CommandSpec] = &[
    row(Id::CommandCount, "command|count", 2, "loading stale", "connection", NONE),
    row(Id::CommandDocs, "command|docs", -2, "loading stale", "connection", NONE),
    row(Id::CommandInfo, "command|info", -2, "loading stale", "connection", NONE),
    row(Id::CommandGetKeys, "command|getkeys", -4, "loading stale", "connection", NONE),
    row(
        Id::CommandGetKeysAndFlags,
        "command|getkeysandflags",
        -4,
        "loading stale",
        "connection",
        NONE,
    ),
    row(Id::CommandList, "command|list", -2, "loading stale", "connection", NONE),
    row(Id::CommandHelp, "command|help", 2, "loading stale", "connection", NONE),
];

const CONFIG: &[CommandSpec] = &[
    row(Id::ConfigGet, "config|get", -3, "admin noscript loading stale", "", NONE),
    row(Id::ConfigSet, "config|set", -4, "admin noscript loading stale", "", NONE),
    row(Id::ConfigRewrite, "config|rewrite", 2, "admin noscript loading stale", "", NONE),
    row(Id::ConfigResetStat, "config|resetstat", 2, "admin noscript loading stale", "", NONE),
    row(Id::ConfigHelp, "config|help", 2, "loading stale", "", NONE),
];

const MEMORY: &[CommandSpec] = &[
    row(Id::MemoryUsage, "memory|usage", -3, "readonly", "", LOOK_SECOND),
    row(Id::MemoryStats, "memory|stats", 2, "", "", NONE),
    row(Id::MemoryDoctor, "memory|doctor", 2, "", "", NONE),
    row(Id::MemoryPurge, "memory|purge", 2, "", "", NONE),
    row(Id::MemoryHelp, "memory|help", 2, "loading stale", "", NONE),
];

const SLOWLOG: &[CommandSpec] = &[
    row(Id::SlowLogGet, "slowlog|get", -2, "admin loading stale", "", NONE),
    row(Id::SlowLogLen, "slowlog|len", 2, "admin loading stale", "", NONE),
    row(Id::SlowLogReset, "slowlog|reset", 2, "admin loading stale", "", NONE),
    row(Id::SlowLogHelp, "slowlog|help", 2, "loading stale", "", NONE),
];

const LATENCY: &[CommandSpec] = &[
    row(Id::LatencyLatest, "latency|latest", 2, "admin noscript loading stale", "", NONE),
    row(Id::LatencyHistory, "latency|history", 3, "admin noscript loading stale", "", NONE),
    row(Id::LatencyReset, "latency|reset", -2, "admin noscript loading stale", "", NONE),
    row(Id::LatencyDoctor, "latency|doctor", 2, "admin noscript loading stale", "", NONE),
    row(Id::LatencyGraph, "latency|graph", 3, "admin noscript loading stale", "", NONE),
    row(Id::LatencyHistogram, "latency|histogram", -2, "admin noscript loading stale", "", NONE),
    row(Id::LatencyHelp, "latency|help", 2, "loading stale", "", NONE),
];

const ACL: &[CommandSpec] = &[
    row(Id::AclWhoAmI, "acl|whoami", 2, "noscript loading stale", "", NONE),
    row(Id::AclList, "acl|list", 2, "admin noscript loading stale", "", NONE),
    row(Id::AclUsers, "acl|users", 2, "admin noscript loading stale", "", NONE),
    row(Id::AclGetUser, "acl|getuser", 3, "admin noscript loading stale", "", NONE),
    row(Id::AclSetUser, "acl|setuser", -3, "admin noscript loading stale", "", NONE),
    row(Id::AclDelUser, "acl|deluser", -3, "admin noscript loading stale", "", NONE),
    row(Id::AclCat, "acl|cat", -2, "noscript loading stale", "", NONE),
    row(Id::AclGenPass, "acl|genpass", -2, "noscript loading stale", "", NONE),
    row(Id::AclLog, "acl|log", -2, "admin noscript loading stale", "", NONE),
    row(Id::AclSave, "acl|save", 2, "admin noscript loading stale", "", NONE),
    row(Id::AclLoad, "acl|load", 2, "admin noscript loading stale", "", NONE),
    row(Id::AclDryRun, "acl|dryrun", -4, "admin noscript loading stale", "", NONE),
    row(Id::AclHelp, "acl|help", 2, "loading stale", "", NONE),
];

/// The rows.
pub const ROWS: &[CommandSpec] = &[
    row(Id::DbSize, "dbsize", 1, "readonly fast", "keyspace", NONE),
    row(Id::FlushDb, "flushdb", -1, "write", "keyspace dangerous", NONE),
    row(Id::FlushAll, "flushall", -1, "write", "keyspace dangerous", NONE),
    row(Id::Command, "command", -1, "loading stale", "connection", NONE).with(COMMAND),
    row(Id::Config, "config", -2, "", "", NONE).with(CONFIG),
    row(Id::Info, "info", -1, "loading stale", "dangerous", NONE),
    row(Id::Memory, "memory", -2, "", "", NONE).with(MEMORY),
    row(Id::SlowLog, "slowlog", -2, "", "", NONE).with(SLOWLOG),
    row(Id::Latency, "latency", -2, "", "", NONE).with(LATENCY),
    row(Id::Role, "role", 1, "noscript loading stale fast", "admin dangerous", NONE),
    row(Id::LastSave, "lastsave", 1, "loading stale fast", "admin dangerous", NONE),
    row(Id::Save, "save", 1, "admin noscript no_async_loading no_multi", "", NONE),
    row(Id::BgSave, "bgsave", -1, "admin noscript no_async_loading", "", NONE),
    row(Id::Time, "time", 1, "loading stale fast", "", NONE),
    row(Id::Shutdown, "shutdown", -1, "admin noscript loading stale no_multi allow_busy", "", NONE),
    row(Id::Debug, "debug", -2, "admin noscript loading stale", "", NONE),
    row(Id::Acl, "acl", -2, "", "", NONE).with(ACL),
];
