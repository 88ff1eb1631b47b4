//! One attempt at a job: its time, its end, and what is written of that.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    time::Duration,
};

use cepa_core::Error;
use tokio::{
    task::spawn_local,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, error, warn};

use crate::{
    JobCtx,
    jobs::{
        GiveUp, JobOptions, Jobs, JobsError,
        handler::Erased,
        queue::{TROUBLE, unexpected},
        store::{Answer, Ask, Taken},
    },
    reason::{Running, reason},
};

/// Most letters of what an attempt failed with that are kept.
const LONGEST_ERROR: usize = 4_096;

/// An attempt at a job.
pub(super) struct Attempt {
    pub(super) job: JobCtx,
    pub(super) taken: Taken,
    pub(super) options: JobOptions,
    pub(super) handler: Arc<dyn Erased>,
    pub(super) jobs: Jobs,
}

impl Attempt {
    /// Works on it, and writes down what came of it.
    pub(super) async fn run(self) {
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
                let error: String = reason(&error).chars().take(LONGEST_ERROR).collect();
                if gives_up {
                    error!(target: "cepa::jobs", kind, id, attempt, error, "failed, and is dead");
                    Ask::Bury { id, attempt, error }
                } else {
                    let wait = options.wait(attempt, RandomState::new().hash_one(id));
                    warn!(target: "cepa::jobs", kind, id, attempt, error, "failed; tried again in {wait:.0?}");
                    let wait = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
                    let now = jobs.now();
                    Ask::Retry { id, attempt, error, now, due: now.saturating_add(wait) }
                }
            }
        };
        match written(&jobs, ask).await {
            Ok(Answer::Noted) => {}
            Ok(Answer::Unknown) => {
                warn!(target: "cepa::jobs", kind, id, "what came of it counts no more: it was lost to another, or is written already");
            }
            Ok(other) => error!(target: "cepa::jobs", "{}", unexpected(&other)),
            Err(error) => {
                error!(target: "cepa::jobs", kind, id, %error, "what came of it is not written: it is done again");
            }
        }
    }
}

/// Writes down what came of an attempt. What keeps the jobs may be out of reach; as long as the lease is renewed, or has
/// not ended yet, it is worth another try, because nobody else does the job meanwhile.
async fn written(jobs: &Jobs, ask: Ask) -> Result<Answer, JobsError> {
    let until = Instant::now() + jobs.lease();
    loop {
        match jobs.ask(ask.clone()).await {
            Err(JobsError::Away(_) | JobsError::Unanswered) if Instant::now() < until => sleep(TROUBLE).await,
            answer => return answer,
        }
    }
}
