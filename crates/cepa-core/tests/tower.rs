//! The bridge to tower, both ways: services of others mounted in an app, an app served as a service.

use std::{
    cell::Cell,
    convert::Infallible,
    future::ready,
    pin::Pin,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll, Waker},
};

use axum::routing::{get, post};
use bytes::Bytes;
use cepa_core::{
    App, Body, Ctx, Error, Memory, Next, Peer, Request, Result, SendBody, channel, router::Mount,
    test::block_on,
};
use http::{HeaderValue, Method, StatusCode, Version, header};
use http_body::{Body as _, Frame};
use tower::{Service, ServiceExt, service_fn};

/// An axum app, as somebody brings it along.
fn axum_app() -> axum::Router {
    axum::Router::new()
        .route("/", get(|| async { "axum" }))
        .route(
            "/where/{*rest}",
            get(|request: axum::extract::Request| async move {
                (
                    [("x-inner", "yes"), ("vary", "accept"), ("set-cookie", "inner=1")],
                    request.uri().to_string(),
                )
            }),
        )
        .route("/echo", post(|body: axum::body::Bytes| async move { body }))
        .route("/stream", post(|request: axum::extract::Request| async move { request.into_body() }))
        .route("/teapot", get(|| async { StatusCode::IM_A_TEAPOT }))
}

#[test]
fn an_axum_router_is_mounted_like_an_app() {
    let client = App::new()
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            ctx.set("x-outer", "kept")?;
            ctx.set("x-inner", "replaced")?;
            ctx.vary("origin")?;
            ctx.cookies().set("outer", "1", &Default::default())?;
            next.run(ctx).await?;
            let after = format!("{} {}", ctx.status().as_u16(), ctx.path());
            ctx.set("x-after", after)
        })
        .mount("/axum", axum_app())
        .mount(
            "/axum/kept",
            Mount::new(axum::Router::new().route("/axum/kept", get(|| async { "kept" }))).keep_path(),
        )
        .test();
    for (method, target, status, text, after) in [
        (Method::GET, "/axum", 200, "axum", "200 /axum"),
        (Method::GET, "/axum/where/a%20b?q=1", 200, "/where/a%20b?q=1", "200 /axum/where/a%20b"),
        (Method::GET, "/axum/kept", 200, "kept", "200 /axum/kept"),
        (Method::GET, "/axum/teapot", 418, "", "418 /axum/teapot"),
        (Method::GET, "/axum/nowhere", 404, "", "404 /axum/nowhere"),
        (Method::POST, "/axum", 405, "", "405 /axum"),
        (Method::HEAD, "/axum", 200, "", "200 /axum"),
    ] {
        let answer = block_on(client.request(method, target));
        assert_eq!(
            (answer.status().as_u16(), answer.text(), answer.header("x-after")),
            (status, text, after)
        );
        assert_eq!(answer.header("x-outer"), "kept");
    }
    let answer = block_on(client.get("/axum/where/x"));
    let all = |name| answer.headers().get_all(name).iter().collect::<Vec<_>>();
    assert_eq!(all("x-inner"), ["yes"], "the service's own header wins");
    assert_eq!(all("vary"), ["accept", "origin"], "lists add up");
    assert_eq!(all("set-cookie"), ["inner=1", "outer=1; path=/; httponly"]);
    assert_eq!(block_on(client.post("/axum/echo").body("hi")).text(), "hi");
    assert_eq!(block_on(client.head("/axum")).header("content-length"), "4");
    assert_eq!(block_on(client.post("/axum")).header("allow"), "GET,HEAD");
}

/// A stream of numbered pieces of this thread (it is not `Send`) that counts how many were asked for.
struct Pieces {
    most: usize,
    made: Rc<Cell<usize>>,
}

impl futures_core::Stream for Pieces {
    type Item = Result<Bytes>;

    fn poll_next(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = self.made.get();
        if next == self.most {
            return Poll::Ready(None);
        }
        self.made.set(next + 1);
        Poll::Ready(Some(Ok(Bytes::from(format!("{next} ")))))
    }
}

fn pieces(most: usize) -> (Body, Rc<Cell<usize>>) {
    let made = Rc::new(Cell::new(0));
    (Body::from_stream(Pieces { most, made: Rc::clone(&made) }), made)
}

fn post_stream(target: &str, body: Body) -> Request {
    let mut request = Request::new(Method::POST, target);
    request.set_body(body);
    request
}

#[test]
fn bodies_stream_through_a_mounted_service_as_fast_as_they_are_read() {
    let onion = App::new().mount("/axum", axum_app()).build().expect("the app builds");
    let (body, made) = pieces(100);
    let (status, _, _, mut answer) = block_on(onion.handle(post_stream("/axum/stream", body))).into_parts();
    assert_eq!(status, 200);
    assert!(made.get() <= 1, "nobody has read yet, {} pieces were made", made.get());
    for read in 0..100 {
        let piece = block_on(answer.chunk()).expect("there is more").expect("it does not fail");
        assert_eq!(piece, format!("{read} "));
        assert!(made.get() <= read + 2, "{} pieces were made for {} read", made.get(), read + 1);
    }
    assert!(block_on(answer.chunk()).is_none());
}

#[test]
fn an_error_of_the_request_body_reaches_the_service_and_its_answer() {
    let onion = App::new().mount("/axum", axum_app()).build().expect("the app builds");
    // The stream fails after the answer has begun: so does the answer.
    let (mut sender, incoming) = channel(None, 1024);
    let mut answer = onion.handle(post_stream("/axum/stream", Body::from(incoming)));
    let mut body = block_on(&mut answer).into_parts().3;
    let mut cx = Context::from_waker(Waker::noop());
    assert!(Pin::new(&mut body).poll_frame(&mut cx).is_pending());
    sender.send(Bytes::from_static(b"half"));
    assert_eq!(block_on(body.chunk()).map(|chunk| chunk.ok()), Some(Some(Bytes::from_static(b"half"))));
    sender.fail(Error::status_only(408));
    assert!(block_on(body.chunk()).is_some_and(|chunk| chunk.is_err()));
    // A body past its limit never reaches the service whole.
    for limit in [5, 6] {
        let (body, _) = pieces(3);
        let mut request = post_stream("/axum/echo", body);
        request.body_mut().set_limit(limit);
        let response = block_on(onion.handle(request));
        assert_eq!(response.status().is_success(), limit == 6, "{limit}: {}", response.status());
    }
}

#[test]
fn trailers_pass_a_mounted_service() {
    struct Trailing(Option<Frame<Bytes>>);
    impl http_body::Body for Trailing {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
            Poll::Ready(self.0.take().map(Ok))
        }
    }
    let onion = App::new().mount("/axum", axum_app()).build().expect("the app builds");
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    let body = Body::new(Trailing(Some(Frame::trailers(trailers.clone()))));
    let mut answer = block_on(onion.handle(post_stream("/axum/stream", body))).into_parts().3;
    let frame = block_on(answer.frame()).expect("a frame").expect("it does not fail");
    assert_eq!(frame.into_trailers().ok(), Some(trailers));
}

#[test]
fn a_service_is_asked_whether_it_is_ready_and_its_errors_stay_private() {
    #[derive(Clone)]
    struct Slow {
        waits: usize,
        asked: Arc<AtomicUsize>,
    }
    impl Service<http::Request<SendBody>> for Slow {
        type Response = http::Response<Body>;
        type Error = std::io::Error;
        type Future = std::future::Ready<std::result::Result<Self::Response, Self::Error>>;

        fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<std::io::Result<()>> {
            self.asked.fetch_add(1, Ordering::Relaxed);
            if self.waits == 0 {
                return Poll::Ready(Ok(()));
            }
            self.waits -= 1;
            cx.waker().wake_by_ref();
            Poll::Pending
        }

        fn call(&mut self, _: http::Request<SendBody>) -> Self::Future {
            assert_eq!(self.waits, 0, "called only when ready");
            ready(Err(std::io::Error::other("hunter2")))
        }
    }
    let asked = Arc::new(AtomicUsize::new(0));
    let client = App::new()
        .mount("/slow", Slow { waits: 2, asked: Arc::clone(&asked) })
        .mount(
            "/made",
            service_fn(async |request: http::Request<SendBody>| {
                Ok::<_, Infallible>(http::Response::new(request.method().to_string()))
            }),
        )
        .test();
    let answer = block_on(client.get("/slow"));
    assert_eq!((answer.status().as_u16(), answer.text()), (500, "Internal Server Error"));
    assert_eq!(asked.load(Ordering::Relaxed), 3);
    assert_eq!(block_on(client.put("/made/x")).text(), "PUT");
}

#[test]
fn an_app_is_a_service() {
    let app = App::new()
        .get("/{name}", async |ctx: &mut Ctx| {
            let (name, host) = (ctx.param("name").unwrap_or_default().into_owned(), ctx.host());
            format!("{name} {host} {} {:?} {}", ctx.url(), ctx.ip(), ctx.protocol())
        })
        .post("/echo", async |ctx: &mut Ctx| ctx.bytes().await);
    let service = app.into_service().expect("the app builds");
    let ask = |request: http::Request<Body>| {
        let answer = block_on(service.clone().oneshot(request)).expect("an app always answers");
        let (parts, mut body) = answer.into_parts();
        let bytes = block_on(body.bytes(u64::MAX)).expect("the answer is whole");
        (parts.status.as_u16(), String::from_utf8_lossy(&bytes).into_owned())
    };
    let request = |version: Version, uri: &str| {
        let request = http::Request::builder().version(version).uri(uri);
        request.body(Body::empty()).expect("a request")
    };
    let one = request(Version::HTTP_11, "/a?q");
    assert_eq!(ask(one), (200, "a  /a?q None http".to_owned()));
    let mut two = request(Version::HTTP_2, "https://example.com/a?q");
    let peer = Peer::Ip(([192, 0, 2, 1], 80).into());
    two.extensions_mut().insert(Memory { peer, tls: Some(Default::default()) });
    assert_eq!(ask(two), (200, "a example.com /a?q Some(192.0.2.1) https".to_owned()));
    let mut proxied = request(Version::HTTP_11, "http://example.com/a");
    proxied.headers_mut().insert(header::HOST, HeaderValue::from_static("other.test"));
    assert_eq!(ask(proxied), (200, "a example.com http://example.com/a None http".to_owned()));

    // Bodies have the limit that a server would give them.
    let sized = |bytes: usize| {
        let body = Body::from_stream(Once(Some(Bytes::from(vec![b'x'; bytes]))));
        let post = http::Request::post("/echo").body(body).expect("a request");
        ask(post).0
    };
    assert_eq!(sized(10 << 20), 200);
    assert_eq!(sized((10 << 20) + 1), 413);
}

struct Once(Option<Bytes>);

impl futures_core::Stream for Once {
    type Item = Result<Bytes>;

    fn poll_next(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        Poll::Ready(self.0.take().map(Ok))
    }
}

#[test]
fn bodies_stream_through_an_app_that_is_a_service() {
    let app = App::new().post("/", async |ctx: &mut Ctx| ctx.request.take_body());
    let mut service = app.into_service().expect("the app builds");
    let (body, made) = pieces(10);
    let request = http::Request::post("/").body(body).expect("a request");
    let answer = block_on(service.call(request)).expect("an app always answers");
    let mut body = answer.into_body();
    assert_eq!(made.get(), 0);
    for read in 0..10 {
        let piece = block_on(body.chunk()).expect("there is more").expect("it does not fail");
        assert_eq!((piece, made.get()), (Bytes::from(format!("{read} ")), read + 1));
    }
    assert!(block_on(body.chunk()).is_none() && body.size_hint().exact().is_none());
}

#[test]
fn a_tower_stack_stands_around_an_app() {
    let inner = App::new().get("/", async |_: &mut Ctx| "inner").into_service().expect("the app builds");
    let stamp = |mut answer: http::Response<Body>| {
        answer.headers_mut().insert("x-stack", HeaderValue::from_static("seen"));
        answer
    };
    let mut stack = ServiceExt::<http::Request<Body>>::map_response(inner, stamp);
    let request = http::Request::new(Body::empty());
    let answer = block_on(stack.call(request)).expect("an app always answers");
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["x-stack"]),
        (200, &HeaderValue::from_static("seen"))
    );
}
