//! From a decoded head, and what came with it, to the request that an app gets.

use bytes::Bytes;
use cepa_core::{Body, Headers, channel};
use http::{HeaderValue, header};

use super::{BodyDecoder, BodyEvent, BodyLength, ChunkLimits, Reject, head::HeadInPlace, reading::Reading};

/// Fills `body` with that of a request, or `reading` as well if it is not all there; answers how many bytes of `rest`
/// it took.
#[inline(always)]
pub(super) fn take_body(
    head: &HeadInPlace<'_>,
    rest: &[u8],
    limit: u64,
    body: &mut Body,
    reading: &mut Option<Box<Reading>>,
) -> Result<usize, Reject> {
    match head.body {
        BodyLength::None | BodyLength::Length(0) => Ok(0),
        _ => take_some_body(head, rest, limit, body, reading),
    }
}

/// What is there already is decoded at once also when it is chunked: most bodies come with their head, and one
/// whose framing is broken never reaches the app.
#[inline(never)]
fn take_some_body(
    head: &HeadInPlace<'_>,
    rest: &[u8],
    limit: u64,
    body: &mut Body,
    reading: &mut Option<Box<Reading>>,
) -> Result<usize, Reject> {
    let (whole, length) = match head.body {
        BodyLength::None => return Ok(0),
        BodyLength::Length(length) if length <= limit && length <= rest.len() as u64 => {
            (Some((Bytes::copy_from_slice(&rest[..length as usize]), length as usize)), Some(length))
        }
        BodyLength::Length(length) => (None, Some(length)),
        BodyLength::Chunked => (whole_chunked(rest, limit)?, None),
    };
    if let Some((bytes, taken)) = whole {
        *body = Body::from(bytes);
        return Ok(taken);
    }
    let (sender, incoming) = channel(length, limit);
    let decoder = BodyDecoder::new(head.body, ChunkLimits::default());
    *reading = Some(Box::new(Reading::new(sender, decoder, length, head.expect_continue)));
    *body = Body::from(incoming);
    Ok(0)
}

/// A chunked body of which every byte is there: its data, and how many bytes it took. `None` when it goes on, is
/// larger than the limit, or has trailers.
#[inline(never)]
fn whole_chunked(rest: &[u8], limit: u64) -> Result<Option<(Bytes, usize)>, Reject> {
    let mut decoder = BodyDecoder::new(BodyLength::Chunked, ChunkLimits::default());
    let (mut data, mut used) = (Vec::new(), 0);
    loop {
        let (length, event) = decoder.decode(&rest[used..])?;
        match event {
            Some(BodyEvent::Data(range)) => {
                data.extend_from_slice(&rest[used + range.start..used + range.end]);
            }
            Some(BodyEvent::End) => return Ok(Some((data.into(), used + length))),
            Some(BodyEvent::Trailers(_)) | None => return Ok(None),
        }
        if data.len() as u64 > limit {
            return Ok(None);
        }
        used += length;
    }
}

/// Makes the authority of a target that has one take the place of `Host` (RFC 9112, sections 3.2.2 and 3.3).
#[inline]
pub(super) fn settle_host(head: &HeadInPlace<'_>, headers: &mut Headers) {
    if let Some(authority) = head.target.authority()
        && let Ok(value) = HeaderValue::from_bytes(authority)
    {
        headers.map_mut().insert(header::HOST, value);
    }
}
