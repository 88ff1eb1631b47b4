use super::*;
use proptest::prelude::*;

type Pair = (&'static str, &'static str);

fn read(variables: &[(&str, &str)], limits: &Limits) -> Result<(Head, Headers), Reject> {
    let mut headers = Headers::new();
    let pairs = variables.iter().map(|(name, value)| Ok((name.as_bytes(), value.as_bytes())));
    let head = Rules { limits, script_is_mount: false }.read(pairs, &mut headers)?;
    Ok((head, headers))
}

fn with(more: &[Pair]) -> Result<(Head, Headers), Reject> {
    let base: [Pair; 2] = [("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/")];
    read(&[&base, more].concat(), &Limits::default())
}

#[test]
fn a_request_as_nginx_sends_it() {
    let variables = [
        ("QUERY_STRING", "x=1"),
        ("REQUEST_METHOD", "POST"),
        ("CONTENT_TYPE", "text/plain"),
        ("CONTENT_LENGTH", "5"),
        ("SCRIPT_NAME", "/app"),
        ("REQUEST_URI", "/app?x=1"),
        ("DOCUMENT_URI", "/app"),
        ("DOCUMENT_ROOT", "/srv"),
        ("SERVER_PROTOCOL", "HTTP/2.0"),
        ("REQUEST_SCHEME", "https"),
        ("HTTPS", "on"),
        ("GATEWAY_INTERFACE", "CGI/1.1"),
        ("SERVER_SOFTWARE", "nginx/1.22.1"),
        ("REMOTE_ADDR", "203.0.113.7"),
        ("REMOTE_PORT", "4711"),
        ("SERVER_ADDR", "::1"),
        ("SERVER_PORT", "443"),
        ("SERVER_NAME", "a.test"),
        ("SSL_PROTOCOL", "TLSv1.3"),
        ("HTTP_HOST", "a.test"),
        ("HTTP_X_ONE", " two "),
        ("HTTP_CONTENT_TYPE", "text/html"),
        ("HTTP_CONTENT_LENGTH", "7"),
        ("HTTP_PROXY", "http://evil.test"),
        ("HTTP_PRoXY", "http://evil.test"),
        ("HTTP_TRANSFER-ENCODING", "chunked"),
        ("HTTP_CONTENT-LENGTH", "7"),
        ("HTTP_CONNECTION", "x-one"),
    ];
    let (head, headers) = read(&variables, &Limits::default()).unwrap();
    assert_eq!((head.method, head.target.as_str(), &*head.mount), (Method::POST, "/app?x=1", ""));
    assert_eq!((head.version, head.length, head.streamed), (Version::HTTP_2, Some(5), false));
    assert_eq!(head.client.peer, Peer::Ip("203.0.113.7:4711".parse().unwrap()));
    assert_eq!(head.client.local, Some("[::1]:443".parse().unwrap()));
    assert_eq!(head.client.tls.unwrap().version, Some("TLSv1.3"));
    let fields: Vec<_> =
        headers.map().iter().map(|(name, value)| (name.as_str(), value.as_bytes())).collect();
    let expected: [(&str, &[u8]); 4] =
        [("x-one", b"two"), ("host", b"a.test"), ("content-type", b"text/plain"), ("content-length", b"5")];
    assert_eq!(fields, expected);
}

#[test]
fn what_is_malformed_is_refused() {
    for (variables, reject) in [
        (&[("REQUEST_METHOD", "")][..], Reject::Method),
        (&[("REQUEST_METHOD", "G ET")], Reject::Method),
        (&[("REQUEST_METHOD", "A123456789B123456789C123456789D123456789")], Reject::Method),
        (&[("REQUEST_URI", "/a b")], Reject::Target),
        (&[("REQUEST_URI", "/a%00b")], Reject::Target),
        (&[("REQUEST_URI", "a")], Reject::Target),
        (&[("REQUEST_URI", ""), ("QUERY_STRING", "a b")], Reject::Target),
        (&[("CONTENT_LENGTH", "+5")], Reject::ContentLength),
        (&[("CONTENT_LENGTH", "05")], Reject::ContentLength),
        (&[("CONTENT_LENGTH", "18446744073709551616")], Reject::ContentLength),
        (&[("CONTENT_LENGTH", "5"), ("CONTENT_LENGTH", "6")], Reject::ContentLength),
        (&[("HTTP_HOST", "a/b")], Reject::Host),
        (&[("HTTP_X", "a\r\nb: c")], Reject::HeaderValue),
        (&[("HTTP_X", "a\0")], Reject::HeaderValue),
        (&[("CONTENT_TYPE", "a\n")], Reject::HeaderValue),
        (&[("HTTP_", "a")], Reject::HeaderName),
        (&[("HTTP_A:B", "a")], Reject::HeaderName),
        (&[("HTTP_A\n", "a")], Reject::HeaderName),
    ] {
        assert_eq!(with(variables).map(|(head, _)| head), Err(reject), "{variables:?}");
    }
    assert_eq!(Reject::Method.status(), 400);
}

#[test]
fn limits_hold() {
    let limits = Limits { request_line: 64, headers: 3, header_bytes: 256, ..Limits::default() };
    let long = "x".repeat(256);
    let path = format!("/{long}");
    let base = [("REQUEST_METHOD", "GET"), ("REQUEST_URI", "/"), ("HTTP_HOST", "a")];
    for (more, status) in [
        (vec![("REQUEST_URI", &*path)], 414),
        (vec![("HTTP_A", "1"), ("HTTP_B", "1"), ("HTTP_C", "1")], 431),
        (vec![("HTTP_A", &*long)], 431),
    ] {
        let refused = read(&[&base[..], &more].concat(), &limits).map(|(head, _)| head).unwrap_err();
        assert_eq!(refused.status(), status, "{refused}");
    }
    assert!(read(&[&base[..], &[("HTTP_A", "1"), ("HTTP_B", "1")]].concat(), &limits).is_ok());
}

#[test]
fn a_host_is_always_found_if_there_is_one() {
    for (variables, host) in [
        (&[("SERVER_NAME", "a.test"), ("SERVER_PORT", "80")][..], Some("a.test")),
        (&[("SERVER_NAME", "a.test"), ("SERVER_PORT", "8080")], Some("a.test:8080")),
        (&[("SERVER_NAME", "a.test"), ("SERVER_PORT", "443"), ("HTTPS", "on")], Some("a.test")),
        (&[("SERVER_NAME", "_")], Some("_")),
        (&[("SERVER_NAME", "")], None),
        (&[("SERVER_NAME", "a.test"), ("HTTP_HOST", "b.test")], Some("b.test")),
        (&[("HTTP_HOST", "a.test"), ("HTTP_HOST", "b.test:8080")], Some("b.test:8080")),
        (&[("SERVER_NAME", "a.test"), ("HTTP_HOST", "")], Some("a.test")),
        (&[("REQUEST_URI", "http://c.test/x"), ("HTTP_HOST", "b.test")], Some("c.test")),
    ] {
        let (_, headers) = with(variables).unwrap();
        assert_eq!(headers.get("host").map(|host| std::str::from_utf8(host).unwrap()), host, "{variables:?}");
    }
}

#[test]
fn who_the_client_is() {
    for (address, port, peer) in [
        ("10.0.0.1", "80", Peer::Ip("10.0.0.1:80".parse().unwrap())),
        ("::ffff:10.0.0.1", "", Peer::Ip("10.0.0.1:0".parse().unwrap())),
        ("[::1]", "99999", Peer::Ip("[::1]:0".parse().unwrap())),
        ("unix:", "", Peer::Unix(None)),
        ("a.test", "80", Peer::None),
    ] {
        let pairs = [
            ("REQUEST_METHOD", "GET"),
            ("REQUEST_URI", "/"),
            ("REMOTE_ADDR", address),
            ("REMOTE_PORT", port),
        ];
        assert_eq!(read(&pairs, &Limits::default()).unwrap().0.client.peer, peer, "{address}");
    }
    for (variable, tls) in [
        (("HTTPS", "on"), true),
        (("HTTPS", "1"), true),
        (("HTTPS", ""), false),
        (("HTTPS", "off"), false),
        (("REQUEST_SCHEME", "HTTPS"), true),
        (("REQUEST_SCHEME", "http"), false),
    ] {
        assert_eq!(with(&[variable]).unwrap().0.client.tls.is_some(), tls, "{variable:?}");
    }
}

#[test]
fn a_program_is_mounted_where_it_is() {
    for (script, script_is_mount, mount) in [("/app", true, "/app"), ("/app", false, ""), ("", true, "")] {
        let pairs = [("REQUEST_METHOD", "GET"), ("SCRIPT_NAME", script), ("REQUEST_URI", "/app")];
        let pairs = pairs.iter().map(|(name, value)| Ok((name.as_bytes(), value.as_bytes())));
        let head = Rules { limits: &Limits::default(), script_is_mount }.read(pairs, &mut Headers::new());
        let head = head.unwrap();
        assert_eq!((&*head.mount, head.target.as_str()), (mount, "/app"));
    }
}

proptest! {
    #[test]
    fn any_variables_are_read_or_refused(
        variables in prop::collection::vec(
            (
                prop::sample::select(vec![
                    "REQUEST_METHOD", "REQUEST_URI", "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "CONTENT_LENGTH",
                    "CONTENT_TYPE", "SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR", "REMOTE_PORT", "HTTPS", "HTTP_HOST",
                    "HTTP_COOKIE", "HTTP_X_A", "HTTP_PROXY", "OTHER",
                ]),
                prop_oneof![any::<Vec<u8>>(), "[A-Z]{1,4}|/[a-z%0-9/]{0,9}|[0-9.:]{1,9}".prop_map(String::into_bytes)],
            ),
            0..20,
        ),
    ) {
        let mut headers = Headers::new();
        let pairs = variables.iter().map(|(name, value)| Ok((name.as_bytes(), &**value)));
        let head = Rules { limits: &Limits::default(), script_is_mount: true }.read(pairs, &mut headers);
        if let Ok(head) = head {
            prop_assert!(head.target.as_str().bytes().all(|byte| byte.is_ascii_graphic()));
            prop_assert!(head.target.path().starts_with(&head.mount) || head.mount.is_empty());
            prop_assert!(headers.get("proxy").is_none());
            prop_assert_eq!(headers.map().get_all("host").iter().count() <= 1, true);
        }
    }
}
