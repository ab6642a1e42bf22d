//! Transactions.

use super::keys::{LOOK_ALL, NONE};
use super::{CommandSpec, Id, row};

/// The rows.
pub const ROWS: &[CommandSpec] = &[
    row(Id::Multi, "multi", 1, "noscript loading stale fast allow_busy", "transaction", NONE),
    row(Id::Exec, "exec", 1, "noscript loading stale skip_slowlog", "transaction", NONE),
    row(Id::Discard, "discard", 1, "noscript loading stale fast allow_busy", "transaction", NONE),
    row(Id::Watch, "watch", -2, "noscript loading stale fast allow_busy", "transaction", LOOK_ALL),
    row(Id::Unwatch, "unwatch", 1, "noscript loading stale fast allow_busy", "transaction", NONE),
];
