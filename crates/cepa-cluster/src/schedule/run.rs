//! One run of a schedule: its turn among others, its time, and its end.

use std::{
    hash::{BuildHasher, RandomState},
    rc::Rc,
    sync::Arc,
    time::{Duration, SystemTime},
};

use cepa_bus::{Bus, ShareError};
use cepa_core::{Error, Onion};
use tokio::{
    sync::watch,
    task::spawn_local,
    time::{Instant, sleep, timeout},
};
use tracing::{debug, error, info, warn};

use super::{
    Kind, Outcome,
    board::Entry,
    claim::{Asked, Claim, LEASE, Lock},
};
use crate::{
    JobCtx,
    job_ctx::About,
    reason::{Running, reason},
};

/// What all runs stand on.
pub(super) struct Ground {
    pub(super) onion: Arc<Onion>,
    /// What the workers of this machine have in common, where there are several processes.
    pub(super) machine: Option<Bus>,
    /// What all machines have in common.
    pub(super) cluster: Bus,
    /// Whether the process is about to end.
    pub(super) ending: watch::Receiver<bool>,
    pub(super) now: fn() -> SystemTime,
}

/// A run under way; dropping it ends the run where it waits.
pub(super) struct Run {
    pub(super) entry: Arc<Entry>,
    pub(super) planned: SystemTime,
    pub(super) by_hand: bool,
}

impl Run {
    /// Runs, notes it, and logs it.
    pub(super) async fn run(self, ground: Rc<Ground>) -> Outcome {
        let Self { entry, planned, by_hand } = &self;
        let name = &*entry.name;
        let id = match entry.begin(*planned, (ground.now)()) {
            Ok(id) => id,
            Err(outcome) => {
                warn!(target: "cepa::schedule", schedule = name, "left out: the run before is still under way");
                return outcome;
            }
        };
        let mut noted = Noted { entry, id, begun: Instant::now(), outcome: Outcome::Ended };
        let mut ending = ground.ending.clone();
        let delay = if *by_hand { Duration::ZERO } else { random_below(entry.schedule.jitter) };
        noted.outcome = tokio::select! {
            biased;
            () = sleep(delay) => self.take_turn(&ground).await,
            _ = ending.wait_for(|ending| *ending) => Outcome::Ended,
        };
        let took = noted.begun.elapsed();
        match &noted.outcome {
            Outcome::Done => info!(target: "cepa::schedule", schedule = name, "done in {took:.1?}"),
            Outcome::Elsewhere => debug!(target: "cepa::schedule", schedule = name, "another worker runs it"),
            Outcome::Overlapped => {
                warn!(target: "cepa::schedule", schedule = name, "left out: it is still under way elsewhere");
            }
            Outcome::TimedOut => {
                error!(target: "cepa::schedule", schedule = name, "timed out after {took:.1?}");
            }
            Outcome::Failed(error) => {
                error!(target: "cepa::schedule", schedule = name, "failed after {took:.1?}: {error}");
            }
            Outcome::Running | Outcome::Ended => {}
        }
        noted.outcome.clone()
    }

    /// Runs if it is this worker's turn.
    async fn take_turn(&self, ground: &Ground) -> Outcome {
        let schedule = &self.entry.schedule;
        let bus = match schedule.kind {
            Kind::All => None,
            Kind::One => ground.machine.as_ref(),
            Kind::Cluster => Some(&ground.cluster),
        };
        let Some(bus) = bus else { return self.in_time(ground, None).await };
        let asked = match Lock::new(bus, &self.entry.name) {
            Ok(lock) => lock.ask(self.planned, (ground.now)(), schedule.overlapping).await,
            Err(error) => Err(error),
        };
        let mut claim = match asked {
            Ok(Asked::Mine(claim)) => claim,
            Ok(Asked::Taken) => return Outcome::Elsewhere,
            Ok(Asked::Busy) => return Outcome::Overlapped,
            Err(error) => return failed(&lock_failed(&error)),
        };
        let fence = claim.fence;
        let outcome = tokio::select! {
            outcome = self.in_time(ground, Some(fence)) => outcome,
            () = lost(&mut claim, ground.now) => {
                return Outcome::Failed("its lock was lost to another, or could not be held".to_owned());
            }
        };
        if let Err(error) = claim.release().await {
            warn!(target: "cepa::schedule", schedule = &*self.entry.name, "its lock is not given back: {error}");
        }
        outcome
    }

    /// Runs for as long as it may.
    async fn in_time(&self, ground: &Ground, fence: Option<u64>) -> Outcome {
        let name = Arc::clone(&self.entry.name);
        let about = About { door: "schedule", name, planned: self.planned, attempt: 1, fence, job: None };
        let mut job = JobCtx::new(&ground.onion, about, &ground.ending);
        let entry = Arc::clone(&self.entry);
        // A task of its own, so that a panic is its own.
        let running = Running(spawn_local(async move {
            let ended = entry.task.run(&mut job).await;
            job.finish().await;
            ended
        }));
        let limit = self.entry.schedule.timeout;
        let limit = if limit.is_zero() { Duration::MAX } else { limit };
        match timeout(limit, running.ended()).await {
            Err(_) => Outcome::TimedOut,
            Ok(Ok(())) => Outcome::Done,
            Ok(Err(error)) => failed(&error),
        }
    }
}

/// Returns when the lock is not held any more.
async fn lost(claim: &mut Claim, now: fn() -> SystemTime) {
    loop {
        sleep(LEASE / 3).await;
        match claim.renew(now()).await {
            Ok(true) => {}
            Ok(false) => return,
            Err(error) if claim.holds(now() + LEASE / 3) => {
                warn!(target: "cepa::schedule", "a lock cannot be renewed yet: {error}");
            }
            Err(_) => return,
        }
    }
}

fn lock_failed(error: &ShareError) -> Error {
    Error::new(500, format!("its lock cannot be asked for: {error}"))
}

fn failed(error: &Error) -> Outcome {
    Outcome::Failed(reason(error))
}

/// Notes the end of a run, also of one that is dropped.
struct Noted<'a> {
    entry: &'a Entry,
    id: u64,
    begun: Instant,
    outcome: Outcome,
}

impl Drop for Noted<'_> {
    fn drop(&mut self) {
        self.entry.end(self.id, self.begun.elapsed(), &self.outcome);
    }
}

/// A time from zero on, less than this.
fn random_below(most: Duration) -> Duration {
    if most.is_zero() {
        return most;
    }
    // Keyed at random for each; good enough to keep machines apart.
    let random = RandomState::new().hash_one(0);
    let most = most.as_nanos().min(u128::from(u64::MAX));
    let below = (u128::from(random) * most) >> 64;
    Duration::from_nanos(u64::try_from(below).unwrap_or_default())
}
