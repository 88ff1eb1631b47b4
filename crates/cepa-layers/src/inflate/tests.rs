//! Bodies of every coding, whole and in pieces; those that are broken, and those that are bombs.

use std::{
    cell::Cell,
    io::Write,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use cepa_core::{
    App,
    test::{Answer, Client, block_on},
};
use flate2::{Compression, write::DeflateEncoder, write::GzEncoder, write::ZlibEncoder};
use http_body::{Body as HttpBody, Frame};
use proptest::prelude::*;

use super::*;

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

fn encode(coding: &str, data: &[u8]) -> Vec<u8> {
    match coding {
        "gzip" | "X-Gzip" => gzip(data),
        "deflate" => {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::best());
            encoder.write_all(data).unwrap();
            encoder.finish().unwrap()
        }
        "br" => {
            let mut out = Vec::new();
            let mut encoder = brotli::CompressorWriter::new(&mut out, 4096, 3, 22);
            encoder.write_all(data).unwrap();
            drop(encoder);
            out
        }
        "zstd" => zstd::encode_all(data, 1).unwrap(),
        _ => unreachable!("no such coding"),
    }
}

/// A body sent in pieces, which counts the bytes that were asked for.
struct Pieces {
    rest: Bytes,
    size: usize,
    asked: Rc<Cell<usize>>,
    trailers: Option<http::HeaderMap>,
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        if self.rest.is_empty() {
            return Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))));
        }
        let size = self.size.min(self.rest.len());
        self.asked.set(self.asked.get() + size);
        Poll::Ready(Some(Ok(Frame::data(self.rest.split_to(size)))))
    }
}

fn pieces(data: Vec<u8>, size: usize) -> Body {
    Body::new(Pieces { rest: data.into(), size, asked: Rc::default(), trailers: None })
}

/// An app that answers with the length of the body at `/length`, with all of it elsewhere.
fn client(options: Options) -> Client {
    App::new()
        .with(inflate(options))
        .post("/", async |ctx: &mut Ctx| ctx.bytes().await)
        .post("/length", async |ctx: &mut Ctx| -> Result<String> {
            let mut length = 0;
            while let Some(chunk) = ctx.request.body_mut().chunk().await {
                length += chunk?.len();
            }
            Ok(length.to_string())
        })
        .post("/headers", async |ctx: &mut Ctx| {
            format!("{:?} {:?}", ctx.get("content-encoding"), ctx.get("content-length"))
        })
        .test()
}

fn post(client: &Client, coding: &str, body: impl Into<Body>) -> Answer {
    block_on(client.post("/").header("content-encoding", coding).body(body))
}

fn status_and_text(answer: &Answer) -> (u16, &str) {
    (answer.status().as_u16(), answer.text())
}

#[test]
fn every_coding_is_taken_off_however_the_body_is_cut() {
    let client = client(Options::default());
    let text: String = (0..20_000).map(|number| format!("{number} ")).collect();
    for coding in ["gzip", "X-Gzip", "deflate", "br", "zstd"] {
        for text in ["", "x", &text] {
            let sent = encode(coding, text.as_bytes());
            for size in [1, 7, 1 << 20] {
                let answer = post(&client, coding, pieces(sent.clone(), size));
                assert_eq!(answer.status(), 200, "{coding} in pieces of {size}");
                assert!(answer.bytes() == text.as_bytes(), "{coding} in pieces of {size}");
            }
        }
    }
    // What is not coded is left alone.
    for coding in ["identity", "", " , identity"] {
        assert_eq!(status_and_text(&post(&client, coding, "plain")), (200, "plain"), "{coding:?}");
    }
    let body = encode("gzip", b"a");
    let headers = block_on(client.post("/headers").header("content-encoding", "gzip").body(body));
    assert_eq!(headers.text(), "None None");
}

#[test]
fn a_bare_deflate_stream_and_members_one_after_the_other_are_read() {
    let client = client(Options::default());
    let mut bare = DeflateEncoder::new(Vec::new(), Compression::best());
    bare.write_all(b"bare").unwrap();
    assert_eq!(status_and_text(&post(&client, "deflate", bare.finish().unwrap())), (200, "bare"));
    for coding in ["gzip", "zstd"] {
        let two = [encode(coding, b"one "), encode(coding, b"two")].concat();
        for size in [1, 5, 1000] {
            let answer = post(&client, coding, pieces(two.clone(), size));
            assert_eq!(status_and_text(&answer), (200, "one two"), "{coding} {size}");
        }
    }
}

#[test]
fn broken_bodies_are_bad_requests() {
    let client = client(Options::default());
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let sent = encode(coding, &b"some words, some words, some more words".repeat(9));
        let cut = sent[..sent.len() - 1].to_vec();
        let longer = [&sent[..], b"\x99\x99\x99\x99\x99"].concat();
        let mut changed = sent.clone();
        changed[0] ^= 0xf0;
        for (what, body) in
            [("cut", cut), ("longer", longer), ("changed", changed), ("text", b"notgzip".into())]
        {
            for size in [1, 1 << 20] {
                let answer = post(&client, coding, pieces(body.clone(), size));
                assert_eq!(answer.status(), 400, "{coding} {what}: {:?}", answer.bytes());
            }
        }
    }
}

#[test]
fn unknown_and_nested_codings_are_unsupported() {
    let zipped = encode("gzip", b"a");
    let all = client(Options::default());
    for coding in ["x-nope", "gzip, gzip", "gzip, br", "deflate, identity, zstd", "aws-chunked"] {
        let answer = post(&all, coding, zipped.clone());
        assert_eq!(status_and_text(&answer), (415, "Unsupported Media Type"), "{coding}");
        assert_eq!(answer.header("accept-encoding"), "gzip, deflate, br, zstd");
    }
    let twice = all.post("/").header("content-encoding", "gzip").header("content-encoding", "gzip");
    assert_eq!(block_on(twice.body(zipped.clone())).status(), 415);
    let one = client(Options { codings: vec![Coding::Br], ..Options::default() });
    assert_eq!(post(&one, "gzip", zipped.clone()).header("accept-encoding"), "br");
    let none = client(Options { codings: Vec::new(), ..Options::default() });
    assert_eq!(post(&none, "gzip", zipped).header("accept-encoding"), "identity");
}

#[test]
fn zip_bomb() {
    // 16 MiB of zeros, and a limit of 10 MiB: little of it is inflated, and little asked for.
    let zeros = vec![0; 16 << 20];
    for coding in ["gzip", "deflate", "br", "zstd"] {
        let bomb = encode(coding, &zeros);
        for (ratio, text) in [(200, "the body inflates more than 200 times"), (u32::MAX, "Payload Too Large")]
        {
            let options = Options { ratio: NonZeroU32::new(ratio).unwrap(), ..Options::default() };
            let asked = Rc::default();
            let rest = Bytes::from(bomb.clone());
            let body = Pieces { rest, size: 16, asked: Rc::clone(&asked), trailers: None };
            let client = client(options);
            let call = client.post("/length").header("content-encoding", coding).body(Body::new(body));
            assert_eq!(status_and_text(&block_on(call)), (413, text), "{coding}");
            assert!(asked.get() <= bomb.len() * 3 / 4 + 1000, "{coding}: {} of {}", asked.get(), bomb.len());
        }
    }
}

#[test]
fn bodies_of_many_empty_streams_are_refused_early() {
    let client = client(Options::default());
    for (coding, empty) in [
        ("gzip", gzip(b"")),
        // A skippable frame of eight bytes (RFC 8878, section 3.1.2).
        ("zstd", b"\x50\x2a\x4d\x18\x08\0\0\0\0\0\0\0\0\0\0\0".to_vec()),
    ] {
        let answer = post(&client, coding, empty.repeat(100_000));
        assert_eq!(status_and_text(&answer), (400, "the coded body holds next to nothing"), "{coding}");
    }
}

/// A deflate stream of blocks that hold nothing, each with codes of its own: 90 bits of work for the decoder.
fn empty_blocks(count: usize) -> Vec<u8> {
    let mut bits = Vec::new();
    let mut push = |value: u32, length: u32| bits.extend((0..length).map(|at| value >> at & 1 == 1));
    for at in 1..=count {
        push(u32::from(at == count), 1);
        // Codes follow: those of 257 literals, of one distance, and of 18 lengths.
        for (value, length) in [(2, 2), (0, 5), (0, 5), (14, 4)] {
            push(value, length);
        }
        // One bit each for the lengths 18 (zeros) and 1, the third and the last.
        (0..18).for_each(|at| push(u32::from(at == 2 || at == 17), 3));
        // 138 and 118 zeros, then the length 1 of the code that ends the block and of the distance; that end.
        for (value, length) in [(1, 1), (127, 7), (1, 1), (107, 7), (0, 1), (0, 1), (0, 1)] {
            push(value, length);
        }
    }
    bits.chunks(8).map(|bits| bits.iter().rev().fold(0, |byte, &bit| byte << 1 | u8::from(bit))).collect()
}

#[test]
fn what_inflates_to_nothing_leaves_other_requests_their_turn() {
    for (coding, sent, most, least_turns) in [
        (Coding::Gzip, gzip(b"").repeat(1000), 0, 60),
        (Coding::Deflate, empty_blocks(5000), 0, 3),
        // What holds data has its turns by that.
        (Coding::Gzip, gzip(&vec![b'a'; 1 << 20]), 1 << 20, 3),
    ] {
        let ratio = NonZeroU32::MAX;
        let mut body = Inflating::new(pieces(sent, 1 << 20), Decoder::new(coding).unwrap(), ratio);
        let mut cx = Context::from_waker(std::task::Waker::noop());
        let (mut turns, mut length) = (0, 0);
        loop {
            match Pin::new(&mut body).poll_frame(&mut cx) {
                Poll::Pending => turns += 1,
                Poll::Ready(Some(frame)) => length += frame.unwrap().into_data().unwrap().len(),
                Poll::Ready(None) => break,
            }
        }
        assert_eq!(length, most, "{coding:?}");
        assert!(turns >= least_turns, "{coding:?}: {turns} turns");
    }
}

#[test]
fn a_thousand_streams_may_be_empty() {
    let client = client(Options::default());
    for coding in ["gzip", "zstd"] {
        let (empty, full) = (encode(coding, b""), encode(coding, &[b'a'; 4000]));
        for (count, status) in [(1000, 200), (1001, 400)] {
            let sent = [full.clone(), empty.repeat(count - 1), full.repeat(10), empty.clone()].concat();
            assert_eq!(post(&client, coding, sent).status(), status, "{coding} {count}");
        }
    }
}

#[test]
fn trailers_come_after_the_inflated_bytes() {
    let app =
        App::new().with(inflate(Options::default())).post("/", async |ctx: &mut Ctx| -> Result<String> {
            let mut seen = Vec::new();
            while let Some(frame) = ctx.request.body_mut().frame().await {
                seen.push(match frame?.into_data() {
                    Ok(data) => String::from_utf8_lossy(&data).into_owned(),
                    Err(frame) => format!("{:?}", frame.trailers_ref()),
                });
            }
            Ok(seen.join("|"))
        });
    let mut trailers = http::HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("7"));
    let rest = encode("gzip", b"data").into();
    let body = Body::new(Pieces { rest, size: 99, asked: Rc::default(), trailers: Some(trailers) });
    let answer = block_on(app.test().post("/").header("content-encoding", "gzip").body(body));
    assert_eq!(answer.text(), r#"data|Some({"x-sum": "7"})"#);
}

/// Fails, and would go on.
struct Failing(bool);

impl HttpBody for Failing {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        let has_failed = std::mem::replace(&mut self.0, true);
        let next =
            if has_failed { Ok(Frame::data(gzip(b"data").into())) } else { Err(Error::new(408, "late")) };
        Poll::Ready(Some(next))
    }
}

#[test]
fn nothing_follows_a_body_that_has_failed() {
    let (sent, decoder) = (Body::new(Failing(false)), Decoder::new(Coding::Gzip).unwrap());
    let mut body = Inflating::new(sent, decoder, NonZeroU32::MAX);
    let mut cx = Context::from_waker(std::task::Waker::noop());
    let mut next = || Pin::new(&mut body).poll_frame(&mut cx);
    assert!(matches!(next(), Poll::Ready(Some(Err(_)))));
    assert!(matches!(next(), Poll::Ready(None)));
}

#[test]
fn options_are_read_from_the_configuration() {
    let options: Options = serde_json::from_str(r#"{"codings": ["gzip", "br"], "ratio": 50}"#).unwrap();
    assert_eq!((options.codings, options.ratio.get()), (vec![Coding::Gzip, Coding::Br], 50));
    for wrong in [r#"{"codings": ["gzp"]}"#, r#"{"ratio": 0}"#, r#"{"ration": 1}"#] {
        assert!(serde_json::from_str::<Options>(wrong).is_err(), "{wrong}");
    }
}

proptest! {
    #[test]
    fn no_body_makes_a_decoder_panic(
        coding in prop::sample::select(vec!["gzip", "deflate", "br", "zstd"]),
        data in prop::collection::vec(any::<u8>(), 0..200),
        change in prop::option::of((any::<prop::sample::Index>(), any::<u8>())),
        size in 1usize..50,
    ) {
        let client = client(Options::default());
        let mut sent = encode(coding, &data);
        let is_changed = change.is_some();
        if let Some((at, byte)) = change {
            let at = at.index(sent.len());
            sent[at] = byte;
        }
        let answer = post(&client, coding, pieces(sent, size));
        if !is_changed {
            prop_assert_eq!(answer.bytes(), &data);
        }
        let answer = post(&client, coding, pieces(data, size));
        prop_assert!([200, 400, 413].contains(&answer.status().as_u16()));
    }
}
