//! The log: one line for each event, on standard error.

use std::io::{self, IsTerminal};

use serde::Deserialize;
use tracing_subscriber::{
    filter::{LevelFilter, Targets},
    fmt,
    layer::SubscriberExt,
    registry,
    util::SubscriberInitExt,
};

/// What is logged, and how; the section `log`.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct LogConfig {
    /// The least level that is logged, default `info`: `off`, `error`, `warn`, `info`, `debug` or `trace`; also by
    /// the beginning of a target: `info,my_app=debug`.
    level: Level,
    /// `text` for people, the default, or `json`.
    format: Format,
}

#[derive(Debug, Deserialize)]
#[serde(try_from = "String")]
struct Level(Targets);

impl Default for Level {
    fn default() -> Self {
        Self(Targets::new().with_default(tracing::Level::INFO))
    }
}

impl TryFrom<String> for Level {
    type Error = LevelError;

    /// Reads levels, each for all targets or for one. (`Targets` would take a misspelt level for a target.)
    fn try_from(text: String) -> Result<Self, LevelError> {
        let mut targets = Targets::new();
        for part in text.split(',').map(str::trim) {
            let (target, level) = part.split_once('=').unwrap_or(("", part));
            // To `tracing`, no text is a level as well.
            let level = Some(level).filter(|level| !level.is_empty()).ok_or(LevelError)?;
            let level: LevelFilter = level.parse().map_err(|_| LevelError)?;
            targets = match target {
                "" => targets.with_default(level),
                target => targets.with_target(target, level),
            };
        }
        Ok(Self(targets))
    }
}

/// A text that says no levels.
#[derive(Debug, thiserror::Error)]
#[error("the levels are off, error, warn, info, debug and trace; also by target: \"info,my_app=debug\"")]
struct LevelError;

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Format {
    #[default]
    Text,
    Json,
}

/// Begins to log. A subscriber that the program has set before stays.
pub(crate) fn start(config: LogConfig) {
    let registry = registry().with(config.level.0);
    let lines = fmt::layer().with_writer(io::stderr);
    // The error says that there is a subscriber already.
    let _ = match config.format {
        Format::Text => registry.with(lines.with_ansi(coloured())).try_init(),
        Format::Json => registry.with(lines.json().flatten_event(true).with_current_span(false)).try_init(),
    };
}

/// Whether standard error shows colours and its reader wants them (<https://no-color.org>).
fn coloured() -> bool {
    io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level as At;

    #[test]
    fn levels_are_by_target() {
        let level = |text: &str| Level::try_from(text.to_owned()).map(|level| level.0);
        let targets = level("info, my_app=debug,my_app::noise=off").unwrap();
        for (target, at, logged) in [
            ("other", At::INFO, true),
            ("other", At::DEBUG, false),
            ("my_app::users", At::DEBUG, true),
            ("my_app::users", At::TRACE, false),
            ("my_app::noise", At::ERROR, false),
        ] {
            assert_eq!(targets.would_enable(target, &at), logged, "{target} {at}");
        }
        assert!(!level("off").unwrap().would_enable("any", &At::ERROR));
        for text in ["loud", "", "info,", "my_app", "my_app=loud", "my_app=debug=info"] {
            assert!(level(text).is_err(), "{text:?}");
        }
    }
}
