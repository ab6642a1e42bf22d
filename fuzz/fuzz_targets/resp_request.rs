//! Bytes as requests, whole and in pieces.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    aryavarth_server::fuzzing::requests(bytes);
});
