//! What is bounded in Redis and what is forgotten there; locks that wait for each other.

use std::time::Duration;

use cepa_bus::{Bus, BusConfig, BusLimits, Party, ShareError};
use cepa_programs::needs;
use tokio::time::timeout;

use crate::{
    numbers::{LONG, SHORT, config, connect, eventually, next, number, numbers},
    redis_server::Redis,
};

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
    // By then the others would be gone as well, if nobody used them.
    eventually(async || !server.command("KEYS cepa:app:*").contains("idle")).await;
    let keys = server.command("KEYS cepa:app:*");
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
    let before = server.clients();
    let bus = connect(server.backend());
    bus.ready().await.unwrap();
    let share = number(&bus);
    let mut party = Party::new("test");
    let guard = share.lock(&mut party, LONG).await.unwrap();
    assert_eq!(server.clients(), before + 2);
    for n in 0..100 {
        // Nobody waits for the answer.
        let _ = timeout(Duration::ZERO, numbers(&bus).notify(&n)).await;
    }
    drop((bus, share, guard));
    eventually(async || server.clients() == before).await;
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
