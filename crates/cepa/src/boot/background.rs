//! What an app does beside requests: schedules.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cepa_cluster::{
    Schedule,
    schedule::{Drive, Outcome, ScheduleError, Scheduler, Task},
};
use cepa_core::{Onion, Result};
use serde::Deserialize;
use tokio::{
    sync::watch,
    task::{JoinHandle, spawn_local},
};

use super::Boot;
use crate::{ConfigError, config::Config};

/// What is to be done beside requests, until it begins.
pub(crate) struct Background {
    scheduler: Scheduler,
    names: Vec<String>,
}

/// What the configuration says of a schedule.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Written {
    enable: Option<bool>,
    cron: Option<String>,
    every: Option<Interval>,
    zone: Option<String>,
}

#[derive(Deserialize)]
#[serde(transparent)]
struct Interval(#[serde(with = "cepa_server::limits::units::duration")] Duration);

impl Boot {
    /// Runs code at times, see [`Schedule`].
    ///
    /// ```
    /// use cepa::{Schedule, prelude::*};
    ///
    /// fn app(boot: &mut Boot) -> Result<App> {
    ///     boot.schedule("clean", Schedule::cron("0 3 * * *")?.zone("Europe/Berlin")?, async |job: &mut JobCtx| {
    ///         job.blocking(|| std::fs::remove_file("/tmp/old")).await?;
    ///         Ok(())
    ///     })?;
    ///     Ok(App::new())
    /// }
    /// # app(&mut Boot::load("test")?)?;
    /// # Ok::<(), cepa::Error>(())
    /// ```
    ///
    /// The configuration may say otherwise: `[schedules.clean]` with `enable`, `cron`, `every` or `zone`. What ran, and
    /// when it is due, is in [`Schedules`](cepa_cluster::schedule::Schedules), which all requests are provided with.
    ///
    /// # Errors
    /// A name that is none, or is taken; a configuration that is none.
    #[track_caller]
    pub fn schedule(&mut self, name: &str, schedule: Schedule, task: impl Task) -> Result {
        let mut all: BTreeMap<String, Written> = self.config.section("schedules")?;
        let schedule = all.remove(name).unwrap_or_default().over(schedule)?;
        self.background.scheduler.add(name, schedule, task)?;
        self.background.names.push(name.to_owned());
        Ok(())
    }
}

impl Written {
    fn over(self, mut schedule: Schedule) -> Result<Schedule, ScheduleError> {
        if let Some(pattern) = self.cron {
            schedule = schedule.when(Schedule::cron(&pattern)?);
        }
        if let Some(Interval(time)) = self.every {
            schedule = schedule.when(Schedule::every(time)?);
        }
        if let Some(zone) = self.zone {
            schedule = schedule.zone(&zone)?;
        }
        Ok(match self.enable {
            Some(enabled) => schedule.enabled(enabled),
            None => schedule,
        })
    }
}

impl Background {
    pub(super) fn new(env: &str) -> Self {
        Self { scheduler: Scheduler::new(env), names: Vec::new() }
    }

    /// Checks that the configuration speaks of nothing else.
    pub(super) fn check(&self, config: &Config) -> Result<(), ConfigError> {
        config.check_names("schedules", "schedule", self.names.iter().map(String::as_str))
    }

    /// Provides what requests may ask.
    pub(super) fn provide(boot: &mut Boot) {
        boot.provide(boot.background.scheduler.schedules());
    }

    /// Runs a schedule once.
    pub(super) async fn run(&self, name: &str, onion: &Arc<Onion>) -> Result<Outcome, ScheduleError> {
        self.scheduler.run(name, onion).await
    }

    /// Begins, on this thread.
    pub(super) fn begin(self, onion: &Arc<Onion>, grace: Duration) -> Begun {
        let (ending, told) = watch::channel(false);
        let drive = Drive { machine: None, started: SystemTime::now(), grace };
        let driver = spawn_local(self.scheduler.drive(Arc::clone(onion), drive, told));
        Begun { ending, driver }
    }
}

/// What is done beside requests.
pub(super) struct Begun {
    ending: watch::Sender<bool>,
    driver: JoinHandle<()>,
}

impl Begun {
    /// Begins nothing more.
    pub(super) fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Waits until what had begun is over.
    pub(super) async fn ended(self) {
        self.end();
        if let Err(error) = self.driver.await {
            tracing::error!(target: "cepa", "schedules have failed: {error}");
        }
    }
}
