//! Bytes as a KVS1 log that is converted.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    aryavarth::fuzzing::kvs1_log(bytes);
});
