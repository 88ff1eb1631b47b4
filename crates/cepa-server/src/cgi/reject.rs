//! Why a request that a front server brings was refused.

use http::StatusCode;
use thiserror::Error;

/// What is wrong with a request; one variant for each fault, so that a log line names it.
///
/// Where the request is known it is answered with [`status`](Self::status). After a fault of the framing nothing more is
/// read from the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Error)]
#[non_exhaustive]
pub enum Reject {
    /// A record is of another version of FastCGI than 1.
    #[error("a record of an unknown FastCGI version")]
    Version,
    /// A record comes where it may not, or with content that it cannot have.
    #[error("a FastCGI record that may not come here")]
    Record,
    /// A length is no netstring's, or its comma is missing.
    #[error("malformed netstring")]
    Netstring,
    /// A name or a value reaches over the end of the variables, or is not ended.
    #[error("malformed variables")]
    Variables,
    /// The variables take more bytes than the limit.
    #[error("variables too large")]
    VariablesTooLarge,
    /// The first variable is not `CONTENT_LENGTH`, or `SCGI` is not `1`.
    #[error("no SCGI request")]
    Scgi,
    /// A message comes where it may not, or is none of the tora protocol.
    #[error("a tora message that may not come here")]
    Message,
    /// A body came in chunks, which the front server does not pass on.
    #[error("a body of unknown length, which mod_tora does not pass on")]
    LengthRequired,
    /// The body is longer than the limit.
    #[error("body too large")]
    BodyTooLarge,
    /// `REQUEST_METHOD` is missing, no token, or longer than any method in use.
    #[error("malformed REQUEST_METHOD")]
    Method,
    /// The path or the query cannot stand in a request target.
    #[error("malformed path or query")]
    Target,
    /// The path and the query are longer than the limit.
    #[error("path and query too long")]
    TargetTooLong,
    /// The name of a header is no token.
    #[error("malformed name of a header")]
    HeaderName,
    /// A value holds a control character.
    #[error("malformed value of a header")]
    HeaderValue,
    /// There are more headers than the limit.
    #[error("too many headers")]
    TooManyHeaders,
    /// The headers take more bytes than the limit.
    #[error("headers too large")]
    HeadersTooLarge,
    /// The host is no host with an optional port.
    #[error("malformed host")]
    Host,
    /// `CONTENT_LENGTH` is no plain decimal number that fits 64 bits, or comes twice with different values.
    #[error("malformed CONTENT_LENGTH")]
    ContentLength,
    /// The body is longer or shorter than `CONTENT_LENGTH`.
    #[error("the body is not as long as CONTENT_LENGTH says")]
    BodyLength,
}

impl Reject {
    /// The status of the answer.
    #[must_use]
    pub fn status(self) -> StatusCode {
        match self {
            Self::LengthRequired => StatusCode::LENGTH_REQUIRED,
            Self::BodyTooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TargetTooLong => StatusCode::URI_TOO_LONG,
            Self::VariablesTooLarge | Self::TooManyHeaders | Self::HeadersTooLarge => {
                StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE
            }
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
