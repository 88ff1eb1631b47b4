//! The end of HTTP/1.1 on a connection: another protocol takes over, or the client goes.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{
    future::{pending, poll_fn},
    pin::Pin,
    task::{Context, Poll},
    thread,
    time::Duration,
};

use bytes::Bytes;
use cepa_core::{
    App, Body, Ctx, Io, LocalBoxFuture, OnClose, Response,
    router::{get, post},
};
use cepa_tests::{
    probe::Record,
    serve,
    stats::{eventually, pause},
    wire::{Ended, Wire},
};
use http::{HeaderValue, Method};
use http_body::{Body as HttpBody, Frame};
use tokio::time::sleep;

fn get_of(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

/// Notes in a record when it is dropped.
struct Guard(Record, &'static str);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.note(self.1);
    }
}

/// Echoes until the end, over the raw connection.
fn echo(mut io: Box<dyn Io>) -> LocalBoxFuture<'static, ()> {
    Box::pin(async move {
        let mut piece = [0; 1000];
        while let Ok(length @ 1..) = poll_fn(|cx| io.poll_read(cx, &mut piece)).await {
            let mut from = &piece[..length];
            while !from.is_empty() {
                let Ok(written) = poll_fn(|cx| io.poll_write(cx, from)).await else { return };
                from = &from[written..];
            }
        }
        let _ = poll_fn(|cx| io.poll_shutdown(cx)).await;
    })
}

async fn switch(_: &mut Ctx) -> Response {
    let mut response = Response::new();
    response.set_status(http::StatusCode::SWITCHING_PROTOCOLS);
    response.headers_mut().insert("upgrade", HeaderValue::from_static("echo"));
    response.on_upgrade(Box::new(echo));
    response
}

fn upgrading() -> App {
    App::new().get("/echo", switch).post("/echo", switch).get("/slow", async move |ctx: &mut Ctx| {
        sleep(Duration::from_millis(50)).await;
        switch(ctx).await
    })
}

const UPGRADE: &str = "host: a\r\nconnection: upgrade\r\nupgrade: echo\r\n";

#[test]
fn h1_08_another_protocol_takes_over_after_101_and_never_before() {
    let server = serve(upgrading()).unwrap();
    for path in ["/echo", "/slow"] {
        for (early, late) in [("", "hello"), ("hel", "lo"), ("hello", "")] {
            let mut wire =
                Wire::open(server.address(), format!("GET {path} HTTP/1.1\r\n{UPGRADE}\r\n{early}"));
            let answer = wire.response();
            assert_eq!((answer.status, answer.lists("connection", "upgrade")), (101, true));
            assert_eq!(answer.all("upgrade").next(), Some("echo"));
            wire.send(late);
            assert_eq!(wire.read_exact(5).unwrap(), b"hello");
            wire.finish();
            assert_eq!(wire.rest(), (Vec::new(), Ended::Closed));
        }
    }
    // Much more than fits in one read, sent before the 101.
    let much = "x".repeat(200_000);
    let mut wire = Wire::open(server.address(), format!("GET /slow HTTP/1.1\r\n{UPGRADE}\r\n"));
    let mut sender = wire.stream().try_clone().unwrap();
    let sent = thread::spawn(move || std::io::Write::write_all(&mut sender, much.as_bytes()));
    assert_eq!(wire.response().status, 101);
    assert_eq!(wire.read_exact(200_000).unwrap().len(), 200_000);
    sent.join().unwrap().unwrap();
}

#[test]
fn h1_08_an_upgrade_that_was_not_asked_for_or_has_a_body_is_refused() {
    let server = serve(upgrading()).unwrap();
    let table = [
        ("not asked for", "GET /echo HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), 500),
        ("no connection option", "GET /echo HTTP/1.1\r\nhost: a\r\nupgrade: echo\r\n\r\n".to_owned(), 500),
        ("HTTP/1.0", format!("GET /echo HTTP/1.0\r\n{UPGRADE}\r\n"), 500),
        ("with a body to come", format!("POST /echo HTTP/1.1\r\n{UPGRADE}content-length: 40\r\n\r\nhe"), 400),
        (
            "with a chunked body to come",
            format!("POST /echo HTTP/1.1\r\n{UPGRADE}transfer-encoding: chunked\r\n\r\n5\r\nhe"),
            400,
        ),
    ];
    for (name, request, status) in table {
        let mut wire = Wire::open(server.address(), request);
        assert_eq!(wire.response().status, status, "{name}");
        let _ = wire.try_send("GET /echo HTTP/1.1\r\nhost: a\r\n\r\n");
        wire.assert_closed();
    }
}

/// Waits for the client to go, then works on: a POST for a moment, anything else for long.
async fn work(record: &Record, ctx: &mut Ctx) -> &'static str {
    let _ended = Guard(record.clone(), "ended");
    record.note("begun");
    ctx.closed().await;
    record.note("closed");
    let moment = ctx.path() == "/auto" && *ctx.method() == Method::POST;
    sleep(Duration::from_millis(if moment { 300 } else { 20_000 })).await;
    record.note("completed");
    "done"
}

#[test]
fn a_handler_whose_client_goes_ends_as_its_policy_says() {
    let record = Record::default();
    let (one, two, three, second) = (record.clone(), record.clone(), record.clone(), record.clone());
    let app = App::new()
        .route(
            "/auto",
            get(async move |ctx: &mut Ctx| work(&one, ctx).await)
                .post(async move |ctx: &mut Ctx| work(&two, ctx).await),
        )
        .route("/cancel", post(async move |ctx: &mut Ctx| work(&three, ctx).await).on_close(OnClose::Cancel))
        .route(
            "/complete",
            get(async move |ctx: &mut Ctx| {
                ctx.closed().await;
                sleep(Duration::from_millis(2500)).await;
                second.note("completed");
                "done"
            })
            .on_close(OnClose::Complete),
        );
    let server = serve(app).unwrap();
    for reset in [false, true] {
        let leave = |request: &str| {
            let wire = Wire::open(server.address(), format!("{request} HTTP/1.1\r\nhost: a\r\n\r\n"));
            if request != "GET /complete" {
                eventually("the handler begins", || record.has("begun"));
            } else {
                pause(Duration::from_millis(50));
            }
            if reset {
                wire.reset();
            } else {
                drop(wire);
            }
        };
        // (request, completes)
        for (request, completes) in [("GET /auto", false), ("POST /auto", true), ("POST /cancel", false)] {
            leave(request);
            eventually("the handler has ended", || record.has("ended"));
            assert!(record.has("closed") || reset, "{request}, reset: {reset}");
            assert_eq!(record.has("completed"), completes, "{request}, reset: {reset}");
            record.take();
        }
        leave("GET /complete");
        eventually("the handler has completed", || record.has("completed"));
        record.take();
    }
}

#[test]
fn a_client_is_seen_to_go_in_the_middle_of_a_body_that_nobody_asks_for() {
    let record = Record::default();
    let (one, two, three) = (record.clone(), record.clone(), record.clone());
    let app = App::new()
        .get("/work", async move |ctx: &mut Ctx| work(&one, ctx).await)
        .get("/stream", async move |_: &mut Ctx| {
            let ended = Guard(two.clone(), "ended");
            two.note("begun");
            Body::from_async(async move |mut out| {
                let _ended = ended;
                out.write("hello").await;
                pending().await
            })
        })
        .post("/late", async move |ctx: &mut Ctx| {
            three.note("begun");
            ctx.closed().await;
            let read = ctx.bytes().await;
            three.note(read.map_or_else(|error| error.status().to_string(), |_| "whole".to_owned()));
            three.note("ended");
        });
    let server = serve(app).unwrap();
    for request in ["GET /work", "GET /stream", "POST /late"] {
        for framing in ["content-length: 10\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n5\r\nhalf"] {
            for reset in [false, true] {
                let what = format!("{request} HTTP/1.1\r\nhost: a\r\n{framing}");
                let wire = Wire::open(server.address(), &what);
                eventually("the handler begins", || record.has("begun"));
                pause(Duration::from_millis(20));
                if reset {
                    wire.reset();
                } else {
                    drop(wire);
                }
                eventually(&what, || record.has("ended"));
                assert!(!record.has("completed") && !record.has("whole"), "{what}");
                assert_eq!(record.has("400 Bad Request"), request == "POST /late", "{what}");
                record.take();
            }
        }
    }
}

#[test]
fn all_who_wait_for_the_client_to_go_hear_of_it() {
    let record = Record::default();
    let noted = record.clone();
    let app = App::new().get("/", async move |ctx: &mut Ctx| {
        for _ in 0..3 {
            let (closed, noted) = (ctx.closed(), noted.clone());
            tokio::task::spawn_local(async move {
                closed.await;
                noted.note("gone");
            });
        }
        noted.note("begun");
        pending::<()>().await;
    });
    let server = serve(app).unwrap();
    let wire = Wire::open(server.address(), get_of("/"));
    eventually("the handler begins", || record.has("begun"));
    pause(Duration::from_millis(20));
    drop(wire);
    eventually("all three hear", || record.len() == 4);
}

#[test]
fn who_waits_for_the_client_to_go_since_an_earlier_request_hears_of_it() {
    let record = Record::default();
    let noted = record.clone();
    let watch = move |ctx: &mut Ctx| {
        let (closed, noted) = (ctx.closed(), noted.clone());
        tokio::task::spawn_local(async move {
            closed.await;
            noted.note("gone");
        });
    };
    let then = watch.clone();
    let app = App::new()
        .get("/watch", async move |ctx: &mut Ctx| {
            watch(ctx);
            "watched"
        })
        .get("/now", async |_: &mut Ctx| "now")
        .get("/long", async |ctx: &mut Ctx| ctx.closed().await)
        .get("/echo", async move |ctx: &mut Ctx| {
            then(ctx);
            switch(ctx).await
        });
    let server = serve(app).unwrap();
    // (what comes after, twice; what comes last)
    for (after, last) in
        [("", ""), ("/now", ""), ("/watch", ""), ("/now", "/long"), ("", "/echo"), ("/now", "/echo")]
    {
        let mut wire = Wire::open(server.address(), get_of("/watch"));
        assert_eq!(wire.response().status, 200);
        if !after.is_empty() {
            wire.send(get_of(after).repeat(2));
            assert_eq!([wire.response().status, wire.response().status], [200; 2]);
        }
        if !last.is_empty() {
            wire.send(format!("GET {last} HTTP/1.1\r\n{UPGRADE}\r\n"));
        }
        if last == "/echo" {
            assert_eq!(wire.response().status, 101);
        }
        pause(Duration::from_millis(20));
        assert!(record.is_empty(), "{after} {last}");
        drop(wire);
        let watching = 1 + 2 * usize::from(after == "/watch") + usize::from(last == "/echo");
        eventually("all hear of it", || record.len() == watching);
        record.take();
    }
}

#[test]
fn a_parked_stream_ends_with_its_client() {
    let record = Record::default();
    let noted = record.clone();
    let app = App::new().get("/events", async move |_: &mut Ctx| {
        struct Parked(#[expect(dead_code, reason = "dropped with the stream")] Guard, bool);
        impl HttpBody for Parked {
            type Data = Bytes;
            type Error = std::io::Error;
            fn poll_frame(
                mut self: Pin<&mut Self>,
                _: &mut Context<'_>,
            ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
                if std::mem::replace(&mut self.1, true) {
                    return Poll::Pending;
                }
                Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"data: hello\n\n")))))
            }
        }
        Body::new(Parked(Guard(noted.clone(), "dropped"), false))
    });
    let server = serve(app).unwrap();
    for reset in [false, true] {
        let mut wire = Wire::open(server.address(), get_of("/events"));
        assert!(wire.read_exact(100).is_ok());
        pause(Duration::from_millis(20));
        assert!(record.is_empty());
        if reset {
            wire.reset();
        } else {
            drop(wire);
        }
        eventually("the stream is dropped", || record.has("dropped"));
        record.take();
    }
}
