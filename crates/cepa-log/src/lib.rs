//! The log: what `tracing` tells, written to files and consoles as log4js does it.
//!
//! The way of an event: `collect` takes it from `tracing` as a `record`, `category` says which appenders get it,
//! the filters of a `plan` what they let pass, a `layout` makes a line of it, a `queue` hands that to the thread of its
//! `writer`, which asks `roll` what to do with the files. The `options` are the section `log` of the
//! configuration; a `plan` is what they mean.
//!
//! ```no_run
//! use cepa_log::{Log, LogConfig};
//!
//! let config: LogConfig = toml::from_str("level = 'info,my_app=debug'")?;
//! let log = Log::start(&config)?;
//! log.install()?;
//! tracing::info!(port = 3000, "listening");
//! log.flush(std::time::Duration::from_secs(5));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod category;
mod collect;
mod date;
mod layout;
mod level;
mod log;
pub mod options;
mod plan;
mod queue;
mod record;
mod roll;
mod shared;
#[cfg(test)]
mod test;
mod time;
mod writer;

// For the macros.
#[doc(hidden)]
pub use tracing;

pub use self::{
    date::DateError,
    layout::{Layout, PatternError},
    level::{Level, LevelError},
    log::{AlreadyLogging, Log, LogError},
    options::{LogConfig, LogConfigError},
    time::{Zone, ZoneError},
};

/// Logs an event of the level [`Fatal`](Level::Fatal): what ends the program.
///
/// It takes what `tracing::error!` takes, which it is for other subscribers, with a field `severity`.
///
/// ```
/// cepa_log::fatal!(path = "app.db", "the store is damaged");
/// cepa_log::fatal!(target: "app::store", "damaged");
/// ```
#[macro_export]
macro_rules! fatal {
    (target: $target:expr, $($rest:tt)+) => {
        $crate::tracing::error!(target: $target, severity = "fatal", $($rest)+)
    };
    ($($rest:tt)+) => { $crate::tracing::error!(severity = "fatal", $($rest)+) };
}

/// Logs an event of the level [`Mark`](Level::Mark), which is logged at every level but `off`.
///
/// It takes what `tracing::error!` takes, which it is for other subscribers, with a field `severity`.
///
/// ```
/// cepa_log::mark!(version = "1.2.0", "deployed");
/// ```
#[macro_export]
macro_rules! mark {
    (target: $target:expr, $($rest:tt)+) => {
        $crate::tracing::error!(target: $target, severity = "mark", $($rest)+)
    };
    ($($rest:tt)+) => { $crate::tracing::error!(severity = "mark", $($rest)+) };
}
