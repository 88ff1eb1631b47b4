//! Dates in header fields (RFC 9110, section 5.6.7).

use std::time::{Duration, SystemTime};

/// The time of an HTTP date in any of its three forms; `None` when `text` is not one.
pub fn parse(text: &str) -> Option<SystemTime> {
    httpdate::parse_http_date(text).ok()
}

/// The time of an ISO 8601 date in UTC, `2020-01-02T03:04:05Z`, with or without a fraction of a second (which is
/// dropped), from 1970 to 9999; `None` when `text` is anything else.
pub fn parse_iso(text: &str) -> Option<SystemTime> {
    let (seconds, rest) = text.split_at_checked(19)?;
    let fraction = rest.strip_suffix('Z')?;
    let digits = fraction.strip_prefix('.').unwrap_or("0");
    let fraction_is_valid = (fraction.is_empty() || fraction.starts_with('.'))
        && (1..=9).contains(&digits.len())
        && digits.bytes().all(|byte| byte.is_ascii_digit());
    let pattern = b"dddd-dd-ddTdd:dd:dd";
    let fits = |(byte, expected): (u8, &u8)| match expected {
        b'd' => byte.is_ascii_digit(),
        _ => byte == *expected,
    };
    if !fraction_is_valid || !seconds.bytes().zip(pattern).all(fits) {
        return None;
    }
    let field = |from, to| seconds[from..to].parse::<u64>().ok();
    let (year, month, day) = (field(0, 4)?, field(5, 7)?, field(8, 10)?);
    let (hour, minute, second) = (field(11, 13)?, field(14, 16)?, field(17, 19)?);
    if year < 1970 || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let days = days_since_1970(year, month, day)?;
    let seconds = ((days * 24 + hour) * 60 + minute) * 60 + second;
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(seconds))
}

/// `time` as an IMF-fixdate in whole seconds; `None` outside the years 1970 to 9999.
pub fn format(time: SystemTime) -> Option<String> {
    seconds_since_1970(time).map(|_| httpdate::fmt_http_date(time))
}

/// `time` as an ISO 8601 date in UTC in whole seconds, `2020-01-02T03:04:05Z`; `None` outside the years 1970 to 9999.
///
/// It is an RFC 3339 timestamp too, and what HTML's `datetime` attribute and JavaScript's `Date` read.
pub fn format_iso(time: SystemTime) -> Option<String> {
    let seconds = seconds_since_1970(time)?;
    let (year, month, day) = date_of_day(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    Some(format!("{year}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z"))
}

/// `None` outside the years 1970 to 9999.
fn seconds_since_1970(time: SystemTime) -> Option<u64> {
    const YEAR_10000: u64 = 253_402_300_800;
    let seconds = time.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_secs();
    Some(seconds).filter(|seconds| *seconds < YEAR_10000)
}

/// Year, month and day of a day counted from 1970.
fn date_of_day(day: u64) -> (u64, u64, u64) {
    // Counted from 1 March of the year 0, so that a leap day is the last of its year, its 4 and its 400 years; a month
    // then has 30.6 days on average, rounded.
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let first = (153 * month + 2) / 5;
    // March is 0, so that January and February, 10 and 11, belong to the next year.
    let (next, month) = if month < 10 { (0, month + 3) } else { (1, month - 9) };
    (era * 400 + year + next, month, day - first + 1)
}

/// `None` when the month has no such day.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<u64> {
    const BEFORE_MONTH: [u64; 13] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334, 365];
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let index = usize::try_from(month.checked_sub(1)?).ok()?;
    let start = *BEFORE_MONTH.get(index)?;
    let length = BEFORE_MONTH.get(index + 1)? - start + u64::from(leap && month == 2);
    if day < 1 || day > length {
        return None;
    }
    let years = year - 1;
    let leap_days = (years / 4 - years / 100 + years / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400);
    Some((year - 1970) * 365 + leap_days + start + u64::from(leap && month > 2) + day - 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_iso_dates() {
        let table = [
            ("2020-01-02T03:04:05Z", "Thu, 02 Jan 2020 03:04:05 GMT"),
            ("2013-09-13T00:00:00.123Z", "Fri, 13 Sep 2013 00:00:00 GMT"),
            ("2024-02-29T23:59:59Z", "Thu, 29 Feb 2024 23:59:59 GMT"),
            ("2000-03-01T00:00:00Z", "Wed, 01 Mar 2000 00:00:00 GMT"),
            ("9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 GMT"),
        ];
        for (text, expected) in table {
            assert_eq!(parse_iso(text).and_then(format).as_deref(), Some(expected), "{text}");
            assert_eq!(parse_iso(text), parse(expected));
        }
        let bad =
            ["", "2020-01-02", "2020-01-02T03:04:05", "2020-01-02T03:04:05.Z", "2020-01-02T03:04:05,1Z"];
        let wrong =
            ["2023-02-29T00:00:00Z", "2020-13-01T00:00:00Z", "2020-00-01T00:00:00Z", "2020-01-00T00:00:00Z"];
        let odd =
            ["1969-12-31T23:59:59Z", "2020-01-01T24:00:00Z", "+020-01-01T00:00:00Z", "2020-01-01T00:00:000é"];
        for text in bad.into_iter().chain(wrong).chain(odd) {
            assert_eq!(parse_iso(text), None, "{text}");
        }
    }

    #[test]
    fn formats_only_what_the_form_can_say() {
        assert_eq!(format(SystemTime::UNIX_EPOCH).as_deref(), Some("Thu, 01 Jan 1970 00:00:00 GMT"));
        assert_eq!(format(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), None);
        assert_eq!(format(SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_800)), None);
    }

    #[test]
    fn every_day_has_its_date() {
        let mut last = String::new();
        // The calendar repeats itself after 400 years.
        for day in 0..146_097 {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(day * 86_400);
            let text = format_iso(time).unwrap();
            assert!(text > last, "{text} comes after {last}");
            assert_eq!(parse_iso(&text), Some(time), "{text}");
            last = text;
        }
        assert_eq!(last, "2369-12-31T00:00:00Z");
        assert_eq!(format_iso(SystemTime::UNIX_EPOCH - Duration::from_secs(1)), None);
        assert_eq!(format_iso(SystemTime::UNIX_EPOCH + Duration::from_secs(253_402_300_800)), None);
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(seconds in 0u64..253_402_300_800) {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            prop_assert_eq!(format(time).as_deref().and_then(parse), Some(time));
            prop_assert_eq!(format_iso(time).as_deref().and_then(parse_iso), Some(time));
        }

        #[test]
        fn never_panics(text in any::<String>(), near in "[0-9TZ:., -]{0,30}") {
            for text in [text, near] {
                let _ = (parse(&text), parse_iso(&text));
            }
        }
    }
}
