//! Decodes the head of a request: request line and fields (RFC 9112, sections 2 to 6).

use std::mem::MaybeUninit;

use cepa_core::Headers;
use http::{Method, Version};
use httparse::{ParserConfig, Status};

use super::fields::Fields;
use super::scan::{HeadScan, explain};
use super::{Reject, Target, store};

/// The most fields a head may have, whatever [`HeadLimits::fields`] says.
pub(crate) const MOST_FIELDS: usize = 128;

/// The longest method; the longest registered one has 17 bytes.
pub(crate) const LONGEST_METHOD: usize = 32;

/// How large the head of a request may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HeadLimits {
    /// Bytes of the request line with its CRLF; a longer one is answered with 414.
    pub request_line: usize,
    /// Bytes of all field lines with their CRLFs and the empty line; more are answered with 431.
    pub header_bytes: usize,
    /// Number of fields, at most 128; more are answered with 431.
    pub fields: usize,
}

impl Default for HeadLimits {
    /// 8 KiB, 32 KiB, 100 fields.
    fn default() -> Self {
        HeadLimits { request_line: 8 * 1024, header_bytes: 32 * 1024, fields: 100 }
    }
}

/// How the body of a request is framed (RFC 9112, section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BodyLength {
    /// Neither `Content-Length` nor `Transfer-Encoding`: there is no body.
    None,
    /// As many bytes as `Content-Length` says.
    Length(u64),
    /// `Transfer-Encoding: chunked`.
    Chunked,
}

/// The head of a request without its fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// Any token of at most 32 bytes.
    pub method: Method,
    /// The request target in a form that fits the method.
    pub target: Target,
    /// HTTP/1.0 or HTTP/1.1.
    pub version: Version,
    /// How the body is framed.
    pub body: BodyLength,
    /// Whether the client lets the connection serve another request after this one.
    pub keep_alive: bool,
    /// Whether the client waits for `100 Continue` before it sends the body, which is not empty then.
    pub expect_continue: bool,
    /// Whether `Connection` names `upgrade` and there is an `Upgrade` field. The request may have a body as well.
    pub upgrade: bool,
}

/// Decodes the head at the start of `buf` and says how many bytes it took; `None` asks for more bytes.
///
/// `buf` starts where the previous message ended; one empty line before the request line is skipped
/// (RFC 9112, section 2.2). Call again with the same bytes and more, and the same `scan`: the work is linear
/// and the answer the same however the bytes are cut; only that a fault may show earlier in a large piece.
/// `headers` is emptied and then holds the fields in their order, checked; after an error its content means
/// nothing. No more than `request_line + header_bytes + 4` bytes are ever asked for.
///
/// # Errors
///
/// The [`Reject`] names the first fault, at the latest when the head is complete or a limit is passed.
///
/// ```
/// use cepa_server::http1::{HeadLimits, HeadScan, decode_head};
///
/// let (mut scan, mut headers) = (HeadScan::default(), cepa_core::Headers::new());
/// let bytes = b"GET /a?b HTTP/1.1\r\nHost: example.com\r\n\r\nnext";
/// let half = decode_head(&bytes[..20], &mut scan, &HeadLimits::default(), &mut headers).unwrap();
/// assert!(half.is_none());
/// let whole = decode_head(bytes, &mut scan, &HeadLimits::default(), &mut headers).unwrap();
/// let (head, consumed) = whole.unwrap();
/// assert_eq!((head.target.path(), head.target.query(), head.keep_alive), ("/a", Some("b"), true));
/// assert_eq!(headers.get("host"), Some(&b"example.com"[..]));
/// assert_eq!(&bytes[consumed..], b"next");
/// ```
pub fn decode_head(
    buf: &[u8],
    scan: &mut HeadScan,
    limits: &HeadLimits,
    headers: &mut Headers,
) -> Result<Option<(Head, usize)>, Reject> {
    let Some(skipped) = empty_lines(buf)? else { return Ok(None) };
    let text = &buf[skipped..];
    let mut broken = None;
    if scan.is_fresh() {
        let most = limits.request_line.saturating_add(limits.header_bytes);
        let window = &text[..text.len().min(most)];
        match read(window, limits, headers) {
            Read::Head(head, length) => return Ok(Some((head, skipped + length))),
            Read::Refused(reject) => return Err(reject),
            Read::Broken(error) => broken = Some(error),
            Read::Partial | Read::Misframed => {}
        }
    }
    let decoded = decode_slowly(text, broken, scan, limits, headers)?;
    Ok(decoded.map(|(head, length)| (head, skipped + length)))
}

/// Decodes what is not whole, or is broken: waits for the place that decides, and judges the bytes before it.
#[cold]
fn decode_slowly(
    text: &[u8],
    broken: Option<httparse::Error>,
    scan: &mut HeadScan,
    limits: &HeadLimits,
    headers: &mut Headers,
) -> Result<Option<(Head, usize)>, Reject> {
    let Some(stop) = scan.advance(text, limits) else {
        return broken.and_then(|error| explain(text, error)).map_or(Ok(None), Err);
    };
    let text = &text[..stop.at];
    let fault = stop.fault.unwrap_or(Reject::FieldValue);
    match read(text, limits, headers) {
        Read::Head(head, length) if stop.fault.is_none() => {
            *scan = HeadScan::default();
            Ok(Some((head, length)))
        }
        Read::Refused(reject) => Err(reject),
        Read::Broken(error) => Err(explain(text, error).unwrap_or(fault)),
        Read::Head(..) | Read::Partial | Read::Misframed => Err(fault),
    }
}

/// How many bytes of empty lines stand before the request line; `None` if it has not begun.
fn empty_lines(buf: &[u8]) -> Result<Option<usize>, Reject> {
    let mut skipped = 0;
    loop {
        match buf[skipped..] {
            [] => return Ok(None),
            [b'\n', ..] => return Err(Reject::BareLf),
            [b'\r', ..] if skipped == 2 => return Err(Reject::EmptyLines),
            [b'\r'] => return Ok(None),
            [b'\r', b'\n', ..] => skipped += 2,
            [b'\r', ..] => return Err(Reject::BareCr),
            _ => return Ok(Some(skipped)),
        }
    }
}

/// What one run of the parser over the bytes of a head comes to.
enum Read {
    Head(Head, usize),
    Partial,
    /// The parser found a fault.
    Broken(httparse::Error),
    /// The parser tolerated a bare LF, or a limit is passed; the scan tells where.
    Misframed,
    /// The head is well formed and whole, and says what cannot be accepted.
    Refused(Reject),
}

fn read(text: &[u8], limits: &HeadLimits, headers: &mut Headers) -> Read {
    let mut lines = [MaybeUninit::uninit(); MOST_FIELDS];
    let lines = &mut lines[..limits.fields.min(MOST_FIELDS)];
    let mut request = httparse::Request::new(&mut []);
    let length = match ParserConfig::default().parse_request_with_uninit_headers(&mut request, text, lines) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Read::Partial,
        Err(error) => return Read::Broken(error),
    };
    let text = &text[..length];
    let Some(first) = first_field(text, request.headers) else { return Read::Misframed };
    if first > limits.request_line || length - first > limits.header_bytes {
        return Read::Misframed;
    }
    match accept(&request, text, first, headers) {
        Ok(head) => Read::Head(head, length),
        Err(reject) => Read::Refused(reject),
    }
}

/// Where the first field line starts, provided that every line ends in CRLF.
///
/// The parser takes LF alone for a line end too. Every name starts right after a line end, so the byte two
/// before it must be a CR, and so must the byte two before the end.
fn first_field(text: &[u8], lines: &[httparse::Header<'_>]) -> Option<usize> {
    let start = text.as_ptr() as usize;
    let line_ends_before = |at: usize| at.checked_sub(2).is_some_and(|at| text[at] == b'\r');
    let name_at = |line: &httparse::Header<'_>| line.name.as_ptr() as usize - start;
    let sound = lines.iter().all(|line| line_ends_before(name_at(line)))
        && line_ends_before(text.len())
        && line_ends_before(text.len() - 2);
    sound.then(|| lines.first().map_or(text.len() - 2, name_at))
}

/// Judges a well-formed head and takes over its fields.
fn accept(
    request: &httparse::Request<'_, '_>,
    text: &[u8],
    first: usize,
    headers: &mut Headers,
) -> Result<Head, Reject> {
    let method = request.method.unwrap_or_default().as_bytes();
    if method.len() > LONGEST_METHOD {
        return Err(Reject::MethodTooLong);
    }
    let method = Method::from_bytes(method).map_err(|_| Reject::Method)?;
    let target = Target::parse(request.path.unwrap_or_default(), &method)?;
    let version = if request.version == Some(1) { Version::HTTP_11 } else { Version::HTTP_10 };
    let fields = take_fields(request.headers, &text[first..], headers)?;
    let body = fields.body(version)?;
    Ok(Head {
        method,
        target,
        version,
        body,
        keep_alive: fields.keeps_alive(version),
        expect_continue: fields.expects_continue(version, body),
        upgrade: fields.upgrades(version),
    })
}

/// Takes over the fields. `block` is the text all of `lines` lie in, which is copied once.
fn take_fields<'a>(
    lines: &[httparse::Header<'a>],
    block: &[u8],
    headers: &mut Headers,
) -> Result<Fields<'a>, Reject> {
    let mut fields = Fields::default();
    let within = |part: &[u8]| {
        // What is empty may lie anywhere.
        let start = if part.is_empty() { 0 } else { part.as_ptr() as usize - block.as_ptr() as usize };
        start..start + part.len()
    };
    headers.begin(store::copy(block));
    for line in lines {
        fields.note(line, block)?;
        headers.push(within(line.name.as_bytes()), within(line.value));
    }
    Ok(fields)
}

#[cfg(test)]
mod tests;
