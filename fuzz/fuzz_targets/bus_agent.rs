//! Hands [`cepa_fuzz::bus_agent`] to libFuzzer.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| cepa_fuzz::bus_agent(input));
