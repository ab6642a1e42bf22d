//! Bytes behind the last record of the open segment.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    aryavarth::fuzzing::segment_tail(bytes);
});
