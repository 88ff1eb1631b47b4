//! The ends of processes: those that were told to, and those that were not and have to be replaced.

use tracing::{error, info, warn};

use super::{Core, Id, Phase, Signal, Tell, Waits, World};
use crate::control::{Role, State};

impl<W: World> Core<W> {
    /// A process is gone; `how` is what the system says of that.
    pub(crate) fn ended(&mut self, id: Id, how: &str) {
        if self.is_probe(id) {
            return self.probe_failed(how);
        }
        let Some(child) = self.facts.children.remove(&id) else { return };
        self.runs_ended(id);
        let (role, slot, pid) = (child.role.name(), child.slot, child.pid);
        let reason = child.reason.clone().unwrap_or_else(|| how.to_owned());
        let was_told = matches!(child.state, State::Draining | State::Stopping);
        if was_told {
            info!(target: "cepa::master", role, slot, pid, %reason, "left");
        } else {
            error!(target: "cepa::master", role, slot, pid, %reason, "has ended by itself");
        }
        match self.phase {
            Phase::Stopping => self.go_on_stopping(),
            Phase::Starting => {
                let who = match child.role {
                    Role::Agent => "the agent".to_owned(),
                    Role::Worker => format!("worker {slot}"),
                };
                self.fail(format!("{who} has not started: {reason}"));
            }
            Phase::Serving if !was_told => {
                let of_reload = self.reload.as_ref().is_some_and(|reload| {
                    child.role == Role::Worker
                        && child.waits == Waits::Together
                        && child.generation == reload.generation
                });
                if of_reload {
                    self.give_up_reload(&format!("worker {slot} has not started: {reason}"));
                } else {
                    self.replace(child.role, slot, child.state == State::Serving);
                }
            }
            Phase::Serving | Phase::Ended => {}
        }
    }

    /// Replaces a worker that serves and has said that it does not go on, while it finishes what it has begun.
    pub(super) fn gave_up(&mut self, id: Id) {
        let Some(child) = self.facts.children.get(&id) else { return };
        if self.phase != Phase::Serving || child.role != Role::Worker || child.state != State::Serving {
            return;
        }
        let (slot, pid, reason) = (child.slot, child.pid, child.reason.clone().unwrap_or_default());
        error!(target: "cepa::master", role = Role::Worker.name(), slot, pid, %reason, "leaves by itself");
        self.set_draining(id);
        self.replace(Role::Worker, slot, true);
    }

    /// Starts a process in the place of one that has ended by itself: at once or, if that was a replacement which did
    /// not become ready, a little later.
    fn replace(&mut self, role: Role, slot: u32, was_ready: bool) {
        if self.dies_too_fast() {
            let (count, window) = (self.facts.deaths.len(), self.rules.cluster.refork_window);
            return self.fail(format!("{count} processes have ended by themselves within {window:?}"));
        }
        if role == Role::Worker && slot >= self.rules.workers {
            return;
        }
        let (now, is_filled) = (self.facts.now, self.is_filled(role, slot));
        let (retry, most) = (self.rules.cluster.retry, self.rules.cluster.retry_most);
        let place = self.place(role, slot);
        place.restarts += u64::from(was_ready);
        if was_ready && !is_filled {
            (place.failures, place.retry) = (0, None);
            self.spawn(role, slot, Waits::Alone);
            return;
        }
        let delay = retry.saturating_mul(1 << place.failures.min(16)).min(most);
        let delay = (delay.as_secs_f64().ceil() as u64).max(1);
        place.failures += 1;
        if is_filled {
            // It was to replace one that has done enough, which goes on for now.
            place.rest = now + delay;
        } else {
            place.retry = Some(now + delay);
            warn!(target: "cepa::master", role = role.name(), slot, seconds = delay, "another try follows");
        }
    }

    /// Counts one that has ended by itself.
    fn dies_too_fast(&mut self) -> bool {
        let now = self.facts.now;
        let window = self.rules.cluster.refork_window.as_secs_f64().ceil() as u64;
        self.facts.deaths.push_back(now);
        while self.facts.deaths.front().is_some_and(|death| death + window <= now) {
            self.facts.deaths.pop_front();
        }
        self.facts.deaths.len() > self.rules.cluster.reforks as usize
    }

    /// Whether somebody serves in a place, or will without having to wait for others.
    pub(super) fn is_filled(&self, role: Role, slot: u32) -> bool {
        self.facts.children.values().any(|child| {
            let counts = match child.state {
                State::Serving => true,
                State::Starting | State::Ready => child.waits == Waits::Alone,
                State::Draining | State::Stopping => false,
            };
            counts && child.role == role && child.slot == slot
        })
    }

    /// Starts what was put off until now.
    pub(super) fn retry(&mut self) {
        if self.phase != Phase::Serving {
            return;
        }
        let now = self.facts.now;
        let is_due = |retry: Option<u64>| retry.is_some_and(|retry| retry <= now);
        let slots = self.facts.slots.iter().zip(0..self.rules.workers);
        let mut due: Vec<_> =
            slots.filter(|(slot, _)| is_due(slot.retry)).map(|(_, at)| (Role::Worker, at)).collect();
        if is_due(self.facts.agent.retry) {
            due.push((Role::Agent, 0));
        }
        for (role, slot) in due {
            self.place(role, slot).retry = None;
            if !self.is_filled(role, slot) {
                self.spawn(role, slot, Waits::Alone);
            }
        }
    }

    /// Has a worker that serves finish, and give its connections to another.
    pub(super) fn drain_to(&mut self, from: Id, to: Id) {
        self.set_draining(from);
        self.world.hand_over(from, to);
    }

    pub(super) fn set_draining(&mut self, id: Id) {
        let kill_after = self.rules.cluster.kill_after.as_secs_f64();
        let deadline = self.rules.drain.and_then(|drain| self.after(drain as f64 + kill_after));
        if let Some(child) = self.facts.children.get_mut(&id) {
            child.state = State::Draining;
            child.deadline = deadline;
        }
    }

    /// Has a process leave at once: one that has nothing to finish, or may not.
    pub(super) fn end_now(&mut self, id: Id) {
        let deadline = self.after(self.rules.cluster.kill_after.as_secs_f64());
        let Some(child) = self.facts.children.get_mut(&id) else { return };
        if child.state == State::Stopping {
            return;
        }
        let builds = child.state == State::Starting;
        child.state = State::Stopping;
        child.deadline = deadline;
        self.world.tell(id, if child.role == Role::Agent { Tell::Drain } else { Tell::Cut });
        if builds {
            // It does not listen before it is ready.
            self.world.kill(id, Signal::Terminate);
        }
    }

    pub(super) fn kill(&mut self, id: Id, reason: String) {
        let Some(child) = self.facts.children.get_mut(&id) else { return };
        let (role, slot, pid) = (child.role.name(), child.slot, child.pid);
        warn!(target: "cepa::master", role, slot, pid, reason, "killed");
        child.reason = Some(reason);
        child.deadline = None;
        self.world.kill(id, Signal::Kill);
    }
}
