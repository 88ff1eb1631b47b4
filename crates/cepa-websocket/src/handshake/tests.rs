//! Who gets a WebSocket, and what the others are told.

use cepa_core::{
    App,
    test::{Client, block_on},
};

use super::*;

const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ASKED: [(&str, &str); 5] = [
    ("host", "example.com"),
    ("connection", "keep-alive, Upgrade"),
    ("upgrade", "WebSocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", KEY),
];

fn app(options: Options) -> Client {
    App::new()
        .all("/", async move |ctx: &mut Ctx| ctx.websocket(&options, async |_: &mut Socket| Ok(())))
        .test()
}

/// The status, and a header of the answer, to what was asked with these headers replaced; empty ones are left out.
fn ask(client: &Client, method: Method, changes: &[(&str, &str)], header: &str) -> (u16, String) {
    block_on(async {
        let mut request = client.request(method, "/");
        let kept = ASKED.iter().filter(|(name, _)| changes.iter().all(|(changed, _)| changed != name));
        for (name, value) in kept.chain(changes).filter(|(_, value)| !value.is_empty()) {
            request = request.header(name, value);
        }
        let answer = request.await;
        (answer.status().as_u16(), answer.header(header).to_owned())
    })
}

#[test]
fn the_example_of_the_rfc() {
    let accepted = ask(&app(Options::default()), Method::GET, &[], "sec-websocket-accept");
    assert_eq!(accepted, (101, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=".to_owned()));
}

#[test]
fn what_is_no_handshake_is_refused() {
    let app = app(Options::default());
    let table: [(&[(&str, &str)], u16); 13] = [
        (&[("upgrade", "")], 426),
        (&[("upgrade", "h2c")], 426),
        (&[("connection", "close")], 426),
        (&[("sec-websocket-version", "")], 426),
        (&[("sec-websocket-version", "12")], 426),
        (&[("sec-websocket-version", "13"), ("sec-websocket-version", "8")], 426),
        (&[("sec-websocket-key", "")], 400),
        (&[("sec-websocket-key", "short")], 400),
        (&[("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZTEy")], 400),
        (&[("sec-websocket-key", KEY), ("sec-websocket-key", KEY)], 400),
        (&[("origin", "https://evil.example")], 403),
        (&[("origin", "null")], 403),
        (&[("origin", "http://example.com"), ("origin", "http://example.com")], 403),
    ];
    for (changes, status) in table {
        assert_eq!(ask(&app, Method::GET, changes, "x").0, status, "{changes:?}");
    }
    assert_eq!(ask(&app, Method::POST, &[], "x").0, 400);
    let refused = ask(&app, Method::GET, &[("sec-websocket-version", "7")], "sec-websocket-version");
    assert_eq!(refused, (426, "13".to_owned()));
}

#[test]
fn pages_of_this_host_and_of_listed_origins_may_connect() {
    let none = app(Options::default());
    let listed = app(Options { origins: vec!["https://admin.example.com".to_owned()], ..Options::default() });
    let any = app(Options { origins: vec!["*".to_owned()], ..Options::default() });
    // (origin, with none listed, with one, with any)
    let table = [
        ("", 101, 101, 101),
        ("http://example.com", 101, 101, 101),
        ("https://EXAMPLE.com:443", 101, 101, 101),
        ("https://example.com:444", 403, 403, 101),
        ("https://admin.example.com", 403, 101, 101),
        ("https://example.com.evil.example", 403, 403, 101),
        ("file://example.com", 403, 403, 101),
    ];
    for (origin, with_none, with_one, with_any) in table {
        for (app, status) in [(&none, with_none), (&listed, with_one), (&any, with_any)] {
            assert_eq!(ask(app, Method::GET, &[("origin", origin)], "x").0, status, "{origin}");
        }
    }
}

#[test]
fn our_best_subprotocol_that_is_offered_is_taken() {
    let app = app(Options { protocols: vec!["v2".to_owned(), "v1".to_owned()], ..Options::default() });
    for (offered, taken) in [("v1, v2", "v2"), ("v1", "v1"), ("V1,v3", ""), ("", "")] {
        let chosen = ask(&app, Method::GET, &[("sec-websocket-protocol", offered)], "sec-websocket-protocol");
        assert_eq!(chosen, (101, taken.to_owned()), "{offered}");
    }
}

#[test]
fn what_comes_from_another_process_has_had_its_handshake() {
    let resume = async |ctx: &mut Ctx| {
        ctx.websocket(&Options::default(), async |socket: &mut Socket| {
            assert_eq!(socket.protocol(), Some("talk"));
            Ok(())
        })
    };
    let onion = App::new().resume("it", resume).build().unwrap();
    let parked = cepa_core::Parked::new("it", &()).unwrap().with_header("sec-websocket-protocol", "talk");
    let handling = onion.resume(parked, std::rc::Rc::new(cepa_core::Memory::default())).unwrap();
    let mut response = block_on(handling);
    assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
    assert!(response.take_upgrade().is_some());
}
