//! Schedules: code of the app that runs at times instead of requests.
//!
//! In reading order: a [`Schedule`] says when and where; a [`Task`] is what runs; a [`Scheduler`] collects both and becomes
//! the clock; [`Schedules`] is how others see what ran, and run something by hand. [`uri`] is a task that calls the app.

mod board;
mod claim;
mod driver;
mod run;
mod task;
mod when;

use std::{fmt, time::Duration};

use jiff::tz::TimeZone;

use self::when::When;
pub use self::{
    board::{Outcome, RunRecord, ScheduleInfo, Schedules},
    driver::{Drive, Scheduler},
    task::{Task, Uri, uri},
};

/// When something runs, and where.
///
/// ```
/// # use std::time::Duration;
/// # use cepa_cluster::Schedule;
/// // Every night at three, in Berlin, on one machine of all.
/// let nightly = Schedule::cron("0 3 * * *")?.zone("Europe/Berlin")?.cluster();
/// // Every ten minutes, at a moment of its own within the first.
/// let often = Schedule::every(Duration::from_secs(600))?.jitter(Duration::from_secs(60));
/// # Ok::<(), cepa_cluster::schedule::ScheduleError>(())
/// ```
///
/// - It does not overlap with itself, unless it [may](Self::overlapping): what is due while the run before is under way
///   is left out, and the run log says so.
/// - What was due while the process did not run, or the machine slept, is not made up for: at most one run follows.
/// - A run has an hour ([`timeout`](Self::timeout)), then it is dropped where it waits.
#[derive(Clone, Debug)]
pub struct Schedule {
    when: When,
    kind: Kind,
    immediate: bool,
    jitter: Duration,
    overlapping: bool,
    timeout: Duration,
    enabled: bool,
    environments: Vec<String>,
}

/// Who runs a schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// One worker of the machine.
    #[default]
    One,
    /// All workers of the machine.
    All,
    /// One worker of all machines that have a bus in common.
    Cluster,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::One => "one",
            Self::All => "all",
            Self::Cluster => "cluster",
        })
    }
}

/// Why there is no such schedule, or it does not run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The pattern is none.
    #[error("{pattern:?} is no cron pattern of 5 fields, or 6 with seconds in front: {why}")]
    Cron {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        why: String,
    },
    /// The interval is too short, or too long.
    #[error("{0:?} is no interval: it is at least 100ms and at most some centuries")]
    Every(Duration),
    /// There is no such time zone on this machine.
    #[error("there is no time zone {0:?} on this machine; they are named like Europe/Berlin")]
    Zone(String),
    /// A name that none can have.
    #[error("a name has 1 to 64 letters, digits, \"-\", \"_\" and \".\", which {0:?} has not")]
    Name(String),
    /// Two of one name.
    #[error("two are named `{0}`")]
    Twice(String),
    /// There is none of this name.
    #[error("there is no schedule `{0}`{1}")]
    Unknown(String, String),
    /// The clock does not run, or has too much to do.
    #[error("schedules do not run now")]
    Stopped,
}

impl Schedule {
    /// At the times of a cron pattern: minute, hour, day of the month, month, day of the week; with six fields the first
    /// is the second. `*`, `1-5`, `*/15`, `MON-FRI`, `L` for the last, `FRI#2` for the second Friday; `@daily` and the like.
    /// If both days are given, either will do.
    ///
    /// The time is that of the machine, unless a [`zone`](Self::zone) is given. Where clocks go forward, a time of day
    /// that is left out is due at the end of the gap; where they go back, one that comes twice is due the first time.
    /// What is due at intervals (`*/15`) goes on through both.
    ///
    /// # Errors
    /// What is no pattern, or has no time.
    pub fn cron(pattern: &str) -> Result<Self, ScheduleError> {
        When::cron(pattern).map(Self::new)
    }

    /// Again and again after this time, counted from 1970: restarting the process neither delays nor repeats a run, and
    /// all machines mean the same moments.
    ///
    /// # Errors
    /// Less than 100 ms.
    pub fn every(time: Duration) -> Result<Self, ScheduleError> {
        When::every(time).map(Self::new)
    }

    /// Once, when the app is ready.
    pub fn at_start() -> Self {
        Self::new(When::Never).immediate()
    }

    fn new(when: When) -> Self {
        Self {
            when,
            kind: Kind::One,
            immediate: false,
            jitter: Duration::ZERO,
            overlapping: false,
            timeout: Duration::from_secs(3600),
            enabled: true,
            environments: Vec::new(),
        }
    }

    /// The same with other times; those of `other` alone are taken.
    #[must_use]
    pub fn when(self, other: Self) -> Self {
        Self { when: other.when, ..self }
    }

    /// Takes the times of a cron pattern as those of this zone, such as `Europe/Berlin`.
    ///
    /// # Errors
    /// A zone that this machine does not know.
    pub fn zone(self, name: &str) -> Result<Self, ScheduleError> {
        let zone = TimeZone::get(name).map_err(|_| ScheduleError::Zone(name.chars().take(64).collect()))?;
        Ok(Self { when: self.when.at(zone), ..self })
    }

    /// Runs in one worker of each machine; the default.
    #[must_use]
    pub fn one(self) -> Self {
        Self { kind: Kind::One, ..self }
    }

    /// Runs in every worker.
    #[must_use]
    pub fn all(self) -> Self {
        Self { kind: Kind::All, ..self }
    }

    /// Runs in one worker of all machines whose apps have a bus in common: whoever is first at a time of the schedule
    /// takes it, and holds a lock meanwhile. The clocks of the machines should agree to within seconds.
    ///
    /// If the machine that runs it is lost, this run is lost, and the next can begin half a minute later; see
    /// [`JobCtx::fence`](crate::JobCtx::fence) for one that only seems to be lost.
    #[must_use]
    pub fn cluster(self) -> Self {
        Self { kind: Kind::Cluster, ..self }
    }

    /// Runs when the app is ready too.
    #[must_use]
    pub fn immediate(self) -> Self {
        Self { immediate: true, ..self }
    }

    /// Begins each run at random up to this much later, so that not all machines begin at once. Default 0.
    #[must_use]
    pub fn jitter(self, most: Duration) -> Self {
        Self { jitter: most, ..self }
    }

    /// Begins a run also while the one before is under way.
    #[must_use]
    pub fn overlapping(self) -> Self {
        Self { overlapping: true, ..self }
    }

    /// How long a run may take, default an hour; 0 for as long as it needs.
    #[must_use]
    pub fn timeout(self, most: Duration) -> Self {
        Self { timeout: most, ..self }
    }

    /// Whether it runs by itself; if not, by hand only. Default true.
    #[must_use]
    pub fn enabled(self, enabled: bool) -> Self {
        Self { enabled, ..self }
    }

    /// Runs by itself in these environments only; default all.
    #[must_use]
    pub fn environments(self, names: &[&str]) -> Self {
        Self { environments: names.iter().map(|&name| name.to_owned()).collect(), ..self }
    }

    fn is_on(&self, env: &str) -> bool {
        self.enabled && (self.environments.is_empty() || self.environments.iter().any(|name| name == env))
    }
}
