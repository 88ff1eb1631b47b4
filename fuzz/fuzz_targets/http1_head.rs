//! Hands [`cepa_fuzz::http1_head`] to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cepa_fuzz::http1_head(input));
