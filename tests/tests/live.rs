//! Queues over real connections: events reach all workers, a client that goes or does not read harms nobody, a drain
//! ends streams and polls.

use std::time::{Duration, Instant};

use cepa_bus::{Bus, Live, Queue, QueueOptions};
use cepa_core::{App, Ctx, Result, test::block_on};
use cepa_tests::{
    Served, Serving,
    stats::{eventually, pause},
    wire::{Ended, Wire},
};

fn news(bus: &Bus) -> Queue<String> {
    bus.queue_with("news", QueueOptions { keep: 16, ..QueueOptions::default() }).expect("the name is one")
}

fn count(queue: &Queue<String>) -> usize {
    block_on(queue.count()).expect("it is in memory")
}

fn start(bus: &Bus) -> Served {
    let app = App::new()
        .provide(bus.clone())
        .get("/sse", async |ctx: &mut Ctx| -> Result {
            let queue = news(ctx.provided()?);
            ctx.sse(&queue)
        })
        .get("/poll", async |ctx: &mut Ctx| -> Result {
            let queue = news(ctx.provided()?);
            ctx.long_poll(&queue, Duration::from_secs(60))
        });
    Serving::new(app).workers(2).start().expect("the app is served")
}

/// HTTP/1.0: the body is what comes until the end, without chunks.
fn open(server: &Served, path: &str) -> Wire {
    Wire::open(server.address(), format!("GET {path} HTTP/1.0\r\nhost: a\r\n\r\n"))
}

fn text(mut wire: Wire) -> String {
    let (bytes, ended) = wire.rest();
    assert_eq!(ended, Ended::Closed);
    String::from_utf8(bytes).expect("answers are text")
}

#[test]
fn events_reach_everybody_in_order_but_who_does_not_read() {
    let bus = Bus::new();
    let (server, queue) = (start(&bus), news(&bus));
    let streams: Vec<_> = (0..20).map(|_| open(&server, "/sse")).collect();
    let deaf = open(&server, "/sse");
    let gone = open(&server, "/sse");
    eventually("all have subscribed", || count(&queue) == 22);
    gone.reset();
    eventually("who has gone is no subscriber", || count(&queue) == 21);

    // One thread takes what comes while the other sends: far more than the buffers of a socket hold.
    let readers: Vec<_> = streams.into_iter().map(|wire| std::thread::spawn(|| text(wire))).collect();
    let long = "x".repeat(10_000);
    let started = Instant::now();
    for n in 0..1000 {
        block_on(queue.notify(&format!("{n} {long}"))).expect("a text can be written");
        pause(Duration::from_micros(500));
    }
    assert!(started.elapsed() < Duration::from_secs(10), "who does not read slows nobody");
    block_on(queue.stop()).expect("it is in memory");
    for reader in readers {
        let text = reader.join().expect("the reader ends");
        let numbers: Vec<u32> = text
            .lines()
            .filter_map(|line| line.strip_prefix("data: \"")?.split_once(' ')?.0.parse().ok())
            .collect();
        assert!(numbers.is_sorted(), "in order");
        assert_eq!(numbers.last(), Some(&999));
        assert!(numbers.len() == 1000 || text.contains("event: missed"), "complete, or told");
    }
    drop(deaf);
    eventually("nobody is left", || count(&queue) == 0);
}

#[test]
fn a_drain_ends_streams_with_a_hint_and_polls_at_once() {
    let bus = Bus::new();
    let (server, queue) = (start(&bus), news(&bus));
    let (stream, poll) = (open(&server, "/sse"), open(&server, "/poll"));
    eventually("both have subscribed", || count(&queue) == 2);
    let started = Instant::now();
    server.stopper().drain();
    assert_eq!(text(stream).matches("retry: ").count(), 2, "one at the beginning, one as a farewell");
    assert!(text(poll).ends_with(r#""missed":false,"messages":[]}"#));
    assert!(started.elapsed() < Duration::from_secs(5));
}
