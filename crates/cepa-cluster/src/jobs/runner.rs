//! Takes jobs and runs them: as many of each kind as may be at once, as long as its leases are held.

mod at_work;
mod attempt;

use std::{
    collections::BTreeMap,
    fmt,
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cepa_bus::Bus;
use cepa_core::Onion;
use serde::de::DeserializeOwned;
use tokio::{sync::watch, time::sleep};
use tracing::error;

use self::{at_work::AtWork, attempt::Attempt};
use super::{
    JobHandler, JobOptions, Jobs, JobsConfig, JobsError,
    agent::FarKeeper,
    config::JobStore,
    handler::{Erased, Typed},
    keeper::Keeper,
    place::Place,
    queue::{TROUBLE, millis, unexpected},
    store::{Answer, Ask, Slots, Taken},
};
use crate::{JobCtx, job_ctx::About};

/// The longest time without asking for jobs: the clock may be set meanwhile.
const NAP: Duration = Duration::from_secs(30);

/// The kinds of jobs of an app, and what does them.
pub struct JobRunner {
    kinds: BTreeMap<Arc<str>, Kind>,
    now: fn() -> SystemTime,
}

struct Kind {
    options: JobOptions,
    handler: Arc<dyn Erased>,
}

impl Default for JobRunner {
    fn default() -> Self {
        Self::new()
    }
}

impl JobRunner {
    /// No kinds.
    pub fn new() -> Self {
        Self { kinds: BTreeMap::new(), now: SystemTime::now }
    }

    /// Adds a kind.
    ///
    /// # Errors
    /// A name of other than 1 to 64 letters, digits, `-`, `_` and `.`, or one that is taken.
    pub fn add<T>(
        &mut self,
        kind: &str,
        options: JobOptions,
        handler: impl JobHandler<T>,
    ) -> Result<(), JobsError>
    where
        T: DeserializeOwned + 'static,
    {
        let sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        if !kind.bytes().all(sound) || !(1..=64).contains(&kind.len()) {
            return Err(JobsError::Name(kind.chars().take(64).collect()));
        }
        if self.kinds.contains_key(kind) {
            return Err(JobsError::Twice(kind.to_owned()));
        }
        let handler = Arc::new(Typed::<T, _>::new(handler));
        self.kinds.insert(kind.into(), Kind { options, handler });
        Ok(())
    }

    /// The names of the kinds.
    pub fn kinds(&self) -> impl Iterator<Item = &str> + Clone {
        self.kinds.keys().map(|kind| &**kind)
    }

    /// Opens the jobs. They are kept as the configuration says: in Redis, or in a file, which is that of the agent of this
    /// bus if there is one, and else of this process. What a process worked on that has ended waits again.
    ///
    /// # Errors
    /// The file cannot be used, or another process uses it; Redis or the agent is out of reach.
    pub async fn open(&mut self, config: &JobsConfig, agent: Option<&Bus>) -> Result<Jobs, JobsError> {
        for (name, kind) in &mut self.kinds {
            let written = config.kinds.get(&**name).cloned().unwrap_or_default();
            kind.options = kind.options.clone().with(&written);
        }
        let place = match (&config.store, agent) {
            #[cfg(feature = "redis")]
            (JobStore::Redis(url), _) => Place::Near(super::redis::open(url, &config.prefix)?),
            #[cfg(not(feature = "redis"))]
            (JobStore::Redis(_), _) => return Err(JobsError::NotBuilt),
            (JobStore::File, Some(bus)) => Place::Agent(FarKeeper::new(bus.clone(), &config.path)?),
            (JobStore::File, None) => Place::Near(Keeper::open(&config.path, millis((self.now)()))?),
        };
        let jobs = Jobs::new(place, self.kinds.keys().cloned().collect(), config, self.now);
        // Whatever is wrong is found now, and not by the first request.
        jobs.counts().await?;
        Ok(jobs)
    }

    /// Does what is due, one after the other, until nothing is; for tests. Answers how many attempts there were.
    ///
    /// # Errors
    /// The disk.
    pub async fn run_due(&self, jobs: &Jobs, onion: &Arc<Onion>) -> Result<usize, JobsError> {
        let (_ended, ending) = watch::channel(false);
        let mut attempts = 0;
        loop {
            let slots: Vec<_> = self.kinds.iter().map(|(name, kind)| kind.slots(name, 100)).collect();
            let (taken, _) = take(jobs, slots).await?;
            if taken.is_empty() {
                return Ok(attempts);
            }
            for taken in taken {
                attempts += 1;
                self.attempt(taken, jobs, onion, &ending).run().await;
            }
        }
    }

    /// Runs jobs until `ending` is true; then waits for those under way, for `grace` at most, and gives back the rest.
    ///
    /// It is called within a `LocalRuntime` or a `LocalSet` of tokio: handlers run on its thread.
    pub async fn drive(
        self,
        jobs: Jobs,
        onion: Arc<Onion>,
        mut ending: watch::Receiver<bool>,
        grace: Duration,
    ) {
        let told = ending.clone();
        let mut ended = pin!(async move {
            // Should the sender be gone, everything is over.
            let _ = ending.wait_for(|ending| *ending).await;
        });
        let mut at_work = AtWork::new(jobs.lease());
        let mut news = pin!(jobs.news(0));
        loop {
            let taken = tokio::select! {
                biased;
                () = ended.as_mut() => break,
                taken = self.take(&jobs, &mut at_work) => taken,
            };
            let until = match taken {
                Ok((taken, until)) => {
                    for taken in taken {
                        at_work.start(self.attempt(taken, &jobs, &onion, &told));
                    }
                    until
                }
                Err(error) => {
                    error!(target: "cepa::jobs", %error, "jobs cannot be taken; trying again");
                    TROUBLE
                }
            };
            tokio::select! {
                biased;
                () = ended.as_mut() => break,
                Some(ended) = at_work.tasks.join_next() => at_work.ended(ended),
                _ = at_work.renewal.tick() => at_work.renew(&jobs).await,
                number = news.as_mut() => news.set(jobs.news(number)),
                () = sleep(until) => {}
            }
        }
        at_work.finish(&jobs, grace).await;
    }

    /// What is wanted.
    fn slots(&self, at_work: &AtWork) -> Vec<Slots> {
        let kinds = self.kinds.iter().filter(|(_, kind)| kind.options.enabled);
        let slots = kinds.map(|(name, kind)| {
            let busy = at_work.leases.values().filter(|lease| *lease.kind == **name).count();
            kind.slots(name, kind.options.concurrency.saturating_sub(busy))
        });
        slots.filter(|slots| slots.free > 0).collect()
    }

    /// Takes what is due, and says after what time to look again.
    async fn take(&self, jobs: &Jobs, at_work: &mut AtWork) -> Result<(Vec<Taken>, Duration), JobsError> {
        at_work.recover(jobs).await?;
        let slots = self.slots(at_work);
        if slots.is_empty() {
            return Ok((Vec::new(), NAP));
        }
        // Until it is answered, or surely not done.
        at_work.is_unsure = true;
        let taken = take(jobs, slots).await;
        at_work.is_unsure = matches!(taken, Err(JobsError::Unanswered));
        let (taken, next) = taken?;
        let until = next.map(|next| Duration::from_millis(next.saturating_sub(jobs.now())));
        // Not at once again, should a lease of somebody end just now.
        Ok((taken, until.unwrap_or(NAP).clamp(Duration::from_millis(10), NAP)))
    }

    fn attempt(
        &self,
        taken: Taken,
        jobs: &Jobs,
        onion: &Arc<Onion>,
        ending: &watch::Receiver<bool>,
    ) -> Attempt {
        let kind = self.kinds.get_key_value(&*taken.kind);
        let (name, kind) = kind.expect("only jobs of these kinds are asked for");
        let planned = UNIX_EPOCH.checked_add(Duration::from_millis(taken.due)).unwrap_or(UNIX_EPOCH);
        let about = About {
            door: "job",
            name: Arc::clone(name),
            planned,
            attempt: taken.attempt,
            fence: None,
            job: Some(taken.id),
        };
        Attempt {
            job: JobCtx::new(onion, about, ending),
            taken,
            options: kind.options.clone(),
            handler: Arc::clone(&kind.handler),
            jobs: jobs.clone(),
        }
    }
}

impl Kind {
    fn slots(&self, name: &str, free: usize) -> Slots {
        Slots { kind: name.to_owned(), free, attempts: self.options.attempts }
    }
}

async fn take(jobs: &Jobs, slots: Vec<Slots>) -> Result<(Vec<Taken>, Option<u64>), JobsError> {
    let now = jobs.now();
    match jobs.ask(Ask::Take { slots, holder: jobs.holder(), now, until: lease_from(jobs, now) }).await? {
        Answer::Taken { jobs, next } => Ok((jobs, next)),
        other => Err(unexpected(&other)),
    }
}

fn lease_from(jobs: &Jobs, now: u64) -> u64 {
    now.saturating_add(u64::try_from(jobs.lease().as_millis()).unwrap_or(u64::MAX))
}

impl fmt::Debug for JobRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.kinds.keys()).finish()
    }
}

#[cfg(test)]
mod tests;
