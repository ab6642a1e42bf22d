//! Every bound of the engine, by name. A value past one is an error that names the bound.

/// Shortest key, in bytes.
pub const MIN_KEY_LENGTH: usize = 1;
/// Longest key, in bytes (64 KiB).
pub const MAX_KEY_LENGTH: usize = 64 << 10;
/// Longest value, in bytes (512 MiB).
pub const MAX_VALUE_LENGTH: usize = 512 << 20;
/// Most bytes of records one batch may hold (1 GiB): a batch is written to one segment.
pub const MAX_BATCH_BYTES: u64 = 1 << 30;
/// Smallest segment, in bytes (4 KiB).
pub const MIN_SEGMENT_SIZE: u64 = 4 << 10;
/// Largest segment, in bytes (128 MiB): where a record starts must fit in 24 bits of 8-byte units.
pub const MAX_SEGMENT_SIZE: u64 = 128 << 20;
/// Longest vote of a replicated log, in bytes.
pub const MAX_VOTE_LENGTH: usize = 64;
/// Longest configuration that an entry of a replicated log may carry, in bytes (32 KiB).
pub const MAX_CONFIG_LENGTH: usize = 32 << 10;
/// Most segments alive at once.
pub const MAX_LIVE_SEGMENTS: usize = 1 << 16;

const _: () = assert!(MAX_SEGMENT_SIZE == 8 << 24, "a location holds 24 bits of 8-byte units");
const _: () = assert!(MAX_KEY_LENGTH - 1 <= u16::MAX as usize, "a record stores length - 1");
const _: () = assert!(MAX_VALUE_LENGTH as u64 <= u32::MAX as u64);
const _: () =
    assert!(MAX_BATCH_BYTES > MAX_VALUE_LENGTH as u64 + MAX_KEY_LENGTH as u64 + (64 << 10));
