//! Commands on the bits of a string.

use super::keys::{COMBINE, READ, READ_UPDATE, VARIABLE};
use super::{CommandSpec, Id, row};

/// The rows.
pub const ROWS: &[CommandSpec] = &[
    row(Id::SetBit, "setbit", 4, "write denyoom", "bitmap", READ_UPDATE),
    row(Id::GetBit, "getbit", 3, "readonly fast", "bitmap", READ),
    row(Id::BitCount, "bitcount", -2, "readonly", "bitmap", READ),
    row(Id::BitPos, "bitpos", -3, "readonly", "bitmap", READ),
    row(Id::BitOp, "bitop", -4, "write denyoom", "bitmap", COMBINE),
    row(Id::BitField, "bitfield", -2, "write denyoom", "bitmap", VARIABLE),
    row(Id::BitFieldRo, "bitfield_ro", -2, "readonly fast", "bitmap", READ),
];
