//! What a polite client and an app see of each other.

use std::sync::atomic::{AtomicU32, Ordering::Relaxed};

use cepa_core::{Body, OnClose, Policy, Result};
use h2::Reason;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body::Frame;

use super::*;

fn echo() -> App {
    App::new()
        .get("/", async |_: &mut Ctx| "Hello, onion")
        .get("/large", async |_: &mut Ctx| vec![b'x'; 1 << 20])
        .post("/pipe", async |ctx: &mut Ctx| -> Result {
            let body = ctx.request.take_body();
            ctx.set_body(body)
        })
        .post("/whole", async |ctx: &mut Ctx| ctx.request.body_mut().bytes(1 << 30).await)
}

#[test]
fn a_request_is_answered() {
    run(async {
        let mut client = Client::new(echo(), Limits::default()).await;
        let response = client.get("/").await.await.unwrap();
        let field = |name: header::HeaderName| response.headers()[name].to_str().unwrap().to_owned();
        assert_eq!(field(header::CONTENT_LENGTH), "12");
        assert!(field(header::DATE).ends_with(" GMT"));
        assert_eq!(body(response).await, (b"Hello, onion".to_vec(), None));
        let (status, all) = text(client.get("/large").await).await;
        assert_eq!((status, all.len()), (200, 1 << 20));
        let head = Request::head("http://a.test/").body(()).unwrap();
        let response = client.request(head, true).await.0.await.unwrap();
        assert_eq!(response.headers()[header::CONTENT_LENGTH], "12");
        assert!(response.into_body().is_end_stream());
    });
}

#[test]
fn a_body_goes_through_with_its_trailers_under_back_pressure() {
    run(async {
        let mut client = Client::new(echo(), Limits::default()).await;
        let (response, mut send) = client.post("/pipe").await;
        let sender = spawn_local(async move {
            let mut left = Bytes::from(vec![7; 3 << 20]);
            while !left.is_empty() {
                send.reserve_capacity(left.len());
                let room = std::future::poll_fn(|cx| send.poll_capacity(cx)).await.unwrap().unwrap();
                send.send_data(left.split_to(room.min(left.len())), false).unwrap();
            }
            let mut trailers = HeaderMap::new();
            trailers.insert("x-sum", HeaderValue::from_static("21"));
            send.send_trailers(trailers).unwrap();
        });
        let response = response.await.unwrap();
        let mut received = response.into_body();
        // The windows fill up, and nothing more is read from the client.
        sleep(Duration::from_secs(5)).await;
        assert!(!sender.is_finished());
        let mut length = 0;
        while let Some(data) = received.data().await {
            let data = data.unwrap();
            received.flow_control().release_capacity(data.len()).unwrap();
            length += data.len();
        }
        assert_eq!(length, 3 << 20);
        assert_eq!(received.trailers().await.unwrap().unwrap()["x-sum"], "21");
    });
}

#[test]
fn a_body_past_the_limit_is_413_and_a_wrong_length_a_reset() {
    run(async {
        let limits = Limits { body: 1000, ..Limits::default() };
        let mut client = Client::new(echo(), limits).await;
        let (response, mut send) = client.post("/whole").await;
        send.send_data(Bytes::from(vec![0; 2000]), true).unwrap();
        assert_eq!(text(response).await.0, 413);

        for (declared, sent) in [(5, 6), (7, 6)] {
            let request = Request::post("http://a.test/whole").header(header::CONTENT_LENGTH, declared);
            let (response, mut send) = client.request(request.body(()).unwrap(), false).await;
            send.send_data(Bytes::from(vec![0; sent]), true).unwrap();
            assert_eq!(response.await.unwrap_err().reason(), Some(Reason::PROTOCOL_ERROR));
        }
    });
}

#[test]
fn a_client_that_waits_for_100_gets_it_when_the_app_reads() {
    run(async {
        let mut client = Client::new(echo(), Limits::default()).await;
        let request = Request::post("http://a.test/whole").header("expect", "100-continue").body(()).unwrap();
        let (mut response, mut send) = client.request(request, false).await;
        let informed = std::future::poll_fn(|cx| response.poll_informational(cx)).await.unwrap().unwrap();
        assert_eq!(informed.status(), StatusCode::CONTINUE);
        send.send_data(Bytes::from("now"), true).unwrap();
        assert_eq!(text(response).await, (200, "now".to_owned()));
    });
}

#[test]
fn early_hints_go_ahead_of_the_response_and_not_behind_it() {
    let app = App::new().get("/", async |ctx: &mut Ctx| {
        let mut hints = HeaderMap::new();
        hints.insert(header::LINK, HeaderValue::from_static("</a.css>"));
        hints.insert(header::CONNECTION, HeaderValue::from_static("close"));
        let connection = ctx.request.connection();
        assert!(connection.inform(StatusCode::EARLY_HINTS, &hints));
        assert!(!connection.inform(StatusCode::SWITCHING_PROTOCOLS, &hints));
        assert_eq!((connection.door(), connection.is_draining()), ("h2", false));
        "done"
    });
    run(async {
        let mut client = Client::new(app, Limits::default()).await;
        let mut response = client.get("/").await;
        let informed = std::future::poll_fn(|cx| response.poll_informational(cx)).await.unwrap().unwrap();
        assert_eq!(informed.status(), StatusCode::EARLY_HINTS);
        assert_eq!(informed.headers()["link"], "</a.css>");
        assert_eq!(text(response).await.1, "done");
    });
}

#[test]
fn a_response_that_breaks_its_word_is_reset() {
    fn stream(fail: bool) -> Body {
        struct Parts(Vec<Result<Frame<Bytes>>>);
        impl http_body::Body for Parts {
            type Data = Bytes;
            type Error = cepa_core::Error;
            fn poll_frame(
                mut self: std::pin::Pin<&mut Self>,
                _: &mut std::task::Context<'_>,
            ) -> std::task::Poll<Option<Result<Frame<Bytes>>>> {
                std::task::Poll::Ready(self.0.pop())
            }
        }
        let data = Ok(Frame::data(Bytes::from_static(b"12345")));
        let end = fail.then(|| Err(cepa_core::Error::status_only(500)));
        Body::new(Parts(end.into_iter().chain([data]).collect()))
    }
    let send = |length: &'static str, fail| {
        async move |ctx: &mut Ctx| -> Result {
            ctx.set_body(stream(fail))?;
            ctx.set("content-length", length)
        }
    };
    let app = App::new()
        .get("/short", send("9", false))
        .get("/long", send("3", false))
        .get("/failed", send("9", true));
    run(async {
        let mut client = Client::new(app, Limits::default()).await;
        for path in ["/short", "/long", "/failed"] {
            // The reset may overtake the head.
            let reason = match client.get(path).await.await {
                Ok(response) => body(response).await.1,
                Err(error) => error.reason(),
            };
            assert_eq!(reason, Some(Reason::INTERNAL_ERROR), "{path}");
        }
    });
}

#[test]
fn a_body_that_nobody_reads_holds_up_no_other_stream() {
    let app = echo().post("/ignored", async |ctx: &mut Ctx| {
        drop(ctx.request.take_body());
        sleep(Duration::from_secs(20)).await;
        "done"
    });
    run(async {
        let mut limits = Limits::default();
        limits.http2.connection_window = 128 * 1024;
        limits.http2.stream_window = 64 * 1024;
        let mut client = Client::new(app, limits).await;
        let mut ignored = Vec::new();
        for _ in 0..4 {
            let (response, mut send) = client.post("/ignored").await;
            send.send_data(Bytes::from(vec![0; 60 * 1024]), false).unwrap();
            ignored.push((response, send));
        }
        let (response, mut send) = client.post("/whole").await;
        send.send_data(Bytes::from(vec![0; 100 * 1024]), true).unwrap();
        assert_eq!(text(response).await.1.len(), 100 * 1024);
        assert!(client.served.begun.elapsed() < Duration::from_secs(2));
        for (response, mut send) in ignored {
            let response = response.await.unwrap();
            assert_eq!(body(response).await, (b"done".to_vec(), None));
            // More than is read for politeness: the rest is refused, without an error.
            send.send_data(Bytes::from(vec![0; 10 * 1024]), false).unwrap();
            let reason = std::future::poll_fn(|cx| send.poll_reset(cx)).await.unwrap();
            assert_eq!(reason, Reason::NO_ERROR);
        }
    });
}

#[test]
fn a_reset_cancels_a_handler_by_its_policy() {
    for (policy, post, runs_on) in [
        (None, false, false),
        (None, true, true),
        (Some(OnClose::Complete), false, true),
        (Some(OnClose::Cancel), true, false),
    ] {
        let seats = Arc::new(Parked::default());
        let ended = Arc::new(Parked::default());
        let (count, completed) = (Arc::clone(&seats), Arc::clone(&ended));
        let handler = async move |ctx: &mut Ctx| {
            if let Some(on_close) = policy {
                ctx.request.connection().set_policy(Policy { on_close, ..Policy::default() });
            }
            let _seat = count.sit();
            sleep(Duration::from_secs(10)).await;
            std::mem::forget(completed.sit());
            "done"
        };
        let app = App::new().get("/", handler.clone()).post("/", handler);
        run(async {
            let mut client = Client::new(app, Limits::default()).await;
            let method = if post { "POST" } else { "GET" };
            let request = Request::builder().method(method).uri("http://a.test/").body(()).unwrap();
            let (response, mut send) = client.request(request, true).await;
            sleep(Duration::from_secs(1)).await;
            assert_eq!(seats.now(), 1);
            send.send_reset(Reason::CANCEL);
            drop(response);
            sleep(Duration::from_secs(1)).await;
            assert_eq!(seats.now(), usize::from(runs_on), "{policy:?} {method}");
            // The connection goes, the handler that completes does not, and the door waits for it.
            client.connection.abort();
            let seconds = client.served.ended().await;
            assert_eq!((ended.now() == 1, seconds >= 10), (runs_on, runs_on), "{policy:?} {method}");
        });
    }
}

#[test]
fn an_app_learns_that_its_client_has_gone() {
    let noticed = Arc::new(Parked::default());
    let notice = Arc::clone(&noticed);
    let app = App::new().get("/", async move |ctx: &mut Ctx| {
        let connection = Rc::clone(ctx.request.connection());
        connection.set_policy(Policy { on_close: OnClose::Complete, ..Policy::default() });
        std::future::poll_fn(|cx| connection.poll_closed(cx)).await;
        std::mem::forget(notice.sit());
        "nobody gets this"
    });
    run(async {
        let mut client = Client::new(app, Limits::default()).await;
        let response = client.get("/").await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(noticed.now(), 0);
        client.connection.abort();
        drop((response, client.send));
        client.served.door.await.unwrap();
        assert_eq!(noticed.now(), 1);
    });
}

#[test]
fn all_who_wait_for_the_client_to_go_hear_of_it() {
    let noticed = Arc::new(Parked::default());
    let notice = Arc::clone(&noticed);
    let app = App::new().get("/", async move |ctx: &mut Ctx| {
        for _ in 0..3 {
            let (closed, notice) = (ctx.closed(), Arc::clone(&notice));
            spawn_local(async move {
                closed.await;
                std::mem::forget(notice.sit());
            });
        }
        std::future::pending::<()>().await;
    });
    run(async {
        let mut client = Client::new(app, Limits::default()).await;
        let response = client.get("/").await;
        sleep(Duration::from_secs(1)).await;
        assert_eq!(noticed.now(), 0);
        client.connection.abort();
        drop((response, client.send));
        client.served.door.await.unwrap();
        sleep(Duration::from_secs(1)).await;
        assert_eq!(noticed.now(), 3);
    });
}

#[test]
fn what_the_door_refuses_is_answered_on_its_stream_and_the_connection_goes_on() {
    run(async {
        let mut client = Client::new(echo(), Limits::default()).await;
        for (method, uri, status) in [("CONNECT", "a.test:443", 501), ("GET", "http://u@a.test/", 400)] {
            let request = Request::builder().method(method).uri(uri).body(()).unwrap();
            assert_eq!(text(client.request(request, true).await.0).await.0, status, "{method} {uri}");
        }
        let mut many = Request::get("http://a.test/");
        for n in 0..101 {
            many = many.header(format!("x-{n}"), "1");
        }
        assert_eq!(text(client.request(many.body(()).unwrap(), true).await.0).await.0, 431);
        let large = Request::get("http://a.test/").header("x", "x".repeat(33 * 1024)).body(()).unwrap();
        assert_eq!(text(client.request(large, true).await.0).await.0, 431);
        let space = Request::get("http://a.test/").header("x", " x").body(()).unwrap();
        let error = client.request(space, true).await.0.await.unwrap_err();
        assert_eq!(error.reason(), Some(Reason::PROTOCOL_ERROR));
        assert_eq!(text(client.get("/").await).await.0, 200);
    });
}

#[test]
fn a_request_without_a_path_is_malformed() {
    run(async {
        // `host` in place of `:authority`: h2 would take it for `/`.
        let (_served, mut raw) = Raw::new(echo(), Limits::default(), &[]).await;
        raw.send(&request(1, b"\x82\x86\x0f\x17\x01a", true)).await;
        loop {
            let (kind, _, stream, payload) = raw.next().await.expect("the connection stays");
            if stream == 1 {
                assert_eq!((kind, &payload[..]), (kind::RST_STREAM, &[0, 0, 0, 1][..]));
                break;
            }
        }
    });
}

#[test]
fn a_burst_of_requests_is_answered_whole() {
    run(async {
        let (_served, mut raw) = Raw::new(echo(), Limits::default(), &[]).await;
        let burst: Vec<u8> = (0..128).flat_map(|n| request(2 * n + 1, GET, true)).collect();
        raw.send(&burst).await;
        let mut answers = 0;
        while answers < 128 {
            let (kind, _, _, payload) = raw.next().await.expect("the connection stays");
            assert_ne!(kind, kind::RST_STREAM);
            answers += u32::from(kind == kind::DATA && payload == b"Hello, onion");
        }
    });
}

#[test]
fn what_a_handler_puts_off_begins_after_its_stream_and_outlives_the_connection() {
    run(async {
        let notes = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&notes);
        let app = App::new().get("/", async move |ctx: &mut Ctx| -> Result<&'static str> {
            let notes = Arc::clone(&notes);
            ctx.defer(async move {
                sleep(Duration::from_secs(60)).await;
                notes.fetch_add(1, Relaxed);
                Ok(())
            })?;
            Ok("now")
        });
        let mut client = Client::new(app, Limits::default()).await;
        assert_eq!(text(client.get("/").await).await, (200, "now".to_owned()));
        assert_eq!(client.served.begun.elapsed().as_secs(), 0);
        let floor = Rc::clone(&client.served.floor);
        assert_eq!(floor.deferred.get(), 1);
        drop(client);
        std::future::poll_fn(|cx| floor.poll_empty(cx)).await;
        assert_eq!((seen.load(Relaxed), floor.deferred.get()), (1, 0));
    });
}
