//! Hands [`cepa_fuzz::proxy_protocol`] to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cepa_fuzz::proxy_protocol(input));
