use super::super::{Pairs, push_pair, record};
use super::*;
use proptest::prelude::*;

const MOST: usize = 1024;

fn record(kind: u8, id: u16, content: &[u8], padding: u8) -> Vec<u8> {
    let mut out = Vec::new();
    record::header(&mut out, Kind::Begin, id, content.len() as u16);
    (out[1], out[6]) = (kind, padding);
    out.extend_from_slice(content);
    out.resize(out.len() + usize::from(padding), 0xaa);
    out
}

fn begin(id: u16, role: u8, flags: u8) -> Vec<u8> {
    record(1, id, &[0, role, flags, 0, 0, 0, 0, 0], 0)
}

/// The events with the bytes of bodies joined, and how it ended.
fn events(bytes: &[u8], step: usize) -> (Vec<String>, Option<Reject>) {
    let (mut decoder, mut events) = (Decoder::new(MOST), Vec::<String>::new());
    let (mut body, mut fault) = (Vec::new(), None);
    'all: for piece in bytes.chunks(step.max(1)) {
        let mut at = 0;
        loop {
            let (used, event) = match decoder.decode(&piece[at..]) {
                Ok(decoded) => decoded,
                Err(reject) => {
                    fault = Some(reject);
                    break 'all;
                }
            };
            let from = at;
            at += used;
            match event {
                None => {
                    assert_eq!(at, piece.len());
                    break;
                }
                Some(Event::Data(range)) => {
                    body.extend_from_slice(&piece[from + range.start..from + range.end]);
                }
                Some(event) => {
                    if !body.is_empty() {
                        events.push(format!("{:?}", String::from_utf8_lossy(&std::mem::take(&mut body))));
                    }
                    if event == Event::Request {
                        let text = decoder.take_variables();
                        let pairs: Vec<_> =
                            Pairs::new(&text).map(|pair| pair.map(|(name, _)| name.len())).collect();
                        events.push(format!("{:?} {} {pairs:?}", decoder.request(), decoder.keeps()));
                    } else {
                        events.push(format!("{event:?}"));
                    }
                }
            }
        }
    }
    events.push(format!("{:?}", String::from_utf8_lossy(&body)));
    (events, fault)
}

fn params() -> Vec<u8> {
    let mut text = Vec::new();
    push_pair(&mut text, b"A", b"1");
    push_pair(&mut text, b"BC", &[b'x'; 300]);
    text
}

/// One request with its variables in three records, and a body in two.
fn request() -> Vec<u8> {
    let params = params();
    [
        begin(7, 1, 1),
        record(4, 7, &params[..1], 7),
        record(4, 7, &params[1..150], 0),
        record(4, 7, &params[150..], 255),
        record(4, 7, b"", 3),
        record(5, 7, b"hello ", 2),
        record(5, 7, b"there", 0),
        record(5, 7, b"", 0),
    ]
    .concat()
}

#[test]
fn a_request_comes_to_the_same_in_every_cut() {
    let bytes = request();
    let whole = events(&bytes, bytes.len());
    let expected =
        ["Some(7) true [Ok(1), Ok(2)]", "\"hello there\"", "End", "\"\""].map(str::to_owned).to_vec();
    assert_eq!(whole, (expected, None));
    for step in 1..bytes.len() {
        assert_eq!(events(&bytes, step), whole, "{step}");
    }
}

#[test]
fn what_a_front_server_may_send_besides() {
    let after = |more: &[Vec<u8>]| events(&[begin(1, 1, 0), more.concat()].concat(), 5);
    for (more, expected) in [
        (vec![record(4, 1, b"", 0), record(2, 1, b"", 0)], vec!["Some(1) false []", "Abort", "\"\""]),
        (vec![record(2, 1, b"12345678", 0)], vec!["Abort", "\"\""]),
        (vec![begin(2, 1, 0), record(4, 2, b"\x01", 0)], vec!["Second(2)", "\"\""]),
        (vec![record(5, 9, b"of nobody", 0), record(2, 9, b"", 0)], vec!["\"\""]),
        (vec![record(8, 1, b"data", 1), record(6, 1, b"", 0), record(200, 1, b"x", 0)], vec!["\"\""]),
        (vec![record(200, 0, b"x", 9)], vec!["Unknown(200)", "\"\""]),
        (vec![record(11, 0, b"x", 9)], vec!["Unknown(11)", "\"\""]),
        (vec![record(9, 0, b"\x01\x00A", 0)], vec!["\"\""]),
        (
            vec![record(4, 1, b"", 0), record(9, 0, b"\x01\x00A", 1)],
            vec!["Some(1) false []", "Values([1, 0, 65])", "\"\""],
        ),
    ] {
        assert_eq!(after(&more), (expected.into_iter().map(str::to_owned).collect(), None), "{more:?}");
    }
    let role = events(&begin(3, 2, 1), 3);
    assert_eq!(role.0[0], "Role { request: 3, keep: true }");
    assert_eq!(events(&record(9, 0, b"", 0), 3).0[0], "Values([])");
}

#[test]
fn what_breaks_the_framing_ends_the_connection() {
    let begun = |more: Vec<u8>| [begin(1, 1, 0), more].concat();
    let in_body = |more: Vec<u8>| begun([record(4, 1, b"", 0), more].concat());
    for (bytes, reject) in [
        (b"GET / HTTP/1.1\r\n".to_vec(), Reject::Version),
        (record(1, 1, b"1234567", 0), Reject::Record),
        (record(1, 1, b"", 0), Reject::Record),
        (record(1, 0, b"12345678", 0), Reject::Record),
        (record(4, 0, b"", 0), Reject::Record),
        (begun(begin(1, 1, 0)), Reject::Record),
        (begun(record(5, 1, b"early", 0)), Reject::Record),
        (in_body(record(4, 1, b"late", 0)), Reject::Record),
        (in_body([record(5, 1, b"", 0), record(5, 1, b"late", 0)].concat()), Reject::Record),
        (begun(record(4, 1, &[1; MOST + 1], 0)), Reject::VariablesTooLarge),
        (begun([record(4, 1, &[1; MOST], 0), record(4, 1, b"1", 0)].concat()), Reject::VariablesTooLarge),
    ] {
        for step in [1, 7, bytes.len()] {
            assert_eq!(events(&bytes, step).1, Some(reject), "{bytes:?}");
        }
    }
}

#[test]
fn what_is_left_of_an_answered_request_is_passed_over() {
    let mut decoder = Decoder::new(MOST);
    let body = record(5, 1, b"unread", 0);
    let bytes = [begin(1, 1, 1), record(4, 1, b"", 0), body[..10].to_vec()].concat();
    assert_eq!(decoder.decode(&bytes).unwrap().1, Some(Event::Request));
    let used = bytes.len() - 10;
    assert!(matches!(decoder.decode(&bytes[used..]).unwrap(), (10, Some(Event::Data(_)))));
    decoder.finish();
    assert_eq!(decoder.decode(&body[10..]).unwrap(), (4, None));
    assert_eq!(decoder.decode(&record(5, 1, b"", 0)).unwrap(), (8, None));
    assert_eq!(decoder.decode(&record(2, 1, b"", 0)).unwrap(), (8, None));
    assert_eq!(decoder.decode(&request()).unwrap().1, Some(Event::Request));
}

proptest! {
    #[test]
    fn records_come_to_the_same_events_however_they_are_cut(
        records in prop::collection::vec(
            (0u8..13, 0u16..3, prop_oneof![Just(vec![0, 1, 1, 0, 0, 0, 0, 0]), prop::collection::vec(any::<u8>(), 0..40)], any::<u8>()),
            0..12,
        ),
        step in 1usize..50,
    ) {
        let bytes: Vec<u8> = records.iter().flat_map(|(kind, id, content, padding)| record(*kind, *id, content, *padding)).collect();
        prop_assert_eq!(events(&bytes, step), events(&bytes, bytes.len()));
    }

    #[test]
    fn any_bytes_are_decoded_or_refused(bytes: Vec<u8>, step in 1usize..50) {
        let started = [&begin(1, 1, 1)[..], &bytes].concat();
        prop_assert_eq!(events(&started, step), events(&started, started.len()));
    }
}
