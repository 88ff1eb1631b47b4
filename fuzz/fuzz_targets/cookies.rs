//! Hands [`cepa_fuzz::cookies`] to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cepa_fuzz::cookies(input));
