use std::{
    cell::RefCell,
    future::pending,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use cepa_core::{App, Body, Connection, Ctx, LocalBoxFuture, test::Client};
use serde_json::{Value, json};
use tokio::time::{Instant, advance, timeout};

use super::{sse::EventStream, *};
use crate::{Bus, Delivery, Overflow, QueueOptions};

const SECOND: Duration = Duration::from_secs(1);

fn news(bus: &Bus) -> Queue<String> {
    bus.queue_with("news", QueueOptions { keep: 3, ..QueueOptions::default() }).unwrap()
}

/// A connection of a server that drains when it is told to.
struct Door(RefCell<LocalBoxFuture<'static, ()>>);

impl Connection for Door {
    fn door(&self) -> &'static str {
        "test"
    }

    fn poll_draining(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.0.borrow_mut().as_mut().poll(cx)
    }
}

fn body(subscriber: Subscriber<String>, draining: LocalBoxFuture<'static, ()>) -> Body {
    let door = Rc::new(Door(RefCell::new(draining)));
    Body::parks(EventStream::new(subscriber, SseOptions::default(), door, false))
}

async fn piece(body: &mut Body) -> Option<String> {
    let piece = timeout(1000 * SECOND, body.chunk()).await.expect("something comes")?;
    Some(String::from_utf8(piece.unwrap().to_vec()).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_stream_greets_sends_and_beats() {
    let queue = news(&Bus::new());
    let subscriber = queue.subscribe().unwrap();
    let greeting = format!("id: {}\nretry: 3000\n\n", subscriber.last());
    let mut body = body(subscriber, Box::pin(pending()));
    assert_eq!(piece(&mut body).await.unwrap(), greeting);
    let id = queue.notify(&"rain".into()).await.unwrap();
    assert_eq!(piece(&mut body).await.unwrap(), format!("id: {id}\ndata: \"rain\"\n\n"));
    let started = Instant::now();
    for beat in 1..=3 {
        assert_eq!(piece(&mut body).await.unwrap(), ":\n\n");
        assert_eq!(started.elapsed().as_secs(), 15 * beat);
    }
    advance(10 * SECOND).await;
    queue.notify(&"sun".into()).await.unwrap();
    queue.notify(&"wind".into()).await.unwrap();
    let both = piece(&mut body).await.unwrap();
    assert!(both.contains("sun") && both.ends_with("\"wind\"\n\n"), "what is there leaves at once: {both}");
    let started = Instant::now();
    assert_eq!(piece(&mut body).await.unwrap(), ":\n\n");
    assert_eq!(started.elapsed().as_secs(), 15, "an event is a beat");
    queue.stop().await.unwrap();
    assert_eq!(piece(&mut body).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_stream_says_what_was_missed_and_is_cut_if_so_wished() {
    let queue = news(&Bus::new());
    let mut told = body(queue.subscribe().unwrap(), Box::pin(pending()));
    let mut cut = body(queue.subscribe().unwrap().overflow(Overflow::Disconnect), Box::pin(pending()));
    piece(&mut told).await;
    piece(&mut cut).await;
    for n in 0..10 {
        queue.notify(&n.to_string()).await.unwrap();
    }
    let told = piece(&mut told).await.unwrap();
    let (id, events) = told.split_once("\nevent: missed\ndata: 7\n\nid: ").unwrap();
    let rest = queue.subscribe_after(id.strip_prefix("id: ").unwrap().parse().unwrap()).unwrap();
    assert!(events.starts_with(&EventId { number: rest.last().number + 1, ..rest.last() }.to_string()));
    assert_eq!(piece(&mut cut).await, None);
}

#[tokio::test(start_paused = true)]
async fn a_drain_ends_streams_with_a_time_to_come_back() {
    let queue = news(&Bus::new());
    let (drain, draining) = tokio::sync::oneshot::channel::<()>();
    let mut body = body(queue.subscribe().unwrap(), Box::pin(async { drop(draining.await) }));
    piece(&mut body).await;
    drop(drain);
    let farewell = piece(&mut body).await.unwrap();
    let time = farewell.strip_prefix("retry: ").and_then(|rest| rest.strip_suffix("\n\n")).unwrap();
    assert!((3000..=6000).contains(&time.parse().unwrap()), "{time}");
    assert_eq!(piece(&mut body).await, None);
    drop(body);
    assert_eq!(queue.count().await.unwrap(), 0);
}

fn app(bus: &Bus) -> App {
    App::new()
        .provide(bus.clone())
        .get("/sse", async |ctx: &mut Ctx| {
            let queue = news(ctx.provided::<Bus>()?);
            ctx.sse(&queue)
        })
        .get("/poll", async |ctx: &mut Ctx| {
            let queue = news(ctx.provided::<Bus>()?);
            ctx.long_poll(&queue, 30 * SECOND)
        })
        .get("/lock", async |ctx: &mut Ctx| {
            let share = ctx.provided::<Bus>()?.share("x", || 0u8)?;
            let _guard = share.lock(ctx.party(), SECOND).await?;
            let again = share.lock(ctx.party(), SECOND).await;
            Ok::<_, cepa_core::Error>(again.map(drop).unwrap_err().to_string())
        })
}

fn client(bus: &Bus) -> Client {
    app(bus).test()
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_comes_back_gets_the_rest() {
    let bus = Bus::new();
    let (queue, client) = (news(&bus), client(&bus));
    let first = queue.notify(&"one".into()).await.unwrap();
    queue.notify(&"two".into()).await.unwrap();
    let stop = queue.clone();
    tokio::spawn(async move {
        tokio::time::sleep(SECOND).await;
        stop.stop().await.unwrap();
    });
    let response = client.get("/sse").header("last-event-id", &first.to_string()).await;
    assert_eq!(response.header("content-type"), "text/event-stream");
    assert_eq!(response.header("cache-control"), "no-store");
    assert!(response.text().ends_with("data: \"two\"\n\n") && !response.text().contains("one"));
}

#[tokio::test(start_paused = true)]
async fn a_browser_that_got_nothing_yet_loses_nothing() {
    let queue = news(&Bus::new());
    let mut first = body(queue.subscribe().unwrap(), Box::pin(pending()));
    let greeting = piece(&mut first).await.unwrap();
    let id = greeting.strip_prefix("id: ").and_then(|rest| rest.split_once("\n")).unwrap().0;
    drop(first);
    let message = queue.notify(&"rain".into()).await.unwrap();
    let mut again = body(queue.subscribe_after(id.parse().unwrap()).unwrap(), Box::pin(pending()));
    assert!(piece(&mut again).await.unwrap().starts_with(&format!("id: {id}\n")));
    assert_eq!(piece(&mut again).await.unwrap(), format!("id: {message}\ndata: \"rain\"\n\n"));

    let other_life = EventId { life: 1, number: 1 };
    let mut lost = body(queue.subscribe_after(other_life).unwrap(), Box::pin(pending()));
    assert_eq!(piece(&mut lost).await.unwrap(), "retry: 3000\n\n");
    let before = EventId { number: message.number - 1, ..message };
    assert!(
        piece(&mut lost).await.unwrap().starts_with(&format!("id: {before}\nevent: missed\ndata: null\n"))
    );
}

#[tokio::test(start_paused = true)]
async fn polls_follow_each_other_without_a_gap() {
    let bus = Bus::new();
    let (queue, client) = (news(&bus), client(&bus));
    let started = Instant::now();
    let empty: Value = client.get("/poll").await.json();
    assert_eq!(started.elapsed(), 30 * SECOND);
    assert_eq!((&empty["messages"], &empty["missed"]), (&json!([]), &json!(false)));

    // Between two polls.
    let id = queue.notify_as("weather", &"rain".into()).await.unwrap().to_string();
    let after = |answer: &Value| format!("/poll?after={}", answer["id"].as_str().unwrap());
    let one: Value = client.get(&after(&empty)).await.json();
    assert_eq!(one["messages"], json!([{ "id": id, "event": "weather", "data": "rain" }]));
    assert_eq!(started.elapsed(), 30 * SECOND, "at once");

    for n in 0..5 {
        queue.notify(&n.to_string()).await.unwrap();
    }
    let rest: Value = client.get(&after(&one)).await.json();
    assert_eq!((rest["missed"].clone(), rest["messages"].as_array().unwrap().len()), (json!(true), 3));
    assert_eq!(client.get("/poll?after=nonsense").await.status(), 200);
    assert_eq!(queue.count().await.unwrap(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_poll_beats_until_it_is_answered() {
    let bus = Bus::new();
    let poll = cepa_core::Request::new(http::Method::GET, "/poll");
    let mut body = app(&bus).build().unwrap().handle(poll).await.into_parts().3;
    let started = Instant::now();
    assert_eq!(piece(&mut body).await.unwrap(), "\n");
    assert_eq!(started.elapsed(), 15 * SECOND);
    news(&bus).notify(&"rain".into()).await.unwrap();
    assert!(piece(&mut body).await.unwrap().starts_with("{\"id\":"));
    assert_eq!(started.elapsed(), 15 * SECOND);
    assert_eq!(piece(&mut body).await, None);
}

#[tokio::test]
async fn a_request_is_one_party() {
    let bus = Bus::new();
    let text = client(&bus).get("/lock").await.text().to_owned();
    assert_eq!(text, r#"deadlock: "GET /lock" waits for share "x" which "GET /lock" holds"#);
    assert_eq!(bus.shares()[0].owner, None, "released with the request");
}

#[tokio::test(start_paused = true)]
async fn a_poll_whose_client_goes_leaves_no_subscriber() {
    let bus = Bus::new();
    let (queue, client) = (news(&bus), client(&bus));
    let poll: Pin<Box<dyn Future<Output = _>>> = Box::pin(async { client.get("/poll").await.status() });
    assert!(timeout(SECOND, poll).await.is_err());
    assert_eq!(queue.count().await.unwrap(), 0);
}

#[tokio::test]
async fn subscribers_too_many_are_503() {
    let bus = Bus::with_limits(crate::BusLimits { subscribers: 1, ..Default::default() });
    let mut held = news(&bus).subscribe().unwrap();
    assert_eq!(client(&bus).get("/sse").await.status(), 503);
    news(&bus).notify(&String::new()).await.unwrap();
    assert!(matches!(held.next().await, Some(Delivery::Message(_))));
}
