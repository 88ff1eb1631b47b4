//! What every backend of a bus does: one table of behaviours, run over each of them with two processes' worth of buses.
#![allow(clippy::unwrap_used, reason = "all of it is tests")]

#[path = "shared/numbers.rs"]
mod numbers;
#[cfg(feature = "redis")]
#[path = "shared/redis_server.rs"]
mod redis_server;

#[cfg(feature = "redis")]
use std::sync::{
    Arc,
    atomic::{AtomicU32, Ordering::Relaxed},
};
use std::{any::Any, collections::BTreeMap, time::Duration};

use cepa_bus::{
    AgentServer, Backend, Bus, BusConfig, BusLimits, Delivery, EventId, Overflow, Party, Queue, QueueError,
    QueueOptions, ShareError, Stopped, Subscriber,
};
use numbers::{LONG, SHORT, eventually, next, number};
use tokio::time::timeout;

/// Two processes and what keeps their bus.
struct Machine {
    a: Bus,
    b: Bus,
    /// How many wait for the lock of a share, or in Redis for any.
    waiting: Box<dyn Fn(&str) -> usize + Send + Sync>,
    /// Dropped last.
    _held: Box<dyn Any>,
}

fn memory(limits: BusLimits) -> Machine {
    let bus = Bus::with_limits(limits);
    Machine { a: bus.clone(), b: bus.clone(), waiting: waiting(bus), _held: Box::new(()) }
}

fn agent(limits: BusLimits) -> Machine {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bus");
    let listener = tokio::net::UnixListener::bind(&path).expect("a socket");
    let kept = Bus::with_limits(limits);
    let server = tokio::spawn(AgentServer::serve(listener, kept.clone()));
    let config = BusConfig { backend: Backend::Agent(path), wait: LONG, ..BusConfig::default() };
    let connect = || Bus::connect(&config).expect("a thread");
    Machine { a: connect(), b: connect(), waiting: waiting(kept), _held: Box::new((server, folder)) }
}

fn waiting(kept: Bus) -> Box<dyn Fn(&str) -> usize + Send + Sync> {
    Box::new(move |share| {
        let info = kept.shares().into_iter().find(|info| *info.name == *share);
        info.map_or(0, |info| info.waiting)
    })
}

#[cfg(feature = "redis")]
fn redis(limits: BusLimits) -> Machine {
    static NUMBER: AtomicU32 = AtomicU32::new(0);
    let server = redis_server::shared();
    let prefix = format!("cepa:{}:", NUMBER.fetch_add(1, Relaxed));
    let config = BusConfig { backend: server.backend(), prefix, wait: LONG, limits, ..BusConfig::default() };
    let connect = || Bus::connect(&config).expect("a thread");
    let (asked, question) = (Arc::clone(&server), format!("HLEN {}:waits", config.prefix));
    let waiting = move |_: &str| {
        let answer = asked.command(&question);
        let count = answer.strip_prefix(':').and_then(|answer| answer.lines().next());
        count.and_then(|count| count.parse().ok()).expect("a number")
    };
    Machine { a: connect(), b: connect(), waiting: Box::new(waiting), _held: Box::new(server) }
}

/// Each behaviour is a test of each backend.
macro_rules! contract {
    ($($behaviour:ident,)*) => {
        mod in_memory {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                super::$behaviour(super::memory).await;
            })*
        }

        #[cfg(feature = "redis")]
        mod in_redis {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                cepa_programs::needs!("redis-server");
                super::$behaviour(super::redis).await;
            })*
        }

        mod by_an_agent {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $behaviour() {
                super::$behaviour(super::agent).await;
            })*
        }
    };
}

contract! {
    a_share_is_one_value,
    a_value_that_nobody_changes_is_the_same_copy,
    writes_from_two_sides_are_all_there,
    compare_and_set_is_exact,
    values_age_and_are_freed,
    a_lock_is_handed_on_in_order,
    a_lock_is_waited_for_no_longer_than_asked,
    a_wait_that_is_given_up_leaves_nothing,
    a_deadlock_over_two_processes_is_named,
    a_lock_that_is_held_keeps_writes_out,
    counters_count,
    maps_change_by_entry,
    a_map_is_full_when_it_is,
    names_are_bounded_and_apart,
    messages_have_one_order,
    who_comes_back_gets_the_rest,
    a_subscriber_from_now_on_gets_what_its_process_publishes,
    a_queue_is_stopped_everywhere,
    who_is_there_is_known,
    what_cannot_be_published_is_refused,
    slow_readers_are_told,
    messages_reach_listeners,
}

type Make = fn(BusLimits) -> Machine;

fn machine(make: Make) -> Machine {
    make(BusLimits::default())
}

impl Machine {
    /// Until so many wait for the lock of a share.
    async fn waiting(&self, share: &str, count: usize) {
        eventually(async || (self.waiting)(share) == count).await;
    }
}

async fn a_share_is_one_value(make: Make) {
    let m = machine(make);
    let (a, b) = (m.a.share("x", || vec![1]).unwrap(), m.b.share("x", || vec![2]).unwrap());
    let first = a.read().await.unwrap();
    assert_eq!(*first, [1]);
    assert_eq!(*b.read().await.unwrap(), [1], "made once");
    b.update(|list| list.push(3)).await.unwrap();
    assert_eq!(*a.read().await.unwrap(), [1, 3]);
    assert_eq!(*first, [1], "a snapshot stays");
    let version = a.set(vec![]).await.unwrap();
    assert_eq!(b.read().await.unwrap().version(), version);
    let other = m.b.namespace("other").unwrap().share("x", || vec![4]).unwrap();
    assert_eq!(*other.read().await.unwrap(), [4]);
}

async fn a_value_that_nobody_changes_is_the_same_copy(make: Make) {
    let m = machine(make);
    let share = m.a.share("x", || "x".repeat(100_000)).unwrap();
    let (first, second) = (share.read().await.unwrap(), share.read().await.unwrap());
    assert_eq!((*first).as_ptr(), (*second).as_ptr());
    let other = m.b.share("x", String::new).unwrap();
    let there = other.read().await.unwrap();
    assert_eq!((*there).len(), 100_000);
    assert_eq!((*there).as_ptr(), (*other.read().await.unwrap()).as_ptr());
    share.update(|text| text.truncate(1)).await.unwrap();
    assert_eq!(*other.read().await.unwrap(), "x");
}

async fn writes_from_two_sides_are_all_there(make: Make) {
    let m = machine(make);
    let mut tasks = Vec::new();
    for bus in [&m.a, &m.b, &m.a, &m.b] {
        let share = number(bus);
        tasks.push(tokio::spawn(async move {
            for _ in 0..100 {
                share.update(|n| *n += 1).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*number(&m.a).read().await.unwrap(), 400);
}

async fn compare_and_set_is_exact(make: Make) {
    let m = machine(make);
    let (a, b) = (number(&m.a), number(&m.b));
    let first = a.read().await.unwrap().version();
    let second = b.compare_and_set(first, 5).await.unwrap();
    assert!(second > first);
    let conflict = ShareError::Conflict { share: "number".into(), expected: first, current: second };
    assert_eq!(a.compare_and_set(first, 6).await, Err(conflict));
    a.free().await.unwrap();
    let gone = ShareError::Conflict { share: "number".into(), expected: second, current: 0 };
    assert_eq!(b.compare_and_set(second, 6).await, Err(gone));
    assert_eq!(*b.read().await.unwrap(), 0, "made anew");
    assert!(a.compare_and_set(second, 6).await.is_err(), "a version never comes again");
}

async fn values_age_and_are_freed(make: Make) {
    let m = machine(make);
    let short = number(&m.a).ttl(SHORT);
    short.set(5).await.unwrap();
    let other = number(&m.b);
    assert_eq!(*other.read().await.unwrap(), 5);
    eventually(async || *other.read().await.unwrap() == 0).await;
    other.set(6).await.unwrap();
    let mut party = Party::new("one");
    let guard = short.lock(&mut party, LONG).await.unwrap();
    guard.free().await.unwrap();
    assert_eq!(*other.read().await.unwrap(), 0);
    short.clone().ttl(Duration::MAX).set(7).await.unwrap();
    assert_eq!(*other.read().await.unwrap(), 7);
}

async fn a_lock_is_handed_on_in_order(make: Make) {
    let m = machine(make);
    let first = number(&m.a).lock(&mut Party::new("first"), LONG).await.unwrap();
    let mut tasks = Vec::new();
    for n in 1..=6u64 {
        let share = number(if n % 2 == 0 { &m.a } else { &m.b });
        tasks.push(tokio::spawn(async move {
            share.update(|value| *value = *value * 10 + n).await.unwrap();
        }));
        // Each is in the queue before the next one asks.
        m.waiting("number", n as usize).await;
    }
    drop(first);
    for task in tasks {
        timeout(LONG, task).await.expect("handed on").unwrap();
    }
    assert_eq!(*number(&m.a).read().await.unwrap(), 123_456);
}

async fn a_lock_is_waited_for_no_longer_than_asked(make: Make) {
    let m = machine(make);
    let mut guard = number(&m.a).lock(&mut Party::new("the holder"), LONG).await.unwrap();
    let error = number(&m.b).lock(&mut Party::new("second"), SHORT).await.unwrap_err();
    assert_eq!(error, ShareError::Timeout { share: "number".into(), holder: "the holder".into() });
    guard.update(|n| *n += 1).await.unwrap();
    guard.set(*guard + 1).await.unwrap();
    assert_eq!((*guard, *number(&m.b).read().await.unwrap()), (2, 2), "reads wait for nobody");
    drop(guard);
    number(&m.b).lock(&mut Party::new("third"), LONG).await.unwrap();
}

async fn a_wait_that_is_given_up_leaves_nothing(make: Make) {
    let m = machine(make);
    let guard = number(&m.a).lock(&mut Party::new("holder"), LONG).await.unwrap();
    for bus in [&m.a, &m.b] {
        let share = number(bus);
        let mut party = Party::new("gives up");
        assert!(timeout(SHORT, share.lock(&mut party, LONG)).await.is_err());
        assert!(timeout(SHORT, share.set(9)).await.is_err());
        // What is asked afterwards is answered after it was given up.
        assert_eq!(*share.read().await.unwrap(), 0);
    }
    drop(guard);
    let share = number(&m.b);
    let guard = share.lock(&mut Party::new("next"), LONG).await.unwrap();
    assert_eq!(*guard, 0);
    drop(guard);
    // One that is given the lock at the moment at which it gives up.
    for n in 0..200u64 {
        let guard = share.lock(&mut Party::new("holder"), LONG).await.unwrap();
        let other = number(&m.a);
        let waits = tokio::spawn(async move { other.lock(&mut Party::new("waits"), LONG).await.map(drop) });
        tokio::time::sleep(Duration::from_micros(n * 10)).await;
        drop(guard);
        waits.abort();
        let _ = waits.await;
    }
    timeout(LONG, share.lock(&mut Party::new("last"), LONG)).await.expect("it is free").unwrap();
}

async fn a_deadlock_over_two_processes_is_named(make: Make) {
    let m = machine(make);
    let shares = |bus: &Bus| (bus.share("x", || 0u8).unwrap(), bus.share("y", || 0u8).unwrap());
    let ((ax, ay), (bx, by)) = (shares(&m.a), shares(&m.b));
    let (mut ada, mut bob) = (Party::new("ada"), Party::new("bob"));
    let x = ax.lock(&mut ada, LONG).await.unwrap();
    let y = by.lock(&mut bob, LONG).await.unwrap();
    let waits = tokio::spawn(async move { ay.lock(&mut ada, LONG).await.map(drop) });
    m.waiting("y", 1).await;
    let error = timeout(LONG / 2, bx.lock(&mut bob, LONG)).await.expect("found at once").unwrap_err();
    let named = r#"deadlock: "bob" waits for share "x" which "ada" holds, "ada" waits for share "y" which "bob" holds"#;
    assert_eq!(error.to_string(), named);
    drop(y);
    timeout(LONG, waits).await.expect("the other goes on").unwrap().unwrap();
    drop(x);
    bx.lock(&mut bob, LONG).await.unwrap();
}

async fn a_lock_that_is_held_keeps_writes_out(make: Make) {
    let m = machine(make);
    let guard = number(&m.a).lock(&mut Party::new("holder"), LONG).await.unwrap();
    let share = number(&m.b);
    assert!(timeout(SHORT, share.set(1)).await.is_err());
    assert!(timeout(SHORT, share.update(|n| *n += 1)).await.is_err());
    assert!(timeout(SHORT, share.free()).await.is_err());
    assert_eq!((*guard, *share.read().await.unwrap()), (0, 0));
    drop(guard);
    share.set(2).await.unwrap();
}

async fn counters_count(make: Make) {
    let m = machine(make);
    let (a, b) = (m.a.counter("c").unwrap(), m.b.counter("c").unwrap());
    assert_eq!(a.get().await.unwrap(), 0);
    assert_eq!((a.add(5).await.unwrap(), b.add(-7).await.unwrap()), (5, -2));
    assert_eq!(a.set(i64::MAX).await.unwrap(), -2);
    assert_eq!(b.add(1).await.unwrap(), i64::MIN, "it wraps around");
    assert_eq!(b.compare_and_set(0, 1).await.unwrap(), i64::MIN);
    assert_eq!(b.compare_and_set(i64::MIN, 1).await.unwrap(), i64::MIN);
    assert_eq!(a.get().await.unwrap(), 1);
}

async fn maps_change_by_entry(make: Make) {
    let m = machine(make);
    let (a, b) = (m.a.map::<u64>("m").unwrap(), m.b.map::<u64>("m").unwrap());
    assert_eq!(a.insert("k", 1).await.unwrap(), None);
    assert_eq!(b.get("k").await.unwrap().as_deref(), Some(&1));
    assert_eq!(b.insert("k", 2).await.unwrap().as_deref(), Some(&1));
    let mut tasks = Vec::new();
    for map in [a.clone(), b.clone(), a.clone()] {
        tasks.push(tokio::spawn(async move {
            for _ in 0..50 {
                map.update("k", |n| Some(n.unwrap_or(0) + 1)).await.unwrap();
                map.update("new", |n| Some(n.unwrap_or(0) + 1)).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    let all: BTreeMap<_, _> = a.entries().await.unwrap().into_iter().map(|(key, n)| (key, *n)).collect();
    assert_eq!(all, BTreeMap::from([("k".into(), 152), ("new".into(), 150)]));
    assert_eq!(b.remove("k").await.unwrap().as_deref(), Some(&152));
    assert_eq!(b.remove("k").await.unwrap(), None);
    b.update("new", |_| None).await.unwrap();
    assert!(a.is_empty().await.unwrap());
    for n in 0..1000 {
        a.insert(&format!("{n} {}", "x".repeat(500)), n).await.unwrap();
    }
    let sum: u64 = b.entries().await.unwrap().iter().map(|(_, n)| **n).sum();
    assert_eq!((b.len().await.unwrap(), sum), (1000, 499_500), "many parts are one whole");
    b.clear().await.unwrap();
    assert_eq!(a.len().await.unwrap(), 0);
}

async fn a_map_is_full_when_it_is(make: Make) {
    let m = make(BusLimits { map_entries: 2, ..BusLimits::default() });
    let map = m.a.map::<u8>("m").unwrap();
    map.insert("a", 1).await.unwrap();
    map.insert("b", 1).await.unwrap();
    assert_eq!(map.insert("c", 1).await, Err(ShareError::Full("m".into())));
    assert_eq!(map.update("c", |_| Some(1)).await, Err(ShareError::Full("m".into())));
    assert_eq!(map.insert("a", 2).await.unwrap().as_deref(), Some(&1));
}

async fn names_are_bounded_and_apart(make: Make) {
    let m = make(BusLimits { names: 20, ..BusLimits::default() });
    let mut refused = 0;
    for n in 0..60 {
        let share = match m.a.share(&n.to_string(), || 0u8) {
            Ok(share) => share.set(1).await.map(drop),
            Err(error) => Err(error),
        };
        refused += u32::from(matches!(share, Err(ShareError::Name(_))));
    }
    assert_eq!(refused, 40);
    // The kinds have names of their own.
    assert_eq!(m.a.counter("0").unwrap().add(1).await.unwrap(), 1);
    m.a.queue::<u8>("0").unwrap().notify(&1).await.unwrap();
    assert!(m.a.counter("a\nb").is_err());
}

fn numbers(bus: &Bus, keep: usize) -> Queue<u64> {
    bus.queue_with("numbers", QueueOptions { keep, ..QueueOptions::default() }).expect("a name")
}

/// A subscriber that the backend knows of.
async fn settled(queue: &Queue<u64>) -> Subscriber<u64> {
    let mut subscriber = queue.subscribe().unwrap();
    eventually(async || {
        let _ = timeout(Duration::from_millis(1), subscriber.next()).await;
        // Until then it is of no life.
        !subscriber.last().to_string().starts_with("0000000000000000-")
    })
    .await;
    subscriber
}

async fn messages_have_one_order(make: Make) {
    const EACH: u64 = 200;
    let m = machine(make);
    let mut readers = [settled(&numbers(&m.a, 2000)).await, settled(&numbers(&m.b, 2000)).await];
    let mut tasks = Vec::new();
    for publisher in 0..4 {
        let queue = numbers(if publisher % 2 == 0 { &m.a } else { &m.b }, 2000);
        tasks.push(tokio::spawn(async move {
            let mut ids = Vec::new();
            for n in 0..EACH {
                ids.push(queue.notify(&(publisher * EACH + n)).await.unwrap());
            }
            ids
        }));
    }
    let mut ids: Vec<EventId> = Vec::new();
    for task in tasks {
        ids.extend(task.await.unwrap());
    }
    let mut orders = [Vec::new(), Vec::new()];
    for (reader, order) in readers.iter_mut().zip(&mut orders) {
        for _ in 0..4 * EACH {
            order.push(next(reader).await.expect("nothing is missed"));
        }
    }
    assert_eq!(orders[0], orders[1]);
    for publisher in 0..4 {
        let own: Vec<_> = orders[0].iter().filter(|n| **n / EACH == publisher).collect();
        assert!(own.len() as u64 == EACH && own.is_sorted(), "in the order of the publisher");
    }
    let mut texts: Vec<_> = ids.iter().map(ToString::to_string).collect();
    texts.sort();
    texts.dedup();
    assert_eq!(texts.len() as u64, 4 * EACH, "each has an id of its own");
}

async fn who_comes_back_gets_the_rest(make: Make) {
    let m = machine(make);
    let queue = numbers(&m.a, 4);
    let mut ids = Vec::new();
    for n in 1..=6 {
        ids.push(queue.notify(&n).await.unwrap());
    }
    // One process has read all along, the other begins now.
    for bus in [&m.a, &m.b, &m.b] {
        let mut reader = numbers(bus, 4).subscribe_after(ids[3]).unwrap();
        assert_eq!((next(&mut reader).await, next(&mut reader).await), (Ok(5), Ok(6)));
        let mut reader = numbers(bus, 4).subscribe_after(ids[0]).unwrap();
        assert_eq!((next(&mut reader).await, next(&mut reader).await), (Err(Some(1)), Ok(3)));
        let other_life: EventId = "00000000000000ff-0000000000000001".parse().unwrap();
        let mut reader = numbers(bus, 4).subscribe_after(other_life).unwrap();
        assert_eq!((next(&mut reader).await, next(&mut reader).await), (Err(None), Ok(3)));
        let mut kept = numbers(bus, 4).subscribe_after(ids[5]).unwrap().overflow(Overflow::DropNewest);
        assert!(timeout(SHORT, kept.next()).await.is_err(), "there is nothing after the last one");
        assert_eq!(kept.last(), ids[5]);
    }
}

async fn a_subscriber_from_now_on_gets_what_its_process_publishes(make: Make) {
    let m = machine(make);
    for n in 0..50 {
        let name = format!("q{n}");
        m.b.queue::<u64>(&name).unwrap().notify(&100).await.unwrap();
        let queue = m.a.queue::<u64>(&name).unwrap();
        let mut reader = queue.subscribe().unwrap();
        let id = queue.notify(&n).await.unwrap();
        assert_eq!(next(&mut reader).await, Ok(n), "not what was there before, and not less");
        assert_eq!(reader.last(), id);
        queue.notify(&(n + 1)).await.unwrap();
        assert_eq!(next(&mut reader).await, Ok(n + 1));
    }
}

async fn a_queue_is_stopped_everywhere(make: Make) {
    let m = machine(make);
    let (mut here, mut there) = (settled(&numbers(&m.a, 10)).await, settled(&numbers(&m.b, 10)).await);
    numbers(&m.a, 10).notify(&1).await.unwrap();
    numbers(&m.b, 10).stop().await.unwrap();
    numbers(&m.a, 10).notify(&2).await.unwrap();
    for reader in [&mut here, &mut there] {
        assert_eq!(next(reader).await, Ok(1));
        assert!(timeout(LONG, reader.next()).await.expect("it ends").is_none());
        assert_eq!(reader.stopped(), Some(Stopped::Queue));
    }
    let mut new = numbers(&m.b, 10).subscribe().unwrap();
    numbers(&m.b, 10).notify(&3).await.unwrap();
    // 2 may have been on its way here.
    while next(&mut new).await != Ok(3) {}
}

async fn who_is_there_is_known(make: Make) {
    let m = machine(make);
    let (a, b) = (numbers(&m.a, 10), numbers(&m.b, 10));
    let mut ada = a.subscribe().unwrap().named("ada").unwrap();
    assert_eq!(a.present().await.unwrap(), [("ada".into(), 1)], "of the same process at once");
    let bob = b.subscribe().unwrap().named("bob").unwrap();
    let ada2 = b.subscribe().unwrap().named("bob").unwrap().named("ada").unwrap();
    let nobody = b.subscribe().unwrap();
    let all = [("ada".into(), 2), ("bob".into(), 1)];
    eventually(async || a.present().await.unwrap() == all && a.count().await.unwrap() == 4).await;
    eventually(async || b.present().await.unwrap() == all && b.count().await.unwrap() == 4).await;
    drop((bob, nobody));
    eventually(async || a.present().await.unwrap() == [("ada".into(), 2)]).await;
    drop(ada2);
    eventually(async || b.count().await.unwrap() == 1).await;
    b.notify(&1).await.unwrap();
    assert_eq!(next(&mut ada).await, Ok(1));
    drop(ada);
    eventually(async || b.present().await.unwrap().is_empty() && b.count().await.unwrap() == 0).await;
}

async fn what_cannot_be_published_is_refused(make: Make) {
    let m = machine(make);
    let options = QueueOptions { message: 10, ..QueueOptions::default() };
    let queue = m.a.queue_with::<String>("q", options).unwrap();
    queue.notify(&"x".repeat(8)).await.unwrap();
    assert!(matches!(queue.notify(&"x".repeat(9)).await, Err(QueueError::TooLong { limit: 10, .. })));
    assert!(matches!(queue.notify_as("a\nb", &String::new()).await, Err(QueueError::EventType)));
    let mut reader = m.b.queue_with::<String>("q", options).unwrap().subscribe().unwrap();
    let _ = timeout(SHORT, reader.next()).await;
    queue.notify_as("weather", &"rain".into()).await.unwrap();
    let Ok(Some(Delivery::Message(message))) = timeout(LONG, reader.next()).await else { panic!() };
    assert_eq!((message.event(), &*message.data()), (Some("weather"), &b"\"rain\""[..]));
}

async fn slow_readers_are_told(make: Make) {
    let m = machine(make);
    let (mut oldest, mut cut) = (settled(&numbers(&m.b, 4)).await, settled(&numbers(&m.b, 4)).await);
    cut = cut.overflow(Overflow::Disconnect);
    let mut last = None;
    for n in 1..=100 {
        last = Some(numbers(&m.a, 4).notify(&n).await.unwrap());
    }
    let mut probe = numbers(&m.b, 4).subscribe_after(last.unwrap()).unwrap();
    numbers(&m.b, 4).notify(&101).await.unwrap();
    assert_eq!(next(&mut probe).await, Ok(101));
    assert_eq!(next(&mut oldest).await, Err(Some(97)));
    for n in 98..=101 {
        assert_eq!(next(&mut oldest).await, Ok(n));
    }
    assert!(timeout(LONG, cut.next()).await.expect("it ends").is_none());
    assert_eq!(cut.stopped(), Some(Stopped::Behind));
}

async fn messages_reach_listeners(make: Make) {
    let m = machine(make);
    let (a, b) = (m.a.messenger(), m.b.messenger());
    let (mut here, mut there) = (a.on::<u8>("x").unwrap(), b.on::<u8>("x").unwrap());
    let mut other = m.b.namespace("other").unwrap().messenger().on::<u8>("x").unwrap();
    // The other process has said that it is there once it is counted.
    eventually(async || a.broadcast("x", &0).await.unwrap() == 2).await;
    assert_eq!(b.broadcast("x", &1).await.unwrap(), 2);
    assert_eq!(a.send_to_app("x", &2).await.unwrap(), 2);
    for listener in [&mut here, &mut there] {
        // Those of two senders are in no order.
        let mut heard = std::collections::BTreeSet::new();
        while !(heard.contains(&1) && heard.contains(&2)) {
            heard.insert(timeout(LONG, listener.next()).await.expect("it comes").unwrap());
        }
    }
    assert!(a.send_random("x", &3).await.unwrap());
    let one = async {
        tokio::select! {
            heard = here.next() => heard,
            heard = there.next() => heard,
        }
    };
    assert_eq!(timeout(LONG, one).await.expect("it comes").unwrap(), 3);
    assert!(!a.send_random("nobody", &3).await.unwrap());
    assert_eq!(a.send_to(std::process::id(), "nobody", &3).await.unwrap(), 0);
    assert!(timeout(SHORT, other.next()).await.is_err(), "another app");
    drop(there);
    eventually(async || a.broadcast("x", &4).await.unwrap() == 1).await;
}
