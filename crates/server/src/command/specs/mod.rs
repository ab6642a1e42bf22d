//! The rows of the table, a file for each group of commands.

pub(super) mod bitmap;
pub(super) mod cluster;
pub(super) mod connection;
pub(super) mod generic;
mod keys;
pub(super) mod server;
pub(super) mod string;
pub(super) mod transactions;

pub(super) use super::id::CommandId as Id;
pub(super) use super::table::CommandSpec;

use super::flags::{Categories, Flags};
use super::keys::KeySpec;

/// One row. The categories that follow from the flags (`@read` from `readonly`, ...) are not in
/// `categories`.
const fn row(
    id: Id,
    full_name: &'static str,
    arity: i32,
    flags: &str,
    categories: &str,
    keys: &'static [KeySpec],
) -> CommandSpec {
    let flags = Flags::parse(flags);
    CommandSpec {
        id,
        name: last_word(full_name),
        full_name,
        arity,
        flags,
        categories: implied(flags).with(Categories::parse(categories)),
        keys,
        subcommands: &[],
    }
}

/// What follows `|`, or all.
const fn last_word(full_name: &'static str) -> &'static str {
    let bytes = full_name.as_bytes();
    let mut index = 0;
    while index < bytes.len() {
        if bytes[index] == b'|' {
            return full_name.split_at(index + 1).1;
        }
        index += 1;
    }
    full_name
}

const fn implied(flags: Flags) -> Categories {
    let speed = if flags.contains(Flags::FAST) { Categories::FAST } else { Categories::SLOW };
    speed
        .with(if_any(flags, Flags::WRITE, Categories::WRITE))
        .with(if_any(flags, Flags::READONLY, Categories::READ))
        .with(if_any(flags, Flags::ADMIN, Categories::ADMIN.with(Categories::DANGEROUS)))
        .with(if_any(flags, Flags::PUBSUB, Categories::PUBSUB))
        .with(if_any(flags, Flags::BLOCKING, Categories::BLOCKING))
}

const fn if_any(flags: Flags, flag: Flags, then: Categories) -> Categories {
    if flags.contains(flag) { then } else { Categories::NONE }
}
