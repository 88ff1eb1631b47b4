//! From a response to the head that goes out and the body behind it.

use std::cell::RefCell;

use cepa_core::{Body, Response};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{self, CONTENT_LENGTH, CONTENT_TYPE, DATE, SEC_WEBSOCKET_ACCEPT, SERVER},
};

use crate::{floor::Floor, http1::date};

/// What is to be sent on a stream.
pub(super) struct Answer {
    pub(super) head: http::Response<()>,
    pub(super) body: Body,
    /// What the head says of the length of the body.
    pub(super) length: Option<u64>,
}

impl Answer {
    pub(super) fn new(mut response: Response, method: &Method, floor: &Floor) -> Self {
        if response.take_upgrade().is_some() || response.status().is_informational() {
            tracing::error!(target: "cepa::http2", "a response switched protocols, which HTTP/2 cannot");
            response = refusal(StatusCode::INTERNAL_SERVER_ERROR);
        }
        let (status, _, mut headers, mut body) = response.into_parts();
        settle(&mut headers, floor);
        let no_content = status == StatusCode::NO_CONTENT;
        if no_content || status == StatusCode::NOT_MODIFIED || *method == Method::HEAD {
            body = Body::empty();
        } else if let Some(length) = body.len() {
            headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
        }
        let declared = headers.get(CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        if no_content || declared.is_none() {
            headers.remove(CONTENT_LENGTH);
        }
        let mut head = http::Response::new(());
        *head.status_mut() = status;
        *head.headers_mut() = headers;
        Self { head, body, length: declared }
    }
}

/// The answer to an extended CONNECT whose stream another protocol takes over (RFC 8441, section 5).
pub(super) fn switched(response: Response, floor: &Floor) -> http::Response<()> {
    let (_, _, mut headers, _) = response.into_parts();
    settle(&mut headers, floor);
    headers.remove(CONTENT_LENGTH);
    headers.remove(SEC_WEBSOCKET_ACCEPT);
    let mut head = http::Response::new(());
    *head.headers_mut() = headers;
    head
}

/// Takes out what HTTP/2 does not have, and puts in what every response has.
fn settle(headers: &mut HeaderMap, floor: &Floor) {
    strip(headers);
    if let Some(server) = &floor.server
        && !headers.contains_key(SERVER)
    {
        headers.insert(SERVER, server.clone());
    }
    if !headers.contains_key(DATE) {
        headers.insert(DATE, now());
    }
}

/// What the door itself answers.
pub(super) fn refusal(status: StatusCode) -> Response {
    let mut response = Response::new();
    response.set_status(status);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.replace_body(status.canonical_reason().unwrap_or_default());
    response
}

/// Removes what means something to one HTTP/1 connection only (RFC 9113, section 8.2.2).
pub(super) fn strip(headers: &mut HeaderMap) {
    const NAMES: [HeaderName; 6] = [
        header::CONNECTION,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
        header::TE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
    ];
    for name in NAMES {
        headers.remove(name);
    }
}

thread_local! {
    static CURRENT: RefCell<([u8; 29], HeaderValue)> = const { RefCell::new(([0; 29], HeaderValue::from_static(""))) };
}

/// The current time as a value that costs no allocation within the same second.
fn now() -> HeaderValue {
    let text = date::now();
    CURRENT.with_borrow_mut(|(of, value)| {
        if *of != text {
            *value = HeaderValue::from_bytes(&text).expect("a date is visible ASCII");
            *of = text;
        }
        value.clone()
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use cepa_core::App;

    use super::*;
    use crate::limits::Limits;

    fn answer(method: &Method, change: impl FnOnce(&mut Response)) -> Answer {
        let onion = App::new().build().unwrap();
        let floor = Floor::new(onion, Arc::new(Limits::default()), Some(HeaderValue::from_static("onion")));
        let mut response = Response::new();
        response.set_status(StatusCode::OK);
        response.replace_body("12345");
        change(&mut response);
        Answer::new(response, method, &floor)
    }

    fn length(answer: &Answer) -> Option<&str> {
        answer.head.headers().get(CONTENT_LENGTH).map(|value| value.to_str().unwrap())
    }

    #[test]
    fn the_length_is_that_of_the_body() {
        let plain = answer(&Method::GET, |response| {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(7));
        });
        assert_eq!((length(&plain), plain.length, plain.body.len()), (Some("5"), Some(5), Some(5)));
        let head = answer(&Method::HEAD, |response| {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(7));
        });
        assert_eq!((length(&head), head.body.len()), (Some("7"), Some(0)));
        for status in [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED] {
            let none = answer(&Method::GET, |response| response.set_status(status));
            assert_eq!((length(&none), none.body.len()), (None, Some(0)), "{status}");
        }
        let wrong = answer(&Method::HEAD, |response| {
            response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("many"));
        });
        assert_eq!(length(&wrong), None);
    }

    #[test]
    fn headers_of_a_connection_do_not_go_out_and_those_of_the_server_do() {
        let answer = answer(&Method::GET, |response| {
            for name in ["connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade", "te"]
            {
                response.headers_mut().insert(name, HeaderValue::from_static("x"));
            }
        });
        let names: Vec<_> = answer.head.headers().keys().map(HeaderName::as_str).collect();
        assert_eq!(names, ["server", "date", "content-length"]);
    }

    #[test]
    fn a_protocol_switch_is_a_server_error() {
        let switched = answer(&Method::GET, |response| response.set_status(StatusCode::SWITCHING_PROTOCOLS));
        assert_eq!(switched.head.status(), StatusCode::INTERNAL_SERVER_ERROR);
        let upgraded = answer(&Method::GET, |response| response.on_upgrade(Box::new(|_| Box::pin(async {}))));
        assert_eq!(upgraded.head.status(), StatusCode::INTERNAL_SERVER_ERROR);
    }
}
