//! `application/x-www-form-urlencoded`, the form of query strings and simple forms (WHATWG URL, section 5).

mod nested;

use std::borrow::Cow;

use serde_json::{Map, Value};

pub use self::nested::Nesting;
use crate::percent;

/// The name-value pairs of a query string or form body, decoded.
///
/// Pairs are separated by `&`, empty ones skipped; `+` is a space; an escape that is not one stays as it is; bytes
/// that are not UTF-8 become U+FFFD. A name without `=` has an empty value. After `max_pairs` pairs it ends:
/// [`Pairs::is_cut`] says whether anything was left.
///
/// ```
/// let pairs: Vec<_> = cepa_core::form::parse("a=1&b=x+y&c", 100).collect();
/// assert_eq!(pairs, [("a".into(), "1".into()), ("b".into(), "x y".into()), ("c".into(), "".into())]);
/// ```
pub fn parse(input: &str, max_pairs: usize) -> Pairs<'_> {
    Pairs { rest: input, left: max_pairs }
}

/// The pairs of [`parse`].
#[derive(Debug, Clone)]
pub struct Pairs<'i> {
    rest: &'i str,
    left: usize,
}

impl Pairs<'_> {
    /// Whether the limit of pairs was reached before the input ended.
    pub fn is_cut(&self) -> bool {
        self.left == 0 && self.rest.bytes().any(|byte| byte != b'&')
    }
}

impl<'i> Iterator for Pairs<'i> {
    type Item = (Cow<'i, str>, Cow<'i, str>);

    fn next(&mut self) -> Option<Self::Item> {
        self.rest = self.rest.trim_start_matches('&');
        if self.rest.is_empty() {
            return None;
        }
        self.left = self.left.checked_sub(1)?;
        let (pair, rest) = self.rest.split_once('&').unwrap_or((self.rest, ""));
        self.rest = rest;
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        Some((decode_component(name), decode_component(value)))
    }
}

/// One decoded name or value; borrows when it holds neither `+` nor `%`.
pub fn decode_component(text: &str) -> Cow<'_, str> {
    match percent::decode_form(text) {
        Cow::Borrowed(_) => Cow::Borrowed(text),
        Cow::Owned(bytes) => Cow::Owned(match String::from_utf8(bytes) {
            Ok(text) => text,
            Err(error) => String::from_utf8_lossy(error.as_bytes()).into_owned(),
        }),
    }
}

/// One encoded name or value: letters, digits and `*-._` stay, a space is `+`, all else is percent-encoded.
pub fn encode_component(text: &str) -> Cow<'_, str> {
    let encoded = percent::encode(text, is_kept);
    if encoded.contains(' ') { Cow::Owned(encoded.replace(' ', "+")) } else { encoded }
}

/// Appends `name=value`, encoded.
pub(crate) fn push_pair(out: &mut String, name: &str, value: &str) {
    push_component(out, name);
    out.push('=');
    push_component(out, value);
}

fn push_component(out: &mut String, text: &str) {
    let mut words = text.split(' ');
    percent::push(out, words.next().unwrap_or_default(), is_kept);
    for word in words {
        out.push('+');
        percent::push(out, word, is_kept);
    }
}

/// A space is kept until it becomes a `+`.
fn is_kept(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"*-._ ".contains(&byte)
}

/// Writes pairs one after the other.
///
/// ```
/// let mut form = cepa_core::form::Serializer::default();
/// form.pair("q", "x y").pair("page", "2");
/// assert_eq!(form.finish(), "q=x+y&page=2");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Serializer {
    out: String,
}

impl Serializer {
    /// Adds one pair.
    pub fn pair(&mut self, name: &str, value: &str) -> &mut Self {
        if !self.out.is_empty() {
            self.out.push('&');
        }
        push_pair(&mut self.out, name, value);
        self
    }

    /// The text of all pairs.
    pub fn finish(self) -> String {
        self.out
    }
}

/// The text of `pairs`, without a leading `?`.
pub fn to_string<'p>(pairs: impl IntoIterator<Item = (&'p str, &'p str)>) -> String {
    let mut form = Serializer::default();
    for (name, value) in pairs {
        form.pair(name, value);
    }
    form.finish()
}

/// `pairs` as the object of Koa's `ctx.query`: a string for a name given once, an array of strings, in order, for a
/// name given more often; names in the order of their first appearance.
pub fn to_json_map<'p>(pairs: impl IntoIterator<Item = (Cow<'p, str>, Cow<'p, str>)>) -> Map<String, Value> {
    let mut map = Map::new();
    for (name, value) in pairs {
        let value = Value::String(value.into_owned());
        match map.get_mut(&*name) {
            None => drop(map.insert(name.into_owned(), value)),
            Some(Value::Array(values)) => values.push(value),
            Some(first) => *first = Value::Array(vec![first.take(), value]),
        }
    }
    map
}

/// The text of an object, as assigning Koa's `ctx.query` writes it: an array repeats its name, strings, numbers and
/// booleans are written, anything else is an empty value.
pub fn from_json_map(map: &Map<String, Value>) -> String {
    let mut form = Serializer::default();
    for (name, value) in map {
        let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
        for value in values {
            let text = match value {
                Value::String(text) => Cow::Borrowed(text.as_str()),
                Value::Number(number) => Cow::Owned(number.to_string()),
                Value::Bool(flag) => Cow::Borrowed(if *flag { "true" } else { "false" }),
                Value::Null | Value::Array(_) | Value::Object(_) => Cow::Borrowed(""),
            };
            form.pair(name, &text);
        }
    }
    form.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vectors;
    use proptest::prelude::*;

    fn list(input: &str) -> Vec<(String, String)> {
        parse(input, 100).map(|(name, value)| (name.into_owned(), value.into_owned())).collect()
    }

    #[test]
    fn reads_as_recorded() {
        #[derive(serde::Deserialize)]
        struct Vector {
            input: String,
            koa3_query: Map<String, Value>,
        }
        for Vector { input, koa3_query } in vectors::load("query_strings") {
            assert_eq!(to_json_map(parse(&input, 100)), koa3_query, "{input}");
        }
    }

    #[test]
    fn writes_as_recorded() {
        #[derive(serde::Deserialize)]
        struct Vector {
            obj: String,
            koa3: String,
        }
        for Vector { obj, koa3 } in vectors::load("query_stringify") {
            // The recorded object held an undefined value, which its JSON text could not keep.
            if obj != "{}" {
                assert_eq!(from_json_map(&serde_json::from_str(&obj).unwrap()), koa3, "{obj}");
            }
        }
        let map = serde_json::json!({"a": [1, 2], "b": "x y", "c": true, "d": {"e": 1}, "f": null, "g": []});
        assert_eq!(from_json_map(map.as_object().unwrap()), "a=1&a=2&b=x+y&c=true&d=&f=");
    }

    #[test]
    fn reads_odd_input() {
        let table: [(&str, &[(&str, &str)]); 7] = [
            ("", &[]),
            ("&&a&&", &[("a", "")]),
            ("=", &[("", "")]),
            ("=v&a%zz=1&%", &[("", "v"), ("a%zz", "1"), ("%", "")]),
            ("a=%2B+%26%3D", &[("a", "+ &=")]),
            ("a=%FFx%C3%A9%C3", &[("a", "\u{fffd}xé\u{fffd}")]),
            ("中=+文", &[("中", " 文")]),
        ];
        for (input, expected) in table {
            let found = list(input);
            let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!(found, expected, "{input}");
        }
    }

    #[test]
    fn keeps_the_order_of_names() {
        let map = to_json_map(parse("b=1&a=2&b=3&c=4&b=5", 100));
        assert_eq!(Value::Object(map).to_string(), r#"{"b":["1","3","5"],"a":"2","c":"4"}"#);
    }

    #[test]
    fn ends_at_the_limit_and_says_so() {
        let mut pairs = parse("a&b&&", 2);
        assert_eq!((pairs.by_ref().count(), pairs.is_cut()), (2, false));
        let mut pairs = parse("a&b&c", 2);
        assert_eq!((pairs.by_ref().count(), pairs.is_cut()), (2, true));
    }

    proptest! {
        #[test]
        fn reads_back_what_it_writes(pairs in prop::collection::vec(any::<(String, String)>(), 0..8)) {
            let text = to_string(pairs.iter().map(|(name, value)| (name.as_str(), value.as_str())));
            prop_assert!(text.is_ascii());
            prop_assert_eq!(&list(&text), &pairs);
            for (name, _) in pairs {
                let encoded = encode_component(&name);
                prop_assert_eq!(decode_component(&encoded), name.as_str());
            }
        }

        #[test]
        fn never_panics(input in r"([a-z=&+%é]|%[0-9A-F]{2}){0,40}") {
            let _ = to_json_map(parse(&input, 5));
        }
    }
}
