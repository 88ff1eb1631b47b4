//! The life of an HTTP/1.1 connection: what keeps it, what ends it, who waits for whom.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bodies;

use std::{
    io::Read,
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
    Served, Serving,
    probe::{self, Record},
    serve,
    stats::pause,
    wire::{Ended, Wire, is_reset},
};
use http::{HeaderMap, HeaderValue};
use http_body::{Body as HttpBody, Frame};
use tokio::time::sleep;

/// A stream of pieces; counts those that it has handed out.
struct Pieces {
    size: usize,
    left: usize,
    made: Arc<AtomicUsize>,
    end: End,
}

/// What comes after the pieces.
#[derive(Clone, Copy, PartialEq)]
enum End {
    Clean,
    Fails,
    Panics,
    Never,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return match self.end {
                End::Clean => Poll::Ready(None),
                End::Fails => Poll::Ready(Some(Err(std::io::Error::other("broken")))),
                End::Panics => panic!("a stream that panics"),
                End::Never => Poll::Pending,
            };
        }
        self.left -= 1;
        self.made.fetch_add(1, SeqCst);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'x'; self.size])))))
    }
}

fn pieces(size: usize, left: usize, end: End) -> Body {
    Body::new(Pieces { size, left, made: Arc::default(), end })
}

fn get_of(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n")
}

fn probe() -> (Served, Record) {
    let record = Record::default();
    (serve(probe::app(&record)).expect("the app is served"), record)
}

#[test]
fn a_connection_is_kept_as_the_client_says() {
    let (server, _) = probe();
    let mut wire = Wire::connect(server.address()).unwrap();
    for at in 0..100 {
        wire.send(get_of(&format!("/{at}")));
        let answer = wire.response();
        assert_eq!((answer.text(), answer.all("connection").count()), (format!("GET /{at} "), 0));
    }
    let table = [
        ("HTTP/1.1", "", true),
        ("HTTP/1.1", "connection: close\r\n", false),
        ("HTTP/1.0", "", false),
        ("HTTP/1.0", "connection: keep-alive\r\n", true),
        ("HTTP/1.0", "connection: keep-alive, close\r\n", false),
    ];
    for (version, field, kept) in table {
        let request = format!("GET / {version}\r\nhost: a\r\n{field}\r\n");
        let mut wire = Wire::open(server.address(), &request);
        let answer = wire.response();
        assert_eq!(answer.lists("connection", "close"), !kept, "{version} {field}");
        assert_eq!(answer.lists("connection", "keep-alive"), kept && version == "HTTP/1.0");
        if kept {
            wire.send(&request);
            assert_eq!(wire.response().status, 200);
        } else {
            assert_eq!(wire.rest(), (Vec::new(), Ended::Closed), "{version} {field}");
        }
    }
}

#[test]
fn an_app_that_says_close_is_taken_at_its_word() {
    let app = App::new().get("/", async |ctx: &mut Ctx| -> Result {
        ctx.set("connection", "close")?;
        ctx.set_body("last")
    });
    let server = serve(app).unwrap();
    let mut wire = Wire::open(server.address(), get_of("/").repeat(3));
    let answer = wire.response();
    assert!(answer.text() == "last" && answer.lists("connection", "close"));
    wire.assert_closed();
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let (server, record) = probe();
    let requests: String = (0..16).map(|at| get_of(&format!("/{at}"))).collect();
    for step in [requests.len(), 1000, 333, 61, 7] {
        let mut wire = Wire::connect(server.address()).unwrap();
        for part in requests.as_bytes().chunks(step) {
            wire.send(part);
            pause(Duration::from_micros(100));
        }
        for at in 0..16 {
            assert_eq!(wire.response().text(), format!("GET /{at} "), "in steps of {step}");
        }
        assert_eq!(record.take().len(), 16);
    }
}

#[test]
fn pipelined_bodies_are_told_from_requests() {
    let (server, _) = probe();
    let body = |path: &str| format!("POST {path} HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello");
    let chunked =
        "POST /c HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n";
    let all =
        [get_of("/a").as_str(), &body("/unread"), &body("/b"), chunked, &body("/unread2"), &get_of("/d")]
            .concat();
    for step in [all.len(), 50, 3] {
        let mut wire = Wire::connect(server.address()).unwrap();
        for part in all.as_bytes().chunks(step) {
            wire.send(part);
            pause(Duration::from_micros(100));
        }
        for text in
            ["GET /a ", "POST /unread ", "POST /b hello", "POST /c hello", "POST /unread2 ", "GET /d "]
        {
            assert_eq!(wire.response().text(), text, "in steps of {step}");
        }
    }
}

#[test]
fn a_slow_first_answer_holds_back_the_others() {
    let record = Record::default();
    let noted = record.clone();
    let app = App::new()
        .get("/slow", async |_: &mut Ctx| {
            sleep(Duration::from_millis(200)).await;
            "slow"
        })
        .get("/fast", async move |_: &mut Ctx| {
            noted.note("fast");
            "fast"
        });
    let server = serve(app).unwrap();
    let mut wire = Wire::open(server.address(), [get_of("/slow"), get_of("/fast").repeat(15)].concat());
    pause(Duration::from_millis(50));
    assert_eq!(record.len(), 0, "one request at a time");
    assert_eq!(wire.response().text(), "slow");
    for _ in 0..15 {
        assert_eq!(wire.response().text(), "fast");
    }
}

#[test]
fn a_client_may_close_its_side_and_still_gets_all_its_answers() {
    let app = App::new()
        .get("/now", async |_: &mut Ctx| "now")
        .get("/slow", async |_: &mut Ctx| {
            sleep(Duration::from_millis(300)).await;
            "slow"
        })
        .get("/large", async |_: &mut Ctx| "x".repeat(3 << 20))
        .get("/stream", async |_: &mut Ctx| pieces(100_000, 30, End::Clean));
    let server = serve(app).unwrap();
    for path in ["/now", "/slow", "/large", "/stream"] {
        let mut wire = Wire::open(server.address(), get_of(path));
        wire.finish();
        assert_eq!(wire.response().status, 200, "{path}");
        wire.assert_closed();
    }
    let mut wire = Wire::open(server.address(), [get_of("/slow"), get_of("/now"), get_of("/slow")].concat());
    wire.finish();
    for text in ["slow", "now", "slow"] {
        assert_eq!(wire.response().text(), text);
    }
    wire.assert_closed();
}

#[test]
fn methods_and_statuses_without_a_body() {
    let app = App::new()
        .get("/text", async |_: &mut Ctx| "text")
        .get("/stream", async |_: &mut Ctx| pieces(10, 3, End::Clean))
        .get("/none", async |ctx: &mut Ctx| ctx.set_status(204))
        .get("/same", async |ctx: &mut Ctx| ctx.set_status(304));
    let server = serve(app).unwrap();
    let mut wire = Wire::connect(server.address()).unwrap();
    for _ in 0..3 {
        wire.send("HEAD /text HTTP/1.1\r\nhost: a\r\n\r\n");
        let answer = wire.try_response(true).unwrap();
        assert_eq!((answer.status, answer.all("content-length").next()), (200, Some("4")));
        wire.send("HEAD /stream HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(wire.try_response(true).unwrap().status, 200);
        for (path, status) in [("/none", 204), ("/same", 304)] {
            wire.send(get_of(path));
            let answer = wire.response();
            assert_eq!((answer.status, answer.all("content-length").count()), (status, 0));
        }
        wire.send(get_of("/text"));
        assert_eq!(wire.response().text(), "text");
    }
}

#[test]
fn hints_come_before_the_answer() {
    let app = App::new()
        .get("/now", async |ctx: &mut Ctx| {
            let mut hints = HeaderMap::new();
            hints.insert("link", HeaderValue::from_static("</a.css>; rel=preload"));
            format!("{}", ctx.early_hints(&hints))
        })
        .get("/later", async |ctx: &mut Ctx| {
            for _ in 0..2 {
                let mut hints = HeaderMap::new();
                hints.insert("link", HeaderValue::from_static("</b.css>; rel=preload"));
                ctx.early_hints(&hints);
                sleep(Duration::from_millis(20)).await;
            }
            "done"
        });
    let server = serve(app).unwrap();
    let mut wire = Wire::connect(server.address()).unwrap();
    for (path, hints, text) in [("/now", 1, "true"), ("/later", 2, "done")] {
        wire.send(get_of(path));
        for _ in 0..hints {
            let hint = wire.response();
            assert_eq!((hint.status, hint.all("link").count()), (103, 1), "{path}");
        }
        assert_eq!(wire.response().text(), text);
    }
    let mut wire = Wire::open(server.address(), "GET /now HTTP/1.0\r\n\r\n");
    assert_eq!(wire.response().text(), "false", "HTTP/1.0 knows no hints");
}

#[test]
fn a_panic_is_a_500_and_the_worker_serves_on() {
    let app = App::new()
        .get("/panic", async |_: &mut Ctx| -> &'static str { panic!("a handler that panics") })
        .get("/late", async |_: &mut Ctx| -> &'static str {
            sleep(Duration::from_millis(20)).await;
            panic!("a handler that panics later")
        })
        .get("/thread", async |_: &mut Ctx| format!("{:?}", thread::current().id()));
    let server = serve(app).unwrap();
    let mut wire = Wire::open(server.address(), get_of("/thread"));
    let worker = wire.response().text();
    for path in ["/panic", "/late"] {
        wire.send(get_of(path));
        let answer = wire.response();
        assert_eq!((answer.status, answer.text().as_str()), (500, "Internal Server Error"));
    }
    wire.send(get_of("/thread"));
    assert_eq!(wire.response().text(), worker);
}

#[test]
fn a_reset_at_any_time_harms_nobody_else() {
    let (server, _) = probe();
    let request = "POST /x HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhello";
    for at in 0..=request.len() {
        let wire = Wire::open(server.address(), &request[..at]);
        wire.reset();
    }
    let mut wire = Wire::open(server.address(), get_of("/"));
    assert_eq!(wire.response().status, 200);
}

#[test]
fn a_client_that_never_stops_asking_does_not_starve_others() {
    let (server, _) = probe();
    let flood = get_of("/f").repeat(2_000);
    let wire = Wire::connect(server.address()).unwrap();
    let (mut sender, mut reader) = (wire.stream().try_clone().unwrap(), wire.stream().try_clone().unwrap());
    let stop = Arc::new(AtomicUsize::new(0));
    let stopped = Arc::clone(&stop);
    let writing = thread::spawn(move || {
        while stopped.load(SeqCst) == 0 && std::io::Write::write_all(&mut sender, flood.as_bytes()).is_ok() {}
        let _ = sender.shutdown(std::net::Shutdown::Both);
    });
    let reading = thread::spawn(move || {
        let mut piece = vec![0; 1 << 20];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if is_reset(&error) => break,
                Err(error) => panic!("{error}"),
            }
        }
    });
    let mut polite = Wire::connect(server.address()).unwrap();
    for _ in 0..20 {
        polite.send(get_of("/polite"));
        assert_eq!(polite.response().text(), "GET /polite ");
    }
    stop.store(1, SeqCst);
    writing.join().unwrap();
    reading.join().unwrap();
}

#[test]
fn a_unix_socket_is_served_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let record = Record::default();
    let server = Serving::new(probe::app(&record)).unix(&path).workers(2).start().unwrap();
    let mut stream = std::os::unix::net::UnixStream::connect(&path).unwrap();
    std::io::Write::write_all(&mut stream, get_of("/").repeat(2).as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert_eq!(text.matches("GET / ").count(), 2);
    drop(server);
    assert!(!path.exists());
}
