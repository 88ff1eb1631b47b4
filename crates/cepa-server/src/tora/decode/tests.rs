//! Requests as they were captured between Apache 2.4 with mod_tora 2.3 and tora, and everything that nobody should send.

use proptest::prelude::*;

use super::*;
use crate::{
    cgi::{Head, Rules},
    tora::client::Call,
};
use cepa_core::{Headers, Peer};

/// Bytes on the wire, as hexadecimal digits.
fn wire(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/tora/");
    let text = std::fs::read_to_string(format!("{folder}{name}.hex")).unwrap();
    let digits: Vec<u8> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(|line| line.bytes().filter(|byte| !byte.is_ascii_whitespace()))
        .map(|digit| (digit as char).to_digit(16).unwrap() as u8)
        .collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

#[derive(Debug, PartialEq)]
struct Found {
    events: Vec<Event>,
    body: Vec<u8>,
    head: Option<Result<(String, String, String, Peer), Reject>>,
    headers: Vec<(String, String)>,
    fault: Option<Reject>,
}

/// Decodes one request; a form is asked for when it is there.
fn decode(role: Role, bytes: &[u8], step: usize) -> Found {
    let limits = Limits { variable_bytes: 4096, body: 1000, request_line: 256, ..Limits::default() };
    let mut decoder = Decoder::new(role, &limits);
    let mut found =
        Found { events: Vec::new(), body: Vec::new(), head: None, headers: Vec::new(), fault: None };
    for piece in bytes.chunks(step.max(1)) {
        let mut at = 0;
        loop {
            match decoder.decode(&piece[at..]) {
                Err(reject) => return Found { fault: Some(reject), ..found },
                Ok((_, None)) => break,
                Ok((used, Some(event))) => {
                    match event {
                        Event::Data(range) => found.body.extend_from_slice(&piece[at..][range]),
                        Event::Made => found.body.append(&mut decoder.take_made()),
                        Event::Request => {
                            let (head, headers) = read(role, &decoder.take_request(), &limits);
                            (found.head, found.headers) = (Some(head.map(told)), headers);
                            found.events.push(Event::Request);
                            let mut asked = Vec::new();
                            decoder.pull(&mut asked);
                            assert!(asked.is_empty() || asked == b"\x14\x05\0\x0065536");
                        }
                        event => found.events.push(event),
                    }
                    at += used;
                }
            }
        }
    }
    found
}

fn read(role: Role, request: &Request, limits: &Limits) -> (Result<Head, Reject>, Vec<(String, String)>) {
    let mut headers = Headers::new();
    let rules = Rules { limits, script_is_mount: false };
    let head = request.read(role, &["localhost".to_owned()], rules, &mut headers);
    let map = headers.map();
    let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let list = map.iter().map(|(name, value)| (name.to_string(), text(value))).collect();
    (head, list)
}

fn told(head: Head) -> (String, String, String, Peer) {
    (head.method.to_string(), head.target.to_string(), head.mount, head.client.peer)
}

fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

/// Messages one behind the other.
fn messages(list: &[(Code, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (code, text) in list {
        crate::tora::wire::push(&mut out, *code, text.as_bytes());
    }
    out
}

fn local() -> Peer {
    Peer::Ip("127.0.0.1:0".parse().unwrap())
}

#[test]
fn a_captured_get_comes_to_the_same_in_every_cut() {
    let bytes = wire("get");
    assert_eq!(bytes.len(), 156);
    for step in 1..=bytes.len() {
        let found = decode(Role::Front, &bytes, step);
        assert_eq!(found.events, [Event::Request, Event::End], "{step}");
        let head = ("GET".to_owned(), "/hello.n".to_owned(), String::new(), local());
        assert_eq!(found.head, Some(Ok(head)));
        let expected = [("host", "127.0.0.1:18082"), ("user-agent", "curl/7.88.1"), ("accept", "*/*")];
        let mut expected = pairs(&expected);
        expected.sort();
        let mut headers = found.headers;
        headers.sort();
        assert_eq!(headers, expected);
    }
}

#[test]
fn a_captured_post_has_its_body_and_its_query() {
    let bytes = wire("post");
    assert_eq!(bytes.len(), 288);
    for step in 1..=bytes.len() {
        let found = decode(Role::Front, &bytes, step);
        assert_eq!(
            (found.events, &*found.body),
            (vec![Event::Request, Event::End], &b"p=1&q=a+b%26"[..]),
            "{step}"
        );
        let head = ("POST".to_owned(), "/echo.n?g=1".to_owned(), String::new(), local());
        assert_eq!(found.head, Some(Ok(head)));
        assert!(found.headers.contains(&("content-length".to_owned(), "12".to_owned())));
    }
}

#[test]
fn a_captured_form_is_made_a_body() {
    let head = messages(&[
        (Code::Uri, "/up"),
        (Code::HeaderKey, "Content-Type"),
        (Code::HeaderValue, "multipart/form-data; boundary=whatever"),
        (Code::HeaderKey, "Content-Length"),
        (Code::HeaderValue, "277"),
        (Code::HttpMethod, "POST"),
        (Code::Execute, ""),
    ]);
    let bytes = [head, wire("form")].concat();
    for step in 1..=bytes.len() {
        let found = decode(Role::Front, &bytes, step);
        assert_eq!((found.events, found.fault), (vec![Event::Request, Event::End], None), "{step}");
        let [(name, kind)] = &found.headers[..] else { panic!("{:?}", found.headers) };
        let boundary = kind.strip_prefix("multipart/form-data; boundary=").unwrap();
        assert_eq!((&**name, boundary.len()), ("content-type", 37));
        let expected = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n\
            --B\r\nContent-Disposition: form-data; name=\"f\"; filename=\"f.txt\"\r\n\r\n\
            hello file\nline2\r\n--B--\r\n";
        assert_eq!(String::from_utf8(found.body).unwrap(), expected.replace("--B", &format!("--{boundary}")));
    }
}

#[test]
fn a_captured_direct_request_names_its_host_and_is_what_the_client_sends() {
    let bytes = wire("direct");
    let call = Call::to("http://localhost/some/uri").unwrap().header("X-Client", "1").param("a", "1");
    let mut sent = Vec::new();
    call.encode(&mut sent);
    assert_eq!(bytes, sent);
    let found = decode(Role::Direct, &bytes, 7);
    let head = ("GET".to_owned(), "/some/uri?a=1".to_owned(), String::new(), Peer::None);
    assert_eq!((found.head, found.events), (Some(Ok(head)), vec![Event::Request, Event::End]));
    let mut headers = found.headers;
    headers.sort();
    assert_eq!(headers, pairs(&[("host", "localhost"), ("x-client", "1")]));
}

#[test]
fn a_direct_client_can_name_neither_file_nor_address_nor_another_host() {
    let lies = [
        (Code::File, "/etc/passwd"),
        (Code::ClientIp, "10.0.0.1"),
        (Code::HostName, "other"),
        (Code::HeaderKey, "Host"),
        (Code::HeaderValue, "other"),
        (Code::Uri, "/x"),
        (Code::HttpMethod, "PUT"),
    ];
    let end = [(Code::HostResolve, "LOCALHOST"), (Code::Execute, "")];
    let found = decode(Role::Direct, &messages(&[&lies[..], &end].concat()), 99);
    let head = ("PUT".to_owned(), "/x".to_owned(), String::new(), Peer::None);
    assert_eq!((found.head, found.headers), (Some(Ok(head)), pairs(&[("host", "LOCALHOST")])));
    for end in [&[(Code::HostResolve, "other"), (Code::Execute, "")][..], &[(Code::Execute, "")]] {
        let found = decode(Role::Direct, &messages(&[&lies[..], end].concat()), 99);
        assert_eq!(found.head, Some(Err(Reject::Host)));
    }
    // The front server may: a host that it asks for counts before that of the client.
    let found = decode(Role::Front, &messages(&[&lies[..], &end].concat()), 99);
    let peer = Peer::Ip("10.0.0.1:0".parse().unwrap());
    assert_eq!(found.head.unwrap().unwrap().3, peer);
    assert_eq!(found.headers, pairs(&[("host", "LOCALHOST")]));
}

#[test]
fn requests_are_understood_in_any_order_and_without_much() {
    for (list, method, target) in [
        (&[][..], "GET", "/"),
        (&[(Code::PostData, "hello")], "POST", "/"),
        (&[(Code::HttpMethod, "PUT"), (Code::GetParams, "a=1;b"), (Code::Uri, "/u")], "PUT", "/u?a=1;b"),
        // Decoded by Apache; where the last of two counts.
        (&[(Code::Uri, "/y"), (Code::Uri, "/a b/é%")], "GET", "/a%20b/%C3%A9%25"),
        // Parameters are a query where there is no other.
        (
            &[
                (Code::ParamKey, "a b"),
                (Code::ParamValue, "1&"),
                (Code::ParamKey, "c"),
                (Code::ParamValue, ""),
            ],
            "GET",
            "/?a+b=1%26&c=",
        ),
        (&[(Code::ParamKey, "a"), (Code::ParamValue, "1"), (Code::GetParams, "b=2")], "GET", "/?b=2"),
        (&[(Code::ParamKey, "a"), (Code::ParamValue, "1"), (Code::PostData, "a=1")], "POST", "/"),
    ] {
        let bytes = messages(&[list, &[(Code::ClientIp, " ,127.0.0.1"), (Code::Execute, "")]].concat());
        for step in [1, bytes.len()] {
            let found = decode(Role::Front, &bytes, step);
            let head = (method.to_owned(), target.to_owned(), String::new(), local());
            assert_eq!((found.head, found.events.len()), (Some(Ok(head)), 2), "{list:?}");
        }
    }
}

#[test]
fn parameters_that_nobody_needs_take_no_memory() {
    let empty = [(Code::ParamKey, ""), (Code::ParamValue, "")];
    let long = "x".repeat(300);
    for params in [empty.repeat(1000), vec![(Code::ParamKey, &*long), (Code::ParamValue, &*long)]] {
        let with = |rest: &[(Code, &str)]| {
            let bytes = messages(&[&params[..], rest, &[(Code::Execute, "")]].concat());
            decode(Role::Front, &bytes, 1000).head.unwrap().map(|head| head.1)
        };
        assert_eq!(with(&[(Code::GetParams, "a=1")]), Ok("/?a=1".to_owned()));
        assert_eq!(with(&[]), Err(Reject::TargetTooLong));
        let limits = Limits { request_line: 256, ..Limits::default() };
        let mut decoder = Decoder::new(Role::Front, &limits);
        decoder.decode(&messages(&params)).unwrap();
        assert_eq!(decoder.request.params, None);
    }
}

#[test]
fn headers_that_could_be_others_are_left_out() {
    let list = [
        (Code::HeaderKey, "X_Forwarded_For"),
        (Code::HeaderValue, "1.2.3.4"),
        (Code::HeaderKey, "Proxy"),
        (Code::HeaderValue, "http://evil"),
        (Code::HeaderKey, "X-Dup"),
        (Code::HeaderAddValue, "one, two"),
        (Code::Execute, ""),
    ];
    assert_eq!(decode(Role::Front, &messages(&list), 50).headers, pairs(&[("x-dup", "one, two")]));
}

#[test]
fn what_is_no_request_is_refused() {
    let long = "x".repeat(5000);
    for (bytes, reject) in [
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), Reject::Message),
        (vec![0; 16], Reject::Message),
        (vec![28, 0, 0, 0], Reject::Message),
        (b"<policy-file-request>".to_vec(), Reject::Message),
        (vec![2, 0xff, 0xff, 0xff], Reject::VariablesTooLarge),
        (vec![5, 0xff, 0xff, 0xff], Reject::BodyTooLarge),
        (messages(&[(Code::Uri, &long)]), Reject::VariablesTooLarge),
        (messages(&[(Code::PostData, &long)]), Reject::BodyTooLarge),
        (messages(&[(Code::PostData, "a"), (Code::PostData, "b")]), Reject::Message),
        (messages(&[(Code::HeaderValue, "a")]), Reject::Message),
        (messages(&[(Code::ParamValue, "a")]), Reject::Message),
        (messages(&[(Code::HeaderKey, "a"), (Code::ParamValue, "a")]), Reject::Message),
        (messages(&[(Code::HeaderKey, "a"), (Code::HeaderKey, "a")]), Reject::Message),
        (messages(&[(Code::HeaderKey, "a"), (Code::Execute, "")]), Reject::Message),
        (messages(&[(Code::Execute, "x")]), Reject::Message),
        (messages(&[(Code::Print, "x")]), Reject::Message),
        (messages(&[(Code::PartKey, "x")]), Reject::Message),
        (messages(&[(Code::Listen, "")]), Reject::Message),
        (messages(&vec![(Code::HttpMethod, "GET"); 500]), Reject::VariablesTooLarge),
    ] {
        for step in [1, 3, bytes.len()] {
            let found = decode(Role::Front, &bytes, step);
            assert_eq!((found.fault, found.head), (Some(reject), None), "{:?}", &bytes[..4]);
        }
    }
    let part = |rest: &[(Code, &str)]| {
        let head = [
            (Code::HeaderKey, "Content-Type"),
            (Code::HeaderValue, "multipart/form-data"),
            (Code::Execute, ""),
        ];
        decode(Role::Front, &messages(&[&head[..], rest].concat()), 64).fault
    };
    for rest in [
        &[(Code::PartData, "x")][..],
        &[(Code::PartDone, "")],
        &[(Code::PartKey, "a"), (Code::PartKey, "b")],
        &[(Code::PartKey, "a"), (Code::Execute, "")],
        &[(Code::PartKey, "a"), (Code::PartDone, "x")],
        &[(Code::Error, "gone")],
        &[(Code::Uri, "/")],
    ] {
        assert_eq!(part(rest), Some(Reject::Message), "{rest:?}");
    }
}

#[test]
fn heads_are_refused_for_what_is_in_them() {
    for (list, reject) in [
        (
            &[(Code::HeaderKey, "Transfer-Encoding"), (Code::HeaderValue, "chunked")][..],
            Reject::LengthRequired,
        ),
        (&[(Code::HeaderKey, "a b"), (Code::HeaderValue, "x")], Reject::HeaderName),
        (&[(Code::HeaderKey, ""), (Code::HeaderValue, "x")], Reject::HeaderName),
        (&[(Code::HeaderKey, "a"), (Code::HeaderValue, "x\r\ny: z")], Reject::HeaderValue),
        (&[(Code::HeaderKey, "a"), (Code::HeaderValue, "x\0")], Reject::HeaderValue),
        (&[(Code::HttpMethod, "G T")], Reject::Method),
        (&[(Code::GetParams, "a b")], Reject::Target),
        (&[(Code::HeaderKey, "Host"), (Code::HeaderValue, "a/b")], Reject::Host),
    ] {
        let found = decode(Role::Front, &messages(&[list, &[(Code::Execute, "")]].concat()), 999);
        assert_eq!(found.head, Some(Err(reject)), "{list:?}");
    }
}

#[test]
fn a_test_of_the_connection_and_a_flash_player_end_it() {
    assert_eq!(decode(Role::Front, &[25, 0, 0, 0, 1, 2, 3], 2).events, [Event::Close]);
    assert_eq!(
        decode(Role::Front, &messages(&[(Code::Uri, "/"), (Code::Error, "no")]), 2).events,
        [Event::Close]
    );
    for step in 1..30 {
        assert_eq!(decode(Role::Direct, b"<policy-file-request/>\0", step).events, [Event::Policy]);
    }
}

proptest! {
    #[test]
    fn any_messages_are_a_request_or_none_however_they_are_cut(
        list in prop::collection::vec((1u8..28, ".{0,12}"), 0..12), step in 1usize..40, direct: bool,
    ) {
        let mut bytes = Vec::new();
        for (code, text) in &list {
            let text = if matches!(code, 13 | 24 | 25) { "" } else { text };
            crate::tora::wire::push(&mut bytes, Code::of(*code).unwrap(), text.as_bytes());
        }
        let role = if direct { Role::Direct } else { Role::Front };
        let (mut one, mut other) = (decode(role, &bytes, step), decode(role, &bytes, bytes.len()));
        // The boundary of a form is another one each time.
        for found in [&mut one, &mut other] {
            found.headers.retain(|(name, _)| name != "content-type");
            found.body.retain(|byte| !byte.is_ascii_hexdigit());
        }
        prop_assert_eq!(one, other);
    }

    #[test]
    fn any_bytes_are_a_request_or_none(bytes: Vec<u8>, step in 1usize..40) {
        prop_assert_eq!(decode(Role::Front, &bytes, step), decode(Role::Front, &bytes, bytes.len()));
    }
}
