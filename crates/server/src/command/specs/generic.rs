//! Commands on keys of any type.

use super::keys::{
    COPY, LOOK, LOOK_ALL, LOOK_SECOND, MOVE, MOVE_INSERT, NONE, OVERWRITE, READ, REMOVE_ALL, UPDATE,
};
use super::{CommandSpec, Id, row};

const OBJECT: &[CommandSpec] = &[
    row(Id::ObjectEncoding, "object|encoding", 3, "readonly", "keyspace", LOOK_SECOND),
    row(Id::ObjectFreq, "object|freq", 3, "readonly", "keyspace", LOOK_SECOND),
    row(Id::ObjectHelp, "object|help", 2, "loading stale", "keyspace", NONE),
    row(Id::ObjectIdleTime, "object|idletime", 3, "readonly", "keyspace", LOOK_SECOND),
    row(Id::ObjectRefCount, "object|refcount", 3, "readonly", "keyspace", LOOK_SECOND),
];

/// The rows.
pub const ROWS: &[CommandSpec] = &[
    row(Id::Del, "del", -2, "write", "keyspace", REMOVE_ALL),
    row(Id::Unlink, "unlink", -2, "write fast", "keyspace", REMOVE_ALL),
    row(Id::Exists, "exists", -2, "readonly fast", "keyspace", LOOK_ALL),
    row(Id::Type, "type", 2, "readonly fast", "keyspace", LOOK),
    row(Id::Expire, "expire", -3, "write fast", "keyspace", UPDATE),
    row(Id::PExpire, "pexpire", -3, "write fast", "keyspace", UPDATE),
    row(Id::ExpireAt, "expireat", -3, "write fast", "keyspace", UPDATE),
    row(Id::PExpireAt, "pexpireat", -3, "write fast", "keyspace", UPDATE),
    row(Id::Ttl, "ttl", 2, "readonly fast", "keyspace", READ),
    row(Id::PTtl, "pttl", 2, "readonly fast", "keyspace", READ),
    row(Id::ExpireTime, "expiretime", 2, "readonly fast", "keyspace", READ),
    row(Id::PExpireTime, "pexpiretime", 2, "readonly fast", "keyspace", READ),
    row(Id::Persist, "persist", 2, "write fast", "keyspace", UPDATE),
    row(Id::Rename, "rename", 3, "write", "keyspace", MOVE),
    row(Id::RenameNx, "renamenx", 3, "write fast", "keyspace", MOVE_INSERT),
    row(Id::Copy, "copy", -3, "write denyoom", "keyspace", COPY),
    row(Id::Keys, "keys", 2, "readonly", "keyspace dangerous", NONE),
    row(Id::Scan, "scan", -2, "readonly", "keyspace", NONE),
    row(Id::RandomKey, "randomkey", 1, "readonly", "keyspace", NONE),
    row(Id::Touch, "touch", -2, "readonly fast", "keyspace", LOOK_ALL),
    row(Id::Object, "object", -2, "", "", NONE).with(OBJECT),
    row(Id::Dump, "dump", 2, "readonly", "keyspace", READ),
    row(Id::Restore, "restore", -4, "write denyoom", "keyspace dangerous", OVERWRITE),
    row(Id::Wait, "wait", 3, "noscript", "connection", NONE),
    row(Id::WaitAof, "waitaof", 4, "noscript blocking", "connection", NONE),
];
