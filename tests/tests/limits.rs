//! Every limit that HTTP/1 knows is kept, and answered as it says.
//!
//! Times are whole seconds and come up to a second late; the tests ask that nothing comes early, and that it comes.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    task::{Context, Poll},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use cepa_core::{App, Body, Ctx, Error, Next, Result, router::post};
use cepa_server::limits::Limits;
use cepa_tests::{
    Served, Serving,
    probe::{self, Record},
    stats::{eventually, pause, resident, worker_ticks},
    wire::{Ended, Wire},
};
use http::HeaderMap;
use http_body::{Body as HttpBody, Frame};
use tokio::time::sleep;

const SECOND: Duration = Duration::from_secs(1);
const GET: &str = "GET / HTTP/1.1\r\nhost: a\r\n\r\n";

fn limited(change: impl FnOnce(&mut Limits)) -> Served {
    Serving::new(probe::app(&Record::default())).limits(change).start().expect("the app is served")
}

fn head(path: &str, fields: &str) -> String {
    format!("POST {path} HTTP/1.1\r\nhost: a\r\n{fields}\r\n\r\n")
}

/// A stream that never ends and is always ready.
struct Endless;

impl HttpBody for Endless {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(&[b'x'; 16 << 10])))))
    }
}

#[test]
fn request_line() {
    let server = limited(|limits| limits.request_line = 100);
    // `GET ` and ` HTTP/1.1\r\n` take 15.
    for (length, status) in [(85, 200), (86, 414), (20_000, 414)] {
        let target = format!("/{}", "a".repeat(length - 1));
        let mut wire = Wire::connect(server.address()).unwrap();
        let _ = wire.try_send(format!("GET {target} HTTP/1.1\r\nhost: a\r\n\r\n"));
        assert_eq!(wire.response().status, status, "{length}");
    }
    // One that has no end is cut at the limit.
    let mut wire = Wire::open(server.address(), format!("GET /{}", "a".repeat(200)));
    assert_eq!(wire.response().status, 414);
    wire.assert_closed();
}

#[test]
fn headers_and_header_bytes() {
    let server = limited(|limits| (limits.headers, limits.header_bytes) = (10, 1000));
    for (count, status) in [(9, 200), (10, 431), (1000, 431)] {
        let mut wire = Wire::connect(server.address()).unwrap();
        let _ = wire.try_send(format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(count)));
        assert_eq!(wire.response().status, status, "{count} more");
    }
    // `host: a`, `x: `, two line ends and the empty line take 16.
    for (length, status) in [(984, 200), (985, 431), (100_000, 431)] {
        let mut wire = Wire::connect(server.address()).unwrap();
        let _ = wire.try_send(format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(length)));
        assert_eq!(wire.response().status, status, "{length} bytes");
    }
    let mut wire = Wire::open(server.address(), "GET / HTTP/1.1\r\nhost: a\r\n");
    while wire.try_send("x: y\r\n").is_ok() {
        pause(Duration::from_micros(100));
    }
    assert_eq!(wire.response().status, 431, "an endless head");
}

#[test]
fn body_declared_and_chunked() {
    let app = App::new()
        .route("/", post(async |ctx: &mut Ctx| Ok::<_, Error>(ctx.bytes().await?.len().to_string())))
        .route(
            "/up",
            post(async |ctx: &mut Ctx| Ok::<_, Error>(ctx.bytes().await?.len().to_string()))
                .body_limit(50_000),
        )
        .route(
            "/down",
            post(async |ctx: &mut Ctx| Ok::<_, Error>(ctx.bytes().await?.len().to_string())).body_limit(10),
        )
        .route("/unread", post(async |_: &mut Ctx| "unread"));
    let server = Serving::new(app).limits(|limits| limits.body = 1000).start().unwrap();
    let cases = [("/", 1000), ("/up", 50_000), ("/down", 10)];
    for (path, most) in cases {
        for (length, status) in [(most, 200), (most + 1, 413), (most + 100_000, 413)] {
            let data = "x".repeat(length);
            let chunked: String = data
                .as_bytes()
                .chunks(333)
                .map(|chunk| format!("{:x}\r\n{}\r\n", chunk.len(), "x".repeat(chunk.len())))
                .collect();
            for (fields, body) in [
                (format!("content-length: {length}"), data.clone()),
                ("transfer-encoding: chunked".to_owned(), chunked + "0\r\n\r\n"),
            ] {
                for late in [false, true] {
                    let mut wire = Wire::open(server.address(), head(path, &fields));
                    if late {
                        pause(Duration::from_millis(3));
                    }
                    let _ = wire.try_send(&body);
                    let answer = wire.response();
                    assert_eq!(answer.status, status, "{path} {fields} of {length}, late: {late}");
                    if status == 200 {
                        assert_eq!(answer.text(), length.to_string());
                    }
                }
            }
        }
    }
    let mut wire = Wire::open(server.address(), head("/", "content-length: 18446744073709551615"));
    assert_eq!(wire.response().status, 413, "refused before a byte of it came");
    let mut wire = Wire::open(server.address(), head("/unread", "content-length: 2000") + &"x".repeat(2000));
    assert_eq!(wire.response().text(), "unread", "what nobody reads has no limit");
}

#[test]
fn chunks_that_dwarf_their_data() {
    let app = App::new().post("/", async |ctx: &mut Ctx| {
        let mut all = 0;
        while let Some(piece) = ctx.request.body_mut().chunk().await {
            all += piece?.len();
        }
        Ok::<_, Error>(all.to_string())
    });
    let server = Serving::new(app).start().unwrap();
    // Two Mi chunks of one byte: they pass, and cost next to nothing.
    let mut wire = Wire::open(server.address(), head("/", "transfer-encoding: chunked"));
    let chunks = "1\r\nx\r\n".repeat(1 << 12);
    let (before, ticks) = (resident(), worker_ticks());
    for _ in 0..512 {
        wire.send(&chunks);
    }
    wire.send("0\r\n\r\n");
    assert_eq!(wire.response().text(), (2 << 20).to_string());
    let (grown, ticks) = (resident().saturating_sub(before), worker_ticks() - ticks);
    assert!(grown < 32 << 20, "memory grew by {grown} bytes");
    assert!(ticks < 1500, "it took {ticks} clock ticks");
    // Extensions and zeros that carry nothing do not.
    for filler in ["1;a=bcdefghijklmnopqrstuvwxyz\r\nx\r\n", "0000000000000001\r\nx\r\n"] {
        let mut wire = Wire::open(server.address(), head("/", "transfer-encoding: chunked"));
        for _ in 0..1000 {
            if wire.try_send(filler.repeat(16)).is_err() {
                break;
            }
        }
        assert_eq!(wire.response().status, 400, "{filler:?}");
        wire.assert_closed();
    }
}

#[test]
fn first_byte() {
    let server = limited(|limits| limits.first_byte = SECOND);
    let started = Instant::now();
    let mut wire = Wire::connect(server.address()).unwrap();
    assert_eq!(wire.rest(), (Vec::new(), Ended::Closed));
    assert!(started.elapsed() >= SECOND);
}

#[test]
fn header_time_counts_from_the_first_byte() {
    let server = limited(|limits| limits.header_time = SECOND);
    // On a new connection, on one that is kept, and behind a request that was answered.
    let address = server.address();
    thread::scope(|scope| {
        for (before, answers) in [("", 0), (GET, 1)] {
            for together in [true, false] {
                scope.spawn(move || {
                    let mut wire = Wire::open(address, before);
                    if !together {
                        for _ in 0..answers {
                            assert_eq!(wire.response().status, 200);
                        }
                    }
                    let started = Instant::now();
                    wire.send("GET / HTTP/1.1\r\nx: ");
                    if together {
                        for _ in 0..answers {
                            assert_eq!(wire.response().status, 200);
                        }
                    }
                    // A byte now and then does not prolong it.
                    while wire.is_silent(Duration::from_millis(100)) {
                        let _ = wire.try_send("y");
                    }
                    assert!(started.elapsed() >= SECOND);
                    assert_eq!(wire.response().status, 408);
                    wire.assert_closed();
                });
            }
        }
    });
}

#[test]
fn body_rate() {
    let server = limited(|limits| (limits.body_rate, limits.body_grace) = (1000, SECOND));
    let address = server.address();
    thread::scope(|scope| {
        for framing in ["content-length: 100000", "transfer-encoding: chunked"] {
            scope.spawn(move || {
                let mut wire = Wire::open(address, head("/", framing));
                let started = Instant::now();
                while wire.is_silent(Duration::from_millis(100)) {
                    let _ = wire.try_send(if framing.contains("chunked") { "1\r\nx\r\n" } else { "x" });
                }
                assert!(started.elapsed() >= SECOND);
                assert_eq!(wire.response().status, 408, "{framing}");
                wire.assert_closed();
            });
        }
        // A client that is fast enough may take its time.
        let mut wire = Wire::open(address, head("/", "content-length: 30000"));
        for _ in 0..30 {
            wire.send("x".repeat(1000));
            pause(Duration::from_millis(100));
        }
        assert_eq!(wire.response().status, 200);
    });
}

#[test]
fn body_rate_does_not_count_while_the_app_does_not_read() {
    let app = App::new().post("/", async |ctx: &mut Ctx| {
        sleep(3 * SECOND).await;
        Ok::<_, Error>(ctx.bytes().await?.len().to_string())
    });
    let serving = Serving::new(app).limits(|limits| (limits.body_rate, limits.body_grace) = (1000, SECOND));
    let server = serving.start().unwrap();
    let mut wire = Wire::open(server.address(), head("/", "content-length: 10") + "01234");
    pause(3 * SECOND);
    wire.send("56789");
    assert_eq!(wire.response().text(), "10");
}

#[test]
fn a_body_that_is_thrown_away_has_its_time_too() {
    let server = limited(|limits| limits.header_time = SECOND);
    let mut wire = Wire::open(server.address(), head("/unread", "content-length: 1000"));
    assert_eq!(wire.response().text(), "POST /unread ");
    while wire.is_silent(Duration::from_millis(100)) {
        let _ = wire.try_send("x");
    }
    wire.assert_closed();
}

#[test]
fn idle() {
    let server = limited(|limits| limits.idle = SECOND);
    let mut wire = Wire::open(server.address(), GET);
    assert_eq!(wire.response().status, 200);
    pause(Duration::from_millis(700));
    wire.send(GET);
    let started = Instant::now();
    assert_eq!(wire.response().status, 200);
    assert_eq!(wire.rest(), (Vec::new(), Ended::Closed));
    assert!(started.elapsed() >= SECOND);
}

#[test]
fn request_time() {
    let slow = async |ctx: &mut Ctx| {
        // Being busy meanwhile does not prolong it.
        for _ in 0..50 {
            ctx.early_hints(&HeaderMap::new());
            sleep(SECOND / 10).await;
        }
        "slow"
    };
    let app = App::new()
        .get("/slow", slow)
        .route("/longer", cepa_core::router::get(slow).request_time(10 * SECOND))
        .route("/any", cepa_core::router::get(slow).request_time(Duration::ZERO))
        .route("/shorter", cepa_core::router::get(slow).request_time(SECOND));
    let server = Serving::new(app).limits(|limits| limits.request_time = 2 * SECOND).start().unwrap();
    thread::scope(|scope| {
        for (path, method, status) in [
            ("/slow", "GET", 503),
            ("/slow", "HEAD", 503),
            ("/longer", "GET", 200),
            ("/any", "GET", 200),
            ("/shorter", "GET", 503),
        ] {
            let address = server.address();
            scope.spawn(move || {
                let mut wire = Wire::open(address, format!("{method} {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
                let answer = loop {
                    let answer = wire.try_response(method == "HEAD").unwrap();
                    if answer.status != 103 {
                        break answer;
                    }
                };
                assert_eq!(answer.status, status, "{path}");
                if status == 503 {
                    assert!(answer.surplus.is_empty(), "a HEAD has no body");
                    wire.assert_closed();
                }
            });
        }
    });
}

#[test]
fn write_stall() {
    let dropped = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&dropped);
    struct Noting(Endless, Arc<AtomicBool>);
    impl HttpBody for Noting {
        type Data = Bytes;
        type Error = std::io::Error;
        fn poll_frame(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Pin::new(&mut self.0).poll_frame(cx)
        }
    }
    impl Drop for Noting {
        fn drop(&mut self) {
            self.1.store(true, SeqCst);
        }
    }
    let app = App::new()
        .get("/stream", async move |_: &mut Ctx| Body::new(Noting(Endless, Arc::clone(&noted))))
        .get("/large", async |_: &mut Ctx| "x".repeat(64 << 20))
        .get("/small", async |_: &mut Ctx| "x".repeat(7000));
    let server = Serving::new(app).limits(|limits| limits.write_stall = 2 * SECOND).start().unwrap();
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nhost: a\r\n\r\n");
    thread::scope(|scope| {
        for (path, requests) in [("/stream", 1), ("/large", 1), ("/small", 2000)] {
            let (server, get) = (&server, &get);
            scope.spawn(move || {
                let mut wire = Wire::connect(server.address()).unwrap();
                socket2::SockRef::from(wire.stream()).set_recv_buffer_size(64 << 10).unwrap();
                let request = get(path).repeat(requests);
                let mut sender = wire.stream().try_clone().unwrap();
                let sending =
                    thread::spawn(move || std::io::Write::write_all(&mut sender, request.as_bytes()));
                // What is aborted is aborted: what the kernel holds does not go on to be sent.
                pause(5 * SECOND);
                let (bytes, ended) = wire.rest();
                assert_eq!(ended, Ended::Reset, "{path}: {} bytes", bytes.len());
                let _ = sending.join().unwrap();
            });
        }
    });
    eventually("the stream is dropped", || dropped.load(SeqCst));
    // One that reads slowly, but reads, is served.
    let mut wire = Wire::open(server.address(), get("/large"));
    for _ in 0..8 {
        wire.read_exact(8 << 20).unwrap();
        pause(Duration::from_millis(400));
    }
}

#[test]
fn requests_per_connection() {
    let server = limited(|limits| limits.requests_per_connection = 3);
    let mut wire = Wire::open(server.address(), GET.repeat(10));
    for last in [false, false, true] {
        assert_eq!(wire.response().lists("connection", "close"), last);
    }
    assert_eq!(wire.rest(), (Vec::new(), Ended::Closed));
    let server = limited(|limits| limits.requests_per_connection = 0);
    let mut wire = Wire::open(server.address(), GET.repeat(100));
    for _ in 0..100 {
        assert!(!wire.response().lists("connection", "close"));
    }
}

#[test]
fn an_answer_survives_what_the_client_sends_after_the_last_request() {
    let server = limited(|limits| limits.requests_per_connection = 1);
    for _ in 0..20 {
        let mut wire = Wire::open(server.address(), GET);
        pause(Duration::from_millis(2));
        // The server has closed its side: were the connection gone, this would be answered with a reset.
        wire.send(GET.repeat(100));
        pause(Duration::from_millis(2));
        assert_eq!(wire.response().status, 200);
        assert_eq!(wire.rest(), (Vec::new(), Ended::Closed));
    }
}

#[test]
fn connection_age() {
    let server = limited(|limits| limits.connection_age = 2 * SECOND);
    let mut wire = Wire::open(server.address(), GET);
    let started = Instant::now();
    while !wire.response().lists("connection", "close") {
        pause(Duration::from_millis(100));
        assert!(started.elapsed() < 30 * SECOND);
        wire.send(GET);
    }
    wire.assert_closed();
    assert!(started.elapsed() >= SECOND, "ticks are seconds");
}

#[test]
fn pipeline() {
    let app = App::new()
        .get("/{number}", async |ctx: &mut Ctx| ctx.param("number").map(|number| number.into_owned()))
        .get("/slow", async |_: &mut Ctx| {
            sleep(2 * SECOND).await;
            "slow"
        });
    let serving =
        Serving::new(app).limits(|limits| (limits.pipeline, limits.requests_per_connection) = (1 << 10, 0));
    let server = serving.start().unwrap();
    let mut wire = Wire::open(server.address(), "GET /slow HTTP/1.1\r\nhost: a\r\n\r\n");
    let sender = wire.stream().try_clone().unwrap();
    sender.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let request = |number: usize| format!("GET /{number:06} HTTP/1.1\r\nhost: a\r\n\r\n");
    let many: String = (0..500_000).map(request).collect();
    let mut sent = 0;
    while let Ok(length) = std::io::Write::write(&mut &sender, &many.as_bytes()[sent..]) {
        sent += length;
        assert!(sent < many.len(), "the server reads ahead without end");
    }
    assert_eq!(wire.response().text(), "slow");
    // Every one is answered, once, in its order.
    for number in 0..sent / request(0).len() {
        assert_eq!(wire.response().text(), format!("{number:06}"));
    }
}

#[test]
fn connections() {
    let server = limited(|limits| limits.connections = 4);
    let mut wires: Vec<Wire> = (0..4).map(|_| Wire::open(server.address(), GET)).collect();
    for wire in &mut wires {
        assert_eq!(wire.response().status, 200);
    }
    for _ in 0..3 {
        let mut wire = Wire::connect(server.address()).unwrap();
        let answer = wire.response();
        assert_eq!((answer.status, answer.lists("connection", "close")), (503, true));
        wire.assert_closed();
    }
    drop(wires.pop());
    eventually("there is room again", || {
        let mut wire = Wire::connect(server.address()).unwrap();
        let _ = wire.try_send(GET);
        wire.try_response(false).is_ok_and(|answer| answer.status == 200)
    });
    for wire in &mut wires {
        wire.send(GET);
        assert_eq!(wire.response().status, 200, "those inside notice nothing");
    }
}

#[test]
fn waiting_costs_no_processor_time() {
    // In a process of its own: other tests would be counted too.
    if alone("waiting_costs_no_processor_time") {
        return;
    }
    let app = App::new()
        .get("/park", async |_: &mut Ctx| std::future::pending::<&str>().await)
        .get("/endless", async |_: &mut Ctx| Body::new(Endless))
        .post("/park", async |ctx: &mut Ctx| {
            ctx.closed().await;
            std::future::pending::<&str>().await
        })
        .with(async |ctx: &mut Ctx, next: Next<'_>| next.run(ctx).await);
    let server = Serving::new(app).start().unwrap();
    let open = |bytes: &str| Wire::open(server.address(), bytes);
    let mut wires = vec![
        open(""),
        open("GET / HT"),
        open("GET /park HTTP/1.1\r\nhost: a\r\n\r\n"),
        open("POST /park HTTP/1.1\r\nhost: a\r\ncontent-length: 10\r\n\r\nhalf"),
        open("GET /endless HTTP/1.1\r\nhost: a\r\n\r\n"),
        open(&format!("GET /park HTTP/1.1\r\nhost: a\r\n\r\n{}", GET.repeat(10_000))),
        open("\0\0\0\0"),
    ];
    // Half-closed: without a handler that ends with its client, and with answers that wait.
    for bytes in ["POST /park HTTP/1.1\r\nhost: a\r\n\r\n", "GET /endless HTTP/1.1\r\nhost: a\r\n\r\n"] {
        let wire = open(bytes);
        wire.finish();
        wires.push(wire);
    }
    pause(SECOND);
    let before = worker_ticks();
    pause(2 * SECOND);
    let spent = worker_ticks() - before;
    assert!(spent <= 4, "{spent} clock ticks in two seconds of waiting");
}

#[test]
fn what_was_large_leaves_no_memory_behind() {
    if alone("what_was_large_leaves_no_memory_behind") {
        return;
    }
    let server = limited(|limits| limits.body = 1 << 20);
    let body = "x".repeat(200_000);
    let request = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    let big = |count: usize| -> Vec<Wire> {
        (0..count)
            .map(|_| {
                let mut wire = Wire::open(server.address(), &request);
                assert_eq!(wire.response().status, 200);
                wire
            })
            .collect()
    };
    let first = big(50);
    let before = resident();
    let more = big(400);
    let grown = resident().saturating_sub(before);
    // The clients keep a buffer of 8 KiB each, in this process too.
    assert!(grown < 400 * 24 * 1024, "{} bytes for each idle connection", grown / 400);
    drop((first, more));
}

#[test]
fn without_descriptors_the_server_waits_and_recovers() {
    if !std::env::var("CEPA_TEST_ALONE").is_ok_and(|name| name == "descriptors") {
        // A child that may open few files.
        let this = std::env::current_exe().unwrap();
        let run = format!(
            "ulimit -n 40; exec {} --exact without_descriptors_the_server_waits_and_recovers --nocapture",
            this.display()
        );
        let output = std::process::Command::new("sh")
            .args(["-c", &run])
            .env("CEPA_TEST_ALONE", "descriptors")
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        return;
    }
    let server = limited(|_| {});
    let mut polite = Wire::open(server.address(), GET);
    assert_eq!(polite.response().status, 200);
    let before = worker_ticks();
    // Clients and server share the descriptors: at last a connection stands that cannot be accepted.
    let mut wires = Vec::new();
    while let Ok(wire) = Wire::connect(server.address()) {
        wires.push(wire);
    }
    pause(2 * SECOND);
    polite.send(GET);
    assert_eq!(polite.response().status, 200, "those inside are served");
    drop(wires);
    let mut wire = Wire::open(server.address(), GET);
    assert_eq!(wire.response().status, 200, "and others again");
    let spent = worker_ticks() - before;
    assert!(spent <= 20, "{spent} clock ticks: it spins");
}

/// Runs a test in a process of its own, and says whether this is not that process.
fn alone(name: &str) -> bool {
    if std::env::var("CEPA_TEST_ALONE").is_ok_and(|alone| alone == name) {
        return false;
    }
    let output = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env("CEPA_TEST_ALONE", name)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    true
}
