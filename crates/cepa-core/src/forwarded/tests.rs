use super::*;
use proptest::prelude::*;

fn ip(text: &str) -> Option<IpAddr> {
    Some(text.parse().unwrap())
}

fn trust() -> Trust {
    "loopback, 10.0.0.0/8, 2001:db8:1::/48".parse().unwrap()
}

fn by_x<'h>(peer: &str, chain: &[&'h str], proto: &[&'h str], host: &[&'h str]) -> Hops<'h> {
    resolve(ip(peer), Headers::XForwarded(XForwarded { chain, proto, host }), &trust())
}

#[test]
fn the_client_is_the_right_most_hop_that_is_not_trusted() {
    let table: [(&str, &[&str], &str); 16] = [
        ("203.0.113.7", &["1.1.1.1"], "203.0.113.7"),
        ("127.0.0.1", &[], "127.0.0.1"),
        ("127.0.0.1", &[""], "127.0.0.1"),
        ("127.0.0.1", &["1.1.1.1"], "1.1.1.1"),
        ("127.0.0.1", &["6.6.6.6, 1.1.1.1"], "1.1.1.1"),
        ("127.0.0.1", &["6.6.6.6,1.1.1.1 ,10.0.0.1,\t10.0.0.2"], "1.1.1.1"),
        ("127.0.0.1", &["6.6.6.6", "1.1.1.1", "10.0.0.1"], "1.1.1.1"),
        ("127.0.0.1", &["10.0.0.2, 10.0.0.1"], "10.0.0.2"),
        ("::ffff:127.0.0.1", &["1.1.1.1:4711"], "1.1.1.1"),
        ("127.0.0.1", &["::ffff:10.0.0.1, 2001:db8::1, [2001:db8:1::1]:80"], "2001:db8::1"),
        ("127.0.0.1", &["1.1.1.1, garbage"], "unknown"),
        ("127.0.0.1", &["1.1.1.1, unknown, 10.0.0.1"], "unknown"),
        ("127.0.0.1", &["1.1.1.1, 10.0.0.1.evil.test"], "unknown"),
        ("127.0.0.1", &["1.1.1.1, _hidden"], "_hidden"),
        ("127.0.0.1", &["\"evil, 1.1.1.1, 10.0.0.1"], "1.1.1.1"),
        ("127.0.0.1", &["1.1.1.1,,, ,"], "1.1.1.1"),
    ];
    for (peer, chain, client) in table {
        assert_eq!(by_x(peer, chain, &[], &[]).client.to_string(), client, "{peer} {chain:?}");
    }
}

#[test]
fn nothing_is_believed_of_a_stranger() {
    let hops = by_x("203.0.113.7", &["1.1.1.1"], &["https"], &["evil.test"]);
    assert_eq!(hops, Hops::direct(ip("203.0.113.7")));
    let forwarded = Headers::Forwarded(&["for=1.1.1.1;proto=https"]);
    assert_eq!(resolve(None, forwarded, &trust()).client, Node::Unknown);
    assert_eq!(resolve(None, forwarded, &"unix".parse().unwrap()).client.ip(), ip("1.1.1.1"));
    assert_eq!(resolve(ip("127.0.0.1"), forwarded, &Trust::NONE).client.ip(), ip("127.0.0.1"));
}

#[test]
fn scheme_and_host_come_from_the_same_hop() {
    let one: &[&str] = &["6.6.6.6, 1.1.1.1"];
    let two: &[&str] = &["6.6.6.6, 1.1.1.1, 10.0.0.1"];
    let table: [(&[&str], &[&str], Option<&str>); 8] = [
        (one, &["https"], Some("https")),
        (one, &["https, http"], Some("http")),
        (one, &["https", "HTTP"], Some("http")),
        (two, &["http, https, http"], Some("https")),
        (two, &["wss"], Some("https")),
        (two, &["javascript"], None),
        (one, &[], None),
        (&[], &["https"], Some("https")),
    ];
    for (chain, proto, expected) in table {
        assert_eq!(by_x("127.0.0.1", chain, proto, &[]).proto, expected, "{chain:?} {proto:?}");
    }
    for (host, expected) in [("a.test, b.test:80", Some("b.test:80")), ("a@b", None), ("a\"b", None)] {
        assert_eq!(by_x("127.0.0.1", one, &[], &[host]).host, expected, "{host}");
    }
}

#[test]
fn reads_forwarded() {
    type Row<'t> = (&'t [&'t str], &'t str, Option<&'t str>, Option<&'t str>);
    let table: [Row<'_>; 14] = [
        (&["for=192.0.2.60;proto=http;by=203.0.113.43"], "192.0.2.60", Some("http"), None),
        (&["For=\"[2001:db8:cafe::17]:4711\""], "2001:db8:cafe::17", None, None),
        (
            &["for=6.6.6.6;host=evil.test, for=1.1.1.1;Proto=HTTPS;host=\"a.test:8080\""],
            "1.1.1.1",
            Some("https"),
            Some("a.test:8080"),
        ),
        (
            &["for=1.1.1.1;proto=https;host=a.test, for=10.0.0.1;proto=http;host=b.test"],
            "1.1.1.1",
            Some("https"),
            Some("a.test"),
        ),
        (&["for=6.6.6.6", "for=1.1.1.1", "for=10.0.0.1"], "1.1.1.1", None, None),
        (&["for=unknown"], "unknown", None, None),
        (&["for=\"_mDe.x-1:_p\""], "_mDe.x-1", None, None),
        (&["proto=https"], "unknown", Some("https"), None),
        (&["for=1.1.1.1;for=2.2.2.2;proto=https"], "unknown", None, None),
        (&["for=\"evil, for=1.1.1.1, for=10.0.0.1"], "1.1.1.1", None, None),
        (&["for=\"a\\\", for=6.6.6.6, for=\\\"10.0.0.1\""], "unknown", None, None),
        (&["for=2001:db8::1"], "unknown", None, None),
        (&["for = 1.1.1.1"], "unknown", None, None),
        (&["for=\"1.1.1.1:999999\""], "unknown", None, None),
    ];
    for (lines, client, proto, host) in table {
        let hops = resolve(ip("127.0.0.1"), Headers::Forwarded(lines), &trust());
        assert_eq!(hops.client.to_string(), client, "{lines:?}");
        assert_eq!((hops.proto, hops.host), (proto, host), "{lines:?}");
    }
}

#[test]
fn the_chain_runs_from_the_client_to_the_nearest_proxy() {
    let hops = by_x("127.0.0.1", &["6.6.6.6, 1.1.1.1", "10.0.0.2,10.0.0.1"], &[], &[]);
    let chain: Vec<_> = hops.chain.iter().map(Node::to_string).collect();
    assert_eq!(chain, ["1.1.1.1", "10.0.0.2", "10.0.0.1"]);
}

#[test]
fn only_so_many_hops_are_read() {
    let long = "10.0.0.1,".repeat(10_000);
    assert_eq!(by_x("127.0.0.1", &[&long], &[], &[]).chain.len(), MAX_HOPS);
    assert_eq!(
        resolve_trusting_all(None, XForwarded { chain: &[&long], ..Default::default() }, 0).chain.len(),
        MAX_HOPS
    );
}

#[test]
fn believes_everything_as_recorded() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/data/koa/cases.json");
    let file: serde_json::Value = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
    let mut seen = 0;
    for case in file["cases"].as_array().unwrap().iter().filter(|case| case["group"] == "proxy") {
        let step = &case["steps"][0];
        let Some(body) = step["expect"]["body"].as_str().and_then(|body| serde_json::from_str(body).ok())
        else {
            continue;
        };
        let expected: serde_json::Value = body;
        let lines = |name: &str| -> Vec<&str> {
            let headers = step["request"]["headers"].as_array().unwrap().iter();
            headers.filter(|header| header[0] == name).filter_map(|header| header[1].as_str()).collect()
        };
        let limited = step["request"]["target"].as_str().unwrap().starts_with("/pq");
        let chain = lines(if limited { "X-Real-Chain" } else { "X-Forwarded-For" });
        let (proto, host) = (lines("X-Forwarded-Proto"), lines("X-Forwarded-Host"));
        let headers = XForwarded { chain: &chain, proto: &proto, host: &host };
        let hops = resolve_trusting_all(ip("127.0.0.1"), headers, if limited { 2 } else { 0 });
        let ips: Vec<_> = hops.chain.iter().map(Node::to_string).collect();
        assert_eq!(serde_json::json!(ips), expected["ips"]);
        assert_eq!(hops.client.to_string(), expected["ip"]);
        assert_eq!(hops.proto.unwrap_or("http"), expected["protocol"]);
        seen += 1;
    }
    assert!(seen > 2);
}

#[test]
fn believes_the_left_most_entry() {
    let chain: &[&str] = &["not an ip , 1.1.1.1:80", "::FFFF:2.2.2.2"];
    let hops =
        resolve_trusting_all(None, XForwarded { chain, proto: &["HTTPS, http"], host: &[" a.test , b"] }, 0);
    assert_eq!(hops.client, Node::Named("not an ip"));
    assert_eq!(hops.chain.len(), 3);
    assert_eq!((hops.proto, hops.host), (Some("https"), Some("a.test")));
}

proptest! {
    #[test]
    fn never_panics(a in r#"(for=|[0-9a-f.:,;="\\\[\]_é ]){0,40}"#, b in any::<String>()) {
        let lines: &[&str] = &[&a, &b];
        let x = XForwarded { chain: lines, proto: lines, host: lines };
        for headers in [Headers::Forwarded(lines), Headers::XForwarded(x)] {
            let hops = resolve(ip("127.0.0.1"), headers, &trust());
            prop_assert!(hops.host.is_none_or(|host| host::validate(host.as_bytes()).is_ok()));
        }
        let _ = resolve_trusting_all(None, x, 0);
    }

    /// Whatever a client sends, what the proxies append after it decides.
    #[test]
    fn a_client_cannot_choose_its_address(sent in r#"(for=|[0-9.:,;="\\\[\]_ ]){0,40}"#) {
        let trust = trust();
        let appended = format!("{sent}, for=1.1.1.1, for=10.0.0.1");
        let hops = resolve(ip("127.0.0.1"), Headers::Forwarded(&[&appended]), &trust);
        prop_assert_eq!(hops.client.ip(), ip("1.1.1.1"));
        let appended = format!("{sent}, 1.1.1.1, 10.0.0.1");
        let hops = by_x("127.0.0.1", &[&appended], &[], &[]);
        prop_assert_eq!(hops.client.ip(), ip("1.1.1.1"));
    }
}
