//! Request bodies: read whole, read piece by piece, and refused.

use std::{
    cell::Cell,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
};

use bytes::Bytes;
use cepa_core::{
    App, Body, Ctx, Error, Json, Next, Request, Result, channel,
    router::post,
    test::{Answer, block_on},
};
use http::{HeaderMap, HeaderValue, Method};
use serde::{Deserialize, Serialize};

fn status_and_text(answer: &Answer) -> (u16, &str) {
    (answer.status().as_u16(), answer.text())
}

#[derive(Debug, Deserialize, Serialize)]
struct Entry {
    name: String,
    age: Option<u8>,
    #[serde(default)]
    tag: Vec<String>,
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
        assert!(answer.poll_response(&mut cx).is_pending());
        assert_eq!(sender.poll_wanted(&mut cx), Poll::Ready(true));
        sender.send(Bytes::from_static(piece.as_bytes()));
        assert!(!sender.is_wanted(), "one piece at a time");
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    sender.finish(Some(trailers));
    let Poll::Ready(response) = answer.poll_response(&mut cx) else { panic!("all has arrived") };
    let (_, _, _, body) = std::mem::take(response).into_parts();
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
        assert!(answer.poll_response(&mut cx).is_pending());
        sender.send(Bytes::from_static(b"half"));
        assert!(answer.poll_response(&mut cx).is_pending());
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
