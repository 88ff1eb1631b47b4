//! The tora door by raw messages and by its own client: a front server, direct clients that listen and ask again, and
//! everything that neither should do.
#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

use std::{
    io::{ErrorKind, Read, Write},
    net::{Shutdown, TcpStream},
    time::{Duration, Instant},
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
use cepa_tests::{
    Served, Serving,
    stats::{eventually, most_connections, pause},
};

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

#[test]
fn a_request_is_answered_message_by_message() {
    let served = front();
    let (bytes, clean) = rest(&mut open(&served, &get("/")));
    let mut expected = messages(&[
        (Code::HeaderKey, "Content-Type"),
        (Code::HeaderValue, "text/plain; charset=utf-8"),
        (Code::HeaderKey, "Content-Length"),
        (Code::HeaderValue, "13"),
        (Code::Print, "Hello, World!"),
    ]);
    expected.extend_from_slice(b"\x0d\0\0\0");
    assert_eq!((bytes, clean), (expected, true));
    for (path, expected) in [
        ("/who", (200, "tora 203.0.113.7 front.test ".to_owned())),
        ("/none", (404, "Not Found".to_owned())),
        ("/broken", (500, "Internal Server Error".to_owned())),
        ("/slow", (200, "slow".to_owned())),
        ("/ticks", (200, "onetwo".to_owned())),
        ("/large", (200, "x".repeat(300_000))),
    ] {
        assert_eq!(answer(&served, &get(path)), expected, "{path}");
    }
    let (bytes, _) = rest(&mut open(&served, &get("/away")));
    assert!(said(&bytes).unwrap().contains(&Said::Redirect(b"/x".to_vec())));
    // No piece is longer than mod_tora's buffer takes.
    let (bytes, _) = rest(&mut open(&served, &get("/large")));
    let pieces = said(&bytes).unwrap().into_iter().filter_map(|said| match said {
        Said::Print(text) => Some(text.len()),
        _ => None,
    });
    assert_eq!(pieces.collect::<Vec<_>>(), [131_071, 131_071, 37_858]);
}

#[test]
fn the_answer_that_was_captured_is_one() {
    let text = include_str!("../data/tora/answer.hex");
    let digits: Vec<u8> = text.lines().skip(1).flat_map(str::bytes).collect();
    let digit = |digit: u8| (digit as char).to_digit(16).unwrap() as u8;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
    let expected = [
        Said::Header("Content-Type".to_owned(), b"text/plain".to_vec()),
        Said::Print(b"Hello, World!".to_vec()),
        Said::Done,
    ];
    assert_eq!(said(&bytes).unwrap(), expected);
}

#[test]
fn a_request_is_understood_in_every_cut() {
    let served = Serving::new(app(&Bus::new())).door(Protocol::Tora).workers(2).start().unwrap();
    let request = messages(&[
        (Code::PostData, "hello there"),
        (Code::HttpMethod, "POST"),
        (Code::HeaderKey, "X"),
        (Code::HeaderValue, "y"),
        (Code::Uri, "/echo"),
        (Code::Execute, ""),
    ]);
    for at in 1..request.len() {
        let mut wire = open(&served, &request[..at]);
        if at % 8 == 0 {
            pause(Duration::from_millis(2));
        }
        wire.write_all(&request[at..]).unwrap();
        let (bytes, _) = rest(&mut wire);
        assert!(said(&bytes).unwrap().contains(&Said::Print(b"hello there".to_vec())), "{at}");
    }
}

#[test]
fn an_answer_that_breaks_off_has_no_clean_end() {
    let (bytes, clean) = rest(&mut open(&front(), &get("/breaks")));
    assert!(!clean && !said(&bytes).unwrap().contains(&Said::Done));
}

#[test]
fn what_is_no_request_ends_its_connection_and_no_other() {
    let served = front();
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        vec![0; 64],
        vec![2, 0xff, 0xff, 0xff],
        vec![5, 0xff, 0xff, 0xff],
        messages(&[(Code::Print, "x")]),
        messages(&[(Code::TestConnect, "")]),
        messages(&[(Code::Uri, "/"), (Code::Error, "I give up")]),
    ] {
        let (left, _) = rest(&mut open(&served, &bytes));
        assert!(left.is_empty(), "{bytes:?}: {left:?}");
    }
    // Where there is a part of a request it is told, and Apache's log too.
    let head = messages(&[(Code::Uri, "/")]);
    for (more, status) in [
        (vec![15, 0, 0, 0], 400),
        (vec![5, 0xff, 0xff, 0xff], 413),
        (vec![6, 0xff, 0xff, 0xff], 431),
        (messages(&[(Code::HttpMethod, "G T"), (Code::Execute, "")]), 400),
        (
            messages(&[
                (Code::HeaderKey, "Transfer-Encoding"),
                (Code::HeaderValue, "chunked"),
                (Code::Execute, ""),
            ]),
            411,
        ),
        (messages(&[(Code::Uri, &"/x".repeat(5000)), (Code::Execute, "")]), 414),
    ] {
        let mut wire = open(&served, &[&head[..], &more].concat());
        wire.shutdown(Shutdown::Write).unwrap();
        let all = said(&rest(&mut wire).0).unwrap();
        assert!(all.contains(&Said::Status(status)) && matches!(all[0], Said::Log(_)), "{status}: {all:?}");
    }
    let mut declared = get("/echo");
    declared.truncate(declared.len() - 4);
    declared.extend(messages(&[
        (Code::HeaderKey, "Content-Length"),
        (Code::HeaderValue, "5"),
        (Code::PostData, "four"),
        (Code::Execute, ""),
    ]));
    assert_eq!(answer(&served, &declared).0, 400);
    assert_eq!(answer(&served, &get("/")).0, 200);
}

#[test]
fn a_form_comes_when_the_app_reads_it() {
    let served = front();
    let head = |path: &str| {
        messages(&[
            (Code::Uri, path),
            (Code::HttpMethod, "POST"),
            (Code::HeaderKey, "Content-Type"),
            (Code::HeaderValue, "multipart/form-data; boundary=x"),
            (Code::HeaderKey, "Content-Length"),
            (Code::HeaderValue, "123"),
            (Code::Execute, ""),
        ])
    };
    // One that nobody reads stays where it is.
    let all = said(&rest(&mut open(&served, &head("/none"))).0).unwrap();
    assert!(all.contains(&Said::Status(404)) && !all.contains(&Said::Query), "{all:?}");
    let mut wire = open(&served, &head("/length"));
    let mut asked = [0; 9];
    wire.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"\x14\x05\0\x0065536");
    wire.write_all(&messages(&[(Code::PartKey, "a"), (Code::PartData, &"x".repeat(60_000))])).unwrap();
    wire.write_all(&messages(&[(Code::PartData, ""), (Code::PartDone, ""), (Code::Execute, "")])).unwrap();
    let all = said(&rest(&mut wire).0).unwrap();
    let printed = all.iter().find_map(|said| match said {
        Said::Print(text) => String::from_utf8(text.clone()).ok()?.parse::<usize>().ok(),
        _ => None,
    });
    assert!(printed.is_some_and(|length| (60_000..60_300).contains(&length)), "{all:?}");
    // One that is none, and one that is cut off: no answer is to be had of it.
    for bytes in [messages(&[(Code::PartData, "x")]), messages(&[(Code::PartKey, "a"), (Code::Execute, "")])]
    {
        let mut wire = open(&served, &head("/length"));
        wire.read_exact(&mut asked).unwrap();
        wire.write_all(&bytes).unwrap();
        assert!(!said(&rest(&mut wire).0).unwrap().contains(&Said::Done));
    }
    let mut wire = open(&served, &head("/length"));
    wire.read_exact(&mut asked).unwrap();
    wire.write_all(&messages(&[(Code::PartKey, "a")])).unwrap();
    wire.shutdown(Shutdown::Write).unwrap();
    assert!(said(&rest(&mut wire).0).unwrap().contains(&Said::Status(400)));
}

#[test]
fn an_event_stream_keeps_the_connection_of_the_front_server() {
    let bus = Bus::new();
    let served = Serving::new(app(&bus)).door(Protocol::Tora).start().unwrap();
    for path in ["/listen", "/poll"] {
        let mut wire = open(&served, &get(path));
        eventually("somebody listens", || count(&bus) == 1);
        let mut bytes = Vec::new();
        while !bytes.ends_with(&[Code::Listen as u8, 0, 0, 0]) {
            let mut byte = [0];
            wire.read_exact(&mut byte).unwrap();
            bytes.extend_from_slice(&byte);
        }
        cepa_core::test::block_on(news(&bus).notify(&"rain".to_owned())).unwrap();
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("rain") {
            let mut some = [0; 256];
            let length = wire.read(&mut some).unwrap();
            assert!(length > 0);
            seen.extend_from_slice(&some[..length]);
        }
        assert_eq!(seen[0], Code::Print as u8);
        drop(wire);
        eventually("nobody listens", || count(&bus) == 0);
    }
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

#[test]
fn direct_clients_are_answered_and_believed_nothing() {
    let served = direct(&Bus::new());
    block_on(async {
        let who = call("/who").param("a b", "1&2").header("X-Forwarded-For", "10.0.0.1");
        let answer = ask(&served, &who).await.unwrap();
        assert_eq!((answer.status, answer.listening), (200, false));
        assert_eq!(String::from_utf8(answer.body).unwrap(), "tora-direct 127.0.0.1 localhost a+b=1%262");
        assert_eq!(ask(&served, &call("/none")).await.unwrap().status, 404);
        let broken = ask(&served, &call("/broken")).await.unwrap();
        assert_eq!((broken.status, &*broken.body), (500, &b"Internal Server Error"[..]));
        for url in ["http://other/", "http://LOCALHOST.evil/"] {
            let refused = ask(&served, &Call::to(url).unwrap()).await;
            assert!(matches!(refused, Err(ClientError::Server(why)) if why.contains("host")));
        }
        let bad = ask(&served, &call("/").header("a b", "c")).await;
        assert!(matches!(bad, Err(ClientError::Server(_))));
    });
    let lies = messages(&[
        (Code::File, "/etc/passwd"),
        (Code::ClientIp, "10.0.0.1"),
        (Code::HostResolve, "localhost"),
        (Code::Uri, "/who"),
        (Code::Execute, ""),
    ]);
    assert_eq!(answer(&served, &lies), (200, "tora-direct 127.0.0.1 localhost ".to_owned()));
}

#[test]
fn a_client_that_listens_may_ask_again() {
    let bus = Bus::new();
    let served = direct(&bus);
    block_on(async {
        let mut client = Client::connect(served.address()).await.unwrap();
        let answer = client.call(&call("/listen")).await.unwrap();
        assert!(answer.listening && answer.body.ends_with(b"retry: 3000\n\n"), "{answer:?}");
        for round in 0..3 {
            for path in ["/", "/slow", "/ticks"] {
                let answer = client.call(&call(path)).await.unwrap();
                assert!(answer.listening, "{round} {path}");
            }
            // What it says it hears itself, beside the answer or behind it.
            let answer = client.call(&call("/say").param("n", round.to_string())).await.unwrap();
            let mut heard = answer.body;
            while !String::from_utf8_lossy(&heard).contains(&format!("data: \"n={round}\"")) {
                if let Said::Print(text) = client.next().await.unwrap() {
                    heard.extend_from_slice(&text);
                }
            }
            assert!(String::from_utf8_lossy(&heard).contains("said"));
        }
        // It listens to one more, and hears all twice; then the queue ends, and with it the connection.
        let answer = client.call(&call("/listen")).await.unwrap();
        assert!(answer.listening);
        assert_eq!(count(&bus), 2);
        news(&bus).notify(&"twice".to_owned()).await.unwrap();
        let mut heard = String::new();
        while heard.matches("twice").count() < 2 {
            if let Said::Print(text) = client.next().await.unwrap() {
                heard.push_str(&String::from_utf8_lossy(&text));
            }
        }
        news(&bus).stop().await.unwrap();
        while client.next().await.unwrap() != Said::Done {}
    });
    eventually("nobody listens", || count(&bus) == 0);
}

#[test]
fn a_request_that_comes_too_early_waits_for_its_turn() {
    let bus = Bus::new();
    let served = direct(&bus);
    let mut early = Vec::new();
    for path in ["/listen", "/slow", "/large", "/none", "/"] {
        call(path).encode(&mut early);
    }
    let mut wire = open(&served, &early);
    let (mut answers, mut listens, mut text) = (Answers::default(), 0, Vec::new());
    while listens < 5 {
        let mut some = [0; 4096];
        let length = wire.read(&mut some).unwrap();
        assert!(length > 0, "{}", String::from_utf8_lossy(&text));
        let mut at = 0;
        while at < length {
            let (used, said) = answers.decode(&some[at..length]).unwrap();
            at += used;
            match said {
                Some(Said::Listening) => listens += 1,
                Some(Said::Print(print)) => text.extend_from_slice(&print),
                _ => {}
            }
        }
    }
    let text = String::from_utf8(text).unwrap();
    assert!(text.ends_with(&format!("slow{}Not FoundHello, World!", "x".repeat(300_000))));
    // Half a request does not keep the others waiting for ever, and one that is none ends the connection.
    wire.write_all(&[2, 1, 0, 0, b'/', 15, 0, 0, 0]).unwrap();
    assert!(said(&rest(&mut wire).0).is_err());
    eventually("nobody listens", || count(&bus) == 0);
}

#[test]
fn one_that_listens_too_often_is_let_go() {
    let bus = Bus::new();
    let served = direct(&bus);
    block_on(async {
        let mut client = Client::connect(served.address()).await.unwrap();
        let mut listens = 0;
        while client.call(&call("/listen")).await.is_ok() {
            listens += 1;
            assert!(listens < 50);
        }
        assert_eq!(listens, 17);
    });
    eventually("nobody listens", || count(&bus) == 0);
}

#[test]
fn a_flash_player_is_told_the_hosts_and_nothing_else() {
    let served = direct(&Bus::new());
    let expected = format!(
        "<cross-domain-policy><allow-access-from domain=\"localhost\" to-ports=\"{}\"/></cross-domain-policy>\0",
        served.address().port()
    );
    let (bytes, clean) = rest(&mut open(&served, b"<policy-file-request/>\0"));
    assert_eq!((String::from_utf8(bytes).unwrap(), clean), (expected, true));
    let (bytes, _) = rest(&mut open(&front(), b"<policy-file-request/>\0"));
    assert_eq!(bytes, b"<cross-domain-policy></cross-domain-policy>\0");
}

#[test]
fn limits_of_time() {
    let served = with_limits(|limits| {
        limits.first_byte = Duration::from_secs(1);
        limits.header_time = Duration::from_secs(1);
        limits.request_time = Duration::from_secs(1);
        limits.write_stall = Duration::from_secs(1);
    });
    let request = get("/");
    let mut silent = open(&served, b"");
    let mut in_header = open(&served, &request[..3]);
    let mut half = open(&served, &request[..request.len() - 2]);
    let mut never = open(&served, &get("/never"));
    let mut stalled = open(&served, &get("/endless"));
    assert_eq!(rest(&mut silent), (Vec::new(), true));
    assert_eq!(rest(&mut in_header), (Vec::new(), true));
    assert!(said(&rest(&mut half).0).unwrap().contains(&Said::Status(408)));
    assert!(said(&rest(&mut never).0).unwrap().contains(&Said::Status(503)));
    pause(Duration::from_secs(4));
    assert!(!rest(&mut stalled).1, "what nobody takes is cut off");
}

#[test]
fn bodies_are_bounded_before_they_come() {
    let served = with_limits(|limits| limits.body = 1000);
    let body = |length: usize| {
        let mut bytes = messages(&[(Code::Uri, "/length"), (Code::HttpMethod, "POST")]);
        wire::push(&mut bytes, Code::PostData, &vec![b'x'; length]);
        wire::push(&mut bytes, Code::Execute, b"");
        answer(&served, &bytes)
    };
    assert_eq!(body(1000), (200, "1000".to_owned()));
    assert_eq!(body(1001).0, 413);
}

#[test]
fn a_flood_of_messages_ends_with_the_time_for_a_head_and_holds_up_nobody() {
    let served = with_limits(|limits| limits.header_time = Duration::from_secs(1));
    let mut flood = messages(&[(Code::ParamKey, ""), (Code::ParamValue, "")].repeat(2_000));
    wire::push(&mut flood, Code::File, &vec![b'x'; 100_000]);
    let mut flooding = open(&served, b"");
    flooding.set_write_timeout(Some(Duration::from_secs(10))).unwrap();
    let (started, mut asked) = (Instant::now(), Duration::ZERO);
    while flooding.write_all(&flood).is_ok() {
        if asked.is_zero() {
            let begun = Instant::now();
            assert_eq!(answer(&served, &get("/")).0, 200);
            asked = begun.elapsed();
        }
        assert!(started.elapsed() < Duration::from_secs(90), "it goes on and on");
    }
    assert!(asked < Duration::from_secs(2), "{asked:?}");
}

#[test]
fn ten_thousand_idle_connections_hold_up_nobody() {
    let served = front();
    let request = get("/");
    let mut idle = Vec::new();
    for at in 0..most_connections().min(10_000) {
        let mut stream = TcpStream::connect(served.address()).unwrap();
        if at % 10 == 0 {
            stream.write_all(&request[..at % request.len()]).unwrap();
        }
        idle.push(stream);
    }
    let started = Instant::now();
    assert_eq!(answer(&served, &request).0, 200);
    assert!(started.elapsed() < Duration::from_secs(2));
}

#[test]
fn a_drain_lets_requests_finish_and_tells_who_listens() {
    let bus = Bus::new();
    let served = direct(&bus);
    let mut slow = open(&served, &{
        let mut bytes = Vec::new();
        call("/slow").encode(&mut bytes);
        bytes
    });
    block_on(async {
        let mut client = Client::connect(served.address()).await.unwrap();
        assert!(client.call(&call("/listen")).await.unwrap().listening);
        pause(Duration::from_millis(50));
        served.stopper().drain();
        let mut heard = String::new();
        loop {
            match client.next().await.unwrap() {
                Said::Print(text) => heard.push_str(&String::from_utf8_lossy(&text)),
                Said::Done => break,
                said => panic!("{said:?}"),
            }
        }
        assert!(heard.starts_with("retry: "));
    });
    assert!(said(&rest(&mut slow).0).unwrap().contains(&Said::Print(b"slow".to_vec())));
    served.join().unwrap();
}
