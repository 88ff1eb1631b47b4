//! What leaves the server: exact bytes, and that a strict reader understands them as meant.

use std::sync::LazyLock;

use super::*;
use crate::http1::date::imf_fixdate;
use http::header::{CONTENT_TYPE, DATE, HeaderName, SET_COOKIE};
use proptest::prelude::*;

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    fields
        .iter()
        .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap()))
        .collect()
}

/// A 200 without body to change at will, encoded.
fn encode(change: impl FnOnce(&mut ResponseHead<'_>), headers: &HeaderMap) -> String {
    let stamp = Stamp::new(None, 784_111_777);
    let mut head = ResponseHead {
        version: Version::HTTP_11,
        status: StatusCode::OK,
        reason: None,
        headers: Some(headers),
        content_type: None,
        framing: Framing::Length(0),
        connection: ConnectionHeader::Implicit,
        stamp: &stamp,
    };
    change(&mut head);
    let mut out = b"before".to_vec();
    head.encode(&mut out);
    String::from_utf8(out).unwrap().strip_prefix("before").unwrap().to_owned()
}

const DATED: &str = "date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";

#[test]
fn the_servers_name_is_sent_unless_the_app_has_one() {
    static STAMP: LazyLock<Stamp> =
        LazyLock::new(|| Stamp::new(Some(&HeaderValue::from_static("cepa")), 784_111_777));
    let named = encode(|head| head.stamp = &STAMP, &HeaderMap::new());
    assert!(named.contains("\r\nserver: cepa\r\n"), "{named}");
    let own = HeaderMap::from_iter([(http::header::SERVER, HeaderValue::from_static("own"))]);
    let named = encode(|head| head.stamp = &STAMP, &own);
    assert!(named.contains("\r\nserver: own\r\n") && !named.contains("cepa"), "{named}");
}

#[test]
fn framings_and_connections() {
    use ConnectionHeader as C;
    use Framing as F;
    for (framing, connection, expected) in [
        (F::Length(u64::MAX), C::Implicit, "content-length: 18446744073709551615\r\n"),
        (F::Length(0), C::Close, "content-length: 0\r\nconnection: close\r\n"),
        (F::Length(7), C::KeepAlive, "content-length: 7\r\nconnection: keep-alive\r\n"),
        (F::Chunked, C::Implicit, "transfer-encoding: chunked\r\n"),
        (F::Chunked, C::Close, "transfer-encoding: chunked\r\nconnection: close\r\n"),
        (F::UntilClose, C::Implicit, "connection: close\r\n"),
        (F::UntilClose, C::KeepAlive, "connection: close\r\n"),
        (F::UntilClose, C::Close, "connection: close\r\n"),
        (F::None, C::Implicit, ""),
        (F::None, C::Upgrade, "connection: upgrade\r\n"),
    ] {
        let text = encode(|head| (head.framing, head.connection) = (framing, connection), &HeaderMap::new());
        assert_eq!(text, format!("HTTP/1.1 200 OK\r\n{expected}{DATED}"));
    }
}

#[test]
fn status_lines() {
    let line = |status: u16, version, reason| {
        let text = encode(
            |head| {
                (head.status, head.version, head.reason) =
                    (StatusCode::from_u16(status).unwrap(), version, reason);
            },
            &HeaderMap::new(),
        );
        text.split_once("\r\n").unwrap().0.to_owned()
    };
    for code in 100..600 {
        let usual = StatusCode::from_u16(code).unwrap().canonical_reason().unwrap_or_default();
        assert_eq!(line(code, Version::HTTP_11, None), format!("HTTP/1.1 {code} {usual}"));
        assert_eq!(line(code, Version::HTTP_10, None), format!("HTTP/1.0 {code} {usual}"));
    }
    assert_eq!(line(999, Version::HTTP_11, None), "HTTP/1.1 999 ");
    assert_eq!(line(200, Version::HTTP_11, Some("F\u{ee}ne")), "HTTP/1.1 200 F\u{ee}ne");
    assert_eq!(line(200, Version::HTTP_10, Some("")), "HTTP/1.0 200 ");
    for forged in ["a\r\nx: y", "a\nb", "a\0", "\x7f"] {
        assert_eq!(line(200, Version::HTTP_11, Some(forged)), "HTTP/1.1 200 OK");
    }
}

#[test]
fn the_server_alone_writes_the_framing() {
    let headers = map(&[
        ("connection", "keep-alive"),
        ("keep-alive", "timeout=5"),
        ("proxy-connection", "close"),
        ("transfer-encoding", "gzip"),
        ("content-length", "99"),
        ("content-type", "text/plain"),
        ("upgrade", "websocket"),
    ]);
    let rest = format!("content-type: text/plain\r\nupgrade: websocket\r\n{DATED}");
    assert_eq!(encode(|_| {}, &headers), format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{rest}"));
    for (status, line) in [
        (StatusCode::NO_CONTENT, "204 No Content"),
        (StatusCode::SWITCHING_PROTOCOLS, "101 Switching Protocols"),
    ] {
        for framing in [Framing::Length(5), Framing::Chunked, Framing::None] {
            let text = encode(|head| (head.status, head.framing) = (status, framing), &headers);
            assert_eq!(text, format!("HTTP/1.1 {line}\r\n{rest}"));
        }
    }
    let not_modified =
        encode(|head| (head.status, head.framing) = (StatusCode::NOT_MODIFIED, Framing::None), &headers);
    assert_eq!(not_modified, format!("HTTP/1.1 304 Not Modified\r\n{rest}"));
}

#[test]
fn a_type_goes_out_without_a_map() {
    static KIND: HeaderValue = HeaderValue::from_static("text/plain");
    let text = encode(|head| (head.headers, head.content_type) = (None, Some(&KIND)), &HeaderMap::new());
    assert_eq!(text, format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-type: text/plain\r\n{DATED}"));
}

#[test]
fn a_date_of_the_app_is_kept() {
    let mut headers = HeaderMap::new();
    headers.insert(DATE, HeaderValue::from_static("Thu, 01 Jan 1970 00:00:00 GMT"));
    let text = encode(|_| {}, &headers);
    assert_eq!(text.matches("date: ").count(), 1);
    assert!(text.ends_with("date: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n"));
}

#[test]
fn repeated_fields_stay_apart() {
    let mut headers = HeaderMap::new();
    headers.append(SET_COOKIE, HeaderValue::from_static("a=1"));
    headers.append(CONTENT_TYPE, HeaderValue::from_static("text/html"));
    headers.append(SET_COOKIE, HeaderValue::from_static("b=2"));
    let text = encode(|_| {}, &headers);
    assert!(text.contains("\r\nset-cookie: a=1\r\nset-cookie: b=2\r\ncontent-type: text/html\r\n"));
}

#[test]
fn informational_responses() {
    let mut out = Vec::new();
    encode_informational(&mut out, StatusCode::CONTINUE, &HeaderMap::new());
    let hints = map(&[("link", "</a.css>; rel=preload"), ("content-length", "5")]);
    encode_informational(&mut out, StatusCode::EARLY_HINTS, &hints);
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a.css>; rel=preload\r\n\r\n"
    );
}

#[test]
fn chunks() {
    let mut out = Vec::new();
    chunk(&mut out, b"");
    chunk(&mut out, b"onion");
    chunk(&mut out, &[b'x'; 16]);
    for length in [0x9, 0xa, 0xff, 0x100, 0xdead_beef, usize::MAX] {
        chunk_head(&mut out, NonZeroUsize::new(length).unwrap());
        chunk_end(&mut out);
    }
    last_chunk(&mut out, None);
    last_chunk(&mut out, Some(&map(&[("x-sum", "1"), ("content-length", "5"), ("host", "a")])));
    assert_eq!(
        String::from_utf8(out).unwrap(),
        "5\r\nonion\r\n10\r\nxxxxxxxxxxxxxxxx\r\n9\r\n\r\na\r\n\r\nff\r\n\r\n100\r\n\r\ndeadbeef\r\n\r\n\
         ffffffffffffffff\r\n\r\n0\r\n\r\n0\r\nx-sum: 1\r\n\r\n"
    );
}

fn fields() -> impl Strategy<Value = Vec<(HeaderName, HeaderValue)>> {
    let name = "[a-zA-Z!#$%&'*+.^_`|~0-9-]{1,40}".prop_map(|name| name.parse().unwrap());
    let value = prop::collection::vec(prop_oneof![Just(b'\t'), 0x20u8..0x7f, 0x80u8..], 0..60)
        .prop_map(|value| HeaderValue::from_bytes(value.trim_ascii()).unwrap());
    prop::collection::vec((name, value), 0..20)
}

proptest! {
    #[test]
    fn a_reader_reads_what_was_written(
        fields in fields(), status in 100u16..1000, length: u64, reason in any::<Option<String>>(),
    ) {
        let headers: HeaderMap = fields.into_iter().collect();
        let status = StatusCode::from_u16(status).unwrap();
        let stamp = Stamp::new(None, length);
        let mut out = Vec::new();
        ResponseHead {
            version: Version::HTTP_11,
            status,
            reason: reason.as_deref(),
            headers: Some(&headers),
            content_type: None,
            framing: Framing::Length(length),
            connection: ConnectionHeader::Implicit,
            stamp: &stamp,
        }
        .encode(&mut out);
        let mut lines = [httparse::EMPTY_HEADER; 32];
        let mut response = httparse::Response::new(&mut lines);
        prop_assert_eq!(response.parse(&out), Ok(httparse::Status::Complete(out.len())));
        prop_assert_eq!(response.code, Some(status.as_u16()));
        let read: HeaderMap = response
            .headers
            .iter()
            .map(|line| (line.name.parse::<HeaderName>().unwrap(), HeaderValue::from_bytes(line.value).unwrap()))
            .collect();
        let mut expected: HeaderMap = headers
            .iter()
            .filter(|(name, _)| !is_framing(name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        if !(status.is_informational() || status == StatusCode::NO_CONTENT) {
            expected.insert("content-length", HeaderValue::from(length));
        }
        expected.entry(DATE).or_insert(HeaderValue::from_bytes(&imf_fixdate(length)).unwrap());
        prop_assert_eq!(read, expected);
    }
}
