//! What could be read in two ways is refused: a table of malformed requests over real sockets.
//!
//! Each case is sent whole with another request behind it, byte by byte, and cut in two at every place. Each time the
//! status must be the expected one, the connection closed with nothing after the answer, the request behind it never
//! seen by the app, and a polite connection that was open all the while must be served on.

use std::{thread, time::Duration};

use cepa_tests::{
    Served,
    probe::{self, Record},
    serve,
    stats::pause,
    wire::Wire,
};

const NEXT: &str = "GET /after HTTP/1.1\r\nhost: a\r\n\r\n";

/// Cases longer than this are not cut at every place.
const SHORT: usize = 400;

/// A name, the status, and the bytes.
type Case<'c> = (&'c str, u16, &'c [u8]);

/// Where a case is refused.
#[derive(Clone, Copy, PartialEq, Eq)]
enum At {
    /// In the head: the app never hears of it.
    Head,
    /// In the body, which may come when the app is at work already.
    Body,
}

struct Bench {
    server: Served,
    record: Record,
    polite: Wire,
}

impl Bench {
    fn new() -> Self {
        let record = Record::default();
        let server = serve(probe::app(&record)).expect("the app is served");
        let polite = Wire::connect(server.address()).expect("the server listens");
        Self { server, record, polite }
    }

    fn connect(&self) -> Wire {
        Wire::connect(self.server.address()).expect("the server listens")
    }

    /// A polite request on a connection that has been open all the while.
    fn assert_alive(&mut self, name: &str) {
        self.polite.send("GET /polite HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(self.polite.response().text(), "GET /polite ", "{name}");
        self.record.take();
    }

    /// Reads the refusal.
    fn refused(&self, (name, status, _): Case<'_>, at: At, how: &str, mut wire: Wire) {
        let answer = wire.try_response(false).unwrap_or_else(|failure| panic!("{name}, {how}: {failure}"));
        assert_eq!(answer.status, status, "{name}, {how}");
        assert!(answer.lists("connection", "close"), "{name}, {how}: {:?}", answer.headers);
        let (rest, _) = wire.rest();
        assert_eq!(String::from_utf8_lossy(&rest), "", "{name}, {how}: after the answer");
        let seen = self.record.take();
        assert!(!seen.iter().any(|line| line == "GET /after"), "{name}, {how}: the app saw {seen:?}");
        assert!(at == At::Body || seen.is_empty(), "{name}, {how}: the app saw {seen:?}");
    }
}

/// Sends every case in every way.
fn refuses(at: At, cases: &[Case<'_>]) {
    thread::scope(|scope| {
        for part in cases.chunks(cases.len().div_ceil(8)) {
            scope.spawn(move || part.iter().for_each(|case| refuse(at, *case)));
        }
    });
}

fn refuse(at: At, case: Case<'_>) {
    let mut bench = Bench::new();
    let (name, _, bytes) = case;

    let mut whole = bench.connect();
    whole.send([bytes, NEXT.as_bytes()].concat());
    bench.refused(case, at, "whole", whole);
    bench.assert_alive(name);

    let mut slow = bench.connect();
    for byte in [bytes, NEXT.as_bytes()].concat() {
        // The server may have closed before all is sent.
        if slow.try_send([byte]).is_err() {
            break;
        }
    }
    bench.refused(case, at, "byte by byte", slow);
    bench.assert_alive(name);

    let places = if bytes.len() <= SHORT { 1..bytes.len() } else { 1..2 };
    for place in places {
        let mut cut = bench.connect();
        cut.send(&bytes[..place]);
        pause(Duration::from_micros(200));
        let _ = cut.try_send([&bytes[place..], NEXT.as_bytes()].concat());
        bench.refused(case, at, &format!("cut at {place}"), cut);
    }
    bench.assert_alive(name);
}

/// `POST /` with these lines, then a body.
macro_rules! post {
    ($fields:literal, $($body:literal),+) => {
        concat!("POST / HTTP/1.1\r\nhost: a\r\n", $fields, "\r\n\r\n", $($body),+).as_bytes()
    };
}

/// `GET /` with these lines.
macro_rules! get {
    ($fields:literal) => {
        concat!("GET / HTTP/1.1\r\n", $fields, "\r\n\r\n").as_bytes()
    };
}

#[test]
fn h1_01_length_with_encoding() {
    refuses(
        At::Head,
        &[
            ("CL then TE", 400, post!("content-length: 5\r\ntransfer-encoding: chunked", "0\r\n\r\n")),
            ("TE then CL", 400, post!("transfer-encoding: chunked\r\ncontent-length: 5", "0\r\n\r\n")),
            ("TE and CL of 0", 400, post!("transfer-encoding: chunked\r\ncontent-length: 0", "0\r\n\r\n")),
            ("an unknown TE and CL", 400, post!("transfer-encoding: x\r\ncontent-length: 5", "hello")),
            ("an empty TE and CL", 400, post!("transfer-encoding:\r\ncontent-length: 5", "hello")),
        ],
    );
}

#[test]
fn h1_02_encoding_is_exactly_chunked() {
    refuses(
        At::Head,
        &[
            ("leading comma", 400, post!("transfer-encoding: ,chunked", "0\r\n\r\n")),
            ("trailing comma", 400, post!("transfer-encoding: chunked,", "0\r\n\r\n")),
            ("twice in one field", 400, post!("transfer-encoding: chunked, chunked", "0\r\n\r\n")),
            ("twice", 400, post!("transfer-encoding: chunked\r\ntransfer-encoding: chunked", "0\r\n\r\n")),
            ("not the last", 400, post!("transfer-encoding: chunked, gzip", "0\r\n\r\n")),
            ("behind another", 400, post!("transfer-encoding: gzip, chunked", "0\r\n\r\n")),
            ("another", 501, post!("transfer-encoding: gzip", "0\r\n\r\n")),
            ("identity", 501, post!("transfer-encoding: identity", "0\r\n\r\n")),
            ("a parameter", 400, post!("transfer-encoding: chunked;q=1", "0\r\n\r\n")),
            ("vertical tab", 400, post!("transfer-encoding: \x0bchunked", "0\r\n\r\n")),
            ("form feed", 400, post!("transfer-encoding: chunked\x0c", "0\r\n\r\n")),
            ("quoted", 400, post!("transfer-encoding: \"chunked\"", "0\r\n\r\n")),
            ("empty", 400, post!("transfer-encoding: ", "0\r\n\r\n")),
            ("space before the colon", 400, post!("transfer-encoding : chunked", "0\r\n\r\n")),
            (
                "in HTTP/1.0",
                400,
                b"POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
            ),
        ],
    );
}

#[test]
fn h1_03_length_is_one_plain_number() {
    refuses(
        At::Head,
        &[
            ("list", 400, post!("content-length: 5, 5", "hello")),
            ("two that differ", 400, post!("content-length: 5\r\ncontent-length: 6", "hello!")),
            ("two that are equal", 400, post!("content-length: 5\r\ncontent-length: 5", "hello")),
            ("plus", 400, post!("content-length: +5", "hello")),
            ("minus", 400, post!("content-length: -5", "hello")),
            ("minus zero", 400, post!("content-length: -0", "")),
            ("inner space", 400, post!("content-length: 5 5", "hello")),
            ("more spaces", 400, post!("content-length:  5", "hello")),
            ("trailing space", 400, post!("content-length: 5 ", "hello")),
            ("empty", 400, post!("content-length: ", "hello")),
            ("leading zero", 400, post!("content-length: 05", "hello")),
            ("two zeros", 400, post!("content-length: 00", "")),
            ("hexadecimal", 400, post!("content-length: 0x5", "hello")),
            ("fraction", 400, post!("content-length: 5.0", "hello")),
            ("exponent", 400, post!("content-length: 5e0", "hello")),
            ("underscore", 400, post!("content-length: 1_0", "hello")),
            ("2^64", 400, post!("content-length: 18446744073709551616", "hello")),
            ("far too large", 400, post!("content-length: 99999999999999999999999999999999", "hello")),
            ("letters", 400, post!("content-length: five", "hello")),
            ("digits of another script", 400, post!("content-length: ٥", "hello")),
        ],
    );
}

#[test]
fn h1_04_chunks_are_strict() {
    macro_rules! chunks {
        ($body:literal) => {
            post!("transfer-encoding: chunked", $body)
        };
    }
    refuses(
        At::Body,
        &[
            ("no digit", 400, chunks!("\r\nhello\r\n0\r\n\r\n")),
            ("no hex", 400, chunks!("g\r\nhello\r\n0\r\n\r\n")),
            ("prefix", 400, chunks!("0x5\r\nhello\r\n0\r\n\r\n")),
            ("sign", 400, chunks!("+5\r\nhello\r\n0\r\n\r\n")),
            ("minus", 400, chunks!("-5\r\nhello\r\n0\r\n\r\n")),
            ("underscore", 400, chunks!("1_0\r\nhello\r\n0\r\n\r\n")),
            ("17 digits", 400, chunks!("00000000000000005\r\nhello\r\n0\r\n\r\n")),
            ("overflow", 400, chunks!("10000000000000000\r\nhello\r\n0\r\n\r\n")),
            ("leading space", 400, chunks!(" 5\r\nhello\r\n0\r\n\r\n")),
            ("trailing space", 400, chunks!("5 \r\nhello\r\n0\r\n\r\n")),
            ("trailing tab", 400, chunks!("5\t\r\nhello\r\n0\r\n\r\n")),
            ("bare semicolon", 400, chunks!("5;\r\nhello\r\n0\r\n\r\n")),
            ("semicolon and space", 400, chunks!("5; a\r\nhello\r\n0\r\n\r\n")),
            ("control in an extension", 400, chunks!("5;a\x01\r\nhello\r\n0\r\n\r\n")),
            ("NUL in an extension", 400, chunks!("5;a=\0\r\nhello\r\n0\r\n\r\n")),
            ("LF in an extension", 400, chunks!("5;a\nb\r\nhello\r\n0\r\n\r\n")),
            ("CR in an extension", 400, chunks!("5;a\rb\r\nhello\r\n0\r\n\r\n")),
            ("LF in a quoted extension", 400, chunks!("5;a=\"\n\"\r\nhello\r\n0\r\n\r\n")),
            ("no token", 400, chunks!("5;a=b c\r\nhello\r\n0\r\n\r\n")),
            ("no name", 400, chunks!("5;=b\r\nhello\r\n0\r\n\r\n")),
            ("LF after the size", 400, chunks!("5\nhello\r\n0\r\n\r\n")),
            ("CR after the size", 400, chunks!("5\rhello\r\n0\r\n\r\n")),
            ("LF after the data", 400, chunks!("5\r\nhello\n0\r\n\r\n")),
            ("CR after the data", 400, chunks!("5\r\nhello\r0\r\n\r\n")),
            ("nothing after the data", 400, chunks!("5\r\nhello0\r\n\r\n")),
            ("data longer than its size", 400, chunks!("5\r\nhellooo\r\n0\r\n\r\n")),
            ("LF after the last chunk", 400, chunks!("0\n\r\n")),
            ("LF at the end", 400, chunks!("0\r\n\n")),
            ("CR at the end", 400, chunks!("0\r\n\r\rX")),
        ],
    );
    let extension = format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(300));
    let long = [post!("transfer-encoding: chunked", ""), extension.as_bytes()].concat();
    refuses(At::Body, &[("an extension too long", 400, &long)]);
}

#[test]
fn h1_05_lines_are_lines() {
    refuses(
        At::Head,
        &[
            ("bare LF after the request line", 400, b"GET / HTTP/1.1\nhost: a\r\n\r\n"),
            ("bare LF after a field", 400, b"GET / HTTP/1.1\r\nhost: a\n\r\n"),
            ("bare LF at the end", 400, b"GET / HTTP/1.1\r\nhost: a\r\n\n"),
            ("bare LF only", 400, b"GET / HTTP/1.1\nhost: a\n\n"),
            ("bare CR after a field", 400, b"GET / HTTP/1.1\r\nhost: a\rx: y\r\n\r\n"),
            ("bare CR in a value", 400, get!("host: a\r\nx: y\rz")),
            ("LF in front", 400, b"\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("three empty lines in front", 400, b"\r\n\r\n\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("obs-fold with space", 400, get!("host: a\r\nx: y\r\n z")),
            ("obs-fold with tab", 400, get!("host: a\r\nx: y\r\n\tz")),
            ("obs-fold of the first field", 400, get!(" host: a")),
            ("space before the colon", 400, get!("host : a")),
            ("tab before the colon", 400, get!("host\t: a")),
            ("no colon", 400, get!("host: a\r\nx")),
            ("no name", 400, get!("host: a\r\n: x")),
            ("space in a name", 400, get!("host: a\r\nx y: z")),
            ("NUL in a value", 400, get!("host: a\r\nx: y\0z")),
            ("control in a value", 400, get!("host: a\r\nx: y\x01z")),
            ("DEL in a value", 400, get!("host: a\r\nx: y\x7fz")),
            ("NUL in a name", 400, get!("host: a\r\nx\0: y")),
            ("NUL in the target", 400, b"GET /\0 HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("tab in the target", 400, b"GET /\t HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("two spaces", 400, b"GET  / HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("space at the end", 400, b"GET / HTTP/1.1 \r\nhost: a\r\n\r\n"),
            ("space in front", 400, b" GET / HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("HTTP/0.9", 400, b"GET /\r\n"),
            ("HTTP/1.2", 505, b"GET / HTTP/1.2\r\nhost: a\r\n\r\n"),
            ("HTTP/2.0", 505, b"GET / HTTP/2.0\r\nhost: a\r\n\r\n"),
            ("HTTP/1.10", 400, b"GET / HTTP/1.10\r\nhost: a\r\n\r\n"),
            ("http/1.1", 400, b"GET / http/1.1\r\nhost: a\r\n\r\n"),
            ("a method that is no token", 400, b"GE(T / HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("a method too long", 400, b"GETGETGETGETGETGETGETGETGETGETGETGET / HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("TLS bytes", 400, b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"),
            ("garbage", 400, b"\xff\xfe\xfd\r\n\r\n"),
        ],
    );
}

#[test]
fn h1_06_host_is_exactly_one() {
    refuses(
        At::Head,
        &[
            ("absent", 400, b"GET / HTTP/1.1\r\n\r\n"),
            ("absent with an absolute target", 400, b"GET http://a/ HTTP/1.1\r\n\r\n"),
            ("two", 400, get!("host: a\r\nhost: b")),
            ("two that are equal", 400, get!("host: a\r\nhost: a")),
            ("two in HTTP/1.0", 400, b"GET / HTTP/1.0\r\nhost: a\r\nhost: b\r\n\r\n"),
            ("empty", 400, get!("host: ")),
            ("userinfo", 400, get!("host: user@a")),
            ("path", 400, get!("host: a/b")),
            ("comma", 400, get!("host: a, b")),
            ("comma without space", 400, get!("host: a,b")),
            ("space", 400, get!("host: a b")),
            ("port of letters", 400, get!("host: a:b")),
            ("port too large", 400, get!("host: a:65536")),
            ("two ports", 400, get!("host: a:1:2")),
            ("only a port", 400, get!("host: :80")),
            ("open bracket", 400, get!("host: [::1")),
            ("query", 400, get!("host: a?b")),
            ("fragment", 400, get!("host: a#b")),
            ("backslash", 400, get!("host: a\\b")),
            ("no ASCII", 400, get!("host: bücher.test")),
        ],
    );
}

#[test]
fn h1_07_targets_have_a_form_that_fits() {
    refuses(
        At::Head,
        &[
            ("star with GET", 400, b"GET * HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("authority with GET", 400, b"GET a:80 HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("path with CONNECT", 400, b"CONNECT / HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("CONNECT without a port", 400, b"CONNECT a HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("no slash", 400, b"GET a HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("fragment", 400, b"GET /#a HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("no ASCII", 400, "GET /ü HTTP/1.1\r\nhost: a\r\n\r\n".as_bytes()),
            ("not even UTF-8", 400, b"GET /\xff HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("absolute with userinfo", 400, b"GET http://u@a/ HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("absolute without host", 400, b"GET http:/// HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("another scheme", 400, b"GET ftp://a/ HTTP/1.1\r\nhost: a\r\n\r\n"),
            ("space", 400, b"GET /a b HTTP/1.1\r\nhost: a\r\n\r\n"),
        ],
    );
}

#[test]
fn h1_07_connect_is_not_implemented_and_a_target_with_a_host_names_it() {
    let mut bench = Bench::new();
    let mut wire = bench.connect();
    wire.send("CONNECT a:80 HTTP/1.1\r\nhost: a:80\r\n\r\nGET /after HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(wire.response().status, 501);
    wire.assert_closed();
    assert!(!bench.record.has("GET /after"));
    bench.assert_alive("connect");

    let app = cepa_core::App::new().get("/", async |ctx: &mut cepa_core::Ctx| ctx.host().to_owned()).with(
        async |ctx: &mut cepa_core::Ctx, next: cepa_core::Next<'_>| {
            if *ctx.method() == "CONNECT" {
                let host = ctx.host().to_owned();
                ctx.set_body(host)?;
                return ctx.set_status(403);
            }
            if ctx.url() == "*" { ctx.set_body("star") } else { next.run(ctx).await }
        },
    );
    let server = serve(app).unwrap();
    let mut wire = Wire::open(server.address(), "GET http://b:81/ HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(wire.response().text(), "b:81");
    wire.send("OPTIONS * HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(wire.response().text(), "star");
    wire.send("CONNECT b:81 HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(wire.response().text(), "b:81");
}

#[test]
fn h1_09_an_expectation_that_is_unknown_is_refused() {
    refuses(
        At::Head,
        &[
            ("unknown", 417, post!("expect: 200-ok\r\ncontent-length: 5", "hello")),
            ("with a parameter", 417, post!("expect: 100-continue;a=b\r\ncontent-length: 5", "hello")),
            ("a list", 417, post!("expect: 100-continue, x\r\ncontent-length: 5", "hello")),
            (
                "twice",
                417,
                post!("expect: 100-continue\r\nexpect: 100-continue\r\ncontent-length: 5", "hello"),
            ),
            ("empty", 417, post!("expect:\r\ncontent-length: 5", "hello")),
        ],
    );
}

#[test]
fn h1_10_an_unread_body_is_never_the_next_request() {
    let smuggled = "GET /after HTTP/1.1\r\nhost: a\r\n\r\n";
    let small = format!("POST /unread HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", smuggled.len());
    let chunked = format!(
        "POST /unread HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{smuggled}\r\n0\r\n\r\n",
        smuggled.len()
    );
    let mut bench = Bench::new();
    for (bytes, kept) in [(format!("{small}{smuggled}"), true), (chunked, true)] {
        let next = "GET /next HTTP/1.1\r\nhost: a\r\n\r\n";
        // Whole, and with the body coming after the answer.
        for cut in [bytes.len(), bytes.find("\r\n\r\n").unwrap() + 4] {
            let mut wire = bench.connect();
            wire.send(&bytes[..cut]);
            assert_eq!(wire.response().text(), "POST /unread ");
            let _ = wire.try_send([&bytes[cut..], next].concat());
            let answer = wire.try_response(false);
            if cut == bytes.len() || answer.is_ok() {
                assert_eq!(answer.unwrap().text(), "GET /next ", "kept: {kept}");
            }
            assert!(!bench.record.has("GET /after"));
            bench.assert_alive("unread");
        }
    }
    // More than is thrown away: closed, and nothing of it is read as a request.
    let large = 200 * 1024;
    let mut wire = bench.connect();
    wire.send(format!("POST /unread HTTP/1.1\r\nhost: a\r\ncontent-length: {large}\r\n\r\n"));
    let answer = wire.response();
    assert_eq!((answer.text().as_str(), answer.lists("connection", "close")), ("POST /unread ", true));
    let _ = wire.try_send(smuggled.repeat(large / smuggled.len() + 1));
    wire.assert_closed();
    assert!(!bench.record.has("GET /after"));
    bench.assert_alive("unread");
}

#[test]
fn h1_11_trailers_hold_no_framing_and_are_capped() {
    macro_rules! trailer {
        ($lines:literal) => {
            post!("transfer-encoding: chunked", "1\r\na\r\n0\r\n", $lines, "\r\n\r\n")
        };
    }
    refuses(
        At::Body,
        &[
            ("length", 400, trailer!("content-length: 5")),
            ("encoding", 400, trailer!("transfer-encoding: chunked")),
            ("host", 400, trailer!("host: b")),
            ("authorization", 400, trailer!("authorization: x")),
            ("cookie", 400, trailer!("cookie: x")),
            ("content-type", 400, trailer!("content-type: x")),
            ("LF", 400, trailer!("x: y\nz: a")),
            ("LF only", 400, post!("transfer-encoding: chunked", "0\r\nx: y\n\n")),
            ("fold", 400, trailer!("x: y\r\n z")),
            ("no colon", 400, trailer!("x")),
            ("space before the colon", 400, trailer!("x : y")),
            ("NUL", 400, trailer!("x: \0")),
        ],
    );
    let many = "x: y\r\n".repeat(40);
    let many = [post!("transfer-encoding: chunked", "0\r\n"), many.as_bytes(), b"\r\n"].concat();
    let large = format!("x: {}\r\n\r\n", "y".repeat(10_000));
    let large = [post!("transfer-encoding: chunked", "0\r\n"), large.as_bytes()].concat();
    refuses(At::Body, &[("too many", 431, &many), ("too large", 431, &large)]);
}

#[test]
fn h1_12_what_an_app_sets_cannot_break_the_framing() {
    use cepa_core::{App, Body, Ctx, Next, Result};
    use http::{Method, StatusCode};
    let app = App::new()
        .get("/inject", async |ctx: &mut Ctx| -> Result {
            ctx.set("x", "a\r\nset-cookie: b")?;
            ctx.set_body("no")
        })
        .get("/framing", async |ctx: &mut Ctx| -> Result {
            ctx.set("content-length", "3")?;
            ctx.set("transfer-encoding", "gzip")?;
            ctx.set("connection", "upgrade")?;
            ctx.set_body("four")
        })
        .get("/none", async |ctx: &mut Ctx| -> Result {
            ctx.set_body("body")?;
            ctx.set_status(204)
        })
        .get("/same", async |ctx: &mut Ctx| -> Result {
            ctx.set_body("body")?;
            ctx.set_status(304)
        })
        .get("/stream", async |_: &mut Ctx| Body::new(Body::from("streamed")))
        .get("/switch", async |_: &mut Ctx| StatusCode::SWITCHING_PROTOCOLS)
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            // A layer may have the app take a HEAD for a GET; the client still expects no body.
            ctx.set_method(Method::GET);
            next.run(ctx).await
        });
    let server = serve(app).unwrap();
    let ask = |wire: &mut Wire, method: &str, path: &str| {
        wire.send(format!("{method} {path} HTTP/1.1\r\nhost: a\r\n\r\n"));
        wire.try_response(method == "HEAD").expect("a response comes")
    };
    let mut wire = Wire::connect(server.address()).unwrap();
    let answer = ask(&mut wire, "GET", "/inject");
    assert_eq!((answer.status, answer.all("set-cookie").count()), (500, 0));
    let answer = ask(&mut wire, "GET", "/framing");
    assert_eq!((answer.status, answer.text().as_str()), (200, "four"));
    assert_eq!(answer.all("content-length").collect::<Vec<_>>(), ["4"]);
    assert_eq!((answer.all("transfer-encoding").count(), answer.all("connection").count()), (0, 0));
    for (path, status) in [("/none", 204), ("/same", 304)] {
        let answer = ask(&mut wire, "GET", path);
        assert_eq!(answer.status, status);
        assert_eq!(answer.all("content-length").count() + answer.all("transfer-encoding").count(), 0);
    }
    for path in ["/framing", "/stream", "/none", "/same"] {
        ask(&mut wire, "HEAD", path);
    }
    // Had one of the answers brought a body, this would read it for a head.
    assert_eq!(ask(&mut wire, "GET", "/stream").text(), "streamed");
    assert_eq!(ask(&mut wire, "GET", "/switch").status, 500);
    wire.assert_closed();
}

#[test]
fn other_servers_faults() {
    // What was probed on WEBrick, Puma, Mochiweb, hyper: the whole answer to each.
    let record = Record::default();
    let server = serve(probe::app(&record)).unwrap();
    let uri = |length: usize| format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "a".repeat(length));
    let header = |length: usize| format!("GET / HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "a".repeat(length));
    let table = [
        ("POST without length", "POST / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), 200, true),
        ("HTTP/1.0", "GET / HTTP/1.0\r\n\r\n".to_owned(), 200, false),
        ("HTTP/1.0 keep-alive", "GET / HTTP/1.0\r\nconnection: keep-alive\r\n\r\n".to_owned(), 200, true),
        ("HTTP/1.0 Keep-Alive", "GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n".to_owned(), 200, true),
        ("close", "GET / HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n".to_owned(), 200, false),
        (
            "Close in a list",
            "GET / HTTP/1.1\r\nhost: a\r\nconnection: x, Close\r\n\r\n".to_owned(),
            200,
            false,
        ),
        ("method BREW", "BREW / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), 200, true),
        ("URI of 2000", uri(2_000), 200, true),
        ("URI of 9000", uri(9_000), 414, false),
        ("header of 20 KB", header(20_000), 200, true),
        ("header of 100 KB", header(100_000), 431, false),
        ("1001 headers", format!("GET / HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(1000)), 431, false),
        ("an empty line in front", "\r\nGET / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned(), 200, true),
    ];
    for (name, bytes, status, kept) in table {
        let mut wire = Wire::connect(server.address()).unwrap();
        let _ = wire.try_send(&bytes);
        let answer = wire.try_response(false).unwrap_or_else(|failure| panic!("{name}: {failure}"));
        assert_eq!(answer.status, status, "{name}");
        if kept {
            wire.send("GET /next HTTP/1.1\r\nhost: a\r\n\r\n");
            assert_eq!(wire.response().text(), "GET /next ", "{name}");
        } else {
            wire.assert_closed();
        }
    }
}
