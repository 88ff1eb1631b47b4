use std::{
    io::{self, Read},
    task::{Context, Poll, Waker},
};

use super::*;
use bytes::Bytes;
use cepa_core::{
    App, Error, Request,
    test::{Answer, Client, block_on},
};
use http_body::Body as _;
use proptest::prelude::*;

/// Gives back what was compressed.
fn decode(coding: &str, bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    match coding {
        "zstd" => zstd::stream::read::Decoder::new(bytes)?.read_to_end(&mut out)?,
        "br" => brotli::Decompressor::new(bytes, 4096).read_to_end(&mut out)?,
        "gzip" => flate2::read::GzDecoder::new(bytes).read_to_end(&mut out)?,
        "deflate" => flate2::read::ZlibDecoder::new(bytes).read_to_end(&mut out)?,
        _ => bytes.to_vec().as_slice().read_to_end(&mut out)?,
    };
    Ok(out)
}

const CODINGS: [&str; 4] = ["zstd", "br", "gzip", "deflate"];

fn text(len: usize) -> String {
    "abcdefgh".repeat(len / 8 + 1)[..len].to_owned()
}

async fn page(ctx: &mut Ctx) -> Result<String> {
    let given = |name: &str| ctx.query_value(name).map(|value| value.into_owned());
    let (len, kind, headers) = (given("n"), given("type"), given("header"));
    if let Some(kind) = kind {
        ctx.set_type(&kind)?;
    }
    if let Some((name, value)) = headers.as_deref().and_then(|header| header.split_once(':')) {
        ctx.set(name, value)?;
    }
    Ok(text(len.and_then(|len| len.parse().ok()).unwrap_or(2048)))
}

fn client(options: Options) -> Client {
    App::new()
        .with(compress(options).unwrap())
        .get("/", page)
        .get("/partial", async |ctx: &mut Ctx| {
            ctx.set_status(206)?;
            page(ctx).await
        })
        .get("/never", async |ctx: &mut Ctx| {
            ctx.insert(Decision::Never);
            page(ctx).await
        })
        .get("/always", async |ctx: &mut Ctx| {
            ctx.insert(Decision::Always);
            ctx.set_type("png")?;
            page(ctx).await
        })
        .get("/random", async |_: &mut Ctx| -> Bytes {
            let mut state = 1_u32;
            let random = std::iter::repeat_with(|| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            });
            random.take(4096).collect()
        })
        .get("/empty", async |_: &mut Ctx| "")
        .get("/fails", async |_: &mut Ctx| -> Result { Err(Error::status_only(404)) })
        .test()
}

async fn get(client: &Client, path: &str, accepted: &str) -> Answer {
    client.get(path).header("accept-encoding", accepted).await
}

#[test]
fn every_coding_is_read_back() {
    let streaming = Options { whole: 0, ..Options::default() };
    for client in [client(Options::default()), client(streaming)] {
        block_on(async {
            for coding in CODINGS {
                for len in [1024, 2048, 65_536, 65_537, 1_000_000] {
                    let answer = get(&client, &format!("/?n={len}"), coding).await;
                    assert_eq!(answer.header("content-encoding"), coding);
                    assert_eq!(answer.header("vary"), "Accept-Encoding");
                    assert!(answer.bytes().len() < len / 4, "{coding} {len}: {}", answer.bytes().len());
                    assert_eq!(decode(coding, answer.bytes()).unwrap(), text(len).as_bytes());
                }
            }
        });
    }
}

#[test]
fn what_is_not_worth_it_or_not_wanted_stays() {
    let client = client(Options::default());
    block_on(async {
        for (path, accepted) in [
            ("/", ""),
            ("/", "identity"),
            ("/", "compress"),
            ("/", "identity, gzip;q=0.1"),
            ("/", "gzip;q=0"),
            ("/", "identity;q=0"),
            ("/?n=1023", "gzip"),
            ("/?type=png", "gzip"),
            ("/?type=text/event-stream", "gzip"),
            ("/?header=content-encoding:x", "gzip"),
            ("/?header=content-range:bytes%200-1/2", "gzip"),
            ("/?header=repr-digest:x", "gzip"),
            ("/?header=cache-control:public,%20No-Transform", "gzip"),
            ("/partial", "gzip"),
            ("/never", "gzip"),
            ("/random", "gzip"),
            ("/random", "br"),
            ("/random", "zstd"),
            ("/empty", "gzip"),
            ("/fails", "gzip"),
        ] {
            let answer = get(&client, path, accepted).await;
            assert!(["", "x"].contains(&answer.header("content-encoding")), "{path} {accepted}");
            assert_eq!(answer.header("vary"), "Accept-Encoding", "{path}");
            if path == "/" {
                assert_eq!(answer.text(), text(2048));
            }
        }
        assert_eq!(client.get("/").await.text(), text(2048));
        assert_eq!(get(&client, "/always?n=100", "gzip").await.header("content-encoding"), "gzip");
        let head = client.head("/").header("accept-encoding", "gzip").await;
        assert_eq!((head.header("content-length"), head.header("content-encoding")), ("2048", ""));
    });
}

#[test]
fn the_tag_becomes_weak_and_ranges_go() {
    let client = client(Options::default());
    block_on(async {
        let answer = get(&client, "/?header=etag:%22a%22", "gzip").await;
        assert_eq!(answer.header("etag"), "W/\"a\"");
        let answer = get(&client, "/?header=etag:W/%22a%22", "gzip").await;
        assert_eq!(answer.header("etag"), "W/\"a\"");
        let answer = get(&client, "/?header=etag:%22a%22", "").await;
        assert_eq!(answer.header("etag"), "\"a\"");
        assert_eq!(get(&client, "/?header=accept-ranges:bytes", "gzip").await.header("accept-ranges"), "");
    });
}

#[test]
fn many_accepted_encodings_take_linear_time() {
    let client = client(Options::default());
    let many = "x;q=0.5, ".repeat(100_000) + "gzip";
    let started = std::time::Instant::now();
    block_on(async {
        assert_eq!(get(&client, "/", &many).await.text(), text(2048));
    });
    assert!(started.elapsed() < std::time::Duration::from_secs(1));
}

#[test]
fn events_go_out_as_they_are_written() {
    for coding in CODINGS {
        let app = App::new()
            .with(compress(Options { event_streams: true, ..Options::default() }).unwrap())
            .get("/", async |ctx: &mut Ctx| -> Result<Body> {
                ctx.set_type("text/event-stream")?;
                Ok(Body::from_async(async |mut out| {
                    for event in 0..3 {
                        out.write(format!("data: {event}\n\n")).await;
                        // Nothing more for a few turns.
                        let mut turns = 3;
                        std::future::poll_fn(|cx| {
                            cx.waker().wake_by_ref();
                            turns -= 1;
                            if turns == 0 { Poll::Ready(()) } else { Poll::Pending }
                        })
                        .await;
                    }
                    Ok(())
                }))
            });
        let onion = app.build().unwrap();
        block_on(async {
            let mut request = Request::new(Method::GET, "/");
            request.headers_mut().insert("accept-encoding", coding.parse().unwrap());
            let (.., mut body) = onion.handle(request).await.into_parts();
            let (mut received, mut pieces) = (Vec::new(), Vec::new());
            while let Some(piece) = body.chunk().await {
                received.extend_from_slice(&piece.unwrap());
                pieces.push(decoded_so_far(coding, &received));
            }
            let mut so_far = String::new();
            for (event, piece) in pieces.iter().enumerate().take(3) {
                so_far.push_str(&format!("data: {event}\n\n"));
                assert_eq!(*piece, so_far, "{coding}");
            }
            assert!(pieces.len() >= 3, "{coding}");
        });
    }
}

/// What a client can read of a body that is not complete.
fn decoded_so_far(coding: &str, bytes: &[u8]) -> String {
    let mut reader: Box<dyn Read> = match coding {
        "zstd" => Box::new(zstd::stream::read::Decoder::new(bytes).unwrap()),
        "br" => Box::new(brotli::Decompressor::new(bytes, 4096)),
        "gzip" => Box::new(flate2::read::GzDecoder::new(bytes)),
        _ => Box::new(flate2::read::ZlibDecoder::new(bytes)),
    };
    let (mut out, mut byte) = (Vec::new(), [0]);
    while let Ok(1) = reader.read(&mut byte) {
        out.push(byte[0]);
    }
    String::from_utf8(out).unwrap()
}

#[test]
fn a_large_body_leaves_turns_to_others() {
    let encoder = Encoder::new(Coding::Gzip, None, &Options::default()).unwrap();
    let mut body = std::pin::pin!(Compressed::new(text(1 << 20).into(), encoder));
    let mut cx = Context::from_waker(Waker::noop());
    let mut turns = 0;
    loop {
        match body.as_mut().poll_frame(&mut cx) {
            Poll::Pending => turns += 1,
            Poll::Ready(Some(piece)) => drop(piece.unwrap()),
            Poll::Ready(None) => break,
        }
    }
    assert!(turns >= 30, "{turns}");
}

#[test]
fn a_stream_that_fails_does_not_end_well() {
    let app = App::new().with(compress(Options::default()).unwrap()).get(
        "/",
        async |ctx: &mut Ctx| -> Result<Body> {
            ctx.set_type("text")?;
            Ok(Body::from_async(async |mut out| {
                out.write("beginning").await;
                Err(Error::new(500, "broken"))
            }))
        },
    );
    let onion = app.build().unwrap();
    block_on(async {
        let mut request = Request::new(Method::GET, "/");
        request.headers_mut().insert("accept-encoding", HeaderValue::from_static("gzip"));
        let (.., mut body) = onion.handle(request).await.into_parts();
        let mut last = body.chunk().await;
        while let Some(Ok(_)) = last {
            last = body.chunk().await;
        }
        assert!(matches!(last, Some(Err(_))));
    });
}

#[test]
fn wrong_options_are_errors() {
    for options in [
        Options { brotli_quality: 12, ..Options::default() },
        Options { zstd_level: 0, ..Options::default() },
        Options { gzip_level: 10, ..Options::default() },
        Options { codings: vec![], ..Options::default() },
        Options { codings: vec![Coding::Br, Coding::Br], ..Options::default() },
    ] {
        assert!(compress(options.clone()).is_err(), "{options:?}");
    }
    let options = serde_json::json!({ "codings": ["br", "gzip"], "threshold": "2 KiB" });
    let options: Options = serde_json::from_value(options).unwrap();
    assert_eq!((options.codings, options.threshold), (vec![Coding::Br, Coding::Gzip], 2048));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn whatever_is_compressed_comes_back(bytes in prop::collection::vec(any::<u8>(), 1..5000), at in 0usize..4) {
        let options = Options { threshold: 0, whole: 0, ..Options::default() };
        let sent = bytes.clone();
        let app = App::new().with(compress(options).unwrap()).get("/", async move |_: &mut Ctx| sent.clone());
        let client = app.test();
        let answer = block_on(async { get(&client, "/", CODINGS[at]).await });
        prop_assert_eq!(decode(answer.header("content-encoding"), answer.bytes()).unwrap(), bytes);
    }
}
