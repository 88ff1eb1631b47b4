//! What the master decides: which processes there are to be, and what each is told. It has no process, no socket and no
//! clock: those are a [`World`], and time is counted in ticks of a second that it is told of.
//!
//! A worker has a *slot*, which stands for a share of the listening sockets. What holds at any time while the cluster
//! serves: in each slot somebody serves, or is being started, or will be at a tick that is set.

mod by_hand;
mod ends;
mod reload;
mod stop;
#[cfg(test)]
mod tests;
mod upgrade;
mod watch;

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use tracing::{debug, error};

use crate::{
    control::{
        Answer, AppStatus, ProcessStatus, Request, Role, State,
        apps::{self, AppFigures},
    },
    ipc::{Report, Vitals},
};

use by_hand::Runs;
use reload::Reload;
pub(crate) use stop::Exit;
use upgrade::Upgrade;

use super::world::{Course, Id, Kind, Rules, Signal, Spec, Tell, Ticket, World};

/// What goes on in the next program when the master is upgraded.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Ticks since the start.
    pub(crate) now: u64,
    next: Id,
    pub(crate) generation: u64,
    pub(crate) children: BTreeMap<Id, Child>,
    slots: Vec<Slot>,
    agent: Slot,
    /// When processes have ended by themselves.
    deaths: VecDeque<u64>,
}

/// A process.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Child {
    role: Role,
    slot: u32,
    generation: u64,
    pub(crate) pid: u32,
    state: State,
    born: u64,
    /// When it is killed if it has not done what it is at.
    deadline: Option<u64>,
    /// Ticks since it was last heard of.
    silent: u64,
    vitals: Vitals,
    requests_per_s: u64,
    /// Not told to a master that takes over: it hears of them soon.
    #[serde(skip)]
    apps: AppFigures,
    waits: Waits,
    /// Why it wishes to be replaced.
    retires: Option<String>,
    /// Why it ends, as far as that is known.
    reason: Option<String>,
}

/// What a worker that is ready waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Waits {
    /// For all others of its generation.
    Together,
    /// For nothing.
    Alone,
}

/// The history of a place.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Slot {
    restarts: u64,
    /// Replacements in a row that did not become ready.
    failures: u32,
    /// When the next one is started.
    retry: Option<u64>,
    /// Not recycled before.
    rest: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Starting,
    Serving,
    Stopping,
    Ended,
}

pub(crate) struct Core<W> {
    pub(crate) world: W,
    rules: Rules,
    facts: Facts,
    phase: Phase,
    reload: Option<Reload>,
    /// Who waits for the reload after that one.
    queued: Option<Vec<Ticket>>,
    upgrade: Option<Upgrade>,
    stops: Vec<Ticket>,
    /// Schedules that are run by hand.
    runs: Runs,
    exit: Option<Exit>,
}

impl<W: World> Core<W> {
    /// A cluster that is to be started.
    pub(crate) fn new(world: W, rules: Rules) -> Self {
        Self::of(world, rules, Facts { generation: 1, ..Facts::default() }, Phase::Starting)
    }

    /// The cluster that an earlier program of this process has had.
    pub(crate) fn resume(world: W, rules: Rules, facts: Facts) -> Self {
        Self::of(world, rules, facts, Phase::Serving)
    }

    fn of(world: W, rules: Rules, facts: Facts, phase: Phase) -> Self {
        let (reload, queued, upgrade, stops, exit) = (None, None, None, Vec::new(), None);
        let runs = Runs::default();
        let mut core = Self { world, rules, facts, phase, reload, queued, upgrade, stops, runs, exit };
        core.make_slots();
        core
    }

    /// Starts the agent, and with it everything.
    pub(crate) fn start(&mut self) {
        self.spawn(Role::Agent, 0, Waits::Together);
    }

    /// How it ended, once nothing is left.
    pub(crate) fn exit(&self) -> Option<&Exit> {
        self.exit.as_ref().filter(|_| self.phase == Phase::Ended)
    }

    pub(crate) fn pid(&self, id: Id) -> Option<u32> {
        self.facts.children.get(&id).map(|child| child.pid)
    }

    pub(crate) fn now(&self) -> u64 {
        self.facts.now
    }

    pub(crate) fn generation(&self) -> u64 {
        self.facts.generation
    }

    /// What a process says.
    pub(crate) fn report(&mut self, id: Id, report: Report) {
        if self.is_probe(id) {
            return self.probed(report);
        }
        let Some(child) = self.facts.children.get_mut(&id) else { return };
        match report {
            Report::Ready if child.state == State::Starting => self.ready(id),
            Report::Ready => {}
            Report::Failed { reason } => {
                child.reason = Some(reason);
                self.gave_up(id);
            }
            Report::Beat(vitals) => {
                child.silent = 0;
                child.requests_per_s = vitals.requests.saturating_sub(child.vitals.requests);
                child.vitals = vitals;
            }
            Report::Retire { reason } => child.retires = Some(reason),
            Report::ScheduleRan { run, ended } => self.schedule_ran(id, run, ended),
            Report::Figures(figures) => apps::take(&mut child.apps, figures),
        }
    }

    /// What somebody asks for.
    pub(crate) fn request(&mut self, ticket: Option<Ticket>, request: &Request) {
        match request {
            Request::Reload => self.reload(ticket),
            Request::Upgrade => self.upgrade(ticket),
            Request::Stop => self.stop(ticket),
            Request::Reopen => {
                self.world.reopen();
                for id in self.ids(|_| true) {
                    self.world.tell(id, Tell::Reopen);
                }
                self.answer(ticket, Answer::Ok(serde_json::json!({})));
            }
            Request::RunSchedule { name } => self.run_schedule(ticket, name),
            // The world knows of the master.
            Request::Status => {
                self.answer(ticket, Answer::Error("this cannot be asked for here".to_owned()));
            }
        }
    }

    fn ready(&mut self, id: Id) {
        let Some(child) = self.facts.children.get_mut(&id) else { return };
        child.state = State::Ready;
        child.deadline = None;
        let (role, slot, waits) = (child.role, child.slot, child.waits);
        debug!(target: "cepa::master", role = role.name(), slot, pid = child.pid, "ready");
        if waits == Waits::Alone {
            self.place(role, slot).failures = 0;
        }
        match role {
            Role::Agent => {
                self.go(id);
                if self.phase == Phase::Starting {
                    for slot in 0..self.rules.workers {
                        self.spawn(Role::Worker, slot, Waits::Together);
                    }
                }
            }
            Role::Worker if waits == Waits::Alone => self.take_slot(id),
            Role::Worker => self.generation_ready(),
        }
    }

    /// If all workers that wait for each other are ready, they serve.
    fn generation_ready(&mut self) {
        let waiting = self.ids(|child| child.role == Role::Worker && child.waits == Waits::Together);
        let waiting: Vec<_> = waiting
            .into_iter()
            .filter(|id| matches!(self.state(*id), State::Starting | State::Ready))
            .collect();
        if waiting.iter().any(|id| self.state(*id) == State::Starting) {
            return;
        }
        match self.phase {
            Phase::Starting => {
                waiting.into_iter().for_each(|id| self.go(id));
                self.phase = Phase::Serving;
                self.world.ready();
                self.tell_that_it_serves();
            }
            Phase::Serving => self.change_over(&waiting),
            Phase::Stopping | Phase::Ended => {}
        }
    }

    pub(super) fn tell_that_it_serves(&mut self) {
        let (generation, workers) = (self.facts.generation, self.rules.workers);
        self.world.tell_supervisor(&Course::Serving { generation, workers });
    }

    /// Has a worker take over its slot from whoever is there.
    fn take_slot(&mut self, id: Id) {
        if self.phase != Phase::Serving {
            return;
        }
        let Some(slot) = self.facts.children.get(&id).map(|child| child.slot) else { return };
        self.go(id);
        for other in self.ids(|child| child.role == Role::Worker && child.slot == slot) {
            match self.state(other) {
                State::Serving if other != id => self.drain_to(other, id),
                // One that was started later is about to take over itself.
                State::Starting | State::Ready if other < id && self.is_alone(other) => self.end_now(other),
                _ => {}
            }
        }
    }

    fn go(&mut self, id: Id) {
        if let Some(child) = self.facts.children.get_mut(&id) {
            child.state = State::Serving;
            child.silent = 0;
            self.world.tell(id, Tell::Go);
        }
    }

    /// Makes a process for a place, and says whether there is one. If not it is as if it had ended at once.
    fn spawn(&mut self, role: Role, slot: u32, waits: Waits) -> bool {
        if matches!(self.phase, Phase::Stopping | Phase::Ended) {
            return false;
        }
        let id = self.facts.next;
        self.facts.next += 1;
        let (generation, is_new) = match &self.reload {
            Some(reload) if waits == Waits::Together => (reload.generation, true),
            _ => (self.facts.generation, false),
        };
        let kind = if role == Role::Agent { Kind::Agent } else { Kind::Worker };
        let spawned = self.world.spawn(id, Spec { kind, slot, generation, is_new });
        let deadline = self.after(self.limits().cluster.ready_timeout.as_secs_f64());
        let child = Child {
            role,
            slot,
            generation,
            pid: *spawned.as_ref().unwrap_or(&0),
            state: State::Starting,
            born: self.facts.now,
            deadline,
            silent: 0,
            vitals: Vitals::default(),
            requests_per_s: 0,
            apps: AppFigures::new(),
            waits,
            retires: None,
            reason: None,
        };
        debug!(target: "cepa::master", role = role.name(), slot, pid = child.pid, generation, "started");
        self.facts.children.insert(id, child);
        if let Err(error) = spawned {
            error!(target: "cepa::master", role = role.name(), slot, %error, "the program cannot be started");
            self.ended(id, &format!("the program cannot be started: {error}"));
            return false;
        }
        true
    }

    /// The tick that is so many seconds away; none for 0.
    fn after(&self, seconds: f64) -> Option<u64> {
        // One more, because this tick may be about to end.
        (seconds > 0.0).then(|| self.facts.now + seconds.ceil() as u64 + 1)
    }

    /// The rules for what is started now.
    fn limits(&self) -> &Rules {
        self.reload.as_ref().map_or(&self.rules, |reload| &reload.rules)
    }

    fn place(&mut self, role: Role, slot: u32) -> &mut Slot {
        self.make_slots();
        match role {
            Role::Agent => &mut self.facts.agent,
            Role::Worker => {
                let at = slot as usize;
                if at >= self.facts.slots.len() {
                    self.facts.slots.resize_with(at + 1, Slot::default);
                }
                &mut self.facts.slots[at]
            }
        }
    }

    fn make_slots(&mut self) {
        let count = self.facts.slots.len().max(self.rules.workers as usize);
        self.facts.slots.resize_with(count, Slot::default);
    }

    fn ids(&self, of: impl Fn(&Child) -> bool) -> Vec<Id> {
        self.facts.children.iter().filter(|(_, child)| of(child)).map(|(id, _)| *id).collect()
    }

    fn state(&self, id: Id) -> State {
        self.facts.children.get(&id).map_or(State::Stopping, |child| child.state)
    }

    fn is_alone(&self, id: Id) -> bool {
        self.facts.children.get(&id).is_some_and(|child| child.waits == Waits::Alone)
    }

    fn answer(&mut self, ticket: Option<Ticket>, answer: Answer) {
        if let Some(ticket) = ticket {
            self.world.answer(ticket, answer);
        }
    }

    fn answer_all(&mut self, tickets: &[Ticket], answer: &Answer) {
        for ticket in tickets {
            self.world.answer(*ticket, answer.clone());
        }
    }

    /// What the apps have done, in all processes that are there.
    pub(crate) fn apps(&self) -> Vec<AppStatus> {
        apps::merged(self.facts.children.values().map(|child| &child.apps))
    }

    /// What runs, but for the master.
    pub(crate) fn processes(&self) -> Vec<ProcessStatus> {
        let mut children: Vec<_> = self.facts.children.values().collect();
        children.sort_by_key(|child| (child.role, child.slot));
        let status = |child: &&Child| ProcessStatus {
            role: child.role,
            slot: child.slot,
            pid: child.pid,
            generation: child.generation,
            state: child.state,
            uptime_s: self.facts.now - child.born,
            connections: child.vitals.connections,
            requests: child.vitals.requests,
            requests_per_s: child.requests_per_s,
            memory_bytes: child.vitals.memory,
            restarts: match child.role {
                Role::Agent => self.facts.agent.restarts,
                Role::Worker => self.facts.slots.get(child.slot as usize).map_or(0, |slot| slot.restarts),
            },
        };
        children.iter().map(status).collect()
    }
}
