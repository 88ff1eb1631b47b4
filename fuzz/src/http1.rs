//! The HTTP/1.1 codec: what it reads comes to the same however the bytes are cut.
//!
//! The first byte of an input says in pieces of how many bytes the rest arrives.

use cepa_core::Headers;
use cepa_server::http1::{
    BodyDecoder, BodyEvent, BodyLength, ChunkLimits, Head, HeadLimits, HeadScan, Preface, Reject, decode_head,
};
use http::HeaderMap;

const LIMITS: HeadLimits = HeadLimits { request_line: 128, header_bytes: 512, fields: 16 };

/// A request head comes to the same however its bytes are cut, and never panics the decoder.
pub fn http1_head(input: &[u8]) {
    let Some((step, bytes)) = input.split_first() else { return };
    let _ = Preface::of(bytes);
    let whole = decode(bytes, usize::MAX >> 1);
    let mut pieces = decode(bytes, usize::from(*step) + 1);
    if whole.0.is_err() && pieces.0 == Ok(None) {
        // The pieces wait for the end of a head that is already broken: this byte brings it out.
        pieces = decode(&[bytes, b"\0"].concat(), usize::from(*step) + 1);
    }
    assert_eq!(pieces.0, whole.0);
    if let Ok(Some((head, consumed))) = &whole.0 {
        assert_eq!(pieces.1, whole.1);
        assert!(bytes[..*consumed].ends_with(b"\r\n\r\n"));
        assert!(head.target.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
        let _ = (head.target.scheme(), head.target.authority(), head.target.path(), head.target.query());
    }
}

type DecodedHead = (Result<Option<(Head, usize)>, Reject>, Headers);

/// Feeds the bytes in pieces of at most `step` bytes.
fn decode(bytes: &[u8], step: usize) -> DecodedHead {
    let (mut scan, mut headers) = (HeadScan::default(), Headers::new());
    let mut end = 0;
    loop {
        end = bytes.len().min(end + step);
        let decoded = decode_head(&bytes[..end], &mut scan, &LIMITS, &mut headers);
        if decoded != Ok(None) || end == bytes.len() {
            return (decoded, headers);
        }
    }
}

/// A chunked body comes to the same however its bytes are cut, and never panics the decoder.
pub fn http1_chunked(input: &[u8]) {
    let Some((step, bytes)) = input.split_first() else { return };
    assert_eq!(decode_chunked(bytes, usize::from(*step) + 1), decode_chunked(bytes, bytes.len().max(1)));
}

type DecodedBody = Result<(Vec<u8>, Option<HeaderMap>, usize, bool), Reject>;

/// Feeds the bytes in pieces of at most `step` bytes; data, trailers, bytes consumed, whether it ended.
fn decode_chunked(bytes: &[u8], step: usize) -> DecodedBody {
    let mut body = BodyDecoder::new(BodyLength::Chunked, ChunkLimits::default());
    let (mut data, mut trailers, mut at, mut end) = (Vec::new(), None, 0, 0);
    loop {
        let (consumed, event) = body.decode(&bytes[at..end])?;
        match event {
            Some(BodyEvent::Data(range)) => data.extend_from_slice(&bytes[at..end][range]),
            Some(BodyEvent::Trailers(found)) => trailers = Some(found),
            Some(BodyEvent::End) => return Ok((data, trailers, at + consumed, true)),
            None if end == bytes.len() => return Ok((data, trailers, end, false)),
            None => end = bytes.len().min(end + step),
        }
        at += consumed;
    }
}
