//! What a process works on: its leases, until each has ended.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::{
    task::{AbortHandle, JoinError, JoinSet},
    time::{Interval, MissedTickBehavior, interval, timeout},
};
use tracing::{error, info, warn};

use super::{attempt::Attempt, lease_from};
use crate::jobs::{
    Jobs, JobsError,
    queue::unexpected,
    store::{Answer, Ask, Taken},
};

/// The longest time between two renewals of leases: an agent that was replaced expects one within half a minute.
const RENEWAL: Duration = Duration::from_secs(10);
/// How long the last jobs may take to be given back: what keeps them may be gone too.
const RETURN: Duration = Duration::from_secs(3);

/// Jobs that are being worked on.
pub(super) struct AtWork {
    pub(super) tasks: JoinSet<(u64, u32)>,
    pub(super) leases: HashMap<u64, Lease>,
    pub(super) renewal: Interval,
    /// Jobs may have been given to this process by an answer that has not come.
    pub(super) is_unsure: bool,
}

pub(super) struct Lease {
    pub(super) kind: Arc<str>,
    attempt: u32,
    task: AbortHandle,
}

impl AtWork {
    pub(super) fn new(lease: Duration) -> Self {
        let mut renewal = interval((lease / 3).min(RENEWAL));
        renewal.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { tasks: JoinSet::new(), leases: HashMap::new(), renewal, is_unsure: false }
    }

    pub(super) fn start(&mut self, attempt: Attempt) {
        let Taken { id, attempt: number, .. } = attempt.taken;
        let kind = attempt.taken.kind.as_str().into();
        let task = self.tasks.spawn_local(async move {
            attempt.run().await;
            (id, number)
        });
        // Its lease was over before it could be renewed, as after a machine has slept: this process has it once more.
        if let Some(before) = self.leases.insert(id, Lease { kind, attempt: number, task }) {
            before.task.abort();
        }
    }

    pub(super) fn ended(&mut self, ended: Result<(u64, u32), JoinError>) {
        match ended {
            Ok((id, attempt)) => self.leases.retain(|job, lease| (*job, lease.attempt) != (id, attempt)),
            Err(error) => self.leases.retain(|_, lease| lease.task.id() != error.id()),
        }
    }

    /// Gives to others what this process has without knowing.
    pub(super) async fn recover(&mut self, jobs: &Jobs) -> Result<(), JobsError> {
        if self.is_unsure {
            let ask = Ask::Recover { holder: jobs.holder(), held: self.held(), now: jobs.now() };
            match jobs.ask(ask).await? {
                Answer::Noted => self.is_unsure = false,
                other => return Err(unexpected(&other)),
            }
        }
        Ok(())
    }

    fn held(&self) -> Vec<(u64, u32)> {
        self.leases.iter().map(|(id, lease)| (*id, lease.attempt)).collect()
    }

    /// Renews the leases, and ends what is another's by now.
    pub(super) async fn renew(&mut self, jobs: &Jobs) {
        let leases = self.held();
        if leases.is_empty() {
            return;
        }
        let now = jobs.now();
        match jobs.ask(Ask::Extend { leases, now, until: lease_from(jobs, now) }).await {
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
    pub(super) async fn finish(mut self, jobs: &Jobs, grace: Duration) {
        if !self.tasks.is_empty() {
            info!(target: "cepa::jobs", jobs = self.tasks.len(), "waiting for jobs under way");
        }
        let all = async {
            while let Some(ended) = self.tasks.join_next().await {
                self.ended(ended);
            }
        };
        if timeout(grace, all).await.is_err() {
            warn!(target: "cepa::jobs", jobs = self.tasks.len(), "jobs were ended, and wait again: they took longer than {grace:?}");
            self.tasks.shutdown().await;
        }
        if timeout(RETURN, self.give_back(jobs)).await.is_err() {
            error!(target: "cepa::jobs", "jobs cannot be given back in time; they are when their leases end");
        }
    }

    async fn give_back(&mut self, jobs: &Jobs) {
        if let Err(error) = self.recover(jobs).await {
            error!(target: "cepa::jobs", %error, "nobody knows whether there are jobs to give back");
        }
        for (id, lease) in &self.leases {
            let back = Ask::Return { id: *id, attempt: lease.attempt, now: jobs.now() };
            if let Err(error) = jobs.ask(back).await {
                error!(target: "cepa::jobs", id, %error, "a job cannot be given back; it is when its lease ends");
            }
        }
    }
}
