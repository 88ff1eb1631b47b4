//! Times and sizes as people write them in a configuration: `30s`, `500ms`, `1.5h`; `64 KiB`, `10 MiB`, `8000`.
//!
//! A number, decimal and without a sign or exponent, then at most one space, then a unit. Units of time are `ms`,
//! `s`, `m`, `h` and `d`, and one is needed except after 0. Units of size are `B`, `KiB`, `MiB`, `GiB` and `TiB` in
//! any case; without one the number counts bytes. `KB` to `TB` mean the same powers of 1024, as they do in nginx and
//! in Koa. A fraction must come out at whole milliseconds or bytes.

use std::time::Duration;

/// Why a text is no time or no size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UnitError {
    /// There is no number in front.
    #[error("{text:?} does not begin with a number: write one like {example}")]
    NoNumber {
        /// The text, cut to [`SHOWN`] characters.
        text: String,
        /// A text that would do.
        example: &'static str,
    },
    /// A time without a unit.
    #[error("{text:?} has no unit: write \"{text}s\" for seconds; the units are {TIME_UNITS}")]
    NoUnit {
        /// The text, cut to [`SHOWN`] characters.
        text: String,
    },
    /// What follows the number is not a unit.
    #[error("{text:?} has an unknown unit {unit:?}; the units are {known}")]
    UnknownUnit {
        /// The text, cut to [`SHOWN`] characters.
        text: String,
        /// What was found in the place of the unit, cut likewise.
        unit: String,
        /// The units there are.
        known: &'static str,
    },
    /// The fraction is finer than a millisecond or a byte.
    #[error("{text:?} is not a whole number of {of}")]
    NotWhole {
        /// The text, cut to [`SHOWN`] characters.
        text: String,
        /// Milliseconds or bytes.
        of: &'static str,
    },
    /// More than fits.
    #[error("{text:?} is too large")]
    TooLarge {
        /// The text, cut to [`SHOWN`] characters.
        text: String,
    },
}

/// How many characters of a wrong text an error repeats.
pub const SHOWN: usize = 40;

const TIME_UNITS: &str = "ms, s, m, h and d";
const SIZE_UNITS: &str = "B, KiB, MiB, GiB and TiB";
/// Milliseconds, largest first.
const TIMES: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
/// Bytes, largest first, each with the other name of the same.
const SIZES: [(&str, &str, u64); 4] =
    [("TiB", "TB", 1 << 40), ("GiB", "GB", 1 << 30), ("MiB", "MB", 1 << 20), ("KiB", "KB", 1 << 10)];
/// Digits of a fraction that are read, trailing zeros apart; a finer one is refused.
const FRACTION_DIGITS: usize = 12;

/// Reads a time such as `30s`, `500ms`, `2m`, `1.5h`, `7d` or `0`.
///
/// # Errors
/// Names the text and what is wrong with it, see [`UnitError`].
pub fn parse_duration(text: &str) -> Result<Duration, UnitError> {
    let number = Number::read(text, "\"30s\"")?;
    let unit = match (number.unit, number.whole, number.fraction) {
        ("", 0, 0) => 1,
        ("", ..) => return Err(UnitError::NoUnit { text: shown(text) }),
        (unit, ..) => TIMES
            .iter()
            .find_map(|&(name, size)| (name == unit).then_some(size))
            .ok_or_else(|| unknown(text, unit, TIME_UNITS))?,
    };
    number.times(unit, "milliseconds").map(Duration::from_millis)
}

/// Reads a size such as `8000`, `64 KiB`, `1.5MiB` or `10mb`, in bytes.
///
/// # Errors
/// Names the text and what is wrong with it, see [`UnitError`].
pub fn parse_size(text: &str) -> Result<u64, UnitError> {
    let number = Number::read(text, "\"64 KiB\"")?;
    let unit = match number.unit {
        "" => 1,
        unit if unit.eq_ignore_ascii_case("B") => 1,
        unit => SIZES
            .iter()
            .find(|(name, alias, _)| unit.eq_ignore_ascii_case(name) || unit.eq_ignore_ascii_case(alias))
            .map(|&(.., size)| size)
            .ok_or_else(|| unknown(text, unit, SIZE_UNITS))?,
    };
    number.times(unit, "bytes")
}

/// Writes a time as [`parse_duration`] reads it, in the largest unit that needs no fraction; below a millisecond it
/// is cut.
#[must_use]
pub fn format_duration(duration: Duration) -> String {
    let millis = duration.as_millis();
    for (name, size) in TIMES {
        let size = u128::from(size);
        if millis >= size && millis.is_multiple_of(size) {
            return format!("{}{name}", millis / size);
        }
    }
    "0s".to_owned()
}

/// Writes a size as [`parse_size`] reads it, in the largest unit that needs no fraction.
#[must_use]
pub fn format_size(bytes: u64) -> String {
    for (name, _, size) in SIZES {
        if bytes >= size && bytes.is_multiple_of(size) {
            return format!("{} {name}", bytes / size);
        }
    }
    bytes.to_string()
}

/// A number and what follows it.
struct Number<'a> {
    text: &'a str,
    whole: u64,
    /// The digits behind the point as a number, trailing zeros apart …
    fraction: u64,
    /// … and ten to the power of how many there are.
    scale: u64,
    unit: &'a str,
}

impl<'a> Number<'a> {
    fn read(text: &'a str, example: &'static str) -> Result<Self, UnitError> {
        let (whole, mut rest) = digits(text);
        let mut fraction = "";
        if let Some(behind) = rest.strip_prefix('.') {
            (fraction, rest) = digits(behind);
            if fraction.is_empty() {
                return Err(UnitError::NoNumber { text: shown(text), example });
            }
        }
        if whole.is_empty() {
            return Err(UnitError::NoNumber { text: shown(text), example });
        }
        let unit = match rest.strip_prefix(' ') {
            // A space must lead to a unit.
            Some("") => rest,
            Some(unit) => unit,
            None => rest,
        };
        let fraction = fraction.trim_end_matches('0');
        if fraction.len() > FRACTION_DIGITS {
            return Err(UnitError::NotWhole { text: shown(text), of: "milliseconds or bytes" });
        }
        let whole = whole.parse().map_err(|_| UnitError::TooLarge { text: shown(text) })?;
        let scale = 10u64.pow(fraction.len() as u32);
        Ok(Self { text, whole, fraction: fraction.parse().unwrap_or(0), scale, unit })
    }

    fn times(&self, unit: u64, of: &'static str) -> Result<u64, UnitError> {
        let parts = u128::from(self.fraction) * u128::from(unit);
        if !parts.is_multiple_of(u128::from(self.scale)) {
            return Err(UnitError::NotWhole { text: shown(self.text), of });
        }
        let total = u128::from(self.whole) * u128::from(unit) + parts / u128::from(self.scale);
        u64::try_from(total).map_err(|_| UnitError::TooLarge { text: shown(self.text) })
    }
}

/// The ASCII digits in front, and the rest.
fn digits(text: &str) -> (&str, &str) {
    text.split_at(text.bytes().position(|byte| !byte.is_ascii_digit()).unwrap_or(text.len()))
}

fn unknown(text: &str, unit: &str, known: &'static str) -> UnitError {
    UnitError::UnknownUnit { text: shown(text), unit: shown(unit), known }
}

fn shown(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}

/// For `#[serde(with = "units::duration")]`: a [`Duration`] as text.
pub mod duration {
    use super::{Duration, UnitError, format_duration, parse_duration};
    use serde::{Deserializer, Serializer, de};
    use std::fmt;

    /// Writes the time as text.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&format_duration(*duration))
    }

    /// Reads a time from text; of plain numbers only 0 is one.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        deserializer.deserialize_any(Time)
    }

    struct Time;

    impl de::Visitor<'_> for Time {
        type Value = Duration;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a time such as \"30s\"")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Duration, E> {
            parse_duration(text).map_err(E::custom)
        }

        fn visit_u64<E: de::Error>(self, number: u64) -> Result<Duration, E> {
            match number {
                0 => Ok(Duration::ZERO),
                _ => Err(E::custom(UnitError::NoUnit { text: number.to_string() })),
            }
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<Duration, E> {
            let number = u64::try_from(number).map_err(|_| E::custom(format_args!("{number} is below 0")))?;
            self.visit_u64(number)
        }
    }
}

/// For `#[serde(with = "units::size")]`: an unsigned integer of bytes as text or number.
pub mod size {
    use super::{UnitError, format_size, parse_size};
    use serde::{Deserializer, Serializer, de};
    use std::{fmt, marker::PhantomData};

    /// Writes the size as text.
    pub fn serialize<T: Copy + TryInto<u64>, S: Serializer>(
        size: &T,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        // No integer that this is used with is wider than 64 bits.
        serializer.serialize_str(&format_size((*size).try_into().unwrap_or(u64::MAX)))
    }

    /// Reads a size from text, or from a number of bytes.
    pub fn deserialize<'de, T: TryFrom<u64>, D: Deserializer<'de>>(deserializer: D) -> Result<T, D::Error> {
        deserializer.deserialize_any(Size(PhantomData))
    }

    struct Size<T>(PhantomData<T>);

    impl<T: TryFrom<u64>> de::Visitor<'_> for Size<T> {
        type Value = T;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a size such as \"64 KiB\", or a number of bytes")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
            self.visit_u64(parse_size(text).map_err(E::custom)?)
        }

        fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<T, E> {
            T::try_from(bytes).map_err(|_| E::custom(UnitError::TooLarge { text: format_size(bytes) }))
        }

        fn visit_i64<E: de::Error>(self, number: i64) -> Result<T, E> {
            let number = u64::try_from(number).map_err(|_| E::custom(format_args!("{number} is below 0")))?;
            self.visit_u64(number)
        }
    }
}

#[cfg(test)]
mod tests;
