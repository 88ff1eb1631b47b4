//! What becomes of a bus when a process of it, or its server, is killed, hangs or forgets.

use cepa_bus::{BackendError, Bus, BusConfig, Party, QueueError, ShareError, Subscriber, WhileLost};
use cepa_programs::needs;
use tokio::time::timeout;

use crate::{
    SYNCED,
    numbers::{LONG, SHORT, config, connect, eventually, is_lost, next, number, numbers},
    redis_server::Redis,
    worker,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_had_is_free_when_its_lease_ends() {
    needs!("redis-server");
    let server = Redis::start(&[]);
    let bus = connect(server.backend());
    let queue = numbers(&bus);
    let mut holder = worker(&server, "hold");
    holder.line("ready");
    let mut waiting = worker(&server, "wait");
    assert_eq!(queue.present().await.unwrap(), [("killed".into(), 1)]);
    assert_eq!(bus.messenger().broadcast("x", &1).await.unwrap(), 1);
    assert_eq!(queue.count().await.unwrap(), 1);
    eventually(async || server.command("HLEN cepa::waits").starts_with(":1")).await;
    let held = number(&bus).lock(&mut Party::new("test"), SHORT).await.unwrap_err();
    assert_eq!(held, ShareError::Timeout { share: "number".into(), holder: "the killed one".into() });
    holder.kill();
    waiting.kill();
    let mut guard = number(&bus).lock(&mut Party::new("test"), LONG).await.unwrap();
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
    let mut buffered = tokio::spawn(async move { publisher.notify(&3).await });
    let mut late = numbers(other).subscribe_after(last).unwrap();
    assert!(timeout(SHORT, &mut buffered).await.is_err());

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
            // It need not be on the disk to outlive the process.
            eventually(async || server.command("INFO persistence").contains("aof_buffer_length:0\r")).await;
        }
        server.kill();
        // What is under way when it is killed is not sent again: nobody knows whether it was done.
        is_lost(bus).await;
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
    let unanswered = timeout(LONG, counter.add(1)).await.expect("its silence is noticed");
    assert_eq!(unanswered, Err(ShareError::Backend(BackendError::Unanswered)));
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
    let mut worker = worker(&server, "hold");
    worker.line("ready");
    worker.signal("STOP");
    eventually(async || worker.stands_still()).await;
    let queue = numbers(&bus);
    let mut reader = queue.subscribe().unwrap();
    for n in 0..20_000 {
        queue.notify(&n).await.unwrap();
        assert_eq!(next(&mut reader).await, Ok(n));
    }
    // Its lock and its presence are gone with its lease.
    number(&bus).lock(&mut Party::new("test"), LONG).await.unwrap();
    assert_eq!(queue.present().await.unwrap(), []);
    worker.signal("CONT");
    eventually(async || queue.present().await.unwrap() == [("killed".into(), 1)]).await;
}
