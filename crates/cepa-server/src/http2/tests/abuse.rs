//! Attacks, each ended at its limit: what they are is written in RFC 9113, section 10.5, and in the CVEs named here.

use super::*;

const CALM: Option<u32> = Some(11);

/// Repeats a piece until a GOAWAY comes or the server has closed; the error code, and how many it took.
async fn flood(app: App, before: &[u8], piece: impl Fn(u32) -> Vec<u8>) -> (Option<u32>, u32) {
    let (served, mut raw) = Raw::new(app, Limits::default(), &[]).await;
    raw.send(before).await;
    let (mut sent, mut goaway) = (0, None);
    while sent < 100_000 && goaway.is_none() {
        let batch: Vec<u8> = (sent..sent + 10).flat_map(&piece).collect();
        sent += 10;
        if raw.io.write_all(&batch).await.is_err() {
            break;
        }
        tokio::task::yield_now().await;
        while let Ok(Some((kind, _, _, payload))) = tokio::time::timeout(Duration::ZERO, raw.next()).await {
            if kind == kind::GOAWAY {
                goaway = Some(payload[4..8].iter().fold(0, |code, byte| code << 8 | u32::from(*byte)));
            }
        }
    }
    // Handlers of POST complete, or run out of their time; the door waits for them.
    assert!(served.ended().await <= 65);
    (goaway, sent)
}

#[test]
fn rapid_reset_cve_2023_44487() {
    for block in [GET, POST] {
        let (app, parked) = parked();
        run(async {
            let reset =
                |n| [request(2 * n + 1, block, true), frame(kind::RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8])];
            let (goaway, sent) = flood(app, &[], |n| reset(n).concat()).await;
            assert_eq!(goaway, CALM);
            assert!(sent <= 200, "{sent}");
        });
        assert!(parked.most() <= 128);
        assert_eq!(parked.now(), 0);
    }
}

#[test]
fn made_you_reset_cve_2025_8671() {
    let provoke: [fn(u32) -> Vec<u8>; 6] = [
        |id| frame(8, 0, id, &[0, 0, 0, 0]),
        |id| frame(8, 0, id, &[0x7f, 0xff, 0xff, 0xff]),
        |id| frame(2, 0, id, &[0; 4]),
        |id| frame(2, 0, id, &[&id.to_be_bytes()[..], &[16]].concat()),
        |id| frame(kind::DATA, 0, id, b"x"),
        |id| request(id, GET, true),
    ];
    for (which, provoke) in provoke.into_iter().enumerate() {
        let (app, parked) = parked();
        run(async {
            let piece = |n| [request(2 * n + 1, GET, true), provoke(2 * n + 1)].concat();
            let (goaway, sent) = flood(app, &[], piece).await;
            assert!(goaway.is_some_and(|code| code != 0), "{which}: {goaway:?}");
            assert!(sent <= 250, "{which}: {sent}");
        });
        assert!(parked.most() <= 128, "{which}");
        assert_eq!(parked.now(), 0, "{which}");
    }
}

#[test]
fn a_handler_that_completes_keeps_its_place_after_the_reset() {
    let (app, parked) = parked();
    run(async {
        let mut limits = Limits { request_time: Duration::from_secs(5), ..Limits::default() };
        limits.http2.streams = 4;
        let (served, mut raw) = Raw::new(app, limits, &[]).await;
        for n in 0..20 {
            raw.send(&request(2 * n + 1, POST, true)).await;
            sleep(Duration::from_millis(10)).await;
            raw.send(&frame(kind::RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8])).await;
        }
        raw.send(&request(41, POST, true)).await;
        assert_eq!((parked.now(), parked.most()), (4, 4));
        loop {
            let (kind, _, stream, payload) = raw.next().await.expect("the connection stays");
            if (kind, stream) == (kind::RST_STREAM, 41) {
                assert_eq!(payload, [0, 0, 0, 7], "REFUSED_STREAM");
                break;
            }
        }
        // Their time runs out as that of any other.
        sleep(Duration::from_secs(8)).await;
        assert_eq!(parked.now(), 0);
        drop(raw);
        served.ended().await;
    });
}

#[test]
fn streams_over_the_maximum() {
    let (app, parked) = parked();
    run(async {
        let (goaway, sent) = flood(app, &[], |n| request(2 * n + 1, POST, false)).await;
        assert_eq!(goaway, CALM);
        assert!(sent <= 128 + 250, "{sent}");
    });
    assert!(parked.most() <= 128);
}

#[test]
fn continuation_flood_rustsec_2024_0332() {
    for payload in [&b"\x00\x01x\x01y"[..], &[0; 0], &[0x40; 9000]] {
        run(async {
            let headers = frame(kind::HEADERS, flag::END_STREAM, 1, GET);
            let (goaway, sent) =
                flood(App::new(), &headers, |_| frame(kind::CONTINUATION, 0, 1, payload)).await;
            assert!(goaway.is_some_and(|code| code != 0), "{goaway:?}");
            assert!(sent <= 40, "{sent}");
        });
    }
}

#[test]
fn control_frame_floods() {
    for (name, piece) in [
        ("SETTINGS", frame(kind::SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff])),
        ("PING", frame(6, 0, 0, &[0; 8])),
        ("PRIORITY", frame(2, 0, 1, &[0, 0, 0, 0, 16])),
        ("WINDOW_UPDATE", frame(8, 0, 0, &[0, 0, 0, 1])),
        ("unknown", frame(0xfa, 0, 0, &[0; 100])),
    ] {
        run(async {
            let (goaway, sent) = flood(App::new(), &[], |_| piece.clone()).await;
            assert_eq!(goaway, CALM, "{name}");
            assert!(sent <= 1100, "{name}: {sent}");
        });
    }
}

#[test]
fn acknowledgements_that_nobody_reads() {
    for piece in [frame(kind::SETTINGS, 0, 0, &[]), frame(6, 0, 0, &[0; 8])] {
        run(async {
            let (served, mut io) = Served::new(App::new(), Limits::default(), 512);
            let opening = [&PREFACE[..], &frame(kind::SETTINGS, 0, 0, &[])].concat();
            io.write_all(&opening).await.unwrap();
            // The server stops reading when it cannot write, and closes when that lasts.
            let flood = spawn_local(async move { while io.write_all(&piece).await.is_ok() {} });
            assert!(served.ended().await <= 35);
            flood.await.unwrap();
        });
    }
}

#[test]
fn empty_data_rustsec_2026_0258() {
    for (flags, payload) in [(0, &[][..]), (flag::PADDED, &[0]), (0, b"x")] {
        let (app, _) = parked();
        run(async {
            let post = request(1, POST, false);
            let (goaway, sent) = flood(app, &post, |_| frame(kind::DATA, flags, 1, payload)).await;
            assert_eq!(goaway, CALM, "{flags} {payload:?}");
            assert!(sent <= 9000, "{sent}");
        });
    }
}

#[test]
fn hpack_bomb() {
    let entry = [&b"\x40\x06x-bomb\x7f\xa1\x1e"[..], &[b'b'; 4000]].concat();
    run(async {
        let first = request(1, &[GET, &entry].concat(), true);
        let bomb = |n| request(2 * n + 3, &[GET, &[0xbe; 16000]].concat(), true);
        let (goaway, sent) = flood(App::new(), &first, bomb).await;
        assert_eq!(goaway, CALM);
        assert!(sent <= 10, "{sent}");
    });
}

#[test]
fn settings_must_be_the_first_frame() {
    run(async {
        let (served, io) = Served::new(App::new(), Limits::default(), 1 << 16);
        let mut raw = Raw { io, read: VecDeque::new() };
        raw.send(&[&PREFACE[..], &request(1, GET, true)].concat()).await;
        assert_eq!(raw.outcome().await.0, Some(1));
        drop(raw);
        assert!(served.ended().await <= 3);
    });
}

#[test]
fn an_app_that_keeps_the_connection_does_not_keep_the_stream() {
    thread_local! {
        static KEPT: Cell<Option<Rc<dyn cepa_core::Connection>>> = const { Cell::new(None) };
    }
    let app = App::new().post("/", async |ctx: &mut Ctx| {
        KEPT.set(Some(Rc::clone(ctx.request.connection())));
        "answered"
    });
    run(async {
        let mut client = Client::new(app, Limits::default()).await;
        let (response, mut send) = client.post("/").await;
        assert_eq!(text(response).await.1, "answered");
        send.send_data(Bytes::from(vec![0; 60 * 1024]), false).unwrap();
        sleep(Duration::from_secs(1)).await;
        send.send_data(Bytes::from(vec![0; 60 * 1024]), false).unwrap();
        assert_eq!(std::future::poll_fn(|cx| send.poll_reset(cx)).await.unwrap(), h2::Reason::NO_ERROR);
        KEPT.take();
    });
}
