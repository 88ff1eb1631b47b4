//! The reverse proxy between real clients and real servers.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use cepa_programs::needs;
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use cepa_core::{App, Body, Ctx, Error, Io, Result, router::post};
use cepa_layers::{
    When, proxy,
    proxy::{Forwarded, Health, HostPolicy, Http, InvalidOptions, Options, Proxy},
};
use cepa_server::tls::{CertificateFiles, TlsConfig, self_signed};
use cepa_tests::{
    Served, Serving,
    http::Response,
    serve,
    stats::eventually,
    wire::{Ended, Wire},
};
use http::StatusCode;

fn to(address: SocketAddr) -> Options {
    Options { upstreams: vec![format!("http://{address}")], ..Options::default() }
}

/// A server whose every request goes through a proxy with these options.
fn front(options: Options) -> Served {
    serve(App::new().with(proxy(options).unwrap())).unwrap()
}

fn get(server: &Served, path: &str, headers: &str) -> Response {
    Wire::open(server.address(), format!("GET {path} HTTP/1.1\r\nHost: front.test\r\n{headers}\r\n"))
        .response()
}

fn text(server: &Served, path: &str) -> (u16, String) {
    let response = get(server, path, "");
    (response.status, response.text())
}

/// Answers each connection by a script that gets what was read, and notes all that came.
fn scripted(
    script: impl Fn(&mut std::net::TcpStream, usize) + Send + Sync + 'static,
) -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, heard) = (listener.local_addr().unwrap(), Arc::<Mutex<Vec<String>>>::default());
    let (notes, script, count) = (Arc::clone(&heard), Arc::new(script), AtomicUsize::new(0));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let (notes, script, at) = (Arc::clone(&notes), Arc::clone(&script), count.fetch_add(1, SeqCst));
            thread::spawn(move || {
                let mut piece = [0; 65536];
                while let Ok(length @ 1..) = stream.read(&mut piece) {
                    notes.lock().unwrap().push(String::from_utf8_lossy(&piece[..length]).into_owned());
                    script(&mut stream, at);
                }
            });
        }
    });
    (address, heard)
}

const OK: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

fn upstream() -> App {
    App::new()
        .get("/", async |_: &mut Ctx| "root")
        .get("/path/{*rest}", async |ctx: &mut Ctx| ctx.original_url().to_owned())
        .all("/headers", async |ctx: &mut Ctx| {
            let mut lines: Vec<String> = Vec::new();
            for (name, value) in ctx.request.headers() {
                lines.push(format!("{name}: {}", value.to_str().unwrap_or("?")));
            }
            lines.sort();
            format!("{:?}\n{}\n", ctx.request.version(), lines.join("\n"))
        })
        .get("/answer", async |ctx: &mut Ctx| -> Result<StatusCode> {
            ctx.append("set-cookie", "a=1")?;
            ctx.append("set-cookie", "b=2")?;
            ctx.set("x-own", "1")?;
            ctx.set("keep-alive", "timeout=1")?;
            ctx.set("server", "inner")?;
            Ok(StatusCode::IM_A_TEAPOT)
        })
        .get("/login", async |ctx: &mut Ctx| ctx.redirect("/path/in"))
        .get("/nothing", async |_: &mut Ctx| StatusCode::NO_CONTENT)
        .route("/echo", post(async |ctx: &mut Ctx| ctx.request.take_body()).body_limit(1 << 30))
        .get("/breaks", async |_: &mut Ctx| {
            Body::from_async(async |mut out| {
                out.write("begun").await;
                // Or it would break before the head has left.
                tokio::time::sleep(Duration::from_millis(50)).await;
                Err(Error::new(500, "the source dried up"))
            })
        })
        .get("/silent", async |_: &mut Ctx| std::future::pending::<()>().await)
        .get("/stalls", async |_: &mut Ctx| {
            Body::from_async(async |mut out| {
                out.write("begun").await;
                std::future::pending().await
            })
        })
        .get("/switch", async |ctx: &mut Ctx| -> Result {
            let to = ctx.get("upgrade").unwrap_or("nothing").to_owned();
            if to == "nothing" {
                return ctx.set_body("no switch");
            }
            ctx.set_status(101)?;
            ctx.set("upgrade", to)?;
            ctx.response.on_upgrade(Box::new(|io| Box::pin(echo(io))));
            Ok(())
        })
}

/// Sends back what comes, and says goodbye at its end.
async fn echo(mut io: Box<dyn Io>) {
    use std::future::poll_fn;
    let mut piece = [0; 4096];
    while let Ok(length @ 1..) = poll_fn(|cx| io.poll_read(cx, &mut piece)).await {
        let mut rest = &piece[..length];
        while !rest.is_empty() {
            let Ok(taken) = poll_fn(|cx| io.poll_write(cx, rest)).await else { return };
            rest = &rest[taken..];
        }
        if poll_fn(|cx| io.poll_flush(cx)).await.is_err() {
            return;
        }
    }
    let _ = poll_fn(|cx| io.poll_write(cx, b"bye")).await;
    let _ = poll_fn(|cx| io.poll_shutdown(cx)).await;
}

#[test]
fn requests_and_answers_pass() {
    let inner = serve(upstream()).unwrap();
    let front = front(to(inner.address()));
    assert_eq!(text(&front, "/"), (200, "root".into()));
    assert_eq!(text(&front, "/path/a%20b/%C3%A9?x=1&y"), (200, "/path/a%20b/%C3%A9?x=1&y".into()));
    assert_eq!(text(&front, "/none").0, 404);
    let answer = get(&front, "/answer", "");
    assert_eq!(answer.status, 418);
    assert_eq!(answer.all("set-cookie").collect::<Vec<_>>(), ["a=1", "b=2"]);
    assert_eq!((answer.all("x-own").count(), answer.all("keep-alive").count()), (1, 0));
    assert_eq!(
        (get(&front, "/nothing", "").status, get(&front, "/nothing", "").all("content-length").count()),
        (204, 0)
    );
    let mut wire =
        Wire::open(front.address(), "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let head = wire.try_response(true).unwrap();
    assert_eq!((head.status, head.all("content-length").next()), (200, Some("4")));
    assert_eq!(wire.response().text(), "root");
}

#[test]
fn headers_of_the_connection_end_here_and_the_client_is_told_of() {
    let inner = serve(upstream()).unwrap();
    let options = Options { forwarded: Forwarded::Both, via: "cepa".into(), ..to(inner.address()) };
    let front = front(options);
    let spoofed = "Connection: keep-alive, X-Secret, x-forwarded-for\r\nX-Secret: 1\r\nTE: trailers, gzip\r\n\
                   Keep-Alive: timeout=5\r\nProxy-Connection: keep-alive\r\nProxy-Authorization: x\r\nProxy: evil\r\n\
                   HTTP2-Settings: x\r\nX-Forwarded-For: 6.6.6.6\r\nX_Forwarded_For: 6.6.6.6\r\n\
                   X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil.test\r\nX-Forwarded-Prefix: /evil\r\n\
                   X-Real-IP: 6.6.6.6\r\nForwarded: for=6.6.6.6\r\nX-Stays: 1\r\nCookie: a=b\r\n";
    let seen = get(&front, "/headers", spoofed).text();
    assert_eq!(
        seen,
        "HTTP/1.1\ncookie: a=b\nforwarded: for=127.0.0.1;proto=http;host=\"front.test\"\nhost: front.test\nte: trailers\n\
         via: 1.1 cepa\nx-forwarded-for: 127.0.0.1\nx-forwarded-host: front.test\nx-forwarded-proto: http\n\
         x-stays: 1\n"
    );
    assert!(get(&front, "/", "").all("via").eq(["1.1 cepa"]));
}

#[test]
fn a_trusted_proxy_is_continued() {
    let inner = serve(upstream()).unwrap();
    let app = App::new().trust("loopback".parse().unwrap()).with(proxy(to(inner.address())).unwrap());
    let front = serve(app).unwrap();
    let seen = get(
        &front,
        "/headers",
        "X-Forwarded-For: 203.0.113.7\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: public.test\r\nForwarded: for=6.6.6.6\r\n",
    );
    let seen = seen.text();
    for line in [
        "x-forwarded-for: 203.0.113.7, 127.0.0.1",
        "x-forwarded-proto: https",
        "x-forwarded-host: public.test",
    ] {
        assert!(seen.contains(line), "{line} in {seen}");
    }
    assert!(!seen.contains("6.6.6.6"), "{seen}");
}

#[test]
fn hosts_and_paths_are_kept_or_rewritten() {
    let inner = serve(upstream()).unwrap();
    let own = front(Options { host: HostPolicy::Upstream, ..to(inner.address()) });
    assert!(get(&own, "/headers", "").text().contains(&format!("\nhost: {}\n", inner.address())));
    let stripped = Options {
        strip: "/api".into(),
        upstreams: vec![format!("http://{}/path", inner.address())],
        ..Options::default()
    };
    let app = App::new()
        .with(proxy(stripped).unwrap().only("/api"))
        .mount("/mounted", proxy(to(inner.address())).unwrap())
        .get("/own", async |_: &mut Ctx| "own");
    let front = serve(app).unwrap();
    for (path, expected) in [
        ("/api/x?y", (200, "/path/x?y")),
        ("/apiary", (404, "Not Found")),
        ("/mounted/path/x", (200, "/path/x")),
        ("/mounted", (200, "root")),
        ("/own", (200, "own")),
    ] {
        assert_eq!(text(&front, path), (expected.0, expected.1.to_owned()), "{path}");
    }
    // A redirect leads back through the proxy.
    let login = get(&front, "/mounted/login", "");
    assert_eq!((login.status, login.all("location").next()), (302, Some("/mounted/path/in")));
    // Nobody climbs out of what the prefix opens.
    for path in [
        "/api/../login",
        "/api/..%2flogin",
        "/api/%2e%2e/login",
        "/api/..;/login",
        "/api/..%5clogin",
        "/api/..",
    ] {
        assert_eq!(text(&front, path).0, 400, "{path}");
    }
}

#[test]
fn bodies_stream_both_ways() {
    let inner = serve(upstream()).unwrap();
    let front = Serving::new(App::new().with(proxy(to(inner.address())).unwrap()));
    let front = front.limits(|limits| limits.body = 1 << 30).start().unwrap();
    // Each piece comes back before the next is sent.
    let mut wire =
        Wire::open(front.address(), "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    wire.send("3\r\none\r\n");
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(wire.read_exact(1).unwrap());
    }
    assert_eq!(wire.read_exact(8).unwrap(), b"3\r\none\r\n");
    wire.send("3\r\ntwo\r\n");
    assert_eq!(wire.read_exact(8).unwrap(), b"3\r\ntwo\r\n");
    wire.send("0\r\n\r\n");
    assert_eq!(wire.read_exact(5).unwrap(), b"0\r\n\r\n");
    // Much, with a length.
    let much = vec![b'x'; 5 << 20];
    let mut wire = Wire::open(
        front.address(),
        format!(
            "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            much.len()
        ),
    );
    let mut writer = wire.stream().try_clone().unwrap();
    let sending = thread::spawn(move || writer.write_all(&much).unwrap());
    assert_eq!(wire.response().text().len(), 5 << 20);
    sending.join().unwrap();
}

#[test]
fn nothing_of_the_framing_is_sent_on() {
    let (address, heard) = scripted(|stream, _| drop(stream.write_all(OK)));
    let front = front(to(address));
    // What two servers could read in two ways never gets to the second.
    for smuggling in [
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    ] {
        let status = Wire::open(front.address(), smuggling).response().status;
        assert!(matches!(status, 400 | 501), "{status} {smuggling:?}");
    }
    assert!(heard.lock().unwrap().is_empty());
    // A body in chunks with extensions and trailers, and a request after it that says it is another's.
    let mut wire = Wire::open(
        front.address(),
        "POST /a HTTP/1.1\r\nHost: a\r\nConnection: content-length, transfer-encoding, host\r\n\
         Transfer-Encoding: chunked\r\n\r\n5;ext=1\r\nGET /\r\n0\r\nX-Trailer: 1\r\n\r\n",
    );
    assert_eq!(wire.response().status, 200);
    let all = heard.lock().unwrap().concat();
    let (head, body) = all.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("POST /a HTTP/1.1\r\n") && head.contains("host: a"), "{head}");
    assert_eq!(head.matches("transfer-encoding: chunked").count(), 1, "{head}");
    assert!(!head.contains("content-length") && !head.contains("connection"), "{head}");
    assert!(body.starts_with("5\r\nGET /\r\n0\r\n"), "{body}");
}

#[test]
fn an_answer_with_two_lengths_is_read_in_one_way() {
    let (address, _) = scripted(|stream, _| {
        let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 40\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
        let _ = stream.write_all(answer);
    });
    let front = front(to(address));
    let answer = get(&front, "/", "");
    assert_eq!(answer.all("content-length").count() + answer.all("transfer-encoding").count(), 1);
    assert_eq!(answer.text(), "ok");
}

#[test]
fn failures_have_a_status_and_a_broken_answer_is_never_whole() {
    let inner = serve(upstream()).unwrap();
    let front_of = |change: fn(&mut Options)| {
        let mut options = to(inner.address());
        change(&mut options);
        front(options)
    };
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    assert_eq!(text(&front(to(gone)), "/"), (502, "Bad Gateway".into()));
    let short = front_of(|options| options.head = Duration::from_millis(100));
    assert_eq!(text(&short, "/silent"), (504, "Gateway Timeout".into()));
    let impatient = front_of(|options| options.pause = Duration::from_millis(100));
    for (front, path) in [(&impatient, "/stalls"), (&impatient, "/breaks")] {
        let mut wire = Wire::open(front.address(), format!("GET {path} HTTP/1.1\r\nHost: a\r\n\r\n"));
        let (bytes, ended) = wire.rest();
        let text = String::from_utf8_lossy(&bytes);
        assert!(text.contains("begun") && !text.contains("\r\n0\r\n"), "{path} {text}");
        assert_eq!(ended, Ended::Reset, "{path}");
    }
    let few = front_of(|options| options.requests = 1);
    let held = Wire::open(few.address(), "GET /silent HTTP/1.1\r\nHost: a\r\n\r\n");
    eventually("the first request is at hand", || get(&few, "/", "").status == 503);
    assert_eq!(get(&few, "/", "").all("retry-after").next(), Some("1"));
    held.reset();
    eventually("its place is free again", || get(&few, "/", "").status == 200);
    // A client that breaks off or sends too much is not the upstream's failure.
    let small = Serving::new(App::new().with(proxy(to(inner.address())).unwrap()));
    let small = small.limits(|limits| limits.body = 10).start().unwrap();
    let mut wire =
        Wire::open(small.address(), "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
    wire.send("b\r\nhello world\r\n0\r\n\r\n");
    assert_eq!(wire.response().status, 413);
}

#[test]
fn a_client_that_stalls_is_not_the_upstreams_failure() {
    let reader = |name: &'static str| {
        serve(App::new().get("/", async move |_: &mut Ctx| name).route(
            "/take",
            post(async |ctx: &mut Ctx| -> Result<String> {
                let text = ctx.text().await?;
                // Whole, it is the upstream that is slow.
                std::future::pending::<()>().await;
                Ok(text)
            }),
        ))
        .unwrap()
    };
    let (one, other) = (reader("one"), reader("other"));
    let front = front(Options {
        upstreams: vec![format!("http://{}", one.address()), format!("http://{}", other.address())],
        head: Duration::from_millis(100),
        fails: 1,
        ..Options::default()
    });
    let post = |framing: &str, body: &str| {
        let head = format!("POST /take HTTP/1.1\r\nHost: a\r\n{framing}\r\n\r\n{body}");
        Wire::open(front.address(), head).response().status
    };
    for (framing, body) in [
        ("Content-Length: 4", ""),
        ("Content-Length: 4", "bo"),
        ("Transfer-Encoding: chunked", "2\r\nbo\r\n"),
    ] {
        assert_eq!((post(framing, body), post(framing, body)), (408, 408), "{framing} {body}");
    }
    let texts: Vec<String> = (0..4).map(|_| text(&front, "/").1).collect();
    assert!(["one", "other"].iter().all(|name| texts.iter().any(|text| text == name)), "{texts:?}");
    assert_eq!(post("Content-Length: 4", "body"), 504);
    let rest: Vec<String> = (0..4).map(|_| text(&front, "/").1).collect();
    assert!(rest.iter().all(|text| *text == rest[0]), "{rest:?}");
}

#[test]
fn clients_that_stall_cannot_take_an_upstream_away_that_hangs_up_on_them() {
    let (strict, heard) = scripted(|stream, _| drop(stream.shutdown(std::net::Shutdown::Both)));
    let inner = serve(upstream()).unwrap();
    let front = front(Options {
        upstreams: vec![format!("http://{strict}"), format!("http://{}", inner.address())],
        fails: 1,
        ..Options::default()
    });
    let stalled = "POST /sink HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n";
    for _ in 0..4 {
        Wire::open(front.address(), stalled).response();
    }
    for _ in 0..4 {
        assert_eq!(text(&front, "/").0, 200);
    }
    assert!(heard.lock().unwrap().iter().any(|text| text.starts_with("GET")), "it does not rest");
}

#[test]
fn requests_are_sent_again_only_where_that_is_safe() {
    let inner = serve(upstream()).unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let post = |front: &Served| {
        let post = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
        Wire::open(front.address(), post).response()
    };
    let two = |first: SocketAddr| Options {
        upstreams: vec![format!("http://{first}"), format!("http://{}", inner.address())],
        fails: 1000,
        ..Options::default()
    };
    // Nobody took the first: any request may go elsewhere, with its body.
    let front_gone = front(two(gone));
    for _ in 0..4 {
        assert_eq!(text(&front_gone, "/").0, 200);
        assert_eq!(post(&front_gone).text(), "body");
    }
    // The first takes the request and dies: only what may be repeated and has no body does.
    let (dies, heard) = scripted(|stream, _| drop(stream.shutdown(std::net::Shutdown::Both)));
    let front_dies = front(two(dies));
    let (mut lost, mut answered) = (0, 0);
    for _ in 0..6 {
        assert_eq!(text(&front_dies, "/").0, 200);
    }
    for _ in 0..6 {
        match post(&front_dies).status {
            502 => lost += 1,
            200 => answered += 1,
            other => panic!("{other}"),
        }
    }
    assert!(lost > 0 && answered > 0, "{lost} {answered}");
    let posts = heard.lock().unwrap().iter().filter(|text| text.starts_with("POST")).count();
    assert_eq!(posts, lost, "none was sent twice");
    // Not for ever.
    let nowhere = Options { upstreams: vec![format!("http://{gone}"); 2], retries: 1, ..Options::default() };
    assert_eq!(text(&front(nowhere), "/").0, 502);
}

#[test]
fn an_upstream_that_is_ill_is_left_alone_until_it_is_well() {
    let well = Arc::new(AtomicUsize::new(0));
    let state = Arc::clone(&well);
    let changing = serve(App::new().get("/", async |_: &mut Ctx| "changing").get("/health", {
        async move |_: &mut Ctx| {
            if state.load(SeqCst) == 1 { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
        }
    }))
    .unwrap();
    let steady =
        serve(App::new().get("/", async |_: &mut Ctx| "steady").get("/health", async |_: &mut Ctx| "well"))
            .unwrap();
    let health = Health { path: "/health".into(), interval: Duration::from_millis(20), ..Health::default() };
    let front = front(Options {
        upstreams: vec![format!("http://{}", changing.address()), format!("http://{}", steady.address())],
        health: Some(health),
        ..Options::default()
    });
    let both = |front: &Served| {
        let texts: Vec<String> = (0..4).map(|_| text(front, "/").1).collect();
        (texts.iter().any(|text| text == "changing"), texts.iter().any(|text| text == "steady"))
    };
    eventually("the ill one is found out", || both(&front) == (false, true));
    well.store(1, SeqCst);
    eventually("it is used again", || both(&front) == (true, true));
}

const SWITCH: &str = "GET /switch HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\n";

#[test]
fn a_switch_is_asked_of_another_upstream_if_the_first_cannot_be_reached() {
    let inner = serve(upstream()).unwrap();
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let two = |first: SocketAddr, retries| Options {
        upstreams: vec![format!("http://{first}"), format!("http://{}", inner.address())],
        fails: 1000,
        retries,
        ..Options::default()
    };
    let switch = |front: &Served| {
        Wire::open(front.address(), format!("{SWITCH}Upgrade: websocket\r\n\r\n")).response().status
    };
    let statuses = |options| {
        let front = front(options);
        (0..4).map(|_| switch(&front)).collect::<Vec<u16>>()
    };
    assert_eq!(statuses(two(gone, 1)), [101; 4]);
    assert!(statuses(two(gone, 0)).contains(&502));
    // One that has heard of it may have acted on it.
    let (dies, heard) = scripted(|stream, _| drop(stream.shutdown(std::net::Shutdown::Both)));
    let lost = statuses(two(dies, 1)).iter().filter(|status| **status == 502).count();
    assert!(lost > 0 && heard.lock().unwrap().len() == lost, "{lost}");
}

#[test]
fn websockets_go_through_and_nothing_else_does() {
    let inner = serve(upstream()).unwrap();
    let front = front(to(inner.address()));
    let mut wire = Wire::open(
        front.address(),
        format!("{SWITCH}Upgrade: websocket\r\nSec-WebSocket-Key: x\r\n\r\nearly"),
    );
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.extend(wire.read_exact(1).unwrap());
    }
    let head = String::from_utf8(head).unwrap().to_ascii_lowercase();
    assert!(head.starts_with("http/1.1 101 ") && head.contains("upgrade: websocket\r\n"), "{head}");
    assert!(head.contains("connection: upgrade\r\n"), "{head}");
    assert_eq!(wire.read_exact(5).unwrap(), b"early");
    let much = vec![b'x'; 1 << 20];
    let (mut writer, sent) = (wire.stream().try_clone().unwrap(), much.clone());
    let sending = thread::spawn(move || writer.write_all(&sent).unwrap());
    assert!(wire.read_exact(much.len()).unwrap() == much);
    sending.join().unwrap();
    // Half of the connection ends, then the other.
    wire.finish();
    assert_eq!(wire.rest(), (b"bye".to_vec(), Ended::Closed));
    for refused in [
        "Upgrade: h2c\r\nHTTP2-Settings: x\r\n",
        "Upgrade: websocket, h2c\r\n",
        "Upgrade: websocket\r\nUpgrade: h2c\r\n",
        "Upgrade: other\r\n",
        "Upgrade: websocket\r\nContent-Length: 0\r\n",
    ] {
        let mut wire = Wire::open(front.address(), format!("{SWITCH}{refused}\r\n"));
        assert_eq!(wire.response().text(), "no switch", "{refused:?}");
    }
}

#[test]
fn no_byte_goes_to_an_upstream_that_does_not_switch() {
    let (address, heard) = scripted(|stream, _| drop(stream.write_all(OK)));
    let front = front(to(address));
    // An upstream that answers as usual would take what follows for a request.
    let mut wire = Wire::open(
        front.address(),
        format!("{SWITCH}Upgrade: websocket\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n"),
    );
    assert_eq!(wire.response().text(), "ok");
    assert_eq!(wire.response().text(), "ok");
    let heard = heard.lock().unwrap();
    assert_eq!(heard.len(), 2);
    assert!(!heard[0].contains("smuggled"), "{heard:?}");
    // It came as a request of its own, checked as any other.
    assert!(heard[1].contains("host: evil") && heard[1].contains("x-forwarded-for: 127.0.0.1"), "{heard:?}");
    let (address, _) = scripted(|stream, _| {
        let _ = stream.write_all(b"HTTP/1.1 101 Switching\r\nupgrade: other\r\nconnection: upgrade\r\n\r\n");
    });
    let other = self::front(to(address));
    assert_eq!(
        Wire::open(other.address(), format!("{SWITCH}Upgrade: websocket\r\n\r\n")).response().status,
        502
    );
    assert_eq!(text(&other, "/").0, 502);
}

#[test]
fn a_silent_tunnel_ends() {
    let inner = serve(upstream()).unwrap();
    let front = front(Options { tunnel: Duration::from_millis(100), ..to(inner.address()) });
    let mut wire = Wire::open(front.address(), format!("{SWITCH}Upgrade: websocket\r\n\r\n"));
    let started = Instant::now();
    let (bytes, _) = wire.rest();
    assert!(bytes.starts_with(b"HTTP/1.1 101 "));
    assert!(started.elapsed() >= Duration::from_millis(90) && started.elapsed() < Duration::from_secs(5));
}

#[test]
fn upstreams_by_tls_http2_and_unix_sockets() {
    let folder = tempfile::tempdir().unwrap();
    let made = self_signed(&["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
    std::fs::write(&cert, made.cert).unwrap();
    std::fs::write(&key, made.key).unwrap();
    let tls = TlsConfig::new(vec![CertificateFiles { cert: cert.clone(), key, names: Vec::new() }]);
    let encrypted = Serving::new(upstream()).tls(&tls).start().unwrap();
    let over_tls = |http| Options {
        upstreams: vec![format!("https://localhost:{}", encrypted.address().port())],
        ca_file: Some(cert.clone()),
        // A server that looks at both does not take another host than the one that TLS has named.
        host: HostPolicy::Upstream,
        http,
        ..Options::default()
    };
    let socket = folder.path().join("socket");
    let _unix = Serving::new(upstream()).unix(&socket).start().unwrap();
    let by_socket = Options { upstreams: vec![format!("unix:{}", socket.display())], ..Options::default() };
    for (options, version) in
        [(over_tls(Http::Auto), "HTTP/2.0"), (over_tls(Http::One), "HTTP/1.1"), (by_socket, "HTTP/1.1")]
    {
        let front = front(options);
        let seen = get(&front, "/headers", "Connection: x-gone\r\nX-Gone: 1\r\nTE: trailers\r\n").text();
        assert!(
            seen.starts_with(version)
                && seen.contains("x-forwarded-host: front.test")
                && !seen.contains("x-gone"),
            "{seen}"
        );
        let mut wire = Wire::open(
            front.address(),
            "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        wire.send("4\r\nbody\r\n0\r\n\r\n");
        assert_eq!(wire.response().text(), "body", "{version}");
        let mut wire = Wire::open(front.address(), format!("{SWITCH}Upgrade: websocket\r\n\r\nhi"));
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.extend(wire.read_exact(1).unwrap());
        }
        assert_eq!(wire.read_exact(2).unwrap(), b"hi", "{version}");
        let mut wire = Wire::open(front.address(), "GET /breaks HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_eq!(wire.rest().1, Ended::Reset, "{version}");
    }
}

#[test]
fn nginx_stands_behind() {
    needs!("nginx");
    let folder = tempfile::tempdir().unwrap();
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let path = folder.path().display();
    let config = format!(
        "daemon off; master_process off; error_log stderr crit; pid {path}/pid; events {{}} http {{ access_log off; client_body_temp_path {path};
         proxy_temp_path {path}; fastcgi_temp_path {path}; uwsgi_temp_path {path}; scgi_temp_path {path};
         server {{ listen 127.0.0.1:{port}; location / {{ return 200 \"$http_host $http_x_forwarded_for $uri\"; }}
         location /moved {{ return 301 http://127.0.0.1:{port}/here; }} }} }}"
    );
    let file = folder.path().join("nginx.conf");
    std::fs::write(&file, config).unwrap();
    let mut nginx = Command::new("nginx").arg("-c").arg(&file).arg("-p").arg(folder.path()).spawn().unwrap();
    let front = front(to(([127, 0, 0, 1], port).into()));
    eventually("nginx answers", || text(&front, "/").0 == 200);
    assert_eq!(text(&front, "/a").1, "front.test 127.0.0.1 /a");
    assert_eq!(get(&front, "/moved", "").all("location").next(), Some("/here"));
    nginx.kill().unwrap();
    nginx.wait().unwrap();
    assert_eq!(text(&front, "/").0, 502);
}

#[test]
fn a_body_that_was_read_before_is_told() {
    let inner = serve(upstream()).unwrap();
    let app = App::new()
        .with(async |ctx: &mut Ctx, next: cepa_core::Next<'_>| {
            ctx.bytes().await?;
            next.run(ctx).await
        })
        .with(proxy(to(inner.address())).unwrap());
    let front = serve(app).unwrap();
    let post = "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\nbody";
    assert_eq!(Wire::open(front.address(), post).response().status, 500);
    assert_eq!(text(&front, "/").0, 200);
}

#[test]
fn options_that_are_wrong_are_told() {
    let wrong = |change: fn(&mut Options)| -> String {
        let mut options = Options { upstreams: vec!["http://a".into()], ..Options::default() };
        change(&mut options);
        let made: Result<Proxy, InvalidOptions> = proxy(options);
        made.unwrap_err().to_string()
    };
    for (change, expected) in [
        ((|options| options.upstreams.clear()) as fn(&mut Options), "`upstreams` is empty"),
        (|options| options.upstreams = vec!["a:80".into()], "a:80"),
        (|options| options.upstreams = vec!["http://u:p@a".into()], "user information"),
        (|options| options.strip = "api".into(), "`strip`"),
        (|options| options.strip = "/api/".into(), "`strip`"),
        (|options| options.via = "a b".into(), "`via`"),
        (|options| options.upgrades = vec!["h2c".into()], "`upgrades`"),
        (|options| options.upgrades = vec!["HTTP/2.0".into()], "`upgrades`"),
        (|options| options.head = Duration::ZERO, "`head` is 0"),
        (|options| options.requests = 0, "`requests` is 0"),
        (|options| options.health = Some(Health { path: "x".into(), ..Health::default() }), "`health.path`"),
        (|options| options.ca_file = Some("/no/such".into()), "/no/such"),
    ] {
        let text = wrong(change);
        assert!(text.contains(expected), "{expected}: {text}");
    }
}
