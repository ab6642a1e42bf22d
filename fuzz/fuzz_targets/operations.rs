//! Operations on a store and on a map.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    aryavarth::fuzzing::operations(bytes);
});
