//! The section `log` of the configuration.

pub mod appenders;
mod levels;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;

use serde::Deserialize;

use self::appenders::Appender;
pub use self::levels::{Levels, LevelsError};
use crate::{date::DateError, layout::PatternError, level::Level, time::Zone};

/// What is logged, and how; the section `log`.
///
/// Without `appenders`, all lines go to standard error:
///
/// ```
/// let config: cepa_log::LogConfig = toml::from_str(r#"level = "info,my_app=debug""#)?;
/// config.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// With them, `categories` says what goes where:
///
/// ```
/// let config: cepa_log::LogConfig = toml::from_str(
///     r#"
///     [appenders.console]
///     type = "stderr"
///
///     [appenders.app]
///     type = "date_file"
///     filename = "logs/app.log"
///     num_backups = 14
///     compress = true
///
///     [categories.default]
///     appenders = ["console", "app"]
///     level = "info"
///     "#,
/// )?;
/// config.check()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// The least level that is logged, default `info`: `all`, `trace`, `debug`, `info`, `warn`, `error`, `fatal`,
    /// `mark` or `off`; also by category: `info,my_app=debug`.
    pub level: Levels,
    /// How lines look where there are no `appenders`: `text` for people, the default, or `json`.
    pub format: Option<Simple>,
    /// The zone of the times in lines and names of files: `local`, the default, `utc`, or a name such as
    /// `Europe/Berlin`. The layouts `text` and `json` have UTC.
    pub zone: Zone,
    /// Bytes of lines that wait to be written, for each appender, default `4 MiB`, from 64 KiB to 1 GiB. Lines that
    /// find no room are lost; how many, the log says.
    #[serde(with = "cepa_core::units::size")]
    pub queue: usize,
    /// Where lines go, by names of your own; default: to standard error.
    pub appenders: BTreeMap<String, Appender>,
    /// What goes to which appenders, by the beginning of the target: `my_app.users` is for `my_app::users` and all
    /// below it. `default` is for all others, and must be there if there are `appenders`.
    pub categories: BTreeMap<String, Category>,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self {
            level: Levels::default(),
            format: None,
            zone: Zone::default(),
            queue: 4 << 20,
            appenders: BTreeMap::new(),
            categories: BTreeMap::new(),
        }
    }
}

/// How lines look in the simple form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Simple {
    /// For people.
    #[default]
    Text,
    /// For machines.
    Json,
}

/// What becomes of the events of a category.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Category {
    /// The names of appenders, besides those that are inherited; default none.
    pub appenders: Vec<String>,
    /// The least level that is logged; default: that of the category above, at last that of `default`, which is
    /// `info`.
    pub level: Option<Level>,
    /// Whether the appenders of the categories above are its own too, and their level if it has none; default true.
    /// Those of `default` are inherited only where there are no others.
    pub inherit: bool,
}

impl Default for Category {
    fn default() -> Self {
        Self { appenders: Vec::new(), level: None, inherit: true }
    }
}

/// What is wrong with a [`LogConfig`]; each names the key first.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LogConfigError {
    /// Appenders without a category that uses them.
    #[error("categories.default is missing: with appenders, it says where what no other category takes goes")]
    NoDefault,
    /// A category without appenders, its own or inherited.
    #[error("categories.{0} has no appenders; name some, there are {1}")]
    NoAppenders(String, String),
    /// A name of nothing.
    #[error("{key}: there is no appender {name:?}; there are {known}")]
    UnknownAppender {
        /// The key that names it.
        key: String,
        /// The name.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// Filters that lead to each other.
    #[error("appenders.{0} leads to itself")]
    Circle(String),
    /// The same said in two places.
    #[error("categories.{0}.level is said in `level` too; leave one of them out")]
    TwoLevels(String),
    /// `format` is for the simple form.
    #[error("format is for a log without appenders; with them, each has a `layout`")]
    Format,
    /// A category's name that no target has.
    #[error("categories.{0} is not the name of a category: those are names with dots between them")]
    CategoryName(String),
    /// A number out of its range.
    #[error("{key} is {value}: it must be from {least} to {most}")]
    Range {
        /// The key.
        key: String,
        /// What it is.
        value: u64,
        /// The least that it may be.
        least: u64,
        /// The most that it may be.
        most: u64,
    },
    /// A name of a file that is none.
    #[error("appenders.{0}.{1}")]
    File(String, &'static str),
    /// A date in names of files.
    #[error("appenders.{0}.pattern: {1}")]
    Date(String, #[source] DateError),
    /// A pattern of a layout.
    #[error("appenders.{0}.layout.pattern: {1}")]
    Pattern(String, #[source] PatternError),
    /// Levels in an order in which no event passes.
    #[error("appenders.{0}.level is above its max_level")]
    Levels(String),
    /// Two appenders that would write into one file.
    #[error("appenders.{0} writes to the file of appenders.{1}")]
    SameFile(String, String),
}
