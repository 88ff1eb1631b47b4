//! Bodies, both ways: how they are asked for, who waits for whom, and those that break off.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    thread,
    time::Duration,
};

use bytes::Bytes;
use cepa_core::{App, Body, Ctx, Result};
use cepa_tests::{
    Serving,
    probe::Record,
    serve,
    stats::{eventually, pause},
    wire::{Ended, Wire},
};
use http::{HeaderMap, HeaderName, HeaderValue};
use http_body::{Body as HttpBody, Frame};
use tokio::time::sleep;

use crate::{End, Pieces, get_of, pieces};

/// Data, then trailers.
struct WithTrailers(Vec<Frame<Bytes>>);

impl HttpBody for WithTrailers {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(self.0.pop().map(Ok))
    }
}

#[test]
fn a_body_is_asked_for_before_it_comes() {
    let app = App::new()
        .post("/read", async |ctx: &mut Ctx| ctx.text().await)
        .post("/ignore", async |_: &mut Ctx| "no, thank you")
        .post("/late", async |ctx: &mut Ctx| {
            sleep(Duration::from_millis(50)).await;
            ctx.text().await
        })
        .post("/echo", async |ctx: &mut Ctx| std::mem::take(ctx.request.body_mut()));
    let server = Serving::new(app).limits(|limits| limits.body = 100).start().unwrap();
    let ask = |path: &str, length: usize| {
        format!("POST {path} HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: {length}\r\n\r\n")
    };
    for path in ["/read", "/late", "/echo"] {
        let mut wire = Wire::open(server.address(), ask(path, 5));
        let hint = wire.response();
        assert_eq!((hint.status, hint.headers.len()), (100, 0), "{path}");
        wire.send("hello");
        let answer = wire.response();
        assert_eq!((answer.status, answer.text().as_str()), (200, "hello"), "{path}");
        wire.send(ask(path, 5) + "world");
        let answer = loop {
            let answer = wire.response();
            if answer.status != 100 {
                break answer;
            }
        };
        assert_eq!(answer.text(), "world");
    }
    // Refused, or not wanted: a final answer before the body, and the connection cannot go on.
    for (path, length, status) in [("/read", 101, 413), ("/ignore", 5, 200)] {
        let mut wire = Wire::open(server.address(), ask(path, length));
        let answer = wire.response();
        assert_eq!((answer.status, answer.lists("connection", "close")), (status, true), "{path}");
        wire.assert_closed();
    }
    let mut wire = Wire::open(
        server.address(),
        "POST /read HTTP/1.0\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\nhello",
    );
    assert_eq!(wire.response().text(), "hello", "HTTP/1.0 knows no 100");
}

#[test]
fn trailers_go_both_ways() {
    let app = App::new().post("/", async |ctx: &mut Ctx| -> Result<Body> {
        let (mut data, mut fields) = (Vec::new(), HeaderMap::new());
        while let Some(frame) = ctx.request.body_mut().frame().await {
            match frame?.into_data() {
                Ok(piece) => data.extend_from_slice(&piece),
                Err(frame) => fields = frame.into_trailers().unwrap_or_default(),
            }
        }
        fields.insert("content-length", HeaderValue::from_static("7"));
        fields.insert(HeaderName::from_static("x-size"), HeaderValue::from(data.len()));
        // Taken from the end.
        Ok(Body::new(WithTrailers(vec![Frame::trailers(fields), Frame::data(data.into())])))
    });
    let server = serve(app).unwrap();
    let mut wire = Wire::connect(server.address()).unwrap();
    let request = "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n0\r\nX-Sum: 12\r\n\r\n";
    for step in [request.len(), 20, 1] {
        for part in request.as_bytes().chunks(step) {
            wire.send(part);
        }
        let answer = wire.response();
        assert_eq!(answer.text(), "abc");
        let trailer = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(answer.trailers, [trailer("x-sum", "12"), trailer("x-size", "3")]);
    }
}

#[test]
fn what_was_read_ahead_of_a_body_is_its_beginning() {
    let app = App::new().post("/", async |ctx: &mut Ctx| {
        sleep(Duration::from_millis(50)).await;
        let mut all = Vec::new();
        while let Some(piece) = ctx.request.body_mut().chunk().await {
            all.extend_from_slice(&piece?);
            sleep(Duration::from_millis(5)).await;
        }
        Ok::<_, cepa_core::Error>(all)
    });
    let server = serve(app).unwrap();
    for length in [10, 60_000, 300_000] {
        let body: Vec<u8> = (0..length).map(|at| (at % 251) as u8).collect();
        let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n");
        let mut wire = Wire::open(server.address(), head);
        pause(Duration::from_millis(20));
        wire.send(&body);
        // The next one, and the end, are read ahead as well.
        wire.send(format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"));
        wire.send(&body);
        wire.finish();
        for _ in 0..2 {
            assert!(wire.response().body == body, "{length}");
        }
        wire.assert_closed();
    }
}

#[test]
fn an_answer_that_breaks_off_never_looks_whole() {
    let with_length = async |ctx: &mut Ctx, body: Body| {
        ctx.set_length(1_000);
        ctx.set_body(body)
    };
    let app = App::new()
        .get("/fails", async |_: &mut Ctx| pieces(100, 3, End::Fails))
        .get("/panics", async |_: &mut Ctx| pieces(100, 3, End::Panics))
        .get("/short", async move |ctx: &mut Ctx| {
            ctx.set_body(pieces(100, 9, End::Clean))?;
            ctx.set("content-length", "1000")
        })
        .get("/long", async move |ctx: &mut Ctx| {
            ctx.set_body(pieces(100, 11, End::Clean))?;
            ctx.set("content-length", "1000")
        })
        .get("/length", async move |ctx: &mut Ctx| with_length(ctx, pieces(100, 9, End::Fails)).await);
    let server = serve(app).unwrap();
    for path in ["/fails", "/panics", "/short", "/long", "/length"] {
        for version in ["1.1", "1.0"] {
            let request = format!("GET {path} HTTP/{version}\r\nhost: a\r\n\r\n");
            let mut wire = Wire::open(server.address(), [request.as_str(), &get_of("/fails")].concat());
            let (bytes, ended) = wire.rest();
            assert_eq!(ended, Ended::Reset, "{path} in HTTP/{version}");
            assert!(!bytes.ends_with(b"0\r\n\r\n"), "{path} in HTTP/{version}");
        }
    }
}

#[test]
fn a_client_that_does_not_read_stops_the_stream() {
    let made = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&made);
    let app = App::new().get("/", async move |_: &mut Ctx| {
        Body::new(Pieces { size: 64 << 10, left: 16 << 10, made: Arc::clone(&counted), end: End::Never })
    });
    let server = serve(app).unwrap();
    let mut wire = Wire::open(server.address(), get_of("/"));
    eventually("the stream begins", || made.load(SeqCst) > 0);
    eventually("the stream stops", || {
        let before = made.load(SeqCst);
        pause(Duration::from_millis(200));
        before == made.load(SeqCst)
    });
    let before = made.load(SeqCst);
    // Of 1 GiB no more than the buffers of two sockets hold.
    assert!(before < 512, "{before} pieces of 64 KiB were made");
    // And it goes on when the client does.
    let _ = wire.read_exact(32 << 20).unwrap();
    assert!(made.load(SeqCst) > 500);
}

#[test]
fn an_app_that_does_not_read_stops_the_client() {
    let app = App::new().post("/", async |ctx: &mut Ctx| {
        sleep(Duration::from_secs(3)).await;
        let mut all = 0;
        while let Some(piece) = ctx.request.body_mut().chunk().await {
            all += piece?.len();
        }
        Ok::<_, cepa_core::Error>(all.to_string())
    });
    let server = Serving::new(app).limits(|limits| limits.body = 1 << 30).start().unwrap();
    let most = 64 << 20;
    let mut wire =
        Wire::open(server.address(), format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {most}\r\n\r\n"));
    wire.stream().set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let mut sent = 0;
    while let Ok(length) = std::io::Write::write(&mut wire.stream(), &vec![b'x'; 1 << 20]) {
        sent += length;
        assert!(sent < 32 << 20, "the server takes what nobody asks for");
    }
    wire.stream().set_write_timeout(Some(Duration::from_secs(30))).unwrap();
    wire.send(vec![b'x'; most - sent]);
    assert_eq!(wire.response().text(), most.to_string());
}

#[test]
fn uploads_and_downloads_arrive_whole() {
    let app = App::new().post("/echo", async |ctx: &mut Ctx| std::mem::take(ctx.request.body_mut())).post(
        "/sum",
        async |ctx: &mut Ctx| {
            let bytes = ctx.bytes().await?;
            let sum: u64 = bytes.iter().map(|&byte| u64::from(byte)).sum();
            Ok::<_, cepa_core::Error>(format!("{} {sum}", bytes.len()))
        },
    );
    let server = serve(app).unwrap();
    let data: Vec<u8> = (0..3_000_000u32).map(|at| (at % 251) as u8).collect();
    let sum: u64 = data.iter().map(|&byte| u64::from(byte)).sum();
    let chunked: Vec<u8> = data
        .chunks(70_001)
        .flat_map(|chunk| [format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat())
        .chain(*b"0\r\n\r\n")
        .collect();
    let mut wire = Wire::connect(server.address()).unwrap();
    for (framing, body) in [
        (format!("content-length: {}", data.len()), &data),
        ("transfer-encoding: chunked".to_owned(), &chunked),
    ] {
        wire.send(format!("POST /sum HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n"));
        wire.send(body);
        assert_eq!(wire.response().text(), format!("{} {sum}", data.len()));
        wire.send(format!("POST /echo HTTP/1.1\r\nhost: a\r\n{framing}\r\n\r\n"));
        let mut sender = wire.stream().try_clone().unwrap();
        let body = body.clone();
        let sent = thread::spawn(move || std::io::Write::write_all(&mut sender, &body));
        assert!(wire.response().body == data);
        sent.join().unwrap().unwrap();
    }
}

#[test]
fn a_body_that_breaks_off_is_an_error_for_its_reader() {
    let record = Record::default();
    let noted = record.clone();
    let app = App::new().post("/", async move |ctx: &mut Ctx| {
        let read = ctx.bytes().await;
        noted.note(match &read {
            Ok(_) => "whole".to_owned(),
            Err(error) => error.status().to_string(),
        });
        read.map(|_| "ok")
    });
    let server = serve(app).unwrap();
    for framing in ["content-length: 10\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n5\r\nhalf"] {
        let mut wire = Wire::open(server.address(), format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}"));
        wire.finish();
        assert_eq!(wire.response().status, 400);
        wire.assert_closed();
        assert_eq!(record.take(), ["400 Bad Request"]);
        let wire = Wire::open(server.address(), format!("POST / HTTP/1.1\r\nhost: a\r\n{framing}"));
        pause(Duration::from_millis(20));
        wire.reset();
        eventually("the reader hears of it", || record.has("400 Bad Request"));
        record.take();
    }
}
