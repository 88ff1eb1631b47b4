//! What a handler reads of a request: its target, its headers, and whoever sent it.

use std::time::Duration;

use cepa_core::{
    App, Ctx, Error, Json, Next, Proxies, Reply, Result,
    forwarded::Trust,
    test::{Answer, Client, block_on},
};
use http::{HeaderName, Method};
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
fn logs_show_no_secrets() {
    let client = app(async |ctx: &mut Ctx| {
        ctx.cookies().set("session", "s3cret", &Default::default())?;
        Ok::<_, Error>(format!("{ctx:?}"))
    });
    let call = client.get("/x").header("authorization", "Bearer s3cret").header("cookie", "a=s3cret");
    let text = block_on(call.header("x-plain", "shown")).text().to_owned();
    assert!(text.contains("shown") && text.contains("authorization") && !text.contains("s3cret"), "{text}");
}
