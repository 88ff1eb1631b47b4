//! Takes jobs and runs them: as many of each kind as may be at once, as long as its leases are held.

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    hash::{BuildHasher, RandomState},
    pin::pin,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cepa_core::{Error, Onion};
use serde::de::DeserializeOwned;
use tokio::{
    sync::watch,
    task::{AbortHandle, JoinError, JoinSet, spawn_local},
    time::{Instant, Interval, MissedTickBehavior, interval, sleep, timeout},
};
use tracing::{debug, error, info, warn};

use super::{
    GiveUp, JobHandler, JobOptions, Jobs, JobsConfig, JobsError,
    handler::{Erased, Typed},
    keeper::Keeper,
    queue::{millis, unexpected},
    store::{Answer, Ask, Room, Slots, Taken},
};
use crate::{
    JobCtx,
    job_ctx::About,
    reason::{Running, reason},
};

/// How long a job is leased without the lease being renewed.
const LEASE: Duration = Duration::from_secs(60);
/// The longest time without asking for jobs: the clock may be set meanwhile.
const NAP: Duration = Duration::from_secs(30);
/// The time after which a file that failed is tried again.
const TROUBLE: Duration = Duration::from_secs(1);

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

    /// Opens the file of the jobs; what was worked on when it was last closed waits again.
    ///
    /// # Errors
    /// The file cannot be used, or another process uses it.
    pub fn open(&mut self, config: &JobsConfig) -> Result<Jobs, JobsError> {
        for (name, kind) in &mut self.kinds {
            let written = config.kinds.get(&**name).cloned().unwrap_or_default();
            kind.options = kind.options.clone().with(&written);
        }
        let room = Room { jobs: config.most, payload: config.payload };
        let keeper = Keeper::open(&config.path, room, millis((self.now)()))?;
        Ok(Jobs::new(keeper, self.kinds.keys().cloned().collect(), self.now))
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
        let mut at_work = AtWork::new();
        loop {
            let slots = self.slots(&at_work);
            let until = match self.take(&jobs, slots).await {
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
                () = jobs.added() => {}
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
    async fn take(&self, jobs: &Jobs, slots: Vec<Slots>) -> Result<(Vec<Taken>, Duration), JobsError> {
        if slots.is_empty() {
            return Ok((Vec::new(), NAP));
        }
        let (taken, next) = take(jobs, slots).await?;
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
    match jobs.ask(Ask::Take { slots, now, until: lease_from(now) }).await? {
        Answer::Taken { jobs, next } => Ok((jobs, next)),
        other => Err(unexpected(&other)),
    }
}

fn lease_from(now: u64) -> u64 {
    now.saturating_add(LEASE.as_secs() * 1000)
}

/// Jobs that are being worked on.
struct AtWork {
    tasks: JoinSet<u64>,
    leases: HashMap<u64, Lease>,
    renewal: Interval,
}

struct Lease {
    kind: Arc<str>,
    attempt: u32,
    task: AbortHandle,
}

impl AtWork {
    fn new() -> Self {
        let mut renewal = interval(LEASE / 3);
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { tasks: JoinSet::new(), leases: HashMap::new(), renewal }
    }

    fn start(&mut self, attempt: Attempt) {
        let (id, kind, number) =
            (attempt.taken.id, attempt.taken.kind.as_str().into(), attempt.taken.attempt);
        let task = self.tasks.spawn_local(async move {
            attempt.run().await;
            id
        });
        self.leases.insert(id, Lease { kind, attempt: number, task });
    }

    fn ended(&mut self, ended: Result<u64, JoinError>) {
        match ended {
            Ok(id) => drop(self.leases.remove(&id)),
            Err(error) => self.leases.retain(|_, lease| lease.task.id() != error.id()),
        }
    }

    /// Renews the leases, and ends what is another's by now.
    async fn renew(&mut self, jobs: &Jobs) {
        let leases: Vec<_> = self.leases.iter().map(|(id, lease)| (*id, lease.attempt)).collect();
        if leases.is_empty() {
            return;
        }
        match jobs.ask(Ask::Extend { leases, until: lease_from(jobs.now()) }).await {
            Ok(Answer::Lost(lost)) => {
                for id in lost {
                    if let Some(lease) = self.leases.remove(&id) {
                        warn!(target: "cepa::jobs", kind = &*lease.kind, id, "lost to another while it was at work");
                        lease.task.abort();
                    }
                }
            }
            Ok(other) => error!(target: "cepa::jobs", "{}", unexpected(&other)),
            Err(error) => error!(target: "cepa::jobs", %error, "leases cannot be renewed"),
        }
    }

    /// Waits for what is under way, and gives back what takes too long.
    async fn finish(mut self, jobs: &Jobs, grace: Duration) {
        if !self.tasks.is_empty() {
            info!(target: "cepa::jobs", jobs = self.tasks.len(), "waiting for jobs under way");
        }
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                self.ended(ended);
            }
        };
        if timeout(grace, all).await.is_ok() {
            return;
        }
        warn!(target: "cepa::jobs", jobs = self.tasks.len(), "jobs were ended, and wait again: they took longer than {grace:?}");
        self.tasks.shutdown().await;
        for (id, lease) in self.leases {
            let back = Ask::Return { id, attempt: lease.attempt, now: jobs.now() };
            if let Err(error) = jobs.ask(back).await {
                error!(target: "cepa::jobs", id, %error, "a job cannot be given back; it is when the file is opened");
            }
        }
    }
}

/// An attempt at a job.
struct Attempt {
    job: JobCtx,
    taken: Taken,
    options: JobOptions,
    handler: Arc<dyn Erased>,
    jobs: Jobs,
}

impl Attempt {
    /// Works on it, and writes down what came of it.
    async fn run(self) {
        let Self { mut job, taken, options, handler, jobs } = self;
        let Taken { id, kind, payload, attempt, .. } = taken;
        let begun = Instant::now();
        // A task of its own, so that a panic is its own.
        let running = Running(spawn_local(async move {
            let ended = handler.run(&mut job, &payload).await;
            job.finish().await;
            ended
        }));
        let limit = if options.timeout.is_zero() { Duration::MAX } else { options.timeout };
        let ended = timeout(limit, running.ended()).await;
        let ended = ended.unwrap_or_else(|_| Err(Error::new(500, format!("timed out after {limit:?}"))));
        let took = begun.elapsed();
        let ask = match ended {
            Ok(()) => {
                debug!(target: "cepa::jobs", kind, id, attempt, "done in {took:.1?}");
                Ask::Done { id, attempt }
            }
            Err(error) => {
                let gives_up = attempt >= options.attempts || error.downcast_ref::<GiveUp>().is_some();
                let error = reason(&error);
                if gives_up {
                    error!(target: "cepa::jobs", kind, id, attempt, error, "failed, and is dead");
                    Ask::Bury { id, attempt, error }
                } else {
                    let wait = options.wait(attempt, RandomState::new().hash_one(id));
                    warn!(target: "cepa::jobs", kind, id, attempt, error, "failed; tried again in {wait:.0?}");
                    let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                    Ask::Retry { id, attempt, error, due: jobs.now().saturating_add(wait) }
                }
            }
        };
        match jobs.ask(ask).await {
            Ok(Answer::Noted) => {}
            Ok(Answer::Unknown) => {
                warn!(target: "cepa::jobs", kind, id, "ended after it was lost to another");
            }
            Ok(other) => error!(target: "cepa::jobs", "{}", unexpected(&other)),
            Err(error) => {
                error!(target: "cepa::jobs", kind, id, %error, "what came of it is not written: it is done again");
            }
        }
    }
}

impl fmt::Debug for JobRunner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.kinds.keys()).finish()
    }
}

#[cfg(test)]
mod tests;
