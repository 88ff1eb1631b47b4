use std::{
    collections::BTreeMap,
    time::{Duration, UNIX_EPOCH},
};

use proptest::prelude::*;

use super::*;
use crate::{
    level::Level,
    record::{Field, Fields, SpanAt},
    test::vectors,
    time::Zone,
};

/// 2026-11-20T07:08:09.042Z
const TIME: Duration = Duration::from_millis(1_795_158_489_042);

fn record<'a>(level: Level, message: &'a str, fields: &'a Fields, spans: &'a [SpanAt]) -> Record<'a> {
    let of_spans = spans.last().map_or(0, |span| span.fields.end);
    let (span_fields, fields_of_event) = fields.list.split_at(of_spans);
    Record {
        level,
        category: "app::sub::mod",
        moment: Zone::utc().at(UNIX_EPOCH + TIME),
        message,
        fields: fields_of_event,
        spans,
        span_fields,
        text: &fields.text,
        file: "src/users/show.rs",
        line: Some(42),
        module: "app::sub",
    }
}

/// Fields of the values given.
fn fields(list: &[(&'static str, &str)]) -> Fields {
    let mut fields = Fields::default();
    for (name, text) in list {
        let range = fields.add(text);
        fields.list.push(Field { name, value: Value::Quoted(range) });
    }
    fields
}

fn span(name: &'static str, fields: std::ops::Range<usize>) -> SpanAt {
    let started = UNIX_EPOCH + TIME - Duration::from_millis(5);
    SpanAt { name, file: "src/lib.rs", line: Some(7), started, fields }
}

fn shown(layout: &Layout, record: &Record<'_>) -> String {
    let mut out = String::new();
    Format::new(layout, false).unwrap().write(record, &mut out);
    out
}

fn pattern(pattern: &str) -> Layout {
    let tokens = BTreeMap::from([("tok".to_owned(), "T".to_owned())]);
    Layout::Pattern { pattern: pattern.to_owned(), tokens }
}

#[test]
fn layouts_are_those_of_log4js() {
    let context = fields(&[("user", "charlie")]);
    let spans = [span("request", 0..1)];
    let pid = std::process::id().to_string();
    for vector in vectors("log4js_layouts") {
        let kind = vector["layout"].as_str().unwrap();
        let text = vector["pattern"].as_str().unwrap_or_default();
        let layout = match kind {
            "pattern" => pattern(text),
            "messagePassThrough" => Layout::MessagePassThrough {},
            kind => serde_json::from_value(serde_json::json!({ "type": kind })).unwrap(),
        };
        // JavaScript puts the data into the message as it writes it, Rust where the message is made: what shows
        // the first datum alone sees a template there, and the message here.
        let template = kind == "dummy" || text == "%m{0,1}";
        let message = if template { "hello %s and %d" } else { "hello tj and 5 { a: 1 }" };
        let level = vector["level"].as_str().map_or(Level::Info, |level| level.parse().unwrap());
        let expected = vector["output"].as_str().unwrap().replace("4242", &pid);
        assert_eq!(shown(&layout, &record(level, message, &context, &spans)), expected, "{kind} {text}");
    }
}

#[test]
fn conversions_say_what_rust_knows_of_an_event() {
    let fields = fields(&[("user", "tj"), ("table", "posts"), ("id", "a b")]);
    let spans = [span("query", 0..1), span("request", 1..2)];
    let record = record(Level::Fatal, "gone", &fields, &spans);
    for (text, expected) in [
        ("%f:%l", "src/users/show.rs:42"),
        ("%f{1}|%f{2}|%f{9}", "show.rs|users/show.rs|src/users/show.rs"),
        ("%C %M %F[%A%o]", "app::sub query app::sub::query[]"),
        ("%s", "    at query (src/lib.rs:7)\n    at request (src/lib.rs:7)"),
        ("%m", "gone id=\"a b\""),
        ("%m{1}|%m{0,1}|%m{0,9}|%m{7}|%m{2,1}", "id=\"a b\"|gone|gone id=\"a b\"||"),
        ("%X{user} %X{table} %X{id}", "tj posts a b"),
        ("%x{tok}", "T"),
        ("%[%p%]", "\x1b[35mFATAL\x1b[39m"),
        ("%d{ABSOLUTE} %d{DATE}", "07:08:09.042 20 11 2026 07:08:09.042"),
        ("%c{2} %c{0}", "sub.mod app.sub.mod"),
        ("%-10.3m|%3.-2m|", "gon       | b\"|"),
        ("100%% %p{x}", "100% FATAL{x}"),
    ] {
        assert_eq!(shown(&pattern(text), &record), expected, "{text}");
    }
    assert!(!shown(&pattern("%h"), &record).is_empty());
}

#[test]
fn a_wrong_pattern_is_an_error() {
    let error = |text: &str| Format::new(&pattern(text), false).err().map(|error| error.to_string());
    for text in [
        "%q",
        "%",
        "%5",
        "%.p",
        "%-p",
        "%5.",
        "%é",
        "%m{x}",
        "%m{1,}",
        "%c{-1}",
        "%X",
        "%1025p",
        "%99999999999999999999p",
    ] {
        assert!(error(text).is_some(), "{text}");
    }
    assert_eq!(error("%c{all}").unwrap(), "%c{all}: a number of parts belongs between the braces");
    assert!(error("at %y").unwrap().starts_with("%y is no conversion; there are %r %p"));
}

#[test]
fn layouts_for_people_and_machines() {
    let mut fields = fields(&[("method", "GET"), ("path", "say \"hi\"\n")]);
    fields.list.push(Field { name: "rows", value: Value::Unsigned(3) });
    fields.list.push(Field { name: "level", value: Value::Float(f64::NAN) });
    let spans = [span("query", 0..0), span("request", 0..1)];
    let record = record(Level::Warn, "slow\u{1b}", &fields, &spans);
    assert_eq!(
        shown(&Layout::default(), &record),
        "2026-11-20T07:08:09.042000Z  WARN request{method=\"GET\"}:query: app::sub::mod: \
         slow\\u{1b} path=\"say \\\"hi\\\"\\n\" rows=3 level=NaN"
    );
    assert_eq!(
        shown(&Layout::Json {}, &record),
        r#"{"timestamp":"2026-11-20T07:08:09.042000Z","level":"WARN","message":"slow\u001b","path":"say \"hi\"\n","#
            .to_owned()
            + r#""rows":3,"_level":null,"target":"app::sub::mod","#
            + r#""spans":[{"name":"request","method":"GET"},{"name":"query"}]}"#
    );
    let mut coloured = String::new();
    Format::new(&Layout::Text {}, true).unwrap().write(&record, &mut coloured);
    assert!(coloured.starts_with("\x1b[2m2026-11-20T07:08:09.042000Z\x1b[22m \x1b[33m WARN\x1b[39m request"));
}

#[test]
fn a_line_of_egg_names_the_request() {
    let pid = std::process::id();
    let none = Fields::default();
    let line = shown(&Layout::Egg {}, &record(Level::Info, "ready", &none, &[]));
    assert_eq!(line, format!("2026-11-20 07:08:09,042 INFO {pid} ready"));

    let fields = fields(&[("method", "GET"), ("url", "/a?b\n"), ("ip", "127.0.0.1"), ("user_id", "tj")]);
    let spans = [span("inner", 0..0), span("request", 0..4)];
    let line = shown(&Layout::Egg {}, &record(Level::Error, "failed", &fields, &spans));
    let expected = format!("2026-11-20 07:08:09,042 ERROR {pid} [tj/127.0.0.1/-/5ms GET /a?b\\n] failed");
    assert_eq!(line, expected);
}

proptest! {
    #[test]
    fn no_pattern_is_a_panic(text in "\\PC*|[%a-zA-Z0-9.{}\\[\\]é-]*", message in "\\PC{0,20}") {
        if let Ok(format) = Format::new(&pattern(&text), true) {
            let fields = fields(&[("a", "é"), ("b", "b")]);
            let spans = [span("s", 0..1)];
            format.write(&record(Level::Info, &message, &fields, &spans), &mut String::new());
        }
    }

    #[test]
    fn log_injection_in_any_layout(message in "[\\x00-\\u{a0}]*", name in "[\\x00-\\u{a0}]*") {
        let fields = fields(&[("method", &name), ("b", &name)]);
        let spans = [span("s", 0..1)];
        let mut record = record(Level::Info, &message, &fields, &spans);
        record.category = &name;
        for layout in [
            Layout::Text {}, Layout::Json {}, Layout::Basic {}, Layout::MessagePassThrough {}, Layout::Dummy {},
            Layout::Egg {}, pattern("%c %c{1} %m %m{0} %m{1} %X{b}"),
        ] {
            let line = shown(&layout, &record);
            prop_assert!(!line.chars().any(char::is_control), "{layout:?} {line:?}");
        }
    }
}
