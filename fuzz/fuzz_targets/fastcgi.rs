//! Hands [`cepa_fuzz::fastcgi`] to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cepa_fuzz::fastcgi(input));
