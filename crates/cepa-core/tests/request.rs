//! What a handler reads of a request: its target, its headers, its body, and whoever sent it.

use std::{
    cell::{Cell, RefCell},
    future::{Future, poll_fn},
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use cepa_core::{
    App, Body, Connection, Ctx, Error, Json, Next, OnClose, Peer, Policy, Proxies, Reply, Request, Result,
    channel,
    forwarded::Trust,
    router::{all, get, post},
    test::{Answer, Client, block_on},
};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde::{Deserialize, Serialize};

/// An app whose one handler answers everything.
fn app<R: Reply + 'static>(handler: impl AsyncFn(&mut Ctx) -> R + Send + Sync + 'static) -> Client {
    App::new().all("/{*path}", handler).all("/", async |_: &mut Ctx| "root").test()
}

fn status_and_text(answer: &Answer) -> (u16, &str) {
    (answer.status().as_u16(), answer.text())
}

#[test]
fn setters_change_what_is_read_and_leave_the_original() {
    let read = |ctx: &Ctx| {
        format!("{} {} {} [{}] [{}]", ctx.method(), ctx.url(), ctx.path(), ctx.querystring(), ctx.search())
    };
    type Change = fn(&mut Ctx);
    let changes: [(Change, &str); 9] = [
        (|_| {}, "GET /a/b?x=1 /a/b [x=1] [?x=1]"),
        (|ctx| ctx.set_method(Method::PUT), "PUT /a/b?x=1 /a/b [x=1] [?x=1]"),
        (|ctx| ctx.set_url("/c?y"), "GET /c?y /c [y] [?y]"),
        (|ctx| ctx.set_path("/d"), "GET /d?x=1 /d [x=1] [?x=1]"),
        (|ctx| ctx.set_path("/d?e"), "GET /d%3Fe?x=1 /d%3Fe [x=1] [?x=1]"),
        (|ctx| ctx.set_querystring("z=2"), "GET /a/b?z=2 /a/b [z=2] [?z=2]"),
        (|ctx| ctx.set_querystring("?z=2"), "GET /a/b?z=2 /a/b [z=2] [?z=2]"),
        (|ctx| ctx.set_querystring(""), "GET /a/b /a/b [] []"),
        (
            |ctx| ctx.set_query([("a", "1 2"), ("a", "&")]),
            "GET /a/b?a=1+2&a=%26 /a/b [a=1+2&a=%26] [?a=1+2&a=%26]",
        ),
    ];
    for (change, expected) in changes {
        let client = App::new()
            .get("/{first}/{second}", async move |ctx: &mut Ctx| {
                let before = ctx.param("second").map(|value| value.into_owned());
                change(ctx);
                let after = ctx.param("second").map(|value| value.into_owned());
                assert_eq!(before, after, "parameters are those of the path that matched");
                format!("{}|{}", read(ctx), ctx.original_url())
            })
            .test();
        assert_eq!(block_on(client.get("/a/b?x=1")).text(), format!("{expected}|/a/b?x=1"));
    }
}

#[test]
fn a_layer_may_send_a_request_to_another_route() {
    let client = App::new()
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            if let Some(method) = ctx.get("x-http-method-override").and_then(|name| name.parse().ok()) {
                ctx.set_method(method);
            }
            if ctx.path() == "/from" {
                ctx.set_path("/to");
            }
            next.run(ctx).await
        })
        .delete("/to", async |ctx: &mut Ctx| format!("{} {}", ctx.url(), ctx.original_url()))
        .test();
    let answer = block_on(client.post("/from?q=1").header("x-http-method-override", "DELETE"));
    assert_eq!(answer.text(), "/to?q=1 /from?q=1");
}

#[test]
fn where_a_request_goes_is_read_from_host_and_trusted_proxies() {
    let show = async |ctx: &mut Ctx| {
        let ip = ctx.ip().map_or("none".to_owned(), |ip| ip.to_string());
        let (ips, subdomains) = (ctx.ips().len(), ctx.subdomains().join(","));
        format!("{} {} {} {ip} {ips} [{subdomains}]", ctx.href(), ctx.hostname(), ctx.protocol())
    };
    let trust = || "loopback".parse::<Trust>().expect("a name that is known");
    let routes = |app: App| app.get("/", show).test();
    let headers: &[(&str, &str)] = &[
        ("host", "a.b.example.com:81"),
        ("x-forwarded-for", "6.6.6.6, 203.0.113.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "c.example.com"),
        ("forwarded", "for=192.0.2.9;proto=https;host=d.example.com"),
    ];
    let x_for = HeaderName::from_static("x-forwarded-for");
    let everybody = |max_ips| Proxies::Everybody { header: x_for.clone(), max_ips };
    for (client, expected) in [
        (routes(App::new()), "http://a.b.example.com:81/ a.b.example.com http 127.0.0.1 0 [b,a]"),
        (routes(App::new().trust(trust())), "https://c.example.com/ c.example.com https 203.0.113.7 1 [c]"),
        (
            routes(App::new().trust(trust())).from(([8, 8, 8, 8], 1).into()),
            "http://a.b.example.com:81/ a.b.example.com http 8.8.8.8 0 [b,a]",
        ),
        (
            routes(App::new().proxies(Proxies::Forwarded(trust()))),
            "https://d.example.com/ d.example.com https 192.0.2.9 1 [d]",
        ),
        (
            routes(App::new().proxies(everybody(0))),
            "https://c.example.com/ c.example.com https 6.6.6.6 2 [c]",
        ),
        (
            routes(App::new().proxies(everybody(1))),
            "https://c.example.com/ c.example.com https 203.0.113.7 1 [c]",
        ),
        (
            routes(App::new().subdomain_offset(1)).over_tls(),
            "https://a.b.example.com:81/ a.b.example.com https 127.0.0.1 0 [example,b,a]",
        ),
    ] {
        let call = headers.iter().fold(client.get("/"), |call, (name, value)| call.header(name, value));
        assert_eq!(block_on(call).text(), expected);
    }
    let absolute = block_on(routes(App::new()).get("http://other.test/"));
    assert!(absolute.text().starts_with("http://other.test/ localhost "), "{}", absolute.text());
}

#[test]
fn facts_of_the_request_and_its_body() {
    let client = app(async |ctx: &mut Ctx| {
        let request = &ctx.request;
        let is = ctx.is(&["json", "urlencoded", "text/*"]).unwrap_or_default();
        let length = request.length().map_or("-".to_owned(), |length| length.to_string());
        let charset = request.charset().unwrap_or_default();
        let (kind, idempotent) = (request.content_type(), request.is_idempotent());
        format!("{kind}|{charset}|{length}|{}|{idempotent}|{is}", request.has_body())
    });
    for (method, kind, body, expected) in [
        (Method::POST, "Text/HTML; charset=Latin1", "abc", "Text/HTML|Latin1|3|true|false|text/html"),
        (Method::PUT, "application/json", "{}", "application/json||2|true|true|json"),
        (Method::PATCH, "garbage", "", "garbage||0|true|false|"),
    ] {
        let answer = block_on(client.request(method, "/x").header("content-type", kind).body(body));
        assert_eq!(answer.text(), expected);
    }
    assert_eq!(block_on(client.get("/x")).text(), "||-|false|true|");
}

#[test]
fn a_client_chooses_among_what_is_offered() {
    let client = app(async |ctx: &mut Ctx| {
        let types = ctx.accepts(&["html", "json"]).unwrap_or("none");
        let encodings = ctx.accepts_encodings(&["gzip", "identity"]).unwrap_or("none");
        let languages = ctx.accepts_languages(&["de", "en"]).unwrap_or("none");
        let charsets = ctx.accepts_charsets(&["utf-8"]).unwrap_or("none");
        format!("{types} {encodings} {languages} {charsets}")
    });
    assert_eq!(block_on(client.get("/x")).text(), "html identity de utf-8");
    // A list may come in several headers.
    let call = client
        .get("/x")
        .header("accept", "text/html;q=0.1")
        .header("accept", "application/json")
        .header("accept-encoding", "gzip")
        .header("accept-language", "en-GB, de;q=0.5")
        .header("accept-charset", "latin1");
    assert_eq!(block_on(call).text(), "json gzip en none");
}

#[test]
fn a_copy_is_fresh_when_every_condition_says_so() {
    let client = app(async |ctx: &mut Ctx| -> Result {
        if ctx.path() != "/unset" {
            ctx.set_status(200)?;
        }
        ctx.set_etag("v2")?;
        ctx.set_last_modified(std::time::UNIX_EPOCH + Duration::from_secs(86_400));
        match ctx.fresh() {
            true => ctx.set_status(304),
            false => ctx.set_body("stale"),
        }
    });
    let late = "Sat, 03 Jan 1970 00:00:00 GMT";
    for (method, path, headers, status) in [
        (Method::GET, "/a", &[][..], 200),
        (Method::GET, "/a", &[("if-none-match", "\"v1\", W/\"v2\"")], 304),
        (Method::GET, "/a", &[("if-none-match", "\"v1\""), ("if-none-match", "\"v2\"")], 304),
        (Method::HEAD, "/a", &[("if-modified-since", late)], 304),
        (Method::GET, "/a", &[("if-none-match", "\"v1\""), ("if-modified-since", late)], 200),
        (Method::GET, "/a", &[("if-none-match", "\"v2\""), ("cache-control", "no-cache")], 200),
        (Method::POST, "/a", &[("if-none-match", "\"v2\"")], 200),
        (Method::GET, "/unset", &[("if-none-match", "\"v2\"")], 200),
    ] {
        let call =
            headers.iter().fold(client.request(method, path), |call, (name, value)| call.header(name, value));
        let answer = block_on(call);
        assert_eq!(answer.status(), status, "{path} {headers:?}");
        if status == 304 {
            assert_eq!((answer.header("content-type"), answer.text()), ("", ""));
            assert_eq!(answer.header("etag"), "\"v2\"");
        }
    }
}

#[derive(Debug, Deserialize, Serialize)]
struct Entry {
    name: String,
    age: Option<u8>,
    #[serde(default)]
    tag: Vec<String>,
}

#[test]
fn queries_are_read_into_types() {
    let client = app(async |ctx: &mut Ctx| ctx.query::<Entry>().map(Json));
    for (query, expected) in [
        ("?name=x+y&age=7&tag=a&tag=%26", (200, r#"{"name":"x y","age":7,"tag":["a","&"]}"#)),
        ("?name=&age=", (200, r#"{"name":"","age":null,"tag":[]}"#)),
        ("?name=a&other=1", (200, r#"{"name":"a","age":null,"tag":[]}"#)),
        ("", (400, r#"query: "name" is missing"#)),
        ("?name=a&age=300", (400, r#"query: invalid value "300" for "age": expected u8"#)),
        ("?name=a&name=b", (400, r#"query: "name" is given more than once: expected one value"#)),
    ] {
        assert_eq!(status_and_text(&block_on(client.get(&format!("/x{query}")))), expected, "{query}");
    }
    let raw = app(async |ctx: &mut Ctx| {
        Json((
            ctx.query_value("b").map(|value| value.into_owned()),
            ctx.query_map(),
            ctx.query_pairs().count(),
        ))
    });
    let answer = block_on(raw.get("/x?a=1&b=2&a=3&&c"));
    assert_eq!(answer.text(), r#"["2",{"a":["1","3"],"b":"2","c":""},4]"#);
}

#[test]
fn parameters_are_read_into_types() {
    let client = App::new()
        .get("/one/{id}", async |ctx: &mut Ctx| ctx.params::<u64>().map(Json))
        .get("/two/{a}/{b}", async |ctx: &mut Ctx| ctx.params::<(String, u8)>().map(Json))
        .get("/named/{name}/{age}", async |ctx: &mut Ctx| ctx.params::<Entry>().map(Json))
        .get("/none", async |ctx: &mut Ctx| ctx.params::<u64>().map(Json))
        .get("/wrong/{a}", async |ctx: &mut Ctx| ctx.params::<Entry>().map(Json))
        .test();
    for (path, expected) in [
        ("/one/7", (200, "7")),
        ("/one/x", (404, "Not Found")),
        ("/one/99999999999999999999", (404, "Not Found")),
        ("/two/%C3%A9/7", (200, r#"["é",7]"#)),
        ("/two/a/256", (404, "Not Found")),
        ("/named/tobi/3", (200, r#"{"name":"tobi","age":3,"tag":[]}"#)),
        ("/none", (500, "Internal Server Error")),
        ("/wrong/a", (500, "Internal Server Error")),
    ] {
        assert_eq!(status_and_text(&block_on(client.get(path))), expected, "{path}");
    }
}

#[test]
fn bodies_are_read_as_json_as_a_form_and_as_text() {
    let client = App::new()
        .post("/json", async |ctx: &mut Ctx| ctx.json::<Entry>().await.map(Json))
        .post("/form", async |ctx: &mut Ctx| ctx.form::<Entry>().await.map(Json))
        .post("/text", async |ctx: &mut Ctx| ctx.text().await)
        .test();
    let deep = "[".repeat(200);
    let many = format!("{}name=x", "a=1&".repeat(1000));
    let ok = r#"{"name":"x y","age":7,"tag":["a","b"]}"#;
    let json_error = "JSON body: trailing characters at line 1 column 14";
    for (path, kind, body, expected) in [
        ("/json", "application/json", ok, (200, ok)),
        ("/json", "application/vnd.a+json; charset=utf-8", ok, (200, ok)),
        ("/json", "application/json", r#"{"name":"a"} {}"#, (400, json_error)),
        ("/json", "application/json", "", (400, "JSON body: EOF while parsing a value at line 1 column 0")),
        (
            "/json",
            "application/json",
            &deep,
            (400, "JSON body: invalid type: sequence, expected a string at line 1 column 1"),
        ),
        ("/json", "text/plain", ok, (415, r#"unsupported content type "text/plain""#)),
        ("/json", "", ok, (415, r#"unsupported content type """#)),
        ("/form", "application/x-www-form-urlencoded", "name=x+y&age=7&tag=a&tag=b", (200, ok)),
        (
            "/form",
            "application/x-www-form-urlencoded",
            "age=x&name=a",
            (400, r#"form: invalid value "x" for "age": expected u8"#),
        ),
        ("/form", "application/x-www-form-urlencoded", &many, (413, "too many form fields")),
        (
            "/form",
            "multipart/form-data; boundary=x",
            "",
            (415, r#"unsupported content type "multipart/form-data; boundary=x""#),
        ),
        ("/text", "text/plain; charset=UTF-8", "é", (200, "é")),
        ("/text", "text/plain; charset=utf-16", "é", (415, r#"unsupported charset "utf-16""#)),
    ] {
        let answer = block_on(client.post(path).header("content-type", kind).body(body.to_owned()));
        let (status, text) = status_and_text(&answer);
        assert_eq!(status, expected.0, "{path} {kind} {text}");
        if deep != body {
            assert_eq!(text, expected.1, "{path} {kind}");
        }
    }
    let latin = block_on(client.post("/text").body(vec![0xe9]));
    assert_eq!(status_and_text(&latin), (400, "the body is not UTF-8"));
    let entry = Entry { name: "x y".into(), age: Some(7), tag: vec!["a".into(), "b".into()] };
    assert_eq!(block_on(client.post("/json").json(&entry)).text(), ok);
    assert_eq!(block_on(client.post("/form").form(&[("name", "x y")])).json::<Entry>().name, "x y");
}

/// A stream of `count` chunks of 1 KiB, which counts those it has made.
fn chunks(count: usize, made: Rc<Cell<usize>>) -> Body {
    struct Chunks(usize, Rc<Cell<usize>>);
    impl futures_core::Stream for Chunks {
        type Item = Result<Bytes>;

        fn poll_next(self: std::pin::Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
            let made = self.1.get();
            if made == self.0 {
                return Poll::Ready(None);
            }
            self.1.set(made + 1);
            Poll::Ready(Some(Ok(Bytes::from(vec![b'x'; 1024]))))
        }
    }
    Body::from_stream(Chunks(count, made))
}

#[test]
fn a_body_is_refused_past_the_limit_of_its_route() {
    let read = async |ctx: &mut Ctx| ctx.bytes().await.map(|bytes| bytes.len().to_string());
    let client = App::new()
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            if ctx.path() == "/inflated" {
                // What a layer puts in place has the limit too.
                ctx.request.set_body(vec![0; 20 * 1024]);
            }
            next.run(ctx).await
        })
        .post("/default", read)
        .route("/small", post(read).body_limit(2048))
        .route("/inflated", post(read).body_limit(2048))
        .route("/large", post(read).body_limit(64 << 20))
        .post("/handler", async |ctx: &mut Ctx| {
            ctx.request.body_mut().set_limit(1024);
            let first = ctx.request.body_mut().chunk().await.map(|chunk| chunk.map(|bytes| bytes.len()));
            ctx.request.body_mut().set_limit(3072);
            let rest = ctx.bytes().await?.len();
            Ok::<_, Error>(format!("{first:?} {rest}"))
        })
        .test();
    let kib = |count: usize| vec![b'x'; count * 1024];
    for (path, size, status, text) in [
        ("/small", 2, 200, "2048"),
        ("/small", 3, 413, "Payload Too Large"),
        ("/inflated", 1, 413, "Payload Too Large"),
        ("/default", 10 * 1024, 200, "10485760"),
        ("/default", 10 * 1024 + 1, 413, "Payload Too Large"),
        ("/large", 10 * 1024 + 1, 200, "10486784"),
    ] {
        let answer = block_on(client.post(path).body(kib(size)));
        assert_eq!(status_and_text(&answer), (status, text), "{path} {size} KiB");
        // The same in pieces of a length that nobody knows beforehand, read no further than needed.
        let made = Rc::new(Cell::new(0));
        let answer = block_on(client.post(path).body(chunks(size, Rc::clone(&made))));
        assert_eq!(status_and_text(&answer), (status, text), "{path} {size} chunks");
        if path == "/small" {
            assert!(made.get() <= 3, "{} chunks were asked for", made.get());
        }
    }
    let made = Rc::new(Cell::new(0));
    assert_eq!(block_on(client.post("/handler").body(chunks(3, made))).text(), "Some(Ok(1024)) 2048");
}

#[test]
fn a_body_arrives_piece_by_piece_as_the_handler_asks_for_it() {
    let onion = App::new()
        .post("/", async |ctx: &mut Ctx| -> Result<String> {
            let mut seen = Vec::new();
            while let Some(frame) = ctx.request.body_mut().frame().await {
                let frame = frame?;
                seen.push(match frame.data_ref() {
                    Some(data) => String::from_utf8_lossy(data).into_owned(),
                    None => format!("{:?}", frame.trailers_ref()),
                });
            }
            Ok(seen.join("|"))
        })
        .build()
        .expect("the app builds");
    let (mut sender, incoming) = channel(None, 1024);
    let mut request = Request::new(Method::POST, "/");
    request.set_body(incoming);
    let mut answer = onion.handle(request);
    let mut cx = Context::from_waker(Waker::noop());
    assert!(!sender.is_wanted(), "nothing is read before the handler asks");
    for piece in ["one", "two"] {
        assert!(answer.as_mut().poll(&mut cx).is_pending());
        assert_eq!(sender.poll_wanted(&mut cx), Poll::Ready(true));
        sender.send(Bytes::from_static(piece.as_bytes()));
        assert!(!sender.is_wanted(), "one piece at a time");
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    sender.finish(Some(trailers));
    let Poll::Ready(response) = answer.as_mut().poll(&mut cx) else { panic!("all has arrived") };
    let (_, _, _, body) = response.into_parts();
    let text = body.try_into_bytes().expect("a text");
    assert_eq!(text, r#"one|two|Some({"x-sum": "7"})"#);
}

#[test]
fn a_body_that_breaks_off_is_an_error_to_its_reader() {
    let app =
        || App::new().post("/", async |ctx: &mut Ctx| ctx.bytes().await).build().expect("the app builds");
    type End = fn(cepa_core::Sender);
    let ends: [(End, u16, &str); 2] = [
        (drop, 400, "the request body was cut off"),
        (|sender| sender.fail(Error::status_only(408)), 408, "Request Timeout"),
    ];
    for (end, status, text) in ends {
        let (mut sender, incoming) = channel(Some(10), 1024);
        let mut request = Request::new(Method::POST, "/");
        request.set_body(incoming);
        let mut answer = pin!(app().handle(request));
        let mut cx = Context::from_waker(Waker::noop());
        assert!(answer.as_mut().poll(&mut cx).is_pending());
        sender.send(Bytes::from_static(b"half"));
        assert!(answer.as_mut().poll(&mut cx).is_pending());
        end(sender);
        let response = block_on(answer);
        assert_eq!(response.status(), status);
        assert_eq!(response.body().and_then(Body::as_bytes).map(|bytes| &bytes[..]), Some(text.as_bytes()));
    }
    // A declared length past the limit is refused before anything is asked for.
    let (sender, incoming) = channel(Some(2000), 1024);
    let mut request = Request::new(Method::POST, "/");
    request.set_body(incoming);
    assert_eq!(block_on(app().handle(request)).status(), 413);
    assert!(sender.is_reader_gone() && !sender.is_wanted());
}

/// A door that notes what it is told.
#[derive(Default)]
struct Door {
    policy: Cell<Policy>,
    hints: RefCell<Vec<String>>,
    gone: Cell<bool>,
    watcher: RefCell<Option<Waker>>,
}

impl Connection for Door {
    fn door(&self) -> &'static str {
        "noted"
    }

    fn peer(&self) -> Peer {
        Peer::Unix(None)
    }

    fn poll_closed(&self, cx: &mut Context<'_>) -> Poll<()> {
        if self.gone.get() {
            return Poll::Ready(());
        }
        self.watcher.replace(Some(cx.waker().clone()));
        Poll::Pending
    }

    fn inform(&self, status: StatusCode, headers: &HeaderMap) -> bool {
        self.hints.borrow_mut().push(format!("{} {headers:?}", status.as_u16()));
        true
    }

    fn set_policy(&self, policy: Policy) {
        self.policy.set(policy);
    }
}

fn through(door: &Rc<Door>, method: Method, target: &str) -> Request {
    let mut request = Request::new(method, target);
    request.set_connection(Rc::clone(door) as Rc<dyn Connection>);
    request
}

#[test]
fn the_policies_of_layers_and_route_reach_the_door_together() {
    let ok = async |ctx: &mut Ctx| ctx.connection().door();
    let second = Duration::from_secs(1);
    let onion = App::new()
        .with(async move |ctx: &mut Ctx, next: Next<'_>| {
            if ctx.path() != "/plain" {
                ctx.set_policy(Policy { request_time: Some(second), ..Policy::default() });
            }
            next.run(ctx).await
        })
        .get("/plain", ok)
        .get("/layer", ok)
        .route("/complete", get(ok).on_close(OnClose::Complete).body_limit(5))
        .route("/slow", all(ok).on_close(OnClose::Cancel).request_time(Duration::ZERO))
        .build()
        .expect("the app builds");
    let policy = |on_close, request_time, body_limit| Policy { on_close, request_time, body_limit };
    for (path, expected) in [
        ("/plain", Policy::default()),
        ("/layer", policy(OnClose::Auto, Some(second), None)),
        ("/complete", policy(OnClose::Complete, Some(second), Some(5))),
        ("/slow", policy(OnClose::Cancel, Some(Duration::ZERO), None)),
    ] {
        let door = Rc::new(Door::default());
        assert_eq!(block_on(onion.handle(through(&door, Method::GET, path))).status(), 200);
        assert_eq!(door.policy.get(), expected, "{path}");
    }
}

#[test]
fn a_handler_learns_that_its_client_is_gone() {
    let onion = App::new()
        .get("/", async |ctx: &mut Ctx| {
            let closed = ctx.closed();
            ctx.set_body("the ctx is not borrowed")?;
            closed.await;
            ctx.set_body("gone")
        })
        .build()
        .expect("the app builds");
    let door = Rc::new(Door::default());
    let mut answer = onion.handle(through(&door, Method::GET, "/"));
    block_on(poll_fn(|cx| {
        assert!(answer.as_mut().poll(cx).is_pending());
        Poll::Ready(())
    }));
    door.gone.set(true);
    door.watcher.take().expect("somebody watches").wake();
    let response = block_on(answer);
    assert_eq!(response.body().and_then(Body::as_bytes), Some(&Bytes::from_static(b"gone")));
}

#[test]
fn early_hints_go_to_the_door() {
    let app = App::new().get("/", async |ctx: &mut Ctx| {
        let mut hints = HeaderMap::new();
        hints.insert(header::LINK, HeaderValue::from_static("</a.css>; rel=preload"));
        ctx.early_hints(&hints).to_string()
    });
    let onion = app.build().expect("the app builds");
    let door = Rc::new(Door::default());
    block_on(onion.handle(through(&door, Method::GET, "/")));
    assert_eq!(*door.hints.borrow(), [r#"103 {"link": "</a.css>; rel=preload"}"#]);
    assert_eq!(block_on(Client::new(onion).get("/")).text(), "false", "in memory nobody is told");
}

#[test]
fn logs_show_no_secrets() {
    let client = app(async |ctx: &mut Ctx| {
        ctx.cookies().set("session", "s3cret", &Default::default())?;
        Ok::<_, Error>(format!("{ctx:?}"))
    });
    let call = client.get("/x").header("authorization", "Bearer s3cret").header("cookie", "a=s3cret");
    let text = block_on(call.header("x-plain", "shown")).text().to_owned();
    assert!(text.contains("shown") && text.contains("authorization") && !text.contains("s3cret"), "{text}");
}
