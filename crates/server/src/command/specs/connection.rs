//! Commands about the connection.

use super::keys::NONE;
use super::{CommandSpec, Id, row};

const CLIENT: &[CommandSpec] = &[
    row(Id::ClientId, "client|id", 2, "noscript loading stale", "connection", NONE),
    row(Id::ClientInfo, "client|info", 2, "noscript loading stale", "connection", NONE),
    row(Id::ClientList, "client|list", -2, "admin noscript loading stale", "connection", NONE),
    row(Id::ClientKill, "client|kill", -3, "admin noscript loading stale", "connection", NONE),
    row(Id::ClientSetName, "client|setname", 3, "noscript loading stale", "connection", NONE),
    row(Id::ClientGetName, "client|getname", 2, "noscript loading stale", "connection", NONE),
    row(Id::ClientSetInfo, "client|setinfo", 4, "noscript loading stale", "connection", NONE),
    row(
        Id::ClientNoEvict,
        "client|no-evict",
        3,
        "admin noscript loading stale",
        "connection",
        NONE,
    ),
    row(Id::ClientNoTouch, "client|no-touch", 3, "noscript loading stale", "connection", NONE),
    row(Id::ClientPause, "client|pause", -3, "admin noscript loading stale", "connection", NONE),
    row(Id::ClientUnpause, "client|unpause", 2, "admin noscript loading stale", "connection", NONE),
    row(Id::ClientReply, "client|reply", 3, "noscript loading stale", "connection", NONE),
    row(
        Id::ClientUnblock,
        "client|unblock",
        -3,
        "admin noscript loading stale",
        "connection",
        NONE,
    ),
    row(Id::ClientTracking, "client|tracking", -3, "noscript loading stale", "connection", NONE),
    row(
        Id::ClientTrackingInfo,
        "client|trackinginfo",
        2,
        "noscript loading stale",
        "connection",
        NONE,
    ),
    row(Id::ClientCaching, "client|caching", 3, "noscript loading stale", "connection", NONE),
    row(Id::ClientGetRedir, "client|getredir", 2, "noscript loading stale", "connection", NONE),
    row(Id::ClientHelp, "client|help", 2, "loading stale", "connection", NONE),
];

/// The rows.
pub const ROWS: &[CommandSpec] = &[
    row(Id::Ping, "ping", -1, "fast", "connection", NONE),
    row(Id::Echo, "echo", 2, "loading stale fast", "connection", NONE),
    row(Id::Auth, "auth", -2, "noscript loading stale fast no_auth allow_busy", "connection", NONE),
    row(
        Id::Hello,
        "hello",
        -1,
        "noscript loading stale fast no_auth allow_busy",
        "connection",
        NONE,
    ),
    row(
        Id::Reset,
        "reset",
        1,
        "noscript loading stale fast no_auth allow_busy",
        "connection",
        NONE,
    ),
    row(Id::Quit, "quit", -1, "noscript loading stale fast no_auth allow_busy", "connection", NONE),
    row(Id::Select, "select", 2, "loading stale fast", "connection", NONE),
    row(Id::Client, "client", -2, "", "", NONE).with(CLIENT),
];
