//! HTTP/1.1 (RFC 9110, RFC 9112): a codec — bytes in, events out; no socket and no clock — and its driver.
//!
//! A connection walks through these parts in this order:
//!
//! 1. [`Preface::of`]: is this HTTP/1 at all, or the first bytes of HTTP/2?
//! 2. [`decode_head`]: the request line and the fields, checked, as a [`Head`] and [`Headers`](cepa_core::Headers).
//! 3. [`BodyDecoder`]: where the data lies in the bytes that follow, then the trailers and the end.
//! 4. [`ResponseHead::encode`], [`chunk`] and [`last_chunk`]: the answer, as bytes appended to a buffer.
//!
//! **The rule of this door:** what two readers could understand in two ways is refused. The caller of a
//! function that returned a [`Reject`] sends [`answer`] with [`Reject::status`], closes the connection and
//! parses nothing that came after.
//!
//! That is the codec. The connection task, `serve`, drives it over a socket: `turn` in one synchronous turn
//! wherever it can, `exchange` where something must be waited for.

mod body;
mod bounds;
mod chunked;
mod conn;
pub mod date;
mod encode;
mod event;
mod exchange;
mod fields;
mod head;
mod host;
mod incoming;
mod lines;
mod linger;
mod link;
mod outgoing;
mod preface;
mod reading;
mod reject;
mod respond;
mod resume;
mod scan;
mod serve;
mod set;
mod stamp;
mod target;
mod trailers;
mod turn;
mod upgrade;

pub use body::BodyDecoder;
pub use bounds::HeadLimits;
pub(crate) use bounds::LONGEST_METHOD;
pub use chunked::ChunkLimits;
pub use encode::{
    ConnectionHeader, Framing, ResponseHead, chunk, chunk_end, chunk_head, encode_informational, last_chunk,
};
pub use event::BodyEvent;
pub use head::{BodyLength, Head, decode_head};
pub use host::is_valid_host;
pub(crate) use link::Link;
pub use preface::{PREFACE, Preface};
pub use reject::{Reject, answer};
pub(crate) use resume::Arriving;
pub use scan::HeadScan;
pub(crate) use serve::{End, Serve};
pub use stamp::Stamp;
pub(crate) use target::TargetInPlace;
pub use target::{Form, Target};
pub(crate) use trailers::is_forbidden as is_forbidden_trailer;
