//! The text of a session, in a cookie and in a store: Koa's JSON.
//!
//! It is an object of the session's own values, in the order they were set, and then what concerns its life, under
//! names that begin with `_`: `_expire` (milliseconds since 1970) and `_maxAge` (milliseconds), or `_session: true` for
//! a session that ends with the browser; `_created` (milliseconds since 1970) where sessions have an absolute end.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Map, Value};

/// How long a session lasts from each time it is saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// So many milliseconds.
    For(u64),
    /// As long as the browser is open.
    Browser,
}

/// A session as it was saved.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Data {
    pub(super) values: Map<String, Value>,
    /// As the text has it; `None` leaves it to the options.
    pub(super) life: Option<Life>,
    pub(super) expires: Option<u64>,
    pub(super) created: Option<u64>,
}

impl Data {
    /// `None` for anything but a JSON object; deeper nesting than 128 is refused too.
    pub(super) fn parse(json: &[u8]) -> Option<Self> {
        let mut values: Map<String, Value> = serde_json::from_slice(json).ok()?;
        let expires = values.get("_expire").and_then(millis);
        let life = match values.get("_session").and_then(Value::as_bool) {
            Some(true) => Some(Life::Browser),
            _ => values.get("_maxAge").and_then(millis).filter(|ms| *ms > 0).map(Life::For),
        };
        let created = values.get("_created").and_then(millis);
        values.retain(|name, _| !is_reserved(name));
        Some(Self { values, life, expires, created })
    }

    /// Whether it has ended: by its own word, or because it began longer ago than `absolute` milliseconds.
    pub(super) fn is_over(&self, now: u64, absolute: u64) -> bool {
        self.expires.is_some_and(|end| end <= now)
            || absolute > 0 && self.created.is_some_and(|begun| begun.saturating_add(absolute) <= now)
    }

    /// The text that [`parse`](Self::parse) reads; `life` and `created` as they are, a new `_expire`.
    pub(super) fn to_json(&self, life: Life, now: u64) -> Vec<u8> {
        #[derive(serde::Serialize)]
        struct Text<'a> {
            #[serde(flatten)]
            values: &'a Map<String, Value>,
            #[serde(rename = "_expire", skip_serializing_if = "Option::is_none")]
            expire: Option<u64>,
            #[serde(rename = "_maxAge", skip_serializing_if = "Option::is_none")]
            max_age: Option<u64>,
            #[serde(rename = "_session", skip_serializing_if = "Option::is_none")]
            session: Option<bool>,
            #[serde(rename = "_created", skip_serializing_if = "Option::is_none")]
            created: Option<u64>,
        }
        let (expire, max_age, session) = match life {
            Life::For(ms) => (Some(now.saturating_add(ms)), Some(ms), None),
            Life::Browser => (None, None, Some(true)),
        };
        let text = Text { values: &self.values, expire, max_age, session, created: self.created };
        serde_json::to_vec(&text).expect("a map of JSON values is JSON")
    }
}

/// Whether a name is the session's own, not the app's.
pub(super) fn is_reserved(name: &str) -> bool {
    name.starts_with('_')
}

/// JavaScript writes times as numbers, which may have a fraction.
fn millis(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().map(|number| number as u64))
}

/// Milliseconds since 1970.
pub(super) fn since_1970(time: SystemTime) -> u64 {
    as_millis(time.duration_since(UNIX_EPOCH).unwrap_or_default())
}

pub(super) fn as_millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn the_words_of_koa_are_read_and_written() {
        let text = br#"{"a":1,"b":[true],"_expire":4102444800000,"_maxAge":60000.5}"#;
        let data = Data::parse(text).unwrap();
        assert_eq!(Value::Object(data.values.clone()), json!({"a": 1, "b": [true]}));
        assert_eq!((data.life, data.expires), (Some(Life::For(60_000)), Some(4_102_444_800_000)));
        let written = data.to_json(Life::For(5), 10);
        assert_eq!(written, br#"{"a":1,"b":[true],"_expire":15,"_maxAge":5}"#);
        let data = Data::parse(br#"{"b":1,"_session":true}"#).unwrap();
        assert_eq!(data.life, Some(Life::Browser));
        assert_eq!(data.to_json(Life::Browser, 10), br#"{"b":1,"_session":true}"#);
    }

    #[test]
    fn a_session_ends_when_it_says_and_when_it_is_too_old() {
        let data = |expires, created| Data { expires, created, ..Data::default() };
        for (data, absolute, over) in [
            (data(None, None), 5, false),
            (data(Some(100), None), 0, true),
            (data(Some(101), None), 0, false),
            (data(Some(101), Some(95)), 5, true),
            (data(Some(101), Some(96)), 5, false),
            (data(Some(101), Some(u64::MAX)), u64::MAX, false),
        ] {
            assert_eq!(data.is_over(100, absolute), over, "{data:?}");
        }
    }

    #[test]
    fn what_is_no_object_is_no_session() {
        let deep = [b"{\"a\":".repeat(200), b"1".to_vec(), b"}".repeat(200)].concat();
        for text in [&b""[..], b"[]", b"1", b"null", b"{", b"{\"a\":}", &deep] {
            assert_eq!(Data::parse(text), None);
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Data::parse(&text);
        }

        #[test]
        fn no_number_panics(expire in any::<f64>(), age in any::<i64>()) {
            let text = json!({"_expire": expire, "_maxAge": age, "_created": expire}).to_string();
            let data = Data::parse(text.as_bytes()).unwrap();
            let _ = data.is_over(1, 1);
            let _ = data.to_json(Life::For(u64::MAX), u64::MAX);
        }
    }
}
