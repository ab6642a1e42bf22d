//! Bytes as a line of a KVS1 log.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    aryavarth::fuzzing::kvs1_line(bytes);
});
