//! Real processes on one bus, killed, stopped and cut off: what is promised holds.
#![cfg(feature = "durable")]
#![allow(clippy::unwrap_used, reason = "all of it is tests")]

use std::{
    collections::HashMap,
    env,
    io::{BufRead, BufReader, Lines},
    path::{Path, PathBuf},
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use cepa_bus::{
    AgentServer, Backend, BackendError, Bus, BusConfig, Delivery, Party, Queue, QueueError, QueueOptions,
    ShareError, Subscriber, WhileLost,
};
use tokio::time::timeout;

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(100);

// --- the processes: this program again, with one of these as its only test

const SOCKET: &str = "CEPA_BUS_SOCKET";
const STORE: &str = "CEPA_BUS_STORE";
const TASK: &str = "CEPA_BUS_TASK";

#[tokio::test]
#[ignore = "it is the agent of the other tests"]
async fn process_agent() {
    let Some(path) = env::var_os(SOCKET).map(PathBuf::from) else { return };
    let store = env::var_os(STORE).map(PathBuf::from);
    let bus = Bus::connect(&BusConfig { store, ..BusConfig::default() }).expect("a store");
    let _ = std::fs::remove_file(&path);
    let listener = tokio::net::UnixListener::bind(&path).expect("a socket");
    match AgentServer::serve(listener, bus).await {}
}

#[tokio::test]
#[ignore = "it is a worker of the other tests"]
async fn process_worker() {
    let (Some(path), Ok(task)) = (env::var_os(SOCKET), env::var(TASK)) else { return };
    let bus = connect(Path::new(&path));
    bus.ready().await.expect("the agent is there");
    match task.as_str() {
        "hold" => {
            let share = bus.share("number", || 0u64).expect("a name");
            let _guard = share.lock(&mut Party::new("the killed one"), LONG).await.expect("it is free");
            let _listener = bus.messenger().on::<u8>("x").expect("a name");
            let queue = numbers(&bus);
            let mut subscriber = queue.subscribe().expect("a place").named("killed").expect("a name");
            assert_eq!(queue.present().await.expect("it answers").len(), 1);
            println!("\nready");
            while subscriber.next().await.is_some() {}
        }
        "count" => {
            let share = bus.share("durable", || 0u64).expect("a name").durable();
            loop {
                // What was not answered may have been done.
                match share
                    .update(|n| {
                        *n += 1;
                        *n
                    })
                    .await
                {
                    Ok(n) => println!("\ndone {n}"),
                    Err(error) => println!("\nfailed {error}"),
                }
            }
        }
        "publish" => {
            let queue = numbers(&bus);
            for n in 0.. {
                match queue.notify(&n).await {
                    Ok(_) => println!("\ndone {n}"),
                    Err(error) => println!("\nfailed {error}"),
                }
            }
        }
        other => panic!("no task {other}"),
    }
}

/// A process that is killed when it is dropped.
struct Process {
    child: Child,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    fn start(role: &str, folder: &Path, task: &str) -> Self {
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.args([role, "--exact", "--ignored", "--nocapture"]).env(TASK, task);
        command.env(SOCKET, folder.join("bus")).env(STORE, folder.join("store"));
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, lines }
    }

    fn agent(folder: &Path) -> Self {
        Self::start("process_agent", folder, "")
    }

    fn worker(folder: &Path, task: &str) -> Self {
        Self::start("process_worker", folder, task)
    }

    /// What follows a word in the next line that begins with it.
    fn line(&mut self, word: &str) -> String {
        let line = self.lines.find_map(|line| line.ok()?.strip_prefix(word).map(str::to_owned));
        line.expect("it says so before it ends").trim().to_owned()
    }

    fn signal(&self, signal: &str) {
        let done = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(done.expect("there is kill").success());
    }

    /// With SIGSTOP, until each of its threads stands still.
    async fn stand_still(&self) {
        self.signal("-STOP");
        let tasks = format!("/proc/{}/task", self.child.id());
        let is_still = |task: std::io::Result<std::fs::DirEntry>| {
            let stat = task.and_then(|task| std::fs::read_to_string(task.path().join("stat")));
            // What comes after the name, which is in brackets.
            stat.is_ok_and(|stat| stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T')))
        };
        eventually(async || std::fs::read_dir(&tasks).unwrap().all(is_still)).await;
    }

    /// With SIGKILL.
    fn kill(&mut self) {
        self.child.kill().expect("it is ours");
        self.child.wait().expect("it is ours");
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn config(path: &Path) -> BusConfig {
    let silence = Duration::from_secs(2);
    BusConfig { backend: Backend::Agent(path.to_owned()), wait: LONG, silence, ..BusConfig::default() }
}

fn connect(path: &Path) -> Bus {
    Bus::connect(&config(path)).expect("a thread")
}

fn numbers(bus: &Bus) -> Queue<u64> {
    let options = QueueOptions { keep: 100_000, keep_bytes: 64 << 20, ..QueueOptions::default() };
    bus.queue_with("numbers", options).expect("a name")
}

async fn next(subscriber: &mut Subscriber<u64>) -> Result<u64, Option<u64>> {
    match timeout(LONG, subscriber.next()).await.expect("something comes") {
        Some(Delivery::Message(message)) => Ok(message.value().expect("a number")),
        Some(Delivery::Missed(count)) => Err(count),
        None => panic!("it has ended: {:?}", subscriber.stopped()),
    }
}

async fn eventually(mut is_so: impl AsyncFnMut() -> bool) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, wait).await.expect("it becomes so");
}

// --- the tests

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_had_is_free_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let _agent = Process::agent(folder.path());
    let bus = connect(&folder.path().join("bus"));
    bus.ready().await.unwrap();
    let mut worker = Process::worker(folder.path(), "hold");
    worker.line("ready");
    let (share, queue) = (bus.share("number", || 0u64).unwrap(), numbers(&bus));
    let held = share.lock(&mut Party::new("test"), SHORT).await.unwrap_err();
    assert_eq!(held, ShareError::Timeout { share: "number".into(), holder: "the killed one".into() });
    assert_eq!(queue.present().await.unwrap(), [("killed".into(), 1)]);
    assert_eq!(bus.messenger().send_to(worker.child.id(), "x", &1).await.unwrap(), 1);

    let waits = tokio::spawn(async move { share.lock(&mut Party::new("test"), LONG).await.map(drop) });
    tokio::time::sleep(SHORT).await;
    let killed = Instant::now();
    worker.kill();
    waits.await.unwrap().unwrap();
    assert!(killed.elapsed() < Duration::from_secs(1), "{:?}", killed.elapsed());
    eventually(async || queue.count().await.unwrap() == 0 && queue.present().await.unwrap().is_empty()).await;
    assert_eq!(bus.messenger().broadcast("x", &1).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_share_survives_whoever_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut agent = Process::agent(folder.path());
    let mut last = 0;
    for round in 0..4 {
        let mut worker = Process::worker(folder.path(), "count");
        for _ in 0..30 {
            let done: u64 = worker.line("done ").parse().unwrap();
            assert!(done > last, "{done} after {last}");
            last = done;
        }
        // In the middle of what both do.
        if round % 2 == 0 {
            agent.kill();
            agent = Process::agent(folder.path());
            last = worker.line("done ").parse().unwrap();
        }
        worker.kill();
        let bus = connect(&folder.path().join("bus"));
        let now = *bus.share("durable", || 0u64).unwrap().read().await.unwrap();
        assert!(now >= last, "{now} of {last}");
        last = now;
    }
    agent.kill();
    drop(agent);
    let _agent = Process::agent(folder.path());
    let bus = connect(&folder.path().join("bus"));
    let share = bus.share("durable", || 0u64).unwrap();
    let present = share.read().await.unwrap();
    assert_eq!(*present, last);
    let version = share.compare_and_set(present.version(), 7).await.unwrap();
    assert!(version > present.version());
    // Written by a handle that does not ask for it, it is on disk no more.
    assert_eq!(*bus.share("volatile", || 1u64).unwrap().read().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_was_killed_is_found_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bus");
    let mut agent = Process::agent(folder.path());
    let (bus, other) = (connect(&path), connect(&path));
    bus.ready().await.unwrap();
    let share = bus.share("number", || 0u64).unwrap();
    share.set(5).await.unwrap();
    let version = share.read().await.unwrap().version();
    bus.counter("c").unwrap().add(5).await.unwrap();
    let mut guard = share.lock(&mut Party::new("test"), LONG).await.unwrap();
    let queue = numbers(&bus);
    let mut subscriber = queue.subscribe().unwrap().named("ada").unwrap();
    let old = queue.notify(&1).await.unwrap();
    assert_eq!(next(&mut subscriber).await, Ok(1));
    let mut unread = numbers(&other).subscribe_after(old).unwrap();
    let mut listener = bus.messenger().on::<u8>("x").unwrap();

    agent.kill();
    let refuse = BusConfig { while_lost: WhileLost::Refuse, wait: SHORT, ..config(&path) };
    let refuse = Bus::connect(&refuse).unwrap();
    let refused = refuse.counter("c").unwrap().add(1).await;
    assert!(matches!(refused, Err(ShareError::Backend(BackendError::Away(_)))), "{refused:?}");
    let refused = numbers(&refuse).notify(&9).await;
    assert!(matches!(refused, Err(QueueError::Backend(BackendError::Away(_)))), "{refused:?}");
    // What is published meanwhile is kept, also if nobody waits for it.
    let publisher = queue.clone();
    let buffered = tokio::spawn(async move {
        assert!(timeout(SHORT, publisher.notify(&2)).await.is_err());
        publisher.notify(&3).await.unwrap()
    });
    tokio::time::sleep(3 * SHORT).await;
    assert!(!buffered.is_finished());

    let _agent = Process::agent(folder.path());
    let new = timeout(LONG, buffered).await.unwrap().unwrap();
    assert_ne!(new.to_string()[..16], old.to_string()[..16], "another life of the queue");
    for subscriber in [&mut subscriber, &mut unread] {
        assert_eq!(next(subscriber).await, Err(None), "nobody knows what was missed");
        assert_eq!((next(subscriber).await, next(subscriber).await), (Ok(2), Ok(3)));
        assert_eq!(subscriber.last(), new);
    }
    let mut back = queue.subscribe_after(old).unwrap();
    assert_eq!((next(&mut back).await, next(&mut back).await), (Err(None), Ok(2)));
    assert_eq!(guard.set(6).await, Err(ShareError::LockLost("number".into())));
    drop(guard);
    assert!(share.compare_and_set(version, 6).await.is_err(), "what was not durable is gone");
    assert_eq!((*share.read().await.unwrap(), bus.counter("c").unwrap().get().await.unwrap()), (0, 0));
    // Who is there is told anew.
    eventually(async || numbers(&other).present().await.unwrap() == [("ada".into(), 1)]).await;
    eventually(async || other.messenger().broadcast("x", &1).await.unwrap() == 1).await;
    assert_eq!(listener.next().await.unwrap(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_agent_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Process::agent(folder.path());
    let path = folder.path().join("bus");
    let bus = Bus::connect(&BusConfig { wait: 3 * SHORT, ..config(&path) }).unwrap();
    let counter = bus.counter("c").unwrap();
    eventually(async || counter.add(1).await.is_ok()).await;
    agent.stand_still().await;
    let started = Instant::now();
    let unanswered = counter.add(1).await;
    assert_eq!(unanswered, Err(ShareError::Backend(BackendError::Unanswered)));
    assert!((1..6).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    let away = counter.add(1).await;
    assert!(matches!(away, Err(ShareError::Backend(BackendError::Away(_)))), "{away:?}");
    agent.signal("-CONT");
    eventually(async || counter.get().await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stands_still_slows_nobody_and_is_cut_off() {
    let folder = tempfile::tempdir().unwrap();
    let agent = Process::agent(folder.path());
    let bus = connect(&folder.path().join("bus"));
    bus.ready().await.unwrap();
    let mut worker = Process::worker(folder.path(), "hold");
    worker.line("ready");
    worker.stand_still().await;
    let queue = numbers(&bus);
    let texts = bus.queue::<String>("texts").unwrap();
    let mut reader = queue.subscribe().unwrap();
    let text = "x".repeat(10_000);
    let started = Instant::now();
    for n in 0..2000 {
        queue.notify(&n).await.unwrap();
        texts.notify(&text).await.unwrap();
        assert_eq!(next(&mut reader).await, Ok(n));
    }
    assert!(started.elapsed() < LONG, "{:?}", started.elapsed());
    // Its lock and its presence are gone with it.
    let share = bus.share("number", || 0u64).unwrap();
    share.lock(&mut Party::new("test"), LONG).await.unwrap();
    eventually(async || queue.present().await.unwrap().is_empty()).await;
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", agent.child.id())).unwrap();
    let resident = statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096;
    assert!(resident < 64 << 20, "{resident}");
    // It finds back, and what it holds is told again.
    worker.signal("-CONT");
    eventually(async || queue.present().await.unwrap() == [("killed".into(), 1)]).await;
}

/// A socket whose connections can be cut, in the middle of whatever they carry.
fn flaky(folder: &Path) -> (PathBuf, tokio::sync::watch::Sender<u32>) {
    let (path, target) = (folder.join("flaky"), folder.join("bus"));
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let (cut, cuts) = tokio::sync::watch::channel(0);
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let (target, mut cuts) = (target.clone(), cuts.clone());
            cuts.mark_unchanged();
            tokio::spawn(async move {
                let Ok(mut agent) = tokio::net::UnixStream::connect(target).await else { return };
                tokio::select! {
                    _ = cuts.changed() => {}
                    _ = tokio::io::copy_bidirectional(&mut socket, &mut agent) => {}
                }
            });
        }
    });
    (path, cut)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn broken_connections_lose_nothing_and_repeat_nothing() {
    const PUBLISHERS: u64 = 4;
    const EACH: u64 = 1000;
    let folder = tempfile::tempdir().unwrap();
    let listener = tokio::net::UnixListener::bind(folder.path().join("bus")).unwrap();
    let agent = tokio::spawn(AgentServer::serve(listener, Bus::new()));
    let (path, cut) = flaky(folder.path());
    let buses = [connect(&path), connect(&path)];
    let mut readers = Vec::new();
    for bus in [&buses[0], &buses[1], &buses[1]] {
        bus.ready().await.unwrap();
        readers.push(numbers(bus).subscribe().unwrap());
    }
    // All are there before anything is published.
    eventually(async || numbers(&buses[0]).count().await.is_ok_and(|count| count == 3)).await;
    let mut publishers = Vec::new();
    for publisher in 0..PUBLISHERS {
        let queue = numbers(&buses[publisher as usize % 2]);
        publishers.push(tokio::spawn(async move {
            for n in 0..EACH {
                queue.notify(&(publisher * EACH + n)).await.unwrap();
                if n % 4 == 0 {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
        }));
    }
    let cutter = tokio::spawn(async move {
        // A few before everything is published, and a few after.
        for n in 0..60 {
            tokio::time::sleep(Duration::from_millis(5 + n * 7 % 40)).await;
            cut.send_replace(0);
        }
        cut
    });
    let mut orders = Vec::new();
    for reader in &mut readers {
        let mut order = Vec::new();
        while order.len() as u64 != PUBLISHERS * EACH {
            order.push(next(reader).await.expect("nothing is missed"));
        }
        orders.push(order);
    }
    for publisher in publishers {
        publisher.await.unwrap();
    }
    let _cut = cutter.await.unwrap();
    assert!(orders.iter().all(|order| *order == orders[0]), "one order");
    let mut next_of = HashMap::new();
    for n in &orders[0] {
        let expected: &mut u64 = next_of.entry(n / EACH).or_default();
        assert_eq!(n % EACH, *expected, "each once, and in the order of its publisher");
        *expected += 1;
    }
    for reader in &mut readers {
        assert!(timeout(SHORT, reader.next()).await.is_err(), "nothing comes twice");
    }
    agent.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_is_killed_order_is_kept_and_nothing_comes_twice() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bus");
    let mut agent = Process::agent(folder.path());
    let bus = connect(&path);
    bus.ready().await.unwrap();
    let mut reader = numbers(&bus).subscribe().unwrap();
    eventually(async || numbers(&bus).count().await.is_ok_and(|count| count == 1)).await;
    for round in 0..6 {
        let mut worker = Process::worker(folder.path(), "publish");
        let mut last = None;
        let mut gaps = 0;
        let mut kills = 0;
        while last < Some(3000) {
            match next(&mut reader).await {
                Ok(n) => {
                    assert!(Some(n) > last, "{n} after {last:?} in round {round}");
                    assert!(gaps > 0 || last.map_or(n == 0, |last| n == last + 1), "{n} after {last:?}");
                    (last, gaps) = (Some(n), 0);
                }
                Err(_) => gaps += 1,
            }
            if round % 2 == 1 && kills == 0 && last > Some(1000) {
                kills += 1;
                agent.kill();
                agent = Process::agent(folder.path());
            }
        }
        worker.kill();
        // What the killed one had under way comes before what anybody publishes now.
        numbers(&bus).notify(&u64::MAX).await.unwrap();
        while next(&mut reader).await != Ok(u64::MAX) {}
    }
}

/// `cargo test --release -p cepa-bus --features durable --test processes -- --ignored --nocapture figures`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
async fn figures() {
    let folder = tempfile::tempdir().unwrap();
    let _agent = Process::agent(folder.path());
    let bus = connect(&folder.path().join("bus"));
    bus.ready().await.unwrap();
    let counter = bus.counter("c").unwrap();
    let each = async |name: &str, count: u32, started: Instant| {
        let time = started.elapsed();
        println!("{name}: {:?} each, {:.0} a second", time / count, f64::from(count) / time.as_secs_f64());
    };
    let started = Instant::now();
    for _ in 0..20_000 {
        counter.add(1).await.unwrap();
    }
    each("counter, one after the other", 20_000, started).await;
    for (name, tasks) in [("counter, 100 at once", 100u32), ("counter, 1000 at once", 1000)] {
        let started = Instant::now();
        let tasks: Vec<_> = (0..tasks)
            .map(|_| {
                let counter = counter.clone();
                tokio::spawn(async move {
                    for _ in 0..200_000 / tasks {
                        counter.add(1).await.unwrap();
                    }
                })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
        }
        each(name, 200_000, started).await;
    }
    let queue = numbers(&bus);
    let mut reader = queue.subscribe().unwrap();
    let started = Instant::now();
    for n in 0..10_000 {
        queue.notify(&n).await.unwrap();
        assert_eq!(next(&mut reader).await, Ok(n));
    }
    each("publish and deliver, one after the other", 10_000, started).await;
    let started = Instant::now();
    for task in 0..500 {
        let queue = queue.clone();
        tokio::spawn(async move {
            for n in 0..400 {
                queue.notify(&(task * 400 + n)).await.unwrap();
            }
        });
    }
    for _ in 0..200_000 {
        next(&mut reader).await.unwrap();
    }
    each("publish and deliver, 500 at once", 200_000, started).await;
    let share = bus.share("s", || "x".repeat(1000)).unwrap();
    share.read().await.unwrap();
    let started = Instant::now();
    for _ in 0..20_000 {
        share.read().await.unwrap();
    }
    each("read of a share that nobody changes", 20_000, started).await;
    let share = share.durable();
    let started = Instant::now();
    for _ in 0..200 {
        share.set(String::new()).await.unwrap();
    }
    each("durable write, one after the other", 200, started).await;
    let started = Instant::now();
    let mut tasks = Vec::new();
    for n in 0..200u64 {
        let share = bus.share(&format!("d{n}"), || 0u64).unwrap().durable();
        tasks.push(tokio::spawn(async move {
            for n in 0..20 {
                share.set(n).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    each("durable writes, 200 at once", 4000, started).await;
}
