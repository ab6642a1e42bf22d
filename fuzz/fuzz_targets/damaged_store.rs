//! Damage anywhere in the files of a store.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    aryavarth::fuzzing::damaged_store(bytes);
});
