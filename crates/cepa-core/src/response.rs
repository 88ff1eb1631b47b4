//! The response under construction, and the rules by which it is finished for a door.

mod fields;

use std::{fmt, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{self, CONTENT_LENGTH, CONTENT_TYPE},
};

use crate::{
    Body, Error, Onion, connection::OnUpgrade, error::status_text, panic::catch, request::WithoutSecrets,
    statistics::Began,
};
use fields::Fields;

/// A response: status, headers and body.
///
/// It starts as a 404 without a body. The first body sets the status to 200, unless a status was
/// set before.
pub struct Response {
    status: StatusCode,
    /// Whether the app chose the status, so that a body must not change it.
    chosen: bool,
    reason: Option<Box<str>>,
    headers: Fields,
    content: Content,
    upgrade: Option<OnUpgrade>,
}

/// What was said about the body.
#[derive(Debug)]
enum Content {
    /// Nothing: the answer will be the text of the status.
    Unset,
    /// That there is none.
    Null,
    Body(Body),
}

pub(crate) static TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
pub(crate) static HTML: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
pub(crate) static JSON: HeaderValue = HeaderValue::from_static("application/json; charset=utf-8");
pub(crate) static BYTES: HeaderValue = HeaderValue::from_static("application/octet-stream");

impl Default for Response {
    fn default() -> Self {
        Self::new()
    }
}

impl Response {
    /// A 404 that nothing was said about yet.
    pub fn new() -> Self {
        Self {
            status: StatusCode::NOT_FOUND,
            chosen: false,
            reason: None,
            headers: Fields::default(),
            content: Content::Unset,
            upgrade: None,
        }
    }

    /// The status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// Chooses the status. 204, 205 and 304 drop a body that is there.
    pub fn set_status(&mut self, status: StatusCode) {
        self.status = status;
        self.chosen = true;
        self.reason = None;
        if is_bodiless(status) && matches!(self.content, Content::Body(_)) {
            self.clear_body();
        }
    }

    /// Whether a status was chosen, or implied by a body.
    pub fn is_status_chosen(&self) -> bool {
        self.chosen
    }

    /// The reason phrase: the one that was set, otherwise the status's own text.
    pub fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_else(|| status_text(self.status))
    }

    /// The reason phrase that was set, if any.
    pub fn custom_reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// Sets the reason phrase (HTTP/1 only). Bytes that may not stand in one become spaces.
    pub fn set_reason(&mut self, reason: &str) {
        let clean = |c: char| if c == '\t' || (' '..='~').contains(&c) { c } else { ' ' };
        self.reason = Some(reason.chars().map(clean).collect());
    }

    /// The headers.
    pub fn headers(&self) -> &HeaderMap {
        self.headers.map()
    }

    /// The value of a header, `None` when it is missing or not visible ASCII.
    pub fn get(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers().get(name)?.to_str().ok()
    }

    /// [`get`](Self::get) that leaves the type of the body where it is noted.
    pub(crate) fn field(&self, name: &HeaderName) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    /// The headers, to change them.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        self.headers.map_mut()
    }

    /// The headers as a door writes them: the map, or, where nobody has asked for one, the type of the body, if any.
    ///
    /// Who calls [`headers`](Self::headers) instead has the map made, and finds the type in it.
    pub fn headers_as_is(&self) -> (Option<&HeaderMap>, Option<&'static HeaderValue>) {
        self.headers.as_is()
    }

    /// The body, if one was set.
    pub fn body(&self) -> Option<&Body> {
        match &self.content {
            Content::Body(body) => Some(body),
            Content::Unset | Content::Null => None,
        }
    }

    /// Takes the body out, as a layer does that wraps it; put one back with [`replace_body`](Self::replace_body).
    pub fn take_body(&mut self) -> Option<Body> {
        match std::mem::replace(&mut self.content, Content::Unset) {
            Content::Body(body) => Some(body),
            other => {
                self.content = other;
                None
            }
        }
    }

    /// Puts a body in place of another, leaving status and type alone. Content-Length is dropped:
    /// the door knows the length of what it sends.
    pub fn replace_body(&mut self, body: impl Into<Body>) {
        self.headers.remove(&CONTENT_LENGTH);
        self.content = Content::Body(body.into());
    }

    /// Sets the body and, where none is set yet, the given type.
    pub(crate) fn set_body(&mut self, body: Body, default_type: &'static HeaderValue) {
        self.imply_ok();
        if is_bodiless(self.status) {
            return self.clear_body();
        }
        let had_body = matches!(self.content, Content::Body(_));
        if had_body {
            self.headers.remove(&CONTENT_LENGTH);
        }
        self.headers.set_default_type(default_type);
        self.content = Content::Body(body);
    }

    /// Sets a body that is JSON text. The type stays if it names JSON already.
    pub(crate) fn set_json(&mut self, text: Bytes) {
        self.imply_ok();
        if is_bodiless(self.status) {
            return self.clear_body();
        }
        self.headers.remove(&CONTENT_LENGTH);
        let is_json = self.field(&CONTENT_TYPE).is_some_and(|kind| kind.contains("json"));
        if !is_json {
            self.headers.set_type(&JSON);
        }
        self.content = Content::Body(Body::from(text));
    }

    fn imply_ok(&mut self) {
        if !self.chosen {
            self.status = StatusCode::OK;
            self.chosen = true;
        }
    }

    /// Says that there is no body: 204 unless the status has no body anyway. The headers that
    /// describe a body go.
    pub fn clear_body(&mut self) {
        if !is_bodiless(self.status) {
            self.status = StatusCode::NO_CONTENT;
        }
        self.chosen = true;
        self.content = Content::Null;
        self.remove_framing();
    }

    /// Switches protocols: after this response (101) was sent, `run` gets the raw connection.
    pub fn on_upgrade(&mut self, run: OnUpgrade) {
        self.upgrade = Some(run);
    }

    /// Takes what is to run after a protocol switch.
    pub fn take_upgrade(&mut self) -> Option<OnUpgrade> {
        self.upgrade.take()
    }

    /// The declared or computable length of the body in bytes.
    pub fn length(&self) -> Option<u64> {
        match self.field(&CONTENT_LENGTH) {
            Some(text) => text.parse().ok(),
            None => self.body().and_then(Body::len),
        }
    }

    /// The bytes of body that go out if the response is finished as it is now, by the rules for this method of the
    /// request; `None` for a stream of unknown length. What a log of access counts.
    pub fn outgoing_length(&self, method: &Method) -> Option<u64> {
        if *method == Method::HEAD || is_bodiless(self.status) || self.status.is_informational() {
            return Some(0);
        }
        match &self.content {
            Content::Unset => self.status_body().len(),
            Content::Null => Some(0),
            Content::Body(body) => body.len(),
        }
    }

    fn remove_framing(&mut self) {
        for name in [CONTENT_TYPE, CONTENT_LENGTH, header::TRANSFER_ENCODING] {
            self.headers.remove(&name);
        }
    }

    /// Turns the response into the answer to an error, as happens to one that no layer has dealt with. For
    /// a layer that shows errors its own way; it puts another body in place then.
    ///
    /// Headers that outer layers have set stay (CORS, cookies, request id …). Those that describe
    /// the body that is not sent go, and so does permission to cache it; those of the error are added.
    pub fn fail(&mut self, error: &Error) {
        for name in [
            CONTENT_TYPE,
            CONTENT_LENGTH,
            header::TRANSFER_ENCODING,
            header::CONTENT_ENCODING,
            header::CONTENT_LANGUAGE,
            header::CONTENT_RANGE,
            header::CONTENT_DISPOSITION,
            header::ACCEPT_RANGES,
            header::ETAG,
            header::LAST_MODIFIED,
            header::EXPIRES,
            header::LOCATION,
        ] {
            self.headers.remove(&name);
        }
        let uncached = self.field(&header::CACHE_CONTROL).is_some_and(|control| control.contains("no-store"));
        if !uncached {
            self.headers.remove(&header::CACHE_CONTROL);
        }
        let mut last = None;
        for (name, value) in error.headers() {
            // The first value of a name replaces what was there, further ones join it.
            if last == Some(name) {
                self.headers.map_mut().append(name.clone(), value.clone());
            } else {
                self.headers.map_mut().insert(name.clone(), value.clone());
            }
            last = Some(name);
        }
        self.status = error.status();
        self.chosen = true;
        self.reason = None;
        self.upgrade = None;
        self.headers.set_type(&TEXT);
        self.content = Content::Body(error.public_message().to_owned().into());
    }

    /// Makes the response what goes out: a body for those that have none, none for those that may
    /// not have one.
    pub(crate) fn finish(&mut self, method: &Method) {
        let head = *method == Method::HEAD;
        if is_bodiless(self.status) || self.status.is_informational() {
            self.remove_framing();
            self.content = Content::Null;
            return;
        }
        match &self.content {
            Content::Unset if head => {}
            Content::Unset => {
                self.headers.set_type(&TEXT);
                self.content = Content::Body(self.status_body());
            }
            Content::Null => {
                self.remove_framing();
                if head {
                    self.headers.map_mut().insert(CONTENT_LENGTH, HeaderValue::from(0));
                }
            }
            Content::Body(body) if head => {
                if let Some(length) = body.len() {
                    self.headers.map_mut().entry(CONTENT_LENGTH).or_insert_with(|| HeaderValue::from(length));
                }
                self.content = Content::Null;
            }
            Content::Body(_) => {}
        }
    }

    /// Counts a finished answer for an app: a body in memory at once, another as it is sent.
    #[inline]
    pub(crate) fn count(&mut self, onion: &Arc<Onion>, began: Began) {
        let bytes = match self.body().and_then(Body::whole) {
            Some(bytes) => bytes.len() as u64,
            None => self.count_stream(onion),
        };
        onion.tally.end(began, self.status.is_server_error(), bytes);
    }

    /// Gives the length of a stream if it has one; of another the bytes are counted as they are sent.
    #[cold]
    fn count_stream(&mut self, onion: &Arc<Onion>) -> u64 {
        let Content::Body(body) = &mut self.content else { return 0 };
        // It asks the app's body.
        if let Ok(Some(length)) = catch(|| body.len()) {
            return length;
        }
        body.count_for(onion);
        0
    }

    /// The body of an answer that was only given a status: its reason phrase, or its number where it has none.
    fn status_body(&self) -> Body {
        match (&self.reason, self.status.canonical_reason()) {
            (Some(reason), _) => reason.to_string().into(),
            (None, Some(_)) => status_text(self.status).into(),
            (None, None) => self.status.as_str().to_owned().into(),
        }
    }

    /// Ends a response that was written, and gives the memory of its headers back for the next one.
    pub fn reuse(&mut self) {
        self.headers.reuse();
    }

    /// The parts a door writes: status, custom reason, headers, body.
    pub fn into_parts(self) -> (StatusCode, Option<Box<str>>, HeaderMap, Body) {
        let body = match self.content {
            Content::Body(body) => body,
            Content::Unset | Content::Null => Body::empty(),
        };
        (self.status, self.reason, self.headers.into_map(), body)
    }
}

/// Whether a status never has a body that this crate would send: 204, 205, 304.
pub(crate) fn is_bodiless(status: StatusCode) -> bool {
    matches!(status.as_u16(), 204 | 205 | 304)
}

/// Whether a status redirects: 300 to 303, 305, 307, 308.
pub(crate) fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 300..=303 | 305 | 307 | 308)
}

impl From<Response> for http::Response<Body> {
    fn from(response: Response) -> Self {
        let (status, _, headers, body) = response.into_parts();
        let mut answer = http::Response::new(body);
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        answer
    }
}

impl From<http::Response<Body>> for Response {
    fn from(answer: http::Response<Body>) -> Self {
        let (parts, body) = answer.into_parts();
        Self {
            status: parts.status,
            chosen: true,
            reason: None,
            headers: parts.headers.into(),
            content: Content::Body(body),
            upgrade: None,
        }
    }
}

impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response")
            .field("status", &self.status)
            .field("headers", &WithoutSecrets(self.headers()))
            .field("content", &self.content)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_alone_is_its_own_text() {
        for (status, reason, expected) in [
            (203, None, "Non-Authoritative Information"),
            (404, None, "Not Found"),
            (418, None, "I'm a Teapot"),
            (599, None, "599"),
            (599, Some("Odd"), "Odd"),
            (404, Some("Nothing Here"), "Nothing Here"),
        ] {
            let mut response = Response::new();
            response.set_status(StatusCode::from_u16(status).unwrap());
            reason.into_iter().for_each(|reason| response.set_reason(reason));
            let foretold = response.outgoing_length(&Method::GET);
            response.finish(&Method::GET);
            assert_eq!(foretold, response.body().and_then(Body::len), "{status}");
            assert_eq!(response.body().and_then(Body::as_bytes), Some(&Bytes::from(expected)), "{status}");
        }
    }
}
