//! What a handler says to the response, and what goes out.

use std::time::{Duration, UNIX_EPOCH};

use bytes::Bytes;
use cepa_core::{
    App, Body, Ctx, Error, Html, Json, Next, Reply, Response, Result, Text,
    cookie::{CookieOptions, Keys},
    disposition::{Disposition, Fallback},
    test::{Answer, Client, block_on},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header};

/// The answer of an app with this one handler.
fn answer<R: Reply + 'static>(handler: impl AsyncFn(&mut Ctx) -> R + Send + Sync + 'static) -> Answer {
    block_on(App::new().get("/", handler).test().get("/"))
}

/// Status, type and text.
fn seen(answer: &Answer) -> (u16, &str, &str) {
    (answer.status().as_u16(), answer.header("content-type"), answer.text())
}

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json; charset=utf-8";
const BYTES: &str = "application/octet-stream";

#[test]
fn every_kind_of_reply_has_its_status_and_type() {
    async fn nothing(_: &mut Ctx) {}
    for (answer, expected) in [
        (answer(nothing), (404, TEXT, "Not Found")),
        (answer(async |_: &mut Ctx| "text"), (200, TEXT, "text")),
        (answer(async |_: &mut Ctx| " \n<p>page"), (200, HTML, " \n<p>page")),
        (answer(async |_: &mut Ctx| "<p>from a client".to_owned()), (200, TEXT, "<p>from a client")),
        (answer(async |_: &mut Ctx| Html("no tag")), (200, HTML, "no tag")),
        (answer(async |_: &mut Ctx| Text("<p>")), (200, TEXT, "<p>")),
        (answer(async |_: &mut Ctx| Json([1, 2])), (200, JSON, "[1,2]")),
        (
            answer(async |_: &mut Ctx| serde_json::json!({"b": 1, "a": null})),
            (200, JSON, r#"{"b":1,"a":null}"#),
        ),
        (answer(async |_: &mut Ctx| Bytes::from_static(b"b")), (200, BYTES, "b")),
        (answer(async |_: &mut Ctx| vec![b'v']), (200, BYTES, "v")),
        (answer(async |_: &mut Ctx| Body::from("body")), (200, BYTES, "body")),
        (answer(async |_: &mut Ctx| ""), (200, TEXT, "")),
        (answer(async |_: &mut Ctx| StatusCode::ACCEPTED), (202, TEXT, "Accepted")),
        (answer(async |_: &mut Ctx| (StatusCode::CREATED, "made")), (201, TEXT, "made")),
        (answer(async |_: &mut Ctx| (StatusCode::NO_CONTENT, "dropped")), (204, "", "")),
        (answer(async |_: &mut Ctx| Some("some")), (200, TEXT, "some")),
        (answer(async |_: &mut Ctx| None::<String>), (404, TEXT, "Not Found")),
        (answer(async |_: &mut Ctx| Ok::<_, Error>("fine")), (200, TEXT, "fine")),
        (answer(async |_: &mut Ctx| Err::<(), _>(Error::new(410, "gone"))), (410, TEXT, "gone")),
        (answer(async |_: &mut Ctx| http::Response::new(Body::from("raw"))), (200, "", "raw")),
        (answer(async |_: &mut Ctx| Response::new()), (404, TEXT, "Not Found")),
    ] {
        assert_eq!(seen(&answer), expected);
    }
}

#[test]
fn a_type_that_is_set_stays_and_a_status_that_is_chosen_too() {
    type Say = fn(&mut Ctx) -> Result;
    let kinds: [(Say, (u16, &str, &str)); 9] = [
        (|ctx| ctx.set_type("xml").and_then(|()| ctx.set_body("<a/>")), (200, "application/xml", "<a/>")),
        (
            |ctx| ctx.set_type("css").and_then(|()| ctx.set_body("a{}")),
            (200, "text/css; charset=utf-8", "a{}"),
        ),
        (
            |ctx| ctx.set_type("text/plain; charset=ascii").and_then(|()| ctx.set_body("a")),
            (200, "text/plain; charset=ascii", "a"),
        ),
        (
            |ctx| ctx.set_type("application/vnd.api+json").and_then(|()| ctx.set_json(&1)),
            (200, "application/vnd.api+json", "1"),
        ),
        (|ctx| ctx.set_type("html").and_then(|()| ctx.set_json(&1)), (200, JSON, "1")),
        (
            |ctx| ctx.set_type("png").and_then(|()| ctx.set_type("no such")).and_then(|()| ctx.set_body("a")),
            (200, TEXT, "a"),
        ),
        (|ctx| ctx.set_status(418).and_then(|()| ctx.set_body("tea")), (418, TEXT, "tea")),
        (|ctx| ctx.set_body("a").and_then(|()| ctx.set_status(304)), (304, "", "")),
        (|ctx| ctx.set_json(&[1]).and_then(|()| ctx.set_body("text")), (200, JSON, "text")),
    ];
    for (say, expected) in kinds {
        assert_eq!(seen(&answer(async move |ctx: &mut Ctx| say(ctx))), expected);
    }
    assert_eq!(seen(&answer(async |ctx: &mut Ctx| ctx.set_status(1000))).0, 500);
    assert_eq!(seen(&answer(async |ctx: &mut Ctx| ctx.set_status(599))), (599, TEXT, "599"));
    let reason = answer(async |ctx: &mut Ctx| {
        ctx.set_status(499)?;
        ctx.response.set_reason("Left\r\nX: y");
        Result::Ok(())
    });
    assert_eq!(seen(&reason), (499, TEXT, "Left  X: y"));
}

#[test]
fn a_body_that_is_taken_back_leaves_no_trace() {
    let cleared = answer(async |ctx: &mut Ctx| {
        ctx.set_body("text")?;
        ctx.set_length(4);
        ctx.set("x-kept", "1")?;
        ctx.clear_body();
        Result::Ok(())
    });
    assert_eq!(seen(&cleared), (204, "", ""));
    assert_eq!((cleared.header("content-length"), cleared.header("x-kept")), ("", "1"));
}

#[test]
fn headers_are_set_added_and_removed() {
    let answer = answer(async |ctx: &mut Ctx| {
        ctx.set("X-A", "1")?;
        ctx.set("x-a", "2")?;
        ctx.append("x-b", "1")?;
        ctx.append("X-B", "2")?;
        ctx.set("x-gone", 1)?;
        ctx.remove("X-Gone");
        ctx.remove("x-never");
        ctx.vary("Accept")?;
        ctx.vary("accept, Origin")?;
        let facts = (ctx.has("X-B"), ctx.has("x-gone"), ctx.response.get("x-a").map(str::to_owned));
        Result::Ok(format!("{facts:?}"))
    });
    assert_eq!(answer.text(), r#"(true, false, Some("2"))"#);
    for (name, values) in [("x-a", &["2"][..]), ("x-b", &["1", "2"]), ("vary", &["Accept, Origin"])] {
        assert!(answer.headers().get_all(name).iter().eq(values), "{name}");
    }
    let star = block_on(App::new().get("/", async |ctx: &mut Ctx| ctx.vary("a, *")).test().get("/"));
    assert_eq!(star.header("vary"), "*");
    for bad in ["a b", "a\r\nb", "é"] {
        let client = App::new()
            .get("/vary", async move |ctx: &mut Ctx| ctx.vary(bad))
            .get("/set", async move |ctx: &mut Ctx| ctx.set(bad, "1"))
            .test();
        assert_eq!(block_on(client.get("/vary")).status(), 500, "{bad:?}");
        assert_eq!(block_on(client.get("/set")).status(), 500, "{bad:?}");
    }
}

#[test]
fn validators_are_set_and_read_back() {
    let answer = answer(async |ctx: &mut Ctx| {
        let mut seen = Vec::new();
        for tag in ["plain", "\"quoted\"", "W/\"weak\""] {
            ctx.set_etag(tag)?;
            seen.push(ctx.etag().unwrap_or_default().to_owned());
        }
        let time = UNIX_EPOCH + Duration::from_secs(86_400);
        ctx.set_last_modified(time + Duration::from_millis(300));
        assert_eq!(ctx.last_modified(), Some(time), "in whole seconds");
        ctx.set_last_modified(UNIX_EPOCH - Duration::from_secs(1));
        assert_eq!(ctx.last_modified(), None);
        ctx.set_cache_control("no-store")?;
        ctx.set_type("json")?;
        assert_eq!(ctx.content_type(), "application/json");
        assert_eq!(ctx.response_is(&["html", "json"]).as_deref(), Some("json"));
        assert_eq!(ctx.length(), None);
        ctx.set_body(seen.join(" "))?;
        assert_eq!(ctx.length(), Some(25));
        assert!(ctx.is_answered());
        Result::Ok(())
    });
    assert_eq!(answer.text(), r#""plain" "quoted" W/"weak""#);
    assert_eq!((answer.header("etag"), answer.header("cache-control")), ("W/\"weak\"", "no-store"));
}

#[test]
fn redirects_lead_where_they_say_and_back_stays_on_the_site() {
    let client = App::new()
        .get("/to", async |ctx: &mut Ctx| {
            let url = ctx.query_value("url").unwrap_or_default().into_owned();
            if let Some(status) = ctx.query_value("status").and_then(|status| status.parse::<u16>().ok()) {
                ctx.set_status(status)?;
            }
            ctx.redirect(&url)
        })
        .get("/back", async |ctx: &mut Ctx| ctx.back("/home"))
        .test();
    for (url, status, expected, location) in [
        ("/a%20b", "", 302, "/a b".replace(' ', "%20")),
        ("/a", "301", 301, "/a".to_owned()),
        ("/a", "308", 308, "/a".to_owned()),
        ("/a", "404", 302, "/a".to_owned()),
        ("HTTPS%3A//Example.com%3A443/x", "", 302, "https://example.com/x".to_owned()),
        ("/a%0d%0aset-cookie:%20x", "", 302, "/a%0D%0Aset-cookie:%20x".to_owned()),
        ("https%3A//user@example.com/", "", 500, String::new()),
    ] {
        let answer = block_on(client.get(&format!("/to?url={url}&status={status}")));
        assert_eq!((answer.status().as_u16(), answer.header("location")), (expected, &*location), "{url}");
    }
    let page = block_on(client.get("/to?url=/%3Cb%3E").header("accept", "text/html"));
    assert_eq!(seen(&page), (302, HTML, "Redirecting to /&lt;b&gt;."));
    let plain = block_on(client.get("/to?url=/a").header("accept", "application/json"));
    assert_eq!(seen(&plain), (302, TEXT, "Redirecting to /a."));
    for (referrer, location) in [
        ("http://localhost/prev", "http://localhost/prev"),
        ("https://localhost/prev", "https://localhost/prev"),
        ("/local", "/local"),
        ("//evil.test/", "/home"),
        ("http://localhost:99/", "/home"),
        ("http://evil.test/", "/home"),
        ("garbage", "/home"),
    ] {
        assert_eq!(block_on(client.get("/back").header("referer", referrer)).header("location"), location);
    }
    assert_eq!(block_on(client.get("/back")).header("location"), "/home");
}

#[test]
fn a_download_has_a_name_and_its_type() {
    let plain = answer(async |ctx: &mut Ctx| {
        ctx.attachment("dir/plan.pdf")?;
        ctx.set_body(vec![1])
    });
    assert_eq!(plain.header("content-disposition"), r#"attachment; filename="plan.pdf""#);
    assert_eq!(plain.header("content-type"), "application/pdf");
    let named = answer(async |ctx: &mut Ctx| {
        ctx.set_type("text/csv")?;
        let options =
            Disposition { kind: "inline", fallback: Fallback::Omitted, ..Disposition::attachment("é.pdf") };
        ctx.disposition(&options)?;
        ctx.set_body("a,b")
    });
    assert_eq!(named.header("content-disposition"), "inline; filename*=UTF-8''%C3%A9.pdf");
    assert_eq!(named.header("content-type"), "text/csv; charset=utf-8");
    let bare = answer(async |ctx: &mut Ctx| ctx.attachment(None));
    assert_eq!(bare.header("content-disposition"), "attachment");
}

#[test]
fn failing_has_words_of_its_own() {
    let client = App::new()
        .get("/assert", async |ctx: &mut Ctx| ctx.assert(ctx.has("never"), 403, "admins only"))
        .get("/holds", async |ctx: &mut Ctx| ctx.assert(true, 403, "admins only").map(|()| "fine"))
        .get("/expect", async |ctx: &mut Ctx| {
            ctx.expect(ctx.query_value("user"), 401, "log in first").map(|user| user.into_owned())
        })
        .test();
    for (path, status, text) in [
        ("/assert", 403, "admins only"),
        ("/holds", 200, "fine"),
        ("/expect", 401, "log in first"),
        ("/expect?user=tobi", 200, "tobi"),
    ] {
        let answer = block_on(client.get(path));
        assert_eq!((answer.status().as_u16(), answer.text()), (status, text));
    }
}

#[test]
fn an_error_page_is_a_layer() {
    let client = App::new()
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            let Err(error) = next.run(ctx).await else { return Ok(()) };
            ctx.response.fail(&error);
            ctx.set_json(&serde_json::json!({ "error": error.public_message() }))
        })
        .get("/", async |ctx: &mut Ctx| -> Result {
            ctx.set_etag("a")?;
            Err(ctx.error(429, "slower").with_header(header::RETRY_AFTER, HeaderValue::from(9)))
        })
        .test();
    let answer = block_on(client.get("/"));
    assert_eq!(seen(&answer), (429, JSON, r#"{"error":"slower"}"#));
    assert_eq!((answer.header("retry-after"), answer.header("etag")), ("9", ""));
}

#[test]
fn layers_leave_typed_values_for_those_inside() {
    #[derive(Debug, PartialEq)]
    struct User(&'static str);
    let client = App::new()
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            assert_eq!(ctx.insert(User("tobi")), None);
            next.run(ctx).await?;
            let user = ctx.states().remove::<User>();
            ctx.set("x-user", user.map_or("gone", |user| user.0))
        })
        .get("/", async |ctx: &mut Ctx| {
            let name = ctx.state::<User>().map(|user| user.0);
            if let Some(user) = ctx.state_mut::<User>() {
                *user = User("loki");
            }
            assert_eq!(ctx.state::<u32>(), None);
            name
        })
        .test();
    let answer = block_on(client.get("/"));
    assert_eq!((answer.text(), answer.header("x-user")), ("tobi", "loki"));
}

#[test]
fn a_response_of_another_kind_keeps_what_layers_have_set() {
    let client = App::new()
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            ctx.set("x-layer", "1")?;
            ctx.set("x-both", "layer")?;
            next.run(ctx).await
        })
        .get("/", async |_: &mut Ctx| {
            let mut headers = HeaderMap::new();
            headers.insert("x-both", HeaderValue::from_static("inner"));
            let mut response = http::Response::new(Body::from("raw"));
            *response.status_mut() = StatusCode::IM_A_TEAPOT;
            *response.headers_mut() = headers;
            response
        })
        .test();
    let answer = block_on(client.get("/"));
    assert_eq!((answer.status().as_u16(), answer.text()), (418, "raw"));
    assert_eq!((answer.header("x-layer"), answer.header("x-both")), ("1", "inner"));
}

#[test]
fn cookies_are_set_signed_encrypted_and_kept_by_the_client() {
    let keys = |keys: &[&str]| Keys::new(keys).expect("keys that are not empty");
    let app = |ring: &[&str]| -> Client {
        let unsigned = CookieOptions { signed: Some(false), ..Default::default() };
        App::new()
            .keys(keys(ring))
            .get("/set", async move |ctx: &mut Ctx| {
                ctx.cookies().set("plain", "1", &unsigned)?;
                ctx.cookies().set("signed", "tobi", &Default::default())?;
                ctx.cookies().set_encrypted("sealed", b"secret", &Default::default())?;
                Result::Ok("set")
            })
            .get("/get", async |ctx: &mut Ctx| {
                let mut jar = ctx.cookies();
                let plain = jar.get("plain").unwrap_or("-").to_owned();
                let signed = jar.get_signed("signed")?.unwrap_or("-");
                let sealed = jar.get_encrypted("sealed")?.map(|opened| opened.value.len());
                Result::Ok(format!("{plain} {signed} {sealed:?}"))
            })
            .get("/end", async |ctx: &mut Ctx| {
                ctx.cookies().remove("signed", &Default::default())?;
                Result::Ok(
                    ctx.cookies()
                        .remove("plain", &CookieOptions { signed: Some(false), ..Default::default() })?,
                )
            })
            .get("/foreign", async |ctx: &mut Ctx| {
                ctx.append("set-cookie", "sealed=x; Max-Age=0")?;
                ctx.append("set-cookie", "empty=; Path=/")
            })
            .test()
    };
    let client = app(&["a key"]);
    assert_eq!(block_on(client.get("/get")).text(), "- - None");
    let set = block_on(client.get("/set"));
    assert!(!format!("{:?}", set.headers()).contains("secret"));
    assert_eq!(block_on(client.get("/get")).text(), "1 tobi Some(6)");
    assert_eq!(client.cookie("plain").as_deref(), Some("1"));
    let cookies = ["plain", "signed", "signed.sig", "sealed"]
        .map(|name| format!("{name}={}", client.cookie(name).unwrap_or_default()))
        .join("; ");
    // Another app knows the old key still, a third one does not.
    let get = |ring: &[&str]| block_on(app(ring).get("/get").header("cookie", &cookies));
    let rotated = get(&["new key", "a key"]);
    assert_eq!(rotated.text(), "1 tobi Some(6)");
    assert!(rotated.header("set-cookie").starts_with("signed.sig="));
    assert_eq!(get(&["new key"]).text(), "1 - None");
    block_on(client.get("/end"));
    assert_eq!((client.cookie("plain"), client.cookie("signed")), (None, None));
    block_on(client.get("/foreign"));
    assert_eq!((client.cookie("sealed"), client.cookie("empty").as_deref()), (None, Some("")));
    let without =
        App::new().get("/", async |ctx: &mut Ctx| Ok::<_, Error>(ctx.cookies().get_signed("a").map(|_| ())?));
    assert_eq!(block_on(without.test().get("/")).status(), 500);
}

#[test]
fn a_stream_goes_out_as_it_comes_and_a_failing_one_is_told_to_the_door() {
    struct Twice(u8);
    impl futures_core::Stream for Twice {
        type Item = Result<&'static [u8], std::io::Error>;

        fn poll_next(
            mut self: std::pin::Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> std::task::Poll<Option<Self::Item>> {
            self.0 += 1;
            std::task::Poll::Ready(match self.0 {
                1 => Some(Ok(b"one")),
                2 => Some(Err(std::io::Error::other("broken"))),
                _ => None,
            })
        }
    }
    let onion = App::new()
        .get("/", async |ctx: &mut Ctx| ctx.set_body(Body::from_stream(Twice(0))))
        .build()
        .expect("the app builds");
    let response = block_on(onion.handle(cepa_core::Request::new(Method::GET, "/")));
    assert_eq!((response.status().as_u16(), response.length()), (200, None));
    let mut body = response.into_parts().3;
    assert_eq!(block_on(body.chunk()).and_then(Result::ok).as_deref(), Some(&b"one"[..]));
    let error = block_on(body.chunk()).and_then(Result::err).expect("the stream fails");
    assert_eq!((error.status().as_u16(), error.public_message()), (500, "Internal Server Error"));
}
