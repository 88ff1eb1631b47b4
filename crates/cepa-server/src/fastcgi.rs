//! FastCGI 1.0, the role of a responder: a codec — bytes in, events out; no socket and no clock — and its door.
//!
//! 1. [`Decoder`]: records come to [`Event`]s, the same ones however the bytes are cut.
//! 2. [`Pairs`]: the names and values that a request begins with.
//! 3. [`record`]: what is answered, as records appended to a buffer.
//!
//! **One request at a time.** A connection is kept if the front server asks for it, and serves one request after the
//! other. A second one beside the first is answered with `FCGI_CANT_MPX_CONN`, as `FCGI_MPXS_CONNS` says it to who asks;
//! no front server in use multiplexes, and a connection that did would let one slow reader hold up the others.

mod decode;
mod door;
mod pairs;
pub mod record;

pub use decode::{Decoder, Event};
pub(crate) use door::Door;
pub use pairs::{Pairs, push_pair};
