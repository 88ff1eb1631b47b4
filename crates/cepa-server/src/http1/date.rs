//! The `Date` of a response: the current second as text, written once per second and thread.

use std::cell::Cell;
use std::time::{SystemTime, UNIX_EPOCH};

/// The last second that four digits can write the year of: 9999-12-31 23:59:59.
const LAST: u64 = 253_402_300_799;

const WEEKDAYS: [&[u8; 3]; 7] = [b"Thu", b"Fri", b"Sat", b"Sun", b"Mon", b"Tue", b"Wed"];
const MONTHS: [&[u8; 3]; 12] =
    [b"Jan", b"Feb", b"Mar", b"Apr", b"May", b"Jun", b"Jul", b"Aug", b"Sep", b"Oct", b"Nov", b"Dec"];

thread_local! {
    static CURRENT: Cell<(u64, [u8; 29])> = Cell::new((0, imf_fixdate(0)));
}

/// The current time, to be sent as `Date`; formats only when the second has changed since the last call.
#[must_use]
pub fn now() -> [u8; 29] {
    let seconds = now_seconds();
    CURRENT.with(|current| {
        let (second, text) = current.get();
        if second == seconds {
            return text;
        }
        let text = imf_fixdate(seconds);
        current.set((seconds, text));
        text
    })
}

/// The current time, as [`imf_fixdate`] takes it.
pub(crate) fn now_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// Writes a time as IMF-fixdate (RFC 9110, section 5.6.7).
///
/// `seconds` counts from 1970-01-01 00:00:00 UTC; times after the year 9999 are written as its last second.
///
/// ```
/// assert_eq!(&cepa_server::http1::date::imf_fixdate(784_111_777), b"Sun, 06 Nov 1994 08:49:37 GMT");
/// ```
#[must_use]
pub fn imf_fixdate(seconds: u64) -> [u8; 29] {
    let seconds = seconds.min(LAST);
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    let mut text = *b"Www, dd Mmm yyyy hh:mm:ss GMT";
    text[..3].copy_from_slice(WEEKDAYS[(days % 7) as usize]);
    text[8..11].copy_from_slice(MONTHS[(month - 1) as usize]);
    let pairs = [
        (5, day),
        (12, year / 100),
        (14, year % 100),
        (17, second / 3600),
        (20, second / 60 % 60),
        (23, second % 60),
    ];
    for (at, number) in pairs {
        text[at] = b'0' + (number / 10) as u8;
        text[at + 1] = b'0' + (number % 10) as u8;
    }
    text
}

/// The year, month (1 to 12) and day (1 to 31) that lie this many days after 1970-01-01.
///
/// Counts in years that start on the first of March, so that the day that comes and goes is the last one.
fn civil(days: u64) -> (u64, u64, u64) {
    const DAYS_BEFORE_1970: u64 = 719_468; // from 0000-03-01
    const DAYS_IN_400_YEARS: u64 = 146_097;
    let days = days + DAYS_BEFORE_1970;
    let era_day = days % DAYS_IN_400_YEARS;
    let era_year = (era_day - era_day / 1_460 + era_day / 36_524 - era_day / 146_096) / 365;
    let year_day = era_day - (365 * era_year + era_year / 4 - era_year / 100);
    let march_month = (5 * year_day + 2) / 153;
    let day = year_day - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = era_year + days / DAYS_IN_400_YEARS * 400 + u64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_dates() {
        for (seconds, text) in [
            (0, "Thu, 01 Jan 1970 00:00:00 GMT"),
            (951_782_399, "Mon, 28 Feb 2000 23:59:59 GMT"),
            (951_782_400, "Tue, 29 Feb 2000 00:00:00 GMT"),
            (1_709_164_800, "Thu, 29 Feb 2024 00:00:00 GMT"),
            (1_735_689_599, "Tue, 31 Dec 2024 23:59:59 GMT"),
            (4_107_542_400, "Mon, 01 Mar 2100 00:00:00 GMT"),
            (LAST, "Fri, 31 Dec 9999 23:59:59 GMT"),
            (u64::MAX, "Fri, 31 Dec 9999 23:59:59 GMT"),
        ] {
            assert_eq!(std::str::from_utf8(&imf_fixdate(seconds)).unwrap(), text);
        }
    }

    #[test]
    fn every_day_follows_the_one_before() {
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..=LAST / 86_400 {
            assert_eq!(civil(days), (year, month, day));
            let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
            let length = match month {
                2 => 28 + u64::from(leap),
                4 | 6 | 9 | 11 => 30,
                _ => 31,
            };
            day += 1;
            if day > length {
                (day, month) = (1, month + 1);
            }
            if month > 12 {
                (month, year) = (1, year + 1);
            }
        }
    }

    #[test]
    fn now_is_the_current_second() {
        let before = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let (first, second) = (now(), now());
        for text in [first, second] {
            assert!((before..=before + 60).any(|second| imf_fixdate(second) == text));
        }
    }
}
