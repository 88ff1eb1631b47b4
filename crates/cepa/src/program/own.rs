//! What Cepa itself reads of the configuration, and the log that it begins by that.

use std::time::Duration;

use cepa_log::{Log, LogConfig, LogConfigError, LogError};
use cepa_server::ServerConfig;
use serde::Deserialize;
use tracing::dispatcher;

#[cfg(feature = "dev")]
use crate::dev;
use crate::{boot::Boot, config::ConfigError};

/// The sections that Cepa itself reads.
pub(crate) struct Own {
    pub(crate) log: SoundLog,
    pub(crate) server: ServerConfig,
    #[cfg(feature = "cluster")]
    pub(crate) cluster: cepa_cluster::ClusterConfig,
}

impl Own {
    pub(crate) fn of(boot: &Boot) -> Result<Self, ConfigError> {
        let settings = boot.settings();
        #[cfg(feature = "dev")]
        settings.section::<dev::DevConfig>("dev")?;
        Ok(Self {
            log: settings.section("log")?,
            server: settings.section("server")?,
            #[cfg(feature = "cluster")]
            cluster: settings.section("cluster")?,
        })
    }
}

/// A section `log` without a fault, so that a fault is told with its place.
#[derive(Deserialize)]
#[serde(try_from = "LogConfig")]
pub(crate) struct SoundLog(pub(crate) LogConfig);

impl TryFrom<LogConfig> for SoundLog {
    type Error = LogConfigError;

    fn try_from(config: LogConfig) -> Result<Self, LogConfigError> {
        config.check()?;
        Ok(Self(config))
    }
}

/// How long the end of the program waits for the last lines of the log: a terminal or a disk that hangs does not
/// keep it.
const LAST_LINES: Duration = Duration::from_secs(5);

/// The log of the program, which writes its last lines when it goes; `None` if the program logs elsewhere.
pub(crate) struct Logging(pub(crate) Option<Log>);

impl Logging {
    /// Begins to log. A subscriber that the program has set before stays.
    pub(crate) fn start(config: &LogConfig) -> Result<Self, LogError> {
        if dispatcher::has_been_set() {
            return Ok(Self(None));
        }
        let log = Log::start(config)?;
        let installed = log.install();
        Ok(Self(installed.is_ok().then_some(log)))
    }
}

impl Drop for Logging {
    fn drop(&mut self) {
        if let Some(log) = &self.0 {
            log.flush(LAST_LINES);
        }
    }
}
