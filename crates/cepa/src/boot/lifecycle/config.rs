//! The section `lifecycle` of the configuration.

use std::time::Duration;

use cepa_server::limits::units;
use serde::{Deserialize, Serialize};

/// How long hooks may take.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LifecycleConfig {
    /// After this time a hook that is still at work is named in the log, default `"10s"`; 0 for never.
    #[serde(with = "units::duration")]
    pub slow: Duration,
    /// How long schedules and jobs under way have to finish after the last request, default `"10s"`. What is left then
    /// is dropped where it waits.
    #[serde(with = "units::duration")]
    pub background: Duration,
    /// How long all hooks of `before_close` together may take, default `"10s"`; 0 for as long as they need. What is
    /// left then is given up, with a line in the log.
    #[serde(with = "units::duration")]
    pub close: Duration,
}

impl LifecycleConfig {
    /// How long a program may take to end once it has served its last request; `None` is any time.
    #[cfg(feature = "cluster")]
    pub(crate) fn last(&self) -> Option<Duration> {
        (!self.close.is_zero()).then(|| self.close.saturating_add(self.background))
    }
}

impl Default for LifecycleConfig {
    fn default() -> Self {
        Self {
            slow: Duration::from_secs(10),
            background: Duration::from_secs(10),
            close: Duration::from_secs(10),
        }
    }
}
