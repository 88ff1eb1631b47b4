//! When something is to be done, as functions of the time and of chance.

use std::time::{Duration, SystemTime};

/// From when to when a certificate is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) from: SystemTime,
    pub(crate) to: SystemTime,
}

impl Validity {
    fn at(&self, part: f64) -> SystemTime {
        let life = self.to.duration_since(self.from).unwrap_or_default();
        self.from + life.mul_f64(part)
    }

    /// When to renew it: after two thirds of its life, less up to a twentieth, so that those who were started together do
    /// not ask together.
    pub(crate) fn renewal(&self, chance: f64) -> SystemTime {
        self.at(2.0 / 3.0 - chance / 20.0)
    }

    /// When to renew it if the authority suggests some time between two (RFC 9773, section 4.2). It does not know how
    /// long a failure lasts: a tenth of the life is kept for that.
    pub(crate) fn suggested(&self, window: (SystemTime, SystemTime), chance: f64) -> SystemTime {
        let length = window.1.duration_since(window.0).unwrap_or_default();
        (window.0 + length.mul_f64(chance)).min(self.at(0.9))
    }
}

/// How long to wait after so many failures in a row, of which there is at least one.
pub(crate) fn wait(failures: u32, first: Duration, most: Duration, chance: f64) -> Duration {
    let doubled = 1u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX);
    let wait = first.saturating_mul(doubled).min(most.max(first));
    wait.mul_f64(1.0 - chance / 2.0)
}

/// Chance: evenly from 0 to 1, which it never is.
pub(crate) fn chance() -> Result<f64, getrandom::Error> {
    // As many bits as the number has.
    Ok((getrandom::u64()? >> 11) as f64 / (1u64 << 53) as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn day(day: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * day
    }

    #[test]
    fn a_certificate_is_renewed_in_the_last_third_of_its_life() {
        let validity = Validity { from: day(100), to: day(190) };
        let days = |time: SystemTime| time.duration_since(day(0)).unwrap().as_secs_f64() / 86_400.0;
        for (chance, expected) in [(0.0, 160.0), (0.5, 157.75), (0.999_999, 155.5)] {
            assert!((days(validity.renewal(chance)) - expected).abs() < 0.001, "{chance}");
        }
        let backwards = Validity { from: day(2), to: day(1) };
        assert_eq!(backwards.renewal(0.5), day(2));
    }

    #[test]
    fn what_the_authority_suggests_counts_as_long_as_time_is_left() {
        let validity = Validity { from: day(100), to: day(190) };
        for (window, chance, expected) in [
            ((day(150), day(152)), 0.0, day(150)),
            ((day(150), day(152)), 0.5, day(151)),
            // At once, as after a revocation.
            ((day(90), day(91)), 0.5, day(90) + DAY / 2),
            ((day(189), day(195)), 0.5, day(181)),
            ((day(152), day(150)), 0.5, day(152)),
        ] {
            assert_eq!(validity.suggested(window, chance), expected, "{window:?}");
        }
    }

    #[test]
    fn each_wait_is_longer_up_to_the_longest() {
        let minutes =
            |failures, chance| wait(failures, Duration::from_secs(300), DAY, chance).as_secs_f64() / 60.0;
        for (failures, most) in
            [(1, 5.0), (2, 10.0), (5, 80.0), (9, 1280.0), (10, 1440.0), (u32::MAX, 1440.0)]
        {
            assert!((minutes(failures, 0.0) - most).abs() < 0.001, "{failures}");
            assert!((minutes(failures, 0.999_999) - most / 2.0).abs() < 0.01, "{failures}");
        }
        assert_eq!(wait(3, DAY, DAY / 2, 0.0), DAY);
    }

    #[test]
    fn chance_is_between_0_and_1() {
        let drawn: Vec<_> = (0..100).map(|_| chance().unwrap()).collect();
        assert!(drawn.iter().all(|chance| (0.0..1.0).contains(chance)));
        assert!(drawn.iter().any(|chance| *chance > 0.5) && drawn.iter().any(|chance| *chance < 0.5));
    }
}
