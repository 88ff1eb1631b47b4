//! Why a request was refused, and the answer its sender gets before the connection is closed.

use http::StatusCode;
use thiserror::Error;

/// What is wrong with a request; one variant for each fault, so that a log line names it.
///
/// After a `Reject` nothing more may be read from the connection as a request: answer with
/// [`Reject::status`] and close (RFC 9112, sections 2.2, 3.2, 6.3 and 11.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Reject {
    /// More than one empty line stands before the request line.
    #[error("more than one empty line before the request line")]
    EmptyLines,
    /// A line ends in LF without CR.
    #[error("line feed without carriage return")]
    BareLf,
    /// A CR stands without LF.
    #[error("carriage return without line feed")]
    BareCr,
    /// A control character stands where none is allowed.
    #[error("control character in the head")]
    ControlByte,
    /// The request line does not start with a token and one space.
    #[error("malformed method")]
    Method,
    /// The method is longer than any method in use.
    #[error("method longer than 32 bytes")]
    MethodTooLong,
    /// The request target is malformed, or its form does not fit the method.
    #[error("malformed request target")]
    Target,
    /// The request line is longer than the limit.
    #[error("request target too long")]
    TargetTooLong,
    /// The request line does not end in an HTTP version.
    #[error("malformed HTTP version")]
    Version,
    /// The version is well formed and neither 1.0 nor 1.1.
    #[error("unsupported HTTP version")]
    VersionUnsupported,
    /// A field name is empty or no token.
    #[error("malformed field name")]
    FieldName,
    /// White space stands between a field name and its colon.
    #[error("white space before the colon of a field")]
    SpaceBeforeColon,
    /// A field line starts with white space (obsolete line folding).
    #[error("folded field line")]
    FoldedLine,
    /// A field value contains what no value may contain.
    #[error("malformed field value")]
    FieldValue,
    /// There are more fields than the limit.
    #[error("too many fields")]
    TooManyFields,
    /// The fields take more bytes than the limit.
    #[error("fields too large")]
    FieldsTooLarge,
    /// An HTTP/1.1 request names no host.
    #[error("missing Host")]
    HostMissing,
    /// There is more than one `Host`.
    #[error("more than one Host")]
    HostRepeated,
    /// The `Host` is empty or no host with an optional port.
    #[error("malformed Host")]
    Host,
    /// The `Content-Length` is not one plain decimal number that fits 64 bits, with at most one space before it and
    /// none behind.
    #[error("malformed Content-Length")]
    ContentLength,
    /// There is more than one `Content-Length`.
    #[error("more than one Content-Length")]
    ContentLengthRepeated,
    /// There are two `Content-Type` with different values.
    #[error("two different Content-Type")]
    ContentTypeRepeated,
    /// `Content-Length` and `Transfer-Encoding` come together.
    #[error("Content-Length together with Transfer-Encoding")]
    LengthWithEncoding,
    /// The `Transfer-Encoding` is a list, is repeated or is malformed.
    #[error("Transfer-Encoding is not exactly one coding")]
    TransferEncoding,
    /// The `Transfer-Encoding` is one coding, but not `chunked`.
    #[error("unsupported Transfer-Encoding")]
    TransferEncodingUnsupported,
    /// An HTTP/1.0 request has a `Transfer-Encoding`.
    #[error("Transfer-Encoding in HTTP/1.0")]
    TransferEncodingIn10,
    /// The `Expect` is something else than `100-continue`.
    #[error("unknown expectation")]
    Expectation,
    /// A chunk size is not 1 to 16 hexadecimal digits.
    #[error("malformed chunk size")]
    ChunkSize,
    /// A chunk extension is malformed.
    #[error("malformed chunk extension")]
    ChunkExtension,
    /// The extensions of one chunk are longer than the limit.
    #[error("chunk extension too long")]
    ChunkExtensionTooLong,
    /// The data of a chunk is not followed by CRLF.
    #[error("chunk data not followed by CRLF")]
    ChunkEnd,
    /// The chunk framing takes far more bytes than the data it carries.
    #[error("chunk framing out of proportion to its data")]
    ChunkOverhead,
    /// A trailer line is malformed.
    #[error("malformed trailer")]
    Trailer,
    /// A trailer has a name that is only allowed in the head.
    #[error("field not allowed in trailers")]
    TrailerForbidden,
    /// The trailers take more bytes than the limit, or are more than the limit.
    #[error("trailers too large")]
    TrailersTooLarge,
}

impl Reject {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Reject::TargetTooLong => StatusCode::URI_TOO_LONG,
            Reject::TooManyFields | Reject::FieldsTooLarge | Reject::TrailersTooLarge => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            Reject::Expectation => StatusCode::EXPECTATION_FAILED,
            Reject::TransferEncodingUnsupported => StatusCode::NOT_IMPLEMENTED,
            Reject::VersionUnsupported => StatusCode::HTTP_VERSION_NOT_SUPPORTED,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}

/// The fixed bytes before the date and the body after it, for every status a door answers by itself.
macro_rules! answers {
    ($status:expr; $($code:literal $reason:literal $length:literal)*) => {
        match $status {
            $($code => (
                concat!(
                    "HTTP/1.1 ", $code, " ", $reason, "\r\ncontent-type: text/plain; charset=utf-8\r\n",
                    "content-length: ", $length, "\r\nconnection: close\r\ndate: "
                ),
                concat!($reason, "\n"),
            ),)*
            _ => (
                "HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/plain; charset=utf-8\r\n\
                 content-length: 22\r\nconnection: close\r\ndate: ",
                "Internal Server Error\n",
            ),
        }
    };
}

/// Appends the whole answer of a door that gives up on a connection: head, `Date`, a body of one line.
///
/// Known are 400, 408, 413, 414, 417, 421, 431, 500, 501, 503 and 505; any other status is answered as 500.
/// The answer says `connection: close`; the caller closes after it.
///
/// ```
/// use cepa_server::http1::{Reject, answer, date};
///
/// let mut out = Vec::new();
/// answer(&mut out, Reject::HostMissing.status(), &date::imf_fixdate(784_111_777));
/// assert!(out.starts_with(b"HTTP/1.1 400 Bad Request\r\n"));
/// assert!(out.ends_with(b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nBad Request\n"));
/// ```
pub fn answer(out: &mut Vec<u8>, status: StatusCode, date: &[u8; 29]) {
    let body = answer_head(out, status, date);
    out.extend_from_slice(body.as_bytes());
}

/// Appends the head of [`answer`] with its empty line, which is the whole answer to a `HEAD`, and hands back the body.
pub(super) fn answer_head(out: &mut Vec<u8>, status: StatusCode, date: &[u8; 29]) -> &'static str {
    let (head, body) = answers!(status.as_u16();
        400 "Bad Request" 12
        408 "Request Timeout" 16
        413 "Content Too Large" 18
        414 "URI Too Long" 13
        417 "Expectation Failed" 19
        421 "Misdirected Request" 20
        431 "Request Header Fields Too Large" 32
        501 "Not Implemented" 16
        503 "Service Unavailable" 20
        505 "HTTP Version Not Supported" 27
    );
    out.reserve(head.len() + date.len() + 4 + body.len());
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(date);
    out.extend_from_slice(b"\r\n\r\n");
    body
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_answer_is_one_complete_response() {
        for code in [400, 408, 413, 414, 417, 421, 431, 500, 501, 503, 505] {
            let mut out = Vec::new();
            answer(&mut out, StatusCode::from_u16(code).unwrap(), &crate::http1::date::imf_fixdate(0));
            let mut fields = [httparse::EMPTY_HEADER; 8];
            let mut response = httparse::Response::new(&mut fields);
            let head = response.parse(&out).unwrap().unwrap();
            assert_eq!(response.code, Some(code));
            let field = |name| response.headers.iter().find(|field| field.name == name).unwrap().value;
            assert_eq!(field("content-length"), (out.len() - head).to_string().as_bytes());
            assert_eq!(field("connection"), b"close");
            assert_eq!(field("date"), b"Thu, 01 Jan 1970 00:00:00 GMT");
        }
    }

    #[test]
    fn an_unknown_status_is_answered_as_a_server_error() {
        let mut out = Vec::new();
        answer(&mut out, StatusCode::IM_A_TEAPOT, &crate::http1::date::imf_fixdate(0));
        assert!(out.starts_with(b"HTTP/1.1 500 "));
    }
}
