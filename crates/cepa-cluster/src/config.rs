//! How a cluster is to be: the section `cluster` of the configuration.

use std::{path::PathBuf, time::Duration};

use cepa_core::units::{duration, size};
use cepa_server::listen::FileMode;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// The most workers of a cluster.
pub(crate) const MOST_WORKERS: u32 = 1024;

/// How a cluster is to be.
///
/// Times count in whole seconds, rounded up. Deserialising checks the ranges; after changing fields in code, call
/// [`check`](Self::check).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(remote = "Self", default, deny_unknown_fields)]
pub struct ClusterConfig {
    /// Worker processes, default 0: one for each processor. Each has `server.workers` threads, in a cluster 1 if that
    /// is 0.
    pub workers: u32,
    /// The folder of the pid file, the control socket and the socket of the agent, default `run` below the folder that
    /// the program works in. It is made if it is not there.
    pub run_dir: PathBuf,
    /// Time that a process gets to become ready, default 60 s, 0 = any: it is killed, and with it the start or the
    /// reload that it was part of.
    #[serde(with = "duration")]
    pub ready_timeout: Duration,
    /// Time for which the event loop of a worker thread may stand still, default 10 s, 0 = any: the worker is killed
    /// and replaced.
    #[serde(with = "duration")]
    pub beat_timeout: Duration,
    /// Time that a process gets to end beyond `server.limits.drain`, `lifecycle.background` and `lifecycle.close`, default
    /// 5 s: it is killed.
    #[serde(with = "duration")]
    pub kill_after: Duration,
    /// Processes that may end by themselves within `refork_window` and be replaced, default 60: with one more the
    /// cluster stops.
    pub reforks: u32,
    /// The time over which `reforks` is counted, default 60 s.
    #[serde(with = "duration")]
    pub refork_window: Duration,
    /// Time before another try to replace a process whose replacement did not become ready, default 1 s; twice as long
    /// each time, up to `retry_most`.
    #[serde(with = "duration")]
    pub retry: Duration,
    /// The longest time between two tries, default 30 s.
    #[serde(with = "duration")]
    pub retry_most: Duration,
    /// Whether a worker that leaves hands over connections that wait, in a stream of events, a long poll or a WebSocket, to
    /// the one that takes its place: the program there goes on with them, and their clients see nothing. Default true; where
    /// it is false, or a connection is one that cannot move, streams are told when to come back, polls are answered and
    /// WebSockets closed with 1001.
    pub hand_over: bool,
    /// When workers are replaced because they have done enough, one after the other.
    pub recycle: Recycle,
    /// The user that everything runs as once the sockets are bound, a name or a number, default none: nothing is
    /// changed. The program must be started by root then.
    pub user: Option<String>,
    /// The group, a name or a number, default that of the user.
    pub group: Option<String>,
    /// The permissions that no new file gets, such as `"0027"`, default none: those of whoever starts the program.
    pub umask: Option<FileMode>,
    /// The variables of the environment that the agent and the workers get, default none: all. Those that begin with
    /// `CEPA_` they get in any case, because they are configuration.
    pub env: Option<Vec<String>>,
}

/// When a worker is replaced although nothing is wrong with it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recycle {
    /// Requests that it has begun, default 0: any number.
    pub requests: u64,
    /// Time since it was started, default 0: any.
    #[serde(with = "duration")]
    pub age: Duration,
    /// Bytes of its resident memory, default 0: any.
    #[serde(with = "size")]
    pub memory: u64,
}

impl Default for ClusterConfig {
    fn default() -> Self {
        Self {
            workers: 0,
            run_dir: "run".into(),
            ready_timeout: Duration::from_secs(60),
            beat_timeout: Duration::from_secs(10),
            kill_after: Duration::from_secs(5),
            reforks: 60,
            refork_window: Duration::from_secs(60),
            retry: Duration::from_secs(1),
            retry_most: Duration::from_secs(30),
            hand_over: true,
            recycle: Recycle::default(),
            user: None,
            group: None,
            umask: None,
            env: None,
        }
    }
}

/// A key of the section whose value cannot be kept.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {fault}")]
pub struct ClusterConfigError {
    /// The key.
    pub field: &'static str,
    /// What is wrong with it.
    pub fault: String,
}

impl ClusterConfig {
    /// Checks that everything is within the range that the master can keep.
    ///
    /// # Errors
    /// The first key that is not.
    pub fn check(&self) -> Result<(), ClusterConfigError> {
        let refuse = |field, fault: &str| Err(ClusterConfigError { field, fault: fault.to_owned() });
        if self.workers > MOST_WORKERS {
            return refuse("workers", &format!("is {}: it must be from 0 to {MOST_WORKERS}", self.workers));
        }
        if self.run_dir.as_os_str().is_empty() {
            return refuse("run_dir", "is empty: name a folder");
        }
        for (field, time) in [
            ("kill_after", self.kill_after),
            ("refork_window", self.refork_window),
            ("retry", self.retry),
            ("retry_most", self.retry_most),
        ] {
            if time.is_zero() {
                return refuse(field, "is 0: it must be longer");
            }
        }
        // A worker says once a second that it is alive.
        if !self.beat_timeout.is_zero() && self.beat_timeout < Duration::from_secs(2) {
            return refuse(
                "beat_timeout",
                "is shorter than 2 s, within which a worker that is well may say nothing",
            );
        }
        Ok(())
    }
}

impl<'de> Deserialize<'de> for ClusterConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // The derived function: `remote = "Self"` makes it an inherent one and leaves the trait to us.
        let config = Self::deserialize(deserializer)?;
        config.check().map_err(D::Error::custom)?;
        Ok(config)
    }
}

impl Serialize for ClusterConfig {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_of_a_default_is_deliberate() {
        let text = toml::to_string(&ClusterConfig::default()).unwrap();
        assert_eq!(
            text,
            r#"workers = 0
run_dir = "run"
ready_timeout = "1m"
beat_timeout = "10s"
kill_after = "5s"
reforks = 60
refork_window = "1m"
retry = "1s"
retry_most = "30s"
hand_over = true

[recycle]
requests = 0
age = "0s"
memory = "0"
"#
        );
        assert_eq!(toml::from_str::<ClusterConfig>(&text).unwrap(), ClusterConfig::default());
    }

    #[test]
    fn what_cannot_be_kept_is_refused_with_its_name() {
        for (text, fault) in [
            ("workers = 5000", "workers is 5000: it must be from 0 to 1024"),
            ("run_dir = ''", "run_dir is empty"),
            ("kill_after = '0s'", "kill_after is 0"),
            ("beat_timeout = '1s'", "beat_timeout is shorter than 2 s"),
            ("umask = 27", "permissions in octal"),
            ("worker = 1", "unknown field `worker`"),
            ("[recycle]\nage = 1", "write \"1s\""),
        ] {
            let error = toml::from_str::<ClusterConfig>(text).unwrap_err().to_string();
            assert!(error.contains(fault), "{text}: {error}");
        }
    }
}
