//! Where jobs are added and looked at.

use std::{
    collections::BTreeSet,
    fmt,
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use tokio::time::sleep;
use tracing::debug;

use super::{
    DeadJob, JobCounts, JobId, JobsConfig,
    keeper::Lost,
    place::Place,
    store::{Answer, Ask},
};

/// The time after which one that failed is asked again.
pub(super) const TROUBLE: Duration = Duration::from_secs(1);
/// The largest payload: an answer of the agent has room for it.
const LARGEST: usize = 4 << 20;
/// The shortest lease, and the longest.
const LEASE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(24 * 60 * 60));

/// The jobs of an app: to be added, counted, and looked after. Clones are the same.
///
/// ```no_run
/// # use cepa_cluster::Jobs;
/// # use cepa_core::{Ctx, Result};
/// #[derive(serde::Serialize, serde::Deserialize)]
/// struct Mail {
///     to: String,
/// }
///
/// async fn order(ctx: &mut Ctx) -> Result<&'static str> {
///     let mail = Mail { to: ctx.text().await? };
///     ctx.provided::<Jobs>()?.add("mail", &mail).await?;
///     Ok("thank you")
/// }
/// ```
#[derive(Clone)]
pub struct Jobs(Arc<Inner>);

struct Inner {
    place: Place,
    kinds: BTreeSet<Arc<str>>,
    most: u64,
    payload: usize,
    lease: Duration,
    /// Random: who takes jobs.
    holder: u64,
    now: fn() -> SystemTime,
}

/// Why something cannot be done with jobs.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JobsError {
    /// Nothing does jobs of this kind.
    #[error("nothing does jobs of the kind `{kind}`; there are {}", listed(.known))]
    Kind {
        /// The kind.
        kind: String,
        /// The kinds that there are.
        known: Vec<String>,
    },
    /// A name that no kind can have.
    #[error(
        "a kind of jobs has a name of 1 to 64 letters, digits, \"-\", \"_\" and \".\", which {0:?} has not"
    )]
    Name(String),
    /// Two kinds of one name.
    #[error("two kinds of jobs are named `{0}`")]
    Twice(String),
    /// What it is given cannot be written as JSON.
    #[error("what the job is given cannot be written: {0}")]
    Payload(String),
    /// What it is given is too large.
    #[error("what the job is given is larger than {0} bytes, which jobs.payload allows")]
    TooLarge(usize),
    /// There are too many.
    #[error("there are {0} jobs, which is all that jobs.most allows")]
    Full(u64),
    /// There is no such job, or it is not dead.
    #[error("there is no dead job {0}")]
    Unknown(JobId),
    /// The process is ending.
    #[error("jobs are closed: the process is ending")]
    Closed,
    /// They cannot be read or written.
    #[error("the jobs cannot be used: {0}")]
    Broken(String),
    /// What keeps them is out of reach, and nothing was done.
    #[error("the jobs are out of reach: {0}")]
    Away(String),
    /// What keeps them was out of reach before it answered: nobody knows whether it was done.
    #[error("the jobs were out of reach before they answered: nobody knows whether it was done")]
    Unanswered,
    /// They are to be kept in Redis, and the program was built without what it takes.
    #[error("jobs.store is Redis, which this program was built without (feature `redis`)")]
    NotBuilt,
}

fn listed(kinds: &[String]) -> String {
    let kinds: Vec<_> = kinds.iter().map(|kind| format!("`{kind}`")).collect();
    if kinds.is_empty() { "none".to_owned() } else { kinds.join(", ") }
}

impl From<Lost> for JobsError {
    fn from(lost: Lost) -> Self {
        match lost {
            Lost::Closed => Self::Closed,
            Lost::Broken(why) => Self::Broken(why),
            Lost::Away(why) => Self::Away(why),
            Lost::Unanswered => Self::Unanswered,
        }
    }
}

impl Jobs {
    pub(super) fn new(
        place: Place,
        kinds: BTreeSet<Arc<str>>,
        config: &JobsConfig,
        now: fn() -> SystemTime,
    ) -> Self {
        let JobsConfig { most, .. } = *config;
        let (payload, lease) = (config.payload.min(LARGEST), config.lease.clamp(LEASE.0, LEASE.1));
        let holder = RandomState::new().hash_one(std::process::id());
        Self(Arc::new(Inner { place, kinds, most, payload, lease, holder, now }))
    }

    /// Adds a job. Once this returns it is on disk, and will be done.
    ///
    /// In a cluster the agent writes it, and one that was killed is waited for until another one is there, for 10 s at most.
    ///
    /// At least once: if the process ends after a job was done and before that was written, it is done again. Where that
    /// matters, let it look whether it was done.
    ///
    /// # Errors
    /// Nothing does jobs of this kind; it is too large, or one too many; the disk; what keeps them is out of reach, and
    /// after [`Unanswered`](JobsError::Unanswered) it may have been added.
    pub async fn add<T: Serialize + ?Sized>(&self, kind: &str, given: &T) -> Result<JobId, JobsError> {
        self.add_at((self.0.now)(), kind, given).await
    }

    /// Adds a job that is done after this time at the earliest.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub async fn add_after<T: Serialize + ?Sized>(
        &self,
        delay: Duration,
        kind: &str,
        given: &T,
    ) -> Result<JobId, JobsError> {
        let now = (self.0.now)();
        // A time that cannot be counted to is never, or long after this process.
        let due = now.checked_add(delay).unwrap_or_else(|| now + Duration::from_secs(u32::MAX.into()));
        self.add_at(due, kind, given).await
    }

    /// Adds a job that is done at this time at the earliest.
    ///
    /// # Errors
    /// As [`add`](Self::add).
    pub async fn add_at<T: Serialize + ?Sized>(
        &self,
        due: SystemTime,
        kind: &str,
        given: &T,
    ) -> Result<JobId, JobsError> {
        if !self.0.kinds.contains(kind) {
            let known = self.0.kinds.iter().map(|kind| kind.to_string()).collect();
            return Err(JobsError::Kind { kind: kind.chars().take(64).collect(), known });
        }
        let payload = serde_json::to_string(given).map_err(|error| JobsError::Payload(error.to_string()))?;
        if payload.len() > self.0.payload {
            return Err(JobsError::TooLarge(self.0.payload));
        }
        let (now, most) = (self.now(), self.0.most);
        match self.ask(Ask::Add { kind: kind.to_owned(), payload, due: millis(due), now, most }).await? {
            Answer::Added(id) => Ok(id),
            Answer::Full(most) => Err(JobsError::Full(most)),
            other => Err(unexpected(&other)),
        }
    }

    /// How many jobs of each kind wait, are worked on, and are dead.
    ///
    /// # Errors
    /// The disk.
    pub async fn counts(&self) -> Result<Vec<JobCounts>, JobsError> {
        match self.ask(Ask::Count).await? {
            Answer::Counts(counts) => Ok(counts),
            other => Err(unexpected(&other)),
        }
    }

    /// The jobs of a kind that have failed for good, from the oldest on: those behind `after`, 1,000 at most, and fewer
    /// if they are large. After the last there are none.
    ///
    /// # Errors
    /// The disk.
    pub async fn dead(&self, kind: &str, after: Option<JobId>) -> Result<Vec<DeadJob>, JobsError> {
        match self.ask(Ask::Dead { kind: kind.to_owned(), after, most: 1_000 }).await? {
            Answer::Dead(dead) => Ok(dead),
            other => Err(unexpected(&other)),
        }
    }

    /// Has a dead job done, with all its attempts anew.
    ///
    /// # Errors
    /// It is not dead; the disk.
    pub async fn retry(&self, id: JobId) -> Result<(), JobsError> {
        let answer = self.ask(Ask::Revive { id: id.0, now: self.now() }).await?;
        of_dead(id, &answer)
    }

    /// Forgets a dead job.
    ///
    /// # Errors
    /// It is not dead; the disk.
    pub async fn discard(&self, id: JobId) -> Result<(), JobsError> {
        of_dead(id, &self.ask(Ask::Discard { id: id.0 }).await?)
    }

    pub(super) async fn ask(&self, ask: Ask) -> Result<Answer, JobsError> {
        Ok(self.0.place.ask(ask).await?)
    }

    /// Waits until something may be due that was not when this number was the one; answers with the number now.
    pub(super) async fn news(&self, seen: u64) -> u64 {
        match self.0.place.news(seen).await {
            Ok(number) => number,
            Err(lost) => {
                debug!(target: "cepa::jobs", %lost, "nobody says whether something is due");
                sleep(TROUBLE).await;
                seen
            }
        }
    }

    /// Who takes jobs here.
    pub(super) fn holder(&self) -> u64 {
        self.0.holder
    }

    /// How long a job is leased without the lease being renewed.
    pub(super) fn lease(&self) -> Duration {
        self.0.lease
    }

    /// Lets go of the file, at the end: whoever adds a job afterwards fails. In a cluster the file is the agent's, and stays
    /// open.
    pub async fn close(&self) {
        self.0.place.close().await;
    }

    pub(super) fn now(&self) -> u64 {
        millis((self.0.now)())
    }
}

fn of_dead(id: JobId, answer: &Answer) -> Result<(), JobsError> {
    match answer {
        Answer::Noted => Ok(()),
        Answer::Unknown => Err(JobsError::Unknown(id)),
        other => Err(unexpected(other)),
    }
}

/// An answer to another question.
pub(super) fn unexpected(answer: &Answer) -> JobsError {
    JobsError::Broken(format!("its answer makes no sense: {answer:?}"))
}

pub(super) fn millis(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Jobs").field(&self.0.kinds).finish()
    }
}
