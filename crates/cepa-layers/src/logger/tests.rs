use std::{
    fmt,
    sync::{Arc, Mutex},
};

use cepa_core::{App, Body, test::block_on};
use http::Method;
use tracing::{
    Event, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};

use super::{write::TARGET, *};
use crate::auth::User;

/// What was logged, each line with its level.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<String>>>);

impl Log {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }
}

impl Subscriber for Log {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        metadata.target() == TARGET
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}

    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}

    fn event(&self, event: &Event<'_>) {
        struct Message(String);
        impl Visit for Message {
            fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
                match field.name() {
                    "message" => self.0 += &format!("{value:?}"),
                    name => self.0 += &format!("{name}={value:?} "),
                }
            }
        }
        let mut message = Message(format!("{} ", event.metadata().level()));
        event.record(&mut message);
        self.0.lock().unwrap().push(message.0);
    }

    fn enter(&self, _: &span::Id) {}

    fn exit(&self, _: &span::Id) {}
}

fn app(options: Options) -> App {
    App::new()
        .with(logger(options))
        .with(async |ctx: &mut Ctx, next: Next<'_>| {
            ctx.insert(User::new("ada"));
            next.run(ctx).await
        })
        .get("/a/{id}", async |_: &mut Ctx| "hello")
        .get("/none", async |ctx: &mut Ctx| ctx.clear_body())
        .get("/fails", async |_: &mut Ctx| -> Result { Err(Error::new(403, "no")) })
        .get("/breaks", async |_: &mut Ctx| -> Result { Err(Error::new(500, "why")) })
        .get("/stream", async |_: &mut Ctx| {
            Body::from_async(async |mut out| {
                out.write("12345").await;
                out.write("678").await;
                Ok(())
            })
        })
        .get("/aborts", async |_: &mut Ctx| {
            Body::from_async(async |mut out| {
                out.write("12345").await;
                Err(Error::status_only(500))
            })
        })
        .get("/waits", async |_: &mut Ctx| std::future::pending::<()>().await)
}

/// The lines of some requests, in the form of a pattern.
fn lines(options: Options, requests: &[(Method, &str)]) -> Vec<String> {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        let client = app(options).test();
        for (method, target) in requests {
            let _ = block_on(client.request(method.clone(), target));
        }
    });
    log.take()
}

fn pattern(text: &str) -> Options {
    Options { format: text.parse().unwrap(), ..Options::default() }
}

#[test]
fn a_line_for_each_request() {
    let options = pattern(":method :url :route :status :content-length :outcome :remote-addr :remote-user");
    let requests = [
        (Method::GET, "/a/1?b"),
        (Method::HEAD, "/a/1"),
        (Method::GET, "/none"),
        (Method::GET, "/fails"),
        (Method::GET, "/breaks"),
        (Method::GET, "/stream"),
        (Method::HEAD, "/stream"),
        (Method::GET, "/nowhere"),
    ];
    let expected = [
        "INFO GET /a/1?b /a/{id} 200 5 done 127.0.0.1 ada",
        "INFO HEAD /a/1 /a/{id} 200 - done 127.0.0.1 ada",
        "INFO GET /none /none 204 - done 127.0.0.1 ada",
        "INFO GET /fails /fails 403 2 failed 127.0.0.1 ada",
        "INFO GET /breaks /breaks 500 21 failed 127.0.0.1 ada",
        "INFO GET /stream /stream 200 8 done 127.0.0.1 ada",
        "INFO HEAD /stream /stream 200 - done 127.0.0.1 ada",
        "INFO GET /nowhere - 404 9 done 127.0.0.1 ada",
    ];
    assert_eq!(lines(options, &requests), expected);
}

#[test]
fn levels_follow_the_status_when_asked_to() {
    let options = Options { level_by_status: true, ..pattern(":status") };
    let requests = [(Method::GET, "/a/1"), (Method::GET, "/fails"), (Method::GET, "/breaks")];
    assert_eq!(lines(options, &requests), ["INFO 200", "WARN 403", "ERROR 500"]);
}

#[test]
fn a_client_that_leaves_has_a_line_too() {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        let client = app(pattern(":url :status :outcome")).test();
        let mut waits = Box::pin(client.get("/waits").into_future());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(waits.as_mut().poll(&mut cx).is_pending());
        assert!(log.take().is_empty());
        drop(waits);
    });
    assert_eq!(log.take(), ["INFO /waits 499 closed"]);
}

#[test]
fn a_stream_has_its_line_when_it_ends() {
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        let onion = app(pattern(":url :content-length :outcome")).build().unwrap();
        let answer = |path: &str| block_on(onion.handle(cepa_core::Request::new(Method::GET, path)));

        let (.., mut body) = answer("/stream").into_parts();
        assert_eq!(block_on(body.chunk()).unwrap().unwrap(), "12345");
        assert!(log.take().is_empty());
        drop(body);
        assert_eq!(log.take(), ["INFO /stream 5 closed"]);

        let (.., mut body) = answer("/aborts").into_parts();
        while let Some(Ok(_)) = block_on(body.chunk()) {}
        drop(body);
        assert_eq!(log.take(), ["INFO /aborts 5 failed"]);
    });
}

#[test]
fn the_short_form() {
    let options = Options { format: Format::Dev, ..Options::default() };
    let requests = [
        (Method::GET, "/a/1"),
        (Method::GET, "/fails"),
        (Method::GET, "/none"),
        (Method::GET, "/a/\u{1b}[31m\r\nx"),
    ];
    let lines = lines(options, &requests);
    let is = |line: &str, from: &str, to: &str| {
        assert!(line.starts_with(from) && line.ends_with(to), "{line}");
    };
    assert_eq!(lines[0], "INFO <-- GET /a/1");
    is(&lines[1], "INFO --> GET /a/1 200 ", "ms 5b");
    is(&lines[3], "INFO xxx GET /fails 403 ", "ms 2b");
    is(&lines[5], "INFO --> GET /none 204 ", "ms");
    assert_eq!(lines[6], r"INFO <-- GET /a/\x1B[31m\x0D\x0Ax");
}

#[test]
fn common_combined_and_json() {
    let request = |format: Format| {
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || {
            let client = app(Options { format, ..Options::default() }).test();
            let call = client.get("/a/1?token=x").header("user-agent", "a \"b\"");
            block_on(call.header("referer", "/from?token=y"));
        });
        log.take().remove(0)
    };
    let common = request(Format::Common);
    let (before, after) = common.split_once('[').unwrap();
    let (date, after) = after.split_once(']').unwrap();
    assert_eq!(before, "INFO 127.0.0.1 - ada ");
    assert_eq!((date.len(), &date[20..]), (26, " +0000"), "{date}");
    assert_eq!(after, r#" "GET /a/1?token=*** HTTP/1.1" 200 5"#);

    let combined = request(Format::Combined);
    assert!(combined.ends_with(r#"200 5 "/from?token=***" "a \x22b\x22""#), "{combined}");

    let json = request(Format::Json);
    let json: serde_json::Value = serde_json::from_str(json.strip_prefix("INFO ").unwrap()).unwrap();
    assert_eq!(json["user_agent"], "a \"b\"");
    assert_eq!((&json["status"], &json["bytes"]), (&200.into(), &5.into()));
    assert_eq!((&json["request_id"], &json["outcome"]), (&serde_json::Value::Null, &"done".into()));
    assert!(json["ms"].is_number());
}

#[test]
fn hidden_parameters_of_any_referrer() {
    for format in [Format::Combined, Format::Json, Format::Fields, ":req[referer]".parse().unwrap()] {
        for referrer in ["/é?token=y", "/?é=1&token=y", "/?tok%65n=y", "http://a/?TOKEN=y"] {
            let log = Log::default();
            tracing::subscriber::with_default(log.clone(), || {
                let client = app(Options { format: format.clone(), ..Options::default() }).test();
                block_on(client.get("/a/1?t%6Fken=y").header("referer", referrer));
            });
            let line = log.take().remove(0);
            assert!(line.contains("=***") && !line.contains("=y"), "{format:?} {referrer} {line}");
        }
    }
}

#[test]
fn hidden_parameters_of_where_a_response_leads() {
    for name in ["location", "content-location"] {
        let log = Log::default();
        tracing::subscriber::with_default(log.clone(), || {
            let leads = async move |ctx: &mut Ctx| ctx.set(name, "https://b/?code=y&a=1#access_token=y");
            let client = App::new().with(logger(pattern(&format!(":res[{name}]")))).get("/", leads).test();
            block_on(client.get("/"));
        });
        assert_eq!(log.take(), ["INFO https://b/?code=***&a=1#access_token=***"]);
    }
}

#[test]
fn an_event_with_fields() {
    let options = Options { format: Format::Fields, ..Options::default() };
    let lines = lines(options, &[(Method::GET, "/a/1\nuser=eve"), (Method::GET, "/stream")]);
    let (before, after) = lines[0].split_once(" ms=").unwrap();
    let fields = r#"client="127.0.0.1" user="ada" method="GET" url="/a/1\\x0Auser=eve" version="1.1" host="localhost""#;
    assert_eq!(before, format!("INFO {fields} route=\"/a/{{id}}\" status=200 bytes=5"));
    assert!(after.ends_with(" outcome=\"done\" "), "{after}");
    assert!(lines[1].contains("status=200 bytes=8 ms=") && lines[1].ends_with("outcome=\"done\" "));
}

/// Log injection: what a client sends neither begins a line nor ends a field.
#[test]
fn what_a_client_sends_stays_in_its_field() {
    let options = pattern(r#"":url" ":req[x-a]" ":user-agent""#);
    let log = Log::default();
    tracing::subscriber::with_default(log.clone(), || {
        let onion = app(options).build().unwrap();
        let mut request = cepa_core::Request::new(Method::GET, "/a\n\" 200 \u{202e}");
        let value = http::HeaderValue::from_bytes(b"a\tb\"c\\\xff").unwrap();
        request.headers_mut().insert("x-a", value.clone());
        request.headers_mut().insert("user-agent", value);
        let _ = block_on(onion.handle(request));
    });
    let expected = r#"INFO "/a\x0A\x22 200 \xE2\x80\xAE" "a\x09b\x22c\x5C\xFF" "a\x09b\x22c\x5C\xFF""#;
    assert_eq!(log.take(), [expected]);
}

#[test]
fn a_category_of_its_own_is_a_field() {
    for format in [Format::Dev, Format::Common, Format::Fields] {
        let options = Options { format, category: "access.shop".parse().unwrap(), ..Options::default() };
        let lines = lines(options, &[(Method::GET, "/a/1"), (Method::GET, "/stream")]);
        let says = |line: &String| line.contains("category=\"access.shop\" ");
        assert!(lines.len() >= 2 && lines.iter().all(says), "{lines:?}");
    }
}

#[test]
fn nothing_is_done_where_nobody_listens() {
    let client = app(Options::default()).test();
    assert_eq!(block_on(client.get("/stream")).text(), "12345678");
}
