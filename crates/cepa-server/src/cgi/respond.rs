//! A response as what is written: the head, the body if it is small, and what is left of it otherwise.

use bytes::Bytes;
use cepa_core::{Body, Response};
use http::{HeaderMap, Method, StatusCode, header};

use super::{Codec, ResponseHead};
use crate::floor::Floor;

/// A body up to this size is copied behind its head; a larger one is written from where it is.
const COPIED: usize = 8 * 1024;

/// What of a method the answer depends on.
#[derive(Clone, Copy)]
pub(super) struct Kind {
    pub(super) is_head: bool,
    pub(super) is_safe: bool,
}

impl From<&Method> for Kind {
    fn from(method: &Method) -> Self {
        Self { is_head: *method == Method::HEAD, is_safe: method.is_safe() }
    }
}

/// What is still to be written after the head.
pub(super) enum Rest {
    Nothing,
    Bytes(Bytes),
    /// A stream, of which so many bytes were declared.
    Stream(Body, Option<u64>),
}

/// Appends the head, and the body if it is at hand and small.
pub(super) fn write<C: Codec>(
    response: &mut Response,
    kind: Kind,
    codec: &C,
    floor: &Floor,
    out: &mut Vec<u8>,
) -> Rest {
    if response.take_upgrade().is_some() || response.status().is_informational() {
        tracing::error!(target: "cepa::cgi", "a response is informational, or switches protocols: no front server can");
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, kind, codec, floor, out);
    }
    let (status, (headers, content_type)) = (response.status(), response.headers_as_is());
    let bodiless = kind.is_head || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let declared = || declared(headers?);
    let length = match response.body().map_or(Some(0), Body::len) {
        _ if status == StatusCode::NO_CONTENT => None,
        // Of what is not sent only the app knows how long it is.
        _ if bodiless => declared(),
        length => length.or_else(declared),
    };
    let (reason, server) = (response.custom_reason(), floor.server.as_ref());
    let head = ResponseHead { status, reason, headers, content_type, length, server };
    let opened = codec.head(&head, out);
    let body = if bodiless { None } else { response.body() };
    let rest = match body.map(Body::as_bytes) {
        None => Rest::Nothing,
        // A head of many cookies may fill a piece by itself.
        Some(Some(bytes)) if bytes.len() <= COPIED && out.len() - opened + bytes.len() <= C::MOST_PIECE => {
            out.extend_from_slice(bytes);
            Rest::Nothing
        }
        Some(_) => match response.take_body().unwrap_or_default().try_into_bytes() {
            Ok(bytes) => Rest::Bytes(bytes),
            Err(stream) => Rest::Stream(stream, length),
        },
    };
    response.reuse();
    if out.len() - opened > C::MOST_PIECE {
        split(codec, opened, out);
    } else {
        codec.close(opened, out);
    }
    rest
}

/// Cuts a head that is too long for one piece into several.
#[cold]
fn split<C: Codec>(codec: &C, opened: usize, out: &mut Vec<u8>) {
    let head = out.split_off(opened);
    let first = &head[..C::MOST_PIECE];
    out.extend_from_slice(first);
    codec.close(opened, out);
    for piece in head[C::MOST_PIECE..].chunks(C::MOST_PIECE) {
        codec.piece(piece.len(), out);
        out.extend_from_slice(piece);
    }
}

fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

/// Appends the answer to what was refused before an app had it, or took too long.
pub(super) fn refuse<C: Codec>(
    status: StatusCode,
    kind: Kind,
    codec: &C,
    floor: &Floor,
    out: &mut Vec<u8>,
) -> Rest {
    let mut response = Response::new();
    response.set_status(status);
    response.headers_mut().insert(header::CONTENT_TYPE, TEXT);
    response.replace_body(status.canonical_reason().unwrap_or_default());
    write(&mut response, kind, codec, floor, out)
}

const TEXT: http::HeaderValue = http::HeaderValue::from_static("text/plain; charset=utf-8");
