use std::{
    cell::Cell,
    sync::{Mutex, atomic::AtomicUsize, atomic::Ordering},
    time::UNIX_EPOCH,
};

use cepa_core::{App, Ctx, Error, Result};
use http::Method;
use tokio::{
    runtime::{Builder, LocalOptions},
    task::{JoinHandle, spawn_local},
    time::Instant,
};

use super::*;
use crate::{
    JobCtx,
    schedule::{RunRecord, uri},
};

thread_local! {
    static BEGAN: Instant = Instant::now();
    /// How far the clock was set, in seconds.
    static SET: Cell<i64> = const { Cell::new(0) };
}

/// A wall clock that goes as the runtime's: 2026-11-20T00:00:00Z at first.
fn now() -> SystemTime {
    let elapsed = BEGAN.with(Instant::elapsed);
    let set = SET.get();
    let base = UNIX_EPOCH + Duration::from_secs(1_795_132_800) + elapsed;
    let by = Duration::from_secs(set.unsigned_abs());
    if set < 0 { base - by } else { base + by }
}

/// Runs with a clock that goes on by itself when nothing else is to be done.
fn run<F: Future>(future: F) -> F::Output {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_all().start_paused(true).build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        now();
        future.await
    })
}

const MINUTE: Duration = Duration::from_secs(60);

fn every_minute() -> Schedule {
    Schedule::every(MINUTE).unwrap()
}

/// When tasks ran, in seconds from the beginning.
type Times = Arc<Mutex<Vec<u64>>>;

fn noting(times: &Times, takes: Duration) -> impl Task {
    let times = Arc::clone(times);
    async move |_: &mut JobCtx| -> Result {
        times.lock().unwrap().push(BEGAN.with(Instant::elapsed).as_secs());
        sleep(takes).await;
        Ok(())
    }
}

struct Driven {
    schedules: Schedules,
    ending: watch::Sender<bool>,
    driver: JoinHandle<()>,
}

impl Driven {
    fn start(scheduler: Scheduler, app: App, machine: Option<Bus>) -> Self {
        let (ending, told) = watch::channel(false);
        let schedules = scheduler.schedules();
        let drive = Drive { machine, started: now(), grace: Duration::from_secs(5) };
        let driver = spawn_local(scheduler.drive(app.build().unwrap(), drive, told));
        Self { schedules, ending, driver }
    }

    async fn stop(self) -> Schedules {
        self.ending.send_replace(true);
        self.driver.await.unwrap();
        self.schedules
    }

    fn outcomes(&self, name: &str) -> Vec<Outcome> {
        self.schedules.runs(name).unwrap().into_iter().map(|run| run.outcome).collect()
    }
}

fn scheduler(all: Vec<(&str, Schedule, impl Task)>) -> Scheduler {
    let mut scheduler = Scheduler { now, ..Scheduler::new("test") };
    for (name, schedule, task) in all {
        scheduler.add(name, schedule, task).unwrap();
    }
    scheduler
}

#[test]
fn each_runs_at_its_times_and_the_log_says_so() {
    run(async {
        let times = Times::default();
        let all = scheduler(vec![("a", every_minute(), noting(&times, Duration::from_secs(2)))]);
        let driven = Driven::start(all, App::new(), None);
        sleep(Duration::from_secs(185)).await;
        assert_eq!(*times.lock().unwrap(), [60, 120, 180]);
        let info = driven.schedules.list().remove(0);
        assert_eq!((&*info.name, info.is_on, info.running), ("a", true, 0));
        assert_eq!(info.next, Some((1_795_132_800 + 240) * 1000));
        let RunRecord { planned, started, took, outcome } = info.last.unwrap();
        assert_eq!(planned.duration_since(UNIX_EPOCH).unwrap().as_secs(), 1_795_132_800 + 180);
        assert!(started >= planned && took.unwrap() >= Duration::from_secs(2), "{took:?}");
        assert_eq!(outcome, Outcome::Done);
        driven.stop().await;
        sleep(MINUTE * 3).await;
        assert_eq!(times.lock().unwrap().len(), 3);
    });
}

#[test]
fn runs_do_not_overlap_unless_they_may() {
    run(async {
        let (alone, together) = (Times::default(), Times::default());
        let all = scheduler(vec![
            ("alone", every_minute(), noting(&alone, Duration::from_secs(90))),
            ("together", every_minute().overlapping(), noting(&together, Duration::from_secs(90))),
        ]);
        let driven = Driven::start(all, App::new(), None);
        sleep(Duration::from_secs(275)).await;
        assert_eq!(*alone.lock().unwrap(), [60, 180]);
        assert_eq!(*together.lock().unwrap(), [60, 120, 180, 240]);
        assert_eq!(driven.schedules.list()[1].running, 1);
        let outcomes = [Outcome::Overlapped, Outcome::Done, Outcome::Overlapped, Outcome::Done];
        assert_eq!(driven.outcomes("alone"), outcomes);
    });
}

#[test]
fn what_fails_panics_or_hangs_is_noted_and_runs_again() {
    run(async {
        let mut all = scheduler(vec![("fails", every_minute(), async |_: &mut JobCtx| {
            Err(Error::new(500, "the moon is full"))
        })]);
        all.add("panics", every_minute(), async |_: &mut JobCtx| panic!("at {}", 7)).unwrap();
        let hang = every_minute().timeout(Duration::from_secs(10));
        all.add("hangs", hang, async |_: &mut JobCtx| pending().await).unwrap();
        let driven = Driven::start(all, App::new(), None);
        sleep(Duration::from_secs(135)).await;
        let failed = Outcome::Failed("the moon is full".to_owned());
        assert_eq!(driven.outcomes("fails"), [failed.clone(), failed]);
        assert!(
            matches!(&driven.outcomes("panics")[..], [Outcome::Failed(text), _] if text == "panicked: at 7")
        );
        assert_eq!(driven.outcomes("hangs"), [Outcome::TimedOut, Outcome::TimedOut]);
        assert!(driven.schedules.list().iter().all(|info| info.running == 0));
    });
}

#[test]
fn what_is_off_runs_by_hand_only() {
    run(async {
        let times = Times::default();
        let task = || noting(&times, Duration::from_secs(1));
        let all = scheduler(vec![
            ("off", every_minute().immediate().enabled(false), task()),
            ("elsewhere", every_minute().environments(&["production"]), task()),
        ]);
        assert_eq!(all.run("off", &App::new().build().unwrap()).await, Ok(Outcome::Done));
        assert_eq!(all.schedules().run("off").await, Err(ScheduleError::Stopped), "nobody would ever do it");
        let driven = Driven::start(all, App::new(), None);
        sleep(MINUTE * 3).await;
        assert_eq!(times.lock().unwrap().len(), 1);
        assert_eq!(driven.schedules.run("elsewhere").await, Ok(Outcome::Done));
        assert_eq!(driven.outcomes("elsewhere"), [Outcome::Done]);
        let unknown = driven.schedules.run("of").await.unwrap_err().to_string();
        assert_eq!(unknown, "there is no schedule `of`; there are `elsewhere`, `off`");
        let schedules = driven.stop().await;
        assert_eq!(schedules.run("off").await, Err(ScheduleError::Stopped));
    });
}

#[test]
fn names_are_checked() {
    let mut all = scheduler(vec![("a", every_minute(), async |_: &mut JobCtx| Ok(()))]);
    for name in ["", "a b", "a/b", "a", &"x".repeat(65)] {
        assert!(all.add(name, every_minute(), async |_: &mut JobCtx| Ok(())).is_err(), "{name:?}");
    }
}

#[test]
fn of_many_workers_and_machines_one_runs() {
    run(async {
        let (one, cluster, all) = (Times::default(), Times::default(), Times::default());
        let everywhere = Bus::new();
        let mut workers = Vec::new();
        for _machine in 0..2 {
            let machine = Bus::new();
            for _worker in 0..3 {
                let second = Duration::from_secs(1);
                let scheduler = scheduler(vec![
                    ("one", every_minute().immediate(), noting(&one, second)),
                    ("cluster", every_minute().cluster().jitter(second * 5), noting(&cluster, second)),
                    ("all", every_minute().all(), noting(&all, second)),
                ]);
                let app = App::new().provide(everywhere.clone());
                workers.push(Driven::start(scheduler, app, Some(machine.clone())));
            }
        }
        sleep(Duration::from_secs(150)).await;
        assert_eq!(*one.lock().unwrap(), [0, 0, 60, 60, 120, 120]);
        assert_eq!(cluster.lock().unwrap().len(), 2);
        assert_eq!(all.lock().unwrap().len(), 12);
        let runs: usize = workers.iter().map(|worker| worker.outcomes("cluster").len()).sum();
        assert_eq!(runs, 2, "who did not run it has no record of it");
        // The worker that ran is lost: the others go on.
        workers.drain(..3).for_each(|worker| worker.driver.abort());
        sleep(MINUTE).await;
        assert_eq!(cluster.lock().unwrap().len(), 3);
    });
}

#[test]
fn a_long_run_holds_its_lock_against_other_machines() {
    run(async {
        let times = Times::default();
        let fences: Arc<Mutex<Vec<u64>>> = Arc::default();
        let bus = Bus::new();
        let workers: Vec<_> = (0..2)
            .map(|_| {
                let (times, fences) = (Arc::clone(&times), Arc::clone(&fences));
                let task = async move |job: &mut JobCtx| -> Result {
                    times.lock().unwrap().push(BEGAN.with(Instant::elapsed).as_secs());
                    fences.lock().unwrap().push(job.fence().unwrap());
                    sleep(Duration::from_secs(100)).await;
                    Ok(())
                };
                let scheduler = scheduler(vec![("long", every_minute().cluster(), task)]);
                Driven::start(scheduler, App::new().provide(bus.clone()), None)
            })
            .collect();
        sleep(Duration::from_secs(290)).await;
        assert_eq!(*times.lock().unwrap(), [60, 180]);
        let fences = fences.lock().unwrap();
        assert!(fences[0] < fences[1], "{fences:?}");
        drop(workers);
    });
}

#[test]
fn a_clock_that_is_set_is_followed_without_making_up() {
    run(async {
        let times = Times::default();
        let hourly = Schedule::cron("0 * * * *").unwrap().zone("UTC").unwrap();
        let driven = Driven::start(
            scheduler(vec![("hourly", hourly, noting(&times, Duration::ZERO))]),
            App::new(),
            None,
        );
        sleep(Duration::from_secs(10)).await;
        // Five hours, of which one run remains.
        SET.set(5 * 3600);
        sleep(Duration::from_secs(40)).await;
        assert_eq!(times.lock().unwrap().len(), 1);
        // Back again: its next hour is due as if nothing had been.
        SET.set(0);
        sleep(Duration::from_secs(3600)).await;
        assert_eq!(times.lock().unwrap().len(), 2);
        drop(driven);
    });
}

#[test]
fn the_end_waits_for_runs_and_not_for_ever() {
    run(async {
        let (short, long) = (Times::default(), Times::default());
        let all = scheduler(
            vec![
                ("short", every_minute(), noting(&short, Duration::from_secs(3))),
                ("long", every_minute(), noting(&long, MINUTE * 60)),
                ("not yet", every_minute().jitter(MINUTE * 9), noting(&long, MINUTE)),
            ]
            .into_iter()
            .map(|(name, schedule, task)| (if name == "not yet" { "late" } else { name }, schedule, task))
            .collect(),
        );
        let driven = Driven::start(all, App::new(), None);
        sleep(Duration::from_secs(61)).await;
        let begun = Instant::now();
        let schedules = driven.stop().await;
        assert_eq!(begun.elapsed().as_secs(), 5);
        assert_eq!(schedules.runs("short").unwrap()[0].outcome, Outcome::Done);
        assert_eq!(schedules.runs("long").unwrap()[0].outcome, Outcome::Ended);
        assert!(schedules.list().iter().all(|info| info.running == 0 && info.next.is_none()));
    });
}

#[test]
fn a_task_calls_the_app_or_has_a_ctx_of_it() {
    run(async {
        let app = App::new()
            .provide(AtomicUsize::new(0))
            .get("/count/{by}", async |ctx: &mut Ctx| -> Result {
                let by: usize = ctx.param("by").unwrap_or_default().parse()?;
                ctx.provided::<AtomicUsize>()?.fetch_add(by, Ordering::Relaxed);
                assert_eq!((ctx.connection().door(), ctx.host()), ("memory", "localhost"));
                ctx.set_status(204)
            })
            .post("/fail", async |ctx: &mut Ctx| ctx.set_status(503));
        let onion = app.build().unwrap();
        let all = scheduler(vec![
            ("uri", every_minute(), uri("/count/5?x=1")),
            ("post", every_minute(), uri("/fail").method(Method::POST)),
        ]);
        assert_eq!(all.run("uri", &onion).await, Ok(Outcome::Done));
        let failed = Outcome::Failed("POST /fail answered 503 Service Unavailable".to_owned());
        assert_eq!(all.run("post", &onion).await, Ok(failed));
        let ctx = scheduler(vec![("ctx", every_minute(), async |job: &mut JobCtx| -> Result {
            assert_eq!((job.name(), job.attempt(), job.fence()), ("ctx", 1, None));
            assert_eq!((job.method().as_str(), job.path()), ("SCHEDULE", "/__schedule/ctx"));
            let onion = Arc::clone(job.onion());
            job.defer(async move {
                onion.provided::<AtomicUsize>().unwrap().fetch_add(1, Ordering::Relaxed);
                Ok(())
            })?;
            Ok(())
        })]);
        assert_eq!(ctx.run("ctx", &onion).await, Ok(Outcome::Done));
        assert_eq!(onion.provided::<AtomicUsize>().unwrap().load(Ordering::Relaxed), 6);
    });
}
