//! salvo 1 on one tokio multi-thread runtime.
use futures_util::{stream, StreamExt};
use peer_common::*;
use salvo::{
    http::header::{HeaderValue, SERVER},
    prelude::*,
    serve_static::StaticFile,
    sse::{self, SseEvent},
    websocket::WebSocketUpgrade,
};
use std::convert::Infallible;

#[handler]
async fn plaintext(res: &mut Response) {
    res.headers_mut().insert(SERVER, HeaderValue::from_static("salvo"));
    res.render(Text::Plain(HELLO));
}

#[handler]
async fn json(res: &mut Response) {
    res.headers_mut().insert(SERVER, HeaderValue::from_static("salvo"));
    res.render(Json(Message::new()));
}

#[handler]
async fn user(req: &mut Request, res: &mut Response) {
    let id = req.param::<String>("id").unwrap_or_default();
    res.render(Json(User { id }));
}

#[handler]
async fn other() -> &'static str {
    "other"
}

#[handler]
async fn echo(req: &mut Request, res: &mut Response) {
    match req.parse_json::<Payload>().await {
        Ok(p) => res.render(Json(p)),
        Err(_) => {
            res.status_code(StatusCode::BAD_REQUEST);
        }
    }
}

#[handler]
async fn noop(req: &mut Request, depot: &mut Depot, res: &mut Response, ctrl: &mut FlowCtrl) {
    ctrl.call_next(req, depot, res).await;
}

#[handler]
async fn ws(req: &mut Request, res: &mut Response) -> Result<(), StatusError> {
    WebSocketUpgrade::new()
        .upgrade(req, res, |mut sock| async move {
            while let Some(Ok(m)) = sock.recv().await {
                if sock.send(m).await.is_err() {
                    return;
                }
            }
        })
        .await
}

#[handler]
async fn events(res: &mut Response) {
    let s = stream::once(async { Ok::<_, Infallible>(SseEvent::default().text("hello")) }).chain(stream::pending());
    sse::stream(res, s);
}

fn router() -> Router {
    let mut r = Router::new()
        .push(Router::with_path("plaintext").get(plaintext))
        .push(Router::with_path("json").get(json))
        .push(Router::with_path("echo").post(echo))
        .push(Router::with_path("ws").get(ws))
        .push(Router::with_path("sse").get(events))
        .push(Router::with_path("file").get(StaticFile::new(file_path())));
    let mut s = Router::with_path("stack");
    for _ in 0..8 {
        s = s.hoop(noop);
    }
    r = r.push(s.get(plaintext));
    for (i, path) in routes(|n| format!("{{{n}}}")).into_iter().enumerate() {
        let p = Router::with_path(path.trim_start_matches('/').to_string());
        r = r.push(if i == USERS_INDEX { p.get(user) } else { p.get(other) });
    }
    r
}

async fn serve(port: u16) {
    let acceptor = TcpListener::new(("127.0.0.1", port)).bind().await;
    Server::new(acceptor).serve(router()).await;
}

fn main() {
    let a = args();
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(a.workers)
        .enable_all()
        .build()
        .unwrap()
        .block_on(async move { tokio::spawn(serve(a.port)).await.unwrap() });
}
