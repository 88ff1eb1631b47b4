//! Real processes on the bus of an agent, killed, stopped and cut off: what is promised holds.
#![cfg(feature = "durable")]
#![allow(clippy::unwrap_used, reason = "all of it is tests")]

#[path = "shared/flaky.rs"]
mod flaky;
#[path = "shared/numbers.rs"]
mod numbers;
#[path = "shared/process.rs"]
mod process;

use std::path::PathBuf;

use cepa_bus::{
    AgentServer, Backend, BackendError, Bus, BusConfig, Party, QueueError, ShareError, WhileLost,
};
use numbers::{LONG, SHORT, config, connect, eventually, next, number, numbers};
use process::Process;
use tempfile::TempDir;
use tokio::{net::UnixListener, time::timeout};

/// A folder with the socket of an agent and the file of its durable shares.
struct Machine(TempDir);

impl Machine {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a folder"))
    }

    fn socket(&self) -> PathBuf {
        self.0.path().join("bus")
    }

    fn backend(&self) -> Backend {
        Backend::Agent(self.socket())
    }

    fn bus(&self) -> Bus {
        connect(self.backend())
    }

    /// An agent that is a process.
    fn agent(&self) -> Process {
        let path = |name: &str| self.0.path().join(name).display().to_string();
        Process::start(&["agent", &path("bus"), &path("store")])
    }

    /// An agent in this process, and what it keeps.
    fn agent_here(&self) -> Bus {
        let listener = UnixListener::bind(self.socket()).expect("a socket");
        let kept = Bus::new();
        tokio::spawn(AgentServer::serve(listener, kept.clone()));
        kept
    }

    fn worker(&self, task: &str) -> Process {
        Process::start(&["worker", &self.backend().to_string(), task])
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_process_had_is_free_at_once() {
    let machine = Machine::new();
    let kept = machine.agent_here();
    let bus = machine.bus();
    bus.ready().await.unwrap();
    // Its connection ends with it; its silence would be noticed much later.
    let silence = (2 * LONG).as_secs().to_string();
    let mut worker = Process::start(&["worker", &machine.backend().to_string(), "hold", &silence]);
    worker.line("ready");
    let (share, queue) = (number(&bus), numbers(&bus));
    let held = share.lock(&mut Party::new("test"), SHORT).await.unwrap_err();
    assert_eq!(held, ShareError::Timeout { share: "number".into(), holder: "the killed one".into() });
    assert_eq!(queue.present().await.unwrap(), [("killed".into(), 1)]);
    assert_eq!(bus.messenger().send_to(worker.id(), "x", &1).await.unwrap(), 1);

    let waits = tokio::spawn(async move { share.lock(&mut Party::new("test"), LONG).await.map(drop) });
    eventually(async || kept.shares()[0].waiting == 1).await;
    worker.kill();
    waits.await.unwrap().unwrap();
    eventually(async || queue.count().await.unwrap() == 0 && queue.present().await.unwrap().is_empty()).await;
    assert_eq!(bus.messenger().broadcast("x", &1).await.unwrap(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_durable_share_survives_whoever_is_killed() {
    let machine = Machine::new();
    let mut agent = machine.agent();
    let mut last = 0;
    for round in 0..4 {
        let mut worker = machine.worker("count");
        for _ in 0..30 {
            let done: u64 = worker.line("done ").parse().unwrap();
            assert!(done > last, "{done} after {last}");
            last = done;
        }
        // In the middle of what both do.
        if round % 2 == 0 {
            agent.kill();
            agent = machine.agent();
            last = worker.line("done ").parse().unwrap();
        }
        worker.kill();
        let bus = machine.bus();
        let now = *bus.share("durable", || 0u64).unwrap().read().await.unwrap();
        assert!(now >= last, "{now} of {last}");
        last = now;
    }
    agent.kill();
    agent = machine.agent();
    let bus = machine.bus();
    let share = bus.share("durable", || 0u64).unwrap();
    let present = share.read().await.unwrap();
    assert_eq!(*present, last);
    let version = share.compare_and_set(present.version(), 7).await.unwrap();
    assert!(version > present.version());
    // Written by a handle that does not ask for it, it is on disk no more.
    agent.kill();
    let _agent = machine.agent();
    let now = *machine.bus().share("durable", || 0u64).unwrap().read().await.unwrap();
    assert_eq!(now, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_was_killed_is_found_again() {
    let machine = Machine::new();
    let mut agent = machine.agent();
    let (bus, other) = (machine.bus(), machine.bus());
    bus.ready().await.unwrap();
    let share = number(&bus);
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
    let refuse = BusConfig { while_lost: WhileLost::Refuse, wait: SHORT, ..config(machine.backend()) };
    let refuse = Bus::connect(&refuse).unwrap();
    let refused = refuse.counter("c").unwrap().add(1).await;
    assert!(matches!(refused, Err(ShareError::Backend(BackendError::Away(_)))), "{refused:?}");
    let refused = numbers(&refuse).notify(&9).await;
    assert!(matches!(refused, Err(QueueError::Backend(BackendError::Away(_)))), "{refused:?}");
    // What is published meanwhile is kept, also if nobody waits for it.
    let publisher = queue.clone();
    assert!(timeout(SHORT, publisher.notify(&2)).await.is_err());
    let mut buffered = tokio::spawn(async move { publisher.notify(&3).await.unwrap() });
    assert!(timeout(SHORT, &mut buffered).await.is_err());

    let _agent = machine.agent();
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
    let machine = Machine::new();
    let agent = machine.agent();
    let bus = Bus::connect(&BusConfig { wait: 3 * SHORT, ..config(machine.backend()) }).unwrap();
    let counter = bus.counter("c").unwrap();
    eventually(async || counter.add(1).await.is_ok()).await;
    agent.signal("STOP");
    eventually(async || agent.stands_still()).await;
    let unanswered = timeout(LONG, counter.add(1)).await.expect("its silence is noticed");
    assert_eq!(unanswered, Err(ShareError::Backend(BackendError::Unanswered)));
    let away = counter.add(1).await;
    assert!(matches!(away, Err(ShareError::Backend(BackendError::Away(_)))), "{away:?}");
    agent.signal("CONT");
    eventually(async || counter.get().await.is_ok()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_stands_still_slows_nobody_and_is_cut_off() {
    let machine = Machine::new();
    let agent = machine.agent();
    let bus = machine.bus();
    bus.ready().await.unwrap();
    let mut worker = machine.worker("hold");
    worker.line("ready");
    worker.signal("STOP");
    eventually(async || worker.stands_still()).await;
    let queue = numbers(&bus);
    let texts = bus.queue::<String>("texts").unwrap();
    let mut reader = queue.subscribe().unwrap();
    let text = "x".repeat(10_000);
    for n in 0..2000 {
        queue.notify(&n).await.unwrap();
        texts.notify(&text).await.unwrap();
        assert_eq!(next(&mut reader).await, Ok(n));
    }
    // Its lock and its presence are gone with it.
    let share = number(&bus);
    share.lock(&mut Party::new("test"), LONG).await.unwrap();
    eventually(async || queue.present().await.unwrap().is_empty()).await;
    let statm = std::fs::read_to_string(format!("/proc/{}/statm", agent.id())).unwrap();
    let resident = statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096;
    assert!(resident < 64 << 20, "{resident}");
    // It finds back, and what it holds is told again.
    worker.signal("CONT");
    eventually(async || queue.present().await.unwrap() == [("killed".into(), 1)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn broken_connections_lose_nothing_and_repeat_nothing() {
    let machine = Machine::new();
    machine.agent_here();
    let flaky = machine.0.path().join("flaky");
    let cut = flaky::flaky(&flaky, machine.socket());
    flaky::nothing_is_lost_and_nothing_comes_twice(Backend::Agent(flaky), cut, 50).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_is_killed_order_is_kept_and_nothing_comes_twice() {
    let machine = Machine::new();
    let mut agent = machine.agent();
    let bus = machine.bus();
    bus.ready().await.unwrap();
    let mut reader = numbers(&bus).subscribe().unwrap();
    eventually(async || numbers(&bus).count().await.is_ok_and(|count| count == 1)).await;
    for round in 0..6 {
        let mut worker = machine.worker("publish");
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
                agent = machine.agent();
            }
        }
        worker.kill();
        // What the killed one had under way comes before what anybody publishes now.
        numbers(&bus).notify(&u64::MAX).await.unwrap();
        while next(&mut reader).await != Ok(u64::MAX) {}
    }
}
