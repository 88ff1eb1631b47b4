//! A reload: a new generation of workers beside the old one, then in its place, or not at all.

use serde_json::json;
use tracing::{error, info};

use super::{Core, Course, Id, Phase, Rules, Ticket, Waits, World};
use crate::control::{Answer, Role, State};

/// A reload under way.
#[derive(Debug)]
pub(super) struct Reload {
    pub(super) generation: u64,
    pub(super) rules: Rules,
    tickets: Vec<Ticket>,
}

impl<W: World> Core<W> {
    /// Starts a reload. Those that are asked for during another are one that follows it.
    pub(crate) fn reload(&mut self, ticket: Option<Ticket>) {
        match self.phase {
            Phase::Serving => {}
            Phase::Starting => return self.refuse(ticket, "the cluster is being started"),
            Phase::Stopping | Phase::Ended => return self.refuse(ticket, "the cluster stops"),
        }
        if self.reload.is_some() || self.upgrade.is_some() {
            self.queued.get_or_insert_default().extend(ticket);
            return self.answer(ticket, Answer::Progress("waiting for what is under way".to_owned()));
        }
        self.begin_reload(ticket.into_iter().collect());
    }

    fn begin_reload(&mut self, tickets: Vec<Ticket>) {
        self.world.tell_supervisor(&Course::Reloading);
        let rules = match self.world.plan() {
            Ok(rules) => rules,
            Err(reason) => return self.reload_failed(&tickets, &reason),
        };
        let (generation, workers) = (self.facts.generation + 1, rules.workers);
        info!(target: "cepa::master", generation, workers, "reload: new workers are being started");
        let progress = format!("generation {generation}: {workers} workers are being started");
        self.answer_all(&tickets, &Answer::Progress(progress));
        self.reload = Some(Reload { generation, rules, tickets });
        for slot in 0..workers {
            // The first one that cannot be started ends the reload, and perhaps begins another.
            if !self.spawn(Role::Worker, slot, Waits::Together) {
                return;
            }
        }
    }

    /// All new workers are ready: they take the places of the old.
    pub(super) fn change_over(&mut self, new: &[Id]) {
        let Some(reload) = self.reload.take_if(|reload| new.len() == reload.rules.workers as usize) else {
            return;
        };
        let Reload { generation, rules, tickets } = reload;
        self.facts.generation = generation;
        self.rules = rules;
        self.world.settle(true);
        for slot in &mut self.facts.slots {
            (slot.retry, slot.failures) = (None, 0);
        }
        let workers = self.rules.workers;
        let old: Vec<(Id, u32)> = self
            .facts
            .children
            .iter()
            .filter(|(_, child)| child.role == Role::Worker && child.generation < generation)
            // The connections of a slot that is no more are spread over the others.
            .map(|(id, child)| (*id, child.slot % workers))
            .collect();
        for (slot, id) in (0..).zip(new) {
            self.go(*id);
            for (old, _) in old.iter().filter(|(_, heir)| *heir == slot) {
                match self.state(*old) {
                    State::Serving => self.drain_to(*old, *id),
                    State::Starting | State::Ready => self.end_now(*old),
                    State::Draining | State::Stopping => {}
                }
            }
        }
        info!(target: "cepa::master", generation, "reload: the new workers serve");
        self.tell_that_it_serves();
        self.answer_all(&tickets, &Answer::Ok(json!({ "generation": generation })));
        self.next_reload();
    }

    /// Ends the new workers, and keeps the old.
    pub(super) fn give_up_reload(&mut self, reason: &str) {
        let Some(reload) = self.reload.take() else { return };
        for id in self.ids(|child| child.role == Role::Worker && child.generation == reload.generation) {
            self.end_now(id);
        }
        self.world.settle(false);
        self.reload_failed(&reload.tickets, reason);
        self.next_reload();
    }

    fn reload_failed(&mut self, tickets: &[Ticket], reason: &str) {
        error!(target: "cepa::master", reason, "reload: it has failed, and what was there serves on");
        self.world.tell_supervisor(&Course::Kept { reason: format!("the reload has failed: {reason}") });
        self.answer_all(tickets, &Answer::Error(reason.to_owned()));
    }

    pub(super) fn next_reload(&mut self) {
        if self.phase == Phase::Serving
            && let Some(tickets) = self.queued.take()
        {
            self.begin_reload(tickets);
        }
    }

    /// Gives up what is under way because the cluster stops.
    pub(super) fn forget_reloads(&mut self) {
        let mut tickets = self.queued.take().unwrap_or_default();
        tickets.extend(self.reload.take().into_iter().flat_map(|reload| reload.tickets));
        self.answer_all(&tickets, &Answer::Error("the cluster stops".to_owned()));
    }

    pub(super) fn refuse(&mut self, ticket: Option<Ticket>, reason: &str) {
        if ticket.is_none() {
            error!(target: "cepa::master", reason, "what a signal asks for is not done");
        }
        self.answer(ticket, Answer::Error(reason.to_owned()));
    }
}
