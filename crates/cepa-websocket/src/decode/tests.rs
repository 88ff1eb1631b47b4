//! Events are the same however the bytes are cut.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{CloseCode, frame::encode_head, mask::unmask};

const LIMITS: Limits = Limits { message: 1000, fragments: 20, ratio: 200 };

/// A client's frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode_head(&mut bytes, Opcode::Text, false, payload.len());
    bytes[0] = first;
    bytes[1] |= 0x80;
    let key = [7, 0, 0xff, first];
    bytes.extend_from_slice(&key);
    let start = bytes.len();
    bytes.extend_from_slice(payload);
    unmask(&mut bytes[start..], key, 0);
    bytes
}

/// First bytes of frames, and their payloads.
type Sent<'s> = &'s [(u8, &'s [u8])];

fn frames(frames: Sent) -> Vec<u8> {
    frames.iter().flat_map(|(first, payload)| frame(*first, payload)).collect()
}

/// All events, in pieces of `step` bytes.
fn events(bytes: &[u8], step: usize) -> (Vec<Event>, Option<ProtocolError>) {
    let mut decoder = Decoder::new(LIMITS);
    let mut events = Vec::new();
    let mut bytes = bytes.to_vec();
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

fn text(text: &str) -> Event {
    Event::Message(text.into())
}

#[test]
fn messages_fragments_and_control_frames_between_them() {
    let bytes = frames(&[
        (0x81, b"Hello"),
        (0x01, "h\u{f6}".as_bytes()),
        (0x89, b"p"),
        (0x00, b""),
        (0x8a, b""),
        (0x80, b"!"),
        (0x82, &[0xff; 300]),
        (0x88, b"\x03\xe8bye"),
    ]);
    let expected = vec![
        text("Hello"),
        Event::Ping(b"p".to_vec()),
        Event::Pong(Vec::new()),
        text("h\u{f6}!"),
        Event::Message(vec![0xff; 300].into()),
        Event::Close(Close::new(CloseCode::NORMAL, "bye")),
    ];
    for step in 1..bytes.len() {
        assert_eq!(events(&bytes, step), (expected.clone(), None), "{step}");
    }
}

#[test]
fn what_is_against_the_rules() {
    use ProtocolError as E;
    let table: [(Sent, E); 10] = [
        (&[(0x80, b"a")], E::Fragment),
        (&[(0x01, b"a"), (0x81, b"b")], E::Fragment),
        (&[(0x02, b"a"), (0x01, b"b")], E::Fragment),
        (&[(0x81, b"\xff")], E::Utf8),
        (&[(0x01, b"\xf4\x90"), (0x80, b"more")], E::Utf8),
        (&[(0x01, b"\xe2\x82"), (0x80, b"")], E::Utf8),
        (&[(0x82, &[0; 1001])], E::TooBig),
        (&[(0x02, &[0; 600]), (0x80, &[0; 401])], E::TooBig),
        (&[(0x88, b"\x03\xed")], E::CloseCode),
        (&[(0xc1, b"a")], E::ReservedBit),
    ];
    for (sent, error) in table {
        let bytes = frames(sent);
        for step in [1, 2, 3, 7, bytes.len()] {
            assert_eq!(events(&bytes, step), (Vec::new(), Some(error)), "{sent:x?} {step}");
        }
    }
}

#[test]
fn a_wrong_text_fails_before_its_end() {
    let mut bytes = frame(0x01, b"abc\xff");
    assert_eq!(Decoder::new(LIMITS).decode(&mut bytes), Err(ProtocolError::Utf8));
    let mut bytes = frame(0x81, b"abc\xffdef");
    let most = bytes.len() - 3;
    assert_eq!(Decoder::new(LIMITS).decode(&mut bytes[..most]), Err(ProtocolError::Utf8));
}

#[test]
fn an_announced_length_takes_no_memory() {
    let limits = Limits { message: usize::MAX >> 1, ..LIMITS };
    let mut decoder = Decoder::new(limits);
    let mut bytes = b"\x82\xff\x3f\xff\xff\xff\xff\xff\xff\xff\0\0\0\0data".to_vec();
    assert_eq!(decoder.decode(&mut bytes), Ok((bytes.len(), None)));
    assert!(decoder.message.unwrap().bytes.capacity() < 100);
    let mut decoder = Decoder::new(LIMITS);
    assert_eq!(decoder.decode(&mut bytes[..14]), Err(ProtocolError::TooBig));
}

#[test]
fn fragments_have_a_limit() {
    let mut bytes = frame(0x01, b"");
    for _ in 0..20 {
        bytes.extend_from_slice(&frame(0x00, b""));
    }
    assert_eq!(events(&bytes, 100), (Vec::new(), Some(ProtocolError::Fragments)));
}

#[test]
fn one_call_does_a_bounded_amount_of_work() {
    let mut decoder = Decoder::new(Limits { fragments: 10_000, ..LIMITS });
    let mut flood = [frame(0x01, b""), frame(0x00, b"").repeat(5000)].concat();
    assert_eq!(decoder.decode(&mut flood), Ok((64 * 6, None)));
    assert_eq!(decoder.steps(), Some(1));
    // What costs little is taken whole.
    let mut decoder = Decoder::new(Limits { message: 100_000, ..LIMITS });
    let mut large = frame(0x02, &[0; 50_000]);
    assert_eq!(decoder.decode(&mut large), Ok((large.len(), None)));
    assert_eq!(decoder.steps(), Some(0));
}

#[cfg(feature = "deflate")]
#[test]
fn one_call_inflates_a_bounded_amount() {
    let compressed = || {
        let (agreed, _) = crate::deflate::negotiate(["permessage-deflate"], &Default::default()).unwrap();
        Decoder::new(Limits { message: 1 << 20, ..LIMITS }).with_deflate(&agreed)
    };
    // Blocks that each say they are the last, and come to nothing.
    let mut decoder = compressed();
    let mut flood = frame(0x41, &[0x03, 0x00].repeat(15_000));
    assert_eq!(decoder.decode(&mut flood), Ok((8 + 1024, None)));
    assert_eq!(decoder.steps(), Some(1));
    let mut at = 8 + 1024;
    while at < flood.len() {
        let (taken, event) = decoder.decode(&mut flood[at..]).unwrap();
        assert!(event.is_none() && (1..=1024).contains(&taken));
        at += taken;
    }
    // What it comes to is counted as well.
    let mut zeros = flate2::Compress::new(flate2::Compression::best(), false);
    let mut bomb = Vec::with_capacity(4096);
    zeros.compress_vec(&[0; 500_000], &mut bomb, flate2::FlushCompress::Sync).unwrap();
    let mut decoder = compressed();
    decoder.limits.ratio = u32::MAX;
    assert!(matches!(decoder.decode(&mut frame(0xc2, &bomb)), Ok((_, Some(_) | None))));
    assert_eq!(decoder.steps(), None);
}

/// A frame of any kind, more often a sensible one.
fn any_frame() -> impl Strategy<Value = Vec<u8>> {
    let first = prop_oneof![4 => prop::sample::select(vec![0x81, 0x01, 0x00, 0x80, 0x82, 0x02, 0x89, 0x8a, 0x88]), 1 => any::<u8>()];
    let payload = prop_oneof![".{0,40}".prop_map(String::into_bytes), vec(any::<u8>(), 0..300)];
    (first, payload).prop_map(|(first, payload)| frame(first, &payload))
}

proptest! {
    #[test]
    fn any_cut_gives_the_same_events(frames in vec(any_frame(), 0..12), step in 1_usize..64) {
        let bytes = frames.concat();
        prop_assert_eq!(events(&bytes, step), events(&bytes, bytes.len().max(1)));
    }

    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>, step in 1_usize..64) {
        prop_assert_eq!(events(&bytes, step), events(&bytes, bytes.len().max(1)));
    }

    #[test]
    fn a_message_comes_back(payload in vec(any::<u8>(), 0..1000), cuts in vec(0_usize..1000, 0..8)) {
        let mut cuts = cuts;
        cuts.retain(|cut| *cut <= payload.len());
        cuts.sort_unstable();
        cuts.push(payload.len());
        let (mut bytes, mut from) = (Vec::new(), 0);
        for (at, cut) in cuts.iter().enumerate() {
            let first = if at == 0 { 2 } else { 0 } | if at + 1 == cuts.len() { 0x80 } else { 0 };
            bytes.extend_from_slice(&frame(first, &payload[from..*cut]));
            from = *cut;
        }
        prop_assert_eq!(events(&bytes, 50), (vec![Event::Message(payload.into())], None));
    }
}
