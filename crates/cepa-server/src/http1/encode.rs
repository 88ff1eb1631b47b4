//! Encodes responses: the head, the chunks of a body, informational responses.

use std::num::NonZeroUsize;

use http::{HeaderMap, HeaderValue, StatusCode, Version};

use super::{Stamp, trailers};

/// How the end of a response body is marked (RFC 9112, section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Framing {
    /// By `Content-Length`. Also for a response to `HEAD` and a 304 whose length is known.
    Length(u64),
    /// By the last chunk; the body goes through [`chunk`] and [`last_chunk`]. Not for HTTP/1.0 clients.
    Chunked,
    /// By closing the connection, which the head then announces.
    UntilClose,
    /// There is no body and no length: 1xx, 204, 304, a response to `HEAD` of unknown length.
    None,
}

/// What the head says about the connection after this response (RFC 9112, section 9).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ConnectionHeader {
    /// Nothing: it stays open, as it does by default in HTTP/1.1.
    Implicit,
    /// `keep-alive`: it stays open, for an HTTP/1.0 client that asked for it.
    KeepAlive,
    /// `close`: this is the last response.
    Close,
    /// `upgrade`: after this 101 the connection speaks what the `Upgrade` field names.
    Upgrade,
}

/// The head of a final response, or of a 101.
#[derive(Debug, Clone, Copy)]
pub struct ResponseHead<'a> {
    /// The version on the status line: HTTP/1.0 if it is that, otherwise HTTP/1.1.
    pub version: Version,
    /// The status.
    pub status: StatusCode,
    /// The text after the status; `None`, or one with control characters in it, is the usual text.
    pub reason: Option<&'a str>,
    /// The fields of the app, if it has any.
    pub headers: Option<&'a HeaderMap>,
    /// The type of the body, where `headers` does not say it.
    pub content_type: Option<&'a HeaderValue>,
    /// How the body is framed.
    pub framing: Framing,
    /// What happens to the connection.
    pub connection: ConnectionHeader,
    /// The `Server` and `Date` fields to send if the app has set none.
    pub stamp: &'a Stamp,
}

impl ResponseHead<'_> {
    /// Appends the head with its empty line.
    ///
    /// `Connection`, `Keep-Alive`, `Proxy-Connection`, `Transfer-Encoding` and `Content-Length` of the app are
    /// left out: they are written from `framing` and `connection` alone, so that they agree with
    /// what the server does. A 1xx or 204 has no framing, whatever `framing` says. No CR, LF or NUL of
    /// the app can get out: `HeaderValue` holds none, and a `reason` with one is not used.
    ///
    /// ```
    /// use cepa_server::http1::{ConnectionHeader, Framing, ResponseHead, Stamp};
    ///
    /// let mut out = Vec::new();
    /// ResponseHead {
    ///     version: http::Version::HTTP_11,
    ///     status: http::StatusCode::OK,
    ///     reason: None,
    ///     headers: None,
    ///     content_type: None,
    ///     framing: Framing::Length(5),
    ///     connection: ConnectionHeader::Implicit,
    ///     stamp: &Stamp::new(None, 784_111_777),
    /// }
    /// .encode(&mut out);
    /// let expected = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n";
    /// assert_eq!(out, expected);
    /// ```
    pub fn encode(&self, out: &mut Vec<u8>) {
        debug_assert!(
            self.framing != Framing::Chunked || self.version != Version::HTTP_10,
            "an HTTP/1.0 client knows no chunks"
        );
        out.reserve(256);
        // Each line begins with the end of the one before it: one copy instead of two.
        match (self.version, self.status, self.reason, self.framing) {
            // Nearly all of them.
            (Version::HTTP_11, StatusCode::OK, None, Framing::Length(length)) => {
                out.extend_from_slice(b"HTTP/1.1 200 OK\r\ncontent-length: ");
                out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
            }
            (version, status, reason, framing) => {
                status_line(out, version, status, reason);
                if !(status.is_informational() || status == StatusCode::NO_CONTENT) {
                    framing_line(out, framing);
                }
            }
        }
        match self.connection {
            ConnectionHeader::Close => out.extend_from_slice(b"\r\nconnection: close"),
            ConnectionHeader::Upgrade => out.extend_from_slice(b"\r\nconnection: upgrade"),
            _ if self.framing == Framing::UntilClose => out.extend_from_slice(b"\r\nconnection: close"),
            ConnectionHeader::KeepAlive => out.extend_from_slice(b"\r\nconnection: keep-alive"),
            ConnectionHeader::Implicit => {}
        }
        if let Some(kind) = self.content_type {
            out.extend_from_slice(b"\r\ncontent-type: ");
            out.extend_from_slice(kind.as_bytes());
        }
        let (mut has_server, mut has_date) = (false, false);
        if let Some(headers) = self.headers {
            for (name, value) in headers {
                let text = name.as_str();
                if !is_framing(text) {
                    has_server |= text == "server";
                    has_date |= text == "date";
                    field(out, text, value);
                }
            }
        }
        self.stamp.write(has_server, has_date, out);
    }
}

/// Appends an informational response, such as `100 Continue` or `103 Early Hints` (RFC 9110, section 15.2).
///
/// To be sent to HTTP/1.1 clients only. A status outside 1xx, and 101, which ends HTTP and is encoded as a
/// [`ResponseHead`], are bugs of the caller: in release builds nothing is appended.
pub fn encode_informational(out: &mut Vec<u8>, status: StatusCode, headers: &HeaderMap) {
    let informational = status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS;
    debug_assert!(informational, "{status} is not an informational response");
    if !informational {
        return;
    }
    status_line(out, Version::HTTP_11, status, None);
    for (name, value) in headers {
        if !is_framing(name.as_str()) {
            field(out, name.as_str(), value);
        }
    }
    out.extend_from_slice(b"\r\n\r\n");
}

/// Appends data as one chunk; no data is no chunk.
pub fn chunk(out: &mut Vec<u8>, data: &[u8]) {
    if let Some(length) = NonZeroUsize::new(data.len()) {
        out.reserve(data.len() + 20);
        chunk_head(out, length);
        out.extend_from_slice(data);
        chunk_end(out);
    }
}

/// Appends what stands before the data of a chunk; for data that is written from where it lies.
///
/// An empty chunk would end the body, hence the type.
pub fn chunk_head(out: &mut Vec<u8>, length: NonZeroUsize) {
    let length = length.get();
    let digits = (usize::BITS - length.leading_zeros()).div_ceil(4);
    for digit in (0..digits).rev() {
        out.push(b"0123456789abcdef"[length >> (digit * 4) & 0xf]);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends what stands after the data of a chunk.
pub fn chunk_end(out: &mut Vec<u8>) {
    out.extend_from_slice(b"\r\n");
}

/// Appends the last chunk and the trailers, and so ends a chunked body.
///
/// Trailers with a name that is only allowed in the head are left out (RFC 9110, section 6.5.1).
pub fn last_chunk(out: &mut Vec<u8>, trailers: Option<&HeaderMap>) {
    out.extend_from_slice(b"0");
    for (name, value) in trailers.into_iter().flatten() {
        if !trailers::is_forbidden(name) {
            field(out, name.as_str(), value);
        }
    }
    out.extend_from_slice(b"\r\n\r\n");
}

/// Appends a line, with the end of the one before.
fn field(out: &mut Vec<u8>, name: &str, value: &HeaderValue) {
    let value = value.as_bytes();
    debug_assert!(!value.iter().any(|byte| b"\r\n\0".contains(byte)), "a field value is one line");
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
}

/// Whether a field is the server's to write; the names are in lower case.
fn is_framing(name: &str) -> bool {
    match name.len() {
        10 => name == "connection" || name == "keep-alive",
        14 => name == "content-length",
        16 => name == "proxy-connection",
        17 => name == "transfer-encoding",
        _ => false,
    }
}

/// Appends the line that says how the body ends, with the end of the line before.
#[inline(never)]
fn framing_line(out: &mut Vec<u8>, framing: Framing) {
    match framing {
        Framing::Length(length) => {
            out.extend_from_slice(b"\r\ncontent-length: ");
            out.extend_from_slice(itoa::Buffer::new().format(length).as_bytes());
        }
        Framing::Chunked => out.extend_from_slice(b"\r\ntransfer-encoding: chunked"),
        Framing::UntilClose | Framing::None => {}
    }
}

/// Appends a status line but for its end.
#[inline(never)]
fn status_line(out: &mut Vec<u8>, version: Version, status: StatusCode, reason: Option<&str>) {
    let start = out.len();
    match reason {
        None if let Some(line) = usual_line(status.as_u16()) => out.extend_from_slice(line),
        _ => unusual_line(out, status, reason),
    }
    if version == Version::HTTP_10 {
        out[start + "HTTP/1.".len()] = b'0';
    }
}

fn unusual_line(out: &mut Vec<u8>, status: StatusCode, reason: Option<&str>) {
    let reason = reason.filter(|text| !text.bytes().any(|byte| byte.is_ascii_control()));
    out.extend_from_slice(b"HTTP/1.1 ");
    out.extend_from_slice(status.as_str().as_bytes());
    out.push(b' ');
    out.extend_from_slice(reason.or(status.canonical_reason()).unwrap_or_default().as_bytes());
}

macro_rules! lines {
    ($($code:literal $reason:literal)*) => {
        /// The status line of a common status but for its end.
        fn usual_line(code: u16) -> Option<&'static [u8]> {
            match code {
                $($code => Some(concat!("HTTP/1.1 ", $code, " ", $reason).as_bytes()),)*
                _ => None,
            }
        }
    };
}

lines! {
    100 "Continue"
    101 "Switching Protocols"
    103 "Early Hints"
    200 "OK"
    201 "Created"
    202 "Accepted"
    204 "No Content"
    206 "Partial Content"
    301 "Moved Permanently"
    302 "Found"
    303 "See Other"
    304 "Not Modified"
    307 "Temporary Redirect"
    308 "Permanent Redirect"
    400 "Bad Request"
    401 "Unauthorized"
    403 "Forbidden"
    404 "Not Found"
    405 "Method Not Allowed"
    409 "Conflict"
    410 "Gone"
    412 "Precondition Failed"
    416 "Range Not Satisfiable"
    422 "Unprocessable Entity"
    429 "Too Many Requests"
    500 "Internal Server Error"
    502 "Bad Gateway"
    503 "Service Unavailable"
    504 "Gateway Timeout"
}

#[cfg(test)]
mod tests;
