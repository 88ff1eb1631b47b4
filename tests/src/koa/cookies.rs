//! Compares the cookies of an answer with the recorded ones.

use std::{
    collections::{BTreeMap, HashMap},
    time::{SystemTime, UNIX_EPOCH},
};

use base64::{
    Engine as _,
    prelude::{BASE64_STANDARD, BASE64_URL_SAFE_NO_PAD},
};
use cepa_core::date;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::{Map, Value};
use sha1::Sha1;

use super::pattern;

/// How far a time may be from the recorded one, in seconds.
const SLACK: f64 = 6.0;

/// A recorded cookie. Its value is literal, a pattern, a session, or the signature of another cookie.
#[derive(Debug, Deserialize)]
pub(super) struct Expected {
    name: String,
    attrs: Vec<(String, Attribute)>,
    value: Option<String>,
    value_re: Option<String>,
    session: Option<Map<String, Value>>,
    /// Values in the session that are different each time.
    #[serde(default)]
    session_re: BTreeMap<String, String>,
    /// How far in the future the session ends, in milliseconds.
    expire_in_ms: Option<f64>,
    keys_order: Option<Vec<String>>,
    sig_of: Option<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Attribute {
    Flag(bool),
    Text(String),
    /// An `expires` so many seconds from now.
    In {
        in_s: f64,
    },
}

/// One `Set-Cookie` line.
pub(super) struct Cookie<'l> {
    pub(super) name: &'l str,
    pub(super) value: &'l str,
    attributes: Vec<(String, Attribute)>,
}

pub(super) fn parse(line: &str) -> Cookie<'_> {
    let mut parts = line.split(';').map(str::trim);
    let (name, value) = parts.next().unwrap_or_default().split_once('=').unwrap_or_default();
    let attributes = parts.map(|part| match part.split_once('=') {
        Some((name, value)) => (name.trim().to_lowercase(), Attribute::Text(value.trim().to_owned())),
        None => (part.to_lowercase(), Attribute::Flag(true)),
    });
    Cookie { name, value, attributes: attributes.collect() }
}

/// What differs, a line for each.
pub(super) fn differences<'l>(
    expected: &[Expected],
    lines: impl Iterator<Item = &'l str>,
    keys: &[String],
) -> Vec<String> {
    let cookies: Vec<Cookie<'_>> = lines.map(parse).collect();
    let names: Vec<&str> = cookies.iter().map(|cookie| cookie.name).collect();
    let expected_names: Vec<&str> = expected.iter().map(|cookie| cookie.name.as_str()).collect();
    if names != expected_names {
        return vec![format!("set-cookie: expected {expected_names:?}, got {names:?}")];
    }
    let mut found = Vec::new();
    let mut values = HashMap::new();
    for (expected, cookie) in expected.iter().zip(&cookies) {
        let mut all = Vec::new();
        expected.compare_value(cookie.value, keys, &values, &mut all);
        expected.compare_attributes(&cookie.attributes, &mut all);
        found.extend(all.iter().map(|line| format!("cookie {}: {line}", cookie.name)));
        values.insert(cookie.name, cookie.value);
    }
    found
}

impl Expected {
    fn compare_value(
        &self,
        value: &str,
        keys: &[String],
        earlier: &HashMap<&str, &str>,
        found: &mut Vec<String>,
    ) {
        if let Some(expected) = &self.value
            && expected != value
        {
            found.push(format!("value: expected {expected:?}, got {value:?}"));
        }
        if let Some(expected) = &self.value_re
            && !pattern::matches(expected, value)
        {
            found.push(format!("value: {value:?} does not match {expected:?}"));
        }
        if let Some(session) = &self.session {
            match decode_session(value) {
                Some(data) => self.compare_session(session, data, found),
                None => found.push(format!("value: no base64 of a JSON object: {value:?}")),
            }
        }
        if let Some(signed) = &self.sig_of {
            let key = keys.first().map_or("", String::as_str);
            let text = format!("{signed}={}", earlier.get(signed.as_str()).unwrap_or(&""));
            let expected = signature(key, &text);
            if expected != value {
                found.push(format!("signature: expected {expected}, got {value}"));
            }
        }
    }

    fn compare_session(
        &self,
        session: &Map<String, Value>,
        mut data: Map<String, Value>,
        found: &mut Vec<String>,
    ) {
        let order: Vec<String> = data.keys().cloned().collect();
        if let Some(expected) = &self.keys_order
            && *expected != order
        {
            found.push(format!("session: expected keys {expected:?}, got {order:?}"));
        }
        if let Some(expected) = self.expire_in_ms {
            let expires = data.remove("_expire").and_then(|time| time.as_f64()).unwrap_or_default();
            let left = expires - seconds(SystemTime::now()) * 1000.0;
            if (left - expected).abs() > SLACK * 1000.0 {
                found.push(format!("session: expected to end in {expected} ms, ends in {left:.0}"));
            }
        }
        for (key, expected) in &self.session_re {
            let value = data.remove(key).unwrap_or_default();
            if !value.as_str().is_some_and(|text| pattern::matches(expected, text)) {
                found.push(format!("session: {key} {value} does not match {expected:?}"));
            }
        }
        if data != *session {
            let (expected, got) = (Value::from(session.clone()), Value::from(data));
            found.push(format!("session: expected {expected}, got {got}"));
        }
    }

    /// Attributes are compared in their order; `expires` with slack.
    fn compare_attributes(&self, attributes: &[(String, Attribute)], found: &mut Vec<String>) {
        let names =
            |all: &[(String, Attribute)]| all.iter().map(|(name, _)| name.clone()).collect::<Vec<_>>();
        if names(attributes) != names(&self.attrs) {
            found.push(format!("attributes: expected {:?}, got {attributes:?}", self.attrs));
            return;
        }
        for ((name, expected), (_, got)) in self.attrs.iter().zip(attributes) {
            let same = match (expected, got) {
                (Attribute::In { in_s }, Attribute::Text(time)) => date::parse(time)
                    .is_some_and(|time| (seconds(time) - seconds(SystemTime::now()) - in_s).abs() <= SLACK),
                _ => expected == got,
            };
            if !same {
                found.push(format!("{name}: expected {expected:?}, got {got:?}"));
            }
        }
    }
}

fn decode_session(value: &str) -> Option<Map<String, Value>> {
    serde_json::from_slice(&BASE64_STANDARD.decode(value).ok()?).ok()
}

/// What keygrip signs a text with.
fn signature(key: &str, text: &str) -> String {
    let mut mac = Hmac::<Sha1>::new_from_slice(key.as_bytes()).expect("an HMAC takes a key of any length");
    mac.update(text.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes())
}

fn seconds(time: SystemTime) -> f64 {
    time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
