//! Streams that another protocol takes over (RFC 8441).

use std::{
    future::{pending, poll_fn},
    io,
};

use cepa_core::{Io, Result};
use h2::{Reason, RecvStream, SendStream, ext::Protocol};
use http::{HeaderValue, Method, StatusCode};

use super::*;

/// What a switch of protocols does with the stream.
async fn echo(mut io: Box<dyn Io>) -> io::Result<()> {
    let mut bytes = [0; 5000];
    loop {
        let length = poll_fn(|cx| io.poll_read(cx, &mut bytes)).await?;
        if length == 0 {
            return poll_fn(|cx| io.poll_shutdown(cx)).await;
        }
        let mut rest = &bytes[..length];
        while !rest.is_empty() {
            let written = poll_fn(|cx| io.poll_write(cx, rest)).await?;
            rest = &rest[written..];
        }
    }
}

fn switch(ctx: &mut Ctx, run: cepa_core::OnUpgrade) -> Result {
    let fields = ctx.response.headers_mut();
    fields.insert("upgrade", HeaderValue::from_static("websocket"));
    fields.insert("connection", HeaderValue::from_static("upgrade"));
    fields.insert("sec-websocket-accept", HeaderValue::from_static("x"));
    fields.insert("sec-websocket-protocol", HeaderValue::from_static("chat"));
    ctx.response.set_status(StatusCode::SWITCHING_PROTOCOLS);
    ctx.response.on_upgrade(run);
    Ok(())
}

fn app() -> App {
    let run = |future: cepa_core::LocalBoxFuture<'static, ()>| future;
    App::new()
        .get("/echo", async move |ctx: &mut Ctx| {
            let key = ctx.get("sec-websocket-key").unwrap_or_default().len();
            assert_eq!(
                (ctx.get("upgrade"), ctx.get("connection"), key),
                (Some("websocket"), Some("upgrade"), 24)
            );
            switch(ctx, Box::new(move |io| run(Box::pin(async move { drop(echo(io).await) }))))
        })
        .get("/stuck", async move |ctx: &mut Ctx| {
            switch(
                ctx,
                Box::new(move |io| {
                    run(Box::pin(async move {
                        let _io = io;
                        pending::<()>().await;
                    }))
                }),
            )
        })
        .get("/dropped", async move |ctx: &mut Ctx| switch(ctx, Box::new(move |_| run(Box::pin(async {})))))
        .get("/aborted", async move |ctx: &mut Ctx| {
            switch(ctx, Box::new(move |mut io| run(Box::pin(async move { io.abort() }))))
        })
        .get("/no", async |ctx: &mut Ctx| -> Result {
            ctx.set_status(403)?;
            ctx.set_body("no")
        })
}

fn connect(path: &str, protocol: &'static str) -> Request<()> {
    let mut request = Request::builder().method(Method::CONNECT).uri(format!("http://a.test{path}"));
    request = request.extension(Protocol::from_static(protocol));
    request.body(()).unwrap()
}

impl Client {
    /// Opens a tunnel.
    async fn tunnel(&mut self, path: &str) -> (Response<RecvStream>, SendStream<Bytes>) {
        let (response, send) = self.request(connect(path, "websocket"), false).await;
        (response.await.unwrap(), send)
    }
}

async fn send_all(send: &mut SendStream<Bytes>, mut bytes: Bytes) {
    while !bytes.is_empty() {
        send.reserve_capacity(bytes.len());
        let room = poll_fn(|cx| send.poll_capacity(cx)).await.unwrap().unwrap();
        send.send_data(bytes.split_to(room.min(bytes.len())), false).unwrap();
    }
}

#[test]
fn an_extended_connect_is_an_upgrade_to_the_app() {
    run(async {
        let mut client = Client::new(app(), Limits::default()).await;
        let (response, mut send) = client.tunnel("/echo").await;
        assert!(client.send.is_extended_connect_protocol_enabled());
        let (status, fields) = (response.status(), response.headers().clone());
        assert_eq!(status, 200);
        let mut names: Vec<_> = fields.keys().map(http::HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["date", "sec-websocket-protocol"]);
        send.send_data(Bytes::from_static(b"hello"), false).unwrap();
        send.send_data(Bytes::new(), true).unwrap();
        // The end of one side is the end of the other.
        assert_eq!(body(response).await, (b"hello".to_vec(), None));
    });
}

#[test]
fn both_windows_hold_a_tunnel_up() {
    run(async {
        let mut client = Client::new(app(), Limits::default()).await;
        let (response, mut send) = client.tunnel("/echo").await;
        let bytes: Bytes = (0..3 << 20).map(|at| (at % 251) as u8).collect::<Vec<_>>().into();
        let sent = bytes.clone();
        let sender = spawn_local(async move {
            send_all(&mut send, sent).await;
            send.send_data(Bytes::new(), true).unwrap();
        });
        // Nothing that comes back is read: the windows fill up, and other streams are answered.
        sleep(Duration::from_secs(5)).await;
        assert!(!sender.is_finished());
        assert_eq!(client.get("/no").await.await.unwrap().status(), 403);
        assert_eq!(body(response).await, (bytes.to_vec(), None));
    });
}

#[test]
fn many_small_frames_are_kept_for_a_reader_that_is_late() {
    run(async {
        let late = App::new().get("/late", async |ctx: &mut Ctx| {
            switch(
                ctx,
                Box::new(|io| {
                    Box::pin(async move {
                        sleep(Duration::from_secs(5)).await;
                        drop(echo(io).await);
                    })
                }),
            )
        });
        let (_served, mut raw) = Raw::new(late, Limits::default(), &[]).await;
        raw.send(&frame(kind::SETTINGS, flag::ACK, 0, &[])).await;
        // CONNECT of http://a/late, as HPACK.
        let block = b"\x02\x07CONNECT\x86\x04\x05/late\x01\x01a\x00\x09:protocol\x09websocket";
        raw.send(&request(1, block, false)).await;
        raw.send(&frame(kind::DATA, 0, 1, b"x").repeat(50_000)).await;
        raw.send(&frame(kind::DATA, flag::END_STREAM, 1, b"x")).await;
        let mut came = 0;
        while let Some((kind, flags, _, payload)) = raw.next().await {
            assert!(kind != kind::GOAWAY && kind != kind::RST_STREAM, "{kind} {payload:x?}");
            if kind == kind::DATA {
                came += payload.len();
                if flags & flag::END_STREAM != 0 {
                    break;
                }
            }
        }
        assert_eq!(came, 50_001);
    });
}

#[test]
fn what_opens_no_tunnel_is_answered() {
    run(async {
        let mut client = Client::new(app(), Limits::default()).await;
        for (request, status) in [
            (connect("/echo", "connect-udp"), 501),
            (connect("/echo", "WebSocket"), 501),
            (connect("/no", "websocket"), 403),
            (connect("/nowhere", "websocket"), 404),
            (Request::builder().method(Method::CONNECT).uri("a.test:443").body(()).unwrap(), 501),
        ] {
            let response = client.request(request, false).await.0.await.unwrap();
            assert_eq!(response.status(), status);
            // The client may still send, and is told that nobody reads it.
            assert!(matches!(body(response).await.1, None | Some(Reason::NO_ERROR)));
        }
        let mut request = connect("/echo", "websocket");
        request.headers_mut().insert("content-length", HeaderValue::from_static("5"));
        assert_eq!(client.request(request, false).await.0.await.unwrap().status(), 400);
        // A switch of protocols that nobody asked for is no answer.
        assert_eq!(client.get("/dropped").await.await.unwrap().status(), 500);
    });
}

#[test]
fn a_tunnel_ends_as_a_connection_does() {
    run(async {
        let mut client = Client::new(app(), Limits::default()).await;
        for (path, reason) in [("/dropped", None), ("/aborted", Some(Reason::CANCEL))] {
            let (response, mut send) = client.tunnel(path).await;
            assert_eq!(body(response).await, (Vec::new(), reason), "{path}");
            let reset = poll_fn(|cx| send.poll_reset(cx)).await.unwrap();
            assert_eq!(reset, reason.unwrap_or(Reason::NO_ERROR), "{path}");
        }
        // The end of the connection is that of its tunnels.
        let (_response, _send) = client.tunnel("/echo").await;
        client.connection.abort();
        drop(client.send);
        client.served.ended().await;
    });
}

#[test]
fn a_tunnel_that_was_reset_counts_until_its_handler_ends() {
    run(async {
        let limits = Limits {
            http2: crate::limits::Http2Limits { streams: 2, ..Default::default() },
            ..Limits::default()
        };
        let mut client = Client::new(app(), limits).await;
        for _ in 0..2 {
            let (_, mut send) = client.tunnel("/stuck").await;
            send.send_reset(Reason::CANCEL);
        }
        sleep(Duration::from_secs(1)).await;
        let refused = client.request(connect("/echo", "websocket"), false).await.0.await.unwrap_err();
        assert_eq!(refused.reason(), Some(Reason::REFUSED_STREAM));
        let mut client = Client::new(app(), Limits::default()).await;
        for _ in 0..300 {
            let (_, mut send) = client.tunnel("/echo").await;
            send.send_reset(Reason::CANCEL);
            sleep(Duration::from_secs(1)).await;
        }
    });
}

#[test]
fn a_drain_leaves_tunnels_to_end_by_themselves() {
    run(async {
        let mut client = Client::new(app(), Limits::default()).await;
        let (response, mut send) = client.tunnel("/echo").await;
        client.served.floor.drain(None);
        sleep(Duration::from_secs(60)).await;
        send.send_data(Bytes::from_static(b"still here"), true).unwrap();
        assert_eq!(body(response).await, (b"still here".to_vec(), None));
        drop(client.send);
        client.served.ended().await;
    });
}
