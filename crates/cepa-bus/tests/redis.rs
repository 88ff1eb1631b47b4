//! Real processes and a real Redis server on one bus, killed, stopped and cut off: what is promised holds.
#![cfg(feature = "redis")]
#![allow(clippy::unwrap_used, reason = "all of it is tests")]

#[path = "servers/redis.rs"]
mod redis_server;

use std::{
    collections::HashMap,
    env,
    io::{BufRead, BufReader, Lines},
    net::Ipv4Addr,
    process::{Child, ChildStdout, Command, Stdio},
    time::{Duration, Instant},
};

use cepa_bus::{
    Backend, BackendError, Bus, BusConfig, BusLimits, Delivery, Party, Queue, QueueError, QueueOptions,
    Share, ShareError, Subscriber, WhileLost,
};
use cepa_programs::needs;
use redis_server::Redis;
use tokio::{
    io::copy_bidirectional,
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{sleep, timeout},
};

const LONG: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(100);
/// A server that writes down all that it does before it says so.
const SYNCED: &[&str] = &["--appendonly", "yes", "--appendfsync", "always"];

// --- the other process: this program again, with this as its only test

const BACKEND: &str = "CEPA_BUS_BACKEND";
const TASK: &str = "CEPA_BUS_TASK";

#[tokio::test]
#[ignore = "it is a worker of the other tests"]
async fn process_worker() {
    let (Ok(backend), Ok(task)) = (env::var(BACKEND), env::var(TASK)) else { return };
    let bus = connect(backend.parse().expect("a backend"));
    bus.ready().await.expect("Redis is there");
    match task.as_str() {
        "hold" => {
            let _guard =
                number(&bus).lock(&mut Party::new("the killed one"), LONG).await.expect("it is free");
            let _listener = bus.messenger().on::<u8>("x").expect("a name");
            let queue = numbers(&bus);
            let mut subscriber = queue.subscribe().expect("a place").named("killed").expect("a name");
            assert_eq!(queue.present().await.expect("it answers").len(), 1);
            assert!(bus.messenger().send_random("x", &1).await.expect("it answers"));
            println!("\nready");
            while subscriber.next().await.is_some() {}
        }
        "wait" => {
            println!("\nready");
            let _guard = number(&bus).lock(&mut Party::new("the one who waits"), LONG).await;
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
    fn start(server: &Redis, task: &str) -> Self {
        let mut command = Command::new(env::current_exe().expect("this program"));
        command.args(["process_worker", "--exact", "--ignored", "--nocapture"]).env(TASK, task);
        command.env(BACKEND, format!("redis://127.0.0.1:{}", server.port()));
        let mut child = command.stdout(Stdio::piped()).spawn().expect("it starts");
        let lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, lines }
    }

    fn is_ready(&mut self) {
        let line = self.lines.find(|line| line.as_ref().is_ok_and(|line| line == "ready"));
        line.expect("it says so before it ends").expect("a line");
    }

    fn signal(&self, signal: &str) {
        let done = Command::new("kill").arg(signal).arg(self.child.id().to_string()).status();
        assert!(done.expect("there is kill").success());
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

fn config(backend: Backend) -> BusConfig {
    BusConfig { backend, wait: LONG, silence: Duration::from_secs(2), ..BusConfig::default() }
}

fn connect(backend: Backend) -> Bus {
    Bus::connect(&config(backend)).expect("a thread")
}

fn number(bus: &Bus) -> Share<u64> {
    bus.share("number", || 0).expect("a name")
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
            sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(LONG, wait).await.expect("it becomes so");
}

// --- the tests

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_had_is_free_when_its_lease_ends() {
    needs!("redis-server");
    let server = Redis::start(&[]);
    let bus = connect(server.backend());
    let queue = numbers(&bus);
    let mut holder = Process::start(&server, "hold");
    holder.is_ready();
    let mut waiting = Process::start(&server, "wait");
    waiting.is_ready();
    assert_eq!(queue.present().await.unwrap(), [("killed".into(), 1)]);
    assert_eq!(bus.messenger().broadcast("x", &1).await.unwrap(), 1);
    assert_eq!(queue.count().await.unwrap(), 1);
    sleep(2 * SHORT).await;
    let held = number(&bus).lock(&mut Party::new("test"), SHORT).await.unwrap_err();
    assert_eq!(held, ShareError::Timeout { share: "number".into(), holder: "the killed one".into() });
    holder.kill();
    waiting.kill();
    let started = Instant::now();
    let mut guard = number(&bus).lock(&mut Party::new("test"), LONG).await.unwrap();
    assert!(started.elapsed() < Duration::from_secs(6), "{:?}", started.elapsed());
    guard.set(1).await.unwrap();
    assert_eq!((queue.count().await.unwrap(), queue.present().await.unwrap()), (0, vec![]));
    assert_eq!(bus.messenger().broadcast("x", &1).await.unwrap(), 0);
    // Nothing is left of them.
    eventually(async || !server.command("HVALS cepa::locks").contains("the killed one")).await;
    assert!(
        server.command("HLEN cepa::waits").starts_with(":0"),
        "{}",
        server.command("HGETALL cepa::waits")
    );
    eventually(async || server.command("ZCARD cepa::sessions").starts_with(":1")).await;
}

/// What of a bus is to be there before its server is killed.
struct Before {
    bus: Bus,
    other: Bus,
    subscriber: Subscriber<u64>,
    version: u64,
}

impl Before {
    async fn new(server: &Redis) -> Self {
        let (bus, other) = (connect(server.backend()), connect(server.backend()));
        let version = number(&bus).set(5).await.unwrap();
        bus.counter("c").unwrap().add(5).await.unwrap();
        let queue = numbers(&bus);
        let mut subscriber = queue.subscribe().unwrap().named("ada").unwrap();
        queue.notify(&1).await.unwrap();
        assert_eq!(next(&mut subscriber).await, Ok(1));
        Self { bus, other, subscriber, version }
    }

    /// Who is there is told anew.
    async fn is_told_anew(&self) {
        eventually(async || numbers(&self.other).present().await.unwrap() == [("ada".into(), 1)]).await;
        let mut listener = self.bus.messenger().on::<u8>("x").unwrap();
        eventually(async || self.other.messenger().broadcast("x", &1).await.unwrap() == 1).await;
        assert_eq!(timeout(LONG, listener.next()).await.unwrap().unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn redis_back_with_all_its_data_is_as_if_it_had_not_been_away() {
    needs!("redis-server");
    let mut server = Redis::start(SYNCED);
    let mut before = Before::new(&server).await;
    let Before { bus, other, subscriber, version } = &mut before;
    let queue = numbers(bus);
    let old = subscriber.last();
    let mut guard = number(bus).lock(&mut Party::new("test"), LONG).await.unwrap();

    server.kill();
    let refuse = BusConfig { while_lost: WhileLost::Refuse, wait: SHORT, ..config(server.backend()) };
    let refuse = Bus::connect(&refuse).unwrap();
    let refused = refuse.counter("c").unwrap().add(1).await;
    assert!(matches!(refused, Err(ShareError::Backend(BackendError::Away(_)))), "{refused:?}");
    let refused = numbers(&refuse).notify(&9).await;
    assert!(matches!(refused, Err(QueueError::Backend(BackendError::Away(_)))), "{refused:?}");
    // What is published meanwhile is kept, also if nobody waits for it.
    assert!(timeout(SHORT, queue.notify(&2)).await.is_err());
    let (publisher, last) = (queue.clone(), old);
    let buffered = tokio::spawn(async move { publisher.notify(&3).await });
    let mut late = numbers(other).subscribe_after(last).unwrap();
    sleep(3 * SHORT).await;
    assert!(!buffered.is_finished());

    server.start_again();
    let new = timeout(LONG, buffered).await.unwrap().unwrap().unwrap();
    assert_eq!(new.to_string()[..16], old.to_string()[..16], "the same life of the queue");
    for subscriber in [subscriber, &mut late] {
        assert_eq!((next(subscriber).await, next(subscriber).await), (Ok(2), Ok(3)));
        assert_eq!(subscriber.last(), new);
        assert!(timeout(SHORT, subscriber.next()).await.is_err(), "nothing comes twice");
    }
    assert_eq!(guard.set(6).await, Err(ShareError::LockLost("number".into())));
    drop(guard);
    assert_eq!(bus.counter("c").unwrap().get().await, Ok(5));
    number(bus).compare_and_set(*version, 7).await.unwrap();
    drop(late);
    before.is_told_anew().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_redis_may_have_lost_is_told() {
    needs!("redis-server");
    // Without its data, and with what was written down, which need not be all.
    for options in [&["--appendonly", "no"], &["--appendonly", "yes"]] {
        let mut server = Redis::start(options);
        let mut before = Before::new(&server).await;
        let Before { bus, other, subscriber, version } = &mut before;
        let queue = numbers(bus);
        let old = subscriber.last();
        let mut unread = numbers(other).subscribe_after(old).unwrap();
        let mut guard = number(bus).lock(&mut Party::new("test"), LONG).await.unwrap();
        let is_kept = options[1] == "yes";
        if is_kept {
            // It writes at least once a second.
            sleep(Duration::from_millis(1500)).await;
        }
        server.kill();
        // What is under way when it is killed is not sent again: nobody knows whether it was done.
        sleep(SHORT).await;
        assert!(timeout(SHORT, queue.notify(&2)).await.is_err());
        server.start_again();
        let new = queue.notify(&3).await.unwrap();
        assert_ne!(new.to_string()[..16], old.to_string()[..16], "another life of the queue");
        for subscriber in [subscriber, &mut unread] {
            assert_eq!(next(subscriber).await, Err(None), "nobody knows what was missed");
            assert_eq!((next(subscriber).await, next(subscriber).await), (Ok(2), Ok(3)));
            assert_eq!(subscriber.last(), new);
        }
        let mut back = queue.subscribe_after(old).unwrap();
        assert_eq!((next(&mut back).await, next(&mut back).await), (Err(None), Ok(2)));
        assert_eq!(guard.set(6).await, Err(ShareError::LockLost("number".into())));
        drop(guard);
        assert_eq!(number(bus).compare_and_set(*version, 6).await.is_ok(), is_kept);
        let expected = if is_kept { (6, 5) } else { (0, 0) };
        assert_eq!(
            (*number(bus).read().await.unwrap(), bus.counter("c").unwrap().get().await.unwrap()),
            expected
        );
        drop((back, unread));
        before.is_told_anew().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_forgotten_while_redis_runs_is_made_anew() {
    needs!("redis-server");
    let server = Redis::start(&[]);
    let mut before = Before::new(&server).await;
    assert!(server.command("SCRIPT FLUSH").contains("+OK"));
    eventually(async || before.bus.counter("c").unwrap().compare_and_set(5, 6).await == Ok(5)).await;
    numbers(&before.bus).notify(&2).await.unwrap();
    assert_eq!(next(&mut before.subscriber).await, Ok(2));
    assert!(server.command("FLUSHALL").contains("+OK"));
    numbers(&before.other).notify(&3).await.unwrap();
    assert_eq!((next(&mut before.subscriber).await, next(&mut before.subscriber).await), (Err(None), Ok(3)));
    // Its sessions are gone as well, so that they begin anew.
    before.is_told_anew().await;
    assert!(number(&before.bus).compare_and_set(before.version, 1).await.is_err());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_redis_is_noticed() {
    needs!("redis-server");
    let server = Redis::start(&[]);
    let bus = Bus::connect(&BusConfig { wait: 3 * SHORT, ..config(server.backend()) }).unwrap();
    let counter = bus.counter("c").unwrap();
    eventually(async || counter.add(1).await.is_ok()).await;
    server.signal("STOP");
    let started = Instant::now();
    let unanswered = counter.add(1).await;
    assert_eq!(unanswered, Err(ShareError::Backend(BackendError::Unanswered)));
    assert!((1..6).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    let away = counter.add(1).await;
    assert!(matches!(away, Err(ShareError::Backend(BackendError::Away(_)))), "{away:?}");
    server.signal("CONT");
    eventually(async || counter.get().await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stands_still_slows_nobody_and_finds_back() {
    needs!("redis-server");
    let server = Redis::start(&["--client-output-buffer-limit", "pubsub 1mb 1mb 1"]);
    let bus = connect(server.backend());
    let mut worker = Process::start(&server, "hold");
    worker.is_ready();
    worker.signal("-STOP");
    let queue = numbers(&bus);
    let mut reader = queue.subscribe().unwrap();
    let started = Instant::now();
    for n in 0..20_000 {
        queue.notify(&n).await.unwrap();
        assert_eq!(next(&mut reader).await, Ok(n));
    }
    assert!(started.elapsed() < LONG, "{:?}", started.elapsed());
    // Its lock and its presence are gone with its lease.
    number(&bus).lock(&mut Party::new("test"), LONG).await.unwrap();
    assert_eq!(queue.present().await.unwrap(), []);
    worker.signal("-CONT");
    eventually(async || queue.present().await.unwrap() == [("killed".into(), 1)]).await;
}

/// A way to a server whose connections can be cut, in the middle of whatever they carry.
async fn flaky(server: &Redis) -> (Backend, watch::Sender<u32>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let backend = format!("redis://127.0.0.1:{}", listener.local_addr().unwrap().port());
    let (cut, cuts) = watch::channel(0);
    let target = (Ipv4Addr::LOCALHOST, server.port());
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut cuts = cuts.clone();
            cuts.mark_unchanged();
            tokio::spawn(async move {
                let Ok(mut server) = TcpStream::connect(target).await else { return };
                tokio::select! {
                    _ = cuts.changed() => {}
                    _ = copy_bidirectional(&mut socket, &mut server) => {}
                }
            });
        }
    });
    (backend.parse().unwrap(), cut)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn broken_connections_lose_nothing_and_repeat_nothing() {
    const PUBLISHERS: u64 = 4;
    const EACH: u64 = 1000;
    needs!("redis-server");
    let server = Redis::start(&[]);
    let (backend, cut) = flaky(&server).await;
    let buses = [connect(backend.clone()), connect(backend)];
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
                    sleep(Duration::from_millis(1)).await;
                }
            }
        }));
    }
    let cutter = tokio::spawn(async move {
        // A few before everything is published, and a few after.
        for n in 0..60 {
            sleep(Duration::from_millis(5 + n * 7 % 40)).await;
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
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_is_killed_order_is_kept_and_nothing_comes_twice() {
    needs!("redis-server");
    for (options, is_kept) in [(SYNCED, true), (&["--appendonly", "no"], false)] {
        let mut server = Redis::start(options);
        let bus = connect(server.backend());
        let mut reader = numbers(&bus).subscribe().unwrap();
        eventually(async || numbers(&bus).count().await.is_ok_and(|count| count == 1)).await;
        for round in 0..4 {
            let mut worker = Process::start(&server, "publish");
            let (mut last, mut gaps, mut kills) = (None, 0, 0);
            while last < Some(2000) {
                match next(&mut reader).await {
                    Ok(n) => {
                        assert!(Some(n) > last, "{n} after {last:?} in round {round}");
                        assert!(gaps > 0 || last.map_or(n == 0, |last| n == last + 1), "{n} after {last:?}");
                        (last, gaps) = (Some(n), 0);
                    }
                    Err(_) => gaps += 1,
                }
                assert!(gaps == 0 || !is_kept, "what is kept is not missed");
                if round % 2 == 1 && kills < 2 && last > Some(500 * (kills + 1)) {
                    kills += 1;
                    server.kill();
                    server.start_again();
                }
            }
            worker.kill();
            // What the killed one had under way comes before what anybody publishes later.
            sleep(SHORT).await;
            numbers(&bus).notify(&u64::MAX).await.unwrap();
            while next(&mut reader).await != Ok(u64::MAX) {}
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_kept_any_more_is_counted() {
    needs!("redis-server");
    let server = Redis::start(&[]);
    let (backend, cut) = flaky(&server).await;
    let few = |bus: &Bus| {
        bus.queue_with::<u64>("few", QueueOptions { keep: 10, ..QueueOptions::default() }).unwrap()
    };
    let (away, here) = (connect(backend), connect(server.backend()));
    let mut subscriber = few(&away).subscribe().unwrap();
    few(&here).notify(&0).await.unwrap();
    few(&away).notify(&1).await.unwrap();
    while next(&mut subscriber).await != Ok(1) {}
    let publish = async {
        for n in 2..500 {
            cut.send_replace(0);
            few(&here).notify(&n).await.unwrap();
        }
    };
    publish.await;
    let (mut expected, mut missed) = (2, 0);
    while expected < 500 {
        match next(&mut subscriber).await {
            Ok(n) => {
                assert_eq!(n, expected);
                expected += 1;
            }
            Err(gap) => {
                let gap = gap.expect("numbers tell how many");
                (expected, missed) = (expected + gap, missed + gap);
            }
        }
    }
    assert!(missed > 0);
    let kept = server.command("XLEN cepa:app:log:few");
    assert!(kept.starts_with(":10"), "{kept}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_lets_in_and_is_shown_to_nobody() {
    needs!("redis-server");
    let server = Redis::start(&["--requirepass", "open sesame"]);
    let path = env::temp_dir().join(format!("cepa-bus-redis-{}", std::process::id()));
    std::fs::write(&path, "open sesame\n").unwrap();
    let port = server.port();
    for url in [
        format!("redis://:open%20sesame@127.0.0.1:{port}/1"),
        format!("redis://127.0.0.1:{port}/2?password_file={}", path.display()),
    ] {
        let bus = connect(url.parse().unwrap());
        bus.ready().await.unwrap();
        assert_eq!(bus.counter("c").unwrap().add(1).await, Ok(1));
        let shown = format!("{bus:?} {:?}", config(url.parse().unwrap()));
        assert!(!shown.contains("sesame"), "{shown}");
    }
    std::fs::remove_file(&path).unwrap();
    // One who may do no more than the guide says.
    let command = "AUTH \"open sesame\"\r\nACL SETUSER cepa on >sesame ~shop:* &shop:* +@read +@write +@scripting \
                   +@pubsub +@connection +info +time +config|get";
    assert!(server.command(command).contains("+OK\r\n+OK"));
    let backend = format!("redis://cepa:sesame@127.0.0.1:{port}").parse().unwrap();
    let bus = Bus::connect(&BusConfig { prefix: "shop:".to_owned(), ..config(backend) }).unwrap();
    let queue = numbers(&bus);
    let mut reader = queue.subscribe().unwrap().named("ada").unwrap();
    queue.notify(&1).await.unwrap();
    assert_eq!(next(&mut reader).await, Ok(1));
    assert_eq!(queue.present().await.unwrap(), [("ada".into(), 1)]);
    let mut listener = bus.messenger().on::<u8>("x").unwrap();
    assert!(bus.messenger().send_random("x", &1).await.unwrap());
    assert_eq!(listener.next().await.unwrap(), 1);
    number(&bus).update(|n| *n += 1).await.unwrap();
    bus.counter("c").unwrap().set(1).await.unwrap();
    let map = bus.map::<u8>("m").unwrap();
    map.insert("x", 1).await.unwrap();
    assert_eq!(map.entries().await.unwrap().len(), 1);
    map.clear().await.unwrap();
    queue.stop().await.unwrap();
    let wrong = format!("redis://:open%20wheat@127.0.0.1:{port}").parse().unwrap();
    let bus = Bus::connect(&BusConfig { wait: 5 * SHORT, ..config(wrong) }).unwrap();
    let error = bus.ready().await.unwrap_err().to_string();
    assert!(error.contains("out of reach") && !error.contains("wheat"), "{error}");
    let error = Bus::connect(&config("rediss://:secret@host".parse().unwrap())).unwrap_err().to_string();
    assert!(error.contains("not encrypted") && !error.contains("secret"), "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn databases_and_prefixes_are_apart() {
    needs!("redis-server");
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("redis");
    let server = Redis::start(&["--unixsocket", socket.to_str().unwrap()]);
    let base = format!("redis://127.0.0.1:{}", server.port());
    let other = BusConfig { prefix: "other:".to_owned(), ..config(server.backend()) };
    let buses = [
        connect(server.backend()),
        connect(format!("{base}/1").parse().unwrap()),
        Bus::connect(&other).unwrap(),
    ];
    let mut readers: Vec<_> = buses.iter().map(|bus| numbers(bus).subscribe().unwrap()).collect();
    let mut listeners: Vec<_> = buses.iter().map(|bus| bus.messenger().on::<u64>("x").unwrap()).collect();
    for (n, bus) in (0..).zip(&buses) {
        assert_eq!(bus.counter("c").unwrap().add(1).await, Ok(1));
        numbers(bus).notify(&n).await.unwrap();
        assert_eq!(bus.messenger().broadcast("x", &n).await.unwrap(), 1);
    }
    for (n, (reader, listener)) in (0..).zip(readers.iter_mut().zip(&mut listeners)) {
        assert_eq!(next(reader).await, Ok(n));
        assert_eq!(listener.next().await.unwrap(), n);
        assert!(timeout(SHORT, reader.next()).await.is_err());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_redis_refuses_is_said_and_ends_when_it_does_not() {
    needs!("redis-server");
    let server = Redis::start(&[]);
    let bus = connect(server.backend());
    let queue = numbers(&bus);
    let mut reader = queue.subscribe().unwrap();
    queue.notify(&1).await.unwrap();
    assert!(server.command("CONFIG SET maxmemory 1").contains("+OK"));
    let refused = queue.notify(&2).await;
    assert!(matches!(refused, Err(QueueError::Backend(BackendError::Refused(_)))), "{refused:?}");
    let refused = number(&bus).set(1).await;
    assert!(matches!(refused, Err(ShareError::Backend(BackendError::Refused(_)))), "{refused:?}");
    assert!(server.command("CONFIG SET maxmemory 0").contains("+OK"));
    queue.notify(&3).await.unwrap();
    number(&bus).set(1).await.unwrap();
    assert_eq!((next(&mut reader).await, next(&mut reader).await), (Ok(1), Ok(3)));
    // What somebody else has put there is no reason to fall.
    server.command("SET cepa:app:share:odd x");
    server.command("SET cepa:app:queue:odd x");
    server.command("HSET cepa:app:map:odd a b");
    assert!(bus.share("odd", || 0u8).unwrap().read().await.is_err());
    let odd = bus.queue::<u8>("odd").unwrap();
    assert!(odd.notify(&1).await.is_err());
    let mut lame = odd.subscribe().unwrap();
    assert!(bus.map::<u8>("odd").unwrap().entries().await.is_err());
    assert!(timeout(SHORT, lame.next()).await.is_err());
    server.command("DEL cepa:app:queue:odd");
    eventually(async || {
        odd.notify(&7).await.is_ok() && timeout(SHORT, lame.next()).await.is_ok_and(|next| next.is_some())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_uses_is_forgotten() {
    needs!("redis-server");
    let server = Redis::start(&[]);
    let limits = BusLimits { queue_idle: Duration::from_secs(1), ..BusLimits::default() };
    let bus = Bus::connect(&BusConfig { limits, ..config(server.backend()) }).unwrap();
    let (used, idle) = (numbers(&bus), bus.queue::<u64>("idle").unwrap());
    let mut reader = used.subscribe().unwrap().named("ada").unwrap();
    let _listener = bus.messenger().on::<u8>("x").unwrap();
    used.notify(&1).await.unwrap();
    idle.notify(&1).await.unwrap();
    sleep(Duration::from_secs(3)).await;
    let keys = server.command("KEYS cepa:app:*");
    assert!(!keys.contains("idle"), "{keys}");
    for kind in ["queue", "log", "subscribers", "present"] {
        assert!(keys.contains(&format!("cepa:app:{kind}:numbers")), "{kind}: {keys}");
    }
    assert!(keys.contains("cepa:app:ears:x"), "{keys}");
    used.notify(&2).await.unwrap();
    assert_eq!((next(&mut reader).await, next(&mut reader).await), (Ok(1), Ok(2)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn names_are_bounded_over_all_processes() {
    needs!("redis-server");
    let server = Redis::start(&[]);
    let limits = BusLimits { names: 20, ..BusLimits::default() };
    let connect = || Bus::connect(&BusConfig { limits, ..config(server.backend()) }).unwrap();
    let (a, b) = (connect(), connect());
    let first = a.queue::<u64>("first").unwrap();
    let mut reader = first.subscribe().unwrap();
    first.notify(&1).await.unwrap();
    eventually(async || first.count().await.unwrap() == 1).await;
    // Queues that nobody reads make room for others.
    for n in 0..100 {
        b.queue::<u64>(&n.to_string()).unwrap().notify(&n).await.unwrap();
        let keys = server.command("KEYS cepa:app:queue:*").matches("cepa:").count();
        assert!(keys <= 20, "{keys}");
    }
    b.queue::<u64>("first").unwrap().notify(&2).await.unwrap();
    assert_eq!((next(&mut reader).await, next(&mut reader).await), (Ok(1), Ok(2)));
    // Values do not.
    let mut refused = 0;
    for (n, bus) in [&a, &b].repeat(15).into_iter().enumerate() {
        let added = bus.counter(&format!("c{n}")).unwrap().add(1).await;
        refused += u32::from(matches!(added, Err(ShareError::Name(_))));
        let put = bus.map::<u8>(&format!("m{n}")).unwrap().insert("x", 1).await;
        assert_eq!(put.is_err(), n >= 20);
        let set = bus.share(&format!("s{n}"), || 0u8).unwrap().ttl(LONG).set(1).await;
        assert_eq!(set.is_err(), n >= 20);
    }
    assert_eq!(refused, 10);
    assert_eq!(a.counter("c29").unwrap().get().await, Ok(0));
    // One that is gone makes room, whoever has taken it out.
    a.map::<u8>("m1").unwrap().remove("x").await.unwrap();
    b.map::<u8>("other").unwrap().insert("x", 1).await.unwrap();
    a.share("s1", || 0u8).unwrap().free().await.unwrap();
    b.share("other", || 0u8).unwrap().set(1).await.unwrap();
    server.command("DEL cepa:app:counter:c1");
    assert_eq!(b.counter("other").unwrap().set(7).await, Ok(0));
    assert!(b.counter("another").unwrap().compare_and_set(0, 7).await.is_err());
    assert_eq!(b.counter("other").unwrap().compare_and_set(7, 8).await, Ok(7));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_bus_that_is_dropped_publishes_the_rest_and_ends_its_connections() {
    needs!("redis-server");
    let server = Redis::start(&[]);
    let clients = || server.command("CLIENT LIST").matches("id=").count();
    let before = clients();
    let bus = connect(server.backend());
    bus.ready().await.unwrap();
    let share = number(&bus);
    let mut party = Party::new("test");
    let guard = share.lock(&mut party, LONG).await.unwrap();
    assert_eq!(clients(), before + 2);
    for n in 0..100 {
        // Nobody waits for the answer.
        let _ = timeout(Duration::ZERO, numbers(&bus).notify(&n)).await;
    }
    drop((bus, share, guard));
    eventually(async || clients() == before).await;
    assert!(server.command("HGET cepa:app:queue:numbers number").contains("\r\n100\r\n"));
    let other = connect(server.backend());
    number(&other).lock(&mut party, SHORT).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deadlock_of_many_is_named_from_end_to_end() {
    needs!("redis-server");
    const PARTIES: usize = 7;
    let server = Redis::start(&[]);
    let buses: Vec<_> = (0..3).map(|_| connect(server.backend())).collect();
    let share =
        |party: usize, n: usize| buses[party % 3].share(&format!("s{}", n % PARTIES), || 0u8).unwrap();
    let mut guards = Vec::new();
    for n in 0..PARTIES {
        let mut party = Party::new(format!("p{n}"));
        guards.push((share(n, n).lock(&mut party, LONG).await.unwrap(), party));
    }
    let mut waits = Vec::new();
    for (n, (guard, mut party)) in guards.into_iter().enumerate() {
        let wanted = share(n, n + 1);
        waits.push(tokio::spawn(async move {
            let result = wanted.lock(&mut party, LONG).await.map(drop);
            drop(guard);
            result
        }));
        // The last of them makes the circle.
        eventually(async || {
            n + 1 == PARTIES || server.command("HLEN cepa::waits").contains(&format!(":{}", n + 1))
        })
        .await;
    }
    let mut errors = Vec::new();
    for wait in waits {
        errors.extend(timeout(LONG, wait).await.unwrap().unwrap().err());
    }
    let [ShareError::Deadlock(cycle)] = errors.as_slice() else { panic!("{errors:?}") };
    assert_eq!(cycle.waits().len(), PARTIES, "{cycle}");
    assert!(cycle.to_string().contains("p3"), "{cycle}");
}

/// `cargo test --release -p cepa-bus --features redis --test redis -- --ignored --nocapture figures`
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "it measures"]
async fn figures() {
    let server = Redis::start(&[]);
    let bus = connect(server.backend());
    bus.ready().await.unwrap();
    let each = |name: &str, count: u32, started: Instant| {
        let time = started.elapsed();
        println!("{name}: {:?} each, {:.0} a second", time / count, f64::from(count) / time.as_secs_f64());
    };
    let counter = bus.counter("c").unwrap();
    let started = Instant::now();
    for _ in 0..20_000 {
        counter.add(1).await.unwrap();
    }
    each("counter, one after the other", 20_000, started);
    for (name, tasks) in [("counter, 100 at once", 100u32), ("counter, 1000 at once", 1000)] {
        let started = Instant::now();
        let add = |_| {
            let counter = counter.clone();
            tokio::spawn(async move {
                for _ in 0..200_000 / tasks {
                    counter.add(1).await.unwrap();
                }
            })
        };
        let tasks: Vec<_> = (0..tasks).map(add).collect();
        for task in tasks {
            task.await.unwrap();
        }
        each(name, 200_000, started);
    }
    let queue = numbers(&bus);
    let mut reader = queue.subscribe().unwrap();
    let started = Instant::now();
    for n in 0..10_000 {
        queue.notify(&n).await.unwrap();
        assert_eq!(next(&mut reader).await, Ok(n));
    }
    each("publish and deliver, one after the other", 10_000, started);
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
    each("publish and deliver, 500 at once", 200_000, started);
    let share = bus.share("s", || "x".repeat(1000)).unwrap();
    share.read().await.unwrap();
    let started = Instant::now();
    for _ in 0..20_000 {
        share.read().await.unwrap();
    }
    each("read of a share that nobody changes", 20_000, started);
    let started = Instant::now();
    for _ in 0..5_000 {
        share.update(|text| text.push('x')).await.unwrap();
    }
    each("update of a share", 5_000, started);
}
