//! What an app does beside requests: schedules and jobs.

use std::{
    collections::BTreeMap,
    mem,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cepa_bus::Bus;
use cepa_cluster::{
    JobOptions, Jobs, Schedule,
    jobs::{JobHandler, JobRunner, JobsConfig, JobsError},
    schedule::{Drive, Outcome, ScheduleError, Scheduler, Schedules, Task},
};
use cepa_core::{Onion, Result};
use serde::{Deserialize, de::DeserializeOwned};
use tokio::{sync::watch, task::JoinSet};

use super::{Boot, LifecycleError};
use crate::{ConfigError, config::Config};

/// What is to be done beside requests, until it begins.
pub(crate) struct Background {
    scheduler: Option<Scheduler>,
    schedules: Schedules,
    names: Vec<String>,
    runner: JobRunner,
    /// There once the file is open.
    jobs: Option<Jobs>,
    /// What the workers of the machine have in common, where this is one of several, and when they were started.
    pub(crate) machine: Option<(Bus, SystemTime)>,
    /// The bus of the agent that keeps the file of the jobs, where this is one of several processes.
    pub(crate) agent: Option<Bus>,
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
    /// when it is due, is in [their list](cepa_cluster::schedule::Schedules), which all requests are provided with.
    ///
    /// # Errors
    /// A name that is none, or is taken; a configuration that is none.
    #[track_caller]
    pub fn schedule(&mut self, name: &str, schedule: Schedule, task: impl Task) -> Result {
        let mut all: BTreeMap<String, Written> = self.config.section("schedules")?;
        let schedule = all.remove(name).unwrap_or_default().over(schedule)?;
        if let Some(scheduler) = &mut self.background.scheduler {
            scheduler.add(name, schedule, task)?;
            self.background.names.push(name.to_owned());
        }
        Ok(())
    }

    /// Says what does jobs of a kind: work that is written down, and done whatever happens to the process.
    ///
    /// ```
    /// use cepa::prelude::*;
    ///
    /// #[derive(serde::Serialize, serde::Deserialize)]
    /// struct Mail {
    ///     to: String,
    /// }
    ///
    /// async fn send(job: &mut JobCtx, mail: Mail) -> Result {
    ///     // ..
    /// #   let _ = (job, mail);
    ///     Ok(())
    /// }
    ///
    /// fn app(boot: &mut Boot) -> Result<App> {
    ///     boot.job("mail", JobOptions::default(), send)?;
    ///     Ok(App::new().post("/order", async |ctx: &mut Ctx| -> Result<&'static str> {
    ///         let mail = Mail { to: ctx.text().await? };
    ///         ctx.provided::<Jobs>()?.add("mail", &mail).await?;
    ///         Ok("thank you")
    ///     }))
    /// }
    /// # app(&mut Boot::load("test")?)?;
    /// # Ok::<(), cepa::Error>(())
    /// ```
    ///
    /// The section `jobs` of the configuration says where they are kept, and may change the options of a kind. The file
    /// is opened once everything has [loaded](crate::Plugin::did_load); from then on all are provided with [`Jobs`].
    ///
    /// # Errors
    /// A name that is none, or is taken.
    #[track_caller]
    pub fn job<T>(&mut self, kind: &str, options: JobOptions, handler: impl JobHandler<T>) -> Result
    where
        T: DeserializeOwned + 'static,
    {
        Ok(self.background.runner.add(kind, options, handler)?)
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
        let scheduler = Scheduler::new(env);
        let (schedules, runner) = (scheduler.schedules(), JobRunner::new());
        Self {
            scheduler: Some(scheduler),
            schedules,
            names: Vec::new(),
            runner,
            jobs: None,
            machine: None,
            agent: None,
        }
    }

    /// Checks that the configuration speaks of nothing else.
    pub(super) fn check(&self, config: &Config) -> Result<(), ConfigError> {
        config.check_names("schedules", "schedule", self.names.iter().map(String::as_str))?;
        config.section::<JobsConfig>("jobs")?;
        config.check_names("jobs.kinds", "kind", self.runner.kinds())
    }

    /// Opens the jobs, if there are any, and provides what requests may ask.
    pub(super) async fn open(boot: &mut Boot) -> Result<(), LifecycleError> {
        boot.provide(boot.background.schedules.clone());
        if boot.background.runner.kinds().next().is_some() {
            let config: JobsConfig = boot.config.section("jobs")?;
            let Self { runner, agent, .. } = &mut boot.background;
            let jobs = runner.open(&config, agent.as_ref()).await?;
            boot.background.jobs = Some(jobs.clone());
            boot.provide(jobs);
        }
        Ok(())
    }

    /// Runs a schedule once.
    pub(crate) async fn run_schedule(
        &self,
        name: &str,
        onion: &Arc<Onion>,
    ) -> Result<Outcome, ScheduleError> {
        match &self.scheduler {
            Some(scheduler) => scheduler.run(name, onion).await,
            None => self.schedules.run(name).await,
        }
    }

    /// Does the jobs that are due.
    pub(super) async fn run_jobs(&self, onion: &Arc<Onion>) -> Result<usize, JobsError> {
        match &self.jobs {
            Some(jobs) => self.runner.run_due(jobs, onion).await,
            None => Ok(0),
        }
    }

    /// Begins, on this thread.
    pub(super) fn begin(&mut self, onion: &Arc<Onion>, grace: Duration) -> Begun {
        let (ending, told) = watch::channel(false);
        let mut tasks = JoinSet::new();
        if let Some(scheduler) = self.scheduler.take() {
            let (machine, started) = self.machine.take().unzip();
            let drive = Drive { machine, started: started.unwrap_or_else(SystemTime::now), grace };
            tasks.spawn_local(scheduler.drive(Arc::clone(onion), drive, told.clone()));
        }
        if let Some(jobs) = self.jobs.clone() {
            let runner = mem::take(&mut self.runner);
            tasks.spawn_local(runner.drive(jobs, Arc::clone(onion), told, grace));
        }
        Begun { ending, tasks }
    }

    /// Lets go of the file.
    pub(super) async fn close(&self) {
        if let Some(jobs) = &self.jobs {
            jobs.close().await;
        }
    }
}

/// What is done beside requests.
pub(super) struct Begun {
    ending: watch::Sender<bool>,
    tasks: JoinSet<()>,
}

impl Begun {
    /// Begins nothing more.
    pub(super) fn end(&self) {
        self.ending.send_replace(true);
    }

    /// Waits until what had begun is over.
    pub(super) async fn ended(mut self) {
        self.end();
        while let Some(ended) = self.tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!(target: "cepa", "schedules or jobs have failed: {error}");
            }
        }
    }
}
