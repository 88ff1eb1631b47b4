//! Schedules that are run by hand: in which worker, and who waits for the outcome.

use serde_json::json;
use tracing::info;

use super::{Core, Id, Phase, Ticket, World};
use crate::{
    control::{Answer, Role, State},
    schedule::Outcome,
};

/// Runs under way.
#[derive(Debug, Default)]
pub(super) struct Runs(Vec<Run>);

#[derive(Debug)]
struct Run {
    number: u64,
    worker: Id,
    ticket: Option<Ticket>,
}

impl Runs {
    /// Takes out those that are meant.
    fn take(&mut self, is_meant: impl Fn(&Run) -> bool) -> Vec<Option<Ticket>> {
        self.0.extract_if(.., |run| is_meant(run)).map(|run| run.ticket).collect()
    }
}

impl<W: World> Core<W> {
    /// Has a worker run a schedule: the one that was started last, which has the newest program.
    pub(super) fn run_schedule(&mut self, ticket: Option<Ticket>, name: &str) {
        let workers = self.ids(|child| child.role == Role::Worker && child.state == State::Serving);
        let Some(worker) = workers.into_iter().max().filter(|_| self.phase == Phase::Serving) else {
            return self.refuse(ticket, "no worker serves that could run it");
        };
        // Not used by the program before this one, of whose runs a worker may still tell.
        let number = self.facts.next;
        self.facts.next += 1;
        info!(target: "cepa::master", schedule = name, "is run by hand");
        self.runs.0.push(Run { number, worker, ticket });
        self.world.run_schedule(worker, number, name);
    }

    /// A worker says what came of a schedule.
    pub(super) fn schedule_ran(&mut self, id: Id, number: u64, ended: Result<Outcome, String>) {
        let tickets = self.runs.take(|run| run.worker == id && run.number == number);
        let answer = match ended {
            Ok(outcome) => Answer::Ok(json!({ "outcome": outcome })),
            Err(reason) => Answer::Error(reason),
        };
        tickets.into_iter().for_each(|ticket| self.answer(ticket, answer.clone()));
    }

    /// A worker has ended, and what it ran with it.
    pub(super) fn runs_ended(&mut self, id: Id) {
        let tickets = self.runs.take(|run| run.worker == id);
        for ticket in tickets {
            self.refuse(ticket, "the worker that ran it has left before it said how that ended");
        }
    }
}
