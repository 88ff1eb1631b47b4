//! The FastCGI door by raw bytes: requests in every shape, and everything that a front server should not do.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use cepa_core::{App, Body, Ctx, Error, Peer, Result, router::post as route_post};
use cepa_server::{FrontServers, Protocol, limits::Limits};
use cepa_tests::{
    Served, Serving,
    fastcgi::{Answer, begin, get, open, pairs, post, read_record, record, stream, variables},
    probe::Record,
    stats::{eventually, pause},
    wire::idle,
};

fn app() -> App {
    App::new()
        .get("/", async |_: &mut Ctx| "Hello, onion")
        .route("/echo", route_post(async |ctx: &mut Ctx| ctx.request.take_body()).body_limit(1 << 30))
        .post("/length", async |ctx: &mut Ctx| -> Result<String> { Ok(ctx.bytes().await?.len().to_string()) })
        .get("/who", async |ctx: &mut Ctx| {
            let (door, peer) = (ctx.connection().door(), ctx.connection().peer());
            format!("{door} {peer:?} {} {}", ctx.protocol(), ctx.mount_path())
        })
        .get("/large", async |_: &mut Ctx| vec![b'x'; 200_000])
        .get("/slow", async |_: &mut Ctx| {
            tokio::time::sleep(Duration::from_millis(300)).await;
            "slow"
        })
        .get("/never", async |_: &mut Ctx| std::future::pending::<()>().await)
        .get("/ticks", async |_: &mut Ctx| {
            Body::from_async(async |mut out| {
                for tick in ["one", "two", "three"] {
                    out.write(tick).await;
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
                Ok(())
            })
        })
        .get("/endless", async |_: &mut Ctx| {
            Body::from_async(async |mut out| {
                loop {
                    out.write(vec![b'x'; 16 * 1024]).await;
                }
            })
        })
        .get("/breaks", async |_: &mut Ctx| {
            Body::from_async(async |mut out| {
                out.write("begun").await;
                tokio::time::sleep(Duration::from_millis(30)).await;
                Err(Error::new(500, "the source dried up"))
            })
        })
        .get("/cookies", async |ctx: &mut Ctx| -> Result<&str> {
            ctx.append("set-cookie", "a=1")?;
            ctx.append("set-cookie", "b=2")?;
            Ok("two")
        })
        .get("/switch", async |ctx: &mut Ctx| ctx.set_status(101))
}

fn served() -> Served {
    Serving::new(app()).door(Protocol::FastCgi).start().unwrap()
}

fn with_limits(change: impl FnOnce(&mut Limits)) -> Served {
    Serving::new(app()).door(Protocol::FastCgi).limits(change).start().unwrap()
}

fn text(answer: &Answer) -> (u16, String) {
    (answer.status, answer.text())
}

/// An app whose one handler is noted when it runs and when it is dropped.
fn hanging(record: &Record) -> App {
    struct Dropped(Record);
    impl Drop for Dropped {
        fn drop(&mut self) {
            self.0.note("dropped");
        }
    }
    let record = record.clone();
    App::new().get("/", async |_: &mut Ctx| "root").get("/hang", async move |_: &mut Ctx| {
        record.note("runs");
        let _dropped = Dropped(record.clone());
        std::future::pending::<()>().await;
    })
}

/// Reads until the connection ends; whether that was in order.
fn rest(reader: &mut impl Read) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    match reader.read_to_end(&mut bytes) {
        Ok(_) => (bytes, true),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            (bytes, false)
        }
    }
}

#[test]
fn requests_follow_each_other_on_one_connection() {
    let served = served();
    let mut wire = open(served.address(), &get(1, "/"));
    let answer = Answer::read(&mut wire, 1).unwrap();
    assert_eq!((text(&answer), answer.ended), ((200, "Hello, onion".to_owned()), (0, 0)));
    assert_eq!((answer.header("content-length"), answer.header("date")), ("12", ""));
    for (id, uri, expected) in [
        (1, "/none", (404, "Not Found".to_owned())),
        (700, "/ticks", (200, "onetwothree".to_owned())),
        (2, "/large", (200, "x".repeat(200_000))),
        (65_535, "/slow", (200, "slow".to_owned())),
        (3, "/switch", (500, "Internal Server Error".to_owned())),
    ] {
        wire.get_mut().write_all(&get(id, uri)).unwrap();
        assert_eq!(text(&Answer::read(&mut wire, id).unwrap()), expected);
    }
    let body: Vec<u8> = (0..300_000u32).map(|at| (at % 251) as u8).collect();
    wire.get_mut().write_all(&post(4, "/echo", &body)).unwrap();
    let answer = Answer::read(&mut wire, 4).unwrap();
    assert!(answer.body == body && answer.header("content-length") == "300000");
    wire.get_mut().write_all(&get(5, "/cookies")).unwrap();
    let answer = Answer::read(&mut wire, 5).unwrap();
    assert_eq!(answer.headers.iter().filter(|(name, _)| name == "set-cookie").count(), 2);
    // Several in one write, as no front server sends them: answered in order.
    wire.get_mut().write_all(&[get(6, "/"), get(7, "/none"), get(8, "/")].concat()).unwrap();
    for (id, status) in [(6, 200), (7, 404), (8, 200)] {
        assert_eq!(Answer::read(&mut wire, id).unwrap().status, status);
    }
}

#[test]
fn a_connection_that_is_not_to_be_kept_is_closed() {
    let served = served();
    let request = [begin(1, 1, 0), stream(4, 1, &pairs(&variables("GET", "/"))), stream(5, 1, b"")].concat();
    let mut wire = open(served.address(), &request);
    assert_eq!(Answer::read(&mut wire, 1).unwrap().status, 200);
    assert_eq!(rest(&mut wire), (Vec::new(), true));
}

#[test]
fn a_head_request_has_no_body_and_its_length() {
    let served = served();
    let request = [begin(1, 1, 1), stream(4, 1, &pairs(&variables("HEAD", "/"))), stream(5, 1, b"")].concat();
    let answer = Answer::read(&mut open(served.address(), &request), 1).unwrap();
    assert_eq!((answer.status, answer.header("content-length"), answer.body.len()), (200, "12", 0));
}

#[test]
fn a_request_is_understood_in_every_cut() {
    let served = Serving::new(app()).door(Protocol::FastCgi).workers(2).start().unwrap();
    let request = post(9, "/echo", b"hello there");
    for at in 1..request.len() {
        let mut wire = open(served.address(), &request[..at]);
        // Now and then the first part is read by itself; it need not be for the answer to be right.
        if at % 8 == 0 {
            pause(Duration::from_millis(2));
        }
        wire.get_mut().write_all(&request[at..]).unwrap();
        assert_eq!(text(&Answer::read(&mut wire, 9).unwrap()), (200, "hello there".to_owned()), "{at}");
    }
    let mut wire = open(served.address(), b"");
    for byte in &request {
        wire.get_mut().write_all(&[*byte]).unwrap();
    }
    assert_eq!(text(&Answer::read(&mut wire, 9).unwrap()), (200, "hello there".to_owned()));
}

#[test]
fn the_front_server_is_believed_only_if_it_is_trusted() {
    let mut asked = variables("GET", "/app/who");
    asked.extend([
        ("HTTPS", "on"),
        ("SCRIPT_NAME", "/app"),
        ("PATH_INFO", "/who"),
        ("HTTP_PROXY", "http://evil"),
    ]);
    let request = [begin(1, 1, 1), stream(4, 1, &pairs(&asked)), stream(5, 1, b"")].concat();
    let ask = |served: &Served| Answer::read(&mut open(served.address(), &request), 1).unwrap().text();
    assert_eq!(ask(&served()), "fastcgi Ip(203.0.113.7:4711) https /app");
    let nobody = FrontServers::new(vec!["10.0.0.0/8".to_owned()]).unwrap();
    let served = Serving::new(app()).door(Protocol::FastCgi).front(&nobody).start().unwrap();
    let said = ask(&served);
    assert!(said.starts_with("fastcgi Ip(127.0.0.1:") && said.ends_with(") http /app"), "{said}");
}

#[test]
fn a_unix_socket_is_a_trusted_front_server() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("app.sock");
    let _served = Serving::new(app()).unix(&path).door(Protocol::FastCgi).start().unwrap();
    let mut wire = UnixStream::connect(&path).unwrap();
    wire.write_all(&get(1, "/who")).unwrap();
    let peer = Peer::Ip("203.0.113.7:4711".parse().unwrap());
    assert_eq!(Answer::read(&mut wire, 1).unwrap().text(), format!("fastcgi {peer:?} http "));
}

#[test]
fn management_records_are_answered() {
    let served = served();
    let asked = pairs(&[("FCGI_MAX_CONNS", ""), ("FCGI_MPXS_CONNS", ""), ("FCGI_ODD", "")]);
    let mut wire = open(served.address(), &[record(9, 0, &asked, 5), record(77, 0, b"?", 0)].concat());
    let known = pairs(&[("FCGI_MAX_CONNS", "20000"), ("FCGI_MPXS_CONNS", "0")]);
    assert_eq!(read_record(&mut wire).unwrap(), (10, 0, known));
    assert_eq!(read_record(&mut wire).unwrap(), (11, 0, vec![77, 0, 0, 0, 0, 0, 0, 0]));
    // The connection goes on, also in the middle of a request.
    let request = get(3, "/slow");
    wire.get_mut().write_all(&request).unwrap();
    pause(Duration::from_millis(50));
    wire.get_mut().write_all(&record(9, 0, &asked, 0)).unwrap();
    assert_eq!(read_record(&mut wire).unwrap().0, 10);
    assert_eq!(Answer::read(&mut wire, 3).unwrap().text(), "slow");
}

#[test]
fn roles_and_second_requests_are_refused_in_their_own_words() {
    let served = served();
    // Authorizer and filter: FCGI_UNKNOWN_ROLE, and the connection goes on if it is to be kept.
    let mut wire = open(served.address(), &begin(1, 2, 1));
    assert_eq!(read_record(&mut wire).unwrap(), (3, 1, vec![0, 0, 0, 0, 3, 0, 0, 0]));
    wire.get_mut().write_all(&stream(4, 1, b"\x01\x01ab")).unwrap();
    wire.get_mut().write_all(&get(2, "/")).unwrap();
    assert_eq!(Answer::read(&mut wire, 2).unwrap().status, 200);
    let mut wire = open(served.address(), &begin(1, 3, 0));
    assert_eq!(read_record(&mut wire).unwrap(), (3, 1, vec![0, 0, 0, 0, 3, 0, 0, 0]));
    assert!(rest(&mut wire).0.is_empty());
    // A second request beside the first: FCGI_CANT_MPX_CONN for it, and the first is answered.
    let mut wire = open(served.address(), &get(1, "/slow"));
    wire.get_mut().write_all(&get(2, "/")).unwrap();
    assert_eq!(read_record(&mut wire).unwrap(), (3, 2, vec![0, 0, 0, 0, 1, 0, 0, 0]));
    assert_eq!(Answer::read(&mut wire, 1).unwrap().text(), "slow");
}

#[test]
fn an_abort_ends_a_request_and_keeps_the_connection() {
    let record_of = Record::default();
    let served = Serving::new(hanging(&record_of)).door(Protocol::FastCgi).start().unwrap();
    let mut wire = open(served.address(), &get(1, "/hang"));
    eventually("the handler runs", || record_of.has("runs"));
    wire.get_mut().write_all(&record(2, 1, b"", 0)).unwrap();
    let ended = Answer::read(&mut wire, 1).unwrap();
    assert_eq!((ended.status, ended.ended), (0, (0, 0)));
    eventually("the handler is dropped", || record_of.has("dropped"));
    // Before the app has it, and of nobody.
    let begun = [begin(2, 1, 1), record(2, 2, b"", 0), record(2, 9, b"", 0), get(3, "/")].concat();
    wire.get_mut().write_all(&begun).unwrap();
    assert_eq!(Answer::read(&mut wire, 2).unwrap().status, 0);
    assert_eq!(Answer::read(&mut wire, 3).unwrap().status, 200);
}

#[test]
fn a_front_server_that_goes_ends_its_request() {
    let record_of = Record::default();
    let served = Serving::new(hanging(&record_of)).door(Protocol::FastCgi).start().unwrap();
    let wire = open(served.address(), &get(1, "/hang"));
    eventually("the handler runs", || record_of.has("runs"));
    drop(wire);
    eventually("the handler is dropped", || record_of.has("dropped"));
}

#[test]
fn bodies_that_are_not_as_long_as_they_say_fail() {
    let served = served();
    let ask = |length: &str, body: &[u8]| {
        let mut asked = variables("POST", "/length");
        if !length.is_empty() {
            asked.push(("CONTENT_LENGTH", length));
        }
        let request = [begin(1, 1, 1), stream(4, 1, &pairs(&asked)), stream(5, 1, body)].concat();
        let mut wire = open(served.address(), &request[..20]);
        wire.get_mut().write_all(&request[20..]).unwrap();
        text(&Answer::read(&mut wire, 1).unwrap())
    };
    assert_eq!(ask("5", b"hello"), (200, "5".to_owned()));
    assert_eq!(ask("", b"hello"), (200, "5".to_owned()));
    assert_eq!(ask("", b""), (200, "0".to_owned()));
    assert_eq!(ask("4", b"hello").0, 400);
    assert_eq!(ask("6", b"hello").0, 400);
    let long = vec![b'x'; 100_000];
    assert_eq!(ask("100000", &long), (200, "100000".to_owned()));
    assert_eq!(ask("", &long), (200, "100000".to_owned()));
    assert_eq!(ask("99999", &long).0, 400);
    assert_eq!(ask("100001", &long).0, 400);
    assert_eq!(ask("99999999999", b"").0, 400);
    // One that goes on is refused by what it says of itself.
    let mut asked = variables("POST", "/length");
    asked.push(("CONTENT_LENGTH", "99999999999"));
    let request = [begin(1, 1, 1), stream(4, 1, &pairs(&asked)), record(5, 1, b"begun", 0)].concat();
    assert_eq!(Answer::read(&mut open(served.address(), &request), 1).unwrap().status, 413);
}

#[test]
fn an_answer_that_breaks_off_has_no_clean_end() {
    let served = served();
    let mut wire = open(served.address(), &get(1, "/breaks"));
    let (kind, _, head) = read_record(&mut wire).unwrap();
    assert!(kind == 6 && head.starts_with(b"Status: 200 OK\r\n"));
    let (left, clean) = rest(&mut wire);
    assert!(!clean && !left.windows(8).any(|eight| eight[..2] == [1, 3]), "{left:?}");
}

#[test]
fn what_breaks_the_framing_ends_the_connection_and_no_other() {
    let served = served();
    let mut other = open(served.address(), &get(1, "/"));
    assert_eq!(Answer::read(&mut other, 1).unwrap().status, 200);
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        record(1, 1, b"short", 0),
        record(1, 0, b"12345678", 0),
        record(4, 0, b"", 0),
        vec![1; 16],
        vec![0; 64],
    ] {
        let (left, _) = rest(&mut open(served.address(), &bytes));
        assert!(left.is_empty(), "{bytes:?}: {left:?}");
    }
    // Where there is a request it is told.
    for (more, status) in [
        (begin(1, 1, 1), 400),
        (record(5, 1, b"early", 0), 400),
        (stream(4, 1, b"\x09\x09cut"), 400),
        (stream(4, 1, &pairs(&[("REQUEST_URI", "/")])), 400),
        (stream(4, 1, &pairs(&[("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/a b")])), 400),
        (stream(4, 1, &vec![b'x'; 70_000]), 431),
        // Of a pair that says it is as long as a number can be, and of one of 16 MiB, no more than its eight bytes is kept.
        (stream(4, 1, b"\xff\xff\xff\xff\xff\xff\xff\xff"), 400),
        (stream(4, 1, b"\x81\0\0\0\x81\0\0\0x"), 400),
        (
            stream(
                4,
                1,
                &pairs(&[("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/"), ("CONTENT_LENGTH", "-1")]),
            ),
            400,
        ),
        (
            stream(
                4,
                1,
                &pairs(&[
                    ("REQUEST_METHOD", "POST"),
                    ("REQUEST_URI", "/length"),
                    ("CONTENT_LENGTH", "16777216"),
                ]),
            ),
            413,
        ),
    ] {
        let mut wire = open(served.address(), &[begin(1, 1, 1), more].concat());
        let answer = Answer::read(&mut wire, 1).unwrap();
        assert_eq!(answer.status, status, "{}", answer.log);
        // The last is the app's own answer.
        assert_eq!(answer.log.is_empty(), status == 413);
    }
    other.get_mut().write_all(&get(2, "/")).unwrap();
    assert_eq!(Answer::read(&mut other, 2).unwrap().status, 200);
}

#[test]
fn a_flood_of_small_records_holds_up_nobody_and_takes_no_memory() {
    let served = served();
    let flood = [record(9, 0, &pairs(&[("FCGI_MPXS_CONNS", "")]), 0), begin(2, 9, 1), record(5, 7, b"", 255)]
        .concat();
    let flood = flood.repeat(2_000);
    let mut flooding = TcpStream::connect(served.address()).unwrap();
    flooding.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    // Nobody reads what it is answered, so at some point it is not read any more itself.
    let mut sent = 0;
    let stopped = (0..10_000).find_map(|_| flooding.write(&flood).inspect(|more| sent += more).err());
    assert!(matches!(stopped.unwrap().kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut));
    let started = Instant::now();
    let mut wire = open(served.address(), &get(1, "/"));
    assert_eq!(Answer::read(&mut wire, 1).unwrap().status, 200);
    assert!(started.elapsed() < Duration::from_secs(2), "{sent} bytes were sent");
}

#[test]
fn a_body_that_nobody_reads_is_not_read_ahead_without_end() {
    let served = served();
    let mut asked = variables("POST", "/never");
    asked.push(("CONTENT_LENGTH", "1000000000"));
    let head = [begin(1, 1, 1), stream(4, 1, &pairs(&asked))].concat();
    let served_post =
        Serving::new(App::new().post("/never", async |_: &mut Ctx| std::future::pending::<()>().await));
    let stuck = served_post.door(Protocol::FastCgi).start().unwrap();
    let mut wire = TcpStream::connect(stuck.address()).unwrap();
    wire.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    wire.write_all(&head).unwrap();
    let piece = record(5, 1, &[b'x'; 60_000], 0);
    let mut sent = 0usize;
    while let Ok(length) = wire.write(&piece) {
        sent += length;
        assert!(sent < 64 << 20, "the server reads on and on");
    }
    drop(served);
}

#[test]
fn an_endless_answer_waits_for_its_reader() {
    let served = served();
    let mut wire = open(served.address(), &get(1, "/endless"));
    pause(Duration::from_millis(100));
    for _ in 0..100 {
        let (kind, id, _) = read_record(&mut wire).unwrap();
        assert_eq!((kind, id), (6, 1));
    }
}

#[test]
fn limits_of_time() {
    let served = with_limits(|limits| {
        limits.first_byte = Duration::from_secs(1);
        limits.header_time = Duration::from_secs(1);
        limits.idle = Duration::from_secs(1);
        limits.request_time = Duration::from_secs(1);
        limits.body_grace = Duration::from_secs(1);
        limits.write_stall = Duration::from_secs(1);
    });
    let mut silent = open(served.address(), b"");
    let mut half = open(served.address(), &get(1, "/")[..30]);
    let mut in_header = open(served.address(), &begin(1, 1, 1)[..3]);
    let mut idle = open(served.address(), &get(1, "/"));
    let mut never = open(served.address(), &get(1, "/never"));
    let mut asked = variables("POST", "/length");
    asked.push(("CONTENT_LENGTH", "1000"));
    let slow = [begin(1, 1, 1), stream(4, 1, &pairs(&asked)), record(5, 1, b"slow", 0)].concat();
    let mut slow = open(served.address(), &slow);
    let stalled = open(served.address(), &get(1, "/endless"));
    assert_eq!(rest(&mut silent), (Vec::new(), true));
    assert_eq!(rest(&mut in_header), (Vec::new(), true));
    assert_eq!(Answer::read(&mut half, 1).unwrap().status, 408);
    assert_eq!(Answer::read(&mut idle, 1).unwrap().status, 200);
    assert_eq!(rest(&mut idle), (Vec::new(), true));
    let answer = Answer::read(&mut never, 1).unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.log.contains("limits.request_time"), "{}", answer.log);
    assert_eq!(Answer::read(&mut slow, 1).unwrap().status, 408);
    pause(Duration::from_secs(4));
    let mut stalled = stalled;
    let (_, clean) = rest(&mut stalled);
    assert!(!clean, "what nobody takes is cut off");
}

#[test]
fn what_is_left_of_an_answered_request_does_not_shorten_the_idle_time() {
    let served = with_limits(|limits| limits.header_time = Duration::from_secs(1));
    let mut asked = variables("POST", "/none");
    asked.push(("CONTENT_LENGTH", "1000"));
    let left = record(5, 1, &[b'x'; 1000], 0);
    let mut wire = open(served.address(), &[begin(1, 1, 1), stream(4, 1, &pairs(&asked))].concat());
    assert_eq!(Answer::read(&mut wire, 1).unwrap().status, 404);
    wire.get_mut().write_all(&left[..500]).unwrap();
    pause(Duration::from_millis(100));
    wire.get_mut().write_all(&[&left[500..], &record(5, 1, b"", 0)].concat()).unwrap();
    pause(Duration::from_secs(4));
    wire.get_mut().write_all(&get(2, "/")).unwrap();
    assert_eq!(Answer::read(&mut wire, 2).unwrap().status, 200);
}

#[test]
fn limits_of_size_and_number() {
    let served = with_limits(|limits| {
        limits.request_line = 64;
        limits.headers = 3;
        limits.header_bytes = 256;
        limits.variable_bytes = 1024;
        limits.requests_per_connection = 4;
    });
    let long = "x".repeat(300);
    let path = format!("/{long}");
    let ask = |more: &[(&'static str, &str)]| {
        let mut asked: Vec<(&str, &str)> = variables("GET", "/");
        asked.extend_from_slice(more);
        let request = [begin(1, 1, 1), stream(4, 1, &pairs(&asked)), stream(5, 1, b"")].concat();
        Answer::read(&mut open(served.address(), &request), 1).unwrap().status
    };
    assert_eq!(ask(&[("HTTP_A", "1"), ("HTTP_B", "2")]), 200);
    assert_eq!(ask(&[("REQUEST_URI", &path)]), 414);
    assert_eq!(ask(&[("HTTP_A", "1"), ("HTTP_B", "2"), ("HTTP_C", "3")]), 431);
    assert_eq!(ask(&[("HTTP_A", &long)]), 431);
    assert_eq!(ask(&[("OTHER", &long)]), 200);
    assert_eq!(ask(&[("OTHER", &"x".repeat(1024))]), 431);
    let mut wire = open(served.address(), b"");
    for id in 1..=4 {
        wire.get_mut().write_all(&get(id, "/")).unwrap();
        assert_eq!(Answer::read(&mut wire, id).unwrap().status, 200);
    }
    assert_eq!(rest(&mut wire), (Vec::new(), true));
}

#[test]
fn a_drain_ends_idle_connections_and_lets_requests_finish() {
    let served = served();
    let mut idle = open(served.address(), &get(1, "/"));
    assert_eq!(Answer::read(&mut idle, 1).unwrap().status, 200);
    let mut busy = open(served.address(), &get(1, "/slow"));
    pause(Duration::from_millis(50));
    served.stopper().drain();
    assert_eq!(Answer::read(&mut busy, 1).unwrap().text(), "slow");
    assert_eq!(rest(&mut busy), (Vec::new(), true));
    assert_eq!(rest(&mut idle), (Vec::new(), true));
    served.join().unwrap();
}

#[test]
fn ten_thousand_idle_connections_hold_up_nobody() {
    let served = served();
    let request = get(1, "/");
    let _idle = idle(served.address(), &request);
    let started = Instant::now();
    let mut wire = open(served.address(), &request);
    assert_eq!(Answer::read(&mut wire, 1).unwrap().status, 200);
    assert!(started.elapsed() < Duration::from_secs(2));
}
