//! Decodes the head of a request: request line and fields (RFC 9112, sections 2 to 6).

use cepa_core::Headers;
use http::{Method, Version};

use super::bounds::{HeadLimits, LONGEST_METHOD};
use super::fields::Fields;
use super::lines::{Fault, RequestLine, Stop, field_lines, request_line};
use super::scan::{HeadScan, explain};
use super::target::TargetInPlace;
use super::{Reject, Target};
use crate::limits::MOST_FIELDS;

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
///
/// `T` is its target: one that stands for itself, or one that lies in the bytes still.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head<T = Target> {
    /// Any token of at most 32 bytes.
    pub method: Method,
    /// The request target in a form that fits the method.
    pub target: T,
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
    let mut head = None;
    let length = decode_head_in_place(buf, scan, limits, headers, &mut head)?;
    Ok(head.map(|head| (head.into_owned(), length)))
}

/// A head whose target is not copied before somebody knows where to.
pub(super) type HeadInPlace<'a> = Head<TargetInPlace<'a>>;

impl HeadInPlace<'_> {
    fn into_owned(self) -> Head {
        let Self { method, target, version, body, keep_alive, expect_continue, upgrade } = self;
        Head { method, target: target.into(), version, body, keep_alive, expect_continue, upgrade }
    }
}

/// [`decode_head`] that puts the head where it stays, for a result is moved from one place to the next; answers how
/// many bytes it took, if there is one.
#[inline(always)]
pub(super) fn decode_head_in_place<'a>(
    buf: &'a [u8],
    scan: &mut HeadScan,
    limits: &HeadLimits,
    headers: &mut Headers,
    head: &mut Option<HeadInPlace<'a>>,
) -> Result<usize, Reject> {
    let Some(skipped) = empty_lines(buf)? else { return Ok(0) };
    let text = &buf[skipped..];
    let mut broken = None;
    if scan.is_fresh() {
        match read(text, limits, headers, head) {
            Ok(length) => return Ok(skipped + length),
            Err(Unread::Refused(reject)) => return Err(reject),
            Err(Unread::Stopped(Stop::Broken(fault))) => broken = Some(fault),
            Err(Unread::Stopped(Stop::Partial | Stop::BareLf)) => {}
        }
    }
    decode_slowly(text, broken, scan, limits, headers, head).map(|length| skipped + length)
}

/// Decodes what is not whole, or is broken: waits for the place that decides, and judges the bytes before it.
#[cold]
fn decode_slowly<'a>(
    text: &'a [u8],
    broken: Option<Fault>,
    scan: &mut HeadScan,
    limits: &HeadLimits,
    headers: &mut Headers,
    head: &mut Option<HeadInPlace<'a>>,
) -> Result<usize, Reject> {
    let Some(stop) = scan.advance(text, limits) else {
        return broken.and_then(|fault| explain(text, fault)).map_or(Ok(0), Err);
    };
    let text = &text[..stop.at];
    let fault = stop.fault.unwrap_or(Reject::FieldValue);
    match read(text, limits, headers, head) {
        Ok(length) if stop.fault.is_none() => {
            *scan = HeadScan::default();
            Ok(length)
        }
        Err(Unread::Refused(reject)) => Err(reject),
        Err(Unread::Stopped(Stop::Broken(broken))) => Err(explain(text, broken).unwrap_or(fault)),
        Ok(_) | Err(Unread::Stopped(Stop::Partial | Stop::BareLf)) => Err(fault),
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

/// Why one look at the bytes of a head comes to none.
enum Unread {
    /// A line cannot be read; or more bytes are needed, which a limit may forbid: the scan tells.
    Stopped(Stop),
    /// The head is well formed and whole, and says what cannot be accepted.
    Refused(Reject),
}

#[inline(always)]
fn read<'a>(
    text: &'a [u8],
    limits: &HeadLimits,
    headers: &mut Headers,
    head: &mut Option<HeadInPlace<'a>>,
) -> Result<usize, Unread> {
    let line = request_line(&text[..text.len().min(limits.request_line)]).map_err(Unread::Stopped)?;
    let text = &text[..text.len().min(line.length.saturating_add(limits.header_bytes))];
    let (mut fields, mut refused) = (Fields::default(), None);
    headers.begin();
    let kept = line.length;
    let most = limits.fields.min(MOST_FIELDS);
    let length = field_lines(text, line.length, most, |name, value| {
        headers.push(name.start - kept..name.end - kept, value.start - kept..value.end - kept);
        // A fault in the grammar of a line further down goes before one in what this line says.
        if let Err(reject) = fields.note(text, name, value) {
            refused.get_or_insert(reject);
        }
    });
    let length = length.map_err(Unread::Stopped)?;
    *head = Some(accept(&line, &fields, refused).map_err(Unread::Refused)?);
    headers.end(&text[kept..length]);
    Ok(length)
}

/// Judges a well-formed head.
#[inline(always)]
fn accept<'a>(
    line: &RequestLine<'a>,
    fields: &Fields<'_>,
    refused: Option<Reject>,
) -> Result<HeadInPlace<'a>, Reject> {
    if line.method.len() > LONGEST_METHOD {
        return Err(Reject::MethodTooLong);
    }
    let method = match line.method {
        b"GET" => Method::GET,
        other => Method::from_bytes(other).map_err(|_| Reject::Method)?,
    };
    let target = TargetInPlace::parse(line.target, line.plain, &method)?;
    refused.map_or(Ok(()), Err)?;
    let (version, body) = (line.version, fields.body(line.version)?);
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

#[cfg(test)]
mod tests;
