//! A chunked body comes to the same however its bytes are cut, and never panics the decoder.
#![no_main]

use cepa_server::http1::{BodyDecoder, BodyEvent, BodyLength, ChunkLimits, Reject};
use http::HeaderMap;
use libfuzzer_sys::fuzz_target;

type Decoded = Result<(Vec<u8>, Option<HeaderMap>, usize, bool), Reject>;

/// Feeds the bytes in pieces of at most `step` bytes; data, trailers, bytes consumed, whether it ended.
fn decode(bytes: &[u8], step: usize) -> Decoded {
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

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = (usize::from(input.0) + 1, input.1);
    assert_eq!(decode(bytes, step), decode(bytes, bytes.len().max(1)));
});
