use std::task::{Context, Poll, Waker};

use proptest::prelude::*;

use super::*;
use crate::{
    BusLimits, Delivery, Overflow, QueueOptions, Subscriber,
    queue::{Queues, relay::Relay, relay::Relayed},
};

/// A mirror whose backend is the test.
fn mirror(keep: usize) -> Arc<Channel> {
    let options = QueueOptions { keep, ..QueueOptions::default() };
    let channel = queue(options);
    let mut state = locked(&channel.state);
    (state.life, state.mirror) = (0, Some(Mirror::default()));
    drop(state);
    channel
}

fn queue(options: QueueOptions) -> Arc<Channel> {
    Queues::new(&BusLimits::default(), None).open(&"app".into(), "q", options).unwrap()
}

fn subscribe(channel: &Arc<Channel>, last: Option<EventId>) -> Subscriber<u64> {
    Subscriber::new(Arc::clone(channel), last).unwrap()
}

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

fn id(life: u64, number: u64) -> EventId {
    EventId { life, number }
}

fn receive(channel: &Channel, life: u64, numbers: std::ops::RangeInclusive<u64>) {
    for number in numbers {
        channel.receive(id(life, number), None, number.to_string().as_bytes());
    }
}

#[test]
fn places_are_found_once_the_backend_answers() {
    let channel = mirror(4);
    let mut now = subscribe(&channel, None);
    let mut back = subscribe(&channel, Some(id(7, 5)));
    let mut other = subscribe(&channel, Some(id(8, 5)));
    let mut ahead = subscribe(&channel, Some(id(7, 11)));
    assert_eq!((drain(&mut now), drain(&mut back), drain(&mut other)), (vec![], vec![], vec![]));
    assert_eq!(back.last(), id(7, 5), "what it came with");
    // Kept are 7 to 10, and the next one is 11.
    channel.followed(Followed { after: id(7, 6), now: 11, stops: 3 });
    let mut late = subscribe(&channel, None);
    receive(&channel, 7, 7..=12);
    assert_eq!(drain(&mut now), [Ok(11), Ok(12)]);
    assert_eq!(drain(&mut back), [Err(Some(3)), Ok(9), Ok(10), Ok(11), Ok(12)], "four are kept");
    assert_eq!(drain(&mut other)[..2], [Err(None), Ok(9)]);
    assert_eq!(drain(&mut ahead), [Ok(12)], "it had seen more than this process");
    // However far behind this process is: nothing comes twice.
    let mut far_ahead = subscribe(&channel, Some(id(7, 99)));
    let mut newest = subscribe(&channel, Some(id(7, 99))).overflow(Overflow::DropNewest);
    receive(&channel, 7, 13..=100);
    assert_eq!(drain(&mut far_ahead), [Ok(100)]);
    receive(&channel, 7, 101..=101);
    assert_eq!(drain(&mut newest), [Ok(100), Ok(101)]);
    assert_eq!(drain(&mut subscribe(&channel, Some(id(7, u64::MAX))))[..2], [Err(None), Ok(98)]);
    assert_eq!(drain(&mut late).len(), 5, "all that came since, and what was on the way");
}

#[test]
fn a_break_is_made_good_or_told() {
    let channel = mirror(4);
    let mut reader = subscribe(&channel, None);
    channel.followed(Followed { after: id(7, 0), now: 1, stops: 0 });
    receive(&channel, 7, 1..=2);
    assert_eq!(drain(&mut reader), [Ok(1), Ok(2)]);
    channel.lost();
    assert_eq!(channel.last_known(), Some(id(7, 2)));
    let mut waits = subscribe(&channel, Some(id(7, 3)));
    assert_eq!(drain(&mut waits), []);
    channel.followed(Followed { after: id(7, 2), now: 5, stops: 0 });
    receive(&channel, 7, 1..=4);
    assert_eq!((drain(&mut reader), drain(&mut waits)), (vec![Ok(3), Ok(4)], vec![Ok(4)]));
    // More than is kept has gone by; then the backend has forgotten everything, twice.
    channel.followed(Followed { after: id(7, 9), now: 10, stops: 0 });
    receive(&channel, 7, 10..=10);
    assert_eq!(drain(&mut reader), [Err(Some(5)), Ok(10)]);
    channel.followed(Followed { after: id(8, 0), now: 1, stops: 0 });
    channel.followed(Followed { after: id(9, 1), now: 3, stops: 0 });
    receive(&channel, 8, 1..=3);
    receive(&channel, 9, 2..=2);
    assert_eq!(drain(&mut reader), [Err(None), Ok(2)]);
    assert_eq!(reader.last(), id(9, 2));
    assert_eq!(drain(&mut subscribe(&channel, Some(id(7, 10)))), [Err(None), Ok(2)]);
}

#[test]
fn a_stop_during_a_break_is_not_lost() {
    let channel = mirror(4);
    let mut reader = subscribe(&channel, None);
    channel.followed(Followed { after: id(7, 0), now: 1, stops: 5 });
    receive(&channel, 7, 1..=1);
    channel.lost();
    channel.followed(Followed { after: id(7, 1), now: 2, stops: 6 });
    receive(&channel, 7, 2..=2);
    assert_eq!(drain(&mut reader), [Ok(1)]);
    assert!(reader.stopped().is_some());
}

#[test]
fn nonsense_changes_nothing() {
    let channel = mirror(4);
    let mut reader = subscribe(&channel, None);
    for (after, now) in [(id(0, 1), 1), (id(7, u64::MAX), 1), (id(7, 1), u64::MAX)] {
        channel.followed(Followed { after, now, stops: 0 });
    }
    channel.receive(id(0, 1), None, b"1");
    channel.receive(id(0, u64::MAX), None, b"1");
    assert_eq!(drain(&mut reader), []);
    channel.followed(Followed { after: id(7, 1), now: 2, stops: 0 });
    channel.receive(id(7, u64::MAX), None, b"1");
    channel.receive(id(7, 2), Some("a\nb"), b"1");
    channel.receive(id(7, 2), None, b"\xff");
    receive(&channel, 7, 2..=2);
    assert_eq!(drain(&mut reader), [Ok(2)]);
}

#[test]
fn reports_say_what_has_changed() {
    let channel = mirror(4);
    let ada = subscribe(&channel, None).named("ada").unwrap();
    let bob = subscribe(&channel, None).named("bob").unwrap();
    let names = |report: Report| (report.count, report.all, report.names);
    assert_eq!(names(channel.report(false)), (2, false, vec![("ada".into(), 1), ("bob".into(), 1)]));
    drop(bob);
    assert_eq!(names(channel.report(false)), (1, false, vec![("bob".into(), 0)]));
    assert_eq!(names(channel.report(false)), (1, false, vec![]));
    assert_eq!(names(channel.report(true)), (1, true, vec![("ada".into(), 1)]));
    for n in 0..=Mirror::NOTED {
        drop(subscribe(&channel, None).named(&n.to_string()).unwrap());
    }
    assert_eq!(names(channel.report(false)), (1, true, vec![("ada".into(), 1)]), "too many to note down");
    drop(ada);
}

/// A queue, and mirrors of it that are cut off and filled again.
#[derive(Clone, Debug)]
enum Act {
    Publish,
    Stop,
    Restart,
    Cut,
    Connect,
    Deliver(usize),
    Subscribe,
    Read,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        8 => Just(Act::Publish),
        1 => Just(Act::Stop),
        1 => Just(Act::Restart),
        2 => Just(Act::Cut),
        4 => Just(Act::Connect),
        8 => (1..5usize).prop_map(Act::Deliver),
        2 => Just(Act::Subscribe),
        4 => Just(Act::Read),
    ]
}

proptest! {
    /// Whatever happens between, a reader sees messages in their order, none twice, and is told of each gap.
    #[test]
    fn a_mirror_tells_the_truth(acts in prop::collection::vec(act(), 1..200), keep in 1usize..6) {
        let options = QueueOptions { keep, ..QueueOptions::default() };
        let queues = Queues::new(&BusLimits::default(), None);
        let (mut source, mut published) = (queue(options), 0u64);
        let channel = mirror(keep);
        let mut relay: Option<Relay> = None;
        // A reader, what it has seen last, and whether it has been told of a gap since.
        let mut readers: Vec<(Subscriber<u64>, Option<u64>)> = Vec::new();
        for act in acts {
            match act {
                Act::Publish => {
                    published += 1;
                    queues.pass(&source, None, published.to_string().as_bytes()).unwrap();
                }
                Act::Stop => source.stop(),
                Act::Restart => {
                    relay = None;
                    channel.lost();
                    source = queue(options);
                }
                Act::Cut => {
                    relay = None;
                    channel.lost();
                }
                Act::Connect => {
                    let (new, followed) = Relay::new(Arc::clone(&source), channel.last_known()).unwrap();
                    channel.followed(followed);
                    relay = Some(new);
                }
                Act::Deliver(count) => for _ in 0..count {
                    let Some(relay) = &mut relay else { break };
                    let mut next = std::pin::pin!(relay.next());
                    let Poll::Ready(relayed) = next.as_mut().poll(&mut Context::from_waker(Waker::noop())) else { break };
                    match relayed {
                        Relayed::Message(frame) => channel.receive(frame.id(), frame.event(), &frame.json()),
                        Relayed::Stopped(stops) => channel.stopped(stops),
                    }
                },
                Act::Subscribe => readers.push((subscribe(&channel, None), None)),
                Act::Read => for (reader, last) in &mut readers {
                    let mut missed = Some(0);
                    for delivery in drain(reader) {
                        match delivery {
                            Ok(n) => {
                                prop_assert!(last.is_none_or(|last| n > last), "{n} after {last:?}");
                                if let (Some(last), Some(missed)) = (*last, missed) {
                                    prop_assert_eq!(n, last + missed + 1, "each gap is told exactly");
                                }
                                (*last, missed) = (Some(n), Some(0));
                            }
                            Err(count) => missed = missed.zip(count).map(|(before, count)| before + count),
                        }
                    }
                    // What was told at the end counts for what comes next time.
                    if missed != Some(0) {
                        *last = missed.zip(*last).map(|(missed, last)| last + missed);
                    }
                },
            }
        }
    }
}
