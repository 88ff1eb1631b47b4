//! Raw hyper 1: HTTP/1 on one current_thread runtime per worker, each with its own SO_REUSEPORT
//! listener, no framework; matchit for the 100 routes. Variant "h2" = hyper's http2 server.
//! No middleware concept, so no /stack; WebSocket would need another crate, so no /ws.
use bytes::Bytes;
use http_body_util::{combinators::UnsyncBoxBody, BodyExt, Either, Full, StreamBody};
use hyper::{
    body::{Frame, Incoming},
    header::{HeaderValue, CONTENT_TYPE, SERVER},
    service::service_fn,
    Method, Request, Response,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use matchit::Router;
use peer_common::*;
use std::{convert::Infallible, rc::Rc};

#[derive(Clone, Copy)]
enum H {
    Plaintext,
    Json,
    User,
    Echo,
    File,
    Sse,
    Other,
}

type Body = Either<Full<Bytes>, UnsyncBoxBody<Bytes, Infallible>>;

struct Pending(Option<Bytes>);
impl futures_core::Stream for Pending {
    type Item = Result<Frame<Bytes>, Infallible>;
    fn poll_next(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Self::Item>> {
        match self.0.take() {
            Some(b) => std::task::Poll::Ready(Some(Ok(Frame::data(b)))),
            None => std::task::Poll::Pending,
        }
    }
}

fn full(ct: &'static str, b: impl Into<Bytes>) -> Response<Body> {
    let mut r = Response::new(Either::Left(Full::new(b.into())));
    let h = r.headers_mut();
    h.insert(CONTENT_TYPE, HeaderValue::from_static(ct));
    h.insert(SERVER, HeaderValue::from_static("hyper"));
    r
}

async fn handle(router: Rc<Router<H>>, req: Request<Incoming>) -> Result<Response<Body>, Infallible> {
    let mut res = match router.at(req.uri().path()) {
        Ok(m) => match m.value {
            H::Plaintext => return Ok(full("text/plain", HELLO)),
            H::Json => return Ok(full("application/json", serde_json::to_vec(&Message::new()).unwrap())),
            H::User => {
                let u = User { id: m.params.get("id").unwrap() };
                return Ok(full("application/json", serde_json::to_vec(&u).unwrap()));
            }
            H::Echo if req.method() == Method::POST => {
                let b = req.into_body().collect().await.map(|c| c.to_bytes()).unwrap_or_default();
                match serde_json::from_slice::<Payload>(&b) {
                    Ok(p) => return Ok(full("application/json", serde_json::to_vec(&p).unwrap())),
                    Err(_) => Response::builder().status(400),
                }
            }
            H::Echo => Response::builder().status(405),
            // read from the page cache on every request; a runtime hand-over to a blocking pool
            // (tokio::fs) would only be slower for a cached file
            H::File => return Ok(full("text/plain", std::fs::read(file_path()).unwrap())),
            H::Sse => {
                let s = StreamBody::new(Pending(Some(Bytes::from_static(b"data: hello\n\n"))));
                let mut r = Response::new(Either::Right(s.boxed_unsync()));
                r.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
                return Ok(r);
            }
            H::Other => return Ok(full("text/plain", "other")),
        },
        Err(_) => Response::builder().status(404),
    };
    res.headers_mut().map(|h| h.insert(SERVER, HeaderValue::from_static("hyper")));
    Ok(res.body(Either::Left(Full::new(Bytes::new()))).unwrap())
}

fn router() -> Router<H> {
    let mut r = Router::new();
    r.insert("/plaintext", H::Plaintext).unwrap();
    r.insert("/json", H::Json).unwrap();
    r.insert("/echo", H::Echo).unwrap();
    r.insert("/file", H::File).unwrap();
    r.insert("/sse", H::Sse).unwrap();
    for (i, p) in routes(|n| format!("{{{n}}}")).into_iter().enumerate() {
        r.insert(p, if i == USERS_INDEX { H::User } else { H::Other }).unwrap();
    }
    r
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

async fn serve(port: u16, h2: bool) {
    let l = listen(port);
    let router = Rc::new(router());
    loop {
        let Ok((s, _)) = l.accept().await else { continue };
        let _ = s.set_nodelay(true);
        let router = router.clone();
        tokio::task::spawn_local(async move {
            let svc = service_fn(move |r| handle(router.clone(), r));
            if h2 {
                let _ = hyper::server::conn::http2::Builder::new(LocalExec)
                    .timer(TokioTimer::new())
                    .serve_connection(TokioIo::new(s), svc)
                    .await;
            } else {
                let _ = hyper::server::conn::http1::Builder::new()
                    .pipeline_flush(true)
                    .timer(TokioTimer::new())
                    .header_read_timeout(None)
                    .serve_connection(TokioIo::new(s), svc)
                    .await;
            }
        });
    }
}

#[derive(Clone)]
struct LocalExec;
impl<F: std::future::Future + 'static> hyper::rt::Executor<F> for LocalExec
where
    F::Output: 'static,
{
    fn execute(&self, f: F) {
        tokio::task::spawn_local(f);
    }
}

fn main() {
    let a = args();
    let h2 = a.variant == "h2";
    let hs: Vec<_> = (0..a.workers)
        .map(|_| {
            std::thread::spawn(move || {
                let rt = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                tokio::task::LocalSet::new().block_on(&rt, serve(a.port, h2))
            })
        })
        .collect();
    hs.into_iter().for_each(|h| h.join().unwrap());
}
