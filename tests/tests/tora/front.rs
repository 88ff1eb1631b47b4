//! A front server: its requests, answers, forms and streams.

use std::{
    io::{Read, Write},
    net::Shutdown,
    time::Duration,
};

use cepa_bus::Bus;
use cepa_server::{
    Protocol,
    tora::{client::Said, wire::Code},
};
use cepa_tests::{
    Serving,
    stats::{eventually, pause},
};

use crate::{answer, app, count, front, get, messages, news, open, rest, said};

#[test]
fn a_request_is_answered_message_by_message() {
    let served = front();
    let (bytes, clean) = rest(&mut open(&served, &get("/")));
    let mut expected = messages(&[
        (Code::HeaderKey, "Content-Type"),
        (Code::HeaderValue, "text/plain; charset=utf-8"),
        (Code::HeaderKey, "Content-Length"),
        (Code::HeaderValue, "13"),
        (Code::Print, "Hello, World!"),
    ]);
    expected.extend_from_slice(b"\x0d\0\0\0");
    assert_eq!((bytes, clean), (expected, true));
    for (path, expected) in [
        ("/who", (200, "tora 203.0.113.7 front.test ".to_owned())),
        ("/none", (404, "Not Found".to_owned())),
        ("/broken", (500, "Internal Server Error".to_owned())),
        ("/slow", (200, "slow".to_owned())),
        ("/ticks", (200, "onetwo".to_owned())),
        ("/large", (200, "x".repeat(300_000))),
    ] {
        assert_eq!(answer(&served, &get(path)), expected, "{path}");
    }
    let (bytes, _) = rest(&mut open(&served, &get("/away")));
    assert!(said(&bytes).unwrap().contains(&Said::Redirect(b"/x".to_vec())));
    // No piece is longer than mod_tora's buffer takes.
    let (bytes, _) = rest(&mut open(&served, &get("/large")));
    let pieces = said(&bytes).unwrap().into_iter().filter_map(|said| match said {
        Said::Print(text) => Some(text.len()),
        _ => None,
    });
    assert_eq!(pieces.collect::<Vec<_>>(), [131_071, 131_071, 37_858]);
}

#[test]
fn the_answer_that_was_captured_is_one() {
    let text = include_str!("../../data/tora/answer.hex");
    let digits: Vec<u8> = text.lines().skip(1).flat_map(str::bytes).collect();
    let digit = |digit: u8| (digit as char).to_digit(16).unwrap() as u8;
    let bytes: Vec<u8> = digits.chunks(2).map(|pair| digit(pair[0]) << 4 | digit(pair[1])).collect();
    let expected = [
        Said::Header("Content-Type".to_owned(), b"text/plain".to_vec()),
        Said::Print(b"Hello, World!".to_vec()),
        Said::Done,
    ];
    assert_eq!(said(&bytes).unwrap(), expected);
}

#[test]
fn a_request_is_understood_in_every_cut() {
    let served = Serving::new(app(&Bus::new())).door(Protocol::Tora).workers(2).start().unwrap();
    let request = messages(&[
        (Code::PostData, "hello there"),
        (Code::HttpMethod, "POST"),
        (Code::HeaderKey, "X"),
        (Code::HeaderValue, "y"),
        (Code::Uri, "/echo"),
        (Code::Execute, ""),
    ]);
    for at in 1..request.len() {
        let mut wire = open(&served, &request[..at]);
        if at % 8 == 0 {
            pause(Duration::from_millis(2));
        }
        wire.write_all(&request[at..]).unwrap();
        let (bytes, _) = rest(&mut wire);
        assert!(said(&bytes).unwrap().contains(&Said::Print(b"hello there".to_vec())), "{at}");
    }
}

#[test]
fn an_answer_that_breaks_off_has_no_clean_end() {
    let (bytes, clean) = rest(&mut open(&front(), &get("/breaks")));
    assert!(!clean && !said(&bytes).unwrap().contains(&Said::Done));
}

#[test]
fn what_is_no_request_ends_its_connection_and_no_other() {
    let served = front();
    for bytes in [
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(),
        vec![0; 64],
        vec![2, 0xff, 0xff, 0xff],
        vec![5, 0xff, 0xff, 0xff],
        messages(&[(Code::Print, "x")]),
        messages(&[(Code::TestConnect, "")]),
        messages(&[(Code::Uri, "/"), (Code::Error, "I give up")]),
    ] {
        let (left, _) = rest(&mut open(&served, &bytes));
        assert!(left.is_empty(), "{bytes:?}: {left:?}");
    }
    // Where there is a part of a request it is told, and Apache's log too.
    let head = messages(&[(Code::Uri, "/")]);
    for (more, status) in [
        (vec![15, 0, 0, 0], 400),
        (vec![5, 0xff, 0xff, 0xff], 413),
        (vec![6, 0xff, 0xff, 0xff], 431),
        (messages(&[(Code::HttpMethod, "G T"), (Code::Execute, "")]), 400),
        (
            messages(&[
                (Code::HeaderKey, "Transfer-Encoding"),
                (Code::HeaderValue, "chunked"),
                (Code::Execute, ""),
            ]),
            411,
        ),
        (messages(&[(Code::Uri, &"/x".repeat(5000)), (Code::Execute, "")]), 414),
    ] {
        let mut wire = open(&served, &[&head[..], &more].concat());
        wire.shutdown(Shutdown::Write).unwrap();
        let all = said(&rest(&mut wire).0).unwrap();
        assert!(all.contains(&Said::Status(status)) && matches!(all[0], Said::Log(_)), "{status}: {all:?}");
    }
    let mut declared = get("/echo");
    declared.truncate(declared.len() - 4);
    declared.extend(messages(&[
        (Code::HeaderKey, "Content-Length"),
        (Code::HeaderValue, "5"),
        (Code::PostData, "four"),
        (Code::Execute, ""),
    ]));
    assert_eq!(answer(&served, &declared).0, 400);
    assert_eq!(answer(&served, &get("/")).0, 200);
}

#[test]
fn a_form_comes_when_the_app_reads_it() {
    let served = front();
    let head = |path: &str| {
        messages(&[
            (Code::Uri, path),
            (Code::HttpMethod, "POST"),
            (Code::HeaderKey, "Content-Type"),
            (Code::HeaderValue, "multipart/form-data; boundary=x"),
            (Code::HeaderKey, "Content-Length"),
            (Code::HeaderValue, "123"),
            (Code::Execute, ""),
        ])
    };
    // One that nobody reads stays where it is.
    let all = said(&rest(&mut open(&served, &head("/none"))).0).unwrap();
    assert!(all.contains(&Said::Status(404)) && !all.contains(&Said::Query), "{all:?}");
    let mut wire = open(&served, &head("/length"));
    let mut asked = [0; 9];
    wire.read_exact(&mut asked).unwrap();
    assert_eq!(&asked, b"\x14\x05\0\x0065536");
    wire.write_all(&messages(&[(Code::PartKey, "a"), (Code::PartData, &"x".repeat(60_000))])).unwrap();
    wire.write_all(&messages(&[(Code::PartData, ""), (Code::PartDone, ""), (Code::Execute, "")])).unwrap();
    let all = said(&rest(&mut wire).0).unwrap();
    let printed = all.iter().find_map(|said| match said {
        Said::Print(text) => String::from_utf8(text.clone()).ok()?.parse::<usize>().ok(),
        _ => None,
    });
    assert!(printed.is_some_and(|length| (60_000..60_300).contains(&length)), "{all:?}");
    // One that is none, and one that is cut off: no answer is to be had of it.
    for bytes in [messages(&[(Code::PartData, "x")]), messages(&[(Code::PartKey, "a"), (Code::Execute, "")])]
    {
        let mut wire = open(&served, &head("/length"));
        wire.read_exact(&mut asked).unwrap();
        wire.write_all(&bytes).unwrap();
        assert!(!said(&rest(&mut wire).0).unwrap().contains(&Said::Done));
    }
    let mut wire = open(&served, &head("/length"));
    wire.read_exact(&mut asked).unwrap();
    wire.write_all(&messages(&[(Code::PartKey, "a")])).unwrap();
    wire.shutdown(Shutdown::Write).unwrap();
    assert!(said(&rest(&mut wire).0).unwrap().contains(&Said::Status(400)));
}

#[test]
fn an_event_stream_keeps_the_connection_of_the_front_server() {
    let bus = Bus::new();
    let served = Serving::new(app(&bus)).door(Protocol::Tora).start().unwrap();
    for path in ["/listen", "/poll"] {
        let mut wire = open(&served, &get(path));
        eventually("somebody listens", || count(&bus) == 1);
        let mut bytes = Vec::new();
        while !bytes.ends_with(&[Code::Listen as u8, 0, 0, 0]) {
            let mut byte = [0];
            wire.read_exact(&mut byte).unwrap();
            bytes.extend_from_slice(&byte);
        }
        cepa_core::test::block_on(news(&bus).notify(&"rain".to_owned())).unwrap();
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("rain") {
            let mut some = [0; 256];
            let length = wire.read(&mut some).unwrap();
            assert!(length > 0);
            seen.extend_from_slice(&some[..length]);
        }
        assert_eq!(seen[0], Code::Print as u8);
        drop(wire);
        eventually("nobody listens", || count(&bus) == 0);
    }
}
