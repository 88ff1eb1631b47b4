//! Answers with a file: what is said of it, what the request's conditions and ranges make of it.

use std::{
    hash::{BuildHasher, Hasher, RandomState},
    path::PathBuf,
};

use cepa_core::{Body, Ctx, Error, Result, date};
use http::{HeaderName, HeaderValue, Method, StatusCode, header};

use super::{
    Options,
    entry::{Content, Entry, Form},
    range::{self, Ranges, Span},
    send::{Pieces, slice},
};
use crate::{
    conditional::{Outcome, evaluate},
    files::WholeFile,
};

/// Answers; `place`: where the root is on the disk, if somebody wants to know.
pub(super) fn respond(ctx: &mut Ctx, entry: &Entry, options: &Options, place: Option<PathBuf>) -> Result {
    let form = choose(ctx, entry)?;
    describe(ctx, entry, form, options);
    match evaluate(ctx) {
        Outcome::Send => {}
        Outcome::NotModified => return ctx.set_status(StatusCode::NOT_MODIFIED),
        Outcome::Failed => return Err(Error::status_only(412)),
    }
    match ranges(ctx, form) {
        Ranges::Whole => {
            if let (Content::Disk(_, name), Some(place)) = (&form.content, place) {
                ctx.insert(WholeFile(place.join(&**name)));
            }
            send(ctx, StatusCode::OK, spans(form, &[Span { start: 0, end: form.stamp.len }]));
        }
        Ranges::None => {
            let size = content_range(&format!("bytes */{}", form.stamp.len));
            return Err(Error::status_only(416).with_header(header::CONTENT_RANGE, size));
        }
        Ranges::Some(spans_asked) => partial(ctx, entry, form, &spans_asked),
    }
    Ok(())
}

/// The form that the client likes best; the file itself when it likes none.
fn choose<'e>(ctx: &mut Ctx, entry: &'e Entry) -> Result<&'e Form> {
    let [plain, coded @ ..] = &*entry.forms else { return Err(Error::status_only(404)) };
    if coded.is_empty() {
        return Ok(plain);
    }
    ctx.vary("Accept-Encoding")?;
    let mut offers = [plain.coding; 4];
    // The codings first, so that they win where the client likes all alike.
    for (offer, form) in offers.iter_mut().zip(coded) {
        *offer = form.coding;
    }
    let best = ctx.preferred_encoding(&offers);
    Ok(best.and_then(|best| entry.form(best)).unwrap_or(plain))
}

/// Everything that is said of the whole file.
fn describe(ctx: &mut Ctx, entry: &Entry, form: &Form, options: &Options) {
    let headers = ctx.response.headers_mut();
    headers.insert(header::CONTENT_TYPE, entry.kind.clone());
    if form.coding != "identity" {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(form.coding));
    }
    if options.etag {
        headers.insert(header::ETAG, form.etag.clone());
    }
    if let Some(modified) = &form.last_modified {
        headers.insert(header::LAST_MODIFIED, modified.clone());
    }
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.entry(header::CACHE_CONTROL).or_insert_with(|| entry.cache_control.clone());
}

/// The ranges to send: only for GET, and only of the version that the client has a part of.
fn ranges(ctx: &Ctx, form: &Form) -> Ranges {
    match ctx.get(header::RANGE) {
        Some(asked) if *ctx.method() == Method::GET && if_range_holds(ctx) => {
            range::read(asked, form.stamp.len)
        }
        _ => Ranges::Whole,
    }
}

/// `If-Range`: a strong entity tag or the date of the version that the client knows (RFC 9110, section 13.1.5).
fn if_range_holds(ctx: &Ctx) -> bool {
    if !ctx.request.fields().contains(header::IF_RANGE.as_str()) {
        return true;
    }
    let known = ctx.get(header::IF_RANGE).unwrap_or_default().trim();
    match ctx.etag() {
        Some(etag) if known.starts_with('"') => known == etag,
        // A weak tag says that the file was changed just now: its date is no better then.
        Some(etag) if etag.starts_with("W/") => false,
        _ => date::parse(known).is_some_and(|known| ctx.last_modified() == Some(known)),
    }
}

fn partial(ctx: &mut Ctx, entry: &Entry, form: &Form, asked: &[Span]) {
    let len = form.stamp.len;
    let said = |span: &Span| format!("bytes {}-{}/{len}", span.start, span.end - 1);
    if let [span] = asked {
        set(ctx, header::CONTENT_RANGE, content_range(&said(span)));
        return send(ctx, StatusCode::PARTIAL_CONTENT, spans(form, asked));
    }
    let boundary = boundary();
    let kind = entry.kind.to_str().unwrap_or_default();
    let mut body = Pieces::default();
    for (at, span) in asked.iter().enumerate() {
        let line_before = if at == 0 { "" } else { "\r\n" };
        let range = said(span);
        body.bytes(format!(
            "{line_before}--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: {range}\r\n\r\n"
        ));
        body.span(&form.content, *span);
    }
    body.bytes(format!("\r\n--{boundary}--\r\n"));
    let kind = HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}"));
    set(ctx, header::CONTENT_TYPE, kind.expect("a boundary is hexadecimal"));
    send(ctx, StatusCode::PARTIAL_CONTENT, Body::new(body));
}

fn spans(form: &Form, spans: &[Span]) -> Body {
    if let ([span], Content::Memory(bytes)) = (spans, &form.content) {
        return slice(bytes, *span).into();
    }
    let mut body = Pieces::default();
    spans.iter().for_each(|span| body.span(&form.content, *span));
    Body::new(body)
}

fn send(ctx: &mut Ctx, status: StatusCode, body: Body) {
    ctx.response.set_status(status);
    ctx.response.replace_body(body);
}

fn set(ctx: &mut Ctx, name: HeaderName, value: HeaderValue) {
    ctx.response.headers_mut().insert(name, value);
}

fn content_range(text: &str) -> HeaderValue {
    HeaderValue::from_str(text).expect("words and digits are visible")
}

/// A line that no file can have been made to hold.
fn boundary() -> String {
    let random = || RandomState::new().build_hasher().finish();
    format!("{:016x}{:016x}", random(), random())
}
