//! What a client says to a server, made of any bytes.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    aryavarth_server::fuzzing::conversation(bytes);
});
