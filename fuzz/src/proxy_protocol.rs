//! What a proxy announces: it comes to the same however the bytes are cut, and takes no more of them than it may.
//!
//! The first byte of an input says in pieces of how many bytes the rest arrives.

use cepa_server::{
    FrontServers,
    proxy_protocol::{Announced, Decoder, Fault, ProxyProtocol},
};

/// Bytes that a header may have behind its first 16.
const MOST: u16 = 512;

/// A header comes to the same however it is cut.
pub fn proxy_protocol(input: &[u8]) {
    let Some((step, bytes)) = input.split_first() else { return };
    let whole = decode(bytes, bytes.len().max(1));
    assert_eq!(decode(bytes, usize::from(*step) + 1), whole);
    if let Ok((used, announced)) = whole {
        assert!(used <= 16 + usize::from(MOST));
        assert!(announced.is_some() || used == bytes.len());
    }
}

fn decode(bytes: &[u8], step: usize) -> Result<(usize, Option<Announced>), Fault> {
    let config = ProxyProtocol { length: MOST, ..ProxyProtocol::new(FrontServers::default()) };
    let (mut decoder, mut at) = (Decoder::new(&config), 0);
    for piece in bytes.chunks(step) {
        let (used, announced) = decoder.decode(piece)?;
        at += used;
        if announced.is_some() {
            return Ok((at, announced));
        }
        assert_eq!(used, piece.len());
    }
    Ok((at, None))
}
