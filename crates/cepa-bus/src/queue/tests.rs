use std::{
    sync::{Arc, Mutex},
    task::{Context, Poll, Waker},
    time::Duration,
};

use cepa_core::test::block_on;
use proptest::prelude::*;
use tokio::time::timeout;

use super::*;
use crate::{Bus, BusLimits};

const LONG: Duration = Duration::from_secs(60);

fn queue(options: QueueOptions) -> Queue<u64> {
    Bus::new().queue_with("q", options).unwrap()
}

/// All that is there: messages, and `Err` for what was missed.
fn drain(subscriber: &mut Subscriber<u64>) -> Vec<Result<u64, Option<u64>>> {
    let mut all = Vec::new();
    let mut cx = Context::from_waker(Waker::noop());
    while let Poll::Ready(Some(delivery)) = subscriber.poll_next(&mut cx) {
        all.push(match delivery {
            Delivery::Message(message) => Ok(message.value().unwrap()),
            Delivery::Missed(count) => Err(count),
        });
    }
    all
}

#[tokio::test]
async fn a_message_is_written_once_and_shared() {
    let queue = Bus::new().queue::<String>("q").unwrap();
    let mut readers = [queue.subscribe().unwrap(), queue.subscribe().unwrap()];
    let id = queue.notify_as("greeting", &"one\ntwo".to_owned()).await.unwrap();
    let mut frames = Vec::new();
    for reader in &mut readers {
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Some(Delivery::Message(message))) = reader.poll_next(&mut cx) else { panic!() };
        assert_eq!((message.id(), message.event()), (id, Some("greeting")));
        assert_eq!((&*message.data(), &*message.value().unwrap()), (&br#""one\ntwo""#[..], "one\ntwo"));
        let text = format!("id: {id}\nevent: greeting\ndata: \"one\\ntwo\"\n\n");
        assert_eq!(*message.frame(), text);
        frames.push(message.frame().clone());
    }
    assert_eq!(frames[0].as_ptr(), frames[1].as_ptr());
    queue.notify(&String::new()).await.unwrap();
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Some(Delivery::Message(plain))) = readers[0].poll_next(&mut cx) else { panic!() };
    assert_eq!((plain.event(), &*plain.data()), (None, &b"\"\""[..]));
}

#[tokio::test]
async fn another_form_of_a_message_is_made_once() {
    let queue = queue(QueueOptions::default());
    let mut readers = [queue.subscribe().unwrap(), queue.subscribe().unwrap()];
    queue.notify(&7).await.unwrap();
    let mut made = 0;
    for reader in &mut readers {
        let mut cx = Context::from_waker(Waker::noop());
        let Poll::Ready(Some(Delivery::Message(message))) = reader.poll_next(&mut cx) else { panic!() };
        let form: Arc<str> = message.encoded(|json| {
            made += 1;
            format!("<{json}>").into()
        });
        assert_eq!((&*form, made), ("<7>", 1));
        // Another type than the first is not kept.
        assert_eq!(message.encoded(str::len), 1);
    }
}

#[tokio::test]
async fn what_cannot_be_a_message_is_refused() {
    let queue = Bus::new()
        .queue_with::<String>("q", QueueOptions { message: 10, ..QueueOptions::default() })
        .unwrap();
    queue.notify(&"x".repeat(8)).await.unwrap();
    assert!(matches!(queue.notify(&"x".repeat(9)).await, Err(QueueError::TooLong { limit: 10, .. })));
    for event in ["", "a\nid: 1", "a\rb", &"x".repeat(65)] {
        assert!(
            matches!(queue.notify_as(event, &String::new()).await, Err(QueueError::EventType)),
            "{event:?}"
        );
    }
}

#[tokio::test]
async fn one_that_never_reads_keeps_nothing_and_is_told() {
    let queue = queue(QueueOptions { keep: 4, ..QueueOptions::default() });
    let (mut slow, mut fast) = (queue.subscribe().unwrap(), queue.subscribe().unwrap());
    let mut cut = queue.subscribe().unwrap().overflow(Overflow::Disconnect);
    let mut narrow = queue.subscribe().unwrap().buffer(2);
    for n in 1..=100_000 {
        queue.notify(&n).await.unwrap();
        assert_eq!(drain(&mut fast), [Ok(n)]);
    }
    assert_eq!(queue.channel.info().kept, 4);
    assert_eq!(drain(&mut slow), [Err(Some(99_996)), Ok(99_997), Ok(99_998), Ok(99_999), Ok(100_000)]);
    assert_eq!(drain(&mut narrow), [Err(Some(99_998)), Ok(99_999), Ok(100_000)]);
    assert_eq!(drain(&mut cut), []);
    assert_eq!(cut.stopped(), Some(Stopped::Behind));
}

#[tokio::test]
async fn one_that_drops_the_newest_keeps_its_oldest() {
    let queue = queue(QueueOptions { keep: 4, ..QueueOptions::default() });
    let before = queue.notify(&0).await.unwrap();
    let mut slow = queue.subscribe().unwrap().buffer(2).overflow(Overflow::DropNewest);
    for n in 1..=1000 {
        queue.notify(&n).await.unwrap();
    }
    let mut cx = Context::from_waker(Waker::noop());
    let Poll::Ready(Some(Delivery::Message(first))) = slow.poll_next(&mut cx) else { panic!() };
    assert_eq!(first.value().unwrap(), 1);
    queue.notify(&1001).await.unwrap();
    queue.notify(&1002).await.unwrap();
    assert_eq!(drain(&mut slow), [Ok(2), Err(Some(998)), Ok(1001), Err(Some(1))]);
    queue.notify(&1003).await.unwrap();
    queue.stop().await.unwrap();
    queue.notify(&1004).await.unwrap();
    assert_eq!(drain(&mut slow), [Ok(1003)]);
    assert_eq!(slow.stopped(), Some(Stopped::Queue));

    let mut late = queue.subscribe_after(before).unwrap().overflow(Overflow::DropNewest);
    assert_eq!(drain(&mut late), [Err(Some(1000)), Ok(1001), Ok(1002), Ok(1003), Ok(1004)]);
    let mut turned = queue.subscribe().unwrap().overflow(Overflow::DropNewest).overflow(Overflow::DropOldest);
    drop((slow, late));
    queue.notify(&1).await.unwrap();
    assert_eq!(drain(&mut turned), [Ok(1)]);
}

#[tokio::test]
async fn bytes_are_bounded_too() {
    let options = QueueOptions { keep: 1000, keep_bytes: 500, message: 10_000 };
    let queue = Bus::new().queue_with::<String>("q", options).unwrap();
    for _ in 0..100 {
        queue.notify(&"x".repeat(100)).await.unwrap();
        assert!(queue.channel.info().kept_bytes <= 500);
    }
    queue.notify(&"x".repeat(5000)).await.unwrap();
    assert_eq!(queue.channel.info().kept, 1, "the last one is kept however long it is");
}

#[tokio::test]
async fn all_queues_together_are_bounded() {
    let limits = BusLimits { queue_bytes: 100_000, ..BusLimits::default() };
    let bus = Bus::with_limits(limits);
    let kept = || bus.queues().iter().map(|queue| queue.kept_bytes).sum::<usize>();
    let text = "x".repeat(1000);
    let held = bus.queue::<String>("held").unwrap();
    held.notify(&text).await.unwrap();
    for n in 0..500 {
        bus.queue::<String>(&format!("{n}")).unwrap().notify(&text).await.unwrap();
        assert!(kept() <= limits.queue_bytes, "{}", kept());
    }
    assert_eq!(held.channel.info().kept, 1, "idle ones went first");

    // Those that are used share what there is, and have their last message at least.
    let queues: Vec<_> = (0..200).map(|n| bus.queue::<String>(&format!("{n}")).unwrap()).collect();
    let mut readers: Vec<_> = queues.iter().map(|queue| queue.subscribe().unwrap()).collect();
    for _ in 0..10 {
        for queue in &queues {
            queue.notify(&text).await.unwrap();
        }
    }
    assert!(kept() <= limits.queue_bytes.max(200 * 1100), "{}", kept());
    let mut cx = Context::from_waker(Waker::noop());
    for reader in &mut readers {
        let Poll::Ready(Some(Delivery::Missed(Some(9)))) = reader.poll_next(&mut cx) else { panic!() };
        assert!(matches!(reader.poll_next(&mut cx), Poll::Ready(Some(Delivery::Message(_)))));
    }
}

#[tokio::test(start_paused = true)]
async fn an_idle_queue_is_forgotten() {
    let bus = Bus::with_limits(BusLimits { queue_idle: 10 * LONG, ..BusLimits::default() });
    let held = bus.queue::<u64>("held").unwrap();
    let (idle, kept) = (bus.queue::<u64>("idle").unwrap(), bus.queue::<u64>("kept").unwrap());
    let last = idle.notify(&1).await.unwrap();
    held.notify(&1).await.unwrap();
    drop(idle);
    tokio::time::advance(9 * LONG).await;
    kept.notify(&1).await.unwrap();
    drop(kept);
    assert_eq!(bus.queues().len(), 3);
    tokio::time::advance(LONG).await;
    bus.queue::<u64>("new").unwrap();
    let names: Vec<_> = bus.queues().iter().map(|queue| queue.name.to_string()).collect();
    assert_eq!(names, ["held", "kept", "new"]);
    let again = bus.queue::<u64>("idle").unwrap();
    assert_eq!(drain(&mut again.subscribe_after(last).unwrap()), [Err(None)], "another life");
}

#[tokio::test]
async fn who_comes_back_gets_what_was_missed() {
    let queue = queue(QueueOptions { keep: 4, ..QueueOptions::default() });
    let before = queue.subscribe().unwrap().last();
    let mut ids = Vec::new();
    for n in 1..=6 {
        ids.push(queue.notify(&n).await.unwrap());
    }
    let after = |id: &EventId| drain(&mut queue.subscribe_after(*id).unwrap());
    assert_eq!(after(&ids[3]), [Ok(5), Ok(6)]);
    assert_eq!(after(&ids[5]), []);
    assert_eq!(after(&ids[0]), [Err(Some(1)), Ok(3), Ok(4), Ok(5), Ok(6)]);
    assert_eq!(after(&before), [Err(Some(2)), Ok(3), Ok(4), Ok(5), Ok(6)]);
    let other_life = EventId { life: !before.life, number: 3 };
    assert_eq!(after(&other_life), [Err(None), Ok(3), Ok(4), Ok(5), Ok(6)]);
    assert_eq!(after(&EventId { number: u64::MAX, ..before })[0], Err(None), "an id that was never given");
    let newcomer = &mut queue.subscribe_from_start().unwrap();
    assert_eq!(drain(newcomer), [Ok(3), Ok(4), Ok(5), Ok(6)]);
}

#[tokio::test]
async fn stopping_ends_those_who_are_there_after_their_messages() {
    let queue = queue(QueueOptions::default());
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = |name: &'static str| {
        let told = Arc::clone(&told);
        move |why| told.lock().unwrap().push((name, why))
    };
    let mut stays = queue.subscribe().unwrap().on_stop(tell("stays"));
    let leaves = queue.subscribe().unwrap().on_stop(tell("leaves"));
    let panics = queue.subscribe().unwrap().on_stop(|_| panic!("on stop"));
    assert_eq!(queue.count().await.unwrap(), 3);
    leaves.stop();
    drop(panics);
    queue.notify(&1).await.unwrap();
    queue.stop().await.unwrap();
    queue.notify(&2).await.unwrap();
    let mut late = queue.subscribe().unwrap();
    queue.notify(&3).await.unwrap();
    assert_eq!(drain(&mut stays), [Ok(1)]);
    assert_eq!(drain(&mut late), [Ok(3)]);
    drop(stays);
    assert_eq!(*told.lock().unwrap(), [("leaves", Stopped::Left), ("stays", Stopped::Queue)]);
    assert_eq!(queue.count().await.unwrap(), 1);
}

#[tokio::test]
async fn rooms_are_apart_and_know_who_is_there() {
    let queue = queue(QueueOptions::default());
    let (lobby, cellar) = (queue.room("lobby").unwrap(), queue.room("cellar").unwrap());
    let mut ada = lobby.subscribe().unwrap().named("ada").unwrap();
    let second = lobby.subscribe().unwrap().named("x").unwrap().named("ada").unwrap();
    let bob = lobby.subscribe().unwrap().named("bob").unwrap();
    cellar.notify(&1).await.unwrap();
    queue.room("lobby").unwrap().notify(&2).await.unwrap();
    assert_eq!(drain(&mut ada), [Ok(2)]);
    assert_eq!(lobby.present().await.unwrap(), [("ada".into(), 2), ("bob".into(), 1)]);
    drop((second, bob));
    assert_eq!(lobby.present().await.unwrap(), [("ada".into(), 1)]);
    assert_eq!(cellar.present().await.unwrap(), []);
    assert!(queue.room(&"x".repeat(256)).is_err());
}

#[tokio::test]
async fn no_two_rooms_are_one() {
    let bus = Bus::new();
    let queue = bus.queue::<u64>("a").unwrap();
    assert!(matches!(bus.queue::<u64>("a#b"), Err(NameError::Room)));
    let room = |name: &str| queue.room(name).unwrap();
    let rooms = [
        room("b#c"),
        room("b").room("c").unwrap(),
        room("b%23c"),
        room("b"),
        room("%"),
        room("%25"),
        room("#"),
    ];
    let names: std::collections::BTreeSet<_> = rooms.iter().map(Queue::name).collect();
    assert_eq!(names.len(), rooms.len(), "{names:?}");
    assert_eq!(room("b#c").name(), "a#b%23c");
}

#[tokio::test]
async fn subscribers_are_bounded_and_seats_are_given_back() {
    let bus = Bus::with_limits(BusLimits { subscribers: 2, ..BusLimits::default() });
    let queue = bus.queue::<u64>("q").unwrap();
    for _ in 0..1000 {
        let _two = (queue.subscribe().unwrap(), queue.subscribe().unwrap());
        assert!(matches!(queue.subscribe(), Err(QueueError::TooManySubscribers(_))));
    }
    assert_eq!(queue.count().await.unwrap(), 0);
}

#[tokio::test]
async fn a_subscriber_is_small() {
    // With its seat: what a parked one costs, beside the task it is in.
    assert!(size_of::<Subscriber<u64>>() <= 40, "{}", size_of::<Subscriber<u64>>());
    assert_eq!(super::state::SEAT, 24);
}

#[tokio::test]
async fn a_wait_that_is_given_up_loses_nothing_and_keeps_no_task() {
    let queue = queue(QueueOptions::default());
    let mut subscriber = queue.subscribe().unwrap();
    assert!(timeout(Duration::from_millis(1), subscriber.next()).await.is_err());
    queue.notify(&1).await.unwrap();
    assert!(matches!(subscriber.next().await, Some(Delivery::Message(_))));

    let held = Arc::new(());
    let inner = Arc::clone(&held);
    let task = tokio::spawn(async move {
        let _held = inner;
        subscriber.next().await;
    });
    tokio::task::yield_now().await;
    task.abort();
    let _ = task.await;
    assert_eq!((Arc::strong_count(&held), queue.count().await.unwrap()), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_threads_see_one_order() {
    const PUBLISHERS: u64 = 8;
    const EACH: u64 = 500;
    let queue = queue(QueueOptions { keep: (PUBLISHERS * EACH) as usize, ..QueueOptions::default() });
    let mut readers = Vec::new();
    for _ in 0..8 {
        let mut subscriber = queue.subscribe().unwrap();
        readers.push(tokio::spawn(async move {
            let mut seen = Vec::new();
            while let Some(Delivery::Message(message)) = subscriber.next().await {
                seen.push(message.value().unwrap());
            }
            seen
        }));
    }
    let _never_reads = queue.subscribe().unwrap();
    let publishers: Vec<_> = (0..PUBLISHERS)
        .map(|publisher| {
            let queue = queue.clone();
            std::thread::spawn(move || {
                for n in 0..EACH {
                    block_on(queue.notify(&(publisher * EACH + n))).unwrap();
                }
            })
        })
        .collect();
    for publisher in publishers {
        publisher.join().unwrap();
    }
    queue.stop().await.unwrap();
    let mut orders = Vec::new();
    for reader in readers {
        orders.push(timeout(LONG, reader).await.expect("nothing hangs").unwrap());
    }
    assert_eq!(orders[0].len() as u64, PUBLISHERS * EACH);
    assert!(orders.iter().all(|order| *order == orders[0]));
    for publisher in 0..PUBLISHERS {
        let own: Vec<_> = orders[0].iter().filter(|n| **n / EACH == publisher).collect();
        assert!(own.is_sorted(), "one publisher's messages are in its order");
    }
}

#[derive(Clone, Debug)]
enum Act {
    Publish,
    Subscribe,
    Return(usize),
    Leave(usize),
    Read(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => Just(Act::Publish),
        1 => Just(Act::Subscribe),
        1 => (0..8usize).prop_map(Act::Return),
        1 => (0..8usize).prop_map(Act::Leave),
        3 => (0..8usize).prop_map(Act::Read),
    ]
}

proptest! {
    /// Whatever happens: each reads numbers that grow by one, but where it was told how many are missing.
    #[test]
    fn what_is_read_and_what_is_missed_is_everything(acts in prop::collection::vec(act(), 1..200), keep in 1usize..8) {
        let queue = queue(QueueOptions { keep, ..QueueOptions::default() });
        let mut published = 0;
        let mut readers: Vec<(Subscriber<u64>, u64)> = Vec::new();
        for act in acts {
            let at = |n: usize| (!readers.is_empty()).then(|| n % readers.len());
            match act {
                Act::Publish => {
                    published += 1;
                    block_on(queue.notify(&published)).unwrap();
                }
                Act::Subscribe => {
                    let overflow = [Overflow::DropOldest, Overflow::DropNewest][readers.len() % 2];
                    readers.push((queue.subscribe().unwrap().overflow(overflow).buffer(3), published));
                }
                Act::Return(n) => if let Some(at) = at(n) {
                    let last = readers[at].0.last();
                    readers[at].0 = queue.subscribe_after(last).unwrap();
                },
                Act::Leave(n) => if let Some(at) = at(n) {
                    readers.swap_remove(at);
                },
                Act::Read(n) => if let Some(at) = at(n) {
                    let (reader, seen) = &mut readers[at];
                    for delivery in drain(reader) {
                        match delivery {
                            Ok(number) => { *seen += 1; prop_assert_eq!(*seen, number); }
                            Err(missed) => *seen += missed.unwrap(),
                        }
                    }
                    prop_assert_eq!(*seen, published);
                },
            }
            prop_assert_eq!(queue.channel.count(), readers.len());
        }
    }

    #[test]
    fn an_id_is_what_it_is_written_as(life: u64, number: u64, text in ".*") {
        let id = EventId { life, number };
        prop_assert_eq!(id.to_string().parse(), Ok(id));
        let _ = text.parse::<EventId>();
    }
}

#[tokio::test]
async fn hostile_ids_are_no_ids() {
    for text in ["", "-", "1-1", "+00000000000000a-0000000000000001", "0000000000000001-0000000000000001-"] {
        assert!(text.parse::<EventId>().is_err(), "{text}");
    }
}
