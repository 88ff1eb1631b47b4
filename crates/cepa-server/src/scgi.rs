//! SCGI: a netstring of variables, then the body; a codec — bytes in, events out; no socket and no clock — and its door.
//!
//! One request per connection; the answer is that of a CGI program, and its end is the end of the connection.

mod decode;
mod door;

pub use decode::{Decoder, Event, Pairs};
pub(crate) use door::Door;

/// The answer for which no request needs to be read: there is no room.
pub(crate) const BUSY: &[u8] =
    b"Status: 503 Service Unavailable\r\ncontent-type: text/plain; charset=utf-8\r\n\r\nService Unavailable";
