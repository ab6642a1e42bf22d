//! A checkpoint that lies, with the right checksums, in a store that is opened.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    aryavarth::fuzzing::checkpoint_file(bytes);
});
