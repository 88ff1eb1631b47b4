//! axum 0.8. Variants: "" = one tokio multi-thread runtime; "ct" = one current_thread runtime per
//! worker, each with its own SO_REUSEPORT listener.
use axum::{
    extract::{
        ws::{Message as WsMessage, Utf8Bytes, WebSocket, WebSocketUpgrade},
        Path, Request, State,
    },
    http::header,
    middleware::{self, Next},
    response::{
        sse::{Event, Sse},
        IntoResponse, Response,
    },
    routing::{get, post},
    serve::ListenerExt,
    Json, Router,
};
use futures_util::{stream, SinkExt, Stream, StreamExt};
use peer_common::*;
use std::{convert::Infallible, future::IntoFuture};
use tokio::sync::broadcast;
use tower_http::services::ServeFile;

async fn plaintext() -> impl IntoResponse {
    ([(header::SERVER, "axum"), (header::CONTENT_TYPE, "text/plain")], HELLO)
}

async fn json() -> impl IntoResponse {
    ([(header::SERVER, "axum")], Json(Message::new()))
}

async fn user(Path(id): Path<String>) -> Json<User<String>> {
    Json(User { id })
}

async fn other() -> &'static str {
    "other"
}

async fn echo(Json(p): Json<Payload>) -> Json<Payload> {
    Json(p)
}

async fn noop(req: Request, next: Next) -> Response {
    next.run(req).await
}

async fn ws(up: WebSocketUpgrade) -> Response {
    up.on_upgrade(|mut s: WebSocket| async move {
        while let Some(Ok(m)) = s.recv().await {
            if s.send(m).await.is_err() {
                return;
            }
        }
    })
}

/// What is published goes to every WebSocket of /ws-fanout.
type News = broadcast::Sender<Utf8Bytes>;

async fn publish(State(news): State<News>, Json(message): Json<String>) -> &'static str {
    let _ = news.send(serde_json::to_string(&message).unwrap().into());
    "ok"
}

async fn ws_fanout(up: WebSocketUpgrade, State(news): State<News>) -> Response {
    let mut news = news.subscribe();
    up.on_upgrade(async move |mut s: WebSocket| loop {
        tokio::select! {
            message = news.recv() => {
                let Ok(message) = message else { return };
                if s.send(WsMessage::Text(message)).await.is_err() {
                    return;
                }
            }
            Some(Ok(_)) = s.recv() => {}
            else => return,
        }
    })
}

/// As no example of axum's does it: what is there is written together.
async fn ws_fanout_feed(up: WebSocketUpgrade, State(news): State<News>) -> Response {
    let mut news = news.subscribe();
    up.on_upgrade(async move |mut s: WebSocket| loop {
        tokio::select! {
            message = news.recv() => {
                let Ok(message) = message else { return };
                let mut fed = s.feed(WsMessage::Text(message)).await;
                while let (Ok(()), Ok(message)) = (&fed, news.try_recv()) {
                    fed = s.feed(WsMessage::Text(message)).await;
                }
                if fed.is_err() || s.flush().await.is_err() {
                    return;
                }
            }
            Some(Ok(_)) = s.recv() => {}
            else => return,
        }
    })
}

async fn sse() -> Sse<impl Stream<Item = Result<Event, Infallible>>> {
    Sse::new(stream::once(async { Ok(Event::default().data("hello")) }).chain(stream::pending()))
}

fn app() -> Router {
    let mut r = Router::new()
        .route("/publish", post(publish))
        .route("/ws-fanout", get(ws_fanout))
        .route("/ws-fanout-feed", get(ws_fanout_feed))
        .with_state(broadcast::channel(1024).0)
        .route("/plaintext", get(plaintext))
        .route("/json", get(json))
        .route("/echo", post(echo))
        .route("/ws", get(ws))
        .route("/sse", get(sse))
        .route_service("/file", ServeFile::new(file_path()));
    for (i, path) in routes(|n| format!("{{{n}}}")).iter().enumerate() {
        r = if i == USERS_INDEX { r.route(path, get(user)) } else { r.route(path, get(other)) };
    }
    let mut s = Router::new().route("/stack", get(plaintext));
    for _ in 0..8 {
        s = s.layer(middleware::from_fn(noop));
    }
    r.merge(s)
}

fn listen(port: u16) -> tokio::net::TcpListener {
    use socket2::{Domain, Socket, Type};
    let s = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    s.set_reuse_address(true).unwrap();
    s.set_reuse_port(true).unwrap();
    s.set_nonblocking(true).unwrap();
    s.bind(&std::net::SocketAddr::from(([127, 0, 0, 1], port)).into()).unwrap();
    s.listen(BACKLOG as i32).unwrap();
    tokio::net::TcpListener::from_std(s.into()).unwrap()
}

async fn serve(port: u16) {
    let l = listen(port).tap_io(|s| {
        let _ = s.set_nodelay(true);
    });
    let app = app();
    if let Some(path) = unix_path() {
        let l = tokio::net::UnixListener::bind(path).unwrap();
        tokio::spawn(axum::serve(l, app.clone().into_make_service()).into_future());
    }
    // served as a plain Router it would copy its 106 routes (37 KB) for every connection
    axum::serve(l, app.into_make_service()).await.unwrap();
}

fn main() {
    let a = args();
    if a.variant == "ct" {
        let hs: Vec<_> = (0..a.workers)
            .map(|_| {
                std::thread::spawn(move || {
                    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(serve(a.port))
                })
            })
            .collect();
        hs.into_iter().for_each(|h| h.join().unwrap());
    } else {
        tokio::runtime::Builder::new_multi_thread()
            .worker_threads(a.workers)
            .enable_all()
            .build()
            .unwrap()
            .block_on(async move { tokio::spawn(serve(a.port)).await.unwrap() });
    }
}
