//! Bytes as a manifest.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    aryavarth::fuzzing::manifest(bytes);
});
