//! The end of the cluster: the workers first, then the agent.

use serde_json::json;
use tracing::{error, info, warn};

use super::{Core, Course, Phase, Tell, Ticket, World};
use crate::control::{Answer, Role, State};

/// How the cluster has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Somebody has asked for it.
    Asked,
    /// It could not go on, and why.
    Failed(String),
}

impl<W: World> Core<W> {
    /// Stops in order; asked for again by a signal, at once.
    pub(crate) fn stop(&mut self, ticket: Option<Ticket>) {
        self.stops.extend(ticket);
        match self.phase {
            Phase::Starting | Phase::Serving => {
                info!(target: "cepa::master", "stopping: workers finish what they have begun");
                self.begin_stop(Exit::Asked);
            }
            // Who asks by the control socket waits with the others.
            Phase::Stopping if ticket.is_some() => {}
            Phase::Stopping => {
                warn!(target: "cepa::master", "stopping: workers are cut");
                for id in self.ids(|child| child.role == Role::Worker) {
                    self.end_now(id);
                }
            }
            Phase::Ended => {}
        }
    }

    /// Stops because it cannot go on.
    pub(super) fn fail(&mut self, reason: String) {
        if matches!(self.phase, Phase::Starting | Phase::Serving) {
            error!(target: "cepa::master", reason, "the cluster stops");
            self.begin_stop(Exit::Failed(reason));
        }
    }

    fn begin_stop(&mut self, exit: Exit) {
        self.phase = Phase::Stopping;
        self.world.tell_supervisor(&Course::Stopping);
        self.exit = Some(exit);
        self.forget_reloads();
        self.forget_upgrade();
        // Before the workers do: who comes now is refused, instead of waiting for nobody.
        self.world.stop_listening();
        for id in self.ids(|child| child.role == Role::Worker) {
            match self.state(id) {
                State::Starting | State::Ready => self.end_now(id),
                State::Serving => {
                    self.set_draining(id);
                    self.world.tell(id, Tell::Drain);
                }
                State::Draining | State::Stopping => {}
            }
        }
        self.go_on_stopping();
    }

    /// What comes next, after somebody has left.
    pub(super) fn go_on_stopping(&mut self) {
        // The agent is needed as long as there is somebody who could use it.
        if self.facts.children.values().any(|child| child.role == Role::Worker) {
            return;
        }
        for id in self.ids(|_| true) {
            self.end_now(id);
        }
        if self.facts.children.is_empty() {
            self.phase = Phase::Ended;
            let tickets = std::mem::take(&mut self.stops);
            self.answer_all(&tickets, &Answer::Ok(json!({})));
        }
    }
}
