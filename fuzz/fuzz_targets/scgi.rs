//! Hands [`cepa_fuzz::scgi`] to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cepa_fuzz::scgi(input));
