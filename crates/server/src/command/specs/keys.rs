//! Where commands have their keys and what they do with them, named by what they do.

use super::super::keys::{FindKeys, KeySpec};
use crate::command::flags::KeyFlags;

const FIRST: FindKeys = FindKeys::Range { last: 0, step: 1 };
const ALL: FindKeys = FindKeys::Range { last: -1, step: 1 };
const PAIRS: FindKeys = FindKeys::Range { last: -1, step: 2 };

const fn keys(flags: &str, begin: usize, find: FindKeys) -> KeySpec {
    KeySpec { begin, find, flags: KeyFlags::parse(flags) }
}

pub const NONE: &[KeySpec] = &[];
pub const LOOK: &[KeySpec] = &[keys("RO", 1, FIRST)];
pub const LOOK_SECOND: &[KeySpec] = &[keys("RO", 2, FIRST)];
pub const LOOK_ALL: &[KeySpec] = &[keys("RO", 1, ALL)];
pub const READ: &[KeySpec] = &[keys("RO access", 1, FIRST)];
pub const READ_TWO: &[KeySpec] = &[keys("RO access", 1, FindKeys::Range { last: 1, step: 1 })];
pub const READ_ALL: &[KeySpec] = &[keys("RO access", 1, ALL)];
pub const READ_UPDATE: &[KeySpec] = &[keys("RW access update", 1, FIRST)];
pub const VARIABLE: &[KeySpec] = &[keys("RW access update variable_flags", 1, FIRST)];
pub const UPDATE: &[KeySpec] = &[keys("RW update", 1, FIRST)];
pub const UPDATE_SECOND: &[KeySpec] = &[keys("RW access update", 2, FIRST)];
pub const EXTEND: &[KeySpec] = &[keys("RW insert", 1, FIRST)];
pub const TAKE: &[KeySpec] = &[keys("RW access delete", 1, FIRST)];
pub const REMOVE_IF: &[KeySpec] = &[keys("RW delete", 1, FIRST)];
pub const REMOVE_ALL: &[KeySpec] = &[keys("RM delete", 1, ALL)];
pub const INSERT: &[KeySpec] = &[keys("OW insert", 1, FIRST)];
pub const INSERT_PAIRS: &[KeySpec] = &[keys("OW insert", 1, PAIRS)];
pub const OVERWRITE: &[KeySpec] = &[keys("OW update", 1, FIRST)];
pub const OVERWRITE_PAIRS: &[KeySpec] = &[keys("OW update", 1, PAIRS)];
pub const OVERWRITE_COUNTED: &[KeySpec] =
    &[keys("OW update", 1, FindKeys::Counted { first: 1, step: 2 })];
pub const COPY: &[KeySpec] = &[keys("RO access", 1, FIRST), keys("OW update", 2, FIRST)];
pub const MOVE: &[KeySpec] = &[keys("RW access delete", 1, FIRST), keys("OW update", 2, FIRST)];
pub const MOVE_INSERT: &[KeySpec] =
    &[keys("RW access delete", 1, FIRST), keys("OW insert", 2, FIRST)];
pub const COMBINE: &[KeySpec] = &[keys("OW update", 2, FIRST), keys("RO access", 3, ALL)];
