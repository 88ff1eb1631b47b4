//! What one process gets done by a bus that is kept elsewhere: `agent` or `redis`, or both one after the other.

#[path = "../tests/shared/numbers.rs"]
mod numbers;
#[path = "../tests/shared/process.rs"]
mod process;
#[path = "../tests/shared/redis_server.rs"]
mod redis_server;

use std::{
    env,
    time::{Duration, Instant},
};

use cepa_bus::{Backend, Bus, Counter, Share};
use numbers::{connect, next, numbers};
use process::Process;
use redis_server::Redis;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    // Cargo adds a flag of its own.
    let asked: Vec<_> = env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let is_asked = |name: &str| asked.is_empty() || asked.iter().any(|asked| asked == name);
    if is_asked("agent") {
        agent().await;
    }
    if is_asked("redis") {
        redis().await;
    }
}

async fn agent() {
    println!("an agent and one process");
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let _agent = Process::start(&[
        "agent",
        path("bus").to_str().expect("a text"),
        path("store").to_str().expect("a text"),
    ]);
    let bus = connect(Backend::Agent(path("bus")));
    what_all_do(&bus).await;
    let share = bus.share("durable", String::new).expect("a name").durable();
    let time = times(200, async || share.set(String::new()).await.expect("it is written")).await;
    tell("durable share, set, one after the other", 200, time);
    let started = Instant::now();
    let tasks = (0..200).map(|n| {
        let share = bus.share(&format!("d{n}"), || 0u64).expect("a name").durable();
        tokio::spawn(async move {
            for n in 0..20 {
                share.set(n).await.expect("it is written");
            }
        })
    });
    all(tasks.collect()).await;
    tell("durable share, set, 200 at once", 4_000, started.elapsed());
}

async fn redis() {
    println!("Redis and one process");
    let server = Redis::start(&[]);
    let bus = connect(server.backend());
    what_all_do(&bus).await;
    let share: Share<String> = bus.share("s", String::new).expect("a name");
    let time = times(5_000, async || share.update(|text| text.push('x')).await.expect("it is written")).await;
    tell("share, update", 5_000, time);
}

async fn what_all_do(bus: &Bus) {
    bus.ready().await.expect("it is within reach");
    let counter = bus.counter("c").expect("a name");
    let time = times(20_000, async || counter.add(1).await.expect("it is added")).await;
    tell("counter, add, one after the other", 20_000, time);
    for tasks in [100, 1_000] {
        let time = counted_at_once(&counter, tasks).await;
        tell(&format!("counter, add, {tasks} at once"), 200_000, time);
    }
    published(bus).await;
    let share = bus.share("s", || "x".repeat(1000)).expect("a name");
    let time = times(20_000, async || share.read().await.expect("it is read")).await;
    tell("share that nobody changes, read", 20_000, time);
}

/// 200,000 times by so many tasks.
async fn counted_at_once(counter: &Counter, tasks: u32) -> Duration {
    let started = Instant::now();
    let tasks = (0..tasks).map(|_| {
        let counter = counter.clone();
        tokio::spawn(async move {
            for _ in 0..200_000 / tasks {
                counter.add(1).await.expect("it is added");
            }
        })
    });
    all(tasks.collect()).await;
    started.elapsed()
}

async fn published(bus: &Bus) {
    let queue = numbers(bus);
    let mut reader = queue.subscribe().expect("a place");
    let started = Instant::now();
    for n in 0..10_000 {
        queue.notify(&n).await.expect("it is published");
        assert_eq!(next(&mut reader).await, Ok(n));
    }
    tell("notify and deliver, one after the other", 10_000, started.elapsed());
    let started = Instant::now();
    let tasks = (0..500).map(|task| {
        let queue = queue.clone();
        tokio::spawn(async move {
            for n in 0..400 {
                queue.notify(&(task * 400 + n)).await.expect("it is published");
            }
        })
    });
    let tasks = tasks.collect();
    for _ in 0..200_000 {
        next(&mut reader).await.expect("nothing is missed");
    }
    all(tasks).await;
    tell("notify and deliver, 500 at once", 200_000, started.elapsed());
}

/// How long it takes so many times, one after the other.
async fn times<T>(count: u32, mut once: impl AsyncFnMut() -> T) -> Duration {
    let started = Instant::now();
    for _ in 0..count {
        once().await;
    }
    started.elapsed()
}

async fn all(tasks: Vec<tokio::task::JoinHandle<()>>) {
    for task in tasks {
        task.await.expect("it has not fallen");
    }
}

fn tell(name: &str, count: u32, time: Duration) {
    println!("  {name}: {:?} each, {:.0} a second", time / count, f64::from(count) / time.as_secs_f64());
}
