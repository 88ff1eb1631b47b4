//! xitca-web 0.8 (the whole framework). Variants: "" = HTTP/1.1, "h2" = h2c prior knowledge.
use peer_common::*;
use std::{convert::Infallible, task::Poll, time::Duration};
use xitca_web::{
    body::{ResponseBody, StreamDataBody},
    bytes::Bytes,
    handler::{
        handler_service,
        json::Json,
        params::Params,
        websocket::{Message as WsMessage, WebSocket},
    },
    http::{
        header::{HeaderValue, CONTENT_TYPE, SERVER},
        WebResponse,
    },
    route::{get, post},
    service::{file::ServeDir, Service, ServiceExt},
    App, WebContext,
};

fn respond(ct: &'static str, b: impl Into<Bytes>) -> WebResponse {
    let mut r = WebResponse::new(ResponseBody::bytes(b.into()));
    r.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(ct));
    r.headers_mut().insert(SERVER, HeaderValue::from_static("xitca"));
    r
}

async fn plaintext() -> WebResponse {
    respond("text/plain", HELLO)
}

async fn json() -> WebResponse {
    respond("application/json", serde_json::to_vec(&Message::new()).unwrap())
}

async fn user(Params(id): Params<String>) -> Json<User<String>> {
    Json(User { id })
}

async fn other() -> &'static str {
    "other"
}

async fn echo(Json(p): Json<Payload>) -> Json<Payload> {
    Json(p)
}

async fn noop<S, T, E>(s: &S, ctx: WebContext<'_>) -> Result<T, E>
where
    S: for<'r> Service<WebContext<'r>, Response = T, Error = E>,
{
    s.call(ctx).await
}

async fn ws(mut ws: WebSocket) -> WebSocket {
    ws.on_msg(|tx, msg| {
        Box::pin(async move {
            let _ = match msg {
                WsMessage::Text(t) => tx.text(t.to_string()).await,
                WsMessage::Binary(b) => tx.binary(b).await,
                _ => Ok(()),
            };
        })
    });
    ws
}

async fn sse() -> WebResponse {
    // not once().chain(pending()): xitca takes an exact size_hint for the Content-Length
    let mut first = Some(Bytes::from_static(b"data: hello\n\n"));
    let s = futures_util::stream::poll_fn(move |_| match first.take() {
        Some(b) => Poll::Ready(Some(Ok::<_, Infallible>(b))),
        None => Poll::Pending,
    });
    let mut r = WebResponse::new(ResponseBody::boxed(StreamDataBody::new(s)));
    r.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    r
}

fn main() -> std::io::Result<()> {
    let a = args();
    // ServeDir looks the whole path up, /static/ included
    let dir = std::path::PathBuf::from(file_path()).parent().unwrap().parent().unwrap().to_owned();
    let mut app = App::new()
        .at("/plaintext", get(handler_service(plaintext)))
        .at("/json", get(handler_service(json)))
        .at("/echo", post(handler_service(echo)))
        .at("/ws", get(handler_service(ws)))
        .at("/sse", get(handler_service(sse)))
        .at("/static", ServeDir::new(dir))
        .at(
            "/stack",
            get(handler_service(plaintext)
                .enclosed_fn(noop)
                .enclosed_fn(noop)
                .enclosed_fn(noop)
                .enclosed_fn(noop)
                .enclosed_fn(noop)
                .enclosed_fn(noop)
                .enclosed_fn(noop)
                .enclosed_fn(noop)),
        );
    for (i, path) in routes(|n| format!("{{{n}}}")).into_iter().enumerate() {
        let path: &'static str = path.leak();
        app = if i == USERS_INDEX {
            app.at(path, get(handler_service(user)))
        } else {
            app.at(path, get(handler_service(other)))
        };
    }
    let s = app.serve().worker_threads(a.workers).backlog(BACKLOG).keep_alive_timeout(Duration::from_secs(600));
    let s = if a.variant == "h2" { s.h2c_prior_knowledge() } else { s };
    s.bind(("127.0.0.1", a.port))?.run().wait()
}
