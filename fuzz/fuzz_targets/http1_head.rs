//! A request head comes to the same however its bytes are cut, and never panics the decoder.
#![no_main]

use cepa_core::Headers;
use cepa_server::http1::{Head, HeadLimits, HeadScan, Preface, Reject, decode_head};

use libfuzzer_sys::fuzz_target;

const LIMITS: HeadLimits = HeadLimits { request_line: 128, header_bytes: 512, fields: 16 };

type Decoded = (Result<Option<(Head, usize)>, Reject>, Headers);

/// Feeds the bytes in pieces of at most `step` bytes.
fn decode(bytes: &[u8], step: usize) -> Decoded {
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

fuzz_target!(|input: (u8, &[u8])| {
    let (step, bytes) = (usize::from(input.0) + 1, input.1);
    let _ = Preface::of(bytes);
    let whole = decode(bytes, usize::MAX >> 1);
    let mut pieces = decode(bytes, step);
    if whole.0.is_err() && pieces.0 == Ok(None) {
        // The pieces wait for the end of a head that is already broken: this byte brings it out.
        pieces = decode(&[bytes, b"\0"].concat(), step);
    }
    assert_eq!(pieces.0, whole.0);
    if let Ok(Some((head, consumed))) = &whole.0 {
        assert_eq!(pieces.1, whole.1);
        assert!(bytes[..*consumed].ends_with(b"\r\n\r\n"));
        assert!(head.target.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
        let _ = (head.target.scheme(), head.target.authority(), head.target.path(), head.target.query());
    }
});
