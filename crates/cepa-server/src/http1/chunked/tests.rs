//! Bodies in every framing, proper and hostile, fed in every cut.

use super::*;
use crate::http1::{BodyDecoder, BodyLength, chunk, last_chunk};
use Reject as R;
use http::HeaderMap;
use proptest::prelude::*;

/// What a body comes to: its data, its trailers, and how many bytes it took; or how far it got.
#[derive(Debug, Clone, PartialEq, Default)]
struct Decoded {
    data: Vec<u8>,
    trailers: Option<HeaderMap>,
    consumed: usize,
    ended: bool,
}

fn decode_in_cuts(
    length: BodyLength,
    bytes: &[u8],
    cuts: impl IntoIterator<Item = usize>,
) -> Result<Decoded, Reject> {
    let mut body = BodyDecoder::new(length, ChunkLimits::default());
    let mut decoded = Decoded::default();
    for end in cuts.into_iter().chain([bytes.len()]) {
        loop {
            let input = &bytes[decoded.consumed..end.max(decoded.consumed)];
            let (consumed, event) = match body.decode(input) {
                Ok(found) => found,
                Err(reject) => {
                    assert_eq!(body.decode(input), Err(reject), "a broken body stays broken");
                    assert!(!body.is_end());
                    return Err(reject);
                }
            };
            assert!(consumed <= input.len());
            decoded.consumed += consumed;
            match event {
                Some(BodyEvent::Data(range)) => {
                    assert!(!range.is_empty() && range.end == consumed);
                    decoded.data.extend_from_slice(&input[range]);
                }
                Some(BodyEvent::Trailers(trailers)) => {
                    assert!(!trailers.is_empty() && decoded.trailers.replace(trailers).is_none());
                }
                Some(BodyEvent::End) => {
                    assert!(body.is_end());
                    assert_eq!(body.decode(b"GET /"), Ok((0, Some(BodyEvent::End))), "the end stays the end");
                    decoded.ended = true;
                    return Ok(decoded);
                }
                None => {
                    assert_eq!(consumed, input.len());
                    break;
                }
            }
        }
    }
    Ok(decoded)
}

fn decode_every_way(bytes: &[u8]) -> Result<Decoded, Reject> {
    let whole = decode_in_cuts(BodyLength::Chunked, bytes, []);
    let trickled = decode_in_cuts(BodyLength::Chunked, bytes, 0..bytes.len());
    assert_eq!(trickled, whole, "{}", bytes.escape_ascii());
    whole
}

#[test]
fn a_length_is_exact() {
    for (length, left) in [(BodyLength::None, 5), (BodyLength::Length(0), 5), (BodyLength::Length(3), 2)] {
        let decoded = decode_in_cuts(length, b"abcde", [1, 1, 2]).unwrap();
        assert_eq!((decoded.data.len(), decoded.consumed, decoded.ended), (5 - left, 5 - left, true));
    }
    let decoded = decode_in_cuts(BodyLength::Length(u64::MAX), b"abcde", []).unwrap();
    assert_eq!((decoded.data, decoded.ended), (b"abcde".to_vec(), false));
}

#[test]
fn proper_chunked_bodies() {
    let longest = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(255));
    for (bytes, data) in [
        (&b"0\r\n\r\n"[..], ""),
        (b"000\r\n\r\n", ""),
        (b"0;last\r\n\r\n", ""),
        (b"5\r\nonion\r\n0\r\n\r\n", "onion"),
        (b"3\r\noni\r\n2\r\non\r\n0\r\n\r\n", "onion"),
        (b"A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        (b"a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        (b"0000000000000001\r\na\r\n0\r\n\r\n", "a"),
        (b"2\r\n\r\n\r\n0\r\n\r\n", "\r\n"),
        (b"1;a\r\na\r\n0\r\n\r\n", "a"),
        (b"1;a=b;c;d=\"e;\\\"\t\xff\";f=g\r\na\r\n0\r\n\r\n", "a"),
        (b"1;a=\"\"\r\na\r\n0\r\n\r\n", "a"),
        (longest.as_bytes(), "a"),
    ] {
        let decoded = decode_every_way(bytes).unwrap();
        let expected = Decoded { data: data.into(), trailers: None, consumed: bytes.len(), ended: true };
        assert_eq!(decoded, expected, "{}", bytes.escape_ascii());
        assert_eq!(decode_every_way(&[bytes, b"GET /"].concat()).unwrap(), expected);
        for end in 0..bytes.len() {
            assert!(!decode_every_way(&bytes[..end]).unwrap().ended, "{}", bytes[..end].escape_ascii());
        }
    }
}

#[test]
fn broken_chunked_bodies() {
    let too_long = format!("1;{}\r\na\r\n0\r\n\r\n", "x".repeat(256));
    for (bytes, reject) in [
        (&b"\r\n"[..], R::ChunkSize),
        (b"\n", R::ChunkSize),
        (b" 1\r\na\r\n", R::ChunkSize),
        (b"1 \r\na\r\n", R::ChunkSize),
        (b"1\t\r\na\r\n", R::ChunkSize),
        (b"+1\r\na\r\n", R::ChunkSize),
        (b"-1\r\na\r\n", R::ChunkSize),
        (b"0x1\r\na\r\n", R::ChunkSize),
        (b"1h\r\na\r\n", R::ChunkSize),
        (b"1_0\r\na\r\n", R::ChunkSize),
        (b"g\r\na\r\n", R::ChunkSize),
        (b";a\r\n", R::ChunkSize),
        (b"1,\r\na\r\n", R::ChunkSize),
        (b"1\0\r\na\r\n", R::ChunkSize),
        (b"\xef\xbc\x91\r\na\r\n", R::ChunkSize),
        (b"00000000000000001\r\na\r\n", R::ChunkSize),
        (b"10000000000000000\r\na\r\n", R::ChunkSize),
        (b"1\na\r\n0\r\n\r\n", R::ChunkSize),
        (b"1\ra\r\n", R::BareCr),
        (b"1\r\r\na\r\n", R::BareCr),
        (b"1;\r\na\r\n", R::ChunkExtension),
        (b"1;;\r\na\r\n", R::ChunkExtension),
        (b"1; a\r\na\r\n", R::ChunkExtension),
        (b"1 ;a\r\na\r\n", R::ChunkSize),
        (b"1;a \r\na\r\n", R::ChunkExtension),
        (b"1;a =b\r\na\r\n", R::ChunkExtension),
        (b"1;=b\r\na\r\n", R::ChunkExtension),
        (b"1;a=\r\na\r\n", R::ChunkExtension),
        (b"1;a==b\r\na\r\n", R::ChunkExtension),
        (b"1;a\n\r\na\r\n", R::ChunkExtension),
        (b"1;a\na\r\n", R::ChunkExtension),
        (b"1;a\rb\r\na\r\n", R::BareCr),
        (b"1;a\0\r\na\r\n", R::ChunkExtension),
        (b"1;\x01\r\na\r\n", R::ChunkExtension),
        (b"1;a=b\x7f\r\na\r\n", R::ChunkExtension),
        (b"1;a=\"b\r\n\"\r\na\r\n", R::ChunkExtension),
        (b"1;a=\"b\n\"\r\na\r\n", R::ChunkExtension),
        (b"1;a=\"b\\\r\n\"\r\na\r\n", R::ChunkExtension),
        (b"1;a=\"b\0\"\r\na\r\n", R::ChunkExtension),
        (b"1;a=\"b\"c\r\na\r\n", R::ChunkExtension),
        (b"1;a=b\"c\"\r\na\r\n", R::ChunkExtension),
        (too_long.as_bytes(), R::ChunkExtensionTooLong),
        (b"1\r\nab\r\n", R::ChunkEnd),
        (b"1\r\na\n0\r\n\r\n", R::ChunkEnd),
        (b"1\r\na0\r\n\r\n", R::ChunkEnd),
        (b"1\r\na\r0\r\n\r\n", R::ChunkEnd),
        (b"1\r\na\rX0\r\n\r\n", R::ChunkEnd),
        (b"1\r\n\na\r\n", R::ChunkEnd),
        (b"0\n\n", R::ChunkSize),
        (b"0\r\n\n", R::BareLf),
        (b"0\r\n\r\r\n", R::BareCr),
        (b"0\r\n\rX: y\r\n\r\n", R::BareCr),
        (b"0\r\nX: y\n\r\n", R::BareLf),
        (b"0\r\nX: y\r\n\n", R::BareLf),
        (b"0\r\nX: y\rZ: a\r\n\r\n", R::BareCr),
        (b"0\r\nX: \0\r\n\r\n", R::Trailer),
        (b"0\r\nX: a\x7f\r\n\r\n", R::Trailer),
        (b"0\r\nX : y\r\n\r\n", R::Trailer),
        (b"0\r\n X: y\r\n\r\n", R::Trailer),
        (b"0\r\nX: y\r\n z\r\n\r\n", R::Trailer),
        (b"0\r\n: y\r\n\r\n", R::Trailer),
        (b"0\r\nX\r\n\r\n", R::Trailer),
        (b"0\r\nX\xe9: y\r\n\r\n", R::Trailer),
        (b"0\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", R::Trailer),
        (b"0\r\nTransfer-Encoding: chunked\r\n\r\n", R::TrailerForbidden),
        (b"0\r\nX: y\r\ncontent-length: 5\r\n\r\n", R::TrailerForbidden),
        (b"0\r\nContent-Type: text/html\r\n\r\n", R::TrailerForbidden),
        (b"0\r\nContent-Encoding: gzip\r\n\r\n", R::TrailerForbidden),
        (b"0\r\nHost: a\r\n\r\n", R::TrailerForbidden),
        (b"0\r\nAuthorization: Basic eA==\r\n\r\n", R::TrailerForbidden),
        (b"0\r\nProxy-Authorization: Basic eA==\r\n\r\n", R::TrailerForbidden),
        (b"0\r\nCookie: a=b\r\n\r\n", R::TrailerForbidden),
        (b"0\r\nConnection: close\r\n\r\n", R::TrailerForbidden),
        (b"0\r\nKeep-Alive: 5\r\n\r\n", R::TrailerForbidden),
        (b"0\r\nUpgrade: h2c\r\n\r\n", R::TrailerForbidden),
        (b"0\r\nExpect: 100-continue\r\n\r\n", R::TrailerForbidden),
        (b"0\r\nTrailer: x\r\n\r\n", R::TrailerForbidden),
        (b"0\r\nIf-Match: x\r\n\r\n", R::TrailerForbidden),
    ] {
        assert_eq!(decode_every_way(bytes), Err(reject), "{}", bytes.escape_ascii());
    }
}

#[test]
fn trailers_come_before_the_end() {
    let decoded =
        decode_every_way(b"1\r\na\r\n0\r\nX-A: 1\r\nContent-Digest: d\r\nx-a: \t2 \r\n\r\nGET").unwrap();
    let trailers = decoded.trailers.unwrap();
    assert_eq!(trailers.get_all("x-a").iter().collect::<Vec<_>>(), ["1", "2"]);
    assert_eq!((&trailers["content-digest"], decoded.ended), (&"d".parse().unwrap(), true));
}

#[test]
fn trailers_are_limited() {
    let lines = |count| format!("0\r\n{}\r\n", "x: y\r\n".repeat(count));
    assert_eq!(decode_every_way(lines(32).as_bytes()).unwrap().trailers.unwrap().len(), 32);
    assert_eq!(decode_every_way(lines(33).as_bytes()), Err(R::TrailersTooLarge));
    let line = |bytes| format!("0\r\nx: {}\r\n\r\n", "y".repeat(bytes - "x: \r\n".len()));
    assert!(decode_in_cuts(BodyLength::Chunked, line(8192).as_bytes(), []).is_ok());
    assert_eq!(decode_in_cuts(BodyLength::Chunked, line(8193).as_bytes(), []), Err(R::TrailersTooLarge));
    let endless = [&b"0\r\nx: "[..], &[b'y'; 8192]].concat();
    assert_eq!(decode_in_cuts(BodyLength::Chunked, &endless, []), Err(R::TrailersTooLarge));
    assert_eq!(Reject::TrailersTooLarge.status(), 431);
}

#[test]
fn the_smallest_chunks_pass_and_floods_do_not() {
    let tiny = [b"1\r\na\r\n".repeat(2 << 20).as_slice(), b"0\r\n\r\n"].concat();
    let mut body = BodyDecoder::new(BodyLength::Chunked, ChunkLimits::default());
    let (mut at, mut data) = (0, 0);
    loop {
        let (consumed, event) = body.decode(&tiny[at..]).unwrap();
        at += consumed;
        match event {
            Some(BodyEvent::Data(range)) => data += range.len(),
            other => break assert_eq!((other, data, at), (Some(BodyEvent::End), 2 << 20, tiny.len())),
        }
    }
    for flood in [format!("1;{}\r\na\r\n", "x".repeat(200)), "0000000000001\r\na\r\n".to_owned()] {
        let bytes = flood.repeat(10_000).into_bytes();
        assert_eq!(decode_in_cuts(BodyLength::Chunked, &bytes, []), Err(R::ChunkOverhead));
        let after_much_data = [&b"100000\r\n"[..], &vec![b'x'; 1 << 20], b"\r\n", &bytes].concat();
        assert_eq!(decode_in_cuts(BodyLength::Chunked, &after_much_data, []), Err(R::ChunkOverhead));
    }
    assert!(size_of::<BodyDecoder>() <= 80, "{}", size_of::<BodyDecoder>());
}

fn pieces() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop::sample::select(vec![
        &b"1\r\na\r\n"[..],
        b"5\r\nonion\r\n",
        b"0\r\n\r\n",
        b"0\r\n",
        b"\r\n",
        b"\r",
        b"\n",
        b"X: y\r\n",
        b"3;a=b\r\nabc\r\n",
        b"2;a=\"\\\"\"\r\nab\r\n",
        b"f",
        b";a",
        b" ",
        b"\0",
        b"ffffffffffffffff\r\n",
    ]);
    prop::collection::vec(piece, 0..10).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn any_cut_comes_to_the_same(bytes in pieces(), cuts in prop::collection::vec(0usize..80, 0..6)) {
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
        cuts.sort_unstable();
        prop_assert_eq!(decode_in_cuts(BodyLength::Chunked, &bytes, cuts), decode_every_way(&bytes));
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = decode_every_way(&bytes);
        let _ = decode_every_way(&[b"0\r\n", &bytes[..], b"\r\n\r\n"].concat());
    }

    #[test]
    fn what_is_encoded_is_decoded(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8),
        with_trailer: bool,
    ) {
        let mut bytes = Vec::new();
        chunks.iter().for_each(|data| chunk(&mut bytes, data));
        let trailers = HeaderMap::from_iter([(http::header::ETAG, http::HeaderValue::from_static("x"))]);
        last_chunk(&mut bytes, with_trailer.then_some(&trailers));
        let decoded = decode_every_way(&bytes).unwrap();
        prop_assert_eq!(decoded.data, chunks.concat());
        prop_assert_eq!(decoded.trailers, with_trailer.then_some(trailers));
        prop_assert_eq!((decoded.consumed, decoded.ended), (bytes.len(), true));
    }
}
