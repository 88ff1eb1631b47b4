//! Who is outside of the cluster and wants to know how it is: the one who has started it, and a supervisor.

use std::{future::pending, time::Duration};

use tokio::time::{Interval, MissedTickBehavior, interval};

use super::world::Course;
use crate::{daemon::Starter, sd_notify::Supervisor};

/// Whoever is told how the cluster is.
#[derive(Debug)]
pub(crate) struct Outside {
    starter: Starter,
    supervisor: Supervisor,
}

impl Outside {
    pub(crate) fn new(starter: Starter) -> Self {
        Self { starter, supervisor: Supervisor::of_process() }
    }

    /// The cluster serves for the first time.
    pub(crate) fn ready(&self) {
        self.starter.ready();
    }

    /// What the cluster does.
    pub(crate) fn tell(&self, course: &Course) {
        match course {
            Course::Serving { generation, workers } => {
                self.supervisor.ready(&format!("generation {generation} serves, with {}", count(*workers)));
            }
            Course::Kept { reason } => self.supervisor.ready(reason),
            Course::Reloading => self.supervisor.reloading("new workers are being started"),
            Course::Stopping => self.supervisor.stopping("open connections finish"),
        }
    }

    /// The master is alive.
    pub(crate) fn beat(&self) {
        self.supervisor.beat();
    }

    /// When to say so.
    pub(crate) fn watchdog(&self) -> Watchdog {
        Watchdog(self.supervisor.watchdog().map(|time| {
            // A timer with a period of 0 cannot be.
            let mut turns = interval(time.max(Duration::from_millis(1)));
            turns.set_missed_tick_behavior(MissedTickBehavior::Delay);
            turns
        }))
    }
}

fn count(workers: u32) -> String {
    match workers {
        1 => "1 worker".to_owned(),
        workers => format!("{workers} workers"),
    }
}

/// The clock of a supervisor that expects a sign of life.
pub(crate) struct Watchdog(Option<Interval>);

impl Watchdog {
    /// Waits until it is time for one.
    pub(crate) async fn turn(&mut self) {
        match &mut self.0 {
            Some(turns) => drop(turns.tick().await),
            None => pending().await,
        }
    }
}
