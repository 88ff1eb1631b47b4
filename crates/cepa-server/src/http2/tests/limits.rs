//! The limits that a connection or a stream meets in time.

use cepa_core::Result;
use h2::Reason;

use super::*;

fn hello() -> App {
    App::new()
        .get("/", async |_: &mut Ctx| "Hello, onion")
        .post("/", async |ctx: &mut Ctx| -> Result<Bytes> { ctx.request.body_mut().bytes(1 << 30).await })
}

/// Whether a moment comes at a limit or at most four seconds after it: the tick, and the time for a GOAWAY to be
/// read.
fn about(seconds: u64, limit: u64) {
    assert!((limit..=limit + 4).contains(&seconds), "{seconds} s instead of {limit} s");
}

#[test]
fn a_silent_connection_is_closed() {
    run(async {
        let (served, _far) = Served::new(hello(), Limits::default(), 1024);
        about(served.ended().await, 30);
    });
}

#[test]
fn a_half_or_trickled_preface_is_closed() {
    run(async {
        let (served, mut far) = Served::new(hello(), Limits::default(), 1024);
        let trickle = spawn_local(async move {
            for byte in PREFACE {
                let _ = far.write_all(&[*byte]).await;
                sleep(Duration::from_secs(4)).await;
            }
        });
        about(served.ended().await, 10);
        trickle.abort();
    });
}

#[test]
fn a_preface_without_settings_is_closed() {
    run(async {
        let (served, io) = Served::new(hello(), Limits::default(), 1024);
        let mut raw = Raw { io, read: VecDeque::new() };
        raw.send(PREFACE).await;
        assert_eq!(raw.outcome().await.0, Some(1));
        about(served.ended().await, 10);
    });
}

#[test]
fn an_idle_connection_leaves_whatever_it_pings() {
    run(async {
        let (served, mut raw) = Raw::new(hello(), Limits::default(), &[]).await;
        raw.send(&request(1, GET, true)).await;
        let (mut read, mut write) = tokio::io::split(raw.io);
        let ping = spawn_local(async move {
            while write.write_all(&frame(6, 0, 0, b"keepme!!")).await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let mut all = Vec::new();
        let _ = read.read_to_end(&mut all).await;
        // It does not acknowledge the PING of the graceful GOAWAY: five seconds more.
        about(served.ended().await, 80);
        ping.abort();
    });
}

#[test]
fn an_idle_client_that_plays_along_is_let_go_without_an_error() {
    run(async {
        let mut client = Client::new(hello(), Limits::default()).await;
        assert_eq!(text(client.get("/").await).await.0, 200);
        client.connection.await.unwrap().unwrap();
        about(client.served.ended().await, 75);
    });
}

#[test]
fn a_header_block_must_come_to_its_end() {
    run(async {
        let (served, mut raw) = Raw::new(hello(), Limits::default(), &[]).await;
        raw.send(&frame(kind::HEADERS, flag::END_STREAM, 1, GET)).await;
        for _ in 0..2 {
            sleep(Duration::from_secs(4)).await;
            raw.send(&frame(kind::CONTINUATION, 0, 1, b"\x00\x01x\x01y")).await;
        }
        assert_eq!(raw.outcome().await.0, Some(11));
        about(served.ended().await, 10);
    });
}

#[test]
fn a_slow_body_is_408_and_a_slow_handler_503() {
    let app = hello().get("/slow", async |_: &mut Ctx| {
        sleep(Duration::from_secs(500)).await;
        "late"
    });
    run(async {
        let mut client = Client::new(app, Limits::default()).await;
        let (response, mut send) = client.post("/").await;
        let trickle = spawn_local(async move {
            while send.send_data(Bytes::from_static(b"x"), false).is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        assert_eq!(text(response).await.0, 408);
        about(client.served.begun.elapsed().as_secs(), 10);
        trickle.await.unwrap();

        let begun = Instant::now();
        assert_eq!(text(client.get("/slow").await).await, (503, "Service Unavailable".to_owned()));
        about(begun.elapsed().as_secs(), 60);
        assert_eq!(text(client.get("/").await).await.0, 200);
    });
}

#[test]
fn a_window_that_stays_shut_or_opens_by_a_byte_resets_the_stream() {
    run(async {
        // INITIAL_WINDOW_SIZE 0.
        let app = hello().get("/large", async |_: &mut Ctx| vec![b'x'; 5000]);
        let (served, mut raw) = Raw::new(app, Limits::default(), &[0, 4, 0, 0, 0, 0]).await;
        let answers: Vec<u8> = (0..4).flat_map(|n| request(2 * n + 1, GET, true)).collect();
        raw.send(&answers).await;
        raw.send(&request(9, b"\x82\x04\x06/large\x86\x01\x01a", true)).await;
        for _ in 0..28 {
            sleep(Duration::from_secs(1)).await;
            raw.send(&frame(8, 0, 9, &[0, 0, 0, 1])).await;
        }
        let mut reset = Vec::new();
        while reset.len() < 5 {
            let (kind, _, stream, payload) = raw.next().await.expect("the connection stays");
            if kind == kind::RST_STREAM {
                reset.push((stream, payload[3]));
            }
        }
        reset.sort_unstable();
        let cancel = Reason::CANCEL;
        assert_eq!(reset, [1, 3, 5, 7, 9].map(|stream| (stream, u32::from(cancel) as u8)));
        about(served.begun.elapsed().as_secs(), 30);
    });
}

#[test]
fn a_slow_link_is_not_a_shut_window() {
    let app = App::new().get("/", async |_: &mut Ctx| vec![b'x'; 200_000]);
    run(async {
        let (_served, io) = Served::new(app, Limits::default(), 4096);
        let mut raw = Raw { io, read: VecDeque::new() };
        raw.send(PREFACE).await;
        raw.send(&frame(kind::SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff])).await;
        raw.send(&frame(8, 0, 0, &[0x7f, 0, 0, 0])).await;
        for n in 0..40 {
            raw.send(&request(2 * n + 1, GET, true)).await;
        }
        // Each stream comes by once in two minutes.
        let (mut bytes, mut space) = (Vec::new(), [0; 5000]);
        for _ in 0..300 {
            let count = raw.io.read(&mut space).await.unwrap();
            bytes.extend_from_slice(&space[..count]);
            sleep(Duration::from_secs(1)).await;
        }
        let mut frames = super::super::frames::Frames::after(0);
        let mut at = 0;
        while at < bytes.len() {
            let (used, frame) = frames.next(&bytes[at..]);
            at += used;
            assert!(
                frame.is_none_or(|frame| !matches!(frame.kind, kind::RST_STREAM | kind::GOAWAY)),
                "{frame:?}"
            );
        }
        assert!(bytes.len() > 1_000_000);
    });
}

#[test]
fn a_peer_that_reads_nothing_is_cut() {
    let app = App::new().get("/", async |_: &mut Ctx| vec![b'x'; 1 << 20]);
    run(async {
        let (served, io) = Served::new(app, Limits::default(), 4096);
        let mut raw = Raw { io, read: VecDeque::new() };
        raw.send(PREFACE).await;
        raw.send(&frame(kind::SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff])).await;
        raw.send(&frame(8, 0, 0, &[0x7f, 0, 0, 0])).await;
        raw.send(&request(1, GET, true)).await;
        about(served.ended().await, 30);
    });
}

#[test]
fn the_last_request_and_the_age_of_a_connection_are_said_gracefully() {
    run(async {
        let limits = Limits { requests_per_connection: 3, ..Limits::default() };
        let mut client = Client::new(hello(), limits).await;
        for _ in 0..3 {
            assert_eq!(text(client.get("/").await).await.0, 200);
        }
        client.connection.await.unwrap().unwrap();
        client.served.ended().await;

        let limits = Limits { connection_age: Duration::from_secs(20), ..Limits::default() };
        let app = App::new().get("/", async |_: &mut Ctx| {
            sleep(Duration::from_secs(40)).await;
            "finished"
        });
        let mut client = Client::new(app, limits).await;
        let response = client.get("/").await;
        assert_eq!(text(response).await, (200, "finished".to_owned()));
        client.connection.await.unwrap().unwrap();
        about(client.served.ended().await, 40);
    });
}

#[test]
fn a_drain_lets_streams_finish_and_takes_no_new_ones() {
    let app = App::new().get("/", async |ctx: &mut Ctx| {
        sleep(Duration::from_secs(5)).await;
        if ctx.request.connection().is_draining() { "drained" } else { "not" }
    });
    run(async {
        let mut client = Client::new(app, Limits::default()).await;
        let response = client.get("/").await;
        sleep(Duration::from_secs(1)).await;
        client.served.floor.drain(None);
        sleep(Duration::from_secs(1)).await;
        assert!(client.send.clone().ready().await.is_err());
        assert_eq!(text(response).await.1, "drained");
        client.connection.await.unwrap().unwrap();
        about(client.served.ended().await, 5);
    });
}
