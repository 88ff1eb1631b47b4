//! Hands [`cepa_fuzz::multipart`] to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cepa_fuzz::multipart(input));
