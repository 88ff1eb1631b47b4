//! From a decoded head, and what came with it, to the request that an app gets.

use std::rc::Rc;

use bytes::Bytes;
use cepa_core::{Body, Headers, Request, channel};
use http::{HeaderValue, header};

use super::{BodyDecoder, BodyEvent, BodyLength, ChunkLimits, Head, Reject, link::Link, reading::Reading};

/// The body of a request and how many bytes of `rest` it took; an end to fill, if it is not all there.
///
/// What is there already is decoded at once also when it is chunked: most bodies come with their head, and one
/// whose framing is broken never reaches the app.
#[inline(always)]
pub(super) fn body(
    head: &Head,
    rest: &[u8],
    limit: u64,
) -> Result<(Body, usize, Option<Box<Reading>>), Reject> {
    let whole = match head.body {
        BodyLength::None | BodyLength::Length(0) => return Ok((Body::empty(), 0, None)),
        BodyLength::Length(length) if length <= limit && length <= rest.len() as u64 => {
            Some((Bytes::copy_from_slice(&rest[..length as usize]), length as usize))
        }
        BodyLength::Length(_) => None,
        BodyLength::Chunked => whole_chunked(rest, limit)?,
    };
    if let Some((bytes, taken)) = whole {
        return Ok((Body::from(bytes), taken, None));
    }
    let length = match head.body {
        BodyLength::Length(length) => Some(length),
        BodyLength::None | BodyLength::Chunked => None,
    };
    let (sender, incoming) = channel(length, limit);
    let decoder = BodyDecoder::new(head.body, ChunkLimits::default());
    let reading = Reading::new(sender, decoder, length, head.expect_continue);
    Ok((Body::from(incoming), 0, Some(Box::new(reading))))
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

#[inline(always)]
pub(super) fn request(head: Head, mut headers: Headers, body: Body, link: &Rc<Link>) -> Request {
    if let Some(authority) = head.target.authority()
        && head.method != http::Method::CONNECT
    {
        // RFC 9112, section 3.2.2: the authority of an absolute target takes the place of Host.
        if let Ok(value) = HeaderValue::from_str(authority) {
            headers.map_mut().insert(header::HOST, value);
        }
    }
    Request::from_door(head.method, head.target.into_core(), head.version, headers, body, link.clone())
}
