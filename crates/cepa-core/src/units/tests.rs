//! Tests of the grammar of times and sizes: tables, the recorded vectors, round trips.

use super::*;
use proptest::prelude::*;

#[test]
fn times() {
    for (text, millis) in [
        ("0", 0),
        ("0s", 0),
        ("0.0", 0),
        ("500ms", 500),
        ("30s", 30_000),
        ("30 s", 30_000),
        ("2m", 120_000),
        ("1.5h", 5_400_000),
        ("0.001s", 1),
        ("1.500000000000000000s", 1_500),
        ("7d", 604_800_000),
        ("18446744073709551615ms", u64::MAX),
    ] {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(millis)), "{text}");
    }
}

#[test]
fn sizes() {
    for (text, bytes) in [
        ("0", 0),
        ("8000", 8_000),
        ("8000 B", 8_000),
        ("1b", 1),
        ("64 KiB", 65_536),
        ("64kib", 65_536),
        ("1 MiB", 1 << 20),
        ("1.5MB", 3 << 19),
        ("2gb", 2 << 30),
        ("1TiB", 1 << 40),
        ("16777215 TiB", 16_777_215 << 40),
    ] {
        assert_eq!(parse_size(text), Ok(bytes), "{text}");
    }
}

#[test]
fn faults_name_the_text() {
    let long = "9".repeat(5_000);
    for (error, fault) in [
        (parse_duration("").unwrap_err(), "\"\" does not begin with a number: write one like \"30s\""),
        (parse_duration("-3m").unwrap_err(), "does not begin with a number"),
        (parse_duration(".5s").unwrap_err(), "does not begin with a number"),
        (parse_duration("5.s").unwrap_err(), "does not begin with a number"),
        (parse_duration("30").unwrap_err(), "\"30\" has no unit: write \"30s\" for seconds"),
        (parse_duration("30 ").unwrap_err(), "unknown unit"),
        (parse_duration("30  s").unwrap_err(), "unknown unit \" s\""),
        (parse_duration("30S").unwrap_err(), "unknown unit \"S\"; the units are ms, s, m, h and d"),
        (parse_duration("1h30m").unwrap_err(), "unknown unit \"h30m\""),
        (parse_duration("1e3s").unwrap_err(), "unknown unit"),
        (parse_duration("٣s").unwrap_err(), "does not begin with a number"),
        (parse_duration("0.5ms").unwrap_err(), "not a whole number of milliseconds"),
        (parse_duration("0.0000000000001d").unwrap_err(), "not a whole number"),
        (parse_duration("18446744073709551616ms").unwrap_err(), "too large"),
        (parse_duration("18446744073709551615s").unwrap_err(), "too large"),
        (parse_duration(&long).unwrap_err(), "too large"),
        (parse_size(" 1 KiB").unwrap_err(), "does not begin with a number: write one like \"64 KiB\""),
        (parse_size("1k").unwrap_err(), "unknown unit \"k\"; the units are B, KiB, MiB, GiB and TiB"),
        (parse_size("1 é").unwrap_err(), "unknown unit"),
        (parse_size("0.3 KiB").unwrap_err(), "not a whole number of bytes"),
        (parse_size("16777216 TiB").unwrap_err(), "too large"),
    ] {
        let message = error.to_string();
        assert!(message.contains(fault), "{message} / {fault}");
        assert!(message.len() < 300, "{message}");
    }
}

fn vectors(file: &str) -> Vec<serde_json::Value> {
    let path = format!("{}/../../tests/data/koa/vectors/{file}", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).unwrap();
    let document: serde_json::Value = serde_json::from_str(&text).unwrap();
    document["vectors"].as_array().unwrap().clone()
}

/// Recorded texts that we refuse on purpose: a sign, space around, and units that are silently taken for bytes.
const REFUSED_SIZES: [&str; 5] = [" 1 kb ", "-1kb", "", "1k", "10m"];
/// … and a sign, no unit, and units in words.
const REFUSED_TIMES: [&str; 4] = ["100", "2 days", "x", "-3m"];

#[test]
fn agrees_with_the_recorded_sizes_or_refuses() {
    for vector in vectors("bytes.json") {
        let text = vector["input"].as_str().unwrap();
        match parse_size(text) {
            Ok(bytes) => assert_eq!(Some(bytes), vector["bytes"].as_u64(), "{text:?}"),
            Err(_) => assert!(REFUSED_SIZES.contains(&text), "{text:?}"),
        }
    }
}

#[test]
fn agrees_with_the_recorded_times_or_refuses() {
    for vector in vectors("ms.json") {
        let Some(text) = vector["input"].as_str() else { continue };
        match parse_duration(text) {
            Ok(time) => assert_eq!(Some(time.as_millis() as u64), vector["ms"].as_u64(), "{text:?}"),
            Err(_) => assert!(REFUSED_TIMES.contains(&text), "{text:?}"),
        }
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read(number in any::<u64>(), shift in 0..64u32) {
        let number = number >> shift;
        prop_assert_eq!(parse_size(&format_size(number)), Ok(number));
        let time = Duration::from_millis(number);
        prop_assert_eq!(parse_duration(&format_duration(time)), Ok(time));
    }

    #[test]
    fn never_panics(text in "\\PC*", number in "[0-9.]{0,30} ?[a-zA-Zé]{0,4}") {
        let _ = (parse_size(&text), parse_duration(&text), parse_size(&number), parse_duration(&number));
    }
}
