//! Turns a response into bytes: chooses framing and connection header, writes the head.

use bytes::Bytes;
use cepa_core::{Body, OnUpgrade, Response};
use http::{HeaderMap, Method, StatusCode, Version, header};

use super::{ConnectionHeader, Framing, ResponseHead, head::HeadInPlace, outgoing::COPIED, reading::Reading};
use crate::floor::Floor;

/// An unread request body of up to this many bytes is read and thrown away to keep the connection.
pub(super) const DRAINED: u64 = 64 * 1024;

/// Asks for a request body.
pub(super) const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What the answer to a request depends on besides the response.
pub(super) struct Respond {
    pub(super) method: Kind,
    version: Version,
    keep: bool,
    /// Whether the client would keep the connection: it may have sent its next request already.
    wants_keep: bool,
    upgrade: Upgrade,
}

/// What of a method its answer depends on.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Head,
    Connect,
    /// Any other safe one (RFC 9110, section 9.2.1).
    Safe,
    Unsafe,
}

impl Kind {
    #[inline]
    fn of(method: &Method) -> Self {
        match *method {
            Method::GET => Self::Safe,
            Method::HEAD => Self::Head,
            Method::CONNECT => Self::Connect,
            _ if method.is_safe() => Self::Safe,
            _ => Self::Unsafe,
        }
    }

    pub(super) fn is_safe(self) -> bool {
        matches!(self, Self::Head | Self::Safe)
    }
}

/// Whether the connection may be handed to another protocol.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Upgrade {
    NotAsked,
    Asked,
    /// Asked for, but the request body is not read to its end, and would be taken for the other protocol.
    Blocked,
}

/// What is still to be written after the head.
pub(super) enum Answer {
    /// Nothing, or these bytes.
    Whole(Option<Bytes>),
    /// A stream, framed so.
    Stream(Body, Framing),
    /// Another protocol takes over.
    Upgrade(OnUpgrade),
}

impl Respond {
    pub(super) fn new(head: &HeadInPlace<'_>, keep: bool) -> Self {
        let method = Kind::of(&head.method);
        let asked = head.upgrade || method == Kind::Connect;
        let upgrade = if asked { Upgrade::Asked } else { Upgrade::NotAsked };
        let wants_keep = head.keep_alive;
        Self { method, version: head.version, keep, wants_keep, upgrade }
    }

    /// Whether the connection ends by our will alone: the client may be sending meanwhile, and closing must wait for
    /// that or the answer may be lost.
    pub(super) fn lingers(&self) -> bool {
        self.wants_keep && !self.keep
    }

    /// Whether the connection is kept after this answer.
    pub(super) fn keeps(&self) -> bool {
        self.keep
    }

    /// Closes after this answer.
    pub(super) fn close(&mut self) {
        self.keep = false;
    }

    /// Decides what becomes of the connection when the answer begins before the body was read.
    pub(super) fn body_unread(&mut self, reading: &mut Reading, output: &mut Vec<u8>) {
        if self.upgrade == Upgrade::Asked {
            self.upgrade = Upgrade::Blocked;
        }
        if reading.is_read() {
            // The answer is made of the body as it comes: now is the last time to ask for it.
            if reading.take_continue() {
                output.extend_from_slice(CONTINUE);
            }
        } else if reading.awaits_continue() || reading.rest().is_none_or(|rest| rest > DRAINED) {
            // A client that waits for 100 may or may not send its body after a final answer
            // (RFC 9110, section 10.1.1): nobody could tell the body from the next request.
            self.keep = false;
        }
    }

    /// Appends the head, and the body if it is at hand and small.
    pub(super) fn write(&mut self, response: &mut Response, floor: &Floor, output: &mut Vec<u8>) -> Answer {
        let upgrade = response.take_upgrade();
        let connect = self.method == Kind::Connect;
        // Of other answers there is nothing to ask.
        if (connect || upgrade.is_some() || response.status().is_informational())
            && self.is_misuse(response.status(), upgrade.is_some())
        {
            return self.write_misuse(floor, output);
        }
        let length = response.body().map_or(Some(0), Body::len);
        let (status, (headers, content_type)) = (response.status(), response.headers_as_is());
        if upgrade.is_none() && self.keep && headers.is_some_and(asks_close) {
            self.keep = false;
        }
        let framing = self.framing(status, headers, length, upgrade.is_some());
        if framing == Framing::UntilClose {
            self.keep = false;
        }
        let connection = match (&upgrade, self.keep) {
            (Some(_), _) if connect => ConnectionHeader::Implicit,
            (Some(_), _) => ConnectionHeader::Upgrade,
            (None, false) => ConnectionHeader::Close,
            (None, true) if self.version == Version::HTTP_10 => ConnectionHeader::KeepAlive,
            (None, true) => ConnectionHeader::Implicit,
        };
        let (version, reason, stamp) = (self.version, response.custom_reason(), &*floor.stamp());
        ResponseHead { version, status, reason, headers, content_type, framing, connection, stamp }
            .encode(output);
        response.reuse();
        if let Some(run) = upgrade {
            return Answer::Upgrade(run);
        }
        if self.is_bodiless(status) {
            // Whatever the app has made of a HEAD, the client would take a body for the next answer.
            return Answer::Whole(None);
        }
        // A small body is copied from where it lies.
        match response.body().map(Body::as_bytes) {
            None => Answer::Whole(None),
            Some(Some(bytes)) if bytes.len() <= COPIED => {
                output.extend_from_slice(bytes);
                Answer::Whole(None)
            }
            Some(_) => match response.take_body().unwrap_or_default().try_into_bytes() {
                Ok(bytes) => Answer::Whole(Some(bytes)),
                Err(stream) => Answer::Stream(stream, framing),
            },
        }
    }

    /// See [`write_misuse`](Self::write_misuse).
    fn is_misuse(&self, status: StatusCode, upgrade: bool) -> bool {
        let connect = self.method == Kind::Connect;
        let switches = status == StatusCode::SWITCHING_PROTOCOLS;
        upgrade != switches && !connect
            || status.is_informational() && !switches
            || upgrade && self.upgrade != Upgrade::Asked
            || !upgrade && connect && status.is_success()
    }

    /// The app switched protocols where the client had not asked for it, or said 101 without a
    /// protocol to go on with, or gave another 1xx for its answer, or accepted a CONNECT without a tunnel.
    fn write_misuse(&mut self, floor: &Floor, output: &mut Vec<u8>) -> Answer {
        let mut response = Response::new();
        let status = if self.upgrade == Upgrade::Blocked {
            StatusCode::BAD_REQUEST
        } else if self.method == Kind::Connect {
            StatusCode::NOT_IMPLEMENTED
        } else {
            tracing::error!(target: "cepa::http1", "a response is informational, or switched protocols without being asked");
            StatusCode::INTERNAL_SERVER_ERROR
        };
        response.set_status(status);
        response.replace_body(status.canonical_reason().unwrap_or_default());
        self.keep = false;
        if self.method == Kind::Connect {
            self.method = Kind::Safe;
        }
        self.upgrade = Upgrade::NotAsked;
        self.write(&mut response, floor, output)
    }

    fn framing(
        &self,
        status: StatusCode,
        headers: Option<&HeaderMap>,
        length: Option<u64>,
        upgrade: bool,
    ) -> Framing {
        let declared = || headers?.get(header::CONTENT_LENGTH)?.to_str().ok()?.parse().ok();
        if status.is_informational() || status == StatusCode::NO_CONTENT || upgrade {
            return Framing::None;
        }
        if self.is_bodiless(status) {
            return declared().map_or(Framing::None, Framing::Length);
        }
        match length {
            Some(length) => Framing::Length(length),
            None => match declared() {
                Some(length) => Framing::Length(length),
                None if self.version == Version::HTTP_10 => Framing::UntilClose,
                None => Framing::Chunked,
            },
        }
    }

    /// Whether there is no body after the head (RFC 9112, section 6.3).
    fn is_bodiless(&self, status: StatusCode) -> bool {
        self.method == Kind::Head
            || status.is_informational()
            || status == StatusCode::NO_CONTENT
            || status == StatusCode::NOT_MODIFIED
    }
}

fn asks_close(headers: &HeaderMap) -> bool {
    // Comparing a few names is faster than looking one up.
    let values = headers.iter().filter(|(name, _)| *name == header::CONNECTION);
    let mut values = values.filter_map(|(_, value)| value.to_str().ok());
    values.any(|value| value.split(',').any(|option| option.trim().eq_ignore_ascii_case("close")))
}
