//! `fetch` against servers that behave, and servers that do not.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    thread,
    time::{Duration, Instant},
};

use cepa_core::{App, Body, Ctx, Error, Json, Result, router::post};
use cepa_layers::fetch::{Answer, Client, Fetch, Http, Options, Stage};
use cepa_server::tls::{CertificateFiles, TlsConfig, self_signed};
use cepa_tests::{Served, Serving, serve};
use http::{Method, StatusCode, Version};
use tokio::runtime::LocalRuntime;

/// A client that reaches the servers of a test.
fn options() -> Options {
    Options { allow: vec!["127.0.0.0/8".into(), "::1".into()], ..Options::default() }
}

fn client() -> Client {
    Client::new(options()).unwrap()
}

fn run(test: impl AsyncFnOnce()) {
    LocalRuntime::new().unwrap().block_on(async {
        tokio::time::timeout(Duration::from_secs(30), test()).await.expect("it ends in time");
    });
}

fn url(server: &Served, path: &str) -> String {
    format!("http://{}{path}", server.address())
}

/// A body whose length is not known beforehand.
fn streamed(text: &'static str) -> Body {
    Body::from_async(async move |mut out| {
        out.write(text).await;
        Ok(())
    })
}

/// The status and the text of the error of a call that fails.
#[track_caller]
fn text_of(result: Result<Answer>) -> (u16, String) {
    let error = result.map(|answer| answer.status()).unwrap_err();
    (error.status().as_u16(), error.to_string())
}

/// Answers each connection with these bytes, once something was asked, and closes it.
fn raw(answer: impl Into<Vec<u8>>) -> SocketAddr {
    let (listener, answer) = (TcpListener::bind("127.0.0.1:0").unwrap(), answer.into());
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (Ok(mut stream), answer) = (stream, answer.clone()) else { return };
            thread::spawn(move || {
                let _ = stream.read(&mut [0; 4096]);
                let _ = stream.write_all(&answer);
            });
        }
    });
    address
}

fn upstream() -> App {
    App::new()
        .get("/text", async |_: &mut Ctx| "hello")
        .get("/head", async |ctx: &mut Ctx| {
            let names = ["host", "user-agent", "accept", "authorization", "cookie", "x-mine", "content-type"];
            let lines = names.map(|name| format!("{name}={}", ctx.get(name).unwrap_or("-")));
            format!("{} {:?}\n{}", ctx.method(), ctx.request.version(), lines.join("\n"))
        })
        .all("/echo", async |ctx: &mut Ctx| -> Result<String> {
            let kind = ctx.get("content-type").unwrap_or("-").to_owned();
            let framing =
                ctx.get("transfer-encoding").or(ctx.get("content-length")).unwrap_or("-").to_owned();
            let text = ctx.text().await?;
            Ok(format!("{} {kind} {framing} {text}", ctx.method()))
        })
        .get("/json", async |_: &mut Ctx| Json([1, 2, 3]))
        .get("/long", async |_: &mut Ctx| {
            Body::from_async(async |mut out| {
                for _ in 0..1000 {
                    out.write(vec![b'x'; 1000]).await;
                }
                Ok(())
            })
        })
        .get("/flood", async |_: &mut Ctx| {
            Body::from_async(async |mut out| {
                loop {
                    out.write(vec![b'x'; 1000]).await;
                }
            })
        })
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
        .get("/teapot", async |_: &mut Ctx| StatusCode::IM_A_TEAPOT)
        .all("/to", async |ctx: &mut Ctx| -> Result {
            let status: u16 = ctx.query_value("status").unwrap_or_default().parse()?;
            let to = ctx.query_value("to").unwrap_or_default().into_owned();
            ctx.set_status(status)?;
            ctx.set("location", to)
        })
        .route(
            "/sink",
            post(async |ctx: &mut Ctx| -> Result<String> {
                let mut bytes = 0;
                while let Some(chunk) = ctx.request.body_mut().chunk().await {
                    bytes += chunk?.len();
                }
                Ok(bytes.to_string())
            })
            .body_limit(1 << 30),
        )
}

#[test]
fn bodies_of_all_kinds_both_ways() {
    let server = serve(upstream()).unwrap();
    run(async || {
        let client = client();
        let text = client.get(&url(&server, "/text")).await.unwrap();
        assert_eq!(
            (text.status(), text.get("content-type")),
            (StatusCode::OK, Some("text/plain; charset=utf-8"))
        );
        assert_eq!(text.text().await.unwrap(), "hello");
        let list: Vec<u8> = client.get(&url(&server, "/json")).await.unwrap().json().await.unwrap();
        assert_eq!(list, [1, 2, 3]);
        let echo = url(&server, "/echo");
        let stream = || streamed("streamed");
        for (call, expected) in [
            (client.get(&echo), "GET - - "),
            (client.delete(&echo), "DELETE - - "),
            (client.post(&echo), "POST - 0 "),
            (client.post(&echo).body("plain"), "POST - 5 plain"),
            (client.put(&echo).json(&[1]), "PUT application/json 3 [1]"),
            (client.post(&echo).form([("a", "b c")]), "POST application/x-www-form-urlencoded 5 a=b+c"),
            (client.post(&echo).body(stream()), "POST - chunked streamed"),
            (client.request(Method::GET, &echo).body("odd"), "GET - 3 odd"),
        ] {
            assert_eq!(call.await.unwrap().text().await.unwrap(), expected);
        }
        let head = client.request(Method::HEAD, &url(&server, "/text")).await.unwrap();
        assert_eq!(head.get("content-length"), Some("5"));
        assert_eq!(head.text().await.unwrap(), "");
        let head = client.get(&url(&server, "/head")).header("x-mine", "1").header("connection", "close");
        let head = head.await.unwrap().text().await.unwrap();
        let expected = format!(
            "GET HTTP/1.1\nhost={}\nuser-agent=cepa/{}\naccept=*/*\nauthorization=-\ncookie=-\nx-mine=1\ncontent-type=-",
            server.address(),
            env!("CARGO_PKG_VERSION")
        );
        assert_eq!(head, expected);
        let mut long = client.get(&url(&server, "/long")).await.unwrap();
        let mut bytes = 0;
        while let Some(chunk) = long.chunk().await {
            bytes += chunk.unwrap().len();
        }
        assert_eq!(bytes, 1_000_000);
        assert_eq!(text_of(client.get(&url(&server, "/text")).header("x-bad", "a\nb").await).0, 500);
        let teapot = client.get(&url(&server, "/teapot")).await.unwrap();
        assert_eq!(text_of(teapot.ok()), (502, "502 Bad Gateway: the answer is 418 I'm a teapot".to_owned()));
    });
}

#[test]
fn a_handler_asks_through_the_ctx_and_streams_on() {
    let inner = serve(upstream()).unwrap();
    let base = url(&inner, "");
    let app =
        App::new().provide(client()).provide(base).get("/{*path}", async |ctx: &mut Ctx| -> Result<Body> {
            let url = format!("{}{}", ctx.provided::<String>()?, ctx.path());
            Ok(ctx.fetch(&url).await?.ok()?.into_body())
        });
    let outer = serve(app).unwrap();
    run(async || {
        let client = client();
        assert_eq!(client.get(&url(&outer, "/text")).await.unwrap().text().await.unwrap(), "hello");
        let long = client.get(&url(&outer, "/long")).await.unwrap().bytes().await.unwrap();
        assert_eq!(long.len(), 1_000_000);
        assert_eq!(client.get(&url(&outer, "/teapot")).await.unwrap().status(), 502);
        // What breaks off in there breaks off out here, and is never taken for whole.
        assert!(client.get(&url(&outer, "/breaks")).await.unwrap().bytes().await.is_err());
    });
    let without = serve(App::new().get("/", async |ctx: &mut Ctx| -> Result<String> {
        ctx.fetch("http://a.test").await?.text().await
    }))
    .unwrap();
    run(async || assert_eq!(client().get(&url(&without, "/")).await.unwrap().status(), 500));
}

#[test]
fn addresses_that_are_not_public_are_refused_by_default() {
    let server = serve(upstream()).unwrap();
    let port = server.address().port();
    run(async || {
        let client = Client::new(Options::default()).unwrap();
        for host in [
            "127.0.0.1",
            "localhost",
            "LOCALHOST",
            "127.1",
            "2130706433",
            "0x7f.1",
            "0",
            "0.0.0.0",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "169.254.169.254",
            "[fd00:ec2::254]",
            "10.0.0.1",
            "100.100.100.200",
            "[fe80::1]",
        ] {
            let (status, text) = text_of(client.get(&format!("http://{host}:{port}/text")).await);
            assert!(status == 502 && text.contains("may not be reached"), "{host}: {status} {text}");
        }
        for bad in
            ["http://user@127.0.0.1/", "file:///etc/passwd", "http://127.0.0.1\\@a.test/", "gopher://a/"]
        {
            let (status, text) = text_of(client.get(bad).await);
            assert!(status == 500 && text.contains("cannot be asked for"), "{bad}: {status} {text}");
        }
        // By host, by block; and only these.
        let allowed = |change: fn(&mut Options)| {
            let mut options = Options::default();
            change(&mut options);
            Client::new(options).unwrap()
        };
        let by_host = allowed(|options| options.allow_hosts = vec!["localhost".into()]);
        assert!(by_host.get(&format!("http://localhost:{port}/text")).await.is_ok());
        assert!(by_host.get(&format!("http://127.0.0.1:{port}/text")).await.is_err());
        let anywhere = allowed(|options| options.public_only = false);
        assert!(anywhere.get(&format!("http://127.0.0.1:{port}/text")).await.is_ok());
        let denied = allowed(|options| {
            options.public_only = false;
            options.deny = vec!["127.0.0.0/8".into()];
        });
        assert!(denied.get(&format!("http://127.0.0.1:{port}/text")).await.is_err());
        let only = allowed(|options| {
            options.public_only = false;
            options.only_hosts = vec!["localhost".into()];
        });
        assert!(only.get(&format!("http://localhost:{port}/text")).await.is_ok());
        let (_, text) = text_of(only.get(&format!("http://127.0.0.1:{port}/text")).await);
        assert!(text.contains("only_hosts"), "{text}");
    });
}

#[test]
fn redirects_are_followed_bounded_and_checked_again() {
    let (server, other) = (serve(upstream()).unwrap(), serve(upstream()).unwrap());
    run(async || {
        let client = client();
        let to = |status: u16, to: &str| {
            let query = cepa_core::form::to_string([("status", &*status.to_string()), ("to", to)]);
            url(&server, &format!("/to?{query}"))
        };
        let followed = client.get(&to(302, "/text#top")).await.unwrap();
        assert_eq!(followed.url(), url(&server, "/text"));
        assert_eq!(followed.text().await.unwrap(), "hello");
        for (status, method, expected) in [
            (301, Method::POST, "GET - - "),
            (302, Method::POST, "GET - - "),
            (303, Method::PUT, "GET - - "),
            (302, Method::PUT, "PUT text/plain 4 body"),
            (307, Method::POST, "POST text/plain 4 body"),
            (308, Method::POST, "POST text/plain 4 body"),
        ] {
            let call = client.request(method, &to(status, "echo")).header("content-type", "text/plain");
            assert_eq!(call.body("body").await.unwrap().text().await.unwrap(), expected, "{status}");
        }
        let (_, text) = text_of(client.post(&to(307, "/echo")).body(streamed("x")).await);
        assert!(text.contains("cannot be sent again"), "{text}");
        // What belongs to one site is not sent to another.
        let secrets = |url: &str| {
            client.get(url).header("authorization", "secret").header("cookie", "secret").header("x-mine", "1")
        };
        let same = secrets(&to(302, "/head")).await.unwrap().text().await.unwrap();
        assert_eq!(same.matches("secret").count(), 2, "{same}");
        let across = secrets(&to(302, &url(&other, "/head"))).await.unwrap().text().await.unwrap();
        assert!(!across.contains("secret") && across.contains("x-mine=1"), "{across}");
        assert!(across.contains(&format!("host={}", other.address())), "{across}");
        // Bounded.
        let (status, text) = text_of(client.get(&to(302, "")).await);
        assert!(status == 502 && text.contains("more than 5 redirects"), "{status} {text}");
        assert_eq!(client.get(&to(302, "/text")).redirects(0).await.unwrap().status(), 302);
        // Checked again: the first host is allowed, the second is not.
        let guarded =
            Client::new(Options { allow_hosts: vec!["localhost".into()], ..Options::default() }).unwrap();
        let through = |to_url: &str| to(302, to_url).replacen("127.0.0.1", "localhost", 1);
        assert!(guarded.get(&through("/text")).await.is_ok());
        for inside in [
            url(&other, "/text"),
            "http://169.254.169.254/latest/meta-data/".into(),
            "//[::1]/".into(),
            "http://0x7f000001/".into(),
        ] {
            let (status, text) = text_of(guarded.get(&through(&inside)).await);
            assert!(status == 502 && text.contains("may not be reached"), "{inside}: {status} {text}");
        }
        for bad in ["file:///etc/passwd", "http://localhost@127.0.0.1/", "javascript:alert(1)"] {
            assert!(guarded.get(&through(bad)).await.is_err(), "{bad}");
        }
    });
}

#[test]
fn time_and_length_are_bounded() {
    let server = serve(upstream()).unwrap();
    run(async || {
        let short = Duration::from_millis(100);
        let client = Client::new(Options { head: short, ..options() }).unwrap();
        let started = Instant::now();
        let (status, text) = text_of(client.get(&url(&server, "/silent")).await);
        assert!(status == 504 && text.contains(&Stage::Head.to_string()), "{status} {text}");
        let client = self::client();
        let (status, text) = text_of(client.get(&url(&server, "/silent")).timeout(short).await);
        assert!(status == 504 && text.contains(&Stage::Total.to_string()), "{status} {text}");
        let stalls = client.get(&url(&server, "/stalls")).timeout(short).await.unwrap();
        assert_eq!(stalls.bytes().await.unwrap_err().status(), 504);
        // Who is never made to wait is bound as well.
        let mut flood = client.get(&url(&server, "/flood")).timeout(short).limit(u64::MAX).await.unwrap();
        let failed = loop {
            tokio::time::sleep(Duration::from_millis(10)).await;
            if let Err(error) = flood.chunk().await.unwrap() {
                break error;
            }
            assert!(started.elapsed() < Duration::from_secs(5), "it goes on");
        };
        assert_eq!(failed.status(), 504);
        assert!(started.elapsed() < Duration::from_secs(5));
        // After a failure nothing more comes.
        assert!(flood.chunk().await.is_none());
        let mut long = client.get(&url(&server, "/flood")).limit(1_000_000).await.unwrap();
        while long.chunk().await.unwrap().is_ok() {}
        assert!(long.chunk().await.is_none());
        // A port that takes no connection.
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let (status, text) = text_of(client.get(&format!("http://{gone}/")).await);
        assert!(status == 502 && text.contains("no connection to"), "{status} {text}");
        let (status, text) = text_of(client.get("http://no-such-host.invalid/").await);
        assert!(status == 502 && text.contains("cannot be resolved"), "{status} {text}");
        let long = client.get(&url(&server, "/long")).limit(999_999).await.unwrap().bytes().await;
        assert_eq!(long.unwrap_err().status(), 502);
        assert!(client.get(&url(&server, "/long")).limit(1_000_000).await.unwrap().bytes().await.is_ok());
        let few = Client::new(Options { connections: 1, ..options() }).unwrap();
        let held = few.get(&url(&server, "/stalls")).await.unwrap();
        assert_eq!(text_of(few.get(&url(&server, "/text")).await).0, 503);
        drop(held);
    });
}

#[test]
fn hostile_answers_are_errors() {
    run(async || {
        let client = client();
        let many: String = (0..1000).map(|at| format!("x-{at}: 1\r\n")).collect();
        let wide = format!("x: {}\r\n", "y".repeat(1 << 20));
        for (what, answer) in [
            ("nothing", String::new()),
            ("garbage", "\0\0\0\0".into()),
            ("half a head", "HTTP/1.1 200 OK\r\nx: y".into()),
            ("many headers", format!("HTTP/1.1 200 OK\r\n{many}\r\n")),
            ("wide headers", format!("HTTP/1.1 200 OK\r\n{wide}\r\n")),
            (
                "a switch",
                "HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n".into(),
            ),
        ] {
            let address = raw(answer);
            let (status, text) = text_of(client.get(&format!("http://{address}/")).await);
            assert!(status == 502, "{what}: {status} {text}");
        }
        for (what, answer) in [
            ("a short body", "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nshort"),
            ("a cut chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nab"),
            ("a bad chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nab\r\n0\r\n\r\n"),
            ("no last chunk", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n"),
        ] {
            let address = raw(answer);
            let answer = client.get(&format!("http://{address}/")).await.unwrap();
            assert_eq!(answer.bytes().await.unwrap_err().status(), 502, "{what}");
        }
        let address = raw("HTTP/1.1 200 OK\r\n\r\nuntil the end");
        let answer = client.get(&format!("http://{address}/")).await.unwrap();
        assert_eq!(answer.text().await.unwrap(), "until the end");
    });
}

/// An app that tells by which connection it was asked, by counting.
fn counting(connections: &Arc<AtomicUsize>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::clone(connections));
    thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let count = connections.fetch_add(1, SeqCst) + 1;
            // The first connection answers twice and is closed then, unasked.
            let answers = if count == 1 { 2 } else { usize::MAX };
            thread::spawn(move || {
                for _ in 0..answers {
                    if !matches!(stream.read(&mut [0; 4096]), Ok(1..)) {
                        return;
                    }
                    let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
                }
            });
        }
    });
    address
}

#[test]
fn connections_are_kept_and_one_that_was_closed_is_no_error() {
    let connections = Arc::new(AtomicUsize::new(0));
    let address = counting(&connections);
    run(async || {
        let client = client();
        let ask = async || {
            let answer = client.get(&format!("http://{address}/")).await.unwrap();
            assert_eq!(answer.text().await.unwrap(), "ok");
            // The connection is taken back by a task of its own.
            tokio::time::sleep(Duration::from_millis(20)).await;
        };
        ask().await;
        ask().await;
        assert_eq!(connections.load(SeqCst), 1);
        ask().await;
        ask().await;
        assert_eq!(connections.load(SeqCst), 2);
        let brief = Client::new(Options { idle: Duration::from_millis(40), ..options() }).unwrap();
        for _ in 0..2 {
            let answer = brief.get(&format!("http://{address}/")).await.unwrap();
            assert_eq!(answer.text().await.unwrap(), "ok");
            tokio::time::sleep(Duration::from_millis(120)).await;
        }
        assert_eq!(connections.load(SeqCst), 4);
    });
}

#[test]
fn connections_that_are_being_opened_count() {
    let connections = Arc::new(AtomicUsize::new(0));
    let address = counting(&connections);
    run(async || {
        let few = Client::new(Options { connections: 2, ..options() }).unwrap();
        let asks: Vec<_> = (0..5)
            .map(|_| tokio::task::spawn_local(few.get(&format!("http://{address}/")).into_future()))
            .collect();
        let mut statuses = Vec::new();
        for ask in asks {
            statuses.push(ask.await.unwrap().map_or_else(|error| error.status().as_u16(), |_| 200));
        }
        assert_eq!(statuses, [200, 200, 503, 503, 503]);
        assert_eq!(connections.load(SeqCst), 2);
        // A place is free again when its connection does not come about.
        let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        for _ in 0..3 {
            assert_eq!(text_of(few.get(&format!("http://{gone}/")).await).0, 502);
        }
    });
}

#[test]
fn an_unused_connection_makes_room_for_a_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, cert) = localhost(&folder);
    let (first, second) = (serve(upstream()).unwrap(), serve(upstream()).unwrap());
    let third = Serving::new(upstream()).tls(&tls).start().unwrap();
    let third = |path: &str| format!("https://localhost:{}{path}", third.address().port());
    run(async || {
        let one = Client::new(Options { connections: 1, ca_file: Some(cert), ..options() }).unwrap();
        let ask = async |url: &str| {
            let text = one.get(url).await.unwrap().text().await.unwrap();
            // The connection is taken back by a task of its own.
            tokio::time::sleep(Duration::from_millis(20)).await;
            text
        };
        for _ in 0..2 {
            for url in [url(&first, "/text"), url(&second, "/text"), third("/text")] {
                assert_eq!(ask(&url).await, "hello", "{url}");
            }
        }
        // One that is in use stays; of HTTP/2 too, whose connection is in the pool all the while.
        let mut held = one.get(&third("/stalls")).await.unwrap();
        assert_eq!(held.chunk().await.unwrap().unwrap(), "begun");
        assert_eq!(ask(&third("/text")).await, "hello");
        assert_eq!(text_of(one.get(&url(&first, "/text")).await).0, 503);
        drop(held);
        assert_eq!(ask(&url(&first, "/text")).await, "hello");
        // One whose answer has failed is let go at once.
        let mut failed = one.get(&url(&first, "/stalls")).timeout(Duration::from_millis(50)).await.unwrap();
        while failed.chunk().await.unwrap().is_ok() {}
        tokio::time::sleep(Duration::from_millis(20)).await;
        assert_eq!(ask(&url(&second, "/text")).await, "hello");
        drop(failed);
    });
}

/// What a server at localhost has for TLS, and the file of its certificate.
fn localhost(folder: &tempfile::TempDir) -> (TlsConfig, PathBuf) {
    let made = self_signed(&["localhost".to_owned()]).unwrap();
    let (cert, key) = (folder.path().join("cert"), folder.path().join("key"));
    std::fs::write(&cert, made.cert).unwrap();
    std::fs::write(&key, made.key).unwrap();
    let files = CertificateFiles { cert: cert.clone(), key, names: Vec::new() };
    (TlsConfig::new(vec![files]), cert)
}

#[test]
fn tls_and_http2() {
    let folder = tempfile::tempdir().unwrap();
    let (tls, cert) = localhost(&folder);
    let server = Serving::new(upstream()).tls(&tls).start().unwrap();
    let base = format!("https://localhost:{}", server.address().port());
    run(async || {
        for (http, version) in
            [(Http::Auto, Version::HTTP_2), (Http::One, Version::HTTP_11), (Http::Two, Version::HTTP_2)]
        {
            let client = Client::new(Options { http, ca_file: Some(cert.clone()), ..options() }).unwrap();
            let head = client.get(&format!("{base}/head")).await.unwrap().text().await.unwrap();
            assert!(head.starts_with(&format!("GET {version:?}\nhost=localhost:")), "{http:?} {head}");
            let long = client.get(&format!("{base}/long")).await.unwrap().bytes().await.unwrap();
            assert_eq!(long.len(), 1_000_000);
            let stream = Body::from_async(async |mut out| {
                for _ in 0..100 {
                    out.write(vec![b'x'; 10_000]).await;
                }
                Ok(())
            });
            let sunk = client.post(&format!("{base}/sink")).body(stream).await.unwrap();
            assert_eq!(sunk.text().await.unwrap(), "1000000");
            assert!(client.get(&format!("{base}/breaks")).await.unwrap().bytes().await.is_err());
            assert_eq!(client.get(&format!("{base}/text")).await.unwrap().text().await.unwrap(), "hello");
            // No way leads from a protected connection to an open one.
            let (_, text) = text_of(client.get(&format!("{base}/to?status=302&to=http://localhost/")).await);
            assert!(text.contains("from https to http"), "{text}");
        }
        let stranger = Client::new(options()).unwrap();
        let (status, text) = text_of(stranger.get(&format!("{base}/text")).await);
        assert!(status == 502 && text.contains("no TLS with"), "{status} {text}");
        let wrong_name = Client::new(Options { ca_file: Some(cert.clone()), ..options() }).unwrap();
        let by_address = base.replace("localhost", "127.0.0.1");
        assert!(text_of(wrong_name.get(&format!("{by_address}/text")).await).1.contains("no TLS with"));
    });
}

#[test]
fn options_that_are_wrong_are_told() {
    let wrong = |change: fn(&mut Options)| {
        let mut options = Options::default();
        change(&mut options);
        Client::new(options).unwrap_err().to_string()
    };
    assert!(wrong(|options| options.allow = vec!["10.0.0.1/8".into()]).contains("10.0.0.1/8"));
    assert!(wrong(|options| options.deny = vec!["x".into()]).contains("address block"));
    assert!(wrong(|options| options.only_hosts = vec!["http://a".into()]).contains("no host name"));
    assert!(wrong(|options| options.allow_hosts = vec!["".into()]).contains("no host name"));
    assert!(wrong(|options| options.user_agent = "a\nb".into()).contains("user_agent"));
    assert!(wrong(|options| options.head = Duration::ZERO).contains("`head` is 0"));
    assert!(wrong(|options| options.connections = 0).contains("`connections` is 0"));
    assert!(wrong(|options| options.ca_file = Some("/no/such/file".into())).contains("/no/such/file"));
}
