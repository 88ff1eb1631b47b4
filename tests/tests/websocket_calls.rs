//! A WebSocket by calls, with another's client.

use std::{
    net::TcpStream,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use cepa_bus::{Bus, Live, Queue, QueueOptions};
use cepa_core::{App, Body, Ctx, Error, Result, test::block_on};
use cepa_layers::compress;
use cepa_tests::{Served, serve, stats::eventually, wire::PATIENCE};
use cepa_websocket::{Options, calls};
use http_body::Frame;
use tungstenite::{Message, WebSocket, client::IntoClientRequest, http::Response};

fn news(bus: &Bus) -> Queue<String> {
    bus.queue_with("news", QueueOptions { keep: 16, ..QueueOptions::default() }).expect("the name is one")
}

fn count(bus: &Bus) -> usize {
    block_on(news(bus).count()).expect("it is in memory")
}

/// A stream that always has something.
struct Flood;

impl http_body::Body for Flood {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(b"drop")))))
    }
}

/// `/chat` greets, and answers what is said; `/room` listens to a queue, and says to it what it is told.
fn chat(bus: &Bus, asked: &Arc<AtomicUsize>) -> App {
    let asked = Arc::clone(asked);
    App::new()
        .with(compress(Default::default()).expect("the options are good"))
        .provide(bus.clone())
        .get("/chat", async move |ctx: &mut Ctx| -> Result<String> {
            asked.fetch_add(1, SeqCst);
            let Some(name) = ctx.query_value("name").map(|name| name.into_owned()) else {
                return Err(ctx.error(403, "who are you?"));
            };
            ctx.append("set-cookie", "seen=1")?;
            Ok(format!("Welcome, {name}"))
        })
        .post("/chat", async |ctx: &mut Ctx| -> Result<Body> {
            let text = ctx.text().await?;
            let name = ctx.query_value("name").map(|name| name.into_owned()).unwrap_or_default();
            let from = ctx.get("x-from").unwrap_or("nowhere").to_owned();
            match &*text {
                "fail" => Err(Error::new(500, "private")),
                "nothing" => Ok(Body::empty()),
                "bytes" => Ok(Body::from(vec![0xff, 0xfe])),
                "pieces" => Ok(Body::from_async(async |mut out| {
                    for piece in ["one", "two"] {
                        out.write(piece).await;
                    }
                    Ok(())
                })),
                "endless" => Ok(Body::from_async(async |_| std::future::pending().await)),
                "flood" => Ok(Body::new(Flood)),
                text => Ok(Body::from(format!("{name} from {from}: {text}"))),
            }
        })
        .get("/room", async |ctx: &mut Ctx| -> Result {
            let queue = news(ctx.provided()?);
            ctx.sse(&queue)
        })
        .post("/room", async |ctx: &mut Ctx| -> Result {
            let text = ctx.text().await?;
            news(ctx.provided()?).notify(&text).await.map_err(|error| Error::new(500, error.to_string()))?;
            ctx.set_status(204)
        })
}

fn served(bus: &Bus, asked: &Arc<AtomicUsize>) -> Served {
    let chat = chat(bus, asked).build().expect("the app is one");
    let options = Arc::new(Options { ping: std::time::Duration::from_secs(1), ..Options::default() });
    serve(App::new().get("/{*any}", async move |ctx: &mut Ctx| calls(ctx, &options, &chat).await))
        .expect("the app is served")
}

type Opened = Result<(WebSocket<TcpStream>, Response<Option<Vec<u8>>>), Box<tungstenite::Error>>;

fn open(served: &Served, path: &str) -> Opened {
    let stream = TcpStream::connect(served.address()).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket has a timeout");
    let mut request = format!("ws://{}{path}", served.address()).into_client_request().expect("a URL");
    // A browser offers to take what is compressed.
    for (name, value) in [("x-from", "afar"), ("accept-encoding", "gzip"), ("if-none-match", "*")] {
        request.headers_mut().insert(name, value.parse().expect("a value"));
    }
    tungstenite::client(request, stream).map_err(|error| match error {
        tungstenite::HandshakeError::Failure(error) => Box::new(error),
        error => panic!("{error}"),
    })
}

fn text(socket: &mut WebSocket<TcpStream>) -> String {
    loop {
        match socket.read().expect("a message comes") {
            Message::Text(text) => return text.to_string(),
            Message::Ping(_) | Message::Pong(_) => {}
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_handshake_and_each_message_are_calls() {
    let asked = Arc::new(AtomicUsize::new(0));
    let served = served(&Bus::new(), &asked);
    let (mut socket, response) = open(&served, "/chat?name=Tobi").expect("it is opened");
    assert_eq!(response.headers().get("set-cookie").map(|value| value.as_bytes()), Some(&b"seen=1"[..]));
    assert!(!response.headers().contains_key("content-type"));
    assert_eq!(text(&mut socket), "Welcome, Tobi");
    // More than one at once: none is lost, and they are answered in order.
    for said in ["one", "nothing", "two", "fail", "pieces", "three", "missing"] {
        socket.write(Message::text(said)).expect("it is sent");
    }
    socket.flush().expect("it is sent");
    let expected = ["Tobi from afar: one", "Tobi from afar: two", "Internal Server Error"];
    assert_eq!(expected.map(|_| text(&mut socket)), expected);
    let mut left: Vec<_> = (0..4).map(|_| text(&mut socket)).collect();
    let at = |text: &str| left.iter().position(|known| known == text).expect("it is there");
    assert!(at("one") < at("two") && at("Tobi from afar: three") < at("Tobi from afar: missing"));
    left.clear();
    socket.send(Message::text("bytes")).expect("it is sent");
    assert_eq!(socket.read().expect("a message comes"), Message::binary(vec![0xff, 0xfe]));
    socket.send(Message::text("x".repeat(200_000))).expect("it is sent");
    assert_eq!(text(&mut socket).len(), 200_000 + "Tobi from afar: ".len());
    socket.close(None).expect("it is closed");
    while socket.read().is_ok() {}
    assert_eq!(asked.load(SeqCst), 1);
}

#[test]
fn an_answer_that_is_no_success_refuses_the_handshake() {
    let asked = Arc::new(AtomicUsize::new(0));
    let served = served(&Bus::new(), &asked);
    for (path, status, body) in [("/chat", 403, "who are you?"), ("/none", 404, "Not Found")] {
        let tungstenite::Error::Http(response) = *open(&served, path).expect_err("it is refused") else {
            panic!("it is refused in another way");
        };
        assert_eq!(response.status(), status);
        assert_eq!(response.body().as_deref(), Some(body.as_bytes()));
    }
    // A request that could not be one is not handed on.
    assert_eq!(asked.load(SeqCst), 1);
    let plain = "GET /chat?name=x HTTP/1.0\r\nhost: a\r\n\r\n";
    let (bytes, _) = cepa_tests::wire::Wire::open(served.address(), plain).rest();
    assert!(bytes.starts_with(b"HTTP/1.0 426"), "{}", String::from_utf8_lossy(&bytes));
    assert_eq!(asked.load(SeqCst), 1);
}

#[test]
fn who_listens_is_told_while_it_speaks() {
    let bus = Bus::new();
    let served = served(&bus, &Arc::default());
    let (mut one, _) = open(&served, "/room").expect("it is opened");
    let (mut other, _) = open(&served, "/room").expect("it is opened");
    eventually("both listen", || count(&bus) == 2);
    for round in 0..5 {
        one.send(Message::text(format!("round {round}"))).expect("it is sent");
        for socket in [&mut one, &mut other] {
            let expected = format!("data: \"round {round}\"");
            while !text(socket).contains(&expected) {}
        }
    }
    drop(one);
    eventually("one is left", || count(&bus) == 1);
    block_on(news(&bus).stop()).expect("it is in memory");
    eventually("nobody is left", || count(&bus) == 0);
}

#[test]
fn a_stream_that_never_pauses_leaves_the_client_its_say() {
    let served = served(&Bus::new(), &Arc::default());
    let (mut socket, _) = open(&served, "/chat?name=Tobi").expect("it is opened");
    for said in ["flood", "hello"] {
        socket.send(Message::text(said)).expect("it is sent");
    }
    let heard = (0..1_000_000).any(|_| text(&mut socket) == "Tobi from afar: hello");
    assert!(heard, "a million pieces came before the answer");
}

#[test]
fn too_many_streams_end_it() {
    let served = served(&Bus::new(), &Arc::default());
    let (mut socket, _) = open(&served, "/chat?name=x").expect("it is opened");
    for _ in 0..17 {
        socket.send(Message::text("endless")).expect("it is sent");
    }
    let closed = loop {
        match socket.read() {
            Ok(Message::Close(frame)) => break frame,
            Ok(_) => {}
            Err(error) => panic!("{error}"),
        }
    };
    assert_eq!(u16::from(closed.expect("it says why").code), 1008);
}
