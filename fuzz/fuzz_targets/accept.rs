//! Hands [`cepa_fuzz::accept`] to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cepa_fuzz::accept(input));
