//! A manifest that lies, with the right checksum, in a store that is opened.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    aryavarth::fuzzing::manifest_file(bytes);
});
