//! Where jobs are added and looked at.

use std::{
    collections::BTreeSet,
    fmt,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Serialize;
use tokio::sync::Notify;

use super::{
    DeadJob, JobCounts, JobId,
    keeper::{Keeper, Lost},
    store::{Answer, Ask},
};

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
    keeper: Keeper,
    kinds: BTreeSet<Arc<str>>,
    added: Notify,
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
    /// The file cannot be read or written.
    #[error("the file of the jobs cannot be used: {0}")]
    Broken(String),
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
        }
    }
}

impl Jobs {
    pub(super) fn new(keeper: Keeper, kinds: BTreeSet<Arc<str>>, now: fn() -> SystemTime) -> Self {
        Self(Arc::new(Inner { keeper, kinds, added: Notify::new(), now }))
    }

    /// Adds a job. Once this returns it is on disk, and will be done.
    ///
    /// At least once: if the process ends after a job was done and before that was written, it is done again. Where that
    /// matters, let it look whether it was done.
    ///
    /// # Errors
    /// Nothing does jobs of this kind; it is too large, or one too many; the disk.
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
        let now = self.now();
        let add = Ask::Add { kind: kind.to_owned(), payload, due: millis(due), now };
        match self.ask(add).await? {
            Answer::Added(id) => {
                self.0.added.notify_one();
                Ok(id)
            }
            Answer::TooLarge(most) => Err(JobsError::TooLarge(most)),
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

    /// The jobs of a kind that have failed for good, from the oldest on: those behind `after`, 1,000 at most.
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
        self.0.added.notify_one();
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
        Ok(self.0.keeper.ask(ask).await?)
    }

    /// Waits until a job is added in this process.
    pub(super) async fn added(&self) {
        self.0.added.notified().await;
    }

    /// Lets go of the file, at the end: whoever adds a job afterwards fails.
    pub async fn close(&self) {
        self.0.keeper.close().await;
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
