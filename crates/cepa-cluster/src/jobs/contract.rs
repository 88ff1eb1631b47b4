//! What all places that keep jobs promise: one table of tests for the file, the agent and Redis.

#[cfg(feature = "redis")]
#[path = "../../../cepa-bus/tests/shared/redis_server.rs"]
mod redis_server;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    thread,
    time::{Duration, SystemTime},
};

use cepa_bus::{AgentServer, Backend, Bus, BusConfig};
use proptest::prelude::*;
use tempfile::TempDir;
use tokio::{
    net::UnixListener,
    runtime::{Builder, Runtime},
    sync::oneshot,
    time::{sleep, timeout},
};

use super::{
    JobId, JobService,
    agent::FarKeeper,
    keeper::{Keeper, Lost},
    place::Place,
    queue::millis,
    store::{ANSWER, Answer, Ask, Slots, Store},
};

const LONG: Duration = Duration::from_secs(30);
const HOUR: u64 = 3_600_000;
const HOLDER: u64 = u64::MAX;

/// Something that keeps jobs, for as many workers as like.
enum Kept {
    File(#[expect(dead_code, reason = "it goes with the test")] TempDir, Keeper),
    Agent(Agent),
    #[cfg(feature = "redis")]
    Redis(Arc<redis_server::Redis>, String),
}

/// An agent on a thread of its own, so that its end is as sudden as that of a process.
struct Agent {
    folder: TempDir,
    end: oneshot::Sender<()>,
    thread: thread::JoinHandle<()>,
}

impl Agent {
    fn start(folder: TempDir) -> Self {
        let path = folder.path().join("bus");
        let (end, ended) = oneshot::channel::<()>();
        let (listens, is_listening) = std::sync::mpsc::channel();
        let thread = thread::spawn(move || {
            runtime().block_on(async {
                // The one before is gone, or there was none.
                let _ = std::fs::remove_file(&path);
                let listener = UnixListener::bind(path).unwrap();
                listens.send(()).unwrap();
                tokio::select! {
                    never = AgentServer::serve_with(listener, Bus::new(), Arc::new(JobService::new())) => match never {},
                    _ = ended => {}
                }
            });
        });
        is_listening.recv().unwrap();
        Self { folder, end, thread }
    }

    /// Ends it, and starts another.
    async fn again(self) -> Self {
        let file = self.file();
        let Self { folder, end, thread } = self;
        drop(end);
        thread.join().unwrap();
        // A process would have let go of the file by now.
        while Store::open(&file, u64::MAX).is_err() {
            sleep(Duration::from_millis(5)).await;
        }
        Self::start(folder)
    }

    fn place(&self) -> Place {
        let backend = Backend::Agent(self.folder.path().join("bus"));
        let bus = Bus::connect(&BusConfig { backend, ..BusConfig::default() }).unwrap();
        Place::Agent(FarKeeper::new(bus, &self.file()).unwrap())
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("data/jobs.redb")
    }
}

fn in_file(path: &Path) -> Keeper {
    Keeper::open(path, now()).unwrap()
}

impl Kept {
    /// One of each kind that there is.
    fn all() -> Vec<Self> {
        let folder = || tempfile::tempdir().unwrap();
        let file = folder();
        let keeper = in_file(&file.path().join("jobs.redb"));
        #[cfg_attr(not(feature = "redis"), expect(unused_mut, reason = "Redis is one more"))]
        let mut all = vec![Self::File(file, keeper), Self::Agent(Agent::start(folder()))];
        #[cfg(feature = "redis")]
        if cepa_programs::find("redis-server").is_some() {
            static LAST: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
            let number = LAST.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            all.push(Self::Redis(redis_server::shared(), format!("test{number}:")));
        } else {
            cepa_programs::has_not_run("jobs in Redis", "no redis-server; apt-get install redis-server");
        }
        all
    }

    /// Another worker.
    fn worker(&self) -> Worker {
        Worker(match self {
            Self::File(_, keeper) => Place::Near(keeper.clone()),
            Self::Agent(agent) => agent.place(),
            #[cfg(feature = "redis")]
            Self::Redis(server, prefix) => in_redis(server, prefix),
        })
    }
}

#[cfg(feature = "redis")]
fn in_redis(server: &redis_server::Redis, prefix: &str) -> Place {
    Place::Near(super::redis::open(&format!("redis://127.0.0.1:{}", server.port()), prefix).unwrap())
}

struct Worker(Place);

fn now() -> u64 {
    millis(SystemTime::now())
}

fn add_of(kind: &str, payload: &str, due: u64) -> Ask {
    Ask::Add { kind: kind.to_owned(), payload: payload.to_owned(), due, now: now(), most: 1_000 }
}

fn take_of(kinds: &[(&str, usize)], lease: u64) -> Ask {
    let slots = kinds.iter().map(|&(kind, free)| Slots { kind: kind.to_owned(), free, attempts: 3 });
    let now = now();
    Ask::Take { slots: slots.collect(), holder: HOLDER, now, until: now + lease }
}

impl Worker {
    async fn ask(&self, ask: Ask) -> Answer {
        timeout(LONG, self.0.ask(ask)).await.expect("it answers").unwrap()
    }

    async fn add(&self, kind: &str, due: u64) -> u64 {
        match self.ask(add_of(kind, "\"π \\\" \n\"", due)).await {
            Answer::Added(JobId(id)) => id,
            other => panic!("{other:?}"),
        }
    }

    async fn take(&self, kinds: &[(&str, usize)], lease: u64) -> Vec<(u64, u32)> {
        match self.ask(take_of(kinds, lease)).await {
            Answer::Taken { jobs, .. } => jobs.iter().map(|job| (job.id, job.attempt)).collect(),
            other => panic!("{other:?}"),
        }
    }

    /// Takes when there is something.
    async fn wait(&self, kind: &str) -> Vec<(u64, u32)> {
        let waited = async {
            loop {
                let taken = self.take(&[(kind, 9)], HOUR).await;
                if !taken.is_empty() {
                    return taken;
                }
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(LONG, waited).await.expect("something is due")
    }

    async fn counts(&self) -> Vec<(String, u64, u64, u64)> {
        let Answer::Counts(counts) = self.ask(Ask::Count).await else { panic!() };
        counts.into_iter().map(|counts| (counts.kind, counts.waiting, counts.running, counts.dead)).collect()
    }
}

/// Runs a test with each kind.
fn with_each(test: impl AsyncFn(Kept)) {
    runtime().block_on(async {
        for kept in Kept::all() {
            test(kept).await;
        }
    });
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn a_job_is_taken_by_one_of_those_who_know_its_kind_the_first_first() {
    with_each(async |kept| {
        let (one, other) = (kept.worker(), kept.worker());
        let (first, second) = (one.add("a", 0).await, other.add("a", 0).await);
        let (later, of_another) = (one.add("a", now() + HOUR).await, one.add("b", 0).await);
        assert!(first < second && second < later && later < of_another);
        assert_eq!(other.take(&[("a", 1)], HOUR).await, [(first, 1)]);
        assert_eq!(one.take(&[("a", 9), ("c", 9)], HOUR).await, [(second, 1)]);
        assert_eq!(other.take(&[("a", 9)], HOUR).await, []);
        assert_eq!(one.counts().await, [("a".to_owned(), 1, 2, 0), ("b".to_owned(), 1, 0, 0)]);
        let Answer::Taken { jobs, next } = other.ask(take_of(&[("b", 9)], HOUR)).await else { panic!() };
        assert_eq!((jobs[0].id, &*jobs[0].payload), (of_another, "\"π \\\" \n\""));
        let next = next.expect("leases end");
        assert!(next > now() && next <= now() + HOUR, "{next}");
        for (id, worker) in [(first, &other), (second, &one), (of_another, &other)] {
            assert_eq!(worker.ask(Ask::Done { id, attempt: 1 }).await, Answer::Noted);
            assert_eq!(worker.ask(Ask::Done { id, attempt: 1 }).await, Answer::Unknown);
        }
        assert_eq!(one.counts().await, [("a".to_owned(), 1, 0, 0)]);
    });
}

#[test]
fn a_lease_that_is_not_renewed_ends_and_its_holder_can_end_nothing() {
    with_each(async |kept| {
        let (one, other) = (kept.worker(), kept.worker());
        let (lost, held) = (one.add("a", 0).await, one.add("b", 0).await);
        assert_eq!(one.take(&[("a", 1), ("b", 1)], 200).await, [(lost, 1), (held, 1)]);
        let extend = async |id| {
            let now = now();
            one.ask(Ask::Extend { leases: vec![(id, 1)], now, until: now + HOUR }).await
        };
        assert_eq!(extend(held).await, Answer::Lost(vec![]));
        assert_eq!(other.wait("a").await, [(lost, 2)]);
        assert_eq!(other.take(&[("b", 1)], HOUR).await, []);
        assert_eq!(extend(lost).await, Answer::Lost(vec![lost]));
        assert_eq!(one.ask(Ask::Done { id: lost, attempt: 1 }).await, Answer::Unknown);
        assert_eq!(other.ask(Ask::Return { id: lost, attempt: 2, now: now() }).await, Answer::Noted);
        // As if the second attempt had not been. The third is the last, however it ends.
        assert_eq!(other.take(&[("a", 1)], 0).await, [(lost, 2)]);
        assert_eq!(other.wait("a").await, [(lost, 3)]);
        let release = Ask::Release { leases: vec![(lost, 3), (lost, 2), (99, 1)], now: now() };
        assert_eq!(other.ask(release).await, Answer::Noted);
        assert_eq!(other.take(&[("a", 1)], HOUR).await, []);
        let dead = one.ask(Ask::Dead { kind: "a".to_owned(), after: None, most: 9 }).await;
        let Answer::Dead(dead) = dead else { panic!() };
        let error = "it was lost at work 3 times: the process ended, or hung";
        assert_eq!((dead.len(), dead[0].attempts, &*dead[0].error), (1, 3, error));
    });
}

#[test]
fn what_fails_is_due_again_or_dead_and_what_is_dead_can_be_revived_or_forgotten() {
    with_each(async |kept| {
        let worker = kept.worker();
        let mut ids = Vec::new();
        for _ in 0..4 {
            ids.push(worker.add("a", 0).await);
        }
        worker.take(&[("a", 9)], HOUR).await;
        let retry = |id, due| Ask::Retry { id, attempt: 1, error: "no".to_owned(), now: now(), due };
        assert_eq!(worker.ask(retry(ids[0], now() + 100)).await, Answer::Noted);
        assert_eq!(worker.wait("a").await, [(ids[0], 2)]);
        let before = now();
        for &id in &ids[1..] {
            let bury = Ask::Bury { id, attempt: 1, error: "for good".to_owned() };
            assert_eq!(worker.ask(bury.clone()).await, Answer::Noted);
            assert_eq!(worker.ask(bury).await, Answer::Unknown);
        }
        let list = async |after| match worker.ask(Ask::Dead { kind: "a".to_owned(), after, most: 2 }).await {
            Answer::Dead(dead) => dead,
            other => panic!("{other:?}"),
        };
        let dead = list(None).await;
        assert_eq!(dead.iter().map(|job| job.id.0).collect::<Vec<_>>(), ids[1..3]);
        assert_eq!((&*dead[0].error, dead[0].attempts, &*dead[0].kind), ("for good", 1, "a"));
        assert!(dead[0].added <= before && dead[0].added + 60_000 > before);
        let rest = list(Some(dead[1].id)).await;
        assert_eq!(rest.iter().map(|job| job.id.0).collect::<Vec<_>>(), ids[3..]);
        assert_eq!(worker.ask(Ask::Revive { id: ids[1], now: now() }).await, Answer::Noted);
        assert_eq!(worker.ask(Ask::Revive { id: ids[1], now: now() }).await, Answer::Unknown);
        assert_eq!(worker.ask(Ask::Discard { id: ids[1] }).await, Answer::Unknown);
        assert_eq!(worker.ask(Ask::Discard { id: ids[2] }).await, Answer::Noted);
        assert_eq!(worker.take(&[("a", 9)], HOUR).await, [(ids[1], 1)], "its attempts begin anew");
        assert_eq!(worker.counts().await, [("a".to_owned(), 0, 2, 1)]);
    });
}

#[test]
fn there_is_room_for_so_many_and_an_answer_has_room_for_so_much() {
    with_each(async |kept| {
        let worker = kept.worker();
        // Half of what an answer has, and twice as long where it is quoted.
        let large = "\"".repeat(ANSWER / 2);
        for _ in 0..3 {
            assert!(matches!(worker.ask(add_of("a", &large, 0)).await, Answer::Added(_)));
        }
        let Ask::Add { kind, payload, due, now, .. } = add_of("a", "1", 0) else { panic!() };
        assert_eq!(worker.ask(Ask::Add { kind, payload, due, now, most: 3 }).await, Answer::Full(3));
        for taken in [2, 1, 0] {
            assert_eq!(worker.take(&[("a", 9)], HOUR).await.len(), taken);
        }
    });
}

#[test]
fn what_somebody_was_given_without_hearing_of_it_is_others() {
    with_each(async |kept| {
        let worker = kept.worker();
        let (known, unknown, another) =
            (worker.add("a", 0).await, worker.add("a", 0).await, worker.add("b", 0).await);
        worker.take(&[("a", 9)], HOUR).await;
        let mut of_another = take_of(&[("b", 9)], HOUR);
        if let Ask::Take { holder, .. } = &mut of_another {
            *holder -= 1;
        }
        assert!(matches!(worker.ask(of_another).await, Answer::Taken { jobs, .. } if jobs[0].id == another));
        let recover = Ask::Recover { holder: HOLDER, held: vec![(known, 1), (unknown, 7)], now: now() };
        assert_eq!(worker.ask(recover).await, Answer::Noted);
        assert_eq!(worker.take(&[("a", 9), ("b", 9)], HOUR).await, [(unknown, 2)]);
        assert_eq!(worker.ask(Ask::Done { id: known, attempt: 1 }).await, Answer::Noted);
    });
}

#[test]
fn who_waits_hears_of_what_others_add() {
    with_each(async |kept| {
        let (one, other) = (kept.worker(), kept.worker());
        // The first number is nobody's.
        let seen = timeout(LONG, other.0.news(0)).await.unwrap().unwrap();
        let heard = tokio::join!(timeout(LONG, other.0.news(seen)), one.add("a", 0));
        assert_ne!(heard.0.unwrap().unwrap(), seen);
        assert_eq!(other.wait("a").await, [(heard.1, 1)]);
    });
}

/// What is asked, by the number of a job and not by the clock.
fn asks() -> impl Strategy<Value = Vec<(u8, u64, u32)>> {
    proptest::collection::vec((0..9u8, 1..9u64, 1..4u32), 1..40)
}

fn ask_of((what, id, attempt): (u8, u64, u32)) -> Ask {
    let (error, now) = ("no".to_owned(), now());
    match what {
        0 | 1 => add_of("a", &id.to_string(), if attempt == 3 { now + HOUR } else { 0 }),
        2 => take_of(&[("a", usize::try_from(id).unwrap() / 2)], HOUR),
        3 => Ask::Done { id, attempt },
        4 => Ask::Retry { id, attempt, error, now, due: now - 1_000 },
        5 => Ask::Bury { id, attempt, error },
        6 => Ask::Return { id, attempt, now: now - 1_000 },
        7 => Ask::Revive { id, now: now - 1_000 },
        _ => Ask::Discard { id },
    }
}

/// What does not depend on the clock.
fn told(answer: Answer) -> String {
    match answer {
        Answer::Taken { jobs, .. } => {
            // Those that were tried before are due in an order that the clock makes.
            let mut taken: Vec<_> =
                jobs.iter().map(|job| (job.id, job.attempt, job.payload.clone())).collect();
            taken.sort();
            format!("{taken:?}")
        }
        other => format!("{other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn all_places_answer_the_same(asks in asks()) {
        runtime().block_on(async {
            let mut all = Vec::new();
            for kept in Kept::all() {
                let worker = kept.worker();
                let mut answers = Vec::new();
                for &step in &asks {
                    let mut ask = ask_of(step);
                    // All that is due is taken, so that no order matters.
                    if let Ask::Take { slots, .. } = &mut ask {
                        slots[0].free = if slots[0].free == 0 { 0 } else { 99 };
                    }
                    answers.push(told(worker.ask(ask).await));
                }
                answers.push(format!("{:?}", worker.counts().await));
                all.push(answers);
            }
            for other in &all[1..] {
                assert_eq!(&all[0], other, "{asks:?}");
            }
        });
    }
}

#[test]
fn the_jobs_of_a_worker_that_has_gone_are_others_at_once() {
    runtime().block_on(async {
        let agent = Agent::start(tempfile::tempdir().unwrap());
        let (one, other) = (Worker(agent.place()), Worker(agent.place()));
        let (first, second, third) = (one.add("a", 0).await, one.add("a", 0).await, one.add("b", 0).await);
        assert_eq!(one.take(&[("a", 9)], HOUR).await, [(first, 1), (second, 1)]);
        assert_eq!(other.take(&[("b", 9)], HOUR).await, [(third, 1)]);
        assert_eq!(one.ask(Ask::Done { id: first, attempt: 1 }).await, Answer::Noted);
        drop(one);
        assert_eq!(other.wait("a").await, [(second, 2)]);
        assert_eq!(other.take(&[("b", 9)], HOUR).await, [], "what the other has is its own");
    });
}

#[test]
fn another_agent_goes_on_with_what_was_promised_and_with_who_works_on_what() {
    runtime().block_on(async {
        let agent = Agent::start(tempfile::tempdir().unwrap());
        let (one, other) = (Worker(agent.place()), Worker(agent.place()));
        let (first, second) = (one.add("a", 0).await, one.add("a", 0).await);
        assert_eq!(one.take(&[("a", 9)], HOUR).await, [(first, 1), (second, 1)]);
        let agent = agent.again().await;
        // Those who ask meanwhile are answered by the next.
        assert!(one.add("a", now() + HOUR).await > second);
        assert_eq!(one.ask(Ask::Done { id: first, attempt: 1 }).await, Answer::Noted);
        assert_eq!(other.take(&[("a", 9)], HOUR).await, []);
        // It knows again whose the other is when its lease is renewed.
        let now = now();
        let extend = Ask::Extend { leases: vec![(second, 1), (first, 1)], now, until: now + HOUR };
        assert_eq!(one.ask(extend).await, Answer::Lost(vec![first]));
        drop(one);
        assert_eq!(other.wait("a").await, [(second, 2)]);
        drop(agent);
    });
}

#[test]
fn an_agent_says_why_it_cannot_open_a_file_and_tries_again() {
    runtime().block_on(async {
        let agent = Agent::start(tempfile::tempdir().unwrap());
        let worker = Worker(agent.place());
        std::fs::create_dir(agent.file().parent().unwrap()).unwrap();
        let other = in_file(&agent.file());
        let lost = worker.0.ask(Ask::Count).await.unwrap_err();
        assert!(matches!(&lost, Lost::Broken(why) if why.ends_with("another process uses it")), "{lost}");
        other.close().await;
        assert_eq!(worker.counts().await, []);
    });
}

#[test]
fn an_agent_that_stays_away_is_waited_for_so_long() {
    // With a clock that goes on by itself.
    let runtime = Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let folder = tempfile::tempdir().unwrap();
        let backend = Backend::Agent(folder.path().join("bus"));
        let bus = Bus::connect(&BusConfig { backend, ..BusConfig::default() }).unwrap();
        let keeper = FarKeeper::new(bus, &folder.path().join("jobs.redb")).unwrap();
        let begun = tokio::time::Instant::now();
        let lost = keeper.ask(add_of("a", "1", 0)).await;
        assert!(matches!(&lost, Err(Lost::Away(_) | Lost::Unanswered)), "{lost:?}");
        assert_eq!(begun.elapsed().as_secs(), 10);
        assert!(matches!(keeper.news(0).await, Err(Lost::Away(_))));
    });
}

#[cfg(feature = "redis")]
#[test]
fn a_redis_that_is_killed_and_comes_back_has_what_it_promised() {
    cepa_programs::needs!("redis-server");
    runtime().block_on(async {
        let mut server = redis_server::Redis::start(&["--appendonly", "yes", "--appendfsync", "always"]);
        let worker = Worker(in_redis(&server, "a:"));
        let (first, second) = (worker.add("a", 0).await, worker.add("a", 0).await);
        assert_eq!(worker.take(&[("a", 1)], HOUR).await, [(first, 1)]);
        server.kill();
        let asked = worker.ask(Ask::Done { id: first, attempt: 1 });
        let (done, ()) = tokio::join!(asked, async {
            sleep(Duration::from_millis(200)).await;
            server.start_again();
        });
        assert_eq!(done, Answer::Noted);
        assert_eq!(worker.wait("a").await, [(second, 1)]);
        assert!(worker.add("a", 0).await > second);
        // Where it does not come back, whoever asks is told so.
        server.kill();
        let lost = timeout(LONG, worker.0.ask(add_of("a", "1", 0))).await.expect("it does not hang");
        assert!(matches!(lost, Err(Lost::Away(_) | Lost::Unanswered)), "{lost:?}");
    });
}
