//! An upgrade: the program on disk goes on in the place of this one, as the same process, with the same children.

use tracing::{error, info};

use super::{Core, Course, Id, Kind, Phase, Signal, Spec, Ticket, World};
use crate::{control::Answer, ipc::Report};

/// An upgrade under way.
#[derive(Debug)]
pub(super) struct Upgrade {
    /// The process that says whether the program on disk can go on.
    probe: Id,
    ticket: Option<Ticket>,
    deadline: Option<u64>,
    /// What the probe says of why not.
    reason: Option<String>,
    /// It says that it can.
    due: bool,
}

impl<W: World> Core<W> {
    /// Starts an upgrade.
    pub(crate) fn upgrade(&mut self, ticket: Option<Ticket>) {
        match self.phase {
            Phase::Serving if self.reload.is_none() && self.upgrade.is_none() => {}
            Phase::Serving => return self.refuse(ticket, "a reload or an upgrade is under way"),
            Phase::Starting => return self.refuse(ticket, "the cluster is being started"),
            Phase::Stopping | Phase::Ended => return self.refuse(ticket, "the cluster stops"),
        }
        info!(target: "cepa::master", "upgrade: the program on disk is looked at");
        self.answer(ticket, Answer::Progress("the program on disk is looked at".to_owned()));
        self.world.tell_supervisor(&Course::Reloading);
        let (probe, generation) = (self.facts.next, self.facts.generation);
        self.facts.next += 1;
        let spawned = self.world.spawn(probe, Spec { kind: Kind::Probe, slot: 0, generation, is_new: false });
        let deadline = self.after(self.rules.cluster.ready_timeout.as_secs_f64());
        self.upgrade = Some(Upgrade { probe, ticket, deadline, reason: None, due: false });
        if let Err(error) = spawned {
            self.probe_failed(&format!("the program cannot be started: {error}"));
        }
    }

    pub(super) fn is_probe(&self, id: Id) -> bool {
        self.upgrade.as_ref().is_some_and(|upgrade| upgrade.probe == id)
    }

    /// What the probe says.
    pub(super) fn probed(&mut self, report: Report) {
        match report {
            Report::Ready => {
                if let Some(upgrade) = &mut self.upgrade {
                    upgrade.due = true;
                }
            }
            Report::Failed { reason } => {
                if let Some(upgrade) = &mut self.upgrade {
                    upgrade.reason = Some(reason);
                }
            }
            Report::Beat(_) | Report::Retire { .. } | Report::ScheduleRan { .. } | Report::Figures(_) => {}
        }
    }

    /// Whether the program on disk is to go on as soon as nothing is on its way between processes.
    pub(crate) fn is_upgrade_due(&self) -> bool {
        self.upgrade.as_ref().is_some_and(|upgrade| upgrade.due)
    }

    /// Has the program on disk go on. What follows is for when that has failed.
    pub(crate) fn leave_to_next(&mut self) {
        let Some(upgrade) = self.upgrade.take() else { return };
        info!(target: "cepa::master", "upgrade: the program on disk goes on");
        let reason = self.world.upgrade(&self.facts, upgrade.ticket);
        self.upgrade_failed(upgrade.ticket, &reason);
    }

    /// The probe has ended; if it has not said that it could go on, that is that.
    pub(super) fn probe_failed(&mut self, how: &str) {
        let Some(upgrade) = self.upgrade.take_if(|upgrade| !upgrade.due) else { return };
        let reason = upgrade.reason.as_deref().unwrap_or(how);
        self.upgrade_failed(upgrade.ticket, reason);
    }

    fn upgrade_failed(&mut self, ticket: Option<Ticket>, reason: &str) {
        error!(target: "cepa::master", reason, "upgrade: it has failed, and what was there serves on");
        self.world.tell_supervisor(&Course::Kept { reason: format!("the upgrade has failed: {reason}") });
        self.answer(ticket, Answer::Error(reason.to_owned()));
        self.next_reload();
    }

    /// Ends a probe that takes too long.
    pub(super) fn watch_probe(&mut self) {
        let now = self.facts.now;
        if let Some(upgrade) = &mut self.upgrade
            && upgrade.deadline.is_some_and(|deadline| deadline <= now)
        {
            upgrade.deadline = None;
            upgrade.reason = Some("the program on disk takes longer than cluster.ready_timeout".to_owned());
            self.world.kill(upgrade.probe, Signal::Kill);
        }
    }

    pub(super) fn forget_upgrade(&mut self) {
        if let Some(upgrade) = self.upgrade.take() {
            self.world.kill(upgrade.probe, Signal::Kill);
            self.answer(upgrade.ticket, Answer::Error("the cluster stops".to_owned()));
        }
    }
}
