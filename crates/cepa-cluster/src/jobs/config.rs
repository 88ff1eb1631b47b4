//! How jobs are kept and run: the section `jobs` of the configuration, and the options of a kind.

use std::{collections::BTreeMap, fmt, path::PathBuf, time::Duration};

use cepa_core::units::{duration, size};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

/// Where jobs are kept, and how much.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobsConfig {
    /// What keeps jobs: `file`, the default, or a Redis server, `redis://[user][:password@]host[:port][/database]`, for
    /// workers on many machines.
    pub store: JobStore,
    /// The file of the jobs, default `data/jobs.redb`; it is made, with its folder, when the app has jobs. In a cluster the
    /// agent has it.
    pub path: PathBuf,
    /// What keys in Redis begin with, default `cepa:jobs:`; apps that share a database need one each.
    pub prefix: String,
    /// Jobs that are not done, dead ones too, default 1,000,000: adding more fails.
    pub most: u64,
    /// Bytes of what one job is given, as JSON, default 256 KiB, at most 4 MiB: adding a larger one fails.
    #[serde(with = "size")]
    pub payload: usize,
    /// How long a job stays with a worker that gives no sign of life, default `"60s"`, at least `"3s"`; then it is
    /// another's. The jobs of a process that has ended are others' at once, but for Redis, which does not see that.
    #[serde(with = "duration")]
    pub lease: Duration,
    /// What is different for some kinds, by their names.
    pub kinds: BTreeMap<String, JobKindConfig>,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            store: JobStore::File,
            path: PathBuf::from("data/jobs.redb"),
            prefix: "cepa:jobs:".to_owned(),
            most: 1_000_000,
            payload: 256 << 10,
            lease: Duration::from_secs(60),
            kinds: BTreeMap::new(),
        }
    }
}

/// What keeps jobs.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum JobStore {
    /// A file; in a cluster it is the agent's.
    #[default]
    File,
    /// The Redis server of this address, which may have a password.
    Redis(String),
}

impl Serialize for JobStore {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Self::File => "file",
            Self::Redis(url) => url,
        })
    }
}

impl<'de> Deserialize<'de> for JobStore {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.split(':').next() {
            Some("file") if text == "file" => Ok(Self::File),
            Some("redis" | "redis+unix" | "unix") => Ok(Self::Redis(text)),
            // The text may have a password.
            _ => Err(D::Error::custom("jobs are kept in \"file\", or in Redis: \"redis://host:6379\"")),
        }
    }
}

/// Without what may be secret.
impl fmt::Debug for JobStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::File => "File",
            Self::Redis(_) => "Redis",
        })
    }
}

/// What is different for the jobs of a kind; what is left out is as the app says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobKindConfig {
    /// Whether they are run; if not, they wait.
    pub enable: Option<bool>,
    /// How many are run at once.
    pub concurrency: Option<usize>,
    /// How often one is tried.
    pub attempts: Option<u32>,
}

/// How the jobs of a kind are run.
///
/// ```
/// # use std::time::Duration;
/// # use cepa_cluster::jobs::JobOptions;
/// let options = JobOptions { concurrency: 2, timeout: Duration::from_secs(30), ..JobOptions::default() };
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JobOptions {
    /// Whether they are run; if not, they wait. Default true.
    pub enabled: bool,
    /// How many are run at once in a process, default 4.
    pub concurrency: usize,
    /// How often one is tried before it is dead, default 10.
    pub attempts: u32,
    /// How long an attempt may take, default 10 minutes; it is dropped where it waits then, and has failed. 0 for as long
    /// as it needs.
    pub timeout: Duration,
    /// The time until the second attempt, default 5 s. It doubles with each, and up to half of it is taken off at random.
    pub backoff: Duration,
    /// The longest time until another attempt, default an hour.
    pub longest_backoff: Duration,
}

impl Default for JobOptions {
    fn default() -> Self {
        Self {
            enabled: true,
            concurrency: 4,
            attempts: 10,
            timeout: Duration::from_secs(600),
            backoff: Duration::from_secs(5),
            longest_backoff: Duration::from_secs(3600),
        }
    }
}

impl JobOptions {
    pub(super) fn with(self, config: &JobKindConfig) -> Self {
        Self {
            enabled: config.enable.unwrap_or(self.enabled),
            concurrency: config.concurrency.unwrap_or(self.concurrency).clamp(1, 10_000),
            attempts: config.attempts.unwrap_or(self.attempts).max(1),
            ..self
        }
    }

    /// How long a job waits after an attempt; `random` is spread over all its values.
    pub(super) fn wait(&self, attempt: u32, random: u64) -> Duration {
        let doubled = 1u32.checked_shl(attempt.saturating_sub(1)).unwrap_or(u32::MAX);
        let wait = self.backoff.saturating_mul(doubled).min(self.longest_backoff);
        let nanos = u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX);
        let less = (u128::from(random) * u128::from(nanos / 2)) >> 64;
        Duration::from_nanos(nanos.saturating_sub(u64::try_from(less).unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_wait_is_longer_up_to_the_longest() {
        let options = JobOptions::default();
        let seconds = |attempt, random| options.wait(attempt, random).as_secs_f64();
        for (attempt, most) in
            [(1, 5.0), (2, 10.0), (3, 20.0), (10, 2560.0), (11, 3600.0), (40, 3600.0), (u32::MAX, 3600.0)]
        {
            assert!((seconds(attempt, 0) - most).abs() < 1e-6, "{attempt}");
            assert!((seconds(attempt, u64::MAX) - most / 2.0).abs() < 1e-3, "{attempt}");
        }
        let endless = JobOptions { backoff: Duration::MAX, longest_backoff: Duration::MAX, ..options };
        assert!(endless.wait(9, 7) > Duration::from_secs(1 << 30));
    }

    #[test]
    fn a_store_is_one_word_or_an_address_and_no_secret_is_shown() {
        let read = |text: &str| {
            toml::from_str::<JobsConfig>(&format!("store = {text:?}")).map(|config| config.store)
        };
        assert_eq!(read("file"), Ok(JobStore::File));
        for url in ["redis://a:secret@host/1", "unix:///run/redis?pass=secret"] {
            assert_eq!(read(url), Ok(JobStore::Redis(url.to_owned())));
            assert_eq!(format!("{:?}", read(url).unwrap()), "Redis");
        }
        for text in ["", "file:x", "http://secret", "memory"] {
            let error = read(text).unwrap_err().message().to_owned();
            assert!(error.contains("jobs are kept in") && !error.contains("secret"), "{text}: {error}");
        }
    }

    #[test]
    fn the_configuration_has_the_last_word_and_no_nonsense() {
        let config = JobKindConfig { concurrency: Some(0), attempts: Some(0), enable: Some(false) };
        let options = JobOptions::default().with(&config);
        assert_eq!((options.enabled, options.concurrency, options.attempts), (false, 1, 1));
    }
}
