//! Clients made by others: curl and hyper.

use cepa_programs::needs;
use std::{
    future::poll_fn,
    pin::Pin,
    process::Command,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use cepa_core::{App, Body, Ctx, Error, Result, router::post};
use cepa_tests::{Served, serve};
use http::{HeaderMap, HeaderValue, Request, StatusCode};
use http_body::{Body as HttpBody, Frame};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, runtime::LocalRuntime, task::spawn_local};

/// What the clients ask.
fn app() -> App {
    App::new()
        .get("/text", async |_: &mut Ctx| "hello, onion")
        .get("/stream", async |_: &mut Ctx| Body::new(Pieces::new(1000, 1000)))
        .get("/gone", async |ctx: &mut Ctx| ctx.redirect("/text"))
        .post("/echo", async |ctx: &mut Ctx| -> Result {
            let kind = ctx.get("content-type").unwrap_or("none/none").to_owned();
            ctx.set("x-type", kind)?;
            let body = ctx.bytes().await?;
            ctx.set_body(body)
        })
        .put("/file", async |ctx: &mut Ctx| -> Result<String> {
            let framing =
                ctx.get("transfer-encoding").or(ctx.get("content-length")).unwrap_or("none").to_owned();
            let bytes = ctx.bytes().await?;
            Ok(format!("{} {framing}", bytes.len()))
        })
        .post("/refused", async |_: &mut Ctx| StatusCode::FORBIDDEN)
        .route(
            "/through",
            post(async |ctx: &mut Ctx| std::mem::take(ctx.request.body_mut())).body_limit(1 << 30),
        )
        .post("/trailers", async |ctx: &mut Ctx| -> Result<Body> {
            let mut trailers = HeaderMap::new();
            while let Some(frame) = ctx.request.body_mut().frame().await {
                if let Ok(fields) = frame?.into_trailers() {
                    trailers = fields;
                }
            }
            Ok(Body::new(Pieces { trailers: Some(trailers), ..Pieces::new(5, 1) }))
        })
}

/// A stream of pieces, then trailers if there are any; counts the pieces that were taken.
struct Pieces {
    size: usize,
    left: usize,
    taken: Arc<AtomicUsize>,
    trailers: Option<HeaderMap>,
}

impl Pieces {
    fn new(size: usize, left: usize) -> Self {
        Self { size, left, taken: Arc::default(), trailers: None }
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = std::io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.left == 0 {
            return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
        }
        self.left -= 1;
        self.taken.fetch_add(1, SeqCst);
        Poll::Ready(Some(Ok(Frame::data(vec![b'x'; self.size].into()))))
    }
}

/// Runs curl on a path: its exit code, and what it prints.
fn curl(server: &Served, path: &str, flags: &[&str]) -> (Option<i32>, String) {
    let mut curl = Command::new("curl");
    curl.args(["-sS", "--max-time", "30", "--noproxy", "*"]).args(flags);
    let output = curl.arg(format!("http://{}{path}", server.address())).output().expect("curl is installed");
    (output.status.code(), String::from_utf8_lossy(&output.stdout).into_owned())
}

#[test]
fn curl_reads() {
    needs!("curl");
    let server = serve(app()).unwrap();
    let status = ["-o", "/dev/null", "-w", "%{http_version} %{http_code} %{size_download}"];
    let table: [(&str, &[&str], &str); 8] = [
        ("/text", &[], "1.1 200 12"),
        ("/text", &["--http1.0"], "1 200 12"),
        ("/stream", &[], "1.1 200 1000000"),
        ("/stream", &["--http1.0"], "1 200 1000000"),
        ("/text", &["-r", "0-4"], "1.1 200 12"),
        ("/text", &["--compressed", "--tr-encoding"], "1.1 200 12"),
        ("/none", &[], "1.1 404 9"),
        ("/gone", &["-L"], "1.1 200 12"),
    ];
    for (path, flags, expected) in table {
        let (code, text) = curl(&server, path, &[flags, &status].concat());
        // `--tr-encoding` announces itself in `TE`, and must change nothing.
        assert_eq!((code, text.as_str()), (Some(0), expected), "{path} {flags:?}");
    }
}

#[test]
fn curl_asks_without_a_body() {
    needs!("curl");
    let server = serve(app()).unwrap();
    let (code, text) = curl(&server, "/text", &["-I"]);
    assert!(
        code == Some(0) && text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("content-length: 12\r\n")
    );
    assert!(text.ends_with("\r\n\r\n"), "{text:?}");
    let (code, text) = curl(&server, "/text", &["-X", "OPTIONS", "-i"]);
    assert!(code == Some(0) && text.contains("\r\nallow: HEAD, GET\r\n"), "{text}");
    let (code, text) = curl(&server, "/text", &["-X", "DELETE", "-o", "/dev/null", "-w", "%{http_code}"]);
    assert_eq!((code, text.as_str()), (Some(0), "405"));
    let (code, text) = curl(&server, "/text", &["-X", "BREW", "-o", "/dev/null", "-w", "%{http_code}"]);
    assert_eq!((code, text.as_str()), (Some(0), "501"));
    // Both on one connection.
    let address = server.address();
    let second = format!("http://{address}/text");
    let flags = ["-w", " %{num_connects} ", &second, "-w", " %{num_connects} "];
    assert_eq!(curl(&server, "/text", &flags).1, "hello, onion 1 hello, onion 0 ");
}

#[test]
fn curl_sends() {
    needs!("curl");
    let server = serve(app()).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    std::fs::write(&file, vec![b'y'; 2_000_000]).unwrap();
    let file = file.to_str().unwrap();
    assert_eq!(curl(&server, "/file", &["-T", file]).1, "2000000 2000000");
    assert_eq!(
        curl(&server, "/file", &["-T", file, "-H", "transfer-encoding: chunked"]).1,
        "2000000 chunked"
    );
    assert_eq!(curl(&server, "/file", &["-T", file, "-H", "expect: 100-continue"]).1, "2000000 2000000");
    assert_eq!(curl(&server, "/file", &["--http1.0", "-T", file]).1, "2000000 2000000");
    assert_eq!(curl(&server, "/echo", &["-d", "a=1&b=2"]).1, "a=1&b=2");
    let (_, form) = curl(&server, "/echo", &["-F", "field=value", "-F", &format!("file=@{file}"), "-i"]);
    assert!(form.contains("x-type: multipart/form-data; boundary=") && form.contains("name=\"field\""));
    // Not wanted: curl must get the answer, whether it has sent the body or not.
    let data = format!("@{file}");
    for expect in ["expect: 100-continue", "expect:"] {
        let flags = ["-H", expect, "--data-binary", &data, "-o", "/dev/null", "-w", "%{http_code}"];
        assert_eq!(curl(&server, "/refused", &flags).1, "403", "{expect}");
    }
}

/// A connection of hyper's.
async fn connect<B>(server: &Served) -> SendRequest<B>
where
    B: HttpBody<Data = Bytes> + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let stream = TcpStream::connect(server.address()).await.expect("the server listens");
    let (sender, connection) = handshake(TokioIo::new(stream)).await.expect("HTTP/1 needs no handshake");
    spawn_local(connection);
    sender
}

fn request<B>(method: &str, path: &str, body: B) -> Request<B> {
    Request::builder()
        .method(method)
        .uri(path)
        .header("host", "a")
        .body(body)
        .expect("the request is well-formed")
}

/// Reads a body of hyper's: its length and trailers.
async fn drain(mut body: hyper::body::Incoming) -> (usize, Option<HeaderMap>) {
    let (mut length, mut trailers) = (0, None);
    while let Some(frame) = poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        match frame.expect("the body comes whole").into_data() {
            Ok(data) => length += data.len(),
            Err(frame) => trailers = frame.into_trailers().ok(),
        }
    }
    (length, trailers)
}

/// Runs a test of hyper's.
fn run(test: impl AsyncFnOnce(&Served)) {
    let server = serve(app()).expect("the app is served");
    let runtime = LocalRuntime::new().expect("a runtime can be made");
    runtime.block_on(async {
        tokio::time::timeout(Duration::from_secs(30), test(&server)).await.expect("it ends in time");
    });
}

#[test]
fn hyper_keeps_its_connection() {
    run(async |server| {
        let mut sender = connect::<Body>(server).await;
        for at in 0..200 {
            let (method, path, body, length) = match at % 4 {
                0 => ("GET", "/text", Body::empty(), 12),
                1 => ("POST", "/echo", Body::from(vec![b'x'; at * 500]), at * 500),
                2 => ("HEAD", "/text", Body::empty(), 0),
                _ => ("POST", "/through", Body::new(Pieces::new(at, 50)), at * 50),
            };
            sender.ready().await.expect("the connection is kept");
            let answer = sender.send_request(request(method, path, body)).await.expect("it is answered");
            assert_eq!(answer.status(), 200);
            assert_eq!(drain(answer.into_body()).await.0, length, "{method} {path} {at}");
        }
    });
}

#[test]
fn hyper_streams_both_ways_at_the_pace_of_the_slower() {
    run(async |server| {
        let mut sender = connect::<Body>(server).await;
        let taken = Arc::new(AtomicUsize::new(0));
        let total = 4096;
        let pieces = Pieces { taken: Arc::clone(&taken), ..Pieces::new(16 << 10, total) };
        let answer = sender.send_request(request("POST", "/through", Body::new(pieces))).await.unwrap();
        // Nobody reads the answer: then the app does not read the request, and the client stops sending it.
        tokio::time::sleep(Duration::from_millis(500)).await;
        let stopped = taken.load(SeqCst);
        assert!(stopped < total, "64 MiB have gone into buffers");
        tokio::time::sleep(Duration::from_millis(200)).await;
        assert_eq!(taken.load(SeqCst), stopped);
        assert_eq!(drain(answer.into_body()).await.0, total * (16 << 10));
    });
}

#[test]
fn hyper_exchanges_trailers() {
    run(async |server| {
        let mut sender = connect::<Body>(server).await;
        let mut trailers = HeaderMap::new();
        trailers.insert("x-sum", HeaderValue::from_static("12"));
        let body = Body::new(Pieces { trailers: Some(trailers.clone()), ..Pieces::new(10, 3) });
        let mut ask = request("POST", "/trailers", body);
        ask.headers_mut().insert("trailer", HeaderValue::from_static("x-sum"));
        ask.headers_mut().insert("te", HeaderValue::from_static("trailers"));
        let answer = sender.send_request(ask).await.unwrap();
        assert_eq!(drain(answer.into_body()).await, (5, Some(trailers)));
    });
}

#[test]
fn hyper_is_told_of_an_upload_that_fails() {
    /// Fails after the first piece.
    struct Failing(bool);
    impl HttpBody for Failing {
        type Data = Bytes;
        type Error = Error;
        fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
            if std::mem::replace(&mut self.0, true) {
                return Poll::Ready(Some(Err(Error::new(500, "broken"))));
            }
            Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"half")))))
        }
    }
    run(async |server| {
        let mut sender = connect::<Failing>(server).await;
        assert!(sender.send_request(request("POST", "/echo", Failing(false))).await.is_err());
        let mut sender = connect::<Body>(server).await;
        let answer = sender.send_request(request("GET", "/text", Body::empty())).await.unwrap();
        assert_eq!(answer.status(), 200);
    });
}
