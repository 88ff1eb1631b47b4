//! What the clock on the wall shows at the time of an event.

use std::time::{SystemTime, UNIX_EPOCH};

use jiff::{Timestamp, civil::DateTime, tz::TimeZone};
use serde::{Deserialize, Deserializer, de};

/// Where the clock on the wall hangs: `local`, `utc`, or a name such as `Europe/Berlin`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone(TimeZone);

impl Default for Zone {
    /// The zone of the system.
    fn default() -> Self {
        Self(TimeZone::system())
    }
}

impl Zone {
    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self(TimeZone::UTC)
    }

    /// What the clock shows at a time.
    pub(crate) fn at(&self, time: SystemTime) -> Moment {
        // A clock beyond the years that there are is taken for one that stands.
        let timestamp = Timestamp::try_from(time).unwrap_or(Timestamp::UNIX_EPOCH);
        let offset = self.0.to_offset(timestamp);
        Moment { timestamp, civil: offset.to_datetime(timestamp), offset: offset.seconds() }
    }
}

impl std::str::FromStr for Zone {
    type Err = ZoneError;

    fn from_str(name: &str) -> Result<Self, ZoneError> {
        match name {
            "local" => Ok(Self::default()),
            "utc" | "UTC" => Ok(Self::utc()),
            name => TimeZone::get(name).map(Self).map_err(|_| ZoneError),
        }
    }
}

impl<'de> Deserialize<'de> for Zone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// A time zone that the system does not know.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "a zone is local, utc, or a name that the time zone database of this system has, such as Europe/Berlin"
)]
pub struct ZoneError;

/// A time, and what the clock on the wall shows at it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Moment {
    timestamp: Timestamp,
    /// The clock on the wall.
    pub(crate) civil: DateTime,
    /// Seconds by which it is ahead of UTC.
    pub(crate) offset: i32,
}

impl Moment {
    /// Whole seconds since 1970.
    pub(crate) fn second(&self) -> i64 {
        self.timestamp.as_second()
    }

    /// The same moment in UTC.
    pub(crate) fn utc(&self) -> DateTime {
        jiff::tz::Offset::UTC.to_datetime(self.timestamp)
    }

    /// Milliseconds since an earlier time; 0 if it was later.
    pub(crate) fn millis_since(&self, earlier: SystemTime) -> u64 {
        let earlier = earlier.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis());
        let now = u128::try_from(self.timestamp.as_millisecond()).unwrap_or(0);
        u64::try_from(now.saturating_sub(earlier)).unwrap_or(u64::MAX)
    }
}

/// Writes a number with at least so many digits.
pub(crate) fn digits(out: &mut String, number: impl Into<i32>, width: usize) {
    let mut buffer = itoa::Buffer::new();
    // Years before Christ do not come from a system clock.
    let text = buffer.format(number.into().max(0));
    for _ in text.len()..width {
        out.push('0');
    }
    out.push_str(text);
}

/// Writes `2026-11-20T07:08:09` with that between date and time.
pub(crate) fn date_time(out: &mut String, civil: DateTime, between: char) {
    digits(out, civil.year(), 4);
    for (sign, number) in [
        ('-', civil.month()),
        ('-', civil.day()),
        (between, civil.hour()),
        (':', civil.minute()),
        (':', civil.second()),
    ] {
        out.push(sign);
        digits(out, number, 2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_zone_is_named() {
        for name in ["local", "utc", "UTC"] {
            assert!(name.parse::<Zone>().is_ok(), "{name}");
        }
        for name in ["", "Europa/Berlin", "../../etc/passwd", "/etc/passwd"] {
            assert_eq!(name.parse::<Zone>(), Err(ZoneError), "{name:?}");
        }
    }

    #[test]
    fn the_clock_on_the_wall_follows_its_zone_through_the_year() {
        let berlin = Zone(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap());
        // 2026-10-25T00:59:59Z is the last second of summer time.
        for (second, shown, offset) in
            [(1_792_889_999, "2026-10-25T02:59:59", 7200), (1_792_890_000, "2026-10-25T02:00:00", 3600)]
        {
            let moment = berlin.at(UNIX_EPOCH + Duration::from_secs(second));
            let mut text = String::new();
            date_time(&mut text, moment.civil, 'T');
            assert_eq!((text.as_str(), moment.offset, moment.second()), (shown, offset, second as i64));
        }
    }

    #[test]
    fn a_clock_that_is_off_is_no_panic() {
        let zone = Zone::utc();
        for time in [UNIX_EPOCH - Duration::from_secs(1 << 40), UNIX_EPOCH + Duration::from_secs(1 << 50)] {
            assert_eq!(zone.at(time).second(), 0);
        }
        let moment = zone.at(UNIX_EPOCH + Duration::from_millis(1500));
        assert_eq!(moment.millis_since(UNIX_EPOCH + Duration::from_secs(1)), 500);
        assert_eq!(moment.millis_since(UNIX_EPOCH + Duration::from_secs(9)), 0);
    }
}
