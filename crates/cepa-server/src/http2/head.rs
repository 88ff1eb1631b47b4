//! From the head that `h2` has decoded to one that an app may trust (RFC 9113, section 8).

use std::hash::{BuildHasher as _, RandomState};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use h2::ext::Protocol;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, SEC_WEBSOCKET_KEY, UPGRADE},
    request::Parts,
    uri::Authority,
};

use crate::{
    http1::{Form, LONGEST_METHOD, TargetInPlace, is_valid_host},
    limits::Limits,
    tls::authority_matches,
};

/// A request head, checked by the rules of the HTTP/1.1 door.
#[derive(Debug)]
pub(super) struct Head {
    pub(super) method: Method,
    pub(super) target: cepa_core::Target,
    pub(super) headers: HeaderMap,
    /// The declared length of the body; `h2` compares it with the DATA.
    pub(super) length: Option<u64>,
    /// The client waits for `100 Continue`.
    pub(super) continues: bool,
    /// The stream is asked for, and has no body: an extended CONNECT.
    pub(super) connects: bool,
}

/// Why a request does not reach the app.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// The stream is reset with PROTOCOL_ERROR.
    Malformed,
    /// The stream is answered with this status.
    Answer(StatusCode),
}

impl From<StatusCode> for Refusal {
    fn from(status: StatusCode) -> Self {
        Self::Answer(status)
    }
}

/// Checks a head; `server_name` is what the client has asked for in the TLS handshake.
///
/// `h2` has refused before: names in upper case, connection-specific fields, `te` other than `trailers`, pseudo-header
/// fields that are missing, repeated, unknown or late, and lengths that differ. It cuts a fragment off the path.
pub(super) fn check(parts: Parts, limits: &Limits, server_name: Option<&str>) -> Result<Head, Refusal> {
    let Parts { mut method, uri, mut headers, extensions, .. } = parts;
    if headers.values().any(has_space_around) {
        return Err(Refusal::Malformed);
    }
    join_cookies(&mut headers);
    if headers.len() > limits.headers {
        return Err(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE.into());
    }
    let connects = method == Method::CONNECT;
    if connects {
        if extensions.get::<Protocol>().is_none_or(|protocol| protocol.as_str() != "websocket") {
            return Err(StatusCode::NOT_IMPLEMENTED.into());
        }
        method = Method::GET;
        ask_websocket(&mut headers);
    }
    if method.as_str().len() > LONGEST_METHOD || !matches!(uri.scheme_str(), None | Some("http" | "https")) {
        return Err(StatusCode::BAD_REQUEST.into());
    }
    // An empty path and one that is missing differ only here.
    let http::uri::Parts { authority, path_and_query, .. } = uri.into_parts();
    let path = path_and_query.ok_or(Refusal::Malformed)?;
    let authority = settle_host(authority.as_ref().map(Authority::as_str), &mut headers)?;
    if !authority_matches(server_name, authority) {
        return Err(StatusCode::MISDIRECTED_REQUEST.into());
    }
    let target = match TargetInPlace::parse(path.as_str().as_bytes(), 0, &method) {
        Ok(target) if matches!(target.form(), Form::Origin | Form::Asterisk) => target.to_core(),
        _ => return Err(StatusCode::BAD_REQUEST.into()),
    };
    let length = length(&headers)?;
    let continues = expects_continue(&headers)?;
    if connects && length.is_some() {
        return Err(StatusCode::BAD_REQUEST.into());
    }
    Ok(Head { method, target, headers, length, continues, connects })
}

/// Says as fields what an extended CONNECT says by its form, so that apps and proxied servers see the handshake of
/// HTTP/1.1 (RFC 8441, section 5.1). The key proves nothing on HTTP/2; a proxied server must be asked with a new one.
fn ask_websocket(headers: &mut HeaderMap) {
    let nonce = || RandomState::new().hash_one(()).to_ne_bytes();
    let key = STANDARD.encode([nonce(), nonce()].concat());
    let key = HeaderValue::try_from(key).expect("base64 is visible ASCII");
    headers.insert(SEC_WEBSOCKET_KEY, key);
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
}

/// RFC 9113, section 8.2.1: a field value neither starts nor ends with white space.
fn has_space_around(value: &HeaderValue) -> bool {
    let is_space = |byte: Option<&u8>| matches!(byte, Some(b' ' | b'\t'));
    is_space(value.as_bytes().first()) || is_space(value.as_bytes().last())
}

/// RFC 9113, section 8.2.3: crumbs of a cookie are joined before anything else sees them.
fn join_cookies(headers: &mut HeaderMap) {
    let mut crumbs = headers.get_all(COOKIE).iter();
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut cookie = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        cookie.extend_from_slice(b"; ");
        cookie.extend_from_slice(crumb.as_bytes());
    }
    let cookie = HeaderValue::from_maybe_shared(bytes::Bytes::from(cookie))
        .expect("values joined with a value make a value");
    headers.insert(COOKIE, cookie);
}

/// Makes `Host` say what `:authority` says, or takes it for it (RFC 9113, section 8.3.1).
fn settle_host<'a>(authority: Option<&str>, headers: &'a mut HeaderMap) -> Result<&'a str, Refusal> {
    let mut hosts = headers.get_all(HOST).iter();
    let (host, more) = (hosts.next(), hosts.next().is_some());
    let valid = match (authority, host) {
        _ if more => false,
        (Some(authority), Some(host)) => host.as_bytes().eq_ignore_ascii_case(authority.as_bytes()),
        (Some(_), None) => true,
        (None, Some(host)) => is_valid_host(host.as_bytes()),
        (None, None) => false,
    };
    if !valid || authority.is_some_and(|authority| !is_valid_host(authority.as_bytes())) {
        return Err(StatusCode::BAD_REQUEST.into());
    }
    if let Some(authority) = authority {
        let host = HeaderValue::from_str(authority).map_err(|_| StatusCode::BAD_REQUEST)?;
        headers.insert(HOST, host);
    }
    headers.get(HOST).and_then(|host| host.to_str().ok()).ok_or_else(|| StatusCode::BAD_REQUEST.into())
}

/// One plain decimal number, as the HTTP/1.1 door asks for it.
fn length(headers: &HeaderMap) -> Result<Option<u64>, Refusal> {
    let mut values = headers.get_all(CONTENT_LENGTH).iter();
    let Some(value) = values.next() else { return Ok(None) };
    let plain = match value.as_bytes() {
        [b'0', _, ..] => false,
        digits => digits.iter().all(u8::is_ascii_digit),
    };
    let number =
        value.to_str().ok().filter(|_| plain && values.next().is_none()).and_then(|text| text.parse().ok());
    number.map(Some).ok_or_else(|| StatusCode::BAD_REQUEST.into())
}

fn expects_continue(headers: &HeaderMap) -> Result<bool, Refusal> {
    let mut values = headers.get_all(EXPECT).iter();
    match (values.next(), values.next()) {
        (None, _) => Ok(false),
        (Some(value), None) if value.as_bytes().eq_ignore_ascii_case(b"100-continue") => Ok(true),
        _ => Err(StatusCode::EXPECTATION_FAILED.into()),
    }
}

#[cfg(test)]
mod tests;
