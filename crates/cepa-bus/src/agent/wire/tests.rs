use std::fmt::Debug;

use proptest::prelude::*;

use super::*;

fn key(name: &str) -> Key {
    Key { app: "app".into(), name: name.into() }
}

fn id(number: u64) -> EventId {
    EventId { life: u64::MAX, number }
}

fn ups() -> Vec<Up> {
    let queue = || key("räume#1");
    let json = || Bytes::from_static(b"{\"a\": [1, null]}");
    let value = |ttl| Some(FarValue { json: json(), ttl, durable: true });
    let asks = vec![
        Ask::Load { share: key("x"), known: Some(u64::MAX) },
        Ask::Write {
            share: key("x"),
            when: When::Version(300),
            value: value(None),
            wait: Duration::from_secs(10),
        },
        Ask::Write { share: key("x"), when: When::Absent, value: None, wait: Duration::ZERO },
        Ask::Hold {
            share: key("x"),
            party: 7,
            label: "GET /".into(),
            wait: Duration::from_millis(u64::MAX),
            known: None,
        },
        Ask::Store { token: 1 << 63, value: value(Some(Duration::from_millis(1))), and_release: true },
        Ask::Count { counter: key("c"), change: Change::Swap(i64::MIN, i64::MAX) },
        Ask::Count { counter: key("c"), change: Change::Add(-1) },
        Ask::Entry { map: key("m"), entry: "".into() },
        Ask::Put { map: key("m"), entry: "k".into(), when: When::Always, json: None },
        Ask::Len { map: key("m") },
        Ask::Entries { map: key("m") },
        Ask::Clear { map: key("m") },
        Ask::Stop { queue: queue() },
        Ask::Subscribers { queue: queue() },
        Ask::Present { queue: queue() },
        Ask::Tell { action: key("refresh"), to: To::Process(65_536), json: json() },
        Ask::Serve { question: json() },
    ];
    let options = QueueOptions::default();
    let event = Some("weather".into());
    let asks = asks.into_iter().zip(0..).map(|(ask, id)| Up::Ask { id: id * 1000, ask });
    let others = [
        Up::Hello {
            version: VERSION,
            pid: 1,
            is_worker: false,
            silence: Duration::from_secs(10),
            publisher: 5,
            window: 1024,
        },
        Up::Ping,
        Up::Cancel { id: 5 },
        Up::Release { token: 1 },
        Up::Publish { number: 1, queue: queue(), options, event, json: json() },
        Up::Follow { follow: 127, queue: queue(), options, last: Some(id(128)) },
        Up::Unfollow { follow: 16_384 },
        Up::Report { queue: queue(), count: 2, all: true, names: vec![("ada".into(), 2), ("".into(), 0)] },
        Up::Listening { action: key("refresh"), count: 3 },
    ];
    others.into_iter().chain(asks).collect()
}

fn downs() -> Vec<Down> {
    let versioned = || Some(Versioned { version: 9, json: Bytes::from_static(b"1") });
    let answers = vec![
        Ok(Answer::Loaded { load: Load::Same }),
        Ok(Answer::Written { written: Written::Not(versioned()) }),
        Ok(Answer::Held { hold: FarHold { token: 3, value: Load::Nothing } }),
        Ok(Answer::Version { version: 1 }),
        Ok(Answer::Number { number: -129 }),
        Ok(Answer::Entry { entry: versioned() }),
        Ok(Answer::Put { put: Put::Done(None) }),
        Ok(Answer::Count { count: 0 }),
        Ok(Answer::Entries { entries: vec![("k".into(), Bytes::new())] }),
        Ok(Answer::Done),
        Ok(Answer::Present { names: vec![("ada".into(), 1)] }),
        Ok(Answer::Served { answer: Bytes::from_static(b"?") }),
        Err(Fault::Malformed),
        Err(Fault::TooManyNames { most: 3 }),
        Err(Fault::Timeout { holder: "it".into() }),
        Err(Fault::Deadlock { waits: vec![("a".into(), "x".into()), ("b".into(), "y".into())] }),
        Err(Fault::TooManyWaiting),
        Err(Fault::LockLost),
        Err(Fault::Full),
        Err(Fault::TooLong { most: 5 }),
        Err(Fault::EventType),
        Err(Fault::Busy),
        Err(Fault::Refused { why: "no".into() }),
    ];
    let answers = answers.into_iter().map(|answer| Down::Answer { id: 1, answer });
    let others = [
        Down::Welcome { life: 1 },
        Down::Ping,
        Down::Published { number: 1, id: Ok(id(1)) },
        Down::Followed { follow: 1, followed: Followed { after: id(0), now: 1, stops: 0 } },
        Down::Message { follow: 1, id: id(2), event: None, json: Bytes::from_static(b"[]") },
        Down::Stopped { follow: 1, stops: 1 },
        Down::Told { action: key("x"), one: true, json: Bytes::from_static(b"{}") },
        Down::Part { id: 1, entries: Vec::new() },
        Down::Refused { why: "old".into() },
    ];
    others.into_iter().chain(answers).collect()
}

/// It comes out as it went in, from the first byte that is enough on, and nothing done to its bytes is a panic.
fn travels<F: Wire + PartialEq + Debug>(frame: &F) {
    let mut bytes = vec![0xff];
    write(frame, &mut bytes).unwrap();
    let bytes = &bytes[1..];
    assert_eq!(
        read::<F>(bytes).unwrap().as_ref().map(|(read, length)| (read, *length)),
        Some((frame, bytes.len()))
    );
    for cut in 0..bytes.len() {
        assert_eq!(read::<F>(&bytes[..cut]), Ok(None), "{frame:?} cut to {cut}");
        // Ended too early, by its own length.
        if let Some(short) = cut.checked_sub(4) {
            let mut bytes = bytes[..cut].to_vec();
            bytes[..4].copy_from_slice(&(short as u32).to_be_bytes());
            assert!(read::<F>(&bytes).is_err(), "{frame:?} cut to {cut}");
        }
        for bit in 0..8 {
            let mut bytes = bytes.to_vec();
            bytes[cut] ^= 1 << bit;
            rereads::<F>(&bytes);
        }
    }
}

#[test]
fn every_frame_travels() {
    ups().iter().for_each(travels);
    downs().iter().for_each(travels);
}

#[test]
fn lengths_are_bounded_before_anything_is_read() {
    assert_eq!(read::<Up>(&[0xff; 4]), Err(WireError::TooLong));
    let mut out = b"before".to_vec();
    let long = Up::Ask {
        id: 1,
        ask: Ask::Put {
            map: key("m"),
            entry: "k".into(),
            when: When::Always,
            json: Some(vec![b' '; FRAME].into()),
        },
    };
    assert_eq!(write(&long, &mut out), Err(WireError::TooLong));
    assert_eq!(out, b"before", "nothing of it is left");
    // A count that no frame could have, for items that would be large in memory.
    let mut many = vec![0, 0, 0, 12, 9, 1];
    many.extend_from_slice(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    assert_eq!(read::<Down>(&many), Err(WireError::Cut));
}

#[test]
fn numbers_are_written_in_one_way() {
    for (bytes, number) in [
        (&[0][..], Ok(0)),
        (&[0x7f], Ok(127)),
        (&[0x80, 1], Ok(128)),
        (&[0x80, 0], Err(WireError::Malformed)),
    ] {
        assert_eq!(u64::take(&mut &bytes[..]), number, "{bytes:?}");
    }
    let most = [0xff; 9];
    let with = |last: u8| [&most[..], &[last]].concat();
    assert_eq!(u64::take(&mut &with(1)[..]), Ok(u64::MAX));
    assert_eq!(u64::take(&mut &with(2)[..]), Err(WireError::Malformed));
    assert_eq!(u64::take(&mut &with(0x81)[..]), Err(WireError::Malformed));
    assert_eq!(u32::take(&mut &[0xff, 0xff, 0xff, 0xff, 0x1f][..]), Err(WireError::Malformed));
}

proptest! {
    #[test]
    fn numbers_travel(number: u64, signed: i64) {
        let mut out = Vec::new();
        number.put(&mut out);
        signed.put(&mut out);
        let mut input = &out[..];
        prop_assert_eq!((u64::take(&mut input), i64::take(&mut input)), (Ok(number), Ok(signed)));
    }

    #[test]
    fn no_bytes_are_a_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200), is_whole: bool) {
        if let Some(length) = bytes.len().checked_sub(4).filter(|_| is_whole) {
            bytes[..4].copy_from_slice(&(length as u32).to_be_bytes());
        }
        check(&bytes);
    }
}
