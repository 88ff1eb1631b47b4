//! The nine levels.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, de};

/// How much an event matters, or how much it must matter to be logged; in ascending order.
///
/// `tracing` has five of them. `FATAL` and `MARK` are logged with [`fatal!`](crate::fatal) and [`mark!`](crate::mark);
/// `ALL` and `OFF` are thresholds only. `MARK` is for lines that are wanted at every level but `OFF`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// As a threshold: everything.
    All,
    /// What the program does step by step.
    Trace,
    /// What helps to find a fault.
    Debug,
    /// What an operator may want to know.
    Info,
    /// What will become an error if nobody looks.
    Warn,
    /// What has failed.
    Error,
    /// What ends the program.
    Fatal,
    /// What is always logged.
    Mark,
    /// As a threshold: nothing.
    Off,
}

impl Level {
    const NAMES: [(&'static str, Self); 9] = [
        ("ALL", Self::All),
        ("TRACE", Self::Trace),
        ("DEBUG", Self::Debug),
        ("INFO", Self::Info),
        ("WARN", Self::Warn),
        ("ERROR", Self::Error),
        ("FATAL", Self::Fatal),
        ("MARK", Self::Mark),
        ("OFF", Self::Off),
    ];

    /// The name in capitals.
    pub fn name(self) -> &'static str {
        Self::NAMES[self as usize].0
    }

    /// The level of an event that says no other.
    pub(crate) fn of(level: tracing::Level) -> Self {
        match level {
            tracing::Level::TRACE => Self::Trace,
            tracing::Level::DEBUG => Self::Debug,
            tracing::Level::INFO => Self::Info,
            tracing::Level::WARN => Self::Warn,
            tracing::Level::ERROR => Self::Error,
        }
    }

    /// The sequence that begins the colour of the level on a terminal.
    pub(crate) fn colour(self) -> &'static str {
        match self {
            Self::All | Self::Mark | Self::Off => "\x1b[90m",
            Self::Trace => "\x1b[34m",
            Self::Debug => "\x1b[36m",
            Self::Info => "\x1b[32m",
            Self::Warn => "\x1b[33m",
            Self::Error => "\x1b[31m",
            Self::Fatal => "\x1b[35m",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A text that names no level.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the levels are all, trace, debug, info, warn, error, fatal, mark and off")]
pub struct LevelError;

impl FromStr for Level {
    type Err = LevelError;

    /// Reads a name, in any case.
    fn from_str(text: &str) -> Result<Self, LevelError> {
        let named = Self::NAMES.iter().find(|(name, _)| name.eq_ignore_ascii_case(text));
        named.map(|&(_, level)| level).ok_or(LevelError)
    }
}

impl<'de> Deserialize<'de> for Level {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_have_names_and_an_order() {
        for (at, (name, level)) in Level::NAMES.into_iter().enumerate() {
            assert_eq!(level as usize, at);
            assert_eq!(level.to_string(), name);
            assert_eq!(name.to_lowercase().parse(), Ok(level));
        }
        assert!(Level::NAMES.is_sorted_by_key(|(_, level)| level));
        for text in ["", "loud", "warning", "info "] {
            assert_eq!(text.parse::<Level>(), Err(LevelError), "{text:?}");
        }
    }
}
