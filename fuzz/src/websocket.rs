//! The WebSocket codec: what it reads comes to the same however the bytes are cut.
//!
//! The first byte of an input says in pieces of how many bytes the rest arrives, and its lowest bit whether messages
//! may be compressed.

use cepa_websocket::{
    Decoder, Event, Limits, ProtocolError,
    deflate::{Deflate, negotiate},
};

const LIMITS: Limits = Limits { message: 4096, fragments: 64, ratio: 200 };

/// Frames come to the same events however their bytes are cut, and never panic the decoder.
pub fn websocket(input: &[u8]) {
    let Some((first, bytes)) = input.split_first() else { return };
    let compressed = first % 2 == 1;
    let (whole, whole_error) = decode(bytes, bytes.len().max(1), compressed);
    let (pieces, pieces_error) = decode(bytes, usize::from(*first) + 1, compressed);
    assert_eq!(whole, pieces);
    // Of two faults in one compressed message, either may be found first.
    assert!(whole_error == pieces_error || compressed && whole_error.is_some() == pieces_error.is_some());
    if let Ok(offers) = std::str::from_utf8(bytes) {
        let _ = negotiate([offers], &Deflate::default());
    }
}

/// Feeds the bytes in pieces of at most `step` bytes.
fn decode(bytes: &[u8], step: usize, compressed: bool) -> (Vec<Event>, Option<ProtocolError>) {
    let mut decoder = Decoder::new(LIMITS);
    if compressed {
        let agreed = negotiate(["permessage-deflate"], &Deflate::default());
        decoder = decoder.with_deflate(&agreed.expect("the plain offer can be kept").0);
    }
    let (mut bytes, mut events) = (bytes.to_vec(), Vec::new());
    for piece in bytes.chunks_mut(step) {
        let mut at = 0;
        while at < piece.len() {
            match decoder.decode(&mut piece[at..]) {
                Ok((taken, event)) => {
                    assert!(event.is_some() || taken > 0);
                    at += taken;
                    events.extend(event);
                }
                Err(error) => return (events, Some(error)),
            }
        }
    }
    (events, None)
}
