//! What commands compute: functions on bytes that know neither connections nor the store.
//!
//! Each answers as Redis 7.2 (or the release named) does on x86-64, unless its file says otherwise.
//! The texts of the errors are Redis' own, without the `ERR ` that opens them on the wire.

pub mod bitfield;
pub mod bits;
pub mod digest;
pub mod dump;
pub mod float;
pub mod glob;
pub mod integer;
pub mod lcs;
pub mod range;
pub mod time_to_live;
