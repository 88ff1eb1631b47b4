use std::{
    cell::Cell,
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use cepa_core::{App, Error, Result};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::{
    runtime::{Builder, LocalOptions},
    task::{JoinHandle, spawn_local},
    time::Instant,
};

use super::*;
use crate::jobs::JobKindConfig;

thread_local! {
    static BEGAN: Instant = Instant::now();
    /// How long the machine has slept, which the runtime does not see.
    static SLEPT: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// A wall clock that goes as the runtime's.
fn now() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_795_132_800) + BEGAN.with(Instant::elapsed) + SLEPT.get()
}

fn elapsed() -> u64 {
    BEGAN.with(Instant::elapsed).as_secs()
}

/// Runs with a clock that goes on by itself when nothing else is to be done. What is written meanwhile takes no time:
/// the clock would jump while the thread of the file is at work, so that each test waits for that in real time.
fn run<F: Future>(future: F) -> F::Output {
    let mut runtime = Builder::new_current_thread();
    let runtime = runtime.enable_all().build_local(LocalOptions::default()).unwrap();
    runtime.block_on(async {
        now();
        future.await
    })
}

#[derive(Clone, Debug, Serialize, Deserialize, PartialEq)]
struct Mail {
    to: String,
}

fn mail(to: &str) -> Mail {
    Mail { to: to.to_owned() }
}

type Log = Arc<Mutex<Vec<String>>>;

struct Bench {
    folder: tempfile::TempDir,
    config: JobsConfig,
    onion: Arc<Onion>,
    log: Log,
}

struct Driven {
    jobs: Jobs,
    ending: watch::Sender<bool>,
    driver: JoinHandle<()>,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = JobsConfig { path: folder.path().join("jobs.redb"), ..JobsConfig::default() };
        Self {
            folder,
            config,
            onion: App::new().provide(AtomicUsize::new(0)).build().unwrap(),
            log: Log::default(),
        }
    }

    /// A kind `mail` that notes what it does: `fail` fails, `twice` at first, `never` for good, `hang` hangs.
    fn runner(&self, options: JobOptions) -> JobRunner {
        let log = Arc::clone(&self.log);
        let mut runner = JobRunner { now, ..JobRunner::new() };
        let handler = async move |job: &mut JobCtx, mail: Mail| -> Result {
            log.lock().unwrap().push(format!("{} {}", mail.to, job.attempt()));
            job.provided::<AtomicUsize>()?.fetch_add(1, Ordering::Relaxed);
            match &*mail.to {
                "fail" => Err(Error::new(500, "no luck")),
                "twice" if job.attempt() < 3 => Err(Error::new(500, "not yet")),
                "never" => Err(job.give_up("nobody is there")),
                "panic" => panic!("{}", mail.to),
                "hang" => std::future::pending().await,
                "slow" => {
                    sleep(Duration::from_millis(300)).await;
                    log.lock().unwrap().push("slow done".to_owned());
                    Ok(())
                }
                _ => Ok(()),
            }
        };
        runner.add("mail", options, handler).unwrap();
        runner
    }

    async fn drive(&self, options: JobOptions) -> Driven {
        let mut runner = self.runner(options);
        let jobs = runner.open(&self.config, None).await.unwrap();
        let (ending, told) = watch::channel(false);
        let driver = spawn_local(runner.drive(
            jobs.clone(),
            Arc::clone(&self.onion),
            told,
            Duration::from_millis(500),
        ));
        Driven { jobs, ending, driver }
    }

    fn logged(&self) -> String {
        self.log.lock().unwrap().join(", ")
    }

    async fn eventually(&self, what: &str) {
        for _ in 0..2_000 {
            if self.logged().contains(what) {
                return;
            }
            sleep(Duration::from_millis(5)).await;
        }
        panic!("{what} is not in: {}", self.logged());
    }
}

impl Driven {
    async fn stop(self) {
        self.ending.send_replace(true);
        self.driver.await.unwrap();
        self.jobs.close().await;
    }

    async fn counts(&self) -> (u64, u64, u64) {
        let counts = self.jobs.counts().await.unwrap();
        counts.first().map_or((0, 0, 0), |counts| (counts.waiting, counts.running, counts.dead))
    }

    async fn settled(&self) -> (u64, u64, u64) {
        for _ in 0..2_000 {
            let counts = self.counts().await;
            if counts.0 == 0 && counts.1 == 0 {
                return counts;
            }
            sleep(Duration::from_millis(5)).await;
        }
        panic!("{:?}", self.counts().await);
    }
}

fn quick() -> JobOptions {
    JobOptions { backoff: Duration::from_millis(20), ..JobOptions::default() }
}

#[test]
fn a_job_is_done_as_soon_as_it_is_added_and_tried_again_until_it_is() {
    run(async {
        let bench = Bench::new();
        let driven = bench.drive(quick()).await;
        let first = driven.jobs.add("mail", &mail("a")).await.unwrap();
        bench.eventually("a 1").await;
        let second = driven.jobs.add("mail", &mail("twice")).await.unwrap();
        assert!(first < second);
        bench.eventually("twice 3").await;
        assert_eq!(driven.settled().await, (0, 0, 0));
        assert_eq!(bench.logged(), "a 1, twice 1, twice 2, twice 3");
        driven.stop().await;
    });
}

#[test]
fn what_fails_for_good_is_kept_and_can_be_tried_again_by_hand() {
    run(async {
        let bench = Bench::new();
        let driven =
            bench.drive(JobOptions { attempts: 2, timeout: Duration::from_millis(50), ..quick() }).await;
        for to in ["fail", "never", "panic", "hang"] {
            driven.jobs.add("mail", &mail(to)).await.unwrap();
        }
        driven.jobs.add("mail", &json!({ "from": 5 })).await.unwrap();
        assert_eq!(driven.settled().await, (0, 0, 5));
        let dead = driven.jobs.dead("mail", None).await.unwrap();
        let told: Vec<_> =
            dead.iter().map(|job| format!("{} {} {}", job.payload, job.attempts, job.error)).collect();
        let expected = [
            r#"{"to":"fail"} 2 no luck"#,
            r#"{"to":"never"} 1 nobody is there"#,
            r#"{"to":"panic"} 2 panicked: panic"#,
            r#"{"to":"hang"} 2 timed out after 50ms"#,
            r#"{"from":5} 1 it was given what its handler does not know: missing field `to` at line 1 column 10"#,
        ];
        assert_eq!(told, expected);
        driven.jobs.retry(dead[1].id).await.unwrap();
        bench.eventually("never 1, ").await;
        assert_eq!(driven.settled().await, (0, 0, 5));
        for job in &dead {
            driven.jobs.discard(job.id).await.unwrap();
        }
        let gone = driven.jobs.discard(dead[0].id).await;
        assert_eq!(gone, Err(JobsError::Unknown(dead[0].id)));
        assert_eq!(driven.counts().await, (0, 0, 0));
        driven.stop().await;
    });
}

#[test]
fn so_many_run_at_once_and_delayed_ones_wait() {
    run(async {
        let bench = Bench::new();
        let driven = bench.drive(JobOptions { concurrency: 2, ..quick() }).await;
        driven.jobs.add_after(Duration::from_secs(1), "mail", &mail("delayed")).await.unwrap();
        for _ in 0..5 {
            driven.jobs.add("mail", &mail("slow")).await.unwrap();
        }
        bench.eventually("slow 1, slow 1").await;
        assert_eq!(driven.counts().await, (4, 2, 0));
        bench.eventually("delayed 1").await;
        assert!(elapsed() >= 1);
        assert_eq!(driven.settled().await, (0, 0, 0));
        let log = bench.logged();
        let open = log.split(", ").scan(0i32, |open, line| {
            *open += match line {
                "slow 1" => 1,
                "slow done" => -1,
                _ => 0,
            };
            Some(*open)
        });
        assert_eq!(open.max(), Some(2), "{log}");
        driven.stop().await;
    });
}

#[test]
fn the_end_waits_a_while_and_what_it_cuts_waits_for_the_next_start() {
    run(async {
        let bench = Bench::new();
        let driven = bench.drive(quick()).await;
        let jobs = driven.jobs.clone();
        driven.jobs.add("mail", &mail("slow")).await.unwrap();
        driven.jobs.add("mail", &mail("hang")).await.unwrap();
        bench.eventually("hang 1").await;
        driven.stop().await;
        assert!(bench.logged().contains("slow done"), "{}", bench.logged());
        assert_eq!(jobs.add("mail", &mail("late")).await, Err(JobsError::Closed));
        // It was given back, as if the attempt had not been.
        let driven = bench.drive(quick()).await;
        bench.eventually("hang 1, slow done, hang 1").await;
        driven.driver.abort();
        driven.jobs.close().await;
        // Without being given back, as after a crash.
        let driven = bench.drive(quick()).await;
        bench.eventually("hang 2").await;
        driven.driver.abort();
        drop(bench.folder);
    });
}

#[test]
fn what_is_taken_again_after_a_sleep_is_at_work_once() {
    run(async {
        let bench = Bench::new();
        let driven = bench.drive(quick()).await;
        driven.jobs.add("mail", &mail("slow")).await.unwrap();
        bench.eventually("slow 1").await;
        SLEPT.set(Duration::from_secs(3600));
        // Somebody has to look.
        driven.jobs.add("mail", &mail("a")).await.unwrap();
        bench.eventually("slow 2").await;
        assert_eq!(driven.settled().await, (0, 0, 0));
        assert_eq!(bench.logged().matches("slow done").count(), 1, "{}", bench.logged());
        driven.stop().await;
    });
}

#[test]
fn what_cannot_be_added_is_refused_with_the_reason() {
    run(async {
        let mut bench = Bench::new();
        (bench.config.most, bench.config.payload) = (1, 20);
        bench
            .config
            .kinds
            .insert("mail".to_owned(), JobKindConfig { enable: Some(false), ..Default::default() });
        let driven = bench.drive(quick()).await;
        let told = |error: JobsError| error.to_string();
        assert_eq!(
            driven.jobs.add("mial", &mail("a")).await.map_err(told),
            Err("nothing does jobs of the kind `mial`; there are `mail`".to_owned())
        );
        let large = driven.jobs.add("mail", &mail("a longer address")).await.map_err(told);
        assert_eq!(
            large,
            Err("what the job is given is larger than 20 bytes, which jobs.payload allows".to_owned())
        );
        driven.jobs.add("mail", &mail("a")).await.unwrap();
        let full = driven.jobs.add("mail", &mail("b")).await.map_err(told);
        assert_eq!(full, Err("there are 1 jobs, which is all that jobs.most allows".to_owned()));
        // It is off.
        sleep(Duration::from_millis(50)).await;
        assert_eq!(bench.logged(), "");
        let second =
            bench.runner(quick()).open(&bench.config, None).await.map(drop).map_err(told).unwrap_err();
        assert!(second.ends_with("jobs.redb: another process uses it"), "{second}");
        driven.stop().await;
        let elsewhere = JobsConfig { path: PathBuf::from("/proc/none/jobs.redb"), ..bench.config.clone() };
        assert!(matches!(bench.runner(quick()).open(&elsewhere, None).await, Err(JobsError::Broken(_))));
        let mut runner = bench.runner(quick());
        for name in ["mail", "", "a b"] {
            assert!(runner.add("mail", quick(), async |_: &mut JobCtx, (): ()| Ok(())).is_err(), "{name}");
        }
    });
}

#[test]
fn tests_run_what_is_due_in_place() {
    run(async {
        let bench = Bench::new();
        let mut runner = bench.runner(JobOptions { backoff: Duration::ZERO, attempts: 3, ..quick() });
        let jobs = runner.open(&bench.config, None).await.unwrap();
        for to in ["a", "fail"] {
            jobs.add("mail", &mail(to)).await.unwrap();
        }
        jobs.add_after(Duration::from_secs(60), "mail", &mail("later")).await.unwrap();
        assert_eq!(runner.run_due(&jobs, &bench.onion).await, Ok(4));
        assert_eq!(bench.logged(), "a 1, fail 1, fail 2, fail 3");
        assert_eq!(bench.onion.provided::<AtomicUsize>().unwrap().load(Ordering::Relaxed), 4);
        jobs.close().await;
    });
}
