//! Upstreams and clients that fail, stall or break off.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use cepa_core::{App, Ctx, Result, router::post};
use cepa_layers::{
    proxy,
    proxy::{Health, Options},
};
use cepa_tests::{
    Served, Serving, serve,
    stats::eventually,
    wire::{Ended, Wire},
};
use http::StatusCode;

use crate::{front, get, scripted, text, to, upstream};

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
