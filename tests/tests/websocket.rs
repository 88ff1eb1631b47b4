//! WebSockets end to end, with another's client, and with bytes that no client sends.

use std::{
    io::Read,
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, Instant},
};

use cepa_bus::{Bus, Delivery};
use cepa_core::{App, Ctx, Error, test::block_on};
use cepa_tests::{
    Served, serve,
    stats::{eventually, pause},
    wire::{Ended, PATIENCE, Wire},
};
use cepa_websocket::{CloseCode, Options, Prepared, Socket, WebSocketExt as _, deflate::Deflate};
use tungstenite::{
    Message, WebSocket,
    protocol::{CloseFrame, frame::coding::CloseCode as Code},
};

const REQUEST: &str = "GET /echo HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n\
    sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

/// `/echo` echoes; `/fail` fails with the first message; `/news` sends one message; `/flood` sends for ever.
fn app(options: Options) -> App {
    let options = Arc::new(options);
    let [echo, fail, news, flood] = std::array::from_fn(|_| Arc::clone(&options));
    App::new()
        .get("/echo", async move |ctx: &mut Ctx| {
            ctx.websocket(&echo, async |socket: &mut Socket| {
                while let Some(message) = socket.recv().await? {
                    socket.send(message).await?;
                }
                Ok(())
            })
        })
        .get("/fail", async move |ctx: &mut Ctx| {
            ctx.websocket(&fail, async |socket: &mut Socket| {
                socket.recv().await?;
                Err(Error::new(500, "failed"))
            })
        })
        .get("/news", async move |ctx: &mut Ctx| {
            ctx.websocket(&news, async |socket: &mut Socket| {
                socket.send_prepared(&Prepared::new("goal!")).await?;
                socket.close(CloseCode::AGAIN_LATER, "later").await;
                Ok(())
            })
        })
        .get("/flood", async move |ctx: &mut Ctx| {
            ctx.websocket(&flood, async |socket: &mut Socket| {
                loop {
                    socket.send(vec![0; 100_000]).await?;
                }
            })
        })
}

fn client(server: &Served, path: &str) -> WebSocket<TcpStream> {
    let stream = TcpStream::connect(server.address()).expect("the server listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a time that is not zero");
    let (client, answer) = tungstenite::client(format!("ws://a{path}"), stream).expect("the server switches");
    assert_eq!(answer.status(), 101);
    client
}

/// A connection on which the server has switched.
fn raw(server: &Served, extra: &str) -> Wire {
    let mut wire = Wire::open(server.address(), format!("{REQUEST}{extra}\r\n"));
    assert_eq!(wire.response().status, 101);
    wire
}

/// A client's frame with a mask of zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    match payload.len() {
        length @ 0..=125 => bytes.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            bytes.push(0xfe);
            bytes.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            bytes.push(0xff);
            bytes.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// The code of the Close frame that comes next, after which the connection ends in order.
#[track_caller]
fn closed_with(wire: &mut Wire) -> u16 {
    let head = wire.read_exact(2).expect("a frame comes");
    assert_eq!(head[0], 0x88);
    let payload = wire.read_exact(usize::from(head[1])).expect("a frame comes whole");
    wire.finish();
    assert_eq!(wire.rest(), (Vec::new(), Ended::Closed));
    u16::from_be_bytes([payload[0], payload[1]])
}

#[test]
fn messages_of_all_sizes_come_back() {
    let server = serve(app(Options { message: 4 << 20, ..Options::default() })).unwrap();
    let mut client = client(&server, "/echo");
    for size in [0, 1, 125, 126, 4096, 4097, 65_535, 65_536, 1_000_000, 4 << 20] {
        let bytes = Message::binary(vec![7; size]);
        client.send(bytes.clone()).unwrap();
        assert_eq!(client.read().unwrap(), bytes, "{size}");
        let text = Message::text("ö".repeat(size / 2));
        client.send(text.clone()).unwrap();
        assert_eq!(client.read().unwrap(), text, "{size}");
    }
    client.send(Message::Ping(b"p".to_vec().into())).unwrap();
    assert_eq!(client.read().unwrap(), Message::Pong(b"p".to_vec().into()));
    client.close(Some(CloseFrame { code: Code::Normal, reason: "bye".into() })).unwrap();
    assert!(matches!(client.read(), Ok(Message::Close(Some(close))) if close.code == Code::Normal));
    assert!(matches!(client.read(), Err(tungstenite::Error::ConnectionClosed)));
}

#[test]
fn many_messages_before_the_first_answer_is_read() {
    let server = serve(app(Options { rate: 0, ..Options::default() })).unwrap();
    let mut wire = raw(&server, "");
    wire.send(frame(0x82, b"0123456789").repeat(5000));
    assert_eq!(wire.read_exact(12 * 5000).unwrap(), b"\x82\x0a0123456789".repeat(5000));
    // With the request, before the 101.
    let mut wire =
        Wire::open(server.address(), [format!("{REQUEST}\r\n").as_bytes(), &frame(0x81, b"early")].concat());
    assert_eq!(wire.response().status, 101);
    assert_eq!(wire.read_exact(7).unwrap(), b"\x81\x05early");
}

#[test]
fn handlers_close_as_they_end() {
    let server = serve(app(Options::default())).unwrap();
    let mut news = client(&server, "/news");
    assert_eq!(news.read().unwrap(), Message::text("goal!"));
    let Message::Close(Some(close)) = news.read().unwrap() else { panic!("no Close") };
    assert_eq!((u16::from(close.code), close.reason.as_str()), (1013, "later"));
    assert!(matches!(news.read(), Err(tungstenite::Error::ConnectionClosed)));
    let mut failing = client(&server, "/fail");
    failing.send(Message::text("x")).unwrap();
    assert!(matches!(failing.read(), Ok(Message::Close(Some(close))) if close.code == Code::Error));
}

#[test]
fn what_is_published_reaches_all_in_order() {
    let news = Bus::new().queue::<u32>("news").unwrap();
    let queue = news.clone();
    let app = App::new().get("/news", async move |ctx: &mut Ctx| {
        let mut news = queue.subscribe()?;
        ctx.websocket(&Options::default(), async move |socket: &mut Socket| {
            loop {
                tokio::select! {
                    biased;
                    delivery = news.next() => match delivery {
                        Some(Delivery::Message(message)) => {
                            socket.feed_prepared(&message.encoded(|json| Prepared::new(json))).await?;
                        }
                        _ => return Ok(()),
                    },
                    message = socket.recv() => if message?.is_none() {
                        return Ok(());
                    },
                }
            }
        })
    });
    let server = serve(app).unwrap();
    let mut clients = [0; 20].map(|_| client(&server, "/news"));
    eventually("all are subscribed", || block_on(news.count()).unwrap() == 20);
    for number in 0..100 {
        block_on(news.notify(&number)).unwrap();
    }
    for client in &mut clients {
        for number in 0..100 {
            assert_eq!(client.read().unwrap(), Message::text(number.to_string()));
        }
        client.send(Message::Ping(b"p".to_vec().into())).unwrap();
        assert_eq!(client.read().unwrap(), Message::Pong(b"p".to_vec().into()));
    }
    // The queue ends, and says goodbye to all.
    block_on(news.stop()).unwrap();
    for client in &mut clients {
        assert!(matches!(client.read(), Ok(Message::Close(Some(close))) if close.code == Code::Normal));
    }
}

#[test]
fn refusals_reach_the_client_and_keep_the_connection() {
    let server = serve(app(Options::default())).unwrap();
    let mut wire = Wire::open(server.address(), REQUEST.replace("n: 13", "n: 8") + "\r\n");
    let answer = wire.response();
    assert_eq!((answer.status, answer.all("sec-websocket-version").next()), (426, Some("13")));
    wire.send(format!("{REQUEST}origin: https://evil.example\r\n\r\n"));
    assert_eq!(wire.response().status, 403);
    wire.send("GET /echo HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(wire.response().status, 426);
    wire.send(format!("{REQUEST}origin: http://a\r\n\r\n"));
    assert_eq!(wire.response().status, 101);
}

#[test]
fn the_drain_says_1001_and_waits_for_the_client() {
    let server = serve(app(Options::default())).unwrap();
    let (mut one, mut two) = (client(&server, "/echo"), client(&server, "/echo"));
    one.send(Message::text("x")).unwrap();
    assert_eq!(one.read().unwrap(), Message::text("x"));
    server.stopper().drain();
    for client in [&mut one, &mut two] {
        assert!(matches!(client.read(), Ok(Message::Close(Some(close))) if close.code == Code::Away));
        assert!(matches!(client.read(), Err(tungstenite::Error::ConnectionClosed)));
    }
    let before = Instant::now();
    server.join().unwrap();
    assert!(before.elapsed() < Duration::from_secs(3));
}

#[test]
fn attack_frames_against_the_rules() {
    let server = serve(app(Options::default())).unwrap();
    let table: [(&str, Vec<u8>, u16); 9] = [
        ("not masked", b"\x81\x01x".to_vec(), 1002),
        ("a reserved bit", frame(0xc1, b"x"), 1002),
        ("a reserved opcode", frame(0x83, b"x"), 1002),
        ("a length bomb", b"\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0x".to_vec(), 1009),
        ("a negative length", b"\x82\xff\x80\0\0\0\0\0\0\0\0\0\0\0".to_vec(), 1002),
        ("a longer length than needed", b"\x82\xfe\0\x01\0\0\0\0x".to_vec(), 1002),
        ("a fragmented ping", frame(0x09, b""), 1002),
        ("no UTF-8", frame(0x01, b"\xc0\xaf"), 1007),
        ("a code that is none", frame(0x88, &1005_u16.to_be_bytes()), 1002),
    ];
    for (name, bytes, code) in table {
        let mut wire = raw(&server, "");
        // What follows is not read as frames, and does not reset the connection before the Close is read.
        wire.send([&bytes[..], &[0x81; 2000]].concat());
        assert_eq!(closed_with(&mut wire), code, "{name}");
    }
}

#[test]
fn attack_fragments_flood() {
    let server = serve(app(Options::default())).unwrap();
    let mut wire = raw(&server, "");
    wire.send(frame(0x01, b""));
    wire.send(frame(0x00, b"").repeat(16_384));
    assert_eq!(closed_with(&mut wire), 1008);
    let mut wire = raw(&server, "");
    wire.send(frame(0x02, &[0; 1000]));
    wire.send(frame(0x00, &[0; 1000]).repeat(1100));
    assert_eq!(closed_with(&mut wire), 1009);
}

#[test]
fn attack_ping_flood() {
    let server = serve(app(Options { rate: 100, ..Options::default() })).unwrap();
    let mut wire = raw(&server, "");
    let before = Instant::now();
    wire.send(frame(0x89, b"p").repeat(250));
    wire.send(frame(0x81, b"end"));
    let (mut got, mut last) = (0, Vec::new());
    while last != b"\x81\x03end" {
        let head = wire.read_exact(2).unwrap();
        last = [head.clone(), wire.read_exact(usize::from(head[1])).unwrap()].concat();
        got += 1;
    }
    // Of pings that come together, the last is answered.
    assert!(got <= 251);
    assert!(before.elapsed() >= Duration::from_millis(1500), "{:?}", before.elapsed());
    let mut other = client(&server, "/echo");
    other.send(Message::text("x")).unwrap();
    assert_eq!(other.read().unwrap(), Message::text("x"));
}

#[test]
fn attack_slow_reader() {
    let options = Options { write_stall: Duration::from_secs(1), ..Options::default() };
    let server = serve(app(options)).unwrap();
    let mut slow = client(&server, "/flood");
    let mut polite = client(&server, "/echo");
    for _ in 0..20 {
        polite.send(Message::text("x")).unwrap();
        assert_eq!(polite.read().unwrap(), Message::text("x"));
        pause(Duration::from_millis(100));
    }
    // What the kernels held is there, or thrown away by the reset; no more is sent.
    let mut bytes = vec![0; 1 << 20];
    let mut total = 0;
    while let Ok(length @ 1..) = slow.get_mut().read(&mut bytes) {
        total += length;
    }
    assert!(total < 20 << 20, "{total}");
}

#[test]
fn attack_deflate_bomb() {
    let options = Options { deflate: Some(Deflate::default()), message: 1 << 30, ..Options::default() };
    let server = serve(app(options)).unwrap();
    let mut zeros = flate2::Compress::new(flate2::Compression::best(), false);
    let mut bomb = Vec::with_capacity(1 << 20);
    zeros.compress_vec(&vec![0; 100 << 20], &mut bomb, flate2::FlushCompress::Sync).unwrap();
    assert!(bomb.len() < 200_000);
    let mut wire = raw(&server, "sec-websocket-extensions: permessage-deflate\r\n");
    wire.send(frame(0xc2, &bomb));
    assert_eq!(closed_with(&mut wire), 1009);
    // Without the extension it is no more than a reserved bit.
    let mut wire = raw(&server, "");
    wire.send(frame(0xc2, &bomb[..100]));
    assert_eq!(closed_with(&mut wire), 1002);
}

#[test]
fn a_client_that_vanishes_ends_the_handler() {
    let ended = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&ended);
    let app = App::new().get("/echo", async move |ctx: &mut Ctx| {
        let count = Arc::clone(&count);
        ctx.websocket(&Options::default(), async move |socket: &mut Socket| {
            while let Ok(Some(_)) = socket.recv().await {}
            count.fetch_add(1, SeqCst);
            Ok(())
        })
    });
    let server = serve(app).unwrap();
    drop(raw(&server, ""));
    eventually("the first handler ends", || ended.load(SeqCst) == 1);
    let mut wire = raw(&server, "");
    wire.send(frame(0x81, b"x"));
    wire.reset();
    eventually("the second handler ends", || ended.load(SeqCst) == 2);
}
