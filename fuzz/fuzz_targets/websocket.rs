//! Hands [`cepa_fuzz::websocket`] to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cepa_fuzz::websocket(input));
