//! The head of an answer in messages.

use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};

use super::wire::{self, Code};
use crate::cgi::{ResponseHead, is_left_out};

/// Appends the head: its headers, and its status if that is not 200.
///
/// A status of 302 with a `Location` is a [`Code::Redirect`]. Of headers with one name the first takes the place of what
/// the front server has by that name, the others come beside it; all `Set-Cookie` do.
pub(super) fn head(head: &ResponseHead<'_>, out: &mut Vec<u8>) {
    let mut redirect = None;
    if let Some(kind) = head.content_type {
        set(out, &header::CONTENT_TYPE, kind);
    }
    let none = HeaderMap::new();
    let headers = head.headers.unwrap_or(&none);
    if head.content_type.is_none() && !headers.contains_key(header::CONTENT_TYPE) {
        // mod_tora would make it `text/html`, and what is no page must not be shown as one.
        set(out, &header::CONTENT_TYPE, &HeaderValue::from_static("application/octet-stream"));
    }
    for name in headers.keys().filter(|name| !is_left_out(name.as_str())) {
        let mut adds = *name == header::SET_COOKIE;
        for value in headers.get_all(name) {
            if *name == header::LOCATION && head.status == StatusCode::FOUND {
                redirect = Some(value);
                continue;
            }
            push(out, name, value, adds);
            adds = true;
        }
    }
    if let Some(length) = head.length {
        let digits = HeaderValue::from(length);
        set(out, &header::CONTENT_LENGTH, &digits);
    }
    if let Some(server) = head.server.filter(|_| !headers.contains_key(header::SERVER)) {
        set(out, &header::SERVER, server);
    }
    match redirect {
        Some(location) => wire::push(out, Code::Redirect, location.as_bytes()),
        None if head.status != StatusCode::OK => {
            wire::push(out, Code::ReturnCode, head.status.as_str().as_bytes());
        }
        None => {}
    }
}

fn set(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    push(out, name, value, false);
}

fn push(out: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue, adds: bool) {
    wire::header(out, Code::HeaderKey, name.as_str().len());
    // mod_tora knows `Content-Type` by these very letters.
    let mut starts = true;
    out.extend(name.as_str().bytes().map(|byte| {
        let upper = std::mem::replace(&mut starts, byte == b'-');
        if upper { byte.to_ascii_uppercase() } else { byte }
    }));
    let code = if adds { Code::HeaderAddValue } else { Code::HeaderValue };
    wire::push(out, code, value.as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(status: u16, fields: &[(&'static str, &'static str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in fields {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let (status, headers) = (StatusCode::from_u16(status).unwrap(), Some(&headers));
        let mut out = Vec::new();
        head(
            &ResponseHead { status, reason: None, headers, content_type: None, length: None, server: None },
            &mut out,
        );
        let mut text = String::new();
        let mut left = &out[..];
        while let [code, length, 0, 0, rest @ ..] = left {
            let (value, rest) = rest.split_at(usize::from(*length));
            text.push_str(&format!("{code} {}\n", String::from_utf8_lossy(value)));
            left = rest;
        }
        text
    }

    #[test]
    fn heads() {
        for (status, fields, expected) in [
            (200, &[("content-type", "text/plain")][..], "6 Content-Type\n7 text/plain\n"),
            (200, &[], "6 Content-Type\n7 application/octet-stream\n"),
            (404, &[("content-type", "a/b")], "6 Content-Type\n7 a/b\n19 404\n"),
            (302, &[("content-type", "a/b"), ("location", "/x")], "6 Content-Type\n7 a/b\n18 /x\n"),
            (
                303,
                &[("content-type", "a/b"), ("location", "/x")],
                "6 Content-Type\n7 a/b\n6 Location\n7 /x\n19 303\n",
            ),
            (
                200,
                &[
                    ("content-type", "text/plain"),
                    ("x-test", "zz"),
                    ("set-cookie", "sid=abc; path=/; HttpOnly;"),
                    ("set-cookie", "second=2;"),
                    ("connection", "close"),
                ],
                "6 Content-Type\n7 text/plain\n6 X-Test\n7 zz\n6 Set-Cookie\n8 sid=abc; path=/; HttpOnly;\n\
                 6 Set-Cookie\n8 second=2;\n",
            ),
            (
                200,
                &[("content-type", "a/b"), ("vary", "a"), ("vary", "b")],
                "6 Content-Type\n7 a/b\n6 Vary\n7 a\n6 Vary\n8 b\n",
            ),
        ] {
            assert_eq!(messages(status, fields), expected);
        }
    }
}
