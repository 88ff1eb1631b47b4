//! Compares an answer with the recorded one.

use std::{
    borrow::Cow,
    collections::BTreeMap,
    io::{self, Read as _},
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use flate2::read::{GzDecoder, ZlibDecoder};
use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::{case::fill_in, cookies, pattern};
use crate::http::Response;

/// The recorded answer.
#[derive(Debug, Deserialize)]
pub(super) struct Expect {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, Field>,
    /// Headers that must not be there.
    #[serde(default)]
    absent: Vec<String>,
    #[serde(default)]
    cookies: Vec<cookies::Expected>,
    /// The content coding that the body is compared without.
    encoded: Option<String>,
    body: Option<String>,
    body_b64: Option<String>,
    body_json: Option<Value>,
    body_re: Option<String>,
    body_sha256: Option<String>,
    /// Only `body_max` is compared.
    #[serde(default)]
    body_skip: bool,
    body_max: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Field {
    Line(String),
    Lines(Vec<String>),
    Pattern { re: String },
}

/// What differs, a line for each.
pub(super) fn differences(
    expect: &Expect,
    response: &Response,
    keys: &[String],
    saved: &BTreeMap<String, String>,
) -> Vec<String> {
    let mut found = Vec::new();
    if !response.surplus.is_empty() {
        found.push(format!("bytes after a response without a body: {:?}", excerpt(&response.surplus)));
    }
    if response.status != expect.status {
        found.push(format!("status: expected {}, got {}", expect.status, response.status));
    }
    // The same JSON written differently has another length.
    let other_length = expect.is_same_json(&response.body, saved);
    for (name, field) in &expect.headers {
        if !(other_length && name == "content-length") {
            field.compare(name, &response.all(name).collect::<Vec<_>>(), &mut found);
        }
    }
    for name in &expect.absent {
        if let Some(value) = response.all(name).next() {
            found.push(format!("header {name}: expected none, got {value:?}"));
        }
    }
    found.extend(cookies::differences(&expect.cookies, response.all("set-cookie"), keys));
    match expect.encoded.as_deref().map(|coding| decode(coding, &response.body)) {
        None => expect.compare_body(&response.body, saved, &mut found),
        Some(Ok(body)) => expect.compare_body(&body, saved, &mut found),
        Some(Err(error)) => found.push(format!("body: cannot be decoded: {error}")),
    }
    found
}

/// The body without its coding. Of Brotli, which the recording compares by length only, it is the coded one.
fn decode<'b>(coding: &str, body: &'b [u8]) -> io::Result<Cow<'b, [u8]>> {
    let mut decoded = Vec::new();
    match coding {
        "gzip" => GzDecoder::new(body).read_to_end(&mut decoded)?,
        "deflate" => ZlibDecoder::new(body).read_to_end(&mut decoded)?,
        "br" => return Ok(Cow::Borrowed(body)),
        unknown => return Err(io::Error::other(format!("unknown coding {unknown:?}"))),
    };
    Ok(Cow::Owned(decoded))
}

impl Field {
    /// A field that was sent in several lines may come as one list.
    fn compare(&self, name: &str, got: &[&str], found: &mut Vec<String>) {
        let joined = got.join(", ");
        let same = !got.is_empty()
            && match self {
                Field::Line(line) => joined == *line,
                Field::Lines(lines) => joined == lines.join(", "),
                Field::Pattern { re } => pattern::matches(re, &joined),
            };
        if !same {
            found.push(format!("header {name}: expected {self:?}, got {got:?}"));
        }
    }
}

impl Expect {
    /// Whether the body is the recorded JSON in other words.
    fn is_same_json(&self, body: &[u8], saved: &BTreeMap<String, String>) -> bool {
        let expected = self.body.as_ref().map(|text| fill_in(text, saved));
        let expected = expected.filter(|text| text.as_bytes() != body);
        let expected: Option<Value> = expected.and_then(|text| serde_json::from_str(&text).ok());
        expected.is_some() && expected == serde_json::from_slice(body).ok()
    }

    fn compare_body(&self, body: &[u8], saved: &BTreeMap<String, String>, found: &mut Vec<String>) {
        let differs = if self.body_skip {
            self.body_max.filter(|max| body.len() > *max).map(|max| format!("at most {max} bytes"))
        } else if let Some(hash) = &self.body_sha256 {
            (sha256(body) != *hash).then(|| format!("SHA-256 {hash}"))
        } else if let Some(re) = &self.body_re {
            (!pattern::matches(re, &String::from_utf8_lossy(body))).then(|| format!("a match of {re:?}"))
        } else if let Some(json) = &self.body_json {
            (serde_json::from_slice(body).ok().as_ref() != Some(json)).then(|| json.to_string())
        } else if let Some(base64) = &self.body_b64 {
            (BASE64_STANDARD.encode(body) != *base64).then(|| format!("base64 {base64}"))
        } else {
            let text = fill_in(self.body.as_deref().unwrap_or_default(), saved);
            (text.as_bytes() != body && !self.is_same_json(body, saved)).then(|| format!("{text:?}"))
        };
        if let Some(expected) = differs {
            found.push(format!("body: expected {expected}, got {:?}", excerpt(body)));
        }
    }
}

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The beginning of a body, enough to see what it is.
fn excerpt(bytes: &[u8]) -> String {
    String::from_utf8_lossy(&bytes[..bytes.len().min(1000)]).into_owned()
}
