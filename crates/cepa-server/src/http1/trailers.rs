//! Trailers: the fields after a chunked body, and which names may not stand there (RFC 9110, section 6.5.1).

use http::{HeaderMap, HeaderName, HeaderValue};

use super::Reject;

/// The most trailers there may be, whatever the limits say.
const MOST_TRAILERS: usize = 64;

/// Reads the lines after the last chunk, with the empty line that ends them.
///
/// The caller has checked that every line ends in CRLF.
pub(super) fn parse(section: &[u8], most: usize) -> Result<HeaderMap, Reject> {
    let mut lines = [httparse::EMPTY_HEADER; MOST_TRAILERS];
    let lines = match httparse::parse_headers(section, &mut lines[..most.min(MOST_TRAILERS)]) {
        Ok(httparse::Status::Complete((length, lines))) if length == section.len() => lines,
        Err(httparse::Error::TooManyHeaders) => return Err(Reject::TrailersTooLarge),
        _ => return Err(Reject::Trailer),
    };
    let mut trailers = HeaderMap::with_capacity(lines.len());
    for line in lines {
        let name = HeaderName::from_bytes(line.name.as_bytes()).map_err(|_| Reject::Trailer)?;
        if is_forbidden(&name) {
            return Err(Reject::TrailerForbidden);
        }
        trailers.append(name, HeaderValue::from_bytes(line.value).map_err(|_| Reject::Trailer)?);
    }
    Ok(trailers)
}

/// Whether the field means something only before the body: framing, routing, credentials, and how to read
/// the content. `Content-Digest` may come after what it digests (RFC 9530).
pub(crate) fn is_forbidden(name: &HeaderName) -> bool {
    let name = name.as_str();
    let listed = matches!(
        name,
        "authorization"
            | "cache-control"
            | "connection"
            | "cookie"
            | "expect"
            | "host"
            | "keep-alive"
            | "max-forwards"
            | "range"
            | "set-cookie"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "upgrade"
            | "www-authenticate"
    );
    listed
        || name.starts_with("proxy-")
        || name.starts_with("if-")
        || (name.starts_with("content-") && name != "content-digest")
}
