//! What passes, both ways, and what of it ends at the proxy.

use std::{io::Write, thread};

use cepa_core::{App, Ctx};
use cepa_layers::{
    When, proxy,
    proxy::{Forwarded, HostPolicy, Options},
};
use cepa_tests::{Serving, serve, wire::Wire};

use crate::{OK, front, get, scripted, text, to, upstream};

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
