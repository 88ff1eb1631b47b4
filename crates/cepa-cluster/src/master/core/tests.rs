use std::{io, time::Duration};

use super::*;
use crate::{config::ClusterConfig, schedule::Outcome};
use proptest::prelude::*;

/// A world that writes down what it is told.
#[derive(Default)]
struct Paper {
    done: Vec<String>,
    /// Who is alive.
    alive: Vec<Id>,
    /// Processes that cannot be made.
    broken: bool,
    workers: u32,
    plan_fails: bool,
    ready: bool,
}

impl World for Paper {
    fn spawn(&mut self, id: Id, spec: Spec) -> io::Result<u32> {
        if self.broken {
            return Err(io::ErrorKind::NotFound.into());
        }
        self.done.push(format!("{id}: {:?} {} of {}", spec.kind, spec.slot, spec.generation));
        self.alive.push(id);
        Ok(1000 + id as u32)
    }

    fn tell(&mut self, id: Id, what: Tell) {
        assert!(self.alive.contains(&id), "{id} is told {what:?} and is gone");
        self.done.push(format!("{id}: {what:?}"));
    }

    fn run_schedule(&mut self, id: Id, number: u64, name: &str) {
        assert!(self.alive.contains(&id));
        self.done.push(format!("{id}: run {name} as {number}"));
    }

    fn hand_over(&mut self, from: Id, to: Id) {
        assert!(self.alive.contains(&from) && self.alive.contains(&to));
        self.done.push(format!("{from} -> {to}"));
    }

    fn kill(&mut self, id: Id, signal: Signal) {
        self.done.push(format!("{id}: {signal:?}"));
    }

    fn plan(&mut self) -> Result<Rules, String> {
        if self.plan_fails { Err("no plan".to_owned()) } else { Ok(rules(self.workers)) }
    }

    fn settle(&mut self, kept: bool) {
        self.done.push(format!("plan kept: {kept}"));
    }

    fn ready(&mut self) {
        self.ready = true;
    }

    fn stop_listening(&mut self) {
        self.done.push("stop listening".to_owned());
    }

    fn reopen(&mut self) {}

    fn answer(&mut self, ticket: Ticket, answer: Answer) {
        if !matches!(answer, Answer::Progress(_)) {
            self.done.push(format!("#{ticket} {}", crate::control::line(&answer).trim_end()));
        }
    }

    fn upgrade(&mut self, _: &Facts, _: Option<Ticket>) -> String {
        self.done.push("upgrade".to_owned());
        "it did not work".to_owned()
    }
}

fn rules(workers: u32) -> Rules {
    let cluster =
        ClusterConfig { reforks: 5, beat_timeout: Duration::from_secs(3), ..ClusterConfig::default() };
    Rules { workers, drain: Some(2), cluster }
}

type Paperwork = Core<Paper>;

impl Paperwork {
    fn say(&mut self, id: Id, report: Report) {
        if self.world.alive.contains(&id) {
            self.report(id, report);
        }
    }

    fn end(&mut self, id: Id, how: &str) {
        if let Some(at) = self.world.alive.iter().position(|alive| *alive == id) {
            self.world.alive.remove(at);
            self.ended(id, how);
        }
    }

    fn take(&mut self) -> Vec<String> {
        std::mem::take(&mut self.world.done)
    }

    fn ticks(&mut self, count: u32) {
        for _ in 0..count {
            self.tick();
            for id in self.world.alive.clone() {
                self.say(id, Report::Beat(Vitals::default()));
            }
        }
    }
}

/// A cluster of an agent, 0, and workers, from 1 on.
fn serving(workers: u32) -> Paperwork {
    let mut core = Core::new(Paper { workers, ..Paper::default() }, rules(workers));
    core.start();
    for id in 0..=u64::from(workers) {
        core.say(id, Report::Ready);
    }
    assert!(core.world.ready);
    core.take();
    core
}

fn failed(reason: &str) -> Report {
    Report::Failed { reason: reason.to_owned() }
}

#[test]
fn the_agent_is_ready_before_the_workers_are_made_and_all_serve_together() {
    let mut core = Core::new(Paper::default(), rules(2));
    core.start();
    assert_eq!(core.take(), ["0: Agent 0 of 1"]);
    core.say(0, Report::Ready);
    assert_eq!(core.take(), ["0: Go", "1: Worker 0 of 1", "2: Worker 1 of 1"]);
    core.say(2, Report::Ready);
    assert_eq!((core.take().len(), core.world.ready), (0, false));
    core.say(1, Report::Ready);
    assert_eq!((core.take(), core.world.ready), (vec!["1: Go".to_owned(), "2: Go".to_owned()], true));
}

#[test]
fn a_start_that_fails_ends_everything_with_the_reason() {
    let mut core = Core::new(Paper::default(), rules(2));
    core.start();
    core.say(0, Report::Ready);
    core.take();
    core.say(1, failed("no database"));
    core.end(1, "exited with 1");
    assert_eq!(core.take(), ["stop listening", "2: Cut", "2: Terminate"]);
    core.end(2, "killed");
    assert_eq!(core.take(), ["0: Drain"]);
    core.end(0, "exited with 0");
    let reason = "worker 0 has not started: no database".to_owned();
    assert_eq!(core.exit(), Some(&Exit::Failed(reason)));

    let mut core = Core::new(Paper { broken: true, ..Paper::default() }, rules(2));
    core.start();
    assert!(
        matches!(core.exit(), Some(Exit::Failed(reason)) if reason.starts_with("the agent has not started"))
    );

    let mut late = Core::new(Paper::default(), rules(1));
    late.start();
    late.ticks(61);
    assert_eq!(late.take(), ["0: Agent 0 of 1", "0: Kill"]);
    late.end(0, "killed by signal 9");
    assert!(matches!(late.exit(), Some(Exit::Failed(reason)) if reason.contains("not ready within 60s")));
}

#[test]
fn who_ends_by_itself_is_replaced_at_once() {
    let mut core = serving(2);
    core.end(1, "killed by signal 9");
    assert_eq!(core.take(), ["3: Worker 0 of 1"]);
    core.say(3, Report::Ready);
    assert_eq!(core.take(), ["3: Go"]);
    core.end(0, "exited with 101");
    assert_eq!(core.take(), ["4: Agent 0 of 1"]);
    core.say(4, Report::Ready);
    assert_eq!(core.take(), ["4: Go"]);
    let restarts: Vec<_> = core.processes().iter().map(|process| process.restarts).collect();
    assert_eq!(restarts, [1, 1, 0]);
}

#[test]
fn a_replacement_that_does_not_start_is_tried_again_at_longer_and_longer_intervals() {
    let mut core = serving(1);
    core.end(1, "killed by signal 9");
    core.take();
    let mut waited = Vec::new();
    for id in 2..5 {
        core.end(id, "exited with 1");
        let mut ticks = 0;
        while core.take().is_empty() {
            core.ticks(1);
            ticks += 1;
        }
        waited.push(ticks);
    }
    assert_eq!(waited, [1, 2, 4]);
    core.say(5, Report::Ready);
    assert_eq!(core.take(), ["5: Go"]);
}

#[test]
fn a_cluster_whose_processes_die_too_fast_stops() {
    let mut core = serving(1);
    for id in 1..=6 {
        core.say(id, Report::Ready);
        core.end(id, "exited with 101");
    }
    core.end(0, "exited with 0");
    let reason = "6 processes have ended by themselves within 60s".to_owned();
    assert_eq!(core.exit(), Some(&Exit::Failed(reason)));
    // Over a longer time the same is no reason.
    let mut core = serving(1);
    for id in 1..=20 {
        core.say(id, Report::Ready);
        core.end(id, "exited with 101");
        core.ticks(13);
    }
    assert_eq!(core.exit(), None);
}

#[test]
fn a_worker_that_is_silent_is_killed() {
    let mut core = serving(2);
    for _ in 0..4 {
        core.tick();
        core.say(0, Report::Beat(Vitals::default()));
        core.say(1, Report::Beat(Vitals::default()));
    }
    assert_eq!(core.take(), ["2: Kill"]);
    core.end(2, "killed by signal 9");
    assert_eq!(core.take(), ["3: Worker 1 of 1"]);
}

#[test]
fn a_reload_changes_over_when_all_are_ready() {
    let mut core = serving(2);
    core.request(Some(7), &Request::Reload);
    assert_eq!(core.take(), ["3: Worker 0 of 2", "4: Worker 1 of 2"]);
    core.say(4, Report::Ready);
    // Another one follows, however many ask for it.
    core.request(Some(8), &Request::Reload);
    core.request(None, &Request::Reload);
    core.request(Some(9), &Request::Reload);
    assert!(core.take().is_empty());
    core.say(3, Report::Ready);
    let first = [
        "plan kept: true",
        "3: Go",
        "1 -> 3",
        "4: Go",
        "2 -> 4",
        "#7 {\"ok\":{\"generation\":2}}",
        "5: Worker 0 of 3",
        "6: Worker 1 of 3",
    ];
    assert_eq!(core.take(), first);
    core.end(1, "exited with 0");
    core.end(2, "exited with 0");
    core.say(5, Report::Ready);
    core.say(6, Report::Ready);
    let answers = ["#8 {\"ok\":{\"generation\":3}}", "#9 {\"ok\":{\"generation\":3}}"];
    assert_eq!(core.take()[5..], answers);
}

#[test]
fn a_reload_that_fails_keeps_what_was_there() {
    let mut core = serving(2);
    core.request(Some(7), &Request::Reload);
    core.say(3, Report::Ready);
    core.take();
    core.say(4, failed("a typo"));
    core.end(4, "exited with 1");
    let reason = "#7 {\"error\":\"worker 1 has not started: a typo\"}";
    assert_eq!(core.take(), ["3: Cut", "plan kept: false", reason]);
    core.end(3, "exited with 0");
    assert_eq!((core.take().len(), core.generation(), core.processes().len()), (0, 1, 3));

    core.world.plan_fails = true;
    core.request(Some(8), &Request::Reload);
    assert_eq!(core.take(), ["#8 {\"error\":\"no plan\"}"]);
    core.world.plan_fails = false;
    core.world.broken = true;
    core.request(Some(9), &Request::Reload);
    assert!(core.take().iter().any(|line| line.starts_with("#9 {\"error\":\"worker 0 has not started")));
    core.request(Some(10), &Request::Reload);
    assert!(core.exit().is_none());
}

#[test]
fn a_worker_that_dies_during_a_reload_is_replaced_for_the_time_being() {
    let mut core = serving(2);
    core.request(Some(7), &Request::Reload);
    core.take();
    core.end(1, "killed by signal 9");
    assert_eq!(core.take(), ["5: Worker 0 of 1"]);
    core.say(3, Report::Ready);
    core.say(4, Report::Ready);
    let done = core.take();
    assert_eq!(done[1..6], ["3: Go", "5: Cut", "5: Terminate", "4: Go", "2 -> 4"]);
}

#[test]
fn the_number_of_slots_may_change() {
    let mut core = serving(3);
    core.world.workers = 2;
    core.request(None, &Request::Reload);
    core.say(4, Report::Ready);
    core.say(5, Report::Ready);
    assert_eq!(core.take()[3..], ["4: Go", "1 -> 4", "3 -> 4", "5: Go", "2 -> 5"]);
    // One that is of a slot which is no more is not replaced.
    core.end(3, "killed by signal 9");
    assert!(core.take().is_empty());
}

#[test]
fn a_worker_that_has_done_enough_is_replaced_without_a_gap_one_after_the_other() {
    let mut core = serving(2);
    core.rules.cluster.recycle.requests = 10;
    core.rules.cluster.beat_timeout = Duration::ZERO;
    for id in [1, 2] {
        core.say(id, Report::Beat(Vitals { requests: 10, ..Vitals::default() }));
    }
    core.tick();
    core.tick();
    assert_eq!(core.take(), ["3: Worker 0 of 1"]);
    core.say(3, Report::Ready);
    assert_eq!(core.take(), ["3: Go", "1 -> 3"]);
    core.tick();
    assert_eq!(core.take(), ["4: Worker 1 of 1"]);
    // It does not start: the old one serves on, and there is another try.
    core.end(4, "exited with 1");
    core.tick();
    core.tick();
    assert_eq!(core.take(), ["5: Worker 1 of 1"]);

    let mut core = serving(1);
    core.say(1, Report::Retire { reason: "SIGTERM".to_owned() });
    core.tick();
    assert_eq!(core.take(), ["2: Worker 0 of 1"]);
}

#[test]
fn a_stop_is_first_in_order_then_at_once_then_by_force() {
    let mut core = serving(2);
    core.request(Some(7), &Request::Stop);
    assert_eq!(core.take(), ["stop listening", "1: Drain", "2: Drain"]);
    core.request(Some(8), &Request::Reload);
    assert_eq!(core.take(), ["#8 {\"error\":\"the cluster stops\"}"]);
    core.end(1, "exited with 0");
    assert!(core.take().is_empty());
    core.request(None, &Request::Stop);
    assert_eq!(core.take(), ["2: Cut"]);
    core.ticks(6);
    assert_eq!(core.take(), ["2: Kill"]);
    core.end(2, "killed by signal 9");
    assert_eq!(core.take(), ["0: Drain"]);
    core.ticks(6);
    assert_eq!(core.take(), ["0: Kill"]);
    core.end(0, "killed by signal 9");
    assert_eq!(core.take(), ["#7 {\"ok\":{}}"]);
    assert_eq!(core.exit(), Some(&Exit::Asked));
}

#[test]
fn a_drain_has_its_time() {
    let mut core = serving(1);
    core.stop(None);
    core.take();
    // Two seconds of drain, five to end, and the one that is running.
    core.ticks(7);
    assert!(core.take().is_empty());
    core.ticks(1);
    assert_eq!(core.take(), ["1: Kill"]);
}

#[test]
fn a_worker_that_gives_up_is_replaced_while_it_finishes() {
    let mut core = serving(1);
    core.say(1, failed("the moon is full"));
    assert_eq!(core.take(), ["2: Worker 0 of 1"]);
    // Once is enough.
    core.say(1, failed("the moon is still full"));
    core.say(2, Report::Ready);
    assert_eq!(core.take(), ["2: Go"]);
    core.end(1, "exited with 1");
    assert!(core.take().is_empty());
    let worker = &core.processes()[1];
    assert_eq!((worker.state, worker.restarts), (State::Serving, 1));
    // It counts as one that has ended by itself.
    for id in 2..=6 {
        core.say(id, failed("the moon is full"));
        core.say(id + 1, Report::Ready);
    }
    assert!(core.take().contains(&"stop listening".to_owned()));
}

#[test]
fn an_upgrade_needs_a_program_that_can_go_on() {
    let mut core = serving(1);
    core.request(Some(7), &Request::Upgrade);
    assert_eq!(core.take(), ["2: Probe 0 of 1"]);
    core.request(Some(8), &Request::Upgrade);
    assert_eq!(core.take(), ["#8 {\"error\":\"a reload or an upgrade is under way\"}"]);
    core.say(2, failed("it is none of ours"));
    core.end(2, "exited with 1");
    assert_eq!(core.take(), ["#7 {\"error\":\"it is none of ours\"}"]);
    core.request(Some(9), &Request::Upgrade);
    core.say(3, Report::Ready);
    core.end(3, "exited with 0");
    assert_eq!((core.take(), core.is_upgrade_due()), (vec!["3: Probe 0 of 1".to_owned()], true));
    // Had it worked, nobody would be here to hear of it.
    core.leave_to_next();
    assert_eq!(core.take(), ["upgrade", "#9 {\"error\":\"it did not work\"}"]);
    core.request(Some(10), &Request::Upgrade);
    core.ticks(61);
    assert_eq!(core.take(), ["4: Probe 0 of 1", "4: Kill"]);
    core.end(4, "killed by signal 9");
    assert!(core.take()[0].contains("ready_timeout"));
}

#[test]
fn what_goes_on_in_the_next_program_is_the_same() {
    let mut core = serving(2);
    core.end(1, "killed by signal 9");
    core.ticks(5);
    let facts = serde_json::to_string(&core.facts).unwrap();
    let facts = serde_json::from_str(&facts).unwrap();
    let world = Paper { workers: 2, alive: core.world.alive.clone(), ..Paper::default() };
    let mut next = Core::resume(world, rules(2), facts);
    assert_eq!(next.processes(), core.processes());
    next.say(3, Report::Ready);
    assert_eq!(next.take(), ["3: Go"]);
    next.reload(None);
    assert_eq!(next.take(), ["4: Worker 0 of 2", "5: Worker 1 of 2"]);
}

#[derive(Clone, Copy, Debug)]
enum Happening {
    Ready(usize),
    End(usize),
    Tick(u32),
    Reload,
    Upgrade,
    Recycle(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    prop_oneof![
        4 => (0_usize..12).prop_map(Happening::Ready),
        2 => (0_usize..12).prop_map(Happening::End),
        3 => (1_u32..20).prop_map(Happening::Tick),
        1 => Just(Happening::Reload),
        1 => Just(Happening::Upgrade),
        1 => (0_usize..12).prop_map(Happening::Recycle),
    ]
}

proptest! {
    #[test]
    fn whatever_happens_every_slot_is_looked_after_and_the_end_comes(
        happenings in prop::collection::vec(happening(), 0..80), workers in 1_u32..4,
    ) {
        let mut core = serving(workers);
        for happening in happenings {
            // A reload brings rules of its own.
            core.rules.cluster.reforks = 1000;
            let alive = core.world.alive.clone();
            let who = |at: usize| alive.get(at).copied().unwrap_or(u64::MAX);
            match happening {
                Happening::Ready(at) => core.say(who(at), Report::Ready),
                Happening::End(at) => core.end(who(at), "killed by signal 9"),
                Happening::Tick(count) => core.ticks(count),
                Happening::Reload => core.reload(None),
                Happening::Upgrade if core.is_upgrade_due() => core.leave_to_next(),
                Happening::Upgrade => core.upgrade(None),
                Happening::Recycle(at) => core.say(who(at), Report::Retire { reason: "?".to_owned() }),
            }
            for slot in 0..workers {
                let place = &core.facts.slots[slot as usize];
                prop_assert!(core.is_filled(Role::Worker, slot) || place.retry.is_some(), "slot {}", slot);
                let serving = core.facts.children.values().filter(|child| {
                    child.role == Role::Worker && child.slot == slot && child.state == State::Serving
                });
                prop_assert!(serving.count() <= 1);
            }
            prop_assert!(core.is_filled(Role::Agent, 0) || core.facts.agent.retry.is_some());
        }
        core.stop(None);
        while let Some(id) = core.world.alive.first().copied() {
            prop_assert!(core.exit().is_none() || core.is_probe(id) || !core.facts.children.contains_key(&id));
            core.end(id, "exited with 0");
        }
        prop_assert_eq!(core.exit(), Some(&Exit::Asked));
        prop_assert!(core.facts.children.is_empty());
    }
}

#[test]
fn a_schedule_is_run_by_the_newest_worker_and_whoever_asked_hears_of_its_end() {
    let run = |name: &str| Request::RunSchedule { name: name.to_owned() };
    let mut core = Core::new(Paper { workers: 2, ..Paper::default() }, rules(2));
    core.start();
    core.request(Some(1), &run("a"));
    assert!(core.take().contains(&"#1 {\"error\":\"no worker serves that could run it\"}".to_owned()));
    for id in [0, 1, 2] {
        core.say(id, Report::Ready);
    }
    core.take();
    core.request(Some(2), &run("a"));
    core.request(Some(3), &run("b"));
    assert_eq!(core.take(), ["2: run a as 3", "2: run b as 4"]);
    let ran = |run, ended| Report::ScheduleRan { run, ended };
    // Of somebody else, and of nobody.
    core.say(1, ran(3, Ok(Outcome::Done)));
    core.say(2, ran(9, Ok(Outcome::Done)));
    assert_eq!(core.take(), [""; 0]);
    core.say(2, ran(4, Ok(Outcome::Failed("no".to_owned()))));
    assert_eq!(core.take(), ["#3 {\"ok\":{\"outcome\":{\"failed\":\"no\"}}}"]);
    core.request(Some(4), &run("c"));
    core.say(2, ran(5, Err("there is none".to_owned())));
    assert_eq!(core.take(), ["2: run c as 5", "#4 {\"error\":\"there is none\"}"]);
    core.end(2, "killed");
    assert_eq!(
        core.take()[0],
        "#2 {\"error\":\"the worker that ran it has left before it said how that ended\"}"
    );
}
