//! The SCGI door by raw bytes: requests in every cut, and everything that a front server should not do.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{
    io::{Read, Write},
    net::{Shutdown, SocketAddr},
    time::{Duration, Instant},
};

use cepa_core::{App, Body, Ctx, Error, Result, router::post};
use cepa_server::{Protocol, limits::Limits};
use cepa_tests::{
    Served, Serving,
    fastcgi::{Answer, open, variables},
    stats::pause,
    wire::idle,
};

fn app() -> App {
    App::new()
        .get("/", async |_: &mut Ctx| "Hello, onion")
        .route("/echo", post(async |ctx: &mut Ctx| ctx.request.take_body()).body_limit(1 << 30))
        .post("/length", async |ctx: &mut Ctx| -> Result<String> { Ok(ctx.bytes().await?.len().to_string()) })
        .get("/who", async |ctx: &mut Ctx| {
            format!("{} {:?}", ctx.connection().door(), ctx.connection().peer())
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
}

fn served() -> Served {
    Serving::new(app()).door(Protocol::Scgi).start().unwrap()
}

fn with_limits(change: impl FnOnce(&mut Limits)) -> Served {
    Serving::new(app()).door(Protocol::Scgi).limits(change).start().unwrap()
}

/// A request whose body is as long as it says.
fn request(variables: &[(&str, &str)], body: &str) -> Vec<u8> {
    let length = body.len().to_string();
    let all: Vec<_> =
        [("CONTENT_LENGTH", &*length), ("SCGI", "1")].into_iter().chain(variables.iter().copied()).collect();
    netstring(&all, body)
}

fn netstring(variables: &[(&str, &str)], body: &str) -> Vec<u8> {
    let text: String = variables.iter().flat_map(|(name, value)| [*name, "\0", *value, "\0"]).collect();
    format!("{}:{text},{body}", text.len()).into_bytes()
}

/// Reads until the connection ends; whether that was in order.
fn rest(reader: &mut impl Read) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    let clean = reader.read_to_end(&mut bytes).is_ok();
    (bytes, clean)
}

fn ask(to: SocketAddr, bytes: &[u8]) -> (Answer, bool) {
    let (bytes, clean) = rest(&mut open(to, bytes));
    (Answer::parse(&bytes), clean)
}

#[test]
fn requests_are_answered_and_the_connection_is_closed() {
    let served = served();
    let get = |uri: &str| ask(served.address(), &request(&variables("GET", uri), ""));
    let (answer, clean) = get("/");
    assert_eq!((answer.status, answer.text(), clean), (200, "Hello, onion".to_owned(), true));
    assert_eq!(get("/ticks").0.text(), "onetwothree");
    assert_eq!(get("/who").0.text(), "scgi Ip(203.0.113.7:4711)");
    assert!(!get("/breaks").1, "what breaks off has no clean end");
    let body = "x".repeat(200_000);
    let (answer, _) = ask(served.address(), &request(&variables("POST", "/echo"), &body));
    assert!(answer.text() == body);
    // What stands behind a request is no other one.
    let twice = request(&variables("GET", "/"), "").repeat(2);
    let (bytes, _) = rest(&mut open(served.address(), &twice));
    assert_eq!(String::from_utf8_lossy(&bytes).matches("Status:").count(), 1);
}

#[test]
fn a_request_is_understood_in_every_cut() {
    let served = served();
    let request = request(&variables("POST", "/echo"), "hello there");
    for at in 1..request.len() {
        let mut wire = open(served.address(), &request[..at]);
        if at % 8 == 0 {
            pause(Duration::from_millis(2));
        }
        wire.get_mut().write_all(&request[at..]).unwrap();
        assert_eq!(Answer::parse(&rest(&mut wire).0).text(), "hello there", "{at}");
    }
}

#[test]
fn what_is_no_request_ends_its_connection_and_no_other() {
    let served = served();
    let waits = request(&variables("POST", "/echo"), "hello");
    let mut other = open(served.address(), &waits[..waits.len() - 1]);
    let (method, uri) = (("REQUEST_METHOD", "POST"), ("REQUEST_URI", "/length"));
    let with_length =
        |length: &'static str| netstring(&[("CONTENT_LENGTH", length), ("SCGI", "1"), method, uri], "");
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        vec![0; 64],
        vec![1, 1, 0, 1, 0, 8, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0],
        b":".to_vec(),
        b"+7:".to_vec(),
    ] {
        let (left, _) = rest(&mut open(served.address(), &bytes));
        assert!(left.is_empty(), "{bytes:?}: {left:?}");
    }
    // Where there is a part of a request it is told.
    for (bytes, status) in [
        (b"0:,".to_vec(), 400),
        (b"007:".to_vec(), 400),
        (b"5:abcde;".to_vec(), 400),
        // 16 MiB, and more than there are numbers for.
        (b"16777216:".to_vec(), 431),
        (b"99999999999999999999999999999:".to_vec(), 431),
        (with_length("16777216"), 413),
        (with_length("18446744073709551616"), 400),
        (with_length("-1"), 400),
        (with_length("1e3"), 400),
        (netstring(&[("SCGI", "1"), ("CONTENT_LENGTH", "0"), method, uri], ""), 400),
        (netstring(&[("CONTENT_LENGTH", "0"), ("SCGI", "2"), method, uri], ""), 400),
        (
            netstring(
                &[("CONTENT_LENGTH", "0"), ("SCGI", "1"), method, uri, ("CONTENT_LENGTH", "5")],
                "12345",
            ),
            400,
        ),
        (request(&[("REQUEST_METHOD", "G T"), uri], ""), 400),
        (request(&[method, ("REQUEST_URI", "/a b")], ""), 400),
        (request(&[method, uri, ("HTTP_A", "one\ntwo")], ""), 400),
        (b"9:CONTENT_L,".to_vec(), 400),
    ] {
        let (answer, _) = ask(served.address(), &bytes);
        assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&bytes));
    }
    other.get_mut().write_all(b"o").unwrap();
    assert_eq!(Answer::parse(&rest(&mut other).0).text(), "hello");
}

#[test]
fn a_front_server_that_stops_in_the_middle_is_cut_off() {
    let served = with_limits(|limits| {
        limits.first_byte = Duration::from_secs(1);
        limits.header_time = Duration::from_secs(1);
        limits.request_time = Duration::from_secs(1);
        limits.body_grace = Duration::from_secs(1);
        limits.write_stall = Duration::from_secs(1);
    });
    let get = request(&variables("GET", "/"), "");
    let post = request(&variables("POST", "/length"), &"x".repeat(1000));
    let mut silent = open(served.address(), b"");
    let mut in_length = open(served.address(), &get[..1]);
    let mut in_variables = open(served.address(), &get[..30]);
    let mut before_comma = open(served.address(), &get[..get.len() - 1]);
    let mut in_body = open(served.address(), &post[..post.len() - 999]);
    let mut never = open(served.address(), &request(&variables("GET", "/never"), ""));
    let stalled = open(served.address(), &request(&variables("GET", "/endless"), ""));
    assert_eq!(rest(&mut silent), (Vec::new(), true));
    for (wire, status) in [
        (&mut in_length, 408),
        (&mut in_variables, 408),
        (&mut before_comma, 408),
        (&mut in_body, 408),
        (&mut never, 503),
    ] {
        assert_eq!(Answer::parse(&rest(wire).0).status, status);
    }
    pause(Duration::from_secs(4));
    let mut stalled = stalled;
    assert!(!rest(&mut stalled).1, "what nobody takes is cut off");
}

#[test]
fn a_front_server_that_goes_in_the_middle_takes_nothing_along() {
    let served = served();
    let post = request(&variables("POST", "/length"), "hello");
    for at in [1, 3, 60, post.len() - 5, post.len() - 1] {
        let mut wire = open(served.address(), &post[..at]);
        wire.get_mut().shutdown(Shutdown::Write).unwrap();
        let (bytes, _) = rest(&mut wire);
        assert_ne!(Answer::parse(&bytes).status, 200, "{at}");
    }
    assert_eq!(ask(served.address(), &post).0.text(), "5");
}

#[test]
fn ten_thousand_idle_connections_hold_up_nobody() {
    let served = served();
    let get = request(&variables("GET", "/"), "");
    let _idle = idle(served.address(), &get);
    let started = Instant::now();
    assert_eq!(ask(served.address(), &get).0.status, 200);
    assert!(started.elapsed() < Duration::from_secs(2));
}
