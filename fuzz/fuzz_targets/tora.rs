//! Hands [`cepa_fuzz::tora`] to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cepa_fuzz::tora(input));
