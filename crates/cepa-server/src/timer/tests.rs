//! Tests of the timer wheel: rules one by one, paused time, and a model.

use super::*;
use proptest::prelude::*;
use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::Wake,
};

#[derive(Default)]
struct Count(AtomicUsize);

impl Wake for Count {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

impl Count {
    fn get(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

fn counted(timers: &Rc<Timers>) -> (Entry, Arc<Count>) {
    let count = Arc::new(Count::default());
    (timers.register(Arc::clone(&count).into()), count)
}

fn seconds(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// Ticks until `entry` expires, at most 1000.
fn ticks_to_expiry(timers: &Timers, entry: &Entry) -> Option<u32> {
    let start = timers.now_tick();
    (0..1000).find_map(|_| {
        timers.tick();
        entry.expired().then(|| timers.now_tick() - start)
    })
}

#[test]
fn fires_one_tick_after_its_whole_seconds() {
    for (after, ticks) in [
        (Duration::ZERO, 1),
        (Duration::from_millis(1), 2),
        (seconds(1), 2),
        (Duration::from_millis(1001), 3),
        (seconds(75), 76),
        (seconds(126), 127),
        (seconds(127), 128),
        (seconds(128), 129),
        (seconds(500), 501),
    ] {
        let timers = Timers::new();
        let (entry, count) = counted(&timers);
        entry.set(after);
        assert_eq!(ticks_to_expiry(&timers, &entry), Some(ticks), "{after:?}");
        assert_eq!(count.get(), 1);
    }
}

#[test]
fn moves_later_and_earlier() {
    let timers = Timers::new();
    let (entry, count) = counted(&timers);
    entry.set(seconds(5));
    entry.set(seconds(90));
    entry.set(seconds(30));
    assert_eq!(ticks_to_expiry(&timers, &entry), Some(31));
    entry.set(seconds(300));
    assert!(!entry.expired());
    entry.set(seconds(2));
    assert_eq!(ticks_to_expiry(&timers, &entry), Some(3));
    assert_eq!(count.get(), 2);
}

#[test]
fn cleared_and_dropped_entries_stay_silent() {
    let timers = Timers::new();
    let (cleared, first) = counted(&timers);
    let (dropped, second) = counted(&timers);
    cleared.set(seconds(3));
    dropped.set(seconds(3));
    cleared.clear();
    drop(dropped);
    assert_eq!(timers.len(), 1);
    for _ in 0..200 {
        timers.tick();
    }
    assert!(!cleared.expired());
    assert_eq!((first.get(), second.get()), (0, 0));
    assert_eq!(Arc::strong_count(&second), 1, "the waker is gone with its entry");
    cleared.set(seconds(3));
    assert_eq!(ticks_to_expiry(&timers, &cleared), Some(4));
}

#[test]
fn an_endless_duration_neither_fires_nor_overflows() {
    let timers = Timers::new();
    let (entry, _) = counted(&timers);
    timers.tick();
    entry.set(Duration::MAX);
    assert_eq!(ticks_to_expiry(&timers, &entry), None);
}

#[test]
fn places_are_reused() {
    let timers = Timers::new();
    let entries: Vec<_> = (0..1000).map(|_| counted(&timers).0).collect();
    let capacity = timers.nodes.capacity();
    drop(entries);
    let entries: Vec<_> = (0..1000).map(|_| counted(&timers).0).collect();
    assert_eq!(timers.nodes.capacity(), capacity);
    assert_eq!(
        entries.iter().map(|entry| entry.index).collect::<std::collections::BTreeSet<_>>().len(),
        1000
    );
}

#[test]
fn wake_all_wakes_each_once_and_expires_none() {
    let timers = Timers::new();
    let entries: Vec<_> = (0..300).map(|_| counted(&timers)).collect();
    entries[7].0.set(seconds(60));
    timers.wake_all();
    assert!(entries.iter().all(|(entry, count)| count.get() == 1 && !entry.expired()));
}

thread_local! {
    static VICTIM: Cell<Option<(Entry, Entry)>> = const { Cell::new(None) };
}

/// A waker that drops one entry of the very bucket being fired, sets another and registers a third.
struct Meddler;

impl Wake for Meddler {
    fn wake(self: Arc<Self>) {
        if let Some((gone, kept)) = VICTIM.take() {
            drop(gone);
            kept.set(Duration::ZERO);
            let more: Vec<_> = (0..600).map(|_| kept.timers().register(Waker::noop().clone())).collect();
            drop(more);
            VICTIM.set(Some((kept.timers().register(Waker::noop().clone()), kept)));
        }
    }
}

#[test]
fn a_waker_may_change_the_wheel() {
    let timers = Timers::new();
    let (gone, kept) = (counted(&timers).0, counted(&timers).0);
    let meddler = timers.register(Arc::new(Meddler).into());
    // The last one seated is fired first.
    for entry in [&gone, &kept, &meddler] {
        entry.set(seconds(1));
    }
    VICTIM.set(Some((gone, kept)));
    timers.tick();
    timers.tick();
    assert!(meddler.expired());
    let (_, kept) = VICTIM.take().unwrap();
    assert!(!kept.expired());
    timers.tick();
    assert!(kept.expired());
}

#[tokio::test(start_paused = true)]
async fn runs_on_tokio_time_and_rests_while_empty() {
    let timers = Timers::new();
    let driver = Rc::clone(&timers).run();
    let scene = async {
        tokio::time::sleep(seconds(3600)).await;
        assert_eq!(timers.now_tick(), 0, "no entry, no tick");
        for after in [1, 10, 200] {
            let entry = timers.register(Waker::noop().clone());
            let start = tokio::time::Instant::now();
            entry.set(seconds(after));
            poll_fn(|cx| entry.poll_expired(cx)).await;
            let took = start.elapsed();
            assert!(took >= seconds(after), "{took:?} is early for {after} s");
            assert!(took <= seconds(after + 1) + Duration::from_millis(2 * after + 10), "{took:?}");
        }
        let ticks = timers.now_tick();
        tokio::time::sleep(seconds(3600)).await;
        assert!(timers.now_tick() <= ticks + 1);
        let period = timers.period();
        let _entry = timers.register(Waker::noop().clone());
        assert_ne!(timers.period(), period, "a wheel that stood still begins a new period");
    };
    tokio::select! {
        () = driver => unreachable!("the driver runs for ever"),
        () = scene => {}
    }
}

#[tokio::test(start_paused = true)]
async fn a_blocked_thread_makes_no_deadline_early() {
    let timers = Timers::new();
    let scene = async {
        let keep = timers.register(Waker::noop().clone());
        tokio::task::yield_now().await;
        // Five seconds pass in which the driver had no turn; a deadline set then counts from then.
        tokio::time::advance(seconds(5)).await;
        let start = tokio::time::Instant::now();
        keep.set(seconds(3));
        poll_fn(|cx| keep.poll_expired(cx)).await;
        assert!(start.elapsed() >= seconds(3), "{:?}", start.elapsed());
    };
    tokio::select! {
        () = Rc::clone(&timers).run() => unreachable!("the driver runs for ever"),
        () = scene => {}
    }
}

#[derive(Debug, Clone)]
enum Step {
    Register,
    Set(usize, u64),
    Clear(usize),
    Drop(usize),
    Tick(u16),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        2 => Just(Step::Register),
        6 => (any::<usize>(), prop_oneof![0..6u64, 0..140u64, 100..400u64]).prop_map(|(i, s)| Step::Set(i, s)),
        1 => any::<usize>().prop_map(Step::Clear),
        1 => any::<usize>().prop_map(Step::Drop),
        4 => prop_oneof![1..4u16, 1..150u16].prop_map(Step::Tick),
    ]
}

/// An entry beside what the model says of it.
struct Twin {
    entry: Entry,
    count: Arc<Count>,
    deadline: Option<u64>,
    expired: bool,
    wakes: usize,
}

proptest! {
    #[test]
    fn behaves_like_a_map_of_deadlines(steps in prop::collection::vec(step(), 1..120)) {
        let timers = Timers::new();
        let mut twins: BTreeMap<usize, Twin> = BTreeMap::new();
        let mut now = 0u64;
        for (id, step) in steps.into_iter().enumerate() {
            let pick = |i: usize| twins.keys().nth(i % twins.len().max(1)).copied();
            match step {
                Step::Register => {
                    let (entry, count) = counted(&timers);
                    twins.insert(id, Twin { entry, count, deadline: None, expired: false, wakes: 0 });
                }
                Step::Set(i, s) => if let Some(twin) = pick(i).and_then(|key| twins.get_mut(&key)) {
                    twin.entry.set(seconds(s));
                    (twin.deadline, twin.expired) = (Some(now + 1 + s), false);
                },
                Step::Clear(i) => if let Some(twin) = pick(i).and_then(|key| twins.get_mut(&key)) {
                    twin.entry.clear();
                    (twin.deadline, twin.expired) = (None, false);
                },
                Step::Drop(i) => if let Some(key) = pick(i) {
                    twins.remove(&key);
                },
                Step::Tick(n) => for _ in 0..n {
                    now += 1;
                    timers.tick();
                    for twin in twins.values_mut() {
                        if twin.deadline.is_some_and(|deadline| deadline <= now) {
                            (twin.deadline, twin.expired, twin.wakes) = (None, true, twin.wakes + 1);
                        }
                    }
                },
            }
            prop_assert_eq!(timers.len(), twins.len());
            for twin in twins.values() {
                prop_assert_eq!(twin.entry.expired(), twin.expired);
                prop_assert_eq!(twin.count.get(), twin.wakes);
            }
        }
    }
}
