//! Messages come back, and bombs do not go off.

use proptest::{collection::vec, prelude::*};

use super::*;

const LIMITS: Limits = Limits { message: 1 << 20, fragments: 20, ratio: 200 };

fn agreed(takeover: bool, bits: u8) -> Agreed {
    Agreed {
        server_takeover: takeover,
        client_takeover: takeover,
        server_bits: bits,
        client_bits: bits,
        level: 1,
        from: 1,
    }
}

fn inflate(inflater: &mut Inflater, bytes: &[u8], step: usize) -> Result<Vec<u8>, ProtocolError> {
    let (mut out, mut came) = (Vec::new(), 0);
    for piece in bytes.chunks(step) {
        came += piece.len();
        inflater.inflate(piece, came == bytes.len(), came as u64, &mut out, &LIMITS)?;
    }
    Ok(out)
}

#[test]
fn the_examples_of_the_rfc() {
    // Section 7.2.3.
    let table: [&[u8]; 4] = [
        &[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00],
        &[0x00, 0x05, 0x00, 0xfa, 0xff, 0x48, 0x65, 0x6c, 0x6c, 0x6f, 0x00],
        &[0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0x00],
        &[0xf2, 0x48, 0x05, 0x00, 0x00, 0x00, 0xff, 0xff, 0xca, 0xc9, 0xc9, 0x07, 0x00],
    ];
    for bytes in table {
        for step in [1, 3, 100] {
            let mut inflater = Inflater::new(&agreed(false, 15));
            assert_eq!(inflate(&mut inflater, bytes, step).as_deref(), Ok(&b"Hello"[..]), "{bytes:x?}");
        }
    }
    let mut inflater = Inflater::new(&agreed(true, 15));
    for bytes in [table[0], &[0xf2, 0x00, 0x11, 0x00, 0x00]] {
        assert_eq!(inflate(&mut inflater, bytes, 100).as_deref(), Ok(&b"Hello"[..]));
    }
}

#[test]
fn deflate_bomb() {
    let zeros = vec![0; 1 << 19];
    let bomb = Deflater::new(&Agreed { level: 9, ..agreed(false, 15) }).deflate(&zeros).unwrap();
    let mut out = Vec::new();
    let ended = Inflater::new(&agreed(false, 15)).inflate(&bomb, true, bomb.len() as u64, &mut out, &LIMITS);
    assert_eq!(ended, Err(ProtocolError::Ratio));
    assert!(out.len() <= RATIO_FROM.max(bomb.len() * 200) + PIECE);
    let loose = Limits { ratio: u32::MAX, message: 1 << 18, ..LIMITS };
    let mut out = Vec::new();
    let ended = Inflater::new(&agreed(false, 15)).inflate(&bomb, true, bomb.len() as u64, &mut out, &loose);
    assert_eq!((ended, out.len()), (Err(ProtocolError::TooBig), (1 << 18) + 1));
    let exact = Limits { message: 1 << 19, ..loose };
    let mut out = Vec::new();
    let ended = Inflater::new(&agreed(false, 15)).inflate(&bomb, true, bomb.len() as u64, &mut out, &exact);
    assert_eq!((ended, out.len()), (Ok(()), 1 << 19));
}

#[test]
fn what_follows_a_last_block_is_another_stream() {
    let twice = [0xf3, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00, 0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00];
    for step in [1, 2, 100] {
        let mut inflater = Inflater::new(&agreed(false, 15));
        assert_eq!(inflate(&mut inflater, &twice, step).as_deref(), Ok(&b"HelloHello"[..]));
    }
}

/// What a burst of messages that come in pieces leaves behind.
fn burst() -> (Vec<Inflater>, Vec<Deflater>) {
    let (mut inflaters, mut deflaters) = (Vec::new(), Vec::new());
    for bits in [15, 14, 13, 12, 11, 10] {
        let mut deflater = Deflater::new(&agreed(false, bits));
        let message = deflater.deflate(&[b'a'; 100]).unwrap();
        deflaters.push(deflater);
        inflaters.push((Inflater::new(&agreed(false, 15)), message));
    }
    let mut out = Vec::new();
    for ends in [false, true] {
        for (inflater, message) in &mut inflaters {
            let piece = if ends { &message[2..] } else { &message[..2] };
            inflater.inflate(piece, ends, 10, &mut out, &LIMITS).unwrap();
        }
    }
    (inflaters.into_iter().map(|(inflater, _)| inflater).collect(), deflaters)
}

#[tokio::test(start_paused = true)]
async fn a_burst_keeps_no_memory_for_ever() {
    let users = burst();
    assert_eq!(spare::kept(), (4, 4));
    tokio::time::advance(std::time::Duration::from_secs(59)).await;
    sweep();
    assert_eq!(spare::kept(), (4, 4));
    // One that is used stays.
    assert!(Deflater::new(&agreed(false, 10)).deflate(&[b'a'; 100]).is_some());
    tokio::time::advance(std::time::Duration::from_secs(1)).await;
    sweep();
    assert_eq!(spare::kept(), (1, 0));
    drop(users);
    assert_eq!(spare::kept(), (0, 0));
}

proptest! {
    #[test]
    fn messages_come_back(
        messages in vec(vec(0_u8..6, 1..5000), 1..5),
        takeover: bool,
        bits in 9_u8..=15,
        step in 1_usize..3000,
    ) {
        let agreed = agreed(takeover, bits);
        let (mut deflater, mut inflater) = (Deflater::new(&agreed), Inflater::new(&agreed));
        for message in messages {
            if let Some(bytes) = deflater.deflate(&message) {
                prop_assert_eq!(inflate(&mut inflater, &bytes, step), Ok(message));
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes: Vec<u8>, step in 1_usize..64) {
        let _ = inflate(&mut Inflater::new(&agreed(false, 15)), &bytes, step);
    }
}
