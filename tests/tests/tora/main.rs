//! The tora door by raw messages and by its own client: a front server, direct clients that listen and ask again, and
//! everything that neither should do.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod bounds;
mod direct;
mod front;

use std::{
    io::{ErrorKind, Read, Write},
    net::TcpStream,
    time::Duration,
};

use cepa_bus::{Bus, Live, Queue, QueueOptions};
use cepa_core::{App, Body, Ctx, Error, Result, router::post};
use cepa_server::{
    Protocol,
    limits::Limits,
    tora::{
        client::{Answer, Answers, Call, Client, ClientError, Said},
        wire::{self, Code},
    },
};
use cepa_tests::{Served, Serving};

fn news(bus: &Bus) -> Queue<String> {
    bus.queue_with("news", QueueOptions { keep: 16, ..QueueOptions::default() }).unwrap()
}

fn count(bus: &Bus) -> usize {
    cepa_core::test::block_on(news(bus).count()).unwrap()
}

fn app(bus: &Bus) -> App {
    App::new()
        .provide(bus.clone())
        .get("/", async |_: &mut Ctx| "Hello, World!")
        .get("/who", async |ctx: &mut Ctx| {
            let (door, ip, host) = (ctx.connection().door(), ctx.ip(), ctx.host().to_owned());
            format!("{door} {} {host} {}", ip.unwrap(), ctx.querystring())
        })
        .get("/broken", async |_: &mut Ctx| Err::<(), _>(Error::new(500, "private")))
        .get("/away", async |ctx: &mut Ctx| ctx.redirect("/x"))
        .get("/slow", async |_: &mut Ctx| {
            tokio::time::sleep(Duration::from_millis(200)).await;
            "slow"
        })
        .get("/never", async |_: &mut Ctx| std::future::pending::<()>().await)
        .get("/large", async |_: &mut Ctx| vec![b'x'; 300_000])
        .get("/breaks", async |_: &mut Ctx| {
            Body::from_async(async |mut out| {
                out.write("begun").await;
                tokio::time::sleep(Duration::from_millis(30)).await;
                Err(Error::new(500, "the source dried up"))
            })
        })
        .get("/endless", async |_: &mut Ctx| {
            Body::from_async(async |mut out| {
                loop {
                    out.write(vec![b'x'; 16 * 1024]).await;
                }
            })
        })
        .get("/ticks", async |_: &mut Ctx| {
            Body::from_async(async |mut out| {
                for tick in ["one", "two"] {
                    out.write(tick).await;
                    tokio::time::sleep(Duration::from_millis(30)).await;
                }
                Ok(())
            })
        })
        .get("/say", async |ctx: &mut Ctx| -> Result<&str> {
            let text = ctx.querystring().to_owned();
            news(ctx.provided()?).notify(&text).await.map_err(|error| Error::new(500, error.to_string()))?;
            Ok("said")
        })
        .get("/listen", async |ctx: &mut Ctx| -> Result {
            let queue = news(ctx.provided()?);
            ctx.sse(&queue)
        })
        .get("/poll", async |ctx: &mut Ctx| -> Result {
            let queue = news(ctx.provided()?);
            ctx.long_poll(&queue, Duration::from_secs(60))
        })
        .route("/echo", post(async |ctx: &mut Ctx| ctx.request.take_body()).body_limit(1 << 30))
        .post("/length", async |ctx: &mut Ctx| -> Result<String> { Ok(ctx.bytes().await?.len().to_string()) })
}

fn front() -> Served {
    Serving::new(app(&Bus::new())).door(Protocol::Tora).start().unwrap()
}

fn with_limits(change: impl FnOnce(&mut Limits)) -> Served {
    Serving::new(app(&Bus::new())).door(Protocol::Tora).limits(change).start().unwrap()
}

fn direct(bus: &Bus) -> Served {
    Serving::new(app(bus)).direct(&["localhost"]).start().unwrap()
}

fn messages(list: &[(Code, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (code, text) in list {
        wire::push(&mut out, *code, text.as_bytes());
    }
    out
}

fn get(path: &str) -> Vec<u8> {
    messages(&[
        (Code::File, "/srv/www/index.n"),
        (Code::Uri, path),
        (Code::HostName, "front.test"),
        (Code::ClientIp, "203.0.113.7"),
        (Code::HttpMethod, "GET"),
        (Code::Execute, ""),
    ])
}

fn open(served: &Served, bytes: &[u8]) -> TcpStream {
    let mut stream = TcpStream::connect(served.address()).unwrap();
    stream.set_read_timeout(Some(cepa_tests::wire::PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.write_all(bytes).unwrap();
    stream
}

/// Reads until the connection ends; whether that was in order.
fn rest(stream: &mut TcpStream) -> (Vec<u8>, bool) {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => (bytes, true),
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::ConnectionReset, "{error}");
            (bytes, false)
        }
    }
}

/// All that the bytes say.
fn said(bytes: &[u8]) -> Result<Vec<Said>, ClientError> {
    let (mut answers, mut all, mut at) = (Answers::default(), Vec::new(), 0);
    while at < bytes.len() {
        let (used, said) = answers.decode(&bytes[at..])?;
        all.extend(said);
        at += used;
    }
    Ok(all)
}

/// The status and the body of a whole answer.
fn answer(served: &Served, request: &[u8]) -> (u16, String) {
    let (bytes, clean) = rest(&mut open(served, request));
    let (mut status, mut body) = (200, Vec::new());
    let all = said(&bytes).unwrap();
    assert!(clean && (all.last() == Some(&Said::Done) || all.is_empty()), "{all:?}");
    for said in all {
        match said {
            Said::Status(said) => status = said,
            Said::Redirect(_) => status = 302,
            Said::Print(text) => body.extend_from_slice(&text),
            _ => {}
        }
    }
    (status, String::from_utf8(body).unwrap())
}

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        tokio::time::timeout(Duration::from_secs(60), future).await.expect("it takes too long")
    })
}

fn call(path: &str) -> Call {
    Call::to(&format!("http://localhost{path}")).unwrap()
}

async fn ask(served: &Served, call: &Call) -> Result<Answer, ClientError> {
    Client::connect(served.address()).await?.call(call).await
}
