use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    task::yield_now,
    time::{Instant, advance, timeout},
};

use crate::{Bus, BusLimits, NameError, Party, Share, ShareError};

const LONG: Duration = Duration::from_secs(60);

fn number(bus: &Bus, name: &str) -> Share<u64> {
    bus.share(name, || 0).unwrap()
}

#[tokio::test]
async fn made_once_and_common_to_all_handles() {
    let made = Arc::new(AtomicUsize::new(0));
    let bus = Bus::new();
    let count = Arc::clone(&made);
    let share = bus.share("x", move || count.fetch_add(1, Ordering::Relaxed) as u64 + 7).unwrap();
    assert_eq!(made.load(Ordering::Relaxed), 0, "lazily");
    assert_eq!(*share.read().await.unwrap(), 7);
    assert_eq!(*number(&bus, "x").read().await.unwrap(), 7);
    assert_eq!(made.load(Ordering::Relaxed), 1);
    let other = bus.namespace("other").unwrap();
    assert_eq!(*number(&other, "x").read().await.unwrap(), 0, "another app, another share");
}

#[tokio::test]
async fn a_share_made_inside_of_another_is_kept() {
    let bus = Bus::new();
    let inner = bus.clone();
    let outer = bus
        .share("outer", move || {
            let share = inner.share("inner", || 1u64).unwrap();
            cepa_core::test::block_on(share.set(5)).unwrap()
        })
        .unwrap();
    outer.read().await.unwrap();
    assert_eq!(*number(&bus, "inner").read().await.unwrap(), 5);
}

#[tokio::test]
async fn a_name_has_one_type() {
    let bus = Bus::new();
    number(&bus, "x").set(1).await.unwrap();
    let error = bus.share("x", String::new).unwrap_err();
    assert_eq!(error.to_string(), r#""x" holds a u64, not a alloc::string::String"#);
    number(&bus, "x").free().await.unwrap();
    bus.share("x", String::new).unwrap();
    bus.map::<u64>("m").unwrap().insert("k", 1).await.unwrap();
    assert!(matches!(bus.map::<String>("m"), Err(ShareError::Type { .. })));
}

#[tokio::test]
async fn a_snapshot_never_changes_and_a_failed_write_changes_nothing() {
    let share = Bus::new().share("x", || vec![1, 2]).unwrap();
    let before = share.read().await.unwrap();
    share.update(|list| list.push(3)).await.unwrap();
    assert_eq!((*before).len(), 2);
    let broken = share.clone();
    let task = tokio::spawn(async move {
        broken
            .update(|list| {
                list.clear();
                panic!("half way");
            })
            .await
    });
    assert!(task.await.is_err());
    assert_eq!(*share.read().await.unwrap(), [1, 2, 3]);
    share.update(|list| list.push(4)).await.unwrap();
}

#[tokio::test]
async fn versions_grow_and_compare_and_set_is_exact() {
    let bus = Bus::new();
    let share = number(&bus, "x");
    let first = share.read().await.unwrap().version();
    let second = share.compare_and_set(first, 5).await.unwrap();
    assert!(second > first);
    assert_eq!(
        share.compare_and_set(first, 6).await,
        Err(ShareError::Conflict { share: "x".into(), expected: first, current: second })
    );
    share.free().await.unwrap();
    assert_eq!(*share.read().await.unwrap(), 0, "made anew");
    assert!(share.compare_and_set(second, 6).await.is_err(), "a version never comes again");
}

#[tokio::test(start_paused = true)]
async fn a_value_lives_as_long_as_it_was_given() {
    let share = number(&Bus::new(), "x").ttl(Duration::from_secs(10));
    share.set(5).await.unwrap();
    advance(Duration::from_secs(9)).await;
    assert_eq!(*share.read().await.unwrap(), 5);
    advance(Duration::from_secs(1)).await;
    assert_eq!(*share.read().await.unwrap(), 0);
    share.clone().ttl(Duration::MAX).set(1).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_waited_for_in_order_and_no_longer_than_asked() {
    let share = number(&Bus::new(), "x");
    let mut guard = share.lock(&mut Party::new("first"), LONG).await.unwrap();
    let started = Instant::now();
    let error = share.lock(&mut Party::new("second"), Duration::from_secs(5)).await.unwrap_err();
    assert_eq!(started.elapsed(), Duration::from_secs(5));
    assert_eq!(error, ShareError::Timeout { share: "x".into(), holder: "first".into() });
    assert!(matches!(share.update(|_| ()).await, Err(ShareError::Timeout { .. })), "writes wait too");
    assert_eq!(*share.read().await.unwrap(), 0, "reads do not");

    let order = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut tasks = Vec::new();
    for number in 1..=5u64 {
        let (share, order) = (share.clone(), Arc::clone(&order));
        tasks.push(tokio::spawn(async move {
            share.update(|value| *value = *value * 10 + number).await.unwrap();
            order.lock().unwrap().push(number);
        }));
        yield_now().await;
    }
    guard.update(|value| *value = 9).await.unwrap();
    assert_eq!(*guard, 9);
    drop(guard);
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(*order.lock().unwrap(), [1, 2, 3, 4, 5]);
    assert_eq!(*share.read().await.unwrap(), 912_345);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_wait_or_holder_leaves_nothing_behind() {
    let bus = Bus::new();
    let share = number(&bus, "x");
    let held = share.lock(&mut Party::new("holder"), LONG).await.unwrap();
    let waits = |name: &'static str| {
        let share = share.clone();
        tokio::spawn(async move { share.lock(&mut Party::new(name), LONG).await.map(std::mem::forget) })
    };
    let (cancelled, granted) = (waits("cancelled"), waits("granted"));
    yield_now().await;
    assert_eq!(bus.shares()[0].waiting, 2);
    cancelled.abort();
    assert!(cancelled.await.is_err());
    assert_eq!(bus.shares()[0].waiting, 1);
    // The lock is handed to a task that is cancelled before it runs again.
    drop(held);
    granted.abort();
    let _ = granted.await;
    let free = share.lock(&mut Party::new("next"), Duration::from_secs(1)).await;
    let info = &bus.shares()[0];
    assert_eq!((info.owner.as_deref(), info.waiting, info.bytes), (Some("next"), 0, Some(1)));
    drop(free);
    assert_eq!(bus.shares()[0].owner, None);
}

/// Party `n` holds share `n` and waits for share `n + 1`; the last one closes the cycle.
async fn cycle_of(count: usize) -> ShareError {
    let bus = Bus::new();
    let mut tasks = Vec::new();
    let shares: Vec<_> = (0..count).map(|n| number(&bus, &format!("share {n}"))).collect();
    let mut last = None;
    for n in 0..count {
        let mut party = Party::new(format!("party {n}"));
        let guard = shares[n].lock(&mut party, LONG).await.unwrap();
        if n + 1 == count {
            last = Some((party, guard));
            break;
        }
        let next = shares[n + 1].clone();
        let task = async move {
            yield_now().await;
            let _guard = guard;
            next.lock(&mut party, LONG).await.map(drop)
        };
        tasks.push(tokio::spawn(task));
    }
    for _ in 0..count * 2 {
        yield_now().await;
    }
    let (mut party, guard) = last.unwrap();
    let error = shares[0].lock(&mut party, LONG).await.unwrap_err();
    // The others go on once the one that was refused lets go.
    drop(guard);
    for task in tasks {
        task.await.unwrap().unwrap();
    }
    assert!(shares[0].lock(&mut party, LONG).await.is_ok());
    error
}

#[tokio::test(start_paused = true)]
async fn a_deadlock_of_any_number_of_parties_is_found_at_once() {
    let started = Instant::now();
    assert_eq!(
        cycle_of(1).await.to_string(),
        r#"deadlock: "party 0" waits for share "share 0" which "party 0" holds"#
    );
    assert_eq!(
        cycle_of(3).await.to_string(),
        r#"deadlock: "party 2" waits for share "share 0" which "party 0" holds, "party 0" waits for share "share 1" which "party 1" holds, "party 1" waits for share "share 2" which "party 2" holds"#
    );
    let ShareError::Deadlock(cycle) = cycle_of(50).await else { panic!("no deadlock") };
    assert_eq!(cycle.waits().len(), 50);
    assert_eq!(started.elapsed(), Duration::ZERO);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_lose_no_write_and_never_hang() {
    let bus = Bus::new();
    let (a, b, c) = (number(&bus, "a"), number(&bus, "b"), number(&bus, "c"));
    let deadlocks = Arc::new(AtomicUsize::new(0));
    let mut tasks = Vec::new();
    for task in 0..16usize {
        let shares = [a.clone(), b.clone(), c.clone()];
        let deadlocks = Arc::clone(&deadlocks);
        let counter = bus.counter("done").unwrap();
        let map = bus.map::<u64>("map").unwrap();
        tasks.push(tokio::spawn(async move {
            let mut party = Party::new("a task");
            for round in 0..200 {
                let (one, two) = (&shares[(task + round) % 3], &shares[(task + round + 1) % 3]);
                let mut first = one.lock(&mut party, LONG).await.unwrap();
                match two.lock(&mut party, LONG).await {
                    Ok(mut second) => second.update(|n| *n += 1).await.unwrap(),
                    Err(ShareError::Deadlock(_)) => {
                        deadlocks.fetch_add(1, Ordering::Relaxed);
                    }
                    Err(error) => panic!("{error}"),
                }
                first.update(|n| *n += 1).await.unwrap();
                drop(first);
                counter.add(1).await.unwrap();
                map.update("k", |n| Some(n.unwrap_or(0) + 1)).await.unwrap();
            }
        }));
    }
    for task in tasks {
        timeout(LONG, task).await.expect("nothing hangs").unwrap();
    }
    let sum = *a.read().await.unwrap() + *b.read().await.unwrap() + *c.read().await.unwrap();
    assert_eq!(sum as usize, 2 * 16 * 200 - deadlocks.load(Ordering::Relaxed));
    assert_eq!(bus.counter("done").unwrap().get().await.unwrap(), 16 * 200);
    assert_eq!(bus.map::<u64>("map").unwrap().get("k").await.unwrap().as_deref(), Some(&(16 * 200)));
}

#[tokio::test(start_paused = true)]
async fn floods_are_bounded() {
    let limits = BusLimits { names: 10, map_entries: 3, lock_waiters: 2, ..BusLimits::default() };
    let bus = Bus::with_limits(limits);
    let mut refused = 0;
    for n in 0..1000 {
        match bus.share(&n.to_string(), || 0u64) {
            Ok(share) => drop(share.set(1).await.unwrap()),
            Err(error) => {
                assert_eq!(error, ShareError::Name(NameError::TooMany(10)));
                refused += 1;
            }
        }
    }
    assert_eq!(refused, 990);

    let map = bus.map::<u8>("m").unwrap();
    for key in ["a", "b", "c"] {
        map.insert(key, 1).await.unwrap();
    }
    assert_eq!(map.insert("d", 1).await, Err(ShareError::Full("m".into())));
    assert_eq!(map.update("d", |_| Some(1)).await, Err(ShareError::Full("m".into())));
    assert_eq!(
        map.insert("a", 2).await.unwrap().as_deref(),
        Some(&1),
        "one that is there can still be changed"
    );
    map.update("a", |_| None).await.unwrap();
    assert!(map.insert(&"k".repeat(1025), 1).await.is_err());
    assert_eq!(map.len().await.unwrap(), 2);

    let share = number(&bus, "0");
    let _held = share.lock(&mut Party::new("holder"), LONG).await.unwrap();
    for _ in 0..2 {
        let share = share.clone();
        tokio::spawn(async move { share.update(|_| ()).await });
        yield_now().await;
    }
    assert_eq!(share.update(|_| ()).await, Err(ShareError::TooManyWaiting("0".into())));
}
