//! Commands on strings.

use super::keys::{
    EXTEND, INSERT, INSERT_PAIRS, LOOK, OVERWRITE, OVERWRITE_COUNTED, OVERWRITE_PAIRS, READ,
    READ_ALL, READ_TWO, READ_UPDATE, REMOVE_IF, TAKE, UPDATE, VARIABLE,
};
use super::{CommandSpec, Id, row};

/// The rows.
pub const ROWS: &[CommandSpec] = &[
    row(Id::Get, "get", 2, "readonly fast", "string", READ),
    row(Id::Set, "set", -3, "write denyoom", "string", VARIABLE),
    row(Id::SetNx, "setnx", 3, "write denyoom fast", "string", INSERT),
    row(Id::SetEx, "setex", 4, "write denyoom", "string", OVERWRITE),
    row(Id::PSetEx, "psetex", 4, "write denyoom", "string", OVERWRITE),
    row(Id::GetSet, "getset", 3, "write denyoom fast", "string", READ_UPDATE),
    row(Id::GetDel, "getdel", 2, "write fast", "string", TAKE),
    row(Id::GetEx, "getex", -2, "write fast", "string", READ_UPDATE),
    row(Id::MGet, "mget", -2, "readonly fast", "string", READ_ALL),
    row(Id::MSet, "mset", -3, "write denyoom", "string", OVERWRITE_PAIRS),
    row(Id::MSetNx, "msetnx", -3, "write denyoom", "string", INSERT_PAIRS),
    row(Id::MSetEx, "msetex", -4, "write denyoom movablekeys", "string", OVERWRITE_COUNTED),
    row(Id::Append, "append", 3, "write denyoom fast", "string", EXTEND),
    row(Id::StrLen, "strlen", 2, "readonly fast", "string", LOOK),
    row(Id::GetRange, "getrange", 4, "readonly", "string", READ),
    row(Id::SubStr, "substr", 4, "readonly", "string", READ),
    row(Id::SetRange, "setrange", 4, "write denyoom", "string", UPDATE),
    row(Id::Incr, "incr", 2, "write denyoom fast", "string", READ_UPDATE),
    row(Id::Decr, "decr", 2, "write denyoom fast", "string", READ_UPDATE),
    row(Id::IncrBy, "incrby", 3, "write denyoom fast", "string", READ_UPDATE),
    row(Id::DecrBy, "decrby", 3, "write denyoom fast", "string", READ_UPDATE),
    row(Id::IncrByFloat, "incrbyfloat", 3, "write denyoom fast", "string", READ_UPDATE),
    row(Id::Lcs, "lcs", -3, "readonly", "string", READ_TWO),
    row(Id::DelEx, "delex", -2, "write fast", "string", REMOVE_IF),
    row(Id::Digest, "digest", 2, "readonly fast", "string", READ),
];
