//! Work that handlers put off until after their answers: when it begins, that it is done, and that the end waits for it.

use std::time::{Duration, Instant};

use cepa_core::{App, Body, BodyWriter, Ctx, Error, Result};
use cepa_tests::{Served, Serving, probe::Record, stats::eventually, wire::Wire};
use tokio::time::sleep;

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// `/now` defers and answers at once, `/later` after a moment, `/stream` with a body that takes its time; `/long` defers
/// what takes two seconds, `/never` what never ends; `/stuck` defers and then hangs.
fn app(record: &Record) -> App {
    let note = |record: &Record, text: &'static str, takes: u64| {
        let record = record.clone();
        move |ctx: &Ctx| {
            let record = record.clone();
            ctx.defer(async move {
                record.note("begun");
                sleep(Duration::from_millis(takes)).await;
                record.note(text);
                Ok(())
            })
        }
    };
    let (now, later, stream) =
        (note(record, "now", 300), note(record, "later", 0), note(record, "stream", 0));
    let (long, stuck) = (note(record, "long", 2_000), note(record, "stuck", 0));
    let sent = record.clone();
    App::new()
        .get("/now", async move |ctx: &mut Ctx| -> Result<&'static str> {
            now(ctx)?;
            Ok("now")
        })
        .get("/later", async move |ctx: &mut Ctx| -> Result<&'static str> {
            later(ctx)?;
            sleep(Duration::from_millis(50)).await;
            Ok("later")
        })
        .get("/stream", async move |ctx: &mut Ctx| -> Result {
            stream(ctx)?;
            let sent = sent.clone();
            ctx.set_body(Body::from_async(async move |mut body: BodyWriter| {
                for _ in 0..3 {
                    body.write("piece").await;
                    sleep(Duration::from_millis(50)).await;
                }
                sent.note("sent");
                Ok(())
            }))
        })
        .get("/long", async move |ctx: &mut Ctx| long(ctx))
        .get("/never", async |ctx: &mut Ctx| ctx.defer(std::future::pending()))
        .get("/stuck", async move |ctx: &mut Ctx| -> Result {
            stuck(ctx)?;
            std::future::pending().await
        })
        .get("/fail", async |ctx: &mut Ctx| ctx.defer(async { Err(Error::new(500, "no")) }))
}

fn start(change: impl FnOnce(&mut cepa_server::limits::Limits)) -> (Served, Record) {
    let record = Record::default();
    let served = Serving::new(app(&record)).workers(1).limits(change).start();
    (served.expect("the app is served"), record)
}

#[test]
fn an_answer_does_not_wait_for_what_was_put_off_and_neither_does_the_next_request() {
    let (server, record) = start(|_| ());
    let mut wire = Wire::open(server.address(), get("/now"));
    assert_eq!(wire.response().text(), "now");
    wire.send(get("/later"));
    assert_eq!(wire.response().text(), "later");
    assert!(!record.has("now"), "it takes longer than both answers");
    eventually("it is done", || record.has("now") && record.has("later"));
    // Of requests in one piece, each begins what it has put off.
    wire.send([get("/now"), get("/now"), get("/stuck")].concat());
    assert_eq!((wire.response().text(), wire.response().text()), ("now".to_owned(), "now".to_owned()));
    eventually("those before the one that hangs are done", || record.len() == 8);
    assert!(!record.has("stuck"));
}

#[test]
fn it_begins_after_the_last_byte_of_a_stream() {
    let (server, record) = start(|_| ());
    let mut wire = Wire::open(server.address(), get("/stream"));
    assert_eq!(wire.response().text(), "piecepiecepiece");
    eventually("it is done", || record.len() == 3);
    assert_eq!(record.take(), ["sent", "begun", "stream"]);
}

#[test]
fn it_is_done_for_a_client_that_is_gone() {
    let (server, record) = start(|_| ());
    Wire::open(server.address(), get("/stuck")).reset();
    eventually("it is done", || record.has("stuck"));
}

#[test]
fn what_is_too_much_is_refused_and_what_fails_makes_room() {
    let (server, record) = start(|limits| limits.deferred = 2);
    let mut wire = Wire::open(server.address(), [get("/never"), get("/now"), get("/now")].concat());
    let statuses: Vec<_> = (0..3).map(|_| wire.response().status).collect();
    assert_eq!(statuses, [404, 200, 503]);
    eventually("it is done", || record.has("now"));
    for _ in 0..5 {
        wire.send(get("/fail"));
        assert_eq!(wire.response().status, 404);
        wire.send(get("/later"));
        assert_eq!(wire.response().status, 200);
        eventually("it is done", || record.has("later"));
        record.take();
    }
}

#[test]
fn the_end_waits_for_it_and_not_for_ever() {
    let (server, record) = start(|limits| limits.drain = Duration::from_secs(60));
    let mut wire = Wire::open(server.address(), get("/long"));
    wire.response();
    server.stopper().drain();
    server.join().unwrap();
    assert!(record.has("long"));

    let (server, _) = start(|limits| limits.drain = Duration::from_secs(1));
    let mut wire = Wire::open(server.address(), get("/never"));
    wire.response();
    // Its connection too is cut at the end, with what it has put off.
    let stuck = Wire::open(server.address(), get("/stuck"));
    let begun = Instant::now();
    server.stopper().drain();
    server.join().unwrap();
    assert!((1..20).contains(&begun.elapsed().as_secs()), "{:?}", begun.elapsed());
    drop(stuck);
}
