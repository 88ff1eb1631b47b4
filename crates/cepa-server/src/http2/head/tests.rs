use http::Request;

use super::*;

fn checked(method: &str, uri: &str, fields: &[(&'static str, &str)]) -> Result<Head, Refusal> {
    let mut request = Request::builder().method(method).uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    check(request.body(()).unwrap().into_parts().0, &Limits::default(), None)
}

fn refused(method: &str, uri: &str, fields: &[(&'static str, &str)]) -> Refusal {
    checked(method, uri, fields).map(|_| ()).unwrap_err()
}

#[test]
fn the_authority_is_the_host() {
    for (uri, fields, host, target) in [
        ("http://a.test/x?y", &[][..], "a.test", "/x?y"),
        ("http://a.test:8080/", &[], "a.test:8080", "/"),
        ("https://[::1]/", &[], "[::1]", "/"),
        ("http://a.test/", &[("host", "A.test")], "a.test", "/"),
        ("/p", &[("host", "b.test")], "b.test", "/p"),
        ("//evil/p", &[("host", "b.test")], "b.test", "//evil/p"),
    ] {
        let head = checked("GET", uri, fields).unwrap();
        assert_eq!(head.headers.get_all(HOST).iter().collect::<Vec<_>>(), [host], "{uri}");
        assert_eq!(head.target.as_str(), target);
    }
    assert_eq!(checked("OPTIONS", "*", &[("host", "a")]).unwrap().target.as_str(), "*");
}

#[test]
fn an_extended_connect_asks_as_http1_does() {
    let check = |protocol: &'static str, fields: &[(&str, &str)]| {
        let mut request = Request::builder().method("CONNECT").uri("https://a.test/chat?x");
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        let mut parts = request.body(()).unwrap().into_parts().0;
        parts.extensions.insert(Protocol::from_static(protocol));
        super::check(parts, &Limits::default(), None)
    };
    let keys = [0, 1].map(|_| {
        // What the client says of a handshake of HTTP/1.1 means nothing.
        let head = check("websocket", &[("sec-websocket-key", "x"), ("origin", "https://a.test")]).unwrap();
        assert!(head.connects && head.method == Method::GET && head.target.as_str() == "/chat?x");
        for (name, value) in [("host", "a.test"), ("connection", "upgrade"), ("upgrade", "websocket")] {
            assert_eq!(head.headers.get_all(name).iter().collect::<Vec<_>>(), [value]);
        }
        let keys: Vec<_> = head.headers.get_all(SEC_WEBSOCKET_KEY).iter().cloned().collect();
        assert!(keys.len() == 1 && STANDARD.decode(&keys[0]).unwrap().len() == 16);
        keys
    });
    assert_ne!(keys[0], keys[1]);
    for (protocol, fields, status) in [
        ("WebSocket", &[][..], 501),
        ("", &[], 501),
        ("connect-ip", &[], 501),
        ("websocket", &[("content-length", "0")], 400),
        ("websocket", &[("host", "b.test")], 400),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(check(protocol, fields).unwrap_err(), Refusal::Answer(status), "{protocol}");
    }
}

#[test]
fn what_could_be_read_two_ways_is_refused() {
    let long = "M".repeat(33);
    for (method, uri, fields, status) in [
        ("GET", "/", &[][..], 400),
        ("GET", "/", &[("host", "")], 400),
        ("GET", "/", &[("host", "a"), ("host", "a")], 400),
        ("GET", "/", &[("host", "a/b")], 400),
        ("GET", "/", &[("host", "u@a")], 400),
        ("GET", "http://a/", &[("host", "b")], 400),
        ("GET", "http://a/", &[("host", "a:80")], 400),
        ("GET", "http://u@a/", &[], 400),
        ("GET", "http://a:99999/", &[], 400),
        ("GET", "ftp://a/", &[], 400),
        ("GET", "*", &[("host", "a")], 400),
        ("GET", "http://a/\u{e9}", &[], 400),
        (&long, "http://a/", &[], 400),
        ("CONNECT", "a:443", &[], 501),
        ("POST", "http://a/", &[("content-length", "")], 400),
        ("POST", "http://a/", &[("content-length", "007")], 400),
        ("POST", "http://a/", &[("content-length", "+7")], 400),
        ("POST", "http://a/", &[("content-length", "7"), ("content-length", "7")], 400),
        ("POST", "http://a/", &[("content-length", "99999999999999999999")], 400),
        ("POST", "http://a/", &[("expect", "magic")], 417),
        ("POST", "http://a/", &[("expect", "100-continue"), ("expect", "100-continue")], 417),
    ] {
        let status = StatusCode::from_u16(status).unwrap();
        assert_eq!(refused(method, uri, fields), Refusal::Answer(status), "{method} {uri} {fields:?}");
    }
}

#[test]
fn white_space_around_a_value_is_malformed() {
    for value in [" a", "a ", "\ta", "a\t", " "] {
        assert_eq!(refused("GET", "http://a/", &[("x", value)]), Refusal::Malformed, "{value:?}");
    }
    assert!(checked("GET", "http://a/", &[("x", ""), ("y", "a b")]).is_ok());
}

#[test]
fn crumbs_make_one_cookie_and_count_as_one_field() {
    let crumbs: Vec<_> = (0..500).map(|n| ("cookie", format!("c{n}={n}"))).collect();
    let fields: Vec<_> = crumbs.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let head = checked("GET", "http://a/", &fields).unwrap();
    let cookie = head.headers.get_all(COOKIE).iter().map(|value| value.to_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(cookie, [fields.iter().map(|(_, value)| *value).collect::<Vec<_>>().join("; ")]);

    let many: Vec<_> = (0..101).map(|_| ("x-many", "1")).collect();
    let too_large = StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE;
    assert_eq!(refused("GET", "http://a/", &many), Refusal::Answer(too_large));
}

#[test]
fn a_host_of_another_certificate_is_misdirected() {
    for (name, expected) in [(Some("a.test"), true), (Some("b.test"), false), (None, true)] {
        let parts = Request::get("https://a.test/").body(()).unwrap().into_parts().0;
        let result = check(parts, &Limits::default(), name).map(|_| ());
        let refusal = Err(Refusal::Answer(StatusCode::MISDIRECTED_REQUEST));
        assert_eq!(result, if expected { Ok(()) } else { refusal });
    }
}

#[test]
fn length_and_expectation_are_noted() {
    let fields = [("content-length", "12"), ("expect", "100-Continue")];
    let head = checked("POST", "http://a/", &fields).unwrap();
    assert_eq!((head.length, head.continues), (Some(12), true));
    let head = checked("POST", "http://a/", &[]).unwrap();
    assert_eq!((head.length, head.continues), (None, false));
}
