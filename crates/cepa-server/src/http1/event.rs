//! What is found in the bytes of a body.

use std::ops::Range;

use http::HeaderMap;

/// What the next bytes of a body are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BodyEvent {
    /// Data, at this range of the input; never empty.
    Data(Range<usize>),
    /// The trailers of a chunked body; comes at most once, just before the end, and never empty.
    Trailers(HeaderMap),
    /// The body is complete; what follows belongs to the next request.
    End,
}

/// Takes as much of `input[at..]` as is left to take.
pub(super) fn take_data(left: &mut u64, input: &[u8], at: usize) -> (usize, Option<BodyEvent>) {
    let there = input.len() - at;
    let taken = usize::try_from(*left).map_or(there, |left| left.min(there));
    *left -= taken as u64;
    (at + taken, (taken > 0).then(|| BodyEvent::Data(at..at + taken)))
}
