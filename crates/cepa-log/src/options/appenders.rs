//! Appenders: where lines go.

use std::{fmt, time::Duration};

use cepa_core::units::{duration, size};
use serde::{Deserialize, Deserializer, de};

use crate::{layout::Layout, level::Level};

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Appender {
    /// Standard output; also called `console`.
    #[serde(alias = "console")]
    Stdout(Console),
    /// Standard error.
    Stderr(Console),
    /// A file that is rolled by size.
    File(File),
    /// A file that is rolled by date.
    DateFile(DateFile),
    /// A file for each category, level or value of a field.
    MultiFile(MultiFile),
    /// Events of some levels, for another appender.
    LogLevelFilter(LogLevelFilter),
    /// Events of all but some categories, for another appender.
    CategoryFilter(CategoryFilter),
    /// Events of which the message does not contain some text, for another appender.
    NoLogFilter(NoLogFilter),
}

/// Standard output or standard error.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Console {
    /// What a line looks like, default `text`, on a terminal in colour.
    pub layout: Layout,
}

/// A file that is rolled by size: `app.log`, and the old ones `app.log.1`, the newest, to `app.log.5`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct File {
    /// The path of the file; its folder is made.
    pub filename: String,
    /// The size from which on a line goes into a new file, such as `10 MiB`; default: never. The file may be larger
    /// by one line.
    #[serde(default, with = "optional_size")]
    pub max_log_size: Option<u64>,
    /// Old files that are kept, default 5. With 0 the file is emptied.
    #[serde(default = "five")]
    pub backups: u32,
    /// Whether old files are compressed: `app.log.1.gz`; default false.
    #[serde(default)]
    pub compress: bool,
    /// Whether the extension stays at the end: `app.1.log`; default false.
    #[serde(default)]
    pub keep_file_ext: bool,
    /// What stands before a number, default `.`.
    #[serde(default = "dot")]
    pub file_name_sep: String,
    /// The permissions of new files, default `"0600"`.
    #[serde(default)]
    pub mode: Mode,
    /// What a line looks like, default `text`.
    #[serde(default)]
    pub layout: Layout,
}

/// A file that is rolled by date: `app.log`, and the old ones `app.log.2026-11-20`, each with the date of the lines
/// that are in it. It is rolled by the first line of a new date.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DateFile {
    /// The path of the file; its folder is made.
    pub filename: String,
    /// How dates are written, and with that how often a file is rolled: default `yyyy-MM-dd`, daily;
    /// `yyyy-MM-dd-hh` is hourly.
    #[serde(default = "daily")]
    pub pattern: String,
    /// Whether the live file too has its date in its name; default false.
    #[serde(default)]
    pub always_include_pattern: bool,
    /// The size from which on a line goes into a new file of the same date, such as `10 MiB`; default: never. Old
    /// files then have numbers: `app.log.2026-11-20.1` is the newest of that date.
    #[serde(default, with = "optional_size")]
    pub max_log_size: Option<u64>,
    /// Old files that are kept, default 1.
    #[serde(default = "one")]
    pub num_backups: u32,
    /// Days after which old files are deleted, of those that are kept; default: never.
    #[serde(default)]
    pub max_days: Option<u32>,
    /// Whether old files are compressed: `app.log.2026-11-20.gz`; default false.
    #[serde(default)]
    pub compress: bool,
    /// Whether the extension stays at the end: `app.2026-11-20.log`; default false.
    #[serde(default)]
    pub keep_file_ext: bool,
    /// What stands before a date and a number, default `.`.
    #[serde(default = "dot")]
    pub file_name_sep: String,
    /// The permissions of new files, default `"0600"`.
    #[serde(default)]
    pub mode: Mode,
    /// What a line looks like, default `text`.
    #[serde(default)]
    pub layout: Layout,
}

/// A file for each value of a property, each rolled by size. Events without it are not written.
///
/// A value that clients choose makes no file outside of the folder, and no more than `max_files`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultiFile {
    /// The folder of the files; it is made.
    pub base: String,
    /// What chooses the file: `category`, `level`, or the name of a field of the event or of a span that it is in.
    pub property: String,
    /// What the names of the files end in, default `.log`.
    #[serde(default = "log")]
    pub extension: String,
    /// Files that are made, from 1 to 100000, default 1000; what would go to one more goes to `~other`. It is
    /// counted from each start on.
    #[serde(default = "thousand")]
    pub max_files: u32,
    /// How long a file stays open that nobody writes to, default `1m`.
    #[serde(default = "minute", with = "duration")]
    pub timeout: Duration,
    /// The size from which on a line goes into a new file, such as `10 MiB`; default: never.
    #[serde(default, with = "optional_size")]
    pub max_log_size: Option<u64>,
    /// Old files that are kept of each, default 5.
    #[serde(default = "five")]
    pub backups: u32,
    /// Whether old files are compressed: `tj.log.1.gz`; default false.
    #[serde(default)]
    pub compress: bool,
    /// The permissions of new files, default `"0600"`.
    #[serde(default)]
    pub mode: Mode,
    /// What a line looks like, default `text`.
    #[serde(default)]
    pub layout: Layout,
}

/// Events of some levels, for another appender.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogLevelFilter {
    /// The name of the other appender.
    pub appender: String,
    /// The least level that passes.
    pub level: Level,
    /// The highest level that passes, default `fatal`.
    #[serde(default = "highest")]
    pub max_level: Level,
}

/// Events of all but some categories, for another appender.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CategoryFilter {
    /// The name of the other appender.
    pub appender: String,
    /// The categories that do not pass, with all below them.
    pub exclude: Vec<String>,
}

/// Events of which the message does not contain some text, for another appender. Texts, not patterns: a message
/// that a client has a part in cannot make the filter slow.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NoLogFilter {
    /// The name of the other appender.
    pub appender: String,
    /// The texts with which a message does not pass.
    pub exclude: Vec<String>,
}

/// Permissions, in octal, as text: `"0600"`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Mode(pub(crate) u32);

impl Default for Mode {
    /// For the owner alone.
    fn default() -> Self {
        Self(0o600)
    }
}

impl fmt::Debug for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Mode({:04o})", self.0)
    }
}

impl<'de> Deserialize<'de> for Mode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Octal;

        impl de::Visitor<'_> for Octal {
            type Value = Mode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                // Not a number: in decimal, 440 would be rw-rwx---.
                f.write_str("permissions in octal, as text: \"0600\"")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Mode, E> {
                let octal =
                    (3..=4).contains(&text.len()) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
                let bits = u32::from_str_radix(text, 8).ok().filter(|&bits| octal && bits <= 0o777);
                bits.map(Mode).ok_or_else(|| E::invalid_value(de::Unexpected::Str(text), &self))
            }
        }
        deserializer.deserialize_str(Octal)
    }
}

/// A size that may be left out.
mod optional_size {
    use super::{Deserializer, size};

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<u64>, D::Error> {
        size::deserialize(deserializer).map(Some)
    }
}

fn five() -> u32 {
    5
}

fn one() -> u32 {
    1
}

fn thousand() -> u32 {
    1000
}

fn dot() -> String {
    ".".to_owned()
}

fn log() -> String {
    ".log".to_owned()
}

fn daily() -> String {
    "yyyy-MM-dd".to_owned()
}

fn minute() -> Duration {
    Duration::from_secs(60)
}

fn highest() -> Level {
    Level::Fatal
}
